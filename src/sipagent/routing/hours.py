"""Opening hours: a week, public holidays and single dates, read off the clock on the wall.

A *span* is a pair of minutes after midnight of the day on which it begins; one that ends the next
day ends after minute 1440. Of one day the first of these that names it decides: `opened`, `closed`,
the dates of the holidays, the country's calendar, the week.

The opening_hours library knows the calendars. Its own evaluation is not used: there a rule for a
date also cuts the span that began the evening before, and of an hour that clocks repeat it names
only the second.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from sipagent.routing.moment import zone

if TYPE_CHECKING:
    from opening_hours import OpeningHours

Spans = tuple[tuple[int, int], ...]
"""In the order of time, none over another."""

MINUTES: Final = 24 * 60
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
ALL_DAY: Final[Spans] = ((0, MINUTES),)
HORIZON: Final = timedelta(days=400)
"""How far the next opening and closing are looked for."""

_DAY: Final = timedelta(days=1)
_SECOND: Final = timedelta(seconds=1)
_NOON: Final = time(12)
_YEAR_PART: Final = len("2026-")


class UnknownCalendarError(ValueError):
    """A country whose public holidays are not known."""


class OverlapError(ValueError):
    """Two periods of one kind that want different spans for one day."""


@dataclass(frozen=True, slots=True)
class Period:
    """Days from `first` to `last`, both included: `2026-12-24`, or `12-24` for every year, when
    the last may come before the first and is then of the next year. On each of them these spans
    are all; none is closed."""

    first: str
    last: str
    spans: Spans = ()

    @property
    def yearly(self) -> bool:
        return len(self.first) == len("12-24")

    def pieces(self) -> tuple["Period", ...]:
        """The same days in periods that do not go over New Year, where every year has them."""
        if self.first <= self.last:
            return (self,)
        return Period(self.first, "12-31", self.spans), Period("01-01", self.last, self.spans)

    @property
    def days(self) -> str:
        return self.first if self.first == self.last else f"{self.first}..{self.last}"

    def __str__(self) -> str:
        return f"{self.days} {spans_text(self.spans)}"


@dataclass(frozen=True, slots=True)
class Holidays:
    """The public holidays of a country, by its ISO 3166 code, and dates with the same spans."""

    country: str | None = None
    spans: Spans = ()
    dates: tuple[Period, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class Hours:
    """Opening hours; `week` has seven items from Monday on. Two are equal if their texts are.

    Raises UnknownCalendarError for a country without a calendar, KeyError or ValueError for a zone
    that does not exist, OverlapError where two periods of one kind want different spans.
    """

    week: tuple[Spans, ...] = field(compare=False)
    timezone: str | None = field(default=None, compare=False)
    opened: tuple[Period, ...] = field(default=(), compare=False)
    closed: tuple[Period, ...] = field(default=(), compare=False)
    holidays: Holidays | None = field(default=None, compare=False)
    text: str = field(init=False)
    _tables: tuple["_Table", ...] = field(init=False, compare=False)
    _calendar: "OpeningHours | None" = field(init=False, compare=False)
    _zone: tzinfo | None = field(init=False, compare=False)

    def __post_init__(self) -> None:
        of_holidays = self.holidays.dates if self.holidays else ()
        country = self.holidays.country if self.holidays else None
        tables = [
            _Table(yearly, ordered(period for period in periods if period.yearly is yearly))
            for periods in (self.opened, self.closed, of_holidays)
            for yearly in (False, True)
        ]
        put = object.__setattr__
        put(self, "_tables", tuple(table for table in tables if table.periods))
        put(self, "_calendar", calendar(country) if country else None)
        put(self, "_zone", zone(self.timezone) if self.timezone else None)
        put(self, "text", self._canonical(tables))

    def __repr__(self) -> str:
        return f"Hours({self.text!r})"

    def is_open(self, at: datetime) -> bool:
        wall = at.astimezone(self._zone or at.tzinfo)
        minute = wall.hour * 60 + wall.minute
        today = wall.date()
        return _covered(self._spans_on(today), minute) or _covered(
            self._spans_on(today - _DAY), minute + MINUTES
        )

    def next_opening(self, at: datetime) -> datetime | None:
        """When it opens next after `at`, None if not within 400 days; now if it is open."""
        return self._next(at, to_open=True)

    def next_closing(self, at: datetime) -> datetime | None:
        """When it closes next after `at`, None if not within 400 days; now if it is closed."""
        return self._next(at, to_open=False)

    def _next(self, at: datetime, *, to_open: bool) -> datetime | None:
        """Goes through time in pieces in which the clocks are not changed, so that the wall's time
        and the world's differ by one offset."""
        place = self._zone or at.tzinfo or UTC
        if self.is_open(at) is to_open:
            return at.astimezone(place)
        if self._never_changes():
            return None
        begin = at.astimezone(UTC)
        limit = begin + HORIZON
        while begin < limit:
            offset = _offset(begin, place)
            end = _clock_change(begin, min(begin + _DAY, limit), place)
            wall = (begin + offset).replace(tzinfo=None)
            found = self._first(wall, wall + (end - begin), to_open=to_open)
            if found is not None:
                return (found - offset).replace(tzinfo=UTC).astimezone(place)
            begin = end
        return None

    def _first(self, begin: datetime, end: datetime, *, to_open: bool) -> datetime | None:
        """The first moment on the wall from `begin` and before `end` at which it is (not) open."""
        day = begin.date() - _DAY
        closing = begin
        while day <= end.date():
            midnight = datetime.combine(day, time())
            for span in self._spans_on(day):
                opens, closes = (midnight + timedelta(minutes=minute) for minute in span)
                if to_open and closes > begin:
                    return max(opens, begin) if opens < end else None
                if opens <= closing < closes:
                    closing = closes
            day += _DAY
        return closing if closing < end and not to_open else None

    def _spans_on(self, day: date) -> Spans:
        """The spans that begin on this day."""
        if self._tables:
            iso = day.isoformat()
            for table in self._tables:
                period = table.at(iso)
                if period is not None:
                    return period.spans
        if self._calendar and self.holidays and _is_holiday(self._calendar, day):
            return self.holidays.spans
        return self.week[day.weekday()]

    def _never_changes(self) -> bool:
        unchanging = self.week in ((ALL_DAY,) * 7, ((),) * 7)
        return unchanging and not self._tables and self._calendar is None

    def _canonical(self, tables: list["_Table"]) -> str:
        opened, closed, of_holidays = (
            [period for table in pair for period in table.periods]
            for pair in (tables[:2], tables[2:4], tables[4:])
        )
        week = zip(WEEKDAYS, self.week, strict=True)
        parts = [f"{day} {spans_text(spans)}" for day, spans in week]
        parts += [f"open {period}" for period in opened]
        parts += [f"closed {period.days}" for period in closed]
        if self.holidays and self.holidays.country:
            parts.append(f"holidays {self.holidays.country} {spans_text(self.holidays.spans)}")
        parts += [f"holiday {period}" for period in of_holidays]
        if self.timezone:
            parts.append(f"in {self.timezone}")
        return "; ".join(parts)


@dataclass(frozen=True, slots=True)
class _Table:
    """Periods of one kind, in the order of time, none over another."""

    yearly: bool
    periods: tuple[Period, ...]

    def at(self, iso: str) -> Period | None:
        day = iso[_YEAR_PART:] if self.yearly else iso
        index = bisect_right(self.periods, day, key=_FIRST) - 1
        if index < 0:
            return None
        period = self.periods[index]
        return period if day <= period.last else None


_FIRST: Final = attrgetter("first")


def ordered(periods: Iterable[Period]) -> tuple[Period, ...]:
    """The same days in the order of time, each once. Raises OverlapError."""
    pieces = sorted((piece for period in periods for piece in period.pieces()), key=_FIRST)
    result: list[Period] = []
    for piece in pieces:
        if result and piece.first <= result[-1].last:
            before = result[-1]
            if piece.spans != before.spans:
                raise OverlapError(f"{before.days} and {piece.days}")
            piece = replace(before, last=max(before.last, piece.last))
            result.pop()
        result.append(piece)
    return tuple(result)


def spans_text(spans: Spans) -> str:
    """The spans as people write them, `closed` for none."""
    if not spans:
        return "closed"
    return ",".join(f"{_clock(begin)}-{_clock(end)}" for begin, end in spans)


def _clock(minute: int) -> str:
    hours, minutes = divmod(minute if minute <= MINUTES else minute - MINUTES, 60)
    return f"{hours:02}:{minutes:02}"


@lru_cache(maxsize=300)
def calendar(country: str) -> "OpeningHours":
    """Opening hours that are open on the public holidays of this country.

    Raises UnknownCalendarError.
    """
    # It is a large library; a file without holidays never needs it.
    # Its stubs forget the exception.
    from opening_hours import OpeningHours, UnknownCountryError  # type: ignore[attr-defined]

    try:
        return OpeningHours("PH", country=country)
    except UnknownCountryError as exc:
        raise UnknownCalendarError(country) from exc


def _is_holiday(calendar: "OpeningHours", day: date) -> bool:
    return calendar.is_open(datetime.combine(day, _NOON))


def _covered(spans: Spans, minute: int) -> bool:
    return any(begin <= minute < end for begin, end in spans)


def _offset(at: datetime, place: tzinfo) -> timedelta:
    return at.astimezone(place).utcoffset() or timedelta()


def _clock_change(begin: datetime, end: datetime, place: tzinfo) -> datetime:
    """When the clocks are changed between the two, `end` if they are not."""
    before = _offset(begin, place)
    if _offset(end, place) == before:
        return end
    low = begin.replace(microsecond=0)
    seconds = range(1, int((end - low) / _SECOND) + 2)
    changed = bisect_left(
        seconds, True, key=lambda second: _offset(low + second * _SECOND, place) != before
    )
    return low + seconds[changed] * _SECOND
