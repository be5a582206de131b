"""The keys of the number directory, from any spelling of a number."""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final

from sipagent.config.findings import Complaint
from sipagent.config.lines import NumberLine
from sipagent.config.words import quoted
from sipagent.sip import is_e164, to_e164

DEFAULT: Final = "default"
TABLE: Final = "table"

_SHORT: Final = re.compile(r"[0-9]{2,6}", re.ASCII)
_PREFIX: Final = re.compile(r"(?:\+|00)[0-9 ().-]*\*", re.ASCII)
_NATIONAL: Final = re.compile(r"[0-9(][0-9 ().-]*", re.ASCII)
_NOT_DIGITS: Final = re.compile(r"[^0-9]", re.ASCII)
_MOST_PREFIX_DIGITS: Final = 14
_MOST_NATIONAL_DIGITS: Final = 10
_DIGITS_OF_NORTH_AMERICA: Final = 11

_WITH_PLUS: Final = 'write it with + and country code, as in "+1 713 481 0111"'


def directory_key(text: str, region: str | None) -> str | Complaint:
    """How the directory names what a key of `numbers` writes; a complaint has no steps yet."""
    text = text.strip()
    if not text:
        return Complaint((), "there is no number", _WITH_PLUS)
    if text == DEFAULT or _SHORT.fullmatch(text):
        return text
    if text.endswith("*"):
        return _prefix(text)
    if region is None and _is_national(text) and (_is_short(text) or text.startswith("0")):
        hint = f"{_WITH_PLUS}, or set defaults.region"
        return Complaint((), "this may be a number of any country", hint)
    if "(0)" in text and not _is_national(text):
        return Complaint((), "the (0) is not dialed from abroad", "leave it out")
    number = to_e164(text, region)
    if number is None:
        hint = f"write {DEFAULT}" if text.lower() == DEFAULT else _WITH_PLUS
        return Complaint((), "this is no telephone number", hint)
    if region is not None and _is_national(text) and not _is_of(region, number, text):
        return Complaint((), f"this is no number of {region}", _WITH_PLUS)
    return number


def _is_national(text: str) -> bool:
    """Whether these may be the digits of a number without its country code."""
    return _NATIONAL.fullmatch(text) is not None and not text.startswith("00")


def _is_short(text: str) -> bool:
    """Whether the digits are so few that no country code needs to be among them."""
    return len(_digits(text)) <= _MOST_NATIONAL_DIGITS


def _is_of(region: str, number: str, text: str) -> bool:
    """Whether few digits without a plus sign were read as a number of the region. Carriers may
    write any number so, and then it is a guess; what an operator writes should be none."""
    # Its tables take a while to read; a file without a region never needs them.
    from phonenumbers import country_code_for_region

    return not _is_short(text) or number.startswith(f"+{country_code_for_region(region)}")


def _digits(text: str) -> str:
    return _NOT_DIGITS.sub("", text)


def _prefix(text: str) -> str | Complaint:
    digits = _digits(text).removeprefix("" if text.startswith("+") else "00")
    if text in ("*", "+*"):
        return Complaint((), "this prefix has no digits", f"write {DEFAULT} for all other numbers")
    if not _PREFIX.fullmatch(text) or not digits or digits.startswith("0"):
        hint = 'write it with + and country code, as in "+1713*"'
        return Complaint((), "this is no prefix of a telephone number", hint)
    if len(digits) > _MOST_PREFIX_DIGITS:
        message = f"a prefix has at most {_MOST_PREFIX_DIGITS} digits"
        return Complaint((), message, "leave out the * if this is a whole number")
    return f"+{digits}*"


def keyed(
    lines: Iterable[NumberLine], region: str | None, *, region_unknown: bool
) -> tuple[dict[str, NumberLine], list[NumberLine]]:
    """The lines whose number can be read, by the keys of the directory; and the others, of which
    is told what is wrong. A number that needs the region is not judged where the region
    itself is wrong."""
    usable: dict[str, NumberLine] = {}
    others = []
    for line in lines:
        key = directory_key(line.text, region)
        if line.text == TABLE:
            line.origin.complain((), "only the operator's main file may have it", at_key=True)
        elif isinstance(key, Complaint):
            others.append(line)
            if not (region_unknown and _is_national(line.text.strip())):
                line.origin.complain((), key.message, key.hint, at_key=True)
        elif key in usable:
            others.append(line)
            _tell_twice(line, usable[key])
        else:
            usable[key] = line
            if (problem := length_problem(key)) is not None:
                line.origin.warn((), *problem)
    return usable, others


def length_problem(number: str) -> tuple[str, str] | None:
    """What is odd about the length of a number in E.164, with a hint; None of any other text."""
    if not is_e164(number) or _is_possible(number[1:4], len(number) - 1):
        return None
    return "no number of this country has so many digits", "one may be missing, or stand twice"


@lru_cache(maxsize=4096)
def _is_possible(beginning: str, digits: int) -> bool:
    """Whether a country's numbers may be so long, its code among the digits."""
    if beginning.startswith("1"):
        return digits == _DIGITS_OF_NORTH_AMERICA
    # Its tables take a while to read; a file with numbers of +1 only never needs them.
    from phonenumbers import (
        COUNTRY_CODE_TO_REGION_CODE,
        PhoneNumber,
        ValidationResult,
        is_possible_number_with_reason,
    )

    for length in (1, 2, 3):
        code = int(beginning[:length])
        if code in COUNTRY_CODE_TO_REGION_CODE:
            # Only the length counts: any digits will do.
            number = PhoneNumber(code, int("1" * (digits - length)))
            return is_possible_number_with_reason(number) == ValidationResult.IS_POSSIBLE
    return True


def verify_region(region: str | None) -> Iterator[Complaint]:
    if region is None:
        return
    # Its tables take a while to read; a file without a region never needs them.
    from phonenumbers import SUPPORTED_REGIONS

    if region not in SUPPORTED_REGIONS:
        hint = "the United Kingdom is GB" if region == "UK" else "as in US, GB or DE"
        yield Complaint(("defaults", "region"), f"there is no region {quoted(region)}", hint)


def _tell_twice(line: NumberLine, other: NumberLine) -> None:
    message = f"this is the same number as {quoted(other.text)} in {other.origin.place}"
    line.origin.complain((), message, "keep one of the two", at_key=True)
