"""What a template is rendered with: the values of a call, and how each is printed.

This module imports jinja2; only compiling the first template imports this module.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from jinja2 import StrictUndefined, Undefined
from jinja2.runtime import Context

from sipagent.errors import TemplateError
from sipagent.model.facts import CallerFacts, CallFacts, HoursNow
from sipagent.sip import Attestation, Untrusted, is_e164

MAX_WORK: Final = 256 * 1024
"""Characters that expressions may make, and parts of loops that may be passed, in one render."""

_WORK: Final = "#work"
NOW: Final = "#now"

DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
_NOON: Final = 12


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

    __slots__ = ("_total", "_values", "name")

    def __init__(self, name: str, values: Mapping[str, Any], *, total: bool = True) -> None:
        self.name = name
        self._values = values
        self._total = total

    def __getitem__(self, name: str | None) -> Any:
        if name is None:
            return StrictUndefined(name=f"{self.name}[number.hours]")
        if name in self._values:
            return self._values[name]
        return StrictUndefined(name=f"{self.name}.{name}") if self._total else None

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
    """`hours.NAME`: each part is looked up when it is first read, in the zone of the call."""

    __slots__ = ("_found", "_now")

    def __init__(self, now: HoursNow) -> None:
        self._now = now
        self._found: dict[str, datetime | None] = {}

    @property
    def open(self) -> bool:
        return self._now.open

    @property
    def opens(self) -> datetime | None:
        return self._time("opens")

    @property
    def closes(self) -> datetime | None:
        return self._time("closes")

    def _time(self, part: str) -> datetime | None:
        if part not in self._found:
            time = self._now.opens if part == "opens" else self._now.closes
            self._found[part] = None if time is None else time.astimezone(self._now.at.tzinfo)
        return self._found[part]


def _outside(text: Untrusted | None) -> Outside | None:
    return None if text is None else Outside(text.value)


def _level(attestation: Attestation | None) -> str | None:
    if attestation is None or attestation.verdict != "passed":
        return None
    return attestation.level


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
    values[NOW] = facts.now
    return values


def spend(context: Context, amount: int) -> None:
    """Counts work of a render. Raises TemplateError when it becomes too much."""
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
            return f"{date(value)}, {clock(value)}"
    raise TemplateError("only texts, numbers and times can be printed")


def clock(time: datetime) -> str:
    """`9:00 am`"""
    half = "am" if time.hour < _NOON else "pm"
    return f"{time.hour % _NOON or _NOON}:{time.minute:02} {half}"


def date(time: datetime) -> str:
    """`Friday, November 20, 2026`"""
    return f"{DAYS[time.weekday()]}, {_MONTHS[time.month - 1]} {time.day}, {time.year}"
