"""How numbers, times and money stand in a sentence."""

import re
from datetime import UTC, datetime
from typing import Final

from sipagent.sip import mask_number
from sipagent.sip.untrusted import IN_TELEPHONE_NUMBERS, LONGEST_GAP, visible

LONGEST: Final = 200
"""Characters of one text of a caller's, a carrier's or a provider's."""

_FEWEST_DIGITS: Final = 7
_GAP: Final = rf"[{IN_TELEPHONE_NUMBERS}]{{0,{LONGEST_GAP}}}"

_YEAR: Final = r"(?:19|20)[0-9]{2}"
_MONTH: Final = r"(?:1[0-2]|0?[1-9])"
_DAY: Final = r"(?:3[01]|[12][0-9]|0?[1-9])"
_DASH: Final = r"[\-\u2010-\u2015]"
# Groups that read like a date may also begin a number: what goes on, if not with a time, is one.
_ALONE: Final = rf"(?:(?=,?\s\d{{1,2}}:)|(?!{_GAP}\d))"
_DATE: Final = (
    rf"(?<![\d+])(?:{_YEAR}{_DASH}(?:0[1-9]|1[0-2]){_DASH}(?:0[1-9]|[12][0-9]|3[01])(?!\d)"
    rf"|(?:{_YEAR}/{_MONTH}/{_DAY}|{_DAY}/{_DAY}/(?:{_YEAR}|[0-9]{{2}})|{_YEAR}[/\u2013]{_YEAR})"
    rf"{_ALONE})"
)
_NUMBER_OR_DATE: Final = re.compile(
    rf"(?P<date>{_DATE})|\+?\d(?:{_GAP}\d){{{_FEWEST_DIGITS - 1},}}"
)

_AMOUNT_OR_DATE: Final = re.compile(
    r"[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:\.[0-9]{1,2})?"
    r"|[1-9][0-9]{0,2}\.[0-9]{3},[0-9]{1,2}|[0-9]{1,6},[0-9]{1,2}|[0-9]{1,4}\.[0-9]{1,2}"
    rf"|{_DATE}"
)
_BETWEEN_AMOUNTS: Final = re.compile(
    r",\s+|\s?[\u2013\u2014]\s?|(?<=,[0-9]{3})\s-\s(?=[0-9]{1,3},[0-9]{3})"
)


def plain(text: str, *, numbers: bool, limit: int | None = LONGEST) -> str:
    """The text as one line that moves no cursor; telephone numbers in it are masked unless they
    may be shown."""
    shown = visible(text, limit)
    return shown if numbers else _NUMBER_OR_DATE.sub(_masked, shown)


def number(text: str | None, *, numbers: bool) -> str | None:
    """A telephone number as it may be shown."""
    if text is None:
        return None
    return visible(text, LONGEST) if numbers else mask_number(text)


def at(when: float) -> str:
    """Unix seconds as a time of UTC."""
    return f"{datetime.fromtimestamp(when, UTC):%Y-%m-%d %H:%M:%S} UTC"


def clock(when: float) -> str:
    """Unix seconds as a time of day."""
    return f"{datetime.fromtimestamp(when, UTC):%H:%M:%S}"


def seconds(count: float) -> str:
    """A duration: `0.3 s`, `12 s`, `4 min 05 s`, `1 h 04 min`."""
    if count < 10:
        return f"{max(count, 0.0):.1f} s"
    whole = round(count)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def money(micros: int) -> str:
    """Micro-dollars as dollars, to the hundredth of a cent."""
    rounded = (micros + 50) // 100
    return f"{rounded // 10_000:,}.{rounded % 10_000:04d} USD"


def count(many: int, one: str) -> str:
    """`1 call`, `2 calls`."""
    return f"{many:,} {one}" if many == 1 else f"{many:,} {one}s"


def share(part: int, whole: int) -> str:
    """A part of a whole in per cent; what is not quite nothing is not 0 %."""
    if not part or not whole:
        return "0 %"
    per_cent = 100 * part / whole
    return f"{per_cent:.0f} %" if per_cent >= 1 else "less than 1 %"


def _masked(match: re.Match[str]) -> str:
    """Seven digits or more masked, whatever stands around them; dates and amounts as they are."""
    return match[0] if match["date"] or _are_amounts(match[0]) else mask_number(match[0])


def _are_amounts(run: str) -> bool:
    """Whether commas make the run an amount, or a list in which amounts and dates stand: a comma
    groups and lists far more often than it parts a telephone number."""
    if "," not in run or run.startswith("+"):
        return False
    parts = _BETWEEN_AMOUNTS.split(run)
    others = [part for part in parts if not _AMOUNT_OR_DATE.fullmatch(part)]
    digits = sum(letter.isdecimal() for part in others for letter in part)
    return len(others) < len(parts) and digits < _FEWEST_DIGITS
