"""Plain scalars by the core schema of YAML 1.2 (section 10.3.2).

PyYAML reads YAML 1.1, where `NO` is false, `0123` is 83, `18:00` is 1080 and `1_000` is 1000. Here
the first, the third and the fourth are text and the second is 123.
"""

import math
import re
from typing import Final

Value = str | int | float | bool | None

_INT: Final = re.compile(r"[-+]?[0-9]+", re.ASCII)
_BASED: Final = {
    8: re.compile(r"0o[0-7]+", re.ASCII),
    16: re.compile(r"0x[0-9a-fA-F]+", re.ASCII),
}
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_NOT_FINITE: Final = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", re.ASCII)
_WORDS: Final[dict[str, bool | None]] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_LONGEST_NUMBER: Final = 64
_LARGEST_EXACT: Final = 2**53
_NUMBER_STARTS: Final = frozenset("0123456789+-.")


class NotANumberError(ValueError):
    """A scalar that YAML reads as a number and JSON cannot carry exactly."""


def core_value(text: str) -> Value:
    """What a plain (unquoted) scalar means. Raises NotANumberError."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMBER_STARTS:
        return text
    if _NOT_FINITE.fullmatch(text):
        raise NotANumberError
    value = _number(text)
    if value is None:
        return text
    if abs(value) > _LARGEST_EXACT or not math.isfinite(value):
        raise NotANumberError
    return value


def _number(text: str) -> int | float | None:
    if len(text) > _LONGEST_NUMBER:
        if _FLOAT.fullmatch(text):
            raise NotANumberError
        return None
    if _INT.fullmatch(text):
        return int(text)
    for base, pattern in _BASED.items():
        if pattern.fullmatch(text):
            return int(text[2:], base)
    return float(text) if _FLOAT.fullmatch(text) else None
