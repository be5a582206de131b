"""Opening hours against the clock on the wall, the calendar and a count of all minutes."""

import subprocess
import sys
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sipagent.model.facts import HoursNow, Schedule
from sipagent.routing.hours import (
    ALL_DAY,
    HORIZON,
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

MINUTE = timedelta(minutes=1)
CHICAGO = ZoneInfo("America/Chicago")
BERLIN = ZoneInfo("Europe/Berlin")
NINE_TO_SIX = ((540, 1080),)
OVERNIGHT = ((1080, 1560),)


def week(**days: Spans) -> tuple[Spans, ...]:
    return tuple(days.get(day, ()) for day in WEEKDAYS)


def weekdays(spans: Spans) -> tuple[Spans, ...]:
    return (spans,) * 5 + ((), ())


OFFICE = Hours(
    (NINE_TO_SIX,) * 5 + (((600, 840),), ()),
    holidays=Holidays("US"),
)
NIGHT = Hours(
    ((OVERNIGHT,) * 4) + (((480, 720), (780, 1200)), (), ()),
    timezone="Europe/Berlin",
    opened=(Period("2026-12-23", "2026-12-23", ((600, 720),)),),
    closed=(Period("2026-12-24", "2026-12-24"), Period("2026-12-27", "2027-01-01")),
    holidays=Holidays("DE", ((600, 720),)),
)


def at(text: str, zone: ZoneInfo = CHICAGO) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone)


@pytest.mark.parametrize(
    ("hours", "when", "is_open"),
    [
        (OFFICE, at("2026-11-23T08:59:59.999999"), False),
        (OFFICE, at("2026-11-23T09:00"), True),
        (OFFICE, at("2026-11-23T17:59:59.999999"), True),
        (OFFICE, at("2026-11-23T18:00"), False),
        (OFFICE, at("2026-11-28T13:59"), True),
        (OFFICE, at("2026-11-29T12:00"), False),
        (OFFICE, datetime(2026, 11, 23, 15, 0, tzinfo=UTC), True),
        (OFFICE, at("2026-11-23T15:00").astimezone(UTC), False),
        (NIGHT, at("2026-11-23T18:00", BERLIN), True),
        (NIGHT, at("2026-11-24T01:59", BERLIN), True),
        (NIGHT, at("2026-11-24T02:00", BERLIN), False),
        (NIGHT, at("2026-11-23T11:00"), True),
        (NIGHT, at("2026-11-27T01:59", BERLIN), True),
        (NIGHT, at("2026-11-27T12:30", BERLIN), False),
        (NIGHT, at("2026-11-28T00:30", BERLIN), False),
    ],
)
def test_a_week(hours: Hours, when: datetime, is_open: bool) -> None:
    assert hours.is_open(when) is is_open


@pytest.mark.parametrize(
    ("day", "is_open"),
    [
        ("2026-11-26", False),  # Thanksgiving
        ("2025-11-27", False),
        ("2027-11-25", False),
        ("2026-11-27", True),
        ("2025-07-04", False),
        ("2026-07-03", False),  # July 4th is a Saturday: the Friday before is the day off
        ("2026-07-04", True),
        ("2027-07-05", False),
        ("2026-12-25", False),
        ("2026-12-24", True),
        ("2076-12-25", False),  # the last day that the calendar knows
        ("2077-12-25", True),
        ("1999-12-24", True),
    ],
)
def test_public_holidays_of_the_united_states(day: str, is_open: bool) -> None:
    assert OFFICE.is_open(at(f"{day}T11:00")) is is_open


@pytest.mark.parametrize(
    ("country", "day", "is_holiday"),
    [
        ("US", "2026-10-12", False),  # Columbus Day
        ("GB", "2026-01-01", False),  # other holidays in Scotland, so none of the whole kingdom
        ("GB", "2026-04-03", True),
        ("DE", "2026-01-06", False),  # Epiphany, in three states only
        ("DE", "2026-10-03", True),
        ("CA", "2026-07-01", True),
        ("FR", "2026-07-14", True),
    ],
)
def test_what_the_page_says_of_calendars(country: str, day: str, is_holiday: bool) -> None:
    hours = Hours(((),) * 7, holidays=Holidays(country, ALL_DAY))
    assert hours.is_open(at(f"{day}T11:00")) is is_holiday


@pytest.mark.parametrize("country", ["IN", "IL", "AE", "TH", "us", ""])
def test_countries_without_a_calendar(country: str) -> None:
    with pytest.raises(UnknownCalendarError):
        calendar(country)


@pytest.mark.parametrize(
    ("when", "is_open"),
    [
        ("2026-12-23T11:00", True),  # `opened` instead of 18:00-02:00
        ("2026-12-23T19:00", False),
        ("2026-12-24T01:00", False),
        ("2026-12-24T19:00", False),  # `closed`
        ("2026-12-25T11:00", True),  # a holiday
        ("2026-12-25T15:00", False),
        ("2026-12-26T11:00", True),  # a holiday on a Saturday
        ("2026-12-27T11:00", False),
        ("2026-12-31T19:00", False),
        ("2027-01-01T11:00", False),  # a holiday, but `closed`
        ("2027-01-04T19:00", True),
    ],
)
def test_the_first_that_names_a_day_decides(when: str, is_open: bool) -> None:
    assert NIGHT.is_open(at(when, BERLIN)) is is_open


def test_opened_beats_closed_and_dates_of_one_year_beat_those_of_every_year() -> None:
    hours = Hours(
        weekdays(NINE_TO_SIX),
        opened=(
            Period("12-24", "12-24", ((600, 660),)),
            Period("2027-12-24", "2027-12-24", ((600, 720),)),
        ),
        closed=(Period("2026-12-01", "2027-12-31"),),
    )
    assert [hours.is_open(at(f"{year}-12-24T11:30")) for year in (2026, 2027)] == [False, True]
    assert [hours.is_open(at(f"{year}-12-24T10:30")) for year in (2026, 2027)] == [True, True]
    assert not hours.is_open(at("2026-12-23T10:30"))


def test_a_span_that_began_the_evening_before_is_not_cut_by_a_closed_day() -> None:
    hours = Hours((OVERNIGHT,) * 7, holidays=Holidays("US"))
    assert hours.is_open(at("2026-11-26T01:00"))
    assert not hours.is_open(at("2026-11-26T20:00"))
    assert not hours.is_open(at("2026-11-27T01:00"))


@pytest.mark.parametrize(
    ("day", "is_open"),
    [
        ("2026-12-23", True),
        ("2026-12-24", False),
        ("2027-01-02", False),
        ("2027-01-03", True),
        ("2027-12-31", False),
        ("2027-02-28", True),
        ("2028-02-29", False),
        ("2028-03-01", True),
    ],
)
def test_dates_of_every_year(day: str, is_open: bool) -> None:
    hours = Hours((ALL_DAY,) * 7, closed=(Period("12-24", "01-02"), Period("02-29", "02-29")))
    assert hours.is_open(at(f"{day}T12:00")) is is_open


def test_own_dates_count_as_holidays_with_or_without_a_country() -> None:
    dates = (Period("07-04", "07-04", ((600, 660),)),)
    for country in (None, "US"):
        hours = Hours((NINE_TO_SIX,) * 7, holidays=Holidays(country, ((600, 660),), dates))
        assert hours.is_open(at("2026-07-04T10:30"))
        assert not hours.is_open(at("2026-07-04T12:00"))
        assert hours.is_open(at("2026-12-25T12:00")) is (country is None)


@pytest.mark.parametrize(
    ("hours", "when", "opens", "closes"),
    [
        (OFFICE, "2026-11-25T18:00", "2026-11-27T09:00-06:00", "2026-11-25T18:00-06:00"),
        (OFFICE, "2026-11-27T10:00", "2026-11-27T10:00-06:00", "2026-11-27T18:00-06:00"),
        (OFFICE, "2026-03-07T14:00", "2026-03-09T09:00-05:00", "2026-03-07T14:00-06:00"),
        (NIGHT, "2026-11-23T12:00", "2026-11-23T19:00+01:00", "2026-11-24T02:00+01:00"),
        (NIGHT, "2026-12-26T12:00", "2027-01-04T18:00+01:00", "2026-12-26T19:00+01:00"),
    ],
)
def test_next_opening_and_closing(hours: Hours, when: str, opens: str, closes: str) -> None:
    schedule: Schedule = hours
    now = HoursNow(schedule, at(when))
    assert now.opens == datetime.fromisoformat(opens)
    assert now.closes == datetime.fromisoformat(closes)
    assert now.opens.tzinfo is (BERLIN if hours is NIGHT else CHICAGO)


@pytest.mark.parametrize(
    ("hours", "opens", "closes"),
    [
        (Hours((ALL_DAY,) * 7), True, False),
        (Hours(((),) * 7), False, True),
        (Hours((ALL_DAY,) * 7, closed=(Period("2026-01-01", "2026-01-01"),)), True, False),
        (Hours(((),) * 7, opened=(Period("2028-01-01", "2028-01-01", ALL_DAY),)), False, True),
        (Hours(((),) * 7, opened=(Period("2027-12-25", "2027-12-25", ALL_DAY),)), True, True),
    ],
)
def test_nothing_is_looked_for_beyond_400_days(hours: Hours, opens: bool, closes: bool) -> None:
    when = at("2026-11-21T12:00")
    assert (hours.next_opening(when) is not None) is opens
    assert (hours.next_closing(when) is not None) is closes


def test_touching_spans_close_where_the_last_one_ends() -> None:
    hours = Hours(week(mon=((480, 720), (720, 1440)), tue=((0, 60),)))
    assert hours.next_closing(at("2026-11-23T09:00")) == at("2026-11-24T01:00")


@pytest.mark.parametrize(
    ("span", "when", "opens", "closes"),
    [
        # On 2026-03-08 the clocks of Chicago go from 02:00 to 03:00.
        ((150, 300), "2026-03-08T07:00Z", "2026-03-08T08:00Z", "2026-03-08T10:00Z"),
        ((90, 150), "2026-03-08T07:00Z", "2026-03-08T07:30Z", "2026-03-08T08:00Z"),
        ((130, 170), "2026-03-08T07:00Z", "2026-03-09T07:10Z", "2026-03-09T07:50Z"),
        # On 2026-11-01 they go from 02:00 back to 01:00.
        ((75, 105), "2026-11-01T06:00Z", "2026-11-01T06:15Z", "2026-11-01T06:45Z"),
        ((75, 105), "2026-11-01T06:45Z", "2026-11-01T07:15Z", "2026-11-01T07:45Z"),
        ((90, 180), "2026-11-01T06:00Z", "2026-11-01T06:30Z", "2026-11-01T07:00Z"),
        ((90, 180), "2026-11-01T07:00Z", "2026-11-01T07:30Z", "2026-11-01T09:00Z"),
    ],
)
def test_clock_changes(span: tuple[int, int], when: str, opens: str, closes: str) -> None:
    hours = Hours(((span,),) * 7)
    opening = hours.next_opening(datetime.fromisoformat(when).astimezone(CHICAGO))
    assert opening is not None
    assert opening.astimezone(UTC) == datetime.fromisoformat(opens)
    closing = hours.next_closing(opening)
    assert closing is not None
    assert closing.astimezone(UTC) == datetime.fromisoformat(closes)


def test_equal_hours_have_equal_texts() -> None:
    one = Hours(weekdays(NINE_TO_SIX), closed=(Period("12-24", "12-26"), Period("12-31", "01-01")))
    other = Hours(
        weekdays(NINE_TO_SIX),
        closed=(Period("12-31", "01-01"), Period("12-25", "12-26"), Period("12-24", "12-25")),
    )
    assert one == other
    assert hash(one) == hash(other)
    assert len({one, other, OFFICE, NIGHT}) == 3
    assert repr(NIGHT) == (
        "Hours('mon 18:00-02:00; tue 18:00-02:00; wed 18:00-02:00; thu 18:00-02:00; "
        "fri 08:00-12:00,13:00-20:00; sat closed; sun closed; open 2026-12-23 10:00-12:00; "
        "closed 2026-12-24; closed 2026-12-27..2027-01-01; holidays DE 10:00-12:00; "
        "in Europe/Berlin')"
    )


def test_hours_that_cannot_be() -> None:
    with pytest.raises(UnknownCalendarError):
        Hours(((),) * 7, holidays=Holidays("XX"))
    with pytest.raises(KeyError):
        Hours(((),) * 7, timezone="Europe/Nowhere")
    periods = (Period("2026-12-20", "2026-12-24", ALL_DAY), Period("2026-12-24", "2026-12-25"))
    with pytest.raises(OverlapError, match=r"2026-12-20..2026-12-24 and 2026-12-24..2026-12-25"):
        Hours(((),) * 7, opened=periods)


def test_hours_without_holidays_do_not_load_the_library() -> None:
    code = (
        "import sys, sipagent.routing.hours as h\n"
        "h.Hours((h.ALL_DAY,) * 7)\n"
        "assert 'opening_hours' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


ZONES = {
    "America/Chicago": ("2026-03-08", "2026-11-01"),
    "Europe/Berlin": ("2026-03-29", "2026-10-25"),
    "Australia/Lord_Howe": ("2026-04-05", "2026-10-04"),
    "Asia/Kolkata": ("2026-03-08", "2026-12-24"),
}
WINDOW = 6 * 24 * 60


@st.composite
def a_day(draw: st.DrawFn) -> Spans:
    """Spans in steps of ten minutes, the last of which may end the next day."""
    edges = sorted(draw(st.sets(st.integers(0, 287), max_size=6)))
    spans = zip(edges[::2], edges[1::2], strict=False)
    return tuple((a * 10, b * 10) for a, b in spans if a < 144 and b - a <= 144)


@st.composite
def a_case(draw: st.DrawFn) -> tuple[Hours, datetime]:
    name = draw(st.sampled_from(sorted(ZONES)))
    begin = date.fromisoformat(draw(st.sampled_from(ZONES[name]))) - 2 * timedelta(days=1)
    dates = draw(st.dictionaries(st.integers(0, 5), a_day(), max_size=2))
    opened = [((begin + timedelta(days=n)).isoformat(), spans) for n, spans in dates.items()]
    hours = Hours(
        tuple(draw(st.tuples(*[a_day()] * 7))),
        timezone=draw(st.sampled_from([None, name])),
        opened=tuple(Period(day, day, spans) for day, spans in opened),
    )
    return hours, datetime.combine(begin, time(), ZoneInfo(name))


def utc(moment: datetime | None) -> datetime | None:
    """Times of one zone are compared as the wall shows them, which an hour shows twice."""
    return None if moment is None else moment.astimezone(UTC)


def minutes_on_the_wall(hours: Hours, begin: date) -> set[datetime]:
    """Every minute that the clock can show while it is open."""
    exceptions = {period.first: period.spans for period in hours.opened}
    minutes = set()
    for day in (begin + timedelta(days=n) for n in range(-2, 9)):
        spans = exceptions.get(day.isoformat(), hours.week[day.weekday()])
        for span in spans:
            for minute in range(*span):
                minutes.add(datetime.combine(day, time()) + minute * MINUTE)
    return minutes


@given(a_case(), st.data())
@settings(max_examples=40, deadline=None)
def test_every_minute_of_a_week_is_as_counted(
    case: tuple[Hours, datetime], data: st.DataObject
) -> None:
    hours, begin = case
    zone: Any = begin.tzinfo
    wall = minutes_on_the_wall(hours, begin.date())
    times = [(begin.astimezone(UTC) + n * MINUTE).astimezone(zone) for n in range(WINDOW)]
    opens = [moment.replace(tzinfo=None, fold=0) in wall for moment in times]
    assert [hours.is_open(moment) for moment in times] == opens

    for index in data.draw(st.lists(st.integers(0, WINDOW - 1), min_size=20, max_size=20)):
        late = timedelta(seconds=data.draw(st.sampled_from([0, 37])))
        for state, find in ((True, hours.next_opening), (False, hours.next_closing)):
            moment = times[index].astimezone(UTC) + late
            found = utc(find(moment.astimezone(zone)))
            if opens[index] is state:
                assert found == moment
            elif state in opens[index:]:
                assert found == utc(times[opens.index(state, index)])
            else:
                assert found is None or found > times[-1].astimezone(UTC)


@given(
    a_case(),
    st.datetimes(datetime.fromisoformat("1990-01-01"), datetime.fromisoformat("2090-01-01")),
    st.one_of(
        st.sampled_from(sorted(ZONES)).map(ZoneInfo),
        st.integers(-86_399, 86_399).map(lambda seconds: timezone(timedelta(seconds=seconds))),
    ),
    st.sampled_from([None, Holidays("US"), Holidays("DE", NINE_TO_SIX)]),
)
@settings(max_examples=150, deadline=None)
def test_the_minute_before_an_opening_is_closed(
    case: tuple[Hours, datetime], naive: datetime, zone: Any, holidays: Holidays | None
) -> None:
    hours = Hours(case[0].week, case[0].timezone, case[0].opened, holidays=holidays)
    moment = naive.replace(tzinfo=zone)
    for state, find in ((True, hours.next_opening), (False, hours.next_closing)):
        found = utc(find(moment))
        if hours.is_open(moment) is state:
            assert found == utc(moment)
        elif found is not None:
            before = found - timedelta(microseconds=1)
            assert hours.is_open(found.astimezone(zone)) is state
            assert hours.is_open(before.astimezone(zone)) is not state
            assert timedelta() < found - moment.astimezone(UTC) <= HORIZON


@given(a_day())
def test_spans_are_told_as_they_are_written(spans: Spans) -> None:
    written = spans_text(spans)
    assert written.count("-") == len(spans)
    assert all(len(span) == len("09:00-18:00") for span in written.split(",")) or not spans
