"""What the models of the file share: strict closed mappings, words, and one branch per shape."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Discriminator, Field, StringConstraints, Tag

NAME_PATTERN: Final = r"^[a-z][a-z0-9_-]{0,62}$"
REFERENCE_PATTERN: Final = r"^(?:[a-z][a-z0-9_-]{0,62}/)?[a-z][a-z0-9_-]{0,62}$"
REGION_PATTERN: Final = r"^[A-Z]{2}$"
NOT_BLANK_PATTERN: Final = r"\S"
LANGUAGE_PATTERN: Final = r"^[a-z]{2}(?:-[A-Z]{2})?$"
SPOKEN_PATTERN: Final = r"^[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,3}$"
DURATION_PATTERN: Final = r"^[1-9][0-9]{0,5}(?:ms|s|m|h)$"
RATE_PATTERN: Final = r"^[1-9][0-9]{0,5}/[1-9][0-9]{0,3}(?:s|m|h)$"
SHARE_PATTERN: Final = r"^(?:100|[0-9]{1,2}(?:\.[0-9]{1,2})?)%$"
DAYS_PATTERN: Final = r"^[1-9][0-9]{0,4}d$"
MONEY_PATTERN: Final = r"^[0-9]{1,9}(?:\.[0-9]{1,2})? [A-Z]{3}$"
AMOUNT_PATTERN: Final = r"^[0-9]{1,7}(?:\.[0-9]{1,12})?$"
HOST_PATTERN: Final = r"^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$"
VARIABLE_PATTERN: Final = r"^[a-z][a-z0-9_]{0,62}$"

TEXT: Final = "<text>"
NUMBER: Final = "<number>"
MAPPING: Final = "<mapping>"
LIST: Final = "<list>"
NOTHING: Final = "<nothing>"
FILE: Final = "<file>"
LANGUAGES: Final = "<languages>"

SHAPE_ERROR: Final = "sipagent_shape"

ABSENT: Final[Any] = None
"""The default of a key that was not written, never sent: what was written is in `written`."""

T = TypeVar("T")


def given(value: T) -> T | None:
    """The value of a key that may not have been written: None then, which its type does not say."""
    return value


Word = Annotated[str, StringConstraints(pattern=NOT_BLANK_PATTERN)]
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
Reference = Annotated[str, StringConstraints(pattern=REFERENCE_PATTERN)]
"""A name, or `namespace/name`."""

LanguageTag = Annotated[str, StringConstraints(pattern=LANGUAGE_PATTERN)]
Region = Annotated[str, StringConstraints(pattern=REGION_PATTERN)]
Duration = Annotated[str, StringConstraints(pattern=DURATION_PATTERN)]
RateText = Annotated[str, StringConstraints(pattern=RATE_PATTERN)]
Share = Annotated[str, StringConstraints(pattern=SHARE_PATTERN)]
Days = Annotated[str, StringConstraints(pattern=DAYS_PATTERN)]
Money = Annotated[str, StringConstraints(pattern=MONEY_PATTERN)]
Host = Annotated[str, StringConstraints(pattern=HOST_PATTERN)]
VariableName = Annotated[str, StringConstraints(pattern=VARIABLE_PATTERN)]


REFERRED_PATTERN: Final = r"^\$\{[A-Za-z_][A-Za-z0-9_]*(?::-[^}]*)?\}$"


@dataclass(frozen=True, slots=True)
class Expandable:
    """Marks fields in which `${NAME}` and `${NAME:-text}` are read from the environment; a
    `secret` is not read before it is needed."""

    secret: bool = False


@dataclass(frozen=True, slots=True)
class Hidden:
    """Marks fields where a secret belongs: whatever stands there or below, no finding quotes it."""


ExpandableWord = Annotated[Word, Expandable()]
SecretWord = Annotated[str, StringConstraints(pattern=REFERRED_PATTERN), Expandable(secret=True)]

_LANGUAGE: Final = re.compile(LANGUAGE_PATTERN)
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION_PARTS: Final = re.compile(r"([0-9]+)(ms|s|m|h)")


def seconds(duration: str) -> float:
    """Seconds of a duration such as `500ms`, `20s`, `30m` or `1h`."""
    match = _DURATION_PARTS.fullmatch(duration)
    assert match is not None
    return int(match[1]) * _UNITS[match[2]]


CURRENCY: Final = "USD"
NOT_DOLLARS: Final = f"money is counted in {CURRENCY} only"
CONVERT: Final = f"the provider bills in {CURRENCY}: convert it, as in 40 {CURRENCY}"
_MICROS: Final = 1_000_000


def micros(money: str) -> int | None:
    """Micro-dollars of a sum such as `4000 USD`; None in another currency."""
    amount, _, currency = money.partition(" ")
    return int(Decimal(amount) * _MICROS) if currency == CURRENCY else None


def shape_of(value: Any) -> str | None:
    match value:
        case None:
            return NOTHING
        case str():
            return TEXT
        case int() if not isinstance(value, bool):
            return NUMBER
        case dict():
            return MAPPING
        case list():
            return LIST
        case _:
            return None


def prose_of(value: Any) -> str | None:
    """Text, `{file: ...}`, or a mapping whose keys are all languages."""
    if isinstance(value, dict):
        return LANGUAGES if is_by_language(value) else FILE
    return shape_of(value)


def is_by_language(value: dict[Any, Any]) -> bool:
    """Whether a mapping has a text for each language, `{en: ..., es: ...}`."""
    return bool(value) and all(isinstance(key, str) and _LANGUAGE.match(key) for key in value)


def shaped(message: str, branch_of: Callable[[Any], str | None] = shape_of) -> Discriminator:
    """One branch for each shape, so that a mistake is never told once for each branch."""
    return Discriminator(branch_of, custom_error_type=SHAPE_ERROR, custom_error_message=message)


class Entry(BaseModel):
    """A mapping of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    def written(self) -> dict[str, Any]:
        """The keys that stand in the file, each with its value; null is a value."""
        fields = type(self).model_fields
        return {key: getattr(self, key) for key in fields if key in self.model_fields_set}


class TextFile(Entry):
    file: ExpandableWord = Field(
        description="A UTF-8 text file, its path relative to the folder of this file."
    )


TextOrFile = Annotated[
    Annotated[Word, Tag(TEXT)] | Annotated[TextFile, Tag(FILE)],
    shaped("text or {file: path}", prose_of),
]

Prose = Annotated[
    Annotated[Word, Tag(TEXT)]
    | Annotated[TextFile, Tag(FILE)]
    | Annotated[dict[LanguageTag, TextOrFile], Tag(LANGUAGES)],
    shaped("text or {file: path}", prose_of),
]
"""Text, a file with it, or one of both for each language. A template."""
