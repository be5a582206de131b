"""What a template is rendered with: the values of a call, the filters and how each is printed.

This module imports jinja2; only compiling the first template imports this module.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import phonenumbers
from jinja2 import StrictUndefined, Undefined, pass_context
from jinja2.filters import do_title
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from sipagent.errors import TemplateError
from sipagent.model.facts import CallerFacts, CallFacts, HoursNow
from sipagent.sip import Attestation, Untrusted, is_e164

MAX_WORK: Final = 256 * 1024
"""Characters that expressions may make, and parts of loops that may be passed, in one render."""

CONCAT: Final = "~"
PAIRS: Final = "for pairs"
NAMES: Final = "for names"

_WORK: Final = "#work"
_NOW: Final = "#now"

_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
_NOON: Final = 12
_WEEK: Final = 7
_INTERNATIONAL: Final = re.compile(r"\+[0-9 ().-]{6,30}", re.ASCII)


class Outside:
    """Text from outside. It can be printed, as a JSON string, tested and compared; it cannot
    become part of another text."""

    __slots__ = ("_text",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, text: str) -> None:
        self._text = Untrusted(text).printable()

    def changed(self, change: Callable[[str], str]) -> "Outside":
        return Outside(change(self._text))

    def quoted(self) -> str:
        return Untrusted(self._text).quoted()

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Outside):
            return self._text == other._text
        return isinstance(other, str) and self._text == other

    def __str__(self) -> str:
        raise TemplateError("a text from outside can be printed and not be built into another")

    def __repr__(self) -> str:
        return "<a text from outside>"

    def __format__(self, format_spec: str) -> str:
        return str(self)


class Named:
    """`vars`, `hours` or `headers`: values by name, and nothing else to be called or read.

    Where `total`, a name without a value is undefined; else it is None.
    """

    __slots__ = ("_name", "_total", "_values")

    def __init__(self, name: str, values: Mapping[str, Any], *, total: bool = True) -> None:
        self._name = name
        self._values = values
        self._total = total

    def __getitem__(self, name: str | None) -> Any:
        if name is None:
            return StrictUndefined(name=f"{self._name}[number.hours]")
        if name in self._values:
            return self._values[name]
        return StrictUndefined(name=f"{self._name}.{name}") if self._total else None

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[tuple[str | Outside, Any]]:
        return iter(self._values.items())


class Caller:
    """`caller`. An attestation that did not pass is none."""

    __slots__ = ("anonymous", "attestation", "e164", "name")

    def __init__(self, facts: CallerFacts) -> None:
        self.anonymous = facts.anonymous
        self.e164 = _outside(facts.e164)
        self.name = _outside(facts.name)
        self.attestation = _level(facts.attestation)


class Entry:
    """`hours.NAME`: each part is looked up when it is read, in the zone of the call's `now`."""

    __slots__ = ("_now",)

    def __init__(self, now: HoursNow) -> None:
        self._now = now

    @property
    def open(self) -> bool:
        return self._now.open

    @property
    def opens(self) -> datetime | None:
        return self._local(self._now.opens)

    @property
    def closes(self) -> datetime | None:
        return self._local(self._now.closes)

    def _local(self, time: datetime | None) -> datetime | None:
        return None if time is None else time.astimezone(self._now.at.tzinfo)


def _outside(text: Untrusted | None) -> Outside | None:
    return None if text is None else Outside(text.value)


def _level(attestation: Attestation | None) -> str | None:
    passed = attestation is not None and attestation.verdict == "passed"
    return attestation.level if attestation is not None and passed else None


def _dialed(text: str | None) -> str | Outside | None:
    return text if text is None or is_e164(text) else Outside(text)


def _hours(facts: CallFacts) -> Named:
    return Named("hours", {name: Entry(now) for name, now in facts.hours.items()})


def _headers(facts: CallFacts) -> Named:
    values = {name.lower(): Outside(value.value) for name, value in facts.headers.items()}
    return Named("headers", values, total=False)


_ROOTS: Final[Mapping[str, Callable[[CallFacts], Any]]] = {
    "agent": lambda facts: facts.agent,
    "caller": lambda facts: Caller(facts.caller),
    "dialed": lambda facts: _dialed(facts.dialed),
    "headers": _headers,
    "hours": _hours,
    "language": lambda facts: facts.language,
    "now": lambda facts: facts.now,
    "number": lambda facts: facts.number,
    "tenant": lambda facts: facts.tenant,
    "vars": lambda facts: Named("vars", facts.vars),
}


class _Work:
    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MAX_WORK


def values_of(facts: CallFacts, roots: Iterable[str]) -> dict[str, Any]:
    """What a template that reads these variables is rendered with."""
    values = {root: _ROOTS[root](facts) for root in roots}
    values[_WORK] = _Work()
    values[_NOW] = facts.now
    return values


def _spend(context: Context, amount: int) -> None:
    work = context.parent[_WORK]
    work.left -= amount
    if work.left < 0:
        raise TemplateError("the template does more than a text should need")


def printed(value: Any) -> str:
    """How a value stands in the text. Raises TemplateError for what cannot be printed."""
    match value:
        case Undefined() | str():
            return str(value)
        case Outside():
            return value.quoted()
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case int() | float():
            return str(value)
        case datetime():
            return f"{_date(value)}, {_clock(value)}"
    raise TemplateError("only texts, numbers and times can be printed")


def _plain(value: Any) -> str:
    if isinstance(value, str | int | float | Undefined):
        return str(value)
    if value is None:
        return ""
    raise TemplateError("a text from outside, a list or a time cannot be built into a text")


def _shaped(change: Callable[[str], str]) -> Callable[[Context, Any], Any]:
    """A filter that changes how a text looks; text from outside stays what it is."""

    @pass_context
    def shape(context: Context, value: Any) -> Any:
        if value is None:
            return None
        if isinstance(value, Outside):
            return value.changed(change)
        text = _plain(value)
        _spend(context, len(text))
        return change(text)

    return shape


def _phone(text: str) -> str:
    """An international number in groups, any other text as it is."""
    if not _INTERNATIONAL.fullmatch(text):
        return text
    try:
        number = phonenumbers.parse(text, None)
    except phonenumbers.NumberParseException:
        return text
    style = phonenumbers.PhoneNumberFormat.INTERNATIONAL
    return phonenumbers.format_number(number, style).replace("-", " ")


@lru_cache(maxsize=2048)
def _known_phone(text: str) -> str:
    return _phone(text)


@pass_context
def _spelled(context: Context, value: Any) -> Any:
    # The numbers of callers are not remembered.
    shape = _phone if isinstance(value, Outside) else _known_phone
    return _shaped(shape)(context, value)


@pass_context
def _concat(context: Context, values: list[Any]) -> str:
    return _join(context, values)


@pass_context
def _join(context: Context, values: list[Any], between: str = "") -> str:
    parts = [_plain(value) for value in values]
    _spend(context, sum(map(len, parts)) + len(_plain(between)) * len(parts))
    return between.join(parts)


@pass_context
def _replace(context: Context, value: Any, old: str, new: str) -> str | None:
    if value is None:
        return None
    text, old, new = _plain(value), _plain(old), _plain(new)
    _spend(context, len(text) + text.count(old) * len(new))
    return text.replace(old, new)


def _default(value: Any, instead: Any = "", boolean: bool = False) -> Any:
    absent = value is None or isinstance(value, Undefined)
    return instead if absent or (boolean and not value) else value


def _first(values: Any) -> Any:
    return _sequence(values)[0] if len(values) else ""


def _last(values: Any) -> Any:
    return _sequence(values)[-1] if len(values) else ""


def _sequence(values: Any) -> Any:
    if isinstance(values, str | list | tuple):
        return values
    raise TemplateError("only a text or a list has a first and a last")


def _int(value: Any, instead: int = 0) -> int:
    if isinstance(value, Outside):
        raise TemplateError("a text from outside cannot be read as a number")
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return instead


def _round(value: float, precision: int = 0) -> int | float:
    return round(value, precision) if precision > 0 else round(value)


def _clock(time: datetime) -> str:
    half = "am" if time.hour < _NOON else "pm"
    return f"{time.hour % _NOON or _NOON}:{time.minute:02} {half}"


def _date(time: datetime) -> str:
    return f"{_DAYS[time.weekday()]}, {_MONTHS[time.month - 1]} {time.day}, {time.year}"


def _when(now: datetime, time: datetime) -> str:
    days = (time.date() - now.date()).days
    if abs(time - now) < timedelta(minutes=1):
        return "now"
    if days == 1 and time.hour == time.minute == 0:
        return "tonight at midnight"
    if days in {0, 1}:
        return f"{('today', 'tomorrow')[days]} at {_clock(time)}"
    if 0 < days < _WEEK:
        return f"{_DAYS[time.weekday()]} at {_clock(time)}"
    day = _date(time)
    if time.year == now.year:
        day = day.removesuffix(f", {time.year}")
    return f"{day}, at {_clock(time)}"


@pass_context
def _relative(context: Context, value: datetime | None) -> str | None:
    return None if value is None else _when(context.parent[_NOW], value)


def _formatted(otherwise: Callable[[datetime], str]) -> Callable[..., str | None]:
    def shape(value: datetime | None, style: str | None = None) -> str | None:
        if value is None:
            return None
        return otherwise(value) if style is None else value.strftime(style)

    return shape


@pass_context
def _pairs(context: Context, values: Named, parts: int) -> list[tuple[Any, Any]]:
    _spend(context, len(values) * parts)
    return [(_shown_name(values, name), value) for name, value in values]


@pass_context
def _names(context: Context, values: Named, parts: int) -> list[Any]:
    return [name for name, _ in _pairs(context, values, parts)]


def _shown_name(values: Named, name: str | Outside) -> str | Outside:
    # Which headers are exposed may be a pattern, and then their names are the caller's too.
    return Outside(name) if values._name == "headers" and isinstance(name, str) else name


def _is_defined(value: Any) -> bool:
    return not (value is None or isinstance(value, Undefined))


def environment() -> ImmutableSandboxedEnvironment:
    """Jinja with the filters and tests of this module, without loader, globals or extensions."""
    made = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined,
        finalize=printed,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        cache_size=0,
    )
    made.globals.clear()
    made.filters = {
        "default": _default,
        "d": _default,
        "replace": _replace,
        "join": _join,
        "upper": _shaped(str.upper),
        "lower": _shaped(str.lower),
        "title": _shaped(do_title),
        "capitalize": _shaped(str.capitalize),
        "trim": _shaped(str.strip),
        "length": len,
        "first": _first,
        "last": _last,
        "int": _int,
        "round": _round,
        "when": _relative,
        "time": _formatted(_clock),
        "date": _formatted(_date),
        "phone": _spelled,
        CONCAT: _concat,
        PAIRS: _pairs,
        NAMES: _names,
    }
    made.tests = {
        "defined": _is_defined,
        "undefined": lambda value: not _is_defined(value),
        "none": lambda value: value is None,
    }
    return made
