"""Text that a caller, a header or a model controls, and how much of a number may be shown."""

import json
import re
import unicodedata
from dataclasses import dataclass
from typing import Final

_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})

# Unicode's Default_Ignorable_Code_Point that are letters or marks: they draw nothing, and some of
# them (the variation selectors) can carry a whole hidden sentence to a model.
_IGNORABLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]"
)

BETWEEN_DIGITS: Final = (
    r"\s\-\u2010-\u2015\u2212.,\u00b7\u2022_\u2026\u200b-\u200f\u2060\ufeff\u00ad"
)
"""What stands between the digits of any long number, as a class of a regular expression."""

IN_TELEPHONE_NUMBERS: Final = rf"{BETWEEN_DIGITS}()/\u2044\u2215\uff08\uff09\uff0c-\uff0f"
"""What stands between the digits of a telephone number; a card's have no brackets or slashes."""

LONGEST_GAP: Final = 5
"""Most characters that stand between two digits of one number."""

_NUMBER = re.compile(rf"\+?[0-9{IN_TELEPHONE_NUMBERS}]{{1,40}}")
_MASKED_LENGTH = 12
_FEWEST_DIGITS_SHOWN_IN_PART = 8


def visible(text: str, limit: int | None = None) -> str:
    """The text without what has no glyph or moves the others, cut to `limit` characters.

    Left out are controls, bidi and zero-width characters, line and paragraph separators,
    surrogates and ignorable marks.
    """
    if text.isascii() and text.isprintable():
        return text if limit is None else text[:limit]
    kept: list[str] = []
    for character in text:
        if limit is not None and len(kept) >= limit:
            break
        if unicodedata.category(character) not in _HIDDEN_CATEGORIES and not _IGNORABLE.match(
            character
        ):
            kept.append(character)
    return "".join(kept)


@dataclass(frozen=True, slots=True, repr=False)
class Untrusted:
    """Text from outside. It shows only its length, whoever prints it; `value` is the text."""

    value: str

    def printable(self, limit: int = 128) -> str:
        """The text without invisible characters, at most `limit` characters long."""
        return visible(self.value, limit)

    def quoted(self, limit: int = 128) -> str:
        """The printable text as one JSON string, so that it cannot end the place it stands in."""
        return json.dumps(self.printable(limit), ensure_ascii=False)

    def __repr__(self) -> str:
        return f"Untrusted(<{len(self.value)} characters>)"

    __str__ = __repr__

    def __format__(self, format_spec: str) -> str:
        return format(repr(self), format_spec)


def mask_number(text: str) -> str:
    """The number with at most its first two and last two digits; any other text wholly hidden.

    Fewer than eight digits are hidden too: four of seven would leave too little to guess.
    """
    digits = re.sub(r"[^0-9]", "", text)
    if not _NUMBER.fullmatch(text) or len(digits) < _FEWEST_DIGITS_SHOWN_IN_PART:
        return "*" * min(len(text), _MASKED_LENGTH)
    plus = "+" if text.startswith("+") else ""
    return f"{plus}{digits[:2]}{'*' * (len(digits) - 4)}{digits[-2:]}"
