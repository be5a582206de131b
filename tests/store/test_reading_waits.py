"""How long callers waited, what agents' calls came to, and each number's last call."""

import importlib
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sipagent.model import Reason, TenantName
from sipagent.store import tables
from sipagent.store.reading import (
    AgentSums,
    Wait,
    Waits,
    last_calls,
    spent_in,
    sums_by_agent,
    waits,
)
from sipagent.store.reading.lastcalls import MOST_NUMBERS
from tests.store.kept import BEGAN, DIALED, a_bill, a_call, a_live, failed, put, rejected
from tests.store.support import opened

ACME, BETA = TenantName("acme"), TenantName("beta")
DAY = 86400.0


@pytest.fixture
async def engine(records_url: str) -> AsyncIterator[AsyncEngine]:
    async with opened(records_url) as engine:
        yield engine


@pytest.fixture
async def connection(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    async with engine.connect() as connection:
        yield await connection.execution_options(isolation_level="AUTOCOMMIT")


def waited(
    name: str, answer: float | None, sound: float | None = None, **changes: object
) -> dict[str, Any]:
    """A call whose caller waited so long."""
    row = a_call(name, **changes)
    began = row["began_at"]
    row["answered_at"] = None if answer is None else began + answer
    row["heard_at"] = None if sound is None else began + sound
    return row


async def test_waits_are_counted_by_what_is_waited_for(
    engine: AsyncEngine, connection: AsyncConnection
) -> None:
    await put(
        engine,
        waited("rtc_1", 0.214, 0.9),
        waited("rtc_2", 0.216, 1.449),
        waited("rtc_3", None, None),
        waited("rtc_4", 0.5, None, at=DAY),
        waited("rtc_5", 0.7, 0.9, tenant="beta"),
        waited("rtc_6", -0.1, 400.0),
    )
    bounds = [(BEGAN, BEGAN + DAY), (BEGAN + DAY, BEGAN + 2 * DAY), (0.0, 1.0)]
    found = await waits(connection, ACME, Wait.ANSWER, bounds)
    assert found == (Waits({0: 1, 21: 1, 22: 1}), Waits({50: 1}), Waits())
    found = await waits(connection, ACME, Wait.SOUND, bounds)
    assert found == (Waits({90: 1, 140: 1, 6000: 1}), Waits(), Waits())
    (every,) = await waits(connection, None, Wait.ANSWER, bounds[:1])
    assert every.calls == 4
    (own,) = await waits(connection, ACME, Wait.ANSWER, bounds[:1], agent="night")
    assert own.calls == 0


async def test_only_the_newest_calls_of_a_time_are_looked_at(
    engine: AsyncEngine, connection: AsyncConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The package has the function under the module's name.
    module = importlib.import_module("sipagent.store.reading.waits")
    monkeypatch.setattr(module, "MOST_WAITS", 3)
    await put(engine, *(waited(f"rtc_{at}", at / 10, at=at) for at in range(8)))
    (found,) = await waits(connection, ACME, Wait.ANSWER, [(BEGAN, BEGAN + DAY)])
    assert found == Waits({50: 1, 60: 1, 70: 1})


@pytest.mark.parametrize(
    ("counts", "share", "seconds"),
    [
        ({}, 0.5, None),
        ({21: 1}, 0.5, 0.21),
        ({21: 1}, 0.95, 0.21),
        ({10: 1, 20: 1}, 0.5, 0.1),
        ({10: 94, 300: 6}, 0.95, 3.0),
        ({10: 95, 300: 5}, 0.95, 0.1),
        ({0: 3}, 1.0, 0.0),
    ],
    ids=str,
)
def test_a_percentile_is_what_so_many_calls_had_within(
    counts: dict[int, int], share: float, seconds: float | None
) -> None:
    assert Waits(counts).percentile(share) == seconds


def test_waits_of_several_times_are_added() -> None:
    assert Waits({1: 2, 3: 1}) + Waits({3: 4}) == Waits({1: 2, 3: 5})


async def test_agents_are_summed_up_side_by_side(
    engine: AsyncEngine, connection: AsyncConnection
) -> None:
    await put(
        engine,
        a_call("rtc_1"),
        a_call("rtc_2", at=1, outcome="completed.transferred", cost=None),
        failed("rtc_3", Reason.PROVIDER_ERROR, at=2),
        a_live("rtc_4", at=3),
        a_call("rtc_5", at=4, agent="next", cost=3),
        a_call("rtc_6", at=5, tenant="beta"),
        a_call("rtc_7", at=DAY),
    )
    wanted = ["next", "store", "nobody"]
    found = await sums_by_agent(connection, ACME, wanted, since=BEGAN, until=BEGAN + DAY)
    new, old, nobody = found
    assert (new.calls, new.cost, new.mean_cost, new.completed, new.transferred) == (1, 3, 3, 1, 0)
    assert (old.calls, old.ended, old.completed, old.transferred) == (4, 3, 2, 1)
    assert (old.priced, old.mean_cost, old.mean_seconds) == (2, 21_345, 177 / 4)
    assert nobody == AgentSums("nobody")
    assert (nobody.mean_cost, nobody.mean_seconds) == (None, None)


async def test_the_last_call_of_each_number_is_found(
    engine: AsyncEngine, connection: AsyncConnection
) -> None:
    await put(
        engine,
        a_call("rtc_1", at=0),
        a_call("rtc_2", at=9, dialed_source="x-number"),
        a_call("rtc_3", at=5, dialed="h:hidden"),
        rejected("rtc_4", tenant="beta", at=99),
    )
    asked = [(ACME, DIALED), (ACME, "h:hidden"), (ACME, "+1999"), (ACME, DIALED)]
    found = await last_calls(connection, asked)
    assert sorted((one.call_id, one.header) for one in found) == [
        ("rtc_2", "x-number"),
        ("rtc_3", "to"),
    ]
    assert [one.call_id for one in await last_calls(connection, [(BETA, DIALED)])] == ["rtc_4"]
    assert await last_calls(connection, []) == ()


async def test_more_numbers_than_one_query_takes_are_asked_for_in_several(
    engine: AsyncEngine, connection: AsyncConnection
) -> None:
    numbers = [f"+1713{at:07}" for at in range(2 * MOST_NUMBERS + 7)]
    await put(engine, *(a_call(f"rtc_{at}", dialed=one) for at, one in enumerate(numbers)))
    found = await last_calls(connection, [(ACME, one) for one in numbers])
    assert {one.dialed for one in found} == set(numbers)


async def test_what_has_been_billed_is_summed_up(
    engine: AsyncEngine, connection: AsyncConnection
) -> None:
    await put(
        engine,
        a_bill("rtc_1", "a", cost=3_000_000_000),
        a_bill("rtc_1", "b", cost=None),
        a_bill("rtc_2", "c", cost=2_000_000_000, at=BEGAN + 99),
        a_bill("rtc_3", "d", cost=1, tenant="beta"),
        table=tables.usage,
    )
    assert await spent_in(connection, ACME, since=BEGAN, until=BEGAN + 100) == 5_000_000_000
    assert await spent_in(connection, ACME, since=BEGAN, until=BEGAN + 99) == 3_000_000_000
    assert await spent_in(connection, ACME, since=0, until=1) == 0


async def asked_of(engine: AsyncEngine, tenant: TenantName | None, what: str) -> list[str]:
    """How the database goes about a question: its plan, statement by statement."""
    explain = "EXPLAIN QUERY PLAN" if engine.dialect.name == "sqlite" else "EXPLAIN"
    statements: list[tuple[str, object]] = []
    async with engine.connect() as connection:

        def noted(_: object, __: object, statement: str, values: object, *___: object) -> None:
            if not statement.startswith(("BEGIN", "PRAGMA")):
                statements.append((statement, values))

        event.listen(engine.sync_engine, "before_cursor_execute", noted)
        bounds = (BEGAN + 20 * DAY, BEGAN + 21 * DAY)
        if what == "waits":
            await waits(connection, tenant, Wait.SOUND, [bounds])
        elif what == "agent":
            await waits(connection, tenant, Wait.SOUND, [bounds], agent="store")
        elif what == "sums":
            await sums_by_agent(
                connection, ACME, ["store", "next"], since=bounds[0], until=bounds[1]
            )
        elif what == "last":
            await last_calls(connection, [(ACME, DIALED), (ACME, "+1999")])
        else:
            await spent_in(connection, ACME, since=bounds[0], until=bounds[1])
        event.remove(engine.sync_engine, "before_cursor_execute", noted)
        plans = []
        for statement, values in statements:
            rows = await connection.exec_driver_sql(f"{explain} {statement}", values)  # type: ignore[arg-type]  # as it was sent
            plans.append(str(rows.all()))
    return plans


@pytest.mark.parametrize(
    ("what", "tenant", "index"),
    [
        ("waits", ACME, "ix_calls_tenant_days"),
        ("waits", None, "ix_calls_began_at_call_id"),
        ("agent", ACME, "ix_calls_tenant_agent_began_at_call_id"),
        ("sums", ACME, "ix_calls_tenant_agent_began_at_call_id"),
        ("last", ACME, "ix_calls_dialed_tenant_began_at_call_id"),
        ("spent", ACME, "ix_usage_tenant_at"),
    ],
)
async def test_an_index_carries_each_question(
    engine: AsyncEngine, what: str, tenant: TenantName | None, index: str
) -> None:
    chance = random.Random(3)
    rows = [
        a_call(
            f"rtc_{at}",
            at=at * 600.0,
            tenant=chance.choice(["acme", "beta", "cafe", "dora"]),
            agent=chance.choice(["store", "next", "night", "day"]),
            dialed=f"+1713{chance.randrange(10_000_000):07}",
        )
        for at in range(6000)
    ]
    bills = [a_bill(row["call_id"], "a", tenant=row["tenant"], at=row["began_at"]) for row in rows]
    for at in range(0, len(rows), 500):
        await put(engine, *rows[at : at + 500])
        await put(engine, *bills[at : at + 500], table=tables.usage)
    async with engine.begin() as connection:
        await connection.execute(text("ANALYZE"))
    plans = await asked_of(engine, tenant, what)
    assert plans
    if engine.dialect.name == "sqlite":
        assert all(index in plan for plan in plans), plans
        assert "FOR ORDER BY" not in str(plans)
    else:  # which of several that are as narrow is the planner's choice
        assert all("Index" in plan and "Seq Scan" not in plan for plan in plans), plans
