"""Telephone numbers: what the digits of an address mean, and how carriers write one number.

A number is E.164 by its syntax, a plus sign and 7 to 15 ASCII digits of which the first is not 0,
and never by a numbering plan: real calls carry test numbers, and OpenAI's own example caller has
a digit too many. Letters are never mapped to digits.
"""

import re
from typing import NewType

from sipagent.sip.address import Address
from sipagent.sip.uri import NUMBER

E164 = NewType("E164", str)

MAX_TEXT_LENGTH = 40

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_SEPARATORS = str.maketrans("", "", "-.() ")
# Shorter text is an extension in every region that this service has met.
_SHORTEST_NATIONAL = 6
_LONGEST_NATIONAL = 20


def is_e164(text: str) -> bool:
    """True for a plus sign and 7 to 15 ASCII digits that do not begin with 0 (ITU-T E.164)."""
    return _E164.fullmatch(text) is not None


def digits_of(text: str) -> str | None:
    """The text without visual separators (RFC 3966 section 5.1.1), or None if it is no number."""
    if len(text) > MAX_TEXT_LENGTH or not NUMBER.fullmatch(text):
        return None
    return text.translate(_SEPARATORS)


def to_e164(text: str, region: str | None = None) -> E164 | None:
    """The number that the text writes, or None where it writes none.

    With a region the national reading comes first, if the text has a length that the region's
    numbers have or begin with its international prefix (011 in North America). Then 00 begins an
    international number, and so do other digits that do not begin with 0.
    """
    digits = digits_of(text)
    if digits is None:
        return None
    if digits[0] == "+":
        return E164(digits) if is_e164(digits) else None
    if region is not None and _SHORTEST_NATIONAL <= len(digits) <= _LONGEST_NATIONAL:
        reading = _read_in(region.upper(), digits)
        if reading is not None:
            return E164(reading) if reading else None
    international = f"+{digits.removeprefix('00')}"
    return E164(international) if is_e164(international) else None


def spellings(number: E164) -> tuple[str, ...]:
    """The ways in which carriers write this number without knowing its region."""
    digits = number[1:]
    return (number, digits, f"00{digits}", f"011{digits}")


def number_in(address: Address, region: str | None = None) -> E164 | None:
    """The number that the address names by its user.

    A local number with a phone-context is none: RFC 3966 section 5.1.5 does not say that the two
    together are. A global number is the same everywhere, whatever context stands beside it.
    """
    user = address.user
    if not user:
        return None
    if user[0] != "+" and address.parameter("phone-context") is not None:
        return None
    return to_e164(user, region)


def number_in_context(address: Address) -> E164 | None:
    """Context and local number joined: a guess that may only be looked up in the directory."""
    context = address.parameter("phone-context")
    local = digits_of(address.user) if address.user else None
    prefix = digits_of(context) if context else None
    if local is None or prefix is None or local[0] == "+" or prefix[0] != "+":
        return None
    joined = prefix + local
    return E164(joined) if is_e164(joined) else None


def _read_in(region: str, digits: str) -> str | None:
    """The number as a telephone of the region would dial it; None if it would dial none.

    "" is a number that only a telephone of the same town can dial: it is no international one
    either. Only lengths are compared, never a numbering plan's patterns.
    """
    # phonenumbers reads its tables when it is first used; a deployment without regions never is.
    import phonenumbers
    from phonenumbers import CountryCodeSource, NumberParseException, ValidationResult

    try:
        parsed = phonenumbers.parse(digits, region, keep_raw_input=True)
    except NumberParseException:
        return None
    number = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    if parsed.country_code_source == CountryCodeSource.FROM_NUMBER_WITH_IDD:
        return number if is_e164(number) else None
    length = phonenumbers.is_possible_number_with_reason(parsed)
    if length == ValidationResult.IS_POSSIBLE_LOCAL_ONLY:
        return ""
    return number if length == ValidationResult.IS_POSSIBLE and is_e164(number) else None
