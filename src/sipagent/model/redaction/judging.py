"""Which groups of a run are a card's number or a social security number, and which are not."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from sipagent.model.plan import Redaction
from sipagent.model.redaction.cards import LONGEST, is_card, is_card_in_one_piece
from sipagent.model.redaction.runs import Group

_LONGEST_PHONE: Final = 15
_SSN_PARTS: Final = (3, 2, 4)
_NINE: Final = 9
_FIRST_YEAR: Final = 1000
_THOUSANDS: Final = 3

Span = tuple[int, int]
"""The first group and the one after the last."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A part of a run. With a `kind` it is to be replaced; without one it stays, but `candidate`
    says that it is a social security number if somebody calls it one."""

    start: int
    end: int
    digits: int
    kind: Redaction | None = None
    candidate: bool = False


class Judge:
    """Judges the groups of one run. `plus` says that a plus sign stands before the first one."""

    def __init__(
        self, groups: tuple[Group, ...], text: str, kinds: Collection[Redaction], *, plus: bool
    ) -> None:
        self._groups = groups
        self._gaps = [text[a.end : b.start] for a, b in pairwise(groups)]
        self._kinds = kinds
        self._phone = self._length_of_phone() if plus else 0
        self._found: dict[Span, Redaction] = {}
        self._taken = [False] * len(groups)

    def findings(self) -> list[Finding]:
        """Every part of the run, in its order. What is judged again without the parts that were
        replaced has no more to replace."""
        if Redaction.CARD in self._kinds:
            for span in self._cards():
                self._take(span, Redaction.CARD)
        if Redaction.SSN in self._kinds:
            while (ssn := self._next_ssn()) is not None:
                self._take(ssn, Redaction.SSN)
        rest = (self._rest(span) for span in self._segments(self._plain()))
        taken = (self._finding(span, kind) for span, kind in self._found.items())
        return sorted((*rest, *taken), key=lambda each: each.start)

    def _take(self, span: Span, kind: Redaction) -> None:
        self._found[span] = kind
        self._taken[span[0] : span[1]] = [True] * (span[1] - span[0])

    def _finding(self, span: Span, kind: Redaction | None, *, candidate: bool = False) -> Finding:
        first, last = self._groups[span[0]], self._groups[span[1] - 1]
        return Finding(first.start, last.end, len(self._digits(span)), kind, candidate)

    def _rest(self, span: Span) -> Finding:
        digits = self._digits(span)
        candidate = Redaction.SSN in self._kinds and span[0] >= self._phone and _may_be_ssn(digits)
        return self._finding(span, None, candidate=candidate)

    def _digits(self, span: Span) -> str:
        return "".join(group.digits for group in self._groups[span[0] : span[1]])

    def _length_of_phone(self) -> int:
        """How many groups at the start are of an international telephone number at most."""
        total = 0
        for at, group in enumerate(self._groups):
            total += len(group.digits)
            if total > _LONGEST_PHONE:
                return at
        return len(self._groups)

    def _cards(self) -> list[Span]:
        """The numbers of cards; those that overlap are one."""
        plain = self._plain()
        merged: list[Span] = []
        for first in range(len(self._groups)):
            if first == 0 and self._phone:
                continue
            end = self._end_of_card(first, plain)
            if end is None:
                continue
            if merged and first < merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((first, end))
        return merged

    def _end_of_card(self, first: int, plain: list[bool]) -> int | None:
        """The end of the longest card's number that begins with this group."""
        digits, found = "", None
        for at in range(first, len(self._groups)):
            digits += self._groups[at].digits
            if plain[at] or len(digits) > LONGEST:
                break
            alone = at == first and not self._groups[at].spelled
            if is_card(digits) or (alone and is_card_in_one_piece(digits)):
                found = at + 1
        return found

    def _next_ssn(self) -> Span | None:
        for segment in self._segments(self._plain()):
            chunks = self._chunks(segment)
            for at in range(len(chunks) - 2):
                parts = [self._digits(chunk) for chunk in chunks[at : at + 3]]
                if tuple(map(len, parts)) != _SSN_PARTS or not _may_be_ssn("".join(parts)):
                    continue
                inside = at > 0 and self._gap_before(chunks[at]) == self._gap_before(chunks[at + 1])
                if not inside and chunks[at][0] >= self._phone:
                    return chunks[at][0], chunks[at + 2][1]
        return None

    def _gap_before(self, chunk: Span) -> str:
        return self._gaps[chunk[0] - 1]

    def _segments(self, plain: list[bool]) -> Iterator[Span]:
        """The parts that are neither taken nor plain."""
        first: int | None = None
        for at in range(len(self._groups) + 1):
            free = at < len(self._groups) and not (self._taken[at] or plain[at])
            if free and first is None:
                first = at
            elif not free and first is not None:
                yield first, at
                first = None

    def _chunks(self, segment: Span) -> list[Span]:
        """The groups of a segment, with what was read out in one breath as one."""
        chunks: list[Span] = []
        for at in range(*segment):
            if chunks and self._is_one_breath(at):
                chunks[-1] = (chunks[-1][0], at + 1)
            else:
                chunks.append((at, at + 1))
        return chunks

    def _is_one_breath(self, at: int) -> bool:
        gap = self._gaps[at - 1]
        small = self._groups[at - 1].small and self._groups[at].small
        return small and (gap == "-" or (len(gap) == 1 and gap.isspace()))

    def _plain(self) -> list[bool]:
        """Which groups are of a date or a price."""
        plain = [False] * len(self._groups)
        for at in range(len(self._groups) - 1):
            if self._is_date(at):
                plain[at : at + 3] = [True] * 3
            elif self._is_price(at):
                first = self._first_of_thousands(at)
                plain[first : at + 2] = [True] * (at + 2 - first)
        return plain

    def _first_of_thousands(self, at: int) -> int:
        """Where the whole part of a price begins that ends with this group, as in 1,234,567."""
        while self._gap(at - 1) == "," and len(self._groups[at].digits) == _THOUSANDS:
            at -= 1
        return at

    def _gap(self, at: int) -> str | None:
        """What stands after this group, if the next one follows and neither has been taken."""
        if not 0 <= at < len(self._gaps) or self._taken[at] or self._taken[at + 1]:
            return None
        return self._gaps[at]

    def _is_date(self, at: int) -> bool:
        gap = self._gap(at)
        if gap not in ("-", ".") or self._gap(at + 1) != gap:
            return False
        if gap in (self._gap(at - 1), self._gap(at + 2)):
            return False
        parts = self._groups[at : at + 3]
        return not any(part.spelled for part in parts) and _is_date(
            *(part.digits for part in parts)
        )

    def _is_price(self, at: int) -> bool:
        if self._gap(at) != "." or "." in (self._gap(at - 1), self._gap(at + 1)):
            return False
        whole, cents = self._groups[at], self._groups[at + 1]
        return not (whole.spelled or cents.spelled) and len(cents.digits) == 2


def _is_date(first: str, second: str, third: str) -> bool:
    """Whether these are year, month and day, or day and month, or month and day, and year."""
    if len(first) == 4:
        return len(second) <= 2 and len(third) <= 2 and _is_day(second, third) and _is_year(first)
    if len(first) > 2 or len(second) > 2 or len(third) not in (2, 4):
        return False
    return (_is_day(first, second) or _is_day(second, first)) and _is_year(third)


def _is_day(month: str, day: str) -> bool:
    return 1 <= int(month) <= 12 and 1 <= int(day) <= 31


def _is_year(year: str) -> bool:
    return len(year) == 2 or int(year) >= _FIRST_YEAR


def _may_be_ssn(digits: str) -> bool:
    """Whether the number may have been given out: not with an area of 000, 666 or 9xx, a group of
    00 or a serial of 0000 (Social Security Administration, RM 10201.035)."""
    if len(digits) != _NINE or digits[0] == "9" or digits[:3] in ("000", "666"):
        return False
    return digits[3:5] != "00" and digits[5:] != "0000"
