"""The kinds of values in templates: what each variable is, and what filters take and give."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Flag, auto
from typing import Final


class Kind(Flag):
    """What an expression may be; several of them where it depends on the call."""

    NOTHING = auto()
    TEXT = auto()
    OUTSIDE = auto()
    """Text of a caller or a header."""
    NUMBER = auto()
    TRUTH = auto()
    TIME = auto()
    TEXTS = auto()
    NUMBERS = auto()
    CALLER = auto()
    DIRECTORY = auto()
    ENTRY = auto()
    """One set of opening hours."""
    LOOP = auto()
    VARS = auto()
    HOURS = auto()
    HEADERS = auto()


NOTHING, TEXT, OUTSIDE, NUMBER = Kind.NOTHING, Kind.TEXT, Kind.OUTSIDE, Kind.NUMBER
TRUTH, TIME, TEXTS, NUMBERS = Kind.TRUTH, Kind.TIME, Kind.TEXTS, Kind.NUMBERS

PRINTABLE: Final = NOTHING | TEXT | OUTSIDE | NUMBER | TRUTH | TIME
LISTS: Final = TEXTS | NUMBERS
MAPPINGS: Final = Kind.VARS | Kind.HOURS | Kind.HEADERS
ALWAYS_TRUE: Final = Kind.CALLER | Kind.DIRECTORY | Kind.ENTRY | Kind.LOOP

ROOTS: Final[Mapping[str, Kind]] = {
    "agent": TEXT,
    "caller": Kind.CALLER,
    "dialed": TEXT | OUTSIDE | NOTHING,
    "headers": Kind.HEADERS,
    "hours": Kind.HOURS,
    "language": TEXT | NOTHING,
    "now": TIME,
    "number": Kind.DIRECTORY,
    "tenant": TEXT,
    "vars": Kind.VARS,
}

MEMBERS: Final[Mapping[Kind, Kind]] = {
    Kind.VARS: TEXT,
    Kind.HOURS: Kind.ENTRY,
    Kind.HEADERS: OUTSIDE | NOTHING,
}
MEMBER_NAMES: Final[Mapping[Kind, Kind]] = {
    Kind.VARS: TEXT,
    Kind.HOURS: TEXT,
    Kind.HEADERS: OUTSIDE,
}
MAPPING_NAMES: Final[Mapping[Kind, str]] = {
    Kind.VARS: "vars",
    Kind.HOURS: "hours",
    Kind.HEADERS: "headers",
}

ATTRIBUTES: Final[Mapping[Kind, Mapping[str, Kind]]] = {
    Kind.CALLER: {
        "e164": OUTSIDE | NOTHING,
        "name": OUTSIDE | NOTHING,
        "anonymous": TRUTH,
        "attestation": TEXT | NOTHING,
    },
    Kind.DIRECTORY: dict.fromkeys(("e164", "timezone", "hours", "language"), TEXT | NOTHING),
    Kind.ENTRY: {"open": TRUTH, "opens": TIME | NOTHING, "closes": TIME | NOTHING},
    Kind.LOOP: {"first": TRUTH, "last": TRUTH, "index": NUMBER},
    TIME: dict.fromkeys(("year", "month", "day", "hour", "minute", "second"), NUMBER),
}

METHODS: Final[Mapping[str, Kind]] = {
    "weekday": NUMBER,
    "isoweekday": NUMBER,
    "isoformat": TEXT,
    "strftime": TEXT,
}
"""What a time can be asked for."""

SAMPLE_CALLER: Final = "+12025550123"
"""Who calls where a text is rendered before any call came; nobody has the number."""

_STYLE: Final = re.compile(r"(?:[^%]|%-?[aAbBdeHIjlmMpuyYZz%])*", re.DOTALL)
_LONGEST_STYLE: Final = 100


def is_time_style(text: str) -> bool:
    """Whether the text may be given to strftime: short, and of directives that are everywhere."""
    return len(text) <= _LONGEST_STYLE and _STYLE.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter takes values of `takes`, then `fewest` up to all of `arguments`.

    It gives what it was given, where `gives` is None, else `gives` or, from nothing, nothing.
    """

    takes: Kind
    gives: Kind | None = None
    arguments: tuple[Kind, ...] = ()
    fewest: int = 0
    style: bool = False


_SHAPED: Final = Filter(TEXT | OUTSIDE | NOTHING)
_END: Final = Filter(TEXT | LISTS, TEXT | NUMBER)
_DEFAULT: Final = Filter(PRINTABLE, arguments=(PRINTABLE, TRUTH), fewest=1)

FILTERS: Final[Mapping[str, Filter]] = {
    "capitalize": _SHAPED,
    "d": _DEFAULT,
    "date": Filter(TIME | NOTHING, TEXT, (TEXT,), style=True),
    "default": _DEFAULT,
    "first": _END,
    "int": Filter(TEXT | NUMBER | NOTHING, NUMBER, (NUMBER,)),
    "join": Filter(LISTS, TEXT, (TEXT,)),
    "last": _END,
    "length": Filter(TEXT | LISTS | MAPPINGS, NUMBER),
    "lower": _SHAPED,
    "phone": _SHAPED,
    "replace": Filter(TEXT | NOTHING, TEXT, (TEXT, TEXT), fewest=2),
    "round": Filter(NUMBER, NUMBER, (NUMBER,)),
    "time": Filter(TIME | NOTHING, TEXT, (TEXT,), style=True),
    "title": _SHAPED,
    "trim": _SHAPED,
    "upper": _SHAPED,
    "when": Filter(TIME | NOTHING, TEXT),
}

TESTS: Final = frozenset({"defined", "undefined", "none"})

_NOUNS: Final[Mapping[Kind, str]] = {
    NOTHING: "nothing",
    TEXT: "a text",
    OUTSIDE: "a text from the caller",
    NUMBER: "a number",
    TRUTH: "true or false",
    TIME: "a time",
    TEXTS: "a list",
    NUMBERS: "a list",
    Kind.ENTRY: "opening hours",
}


def nouns(kind: Kind) -> str:
    """A kind in words: `a text or nothing`."""
    words = [noun for single, noun in _NOUNS.items() if single in kind]
    return " or ".join(reversed(dict.fromkeys(words))) or "a group of values"
