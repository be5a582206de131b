"""A run of numbers: what was written or spelled, and the groups of digits that it makes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from unicodedata import decimal

from sipagent.model.redaction.spelled import JOINS_TENS, NUMBERS, TENS, TIMES, UNITS


class Piece(Enum):
    DIGITS = auto()
    WORD = auto()
    GAP = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a run; `start` counts from where the run begins."""

    piece: Piece
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


@dataclass(frozen=True, slots=True)
class Group:
    """Digits without a gap, or one spelled number, and the text from `start` to `end` it is in."""

    start: int
    end: int
    digits: str
    spelled: bool

    @property
    def small(self) -> bool:
        """Whether it is one of many by which a longer number is read out."""
        return self.spelled or len(self.digits) == 1


def groups_of(tokens: Sequence[Token]) -> tuple[Group, ...]:
    return tuple(_groups(tokens))


def _groups(tokens: Sequence[Token]) -> Iterator[Group]:
    times: Token | None = None
    at = 0
    while at < len(tokens):
        token, at = tokens[at], at + 1
        word = token.text.lower()
        if word in TIMES:
            times = token
            continue
        spelled = token.piece is Piece.WORD
        if token.piece is Piece.GAP or (spelled and word == JOINS_TENS):
            continue
        digits, end = (NUMBERS[word] if spelled else _ascii(token.text)), token.end
        if word in TENS and (ones := _ones_after(tokens, at)) is not None:
            digits, end = digits[0] + UNITS[tokens[ones].text.lower()], tokens[ones].end
            at = ones + 1
        start = token.start
        if times is not None and len(digits) == 1:
            digits, start, spelled = digits * TIMES[times.text.lower()], times.start, True
        times = None
        yield Group(start, end, digits, spelled)


def _ones_after(tokens: Sequence[Token], at: int) -> int | None:
    """Where the ones of "forty-two" or "cuarenta y dos" stand, if the tens have any."""
    words = [
        (each, token.text.lower())
        for each, token in enumerate(tokens[at : at + 4], at)
        if token.piece is not Piece.GAP or token.text not in (" ", "-")
    ]
    if words and words[0][1] == JOINS_TENS:
        words = words[1:]
    if words and words[0][1] in UNITS and UNITS[words[0][1]] != "0":
        return words[0][0]
    return None


def _ascii(digits: str) -> str:
    return digits if digits.isascii() else "".join(str(decimal(each)) for each in digits)
