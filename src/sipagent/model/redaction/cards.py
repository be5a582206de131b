"""Which digits may be the number of a payment card (ISO/IEC 7812)."""

import re
from typing import Final

SHORTEST: Final = 13
LONGEST: Final = 19

_BRANDS: Final = tuple(
    (re.compile(prefix), frozenset(lengths))
    for prefix, lengths in (
        (r"4", (13, 16, 19)),
        (r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720", (16,)),
        (r"3[47]", (15,)),
        (r"30[0-5]|3095|3[689]", range(14, 20)),
        (r"35", range(16, 20)),
        (r"220[0-5]", range(16, 20)),
        (r"6", range(16, 20)),
        (r"50|5[678]|63|67", range(13, 20)),
        (r"8[12]|9792", (16,)),
    )
)
"""Issuers' prefixes and the lengths of their numbers: Visa, Mastercard, American Express, Diners,
JCB, Mir, Discover with UnionPay and RuPay, Maestro, RuPay and Troy."""

_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def passes_luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of those before it (ISO/IEC 7812-1, annex B)."""
    total = 0
    for at, digit in enumerate(reversed(digits)):
        total += _DOUBLED[int(digit)] if at % 2 else int(digit)
    return total % 10 == 0


def is_card(digits: str) -> bool:
    """Whether these are digits that somebody read out or wrote in groups as a card's number: of
    an issuer's prefix and length, and with the right check digit."""
    if not SHORTEST <= len(digits) <= LONGEST or not passes_luhn(digits):
        return False
    return any(len(digits) in lengths and prefix.match(digits) for prefix, lengths in _BRANDS)


def is_card_in_one_piece(digits: str) -> bool:
    """Whether digits without a gap are a card's number, of whatever issuer."""
    fits = SHORTEST <= len(digits) <= LONGEST and digits[0] != "0"
    return fits and passes_luhn(digits)
