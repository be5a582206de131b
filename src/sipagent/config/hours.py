"""One entry of `hours`: what its keys mean, and what is wrong with them."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from itertools import pairwise
from typing import Any, Final, NoReturn

from sipagent.config.findings import Complaint, Steps
from sipagent.config.words import closest, kind_of, quoted
from sipagent.routing.hours import (
    ALL_DAY,
    MINUTES,
    WEEKDAYS,
    Holidays,
    Hours,
    OverlapError,
    Period,
    Spans,
    UnknownCalendarError,
    calendar,
    spans_text,
)
from sipagent.routing.moment import zone

DidYouMean = Callable[[str, frozenset[str]], str | None]

_ALWAYS: Final = "24/7"
_CLOSED: Final = "closed"
_DAILY: Final = "daily"
_KEYS: Final = ("holidays", "closed", "open", "timezone")
_HOLIDAY_KEYS: Final = ("country", "hours", "dates")
_MOST_SPANS: Final = 24
_LONGEST_WORD: Final = 64

_SPAN: Final = re.compile(r"([0-9]{1,2}:[0-9]{2})\s*-\s*([0-9]{1,2}:[0-9]{2})", re.ASCII)
_DATE: Final = re.compile(r"(?:[0-9]{4}-)?[0-9]{2}-[0-9]{2}", re.ASCII)
_WORD: Final = re.compile(r"[a-z]+", re.ASCII)
_COUNTRY: Final = re.compile(r"[A-Z]{2}", re.ASCII)

_TIMES: Final = 'hours and minutes, as in "09:00-18:00"'
_DATES: Final = 'as in "2026-12-24", "12-24" for every year, or "2026-12-27..2027-01-01"'
_ABBREVIATED: Final = {day[:length]: day for day in WEEKDAYS for length in (2, 3)}
_ELSEWHERE: Final = {
    "weekdays": "write mon-fri",
    "weekend": "write sat-sun",
    "all": "write daily",
    "everyday": "write daily",
    "tz": "write timezone",
    "dates": "write `closed` or `open`, or `dates` under `holidays`",
}
"""Keys that people may try."""

_CLOCK: Final = r"([01]?[0-9]|2[0-3]):[0-5][0-9]"
_SPANS: Final = rf"\s*{_CLOCK}\s*-\s*({_CLOCK}|24:00)\s*"
_PERIOD: Final = rf"\s*{_DATE.pattern}(\s*\.\.\s*{_DATE.pattern})?\s*"
_RANGE: Final = r"\s*({0})(\s*-\s*({0}))?\s*".format("|".join(WEEKDAYS))
_DAY_KEY: Final = rf"{_DAILY}|{_RANGE}(,{_RANGE})*"


def _texts_schema(description: str, pattern: str, *words: str) -> dict[str, Any]:
    """Texts with commas, lists of them, and single words."""
    text = {"type": "string", "pattern": rf"^{pattern}(,{pattern})*$"}
    options = [text, {"type": "array", "items": text, "minItems": 1}]
    consts = [{"const": word} for word in words]
    return {"description": description, "anyOf": [*options, *consts]}


def _mapping_schema(keys: Mapping[str, Any], patterns: Mapping[str, Any]) -> dict[str, Any]:
    pattern_properties = {f"^({pattern})$": schema for pattern, schema in patterns.items()}
    shape = {"properties": dict(keys), "patternProperties": pattern_properties}
    return {"type": "object", "additionalProperties": False, **shape}


_COUNTRY_SCHEMA: Final = {
    "description": "The country, ISO 3166, whose public holidays count.",
    "type": "string",
    "pattern": f"^{_COUNTRY.pattern}$",
}
_HOLIDAY_SCHEMAS: Final = {
    "country": _COUNTRY_SCHEMA,
    "hours": _texts_schema("When it is open on holidays, never if left out.", _SPANS, _CLOSED),
    "dates": _texts_schema("Dates that count as holidays.", _PERIOD),
}
_SCHEMAS: Final = {
    "holidays": {
        "description": "When it is open on public holidays, never if only a country is named.",
        "anyOf": [_COUNTRY_SCHEMA, _mapping_schema(_HOLIDAY_SCHEMAS, {})],
    },
    "closed": _texts_schema("Dates without hours; a..b are all days from a to b.", _PERIOD),
    "open": {
        "description": "When it is open on single dates, whatever else is said of them.",
        **_mapping_schema({}, {_PERIOD: _texts_schema("When it is open then.", _SPANS)}),
    },
    "timezone": {
        "description": "The IANA time zone of these hours, the number's if left out.",
        "type": "string",
        "minLength": 1,
    },
}
_DAYS_SCHEMA: Final = _texts_schema("When it is open on these days.", _SPANS, _CLOSED)
HOURS_SCHEMA: Final[dict[str, Any]] = {
    "description": 'Opening hours by days and dates, or "24/7".',
    "anyOf": [{"const": _ALWAYS}, _mapping_schema(_SCHEMAS, {_DAY_KEY: _DAYS_SCHEMA})],
}
"""The JSON schema of an entry, for editors: it knows shapes, not what must fit together."""


class _WrongError(Exception):
    """A complaint on its way out of the value that it is about."""

    def __init__(self, complaint: Complaint) -> None:
        super().__init__(complaint.message)
        self.complaint = complaint


def _wrong(steps: Steps, message: str, hint: str | None, *, at_key: bool = False) -> NoReturn:
    raise _WrongError(Complaint(steps, message, hint, at_key))


def _did_you_mean(word: str, words: frozenset[str]) -> str | None:
    meant = closest(word, words)
    return None if meant is None else f"did you mean {quoted(meant)}?"


def compile_hours(
    data: Any, did_you_mean: DidYouMean = _did_you_mean
) -> Hours | tuple[Complaint, ...]:
    """The opening hours that an entry describes, or everything that is wrong with it, with steps
    from the entry on. `did_you_mean` gives the hint for an unknown word."""
    if data == _ALWAYS:
        return Hours((ALL_DAY,) * 7)
    if not isinstance(data, dict):
        message = f'must be a mapping of days or "24/7", not {kind_of(data)}'
        return (Complaint((), message, 'as in {mon-fri: "09:00-18:00"}'),)
    entry = _Entry(did_you_mean)
    entry.read(data)
    if entry.complaints:
        return tuple(entry.complaints)
    try:
        return entry.hours()
    except OverlapError as exc:
        return (Complaint(("open",), f"{exc} overlap with other times", "write each date once"),)


class _Entry:
    """An entry read key by key; what is wrong with one does not hide what is wrong with another."""

    def __init__(self, did_you_mean: DidYouMean) -> None:
        self.complaints: list[Complaint] = []
        self._did_you_mean = did_you_mean
        self._week: dict[str, Spans] = {}
        self._day_keys: dict[str, str] = {}
        self._opened: tuple[Period, ...] = ()
        self._closed: tuple[Period, ...] = ()
        self._holidays: Holidays | None = None
        self._timezone: str | None = None

    def hours(self) -> Hours:
        week = tuple(self._week.get(day, ()) for day in WEEKDAYS)
        return Hours(week, self._timezone, self._opened, self._closed, self._holidays)

    def read(self, data: Mapping[Any, Any]) -> None:
        for key, value in data.items():
            with self._collected():
                self._read(str(key), value)
        holiday_spans = self._holidays.spans if self._holidays else ()
        if not (self.complaints or self._day_keys or self._opened or holiday_spans):
            hint = 'write days, as in {mon-fri: "09:00-18:00"}, or daily: closed'
            self.complaints.append(Complaint((), "says of no day when it is open", hint))

    @contextmanager
    def _collected(self) -> Iterator[None]:
        try:
            yield
        except _WrongError as wrong:
            self.complaints.append(wrong.complaint)

    def _read(self, key: str, value: Any) -> None:
        match key:
            case "holidays":
                self._holidays = self._read_holidays(value)
            case "closed":
                self._closed = self._dates(value, (key,))
            case "open":
                self._opened = self._read_opened(value)
            case "timezone":
                self._timezone = _timezone(value)
            case _:
                self._read_days(key, value)

    def _read_days(self, key: str, value: Any) -> None:
        days = _days(key)
        if days is None:
            hint = _ELSEWHERE.get(key) or _meant_days(key)
            self._unknown((key,), hint, (*_KEYS, _DAILY), ("days such as mon-fri", *_KEYS))
        with self._collected():
            self._claim(days, key)
        self._week.update(dict.fromkeys(days, self._spans(value, (key,))))

    def _claim(self, days: tuple[str, ...], key: str) -> None:
        for day in days:
            other = self._day_keys.setdefault(day, key)
            if other != key or days.count(day) > 1:
                where = "twice in this key" if other == key else f"under {quoted(other)} already"
                _wrong((key,), f"{day} stands {where}", "a day has one key", at_key=True)

    def _unknown(
        self, steps: Steps, hint: str | None, words: tuple[str, ...], known: tuple[str, ...]
    ) -> NoReturn:
        hint = hint or self._did_you_mean(str(steps[-1]), frozenset(words))
        _wrong(steps, "unknown key", hint or "known here: " + ", ".join(known), at_key=True)

    def _read_holidays(self, value: Any) -> Holidays:
        steps: Steps = ("holidays",)
        if isinstance(value, str):
            return Holidays(_country(value, steps))
        if not isinstance(value, dict):
            _wrong(steps, f"must be a country or a mapping, not {kind_of(value)}", "as in US")
        country: str | None = None
        spans: Spans = ()
        dates: tuple[Period, ...] = ()
        for key, inner in value.items():
            with self._collected():
                match key:
                    case "country":
                        country = _country(inner, (*steps, key))
                    case "hours":
                        spans = self._spans(inner, (*steps, key))
                    case "dates":
                        dates = self._dates(inner, (*steps, key))
                    case _:
                        self._unknown((*steps, str(key)), None, _HOLIDAY_KEYS, _HOLIDAY_KEYS)
        if not value.keys() & {"country", "dates"}:
            _wrong(steps, "has neither a country nor dates", "as in {country: US}")
        return Holidays(country, spans, tuple(replace(days, spans=spans) for days in dates))

    def _read_opened(self, value: Any) -> tuple[Period, ...]:
        steps: Steps = ("open",)
        if not isinstance(value, dict):
            message = f"must be a mapping from dates to times, not {kind_of(value)}"
            _wrong(steps, message, 'as in {"2026-12-23": "10:00-12:00"}')
        periods = []
        for key, times in value.items():
            at = (*steps, str(key))
            with self._collected():
                first, last = _period(str(key), at, at_key=True)
                spans = self._spans(times, at)
                if times == _CLOSED:
                    _wrong(at, "must be times, not closed", "closed dates stand under `closed`")
                periods.append(Period(first, last, spans))
        return tuple(periods)

    def _dates(self, value: Any, steps: Steps) -> tuple[Period, ...]:
        periods = []
        for at, text in self._texts(value, steps, "a date or a list of dates", _DATES):
            with self._collected():
                periods.append(Period(*_period(text, at)))
        return tuple(periods)

    def _spans(self, value: Any, steps: Steps) -> Spans:
        """The spans of one day in their order; of a wrong one there is a complaint."""
        if value == _CLOSED:
            return ()
        spans = []
        for at, text in self._texts(value, steps, "times or closed", _TIMES):
            with self._collected():
                spans.append(_span(text, at))
        spans.sort()
        for one, other in pairwise(spans):
            if other[0] < one[1]:
                message = f"{spans_text((one,))} and {spans_text((other,))} overlap"
                _wrong(steps, message, None)
        if len(spans) > _MOST_SPANS:
            _wrong(steps, f"must have at most {_MOST_SPANS} items", None)
        return tuple(spans)

    def _texts(
        self, value: Any, steps: Steps, shape: str, hint: str
    ) -> Iterator[tuple[Steps, str]]:
        """The parts of a text between commas, or of all texts of a list."""
        items = [(steps, value)]
        if isinstance(value, list) and value:
            items = [((*steps, index), item) for index, item in enumerate(value)]
        elif not isinstance(value, str):
            found = "an empty list" if value == [] else kind_of(value)
            off = not value and _CLOSED in shape
            _wrong(steps, f"must be {shape}, not {found}", "write closed" if off else hint)
        for at, item in items:
            if isinstance(item, str):
                yield from ((at, part.strip()) for part in item.split(","))
            else:
                self.complaints.append(Complaint(at, f"must be text, not {kind_of(item)}", hint))


def _days(key: str) -> tuple[str, ...] | None:
    """The days that a key names, None if it is no key for days."""
    if key == _DAILY:
        return WEEKDAYS
    days: list[str] = []
    for part in key.split(","):
        first, dash, last = (word.strip() for word in part.partition("-"))
        if first not in WEEKDAYS or (dash and last not in WEEKDAYS):
            return None
        begin = WEEKDAYS.index(first)
        count = (WEEKDAYS.index(last or first) - begin) % 7 + 1
        if dash and count == 1:
            hint = f"write {first}, or {_DAILY} for all days"
            _wrong((key,), f"begins and ends with {first}", hint, at_key=True)
        days += (WEEKDAYS * 2)[begin : begin + count]
    return tuple(days)


def _meant_days(key: str) -> str | None:
    """A hint for a key of days that are not abbreviated as here: `Monday`, `Mo-Fr`."""
    if len(key) > _LONGEST_WORD:
        return None
    meant = _WORD.sub(lambda word: _ABBREVIATED.get(word[0][:3], word[0]), key.lower())
    return f"did you mean {quoted(meant)}?" if _days(meant) else None


def _span(text: str, steps: Steps) -> tuple[int, int]:
    written = _SPAN.fullmatch(text)
    if written is None:
        hint = "closed stands alone" if text == _CLOSED else _TIMES
        _wrong(steps, f"must be times, not {quoted(text)}", hint)
    begin, end = (_minute(clock, steps) for clock in written.groups())
    if begin == MINUTES:
        _wrong(steps, "nothing begins at 24:00", "the beginning of a day is 00:00")
    if begin == end:
        message = f"{quoted(text)} begins and ends at the same time"
        _wrong(steps, message, "a whole day is 00:00-24:00")
    return begin, end if end > begin else end + MINUTES


def _minute(clock: str, steps: Steps) -> int:
    hour, minute = map(int, clock.split(":"))
    if minute > 59 or hour * 60 + minute > MINUTES:
        hint = 'an end after midnight is written as clocks show it, as in "18:00-02:00"'
        _wrong(steps, f"{clock} is no time of day", hint if hour >= 24 else None)
    return hour * 60 + minute


def _period(text: str, steps: Steps, *, at_key: bool = False) -> tuple[str, str]:
    first, dots, last = (day.strip() for day in text.partition(".."))
    last = last if dots else first
    for day in (first, last):
        if not _DATE.fullmatch(day):
            _wrong(steps, f"{quoted(day)} is no date", _DATES, at_key=at_key)
        if not _exists(day):
            _wrong(steps, f"there is no day {day}", None, at_key=at_key)
        if len(day) > len("12-24") and not day.startswith("20"):
            _wrong(steps, f"{day} is not between 2000 and 2099", None, at_key=at_key)
    if len(first) != len(last):
        _wrong(steps, "one end has a year and the other has none", _DATES, at_key=at_key)
    if first > last and len(first) == len("2026-12-24"):
        _wrong(steps, f"{last} is before {first}", None, at_key=at_key)
    return first, last


def _exists(day: str) -> bool:
    """Whether there is such a day, in a leap year if none is named."""
    try:
        date.fromisoformat(day if len(day) > len("12-24") else f"2000-{day}")
    except ValueError:
        return False
    return True


def _country(value: Any, steps: Steps) -> str:
    if not isinstance(value, str) or not _COUNTRY.fullmatch(value):
        found = quoted(value) if isinstance(value, str) else kind_of(value)
        _wrong(steps, f"must be a country's two capital letters, not {found}", "as in US, GB or DE")
    try:
        calendar(value)
    except UnknownCalendarError:
        hint = "list them under `dates` of `holidays`, without a country"
        hint = "the United Kingdom is GB" if value == "UK" else hint
        _wrong(steps, f"the public holidays of {value} are not known", hint)
    return value


def _timezone(value: Any) -> str:
    steps: Steps = ("timezone",)
    if not isinstance(value, str):
        _wrong(steps, f"must be text, not {kind_of(value)}", "as in Europe/Berlin")
    if not _is_zone(value):
        _wrong(steps, f"there is no time zone {quoted(value)}", "as in Europe/Berlin")
    return value


def _is_zone(name: str) -> bool:
    try:
        return 0 < len(name) <= _LONGEST_WORD and zone(name) is not None
    # Where zones are files, the name of a folder is an OSError.
    except (KeyError, ValueError, OSError):
        return False
