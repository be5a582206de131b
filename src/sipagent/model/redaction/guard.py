"""Leaves out what must not be stored or shown, of whole texts and of words as they are spoken."""

import re
from collections.abc import Collection
from typing import Final

from sipagent.model.plan import Redaction
from sipagent.model.redaction.judging import Finding, Judge
from sipagent.model.redaction.runs import Piece, Token, groups_of
from sipagent.model.redaction.spelled import JOINS_TENS, NUMBERS, TENS, TIMES
from sipagent.sip.untrusted import BETWEEN_DIGITS, LONGEST_GAP

_LONGEST_WORD: Final = 32
_LONGEST_NUMBER: Final = 24
_MOST_NUMBERS: Final = 256
_KEYWORDS: Final = frozenset({"social", "ssn", "ssns"})
_REACH_AHEAD: Final = 48
_REACH_BACK: Final = 32
_PLACEHOLDERS: Final = frozenset(kind.value for kind in Redaction)
_NINE: Final = 9

_TOKEN: Final = re.compile(
    rf"(?P<word>[^\W\d_]{{1,{_LONGEST_WORD}}})|(?P<digits>\d{{1,{_LONGEST_NUMBER}}})"
    rf"|(?P<gap>[{BETWEEN_DIGITS}])|(?P<other>.)",
    re.DOTALL,
)
_SPOKEN: Final = sorted((*NUMBERS, *TIMES))
_FIRST: Final = "".join(sorted({word[0] for word in _SPOKEN}))
# Each turn of every call is searched: places where no number can begin are left at once.
_HINT: Final = re.compile(
    rf"(?=[\d{_FIRST}])(?:\d|(?<![^\W\d_])(?:{'|'.join(_SPOKEN)})(?![^\W\d_]))"
)


def redacted(text: str, kinds: Collection[Redaction]) -> str:
    """The text with `[card]` and `[ssn]` in place of numbers of these kinds.

    Cards have 13 to 19 digits and a right check digit; in groups, or read out, they also have an
    issuer's prefix and length. Social security numbers are written or read out as 3-2-4 digits, or
    stand near a word that says what they are. Dates, prices and telephone numbers stay.
    """
    if (
        not kinds or _most_digits(text) < _NINE
    ):  # digits of a social security number; a card has more
        return text
    guard = StreamGuard(kinds)
    return guard.feed(text) + guard.flush()


def _most_digits(text: str) -> int:
    """At least as many digits as all numbers of the text have: a word has two at most, and one that
    says how often makes no more than eight of the next."""
    found = _HINT.findall(text.lower())
    return sum(1 if hit.isdigit() else 8 if hit in TIMES else 2 for hit in found)


class StreamGuard:
    """Guards one utterance while it is spoken: what `feed` and then `flush` give is, joined, what
    `redacted` makes of the whole. It holds back a number until it is over, and what may turn out to
    be a social security number for 32 characters more. At most some ten kilobytes are held."""

    __slots__ = (
        "_at",
        "_behind",
        "_keyword",
        "_kinds",
        "_out",
        "_plus",
        "_previous",
        "_run",
        "_run_start",
        "_tail",
        "_waiting",
        "_waiting_end",
    )

    def __init__(self, kinds: Collection[Redaction]) -> None:
        self._kinds = frozenset(kinds)
        self._tail = ""
        self._at = 0
        self._previous = ""
        self._run: list[Token] = []
        self._run_start = 0
        self._plus = False
        self._keyword: int | None = None
        self._out: list[str] = []
        self._waiting: str | None = None
        self._waiting_end = 0
        self._behind: list[str] = []

    def feed(self, delta: str) -> str:
        """What may be shown now that these words have been spoken."""
        if not self._kinds:
            return delta
        text, self._tail = self._tail + delta, ""
        for match in _TOKEN.finditer(text):
            if match.end() == len(text) and _may_go_on(match):
                self._tail = match[0]
                break
            self._take(match)
        return self._shown()

    def flush(self) -> str:
        """All that was held back, now that nothing follows."""
        for match in _TOKEN.finditer(self._tail):
            self._take(match)
        self._tail = ""
        self._close_run()
        self._resolve(called_so=False)
        return self._shown()

    def _shown(self) -> str:
        shown = "".join(self._out)
        self._out.clear()
        return shown

    def _take(self, match: re.Match[str]) -> None:
        """One whole token has been spoken."""
        text, kind, start = match[0], match.lastgroup, self._at
        if self._waiting is not None and start - self._waiting_end > _REACH_BACK:
            self._resolve(called_so=False)
        self._at += len(text)
        word = text.lower() if kind == "word" else ""
        if kind == "digits" or word in NUMBERS or word in TIMES:
            self._begin_run(start)
            self._append(Piece.DIGITS if kind == "digits" else Piece.WORD, text, start)
        elif self._run and kind == "gap" and self._fits_in_gap():
            self._append_gap(text, start)
        elif word == JOINS_TENS and self._is_after_tens():
            self._append(Piece.WORD, text, start)
        else:
            self._close_run()
            self._pass_by(text, word, start)
        self._previous = text

    def _begin_run(self, start: int) -> None:
        if sum(token.piece is not Piece.GAP for token in self._run) >= _MOST_NUMBERS:
            self._close_run()
        if not self._run:
            self._run_start, self._plus = start, self._previous == "+"

    def _append(self, piece: Piece, text: str, start: int) -> None:
        self._run.append(Token(piece, text, start - self._run_start))

    def _append_gap(self, text: str, start: int) -> None:
        last = self._run[-1]
        if last.piece is Piece.GAP:
            self._run[-1] = Token(Piece.GAP, last.text + text, last.start)
        else:
            self._append(Piece.GAP, text, start)

    def _fits_in_gap(self) -> bool:
        last = self._run[-1]
        return last.piece is not Piece.GAP or len(last.text) < LONGEST_GAP

    def _is_after_tens(self) -> bool:
        words = [token.text.lower() for token in self._run[-2:] if token.piece is not Piece.GAP]
        return bool(words) and words[-1] in TENS

    def _pass_by(self, text: str, word: str, start: int) -> None:
        """A token that is no part of a number."""
        if word in _PLACEHOLDERS and self._previous == "[":
            self._forget_keywords()
        elif word in _KEYWORDS:
            self._keyword = self._at
            if self._waiting is not None and start - self._waiting_end <= _REACH_BACK:
                self._resolve(called_so=True)
        self._emit(text)

    def _close_run(self) -> None:
        if not self._run:
            return
        text = "".join(token.text for token in self._run)
        groups = groups_of(self._run)
        findings = Judge(groups, text, self._kinds, plus=self._plus).findings() if groups else []
        done = 0
        for finding in findings:
            self._emit(text[done : finding.start])
            self._settle(finding, text[finding.start : finding.end])
            done = finding.end
        self._emit(text[done:])
        self._run = []

    def _settle(self, finding: Finding, text: str) -> None:
        if finding.kind is not None:
            self._forget_keywords()
            self._emit(f"[{finding.kind}]")
            return
        if finding.digits < _NINE:
            self._emit(text)
            return
        start = self._run_start + finding.start
        called_so = self._keyword is not None and start - self._keyword <= _REACH_AHEAD
        self._forget_keywords()
        if not finding.candidate:
            self._emit(text)
        elif called_so:
            self._emit(f"[{Redaction.SSN}]")
        else:
            self._waiting, self._waiting_end = text, self._run_start + finding.end

    def _forget_keywords(self) -> None:
        """A number of nine digits or more is what the words before it were about."""
        self._keyword = None
        self._resolve(called_so=False)

    def _resolve(self, *, called_so: bool) -> None:
        if self._waiting is None:
            return
        self._out.append(f"[{Redaction.SSN}]" if called_so else self._waiting)
        self._out.extend(self._behind)
        self._waiting = None
        self._behind = []

    def _emit(self, text: str) -> None:
        if self._waiting is None:
            self._out.append(text)
        else:
            self._behind.append(text)


def _may_go_on(match: re.Match[str]) -> bool:
    limits = {"word": _LONGEST_WORD, "digits": _LONGEST_NUMBER}
    return len(match[0]) < limits.get(match.lastgroup or "", 0)
