"""When a trunk or an account counts as one that gets unusually few calls."""

import asyncio
import math
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from sipagent.model import AccountName, TenantName, TrunkName
from sipagent.routing import NumberDirectory, RoutingTable, TenantProfile, Trunk
from sipagent.store.arrivals import (
    CHECK_EVERY,
    CHECK_WITHIN,
    SHORTEST,
    Arrivals,
    Kind,
    Span,
    Tally,
    chance,
    telling,
    unusually_few,
    usual,
)
from sipagent.store.tables import calls
from sipagent.testing import VirtualClock
from tests.store.support import opened

US, EU = AccountName("us-1"), AccountName("eu-1")
TWILIO, WAVIX = TrunkName("twilio"), TrunkName("wavix")
ACME, BERLIN = TenantName("acme"), TenantName("berlin")
FEW_US, FEW_EU = (Kind.ACCOUNT, US), (Kind.ACCOUNT, EU)
FEW_TWILIO, FEW_WAVIX = (Kind.TRUNK, TWILIO), (Kind.TRUNK, WAVIX)
NONE = {FEW_US: False, FEW_EU: False, FEW_TWILIO: False, FEW_WAVIX: False}

MINUTE, HOUR, DAY, WEEK = 60.0, 3600.0, 86_400.0, 7 * 86_400.0


def a_table(**zones: str) -> RoutingTable:
    """Two accounts, two trunks, and tenants in their zones."""
    tenants = [TenantProfile(TenantName(name), timezone=zone) for name, zone in zones.items()]
    return RoutingTable(
        directories={account: NumberDirectory.of(()) for account in (US, EU)},
        agents={},
        tenants={tenant.name: tenant for tenant in tenants},
        config_hash="abc",
        trunks={name: Trunk(name) for name in (TWILIO, WAVIX)},
    )


@pytest.mark.parametrize(
    ("calls", "expected", "likely"),
    [
        (0, 7.0, math.exp(-7)),
        (0, 0.0, 1.0),
        (3, 0.0, 1.0),
        (1, 2.0, 3 * math.exp(-2)),
        (5, 5.0, 0.615961),
        (5, 10.0, 0.067086),
        (10, 20.0, 0.010812),
        (10_000, 10_000.0, 0.50266),
        (0, 10_000.0, 0.0),
        (500, 5.0, 1.0),
    ],
)
def test_how_likely_so_few_calls_are(calls: int, expected: float, likely: float) -> None:
    assert chance(calls, expected) == pytest.approx(likely, rel=0.01, abs=1e-12)


@pytest.mark.parametrize(
    ("weeks", "expected"),
    [
        ([], 0.0),
        ([50], 0.0),
        ([50, 40], 45.0),
        ([50, 40, 45], 45.0),
        ([50, 52, 48, 900], 51.0),
        ([50, 52, 48, 0], 49.0),
    ],
    ids=["nothing", "one week", "two", "three", "a campaign", "a holiday"],
)
def test_what_is_usual(weeks: Sequence[int], expected: float) -> None:
    assert usual(weeks) == expected


@pytest.mark.parametrize(
    ("seen", "expected", "before", "few"),
    [
        pytest.param(0, 6.9, False, False, id="too few to tell"),
        pytest.param(0, 7.0, False, True, id="silence where seven are usual"),
        pytest.param(1, 7.0, False, False, id="one of seven"),
        pytest.param(30, 60.0, False, True, id="half of many"),
        pytest.param(31, 60.0, False, False, id="more than half, unlikely as it is"),
        pytest.param(4_000, 5_000.0, False, False, id="a slow day"),
        pytest.param(31, 60.0, True, True, id="still few"),
        pytest.param(37, 60.0, True, False, id="recovering"),
        pytest.param(2, 7.0, True, False, id="chance again"),
        pytest.param(0, 5.0, True, True, id="silent, and few are due"),
        pytest.param(0, 3.0, True, False, id="nothing is due any more"),
        pytest.param(0, 0.0, True, False, id="night"),
    ],
)
def test_what_is_unusual(seen: int, expected: float, before: bool, few: bool) -> None:
    assert unusually_few(Tally(1800, seen, expected), before=before) == few


def test_the_shortest_time_that_tells_is_judged() -> None:
    short, long = Tally(1800, 0, 6.0), Tally(3600, 0, 12.0)
    assert telling([Tally(1800, 0, 8.0), long]) == Tally(1800, 0, 8.0)
    assert telling([short, long]) == long
    assert telling([short, Tally(3600, 1, 6.5)]) == Tally(3600, 1, 6.5)
    assert telling([]) is None
    assert not unusually_few(None, before=True)


@pytest.mark.parametrize(
    ("zone", "now", "weeks", "expected"),
    [
        ("UTC", "2026-03-31T09:30+00:00", 1, "2026-03-24T09:30+00:00"),
        ("Europe/Berlin", "2026-03-31T09:30+02:00", 1, "2026-03-24T09:30+01:00"),
        ("Europe/Berlin", "2026-10-27T09:30+01:00", 1, "2026-10-20T09:30+02:00"),
        ("America/Chicago", "2026-03-10T09:30-05:00", 1, "2026-03-03T09:30-06:00"),
        ("America/Chicago", "2026-03-31T09:30-05:00", 4, "2026-03-03T09:30-06:00"),
        ("America/Phoenix", "2026-03-10T09:30-07:00", 1, "2026-03-03T09:30-07:00"),
        ("Europe/Berlin", "2026-04-05T02:30+02:00", 1, "2026-03-29T03:30+02:00"),
    ],
    ids=["no zone", "spring", "autumn", "spring in Chicago", "four weeks", "none", "in the gap"],
)
def test_the_same_time_of_the_day_weeks_ago(zone: str, now: str, weeks: int, expected: str) -> None:
    end = datetime.fromisoformat(now).timestamp()
    earlier = Span(end - 1800, end).weeks_ago(weeks, ZoneInfo(zone))
    assert datetime.fromtimestamp(earlier.end, UTC) == datetime.fromisoformat(expected)
    assert earlier.end - earlier.start == 1800


NOW = datetime(2026, 11, 24, 15, 0, tzinfo=UTC).timestamp()
"""A Tuesday, far from any change of the clocks."""


@dataclass(slots=True)
class HandClock:
    """A clock that a test moves."""

    now: float = NOW

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now


@dataclass(slots=True)
class Office:
    """Records, and who looks at them since long ago."""

    engine: AsyncEngine
    clock: HandClock
    table: RoutingTable
    arrivals: Arrivals = field(init=False)
    written: int = 0

    def __post_init__(self) -> None:
        self.begin(self.clock.now - DAY)

    def begin(self, since: float, *, behind: bool = False) -> None:
        """Have a process look that began at this time."""
        now, self.clock.now = self.clock.now, since
        self.arrivals = Arrivals(
            lambda: self.engine, lambda: self.table, self.clock, behind=lambda: behind
        )
        self.clock.now = now

    async def came(
        self,
        times: Iterable[float],
        *,
        tenant: str = ACME,
        account: str = US,
        trunk: str | None = TWILIO,
    ) -> None:
        """Write down calls that came at these times."""
        rows = [self._row(at, tenant, account, trunk) for at in times]
        async with self.engine.begin() as connection:
            await connection.execute(insert(calls), rows)

    def _row(self, at: float, tenant: str, account: str, trunk: str | None) -> dict[str, Any]:
        self.written += 1
        return {
            "call_id": f"rtc_{self.written}",
            "webhook_id": f"wh_{self.written}",
            "account": account,
            "tenant": tenant,
            "trunk": trunk,
            "trunk_proven": False,
            "verdict": "accept",
            "listed": True,
            "media_security": "srtp",
            "trace": "[]",
            "release": "1",
            "replica": "one",
            "began_at": at,
            "hold": False,
        }

    async def few(self) -> dict[Any, bool]:
        await self.arrivals.check()
        return dict(self.arrivals.few)


def spread(end: float, count: int, within: float = 30 * MINUTE) -> list[float]:
    """So many times in as many seconds before `end`, evenly."""
    return [end - within * (number + 0.5) / count for number in range(count)]


def weekly(count: int, weeks: Iterable[int] = (1, 2, 3, 4), within: float = 30 * MINUTE) -> Any:
    """So many calls at this time in each of these weeks."""
    return [at for week in weeks for at in spread(NOW - week * WEEK, count, within)]


LONG_AGO = [NOW - 30 * DAY]
"""A call that shows that there have been records for more than four weeks."""


@pytest.fixture
async def office(records_url: str) -> AsyncIterator[Office]:
    async with opened(records_url) as engine:
        yield Office(engine, HandClock(), a_table(acme="America/Chicago", berlin="Europe/Berlin"))


async def test_a_trunk_that_falls_silent_shows_and_its_account_does_not(office: Office) -> None:
    await office.came([*LONG_AGO, *weekly(20)])
    await office.came([*weekly(30), *spread(NOW, 28)], trunk=WAVIX)
    with capture_logs() as lines:
        assert await office.few() == {**NONE, FEW_TWILIO: True}
        assert await office.few() == {**NONE, FEW_TWILIO: True}
        await office.came(spread(NOW, 19))
        assert await office.few() == NONE
    assert lines == [
        {
            "event": "unusually few calls",
            "log_level": "error",
            "kind": "trunk",
            "name": TWILIO,
            "calls": 0,
            "expected": 20.0,
            "minutes": 30,
        },
        {
            "event": "calls as usual",
            "log_level": "info",
            "kind": "trunk",
            "name": TWILIO,
            "calls": 19,
            "expected": 20.0,
            "minutes": 30,
        },
    ]


async def test_an_account_whose_webhook_is_gone_shows_with_all_its_trunks(office: Office) -> None:
    await office.came([*LONG_AGO, *weekly(15)])
    await office.came(weekly(15), trunk=None)
    await office.came([*weekly(15), *spread(NOW, 15)], account=EU, trunk=WAVIX)
    assert await office.few() == {**NONE, FEW_US: True, FEW_TWILIO: True}


async def test_where_calls_are_few_the_last_hour_is_judged(office: Office) -> None:
    await office.came([*LONG_AGO, *weekly(10, within=HOUR)])
    assert await office.few() == {**NONE, FEW_US: True, FEW_TWILIO: True}


@pytest.mark.parametrize(
    "history",
    [
        pytest.param([], id="no records"),
        pytest.param(weekly(100, [1]), id="a week of records"),
        pytest.param([*LONG_AGO, *weekly(100, [3])], id="one busy week"),
        pytest.param([*LONG_AGO, *weekly(3)], id="few calls as a rule"),
        pytest.param([*LONG_AGO, *[at - 2 * DAY for at in weekly(100)]], id="other weekdays"),
        pytest.param([*LONG_AGO, *[at - 3 * HOUR for at in weekly(100)]], id="other hours"),
    ],
)
async def test_silence_is_nothing_unusual(office: Office, history: Sequence[float]) -> None:
    if history:
        await office.came(history)
    assert await office.few() == NONE


async def test_two_weeks_of_records_are_a_habit(office: Office) -> None:
    await office.came([NOW - 2 * WEEK - 3 * HOUR, *weekly(20, [1, 2])])
    assert await office.few() == {**NONE, FEW_US: True, FEW_TWILIO: True}


async def test_what_the_configuration_does_not_know_any_more_is_not_missed(office: Office) -> None:
    await office.came([*LONG_AGO, *weekly(50)], account="gone", trunk="removed")
    assert await office.few() == NONE


async def test_time_without_this_process_is_not_held_against_the_carrier(office: Office) -> None:
    """It was down for most of the half-hour: the calls of its last 12 minutes are as many as ever
    in such 12 minutes."""
    await office.came([*LONG_AGO, *weekly(60), *spread(NOW, 24, 12 * MINUTE)])
    office.begin(NOW - 12 * MINUTE)
    assert await office.few() == NONE


async def test_a_process_that_gets_no_calls_from_its_beginning_says_so(office: Office) -> None:
    await office.came([*LONG_AGO, *weekly(60)])
    office.begin(NOW - SHORTEST + 1)
    assert await office.few() == NONE
    office.begin(NOW - SHORTEST)
    assert await office.few() == {**NONE, FEW_US: True, FEW_TWILIO: True}


async def test_records_that_are_behind_are_not_counted(office: Office) -> None:
    await office.came([*LONG_AGO, *weekly(60)])
    office.begin(NOW - DAY, behind=True)
    assert await office.few() == {}


BERLIN_NOW = datetime(2026, 10, 27, 9, 0, tzinfo=ZoneInfo("Europe/Berlin"))
"""Two days after the clocks went back in Berlin, five before they do in Chicago: the shops open."""


async def test_a_change_of_the_clocks_moves_nothing(office: Office) -> None:
    """Calls come from nine o'clock of the tenant's time on, and none before. An hour off, nine
    o'clock would be held against ten o'clock of the weeks before."""
    office.clock.now = BERLIN_NOW.timestamp()
    office.begin(office.clock.now - DAY)
    await office.came([(BERLIN_NOW - timedelta(days=31)).timestamp()], tenant=BERLIN)
    for week in range(1, 5):
        nine = (BERLIN_NOW - timedelta(weeks=week)).timestamp()
        await office.came([nine + 30 * number for number in range(120)], tenant=BERLIN)
    assert await office.few() == NONE
    office.clock.now += 30 * MINUTE
    assert await office.few() == {**NONE, FEW_US: True, FEW_TWILIO: True}


async def test_each_tenant_is_counted_by_its_own_clock(office: Office) -> None:
    office.clock.now = BERLIN_NOW.timestamp() + 30 * MINUTE
    office.begin(office.clock.now - DAY)
    await office.came([office.clock.now - 31 * DAY])
    for week in range(1, 5):
        # In Chicago no clock has changed: that tenant's calls came 168 hours ago to the second.
        await office.came(spread(office.clock.now - week * WEEK, 10), tenant=ACME)
        berlin = (BERLIN_NOW + timedelta(minutes=30) - timedelta(weeks=week)).timestamp()
        await office.came(spread(berlin, 10), tenant=BERLIN)
    with capture_logs() as lines:
        await office.few()
    assert {line["expected"] for line in lines} == {20.0}


class Hanging:
    """A database that never answers."""

    def __init__(self) -> None:
        self.asked = 0

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[None]:
        self.asked += 1
        await asyncio.get_running_loop().create_future()
        yield


@pytest.mark.virtual_time
async def test_a_database_that_does_not_answer_is_asked_again() -> None:
    hanging: Any = Hanging()
    with capture_logs() as lines:
        async with Arrivals(lambda: hanging, a_table, VirtualClock()) as arrivals:
            await asyncio.sleep(SHORTEST + 2 * (CHECK_EVERY + CHECK_WITHIN) + 1)
            assert arrivals.few == {}
    assert hanging.asked >= 2
    assert {line["event"]: line["reason"] for line in lines} == {
        "arrivals not checked": "no answer in time"
    }


@pytest.mark.virtual_time
async def test_a_check_that_crashes_is_not_the_last() -> None:
    asked = []

    def behind() -> bool:
        asked.append(asyncio.get_running_loop().time())
        if len(asked) == 1:
            raise ZeroDivisionError
        return True

    nothing: Any = None
    with capture_logs() as lines:
        async with Arrivals(lambda: nothing, a_table, VirtualClock(), behind):
            await asyncio.sleep(3 * CHECK_EVERY + 1)
    assert asked == [CHECK_EVERY, 2 * CHECK_EVERY, 3 * CHECK_EVERY]
    assert [line["error"] for line in lines] == ["ZeroDivisionError"]
