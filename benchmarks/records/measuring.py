"""What is read, how often, and how long it takes."""

import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from benchmarks.records.making import NOW, TRUNKS, Population
from sipagent.model import TenantName
from sipagent.store import reading, tables
from sipagent.store.reading import CallFilter

MOST_SECONDS: Final = 0.050
_WARM_UP: Final = 10
_DAY: Final = 86400.0

Query = Callable[[AsyncConnection], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Timed:
    """Seconds of one kind of query. What is not bounded is only reported."""

    title: str
    seconds: tuple[float, ...]
    bounded: bool

    def share(self, part: float) -> float:
        return sorted(self.seconds)[min(len(self.seconds) - 1, int(len(self.seconds) * part))]

    @property
    def holds(self) -> bool:
        return not self.bounded or self.share(0.95) <= MOST_SECONDS


@dataclass(slots=True)
class Load:
    """What is asked for: a tenant by its share of the calls in one half of the cases, any of them
    in the other."""

    random: random.Random
    people: Population
    known: list[Any]

    def tenant(self) -> TenantName:
        if self.random.random() < 0.5:
            return TenantName(self.random.choices(self.people.tenants, self.people.weights)[0])
        return TenantName(self.random.choice(self.people.tenants))

    def call(self) -> Any:
        return self.random.choice(self.known)

    def day(self) -> date:
        return datetime.fromtimestamp(NOW, UTC).date() - timedelta(self.random.randrange(1, 60))


async def measure(engine: AsyncEngine, *, rounds: int, seed: int) -> list[Timed]:
    """Every kind of query, so often, one after the other on one connection each."""
    async with engine.connect() as connection:
        load = Load(random.Random(seed), Population(), await _known(connection))
    kinds = [*_lists(load), *_shows(load), *_days(load), *_searches(load)]
    timed: list[Timed] = []
    for title, bounded, make in kinds:
        count = rounds if bounded else max(10, rounds // 10)
        seconds = [await _once(engine, make()) for _ in range(_WARM_UP + count)]
        timed.append(Timed(title, tuple(seconds[_WARM_UP:]), bounded))
    return timed


async def _once(engine: AsyncEngine, query: Query) -> float:
    began = time.perf_counter()
    async with engine.connect() as connection:
        await query(connection)
    return time.perf_counter() - began


async def _known(connection: AsyncConnection) -> list[Any]:
    """Calls that are there, spread over the time, with their carriers' names."""
    c, a = tables.calls.c, tables.aliases.c
    joined = tables.calls.join(tables.aliases, a.call_id == c.call_id)
    query = select(c.call_id, c.webhook_id, c.tenant, c.dialed, c.caller, c.began_at, a.alias)
    found = await connection.execute(query.select_from(joined).order_by(a.alias).limit(2000))
    return list(found)


Kind = tuple[str, bool, Callable[[], Query]]


def _lists(load: Load) -> list[Kind]:
    failed, lost = reading.outcomes_of("failed"), reading.outcomes_of("lost")

    def page(
        whose: bool, make: Callable[[], CallFilter], after: bool = False
    ) -> Callable[[], Query]:
        def query() -> Query:
            tenant, wanted = load.tenant() if whose else None, make()
            call = load.call()
            place = reading.Cursor(call.began_at, call.call_id) if after else None
            return lambda connection: reading.list_calls(connection, tenant, wanted, after=place)

        return query

    def of(column: str) -> Callable[[], Query]:
        def query() -> Query:
            call = load.call()
            wanted = CallFilter(**{column: (call._mapping[column],)})
            return lambda connection: reading.list_calls(
                connection, TenantName(call.tenant), wanted
            )

        return query

    def week() -> CallFilter:
        since = NOW - load.random.randrange(8, 80) * _DAY
        return CallFilter(since=since, until=since + 7 * _DAY)

    def agent() -> CallFilter:
        return CallFilter(agent=f"agent{load.random.randrange(7)}")

    def trunk() -> CallFilter:
        return CallFilter(trunk=load.random.choice(TRUNKS))

    every = CallFilter()
    return [
        ("list: a tenant's newest", True, page(True, lambda: every)),
        ("list: a tenant's, deep in the list", True, page(True, lambda: every, after=True)),
        ("list: a tenant's, one week", True, page(True, week)),
        ("list: a tenant's, one agent", True, page(True, agent)),
        ("list: a tenant's, one trunk", True, page(True, trunk)),
        ("list: a tenant's, failed", True, page(True, lambda: CallFilter(outcomes=failed))),
        ("list: a tenant's, lost", True, page(True, lambda: CallFilter(outcomes=lost))),
        ("list: a tenant's, live", True, page(True, lambda: CallFilter(live=True))),
        ("list: a tenant's, one dialed number", True, of("dialed")),
        ("list: a tenant's, one caller", True, of("caller")),
        ("list: all tenants' newest", True, page(False, lambda: every)),
        ("list: all tenants', failed", True, page(False, lambda: CallFilter(outcomes=failed))),
        ("list: all tenants', one trunk", True, page(False, trunk)),
        ("list: all tenants', live", True, page(False, lambda: CallFilter(live=True))),
    ]


def _shows(load: Load) -> list[Kind]:
    def show(name: str) -> Callable[[], Query]:
        def query() -> Query:
            call = load.call()

            async def shown(connection: AsyncConnection) -> None:
                tenant = TenantName(call.tenant)
                (found,) = await reading.find_calls(connection, tenant, call._mapping[name])
                assert await reading.read_story(connection, tenant, found, words=True)

            return shown

        return query

    return [
        ("show: by the call's id", True, show("call_id")),
        ("show: by the webhook's id", True, show("webhook_id")),
        ("show: by a carrier's id", True, show("alias")),
    ]


def _days(load: Load) -> list[Kind]:
    zones = {name: ZoneInfo(zone) for name, zone in load.people.zones.items()}

    def month(tenant: TenantName) -> Query:
        last = load.day()
        spans = reading.spans_of(tenant, zones[tenant], last - timedelta(30), last)
        return lambda connection: reading.daily(connection, spans)

    def one_day() -> Query:
        day = load.day()

        async def told(connection: AsyncConnection) -> None:
            spans = [
                span
                for tenant in await reading.tenants_of(connection)
                for span in reading.spans_of(tenant, zones[tenant], day, day)
            ]
            await reading.daily(connection, spans)

        return told

    largest = TenantName(load.people.tenants[0])
    return [
        ("days: one tenant, a month", True, lambda: month(load.tenant())),
        ("days: the largest tenant, a month", True, lambda: month(largest)),
        ("days: all tenants, one day", True, one_day),
    ]


def _searches(load: Load) -> list[Kind]:
    def search(tenant: Callable[[], TenantName], text: str) -> Callable[[], Query]:
        def query() -> Query:
            whose, until = tenant(), NOW - load.random.randrange(0, 50) * _DAY
            return lambda connection: reading.search_turns(
                connection, whose, text, since=until - reading.LONGEST_SEARCH, until=until
            )

        return query

    def largest() -> TenantName:
        return TenantName(load.people.tenants[0])

    return [
        ("search: a tenant, 31 days, a common word", False, search(load.tenant, "invoice")),
        ("search: a tenant, 31 days, no hit", False, search(load.tenant, "zeppelin")),
        ("search: the largest, 31 days, no hit", False, search(largest, "zeppelin")),
    ]
