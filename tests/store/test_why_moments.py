"""Lines that close together are found on both databases, and an ordinary busy second is not."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sipagent.model import Reason, TenantName
from sipagent.store import tables
from sipagent.store.reading import survey
from sipagent.store.reading.moments import End, together
from sipagent.store.why import tell_span
from tests.store.kept import BEGAN, a_call, a_live, a_step, failed, put, rejected
from tests.store.support import opened

CUT = BEGAN + 600
ACME = TenantName("acme")


@pytest.fixture
async def engine(records_url: str) -> AsyncIterator[AsyncEngine]:
    async with opened(records_url) as engine:
        yield engine


@pytest.fixture
async def connection(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    async with engine.connect() as connection:
        yield await connection.execution_options(isolation_level="AUTOCOMMIT")


def cut(many: int, tenants: int = 3, *, apart: float = 0.1, **changes: Any) -> list[dict[str, Any]]:
    """Calls of some tenants that end one after the other from the cut on."""
    how = {"trunk": f"way-{tenants}"} | changes
    return [
        a_call(f"cut_{one}", tenant=f"t{one % tenants}", ended_at=CUT + one * apart, **how)
        for one in range(many)
    ]


def others(many: int, **changes: Any) -> list[dict[str, Any]]:
    """Calls that were held at the cut and end later, one a minute."""
    return [
        a_call(f"other_{one}", **({"ended_at": CUT + 60 * (one + 1)} | changes))
        for one in range(many)
    ]


def wrong(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        row | {"outcome": "failed.provider_error", "at_fault": "provider", "detail": "server_error"}
        for row in rows
    ]


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        (cut(6), [(6, 6, 6)]),
        (cut(6) + others(6), [(6, 12, 6)]),
        (cut(6) + others(7), []),
        (cut(6) + others(100), []),
        (cut(6) + [a_live(f"live_{one}") for one in range(7)], []),
        (cut(6) + [a_live(f"old_{one}", at=-9000) for one in range(7)], [(6, 6, 6)]),
        (cut(6) + others(20, ended_at=CUT - 5, outcome="completed.transferred"), [(6, 6, 6)]),
        (cut(6) + [a_call(f"new_{one}", at=610 + one) for one in range(7)], [(6, 6, 6)]),
        (cut(6) + [rejected(f"no_{one}", at=600) for one in range(20)], [(6, 6, 6)]),
        (cut(6, tenants=1), []),
        (cut(4), []),
        (cut(6, apart=0.6), []),
        (cut(6, detail="ended while no process held it"), []),
        (cut(6, outcome="completed.transferred"), []),
        (cut(6)[:4] + wrong(cut(6)[4:]), [(6, 6, 4)]),
        (wrong(cut(6)), []),
        ([*cut(6), a_call("stray", tenant="t0", ended_at=CUT - 1.8)], [(6, 6, 6)]),
        (
            cut(6)
            + [row | {"call_id": f"late_{row['call_id']}", "ended_at": CUT + 90} for row in cut(6)],
            [(6, 12, 6), (6, 6, 6)],
        ),
        ([], []),
    ],
    ids=[
        *("all", "half", "fewer than half", "of many", "of many that are live", "beside dead rows"),
        *("after others", "before others", "beside refused", "one tenant", "four", "slowly"),
        *("learned later", "sent on", "some failed", "all failed", "a stray", "twice", "none"),
    ],
)
async def test_lines_that_closed_together(
    engine: AsyncEngine,
    connection: AsyncConnection,
    rows: list[dict[str, Any]],
    found: list[tuple[int, int, int]],
) -> None:
    if rows:
        await put(engine, *rows)
    whole = await survey(connection, None, since=BEGAN, until=CUT + 7200)
    assert [(one.ended, one.held, len(one.closed)) for one in whole.moments] == found
    mine = await survey(connection, ACME, since=BEGAN, until=CUT + 7200)
    assert mine.moments == ()
    told = tell_span(whole, (), since=BEGAN, until=CUT + 7200)
    assert len(told.incidents) == (len(found) or rows == wrong(cut(6)))


async def test_what_a_cut_is_told_as(engine: AsyncEngine, connection: AsyncConnection) -> None:
    rows = cut(6)
    await put(engine, *rows[:4], *wrong(rows[4:]), *others(2))
    whole = await survey(connection, None, since=BEGAN, until=CUT + 7200)
    told = tell_span(whole, (), since=BEGAN, until=CUT + 7200)
    assert told.incidents == (
        (
            "One incident: 6 calls of 3 tenants ended within 0.5 s, from 2026-09-22 14:03:20 UTC"
            " to 14:03:20: 4 completed.line_closed, 2 failed.provider_error; 6 of the 8 calls that"
            " were held ended together; all on account us-1, by trunk way-3; at fault: unknown,"
            " provider."
        ),
    )


async def test_a_call_that_its_fallback_saved_has_gone_wrong(
    engine: AsyncEngine, connection: AsyncConnection
) -> None:
    sent_on: dict[str, Any] = {"outcome": "completed.transferred"}
    await put(
        engine,
        a_call("rtc_1", trunk="a", **sent_on),
        a_call("rtc_2", trunk="b", detail="no answer in 8 s", **sent_on),
        failed("rtc_3", Reason.PROVIDER_ERROR, trunk="b", at=9),
        a_call("rtc_4", trunk="b", **sent_on | {"tenant": "beta"}),
        a_call("rtc_5", trunk="a"),
    )
    steps = [a_step(f"rtc_{one}", 0, "fell_back") for one in (2, 3, 4, 5)]
    await put(engine, *steps, a_step("rtc_2", 1, "fell_back"), table=tables.happenings)
    whole = await survey(connection, None, since=BEGAN, until=BEGAN + 900)
    assert (whole.ended, whole.fell_back) == (5, 2)
    assert [(one.call_id, one.at_fault) for one in whole.failures] == [
        ("rtc_2", "provider"),
        ("rtc_4", "provider"),
        ("rtc_3", "provider"),
    ]
    assert whole.failures[0].detail == "no answer in 8 s"
    by = {(one.traits.tenant, one.traits.trunk): (one.bad, one.good) for one in whole.groups}
    assert by == {("acme", "a"): (0, 2), ("acme", "b"): (2, 0), ("beta", "b"): (1, 0)}
    mine = await survey(connection, ACME, since=BEGAN, until=BEGAN + 900)
    assert (mine.fell_back, len(mine.failures)) == (1, 2)


def test_a_busy_day_has_no_moment_but_the_cut() -> None:
    """Fifty ends a second of calls that last two minutes: 6,000 are held at any time."""
    ends = [
        End(at / 50 - 120, at / 50, "completed.line_closed", None, f"t{at % 40}", "us-1", None)
        for at in range(100_000)
    ]
    live = [1880 + at / 50 for at in range(6000)]
    assert list(together(ends, live)) == []
    ends += [
        End(1900.0, 2000.5, "completed.line_closed", None, f"t{at % 40}", "us-1", None)
        for at in range(7000)
    ]
    (found,) = together(ends, live)
    assert (found.held - found.ended, len(found.closed)) == (6000, found.ended)
