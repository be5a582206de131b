"""A statement counts calls that are erased, or deleted by age, as it did before."""

from pathlib import Path
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from sipagent.model import Privacy
from sipagent.model.privacy import DAY
from sipagent.routing.moment import day_and_month
from sipagent.store import tables
from sipagent.store.billing import Statement, close_due, statement_of
from tests.store.forgetting import ACME, ANN, BETA, BOB, NOW, Told, call_ids, eraser, pruner, tell
from tests.store.support import opened

WEEK = 7 * DAY
MONTH = day_and_month(NOW - DAY, None)[1]


def told(call: str, *, complete: bool | None = True, answered: bool = True, **more: Any) -> Told:
    """A call of a day ago that ended a minute after its answer."""
    began = NOW - DAY
    times = {"answered_at": began + 1 if answered else None, "ended_at": began + 61}
    return Told(call, values={"usage_complete": complete, **times}, **more)


CALLS = (
    told("a"),
    told("lost", complete=False),
    told("rejected", complete=None, answered=False),
    told("bob", caller=BOB),
    told("other", tenant=BETA),
)
COUNTED = (4, 3, 1, 180)


def counted(found: Statement) -> tuple[int, int, int, int]:
    return found.calls, found.answered, found.incomplete, found.seconds


async def now_counted(engine: AsyncEngine) -> tuple[int, int, int, int]:
    return counted(await statement_of(engine, ACME, MONTH, None))


async def test_erased_calls_count_once_however_often_they_are_erased(
    records_url: str, tmp_path: Path
) -> None:
    async with opened(records_url) as engine:
        await tell(engine, CALLS)
        before = await statement_of(engine, ACME, MONTH, None)
        assert counted(before) == COUNTED
        forgetting = eraser(engine, tmp_path)
        await forgetting.erase(ANN, by="me")
        assert await call_ids(engine) == {"bob"}
        assert await statement_of(engine, ACME, MONTH, None) == before
        async with engine.begin() as connection:  # an old copy of all other tables is put back
            for table in tables.metadata.tables.values():
                if table is not tables.deleted_calls:
                    await connection.execute(delete(table))
        await tell(engine, CALLS)
        assert await call_ids(engine, tables.deleted_calls) == {"a", "lost", "rejected", "other"}
        assert await statement_of(engine, ACME, MONTH, None) == before
        assert (await forgetting.replay()).calls == 4
        assert (await forgetting.replay()).calls == 0
        assert await statement_of(engine, ACME, MONTH, None) == before


async def test_calls_deleted_by_age_count_until_their_bills_go(records_url: str) -> None:
    async with opened(records_url) as engine:
        await tell(engine, CALLS)
        privacy = Privacy(transcripts=DAY, records=WEEK)
        for later in (8 * DAY, 8 * DAY, 69 * DAY - 1):
            await pruner(engine, NOW + later, acme=privacy).prune()
            assert await call_ids(engine) == {"other"}
            assert await now_counted(engine) == COUNTED
        await pruner(engine, NOW + 69 * DAY + 1, acme=privacy).prune()
        assert await call_ids(engine, tables.deleted_calls) == set()
        assert await call_ids(engine, tables.usage) == {"other"}


async def test_a_month_of_which_only_deleted_calls_are_left_is_closed(
    records_url: str, tmp_path: Path
) -> None:
    async with opened(records_url) as engine:
        await tell(engine, CALLS)
        await eraser(engine, tmp_path).erase(ANN, by="me")
        async with engine.begin() as connection:
            await connection.execute(delete(tables.usage))
            await connection.execute(delete(tables.calls))
        closed = await close_due(engine, {}, NOW + 45 * DAY)
    assert [(each.tenant, counted(each)) for each in closed if each.month == MONTH] == [
        (ACME, (3, 2, 1, 120)),
        (BETA, (1, 1, 0, 60)),
    ]


async def test_what_comes_of_a_deleted_call_afterwards_counts(
    records_url: str, tmp_path: Path
) -> None:
    unknown = {"answered_at": None, "ended_at": None, "usage_complete": None}
    async with opened(records_url) as engine:
        await tell(engine, [told("a")])
        async with engine.connect() as connection:
            (known,) = (await connection.execute(select(tables.calls))).mappings().all()
        async with engine.begin() as connection:
            await connection.execute(update(tables.calls).values(**unknown))
        forgetting = eraser(engine, tmp_path)
        await forgetting.erase(ANN, by="me")
        assert await now_counted(engine) == (1, 0, 0, 0)
        for values in ({}, unknown):
            async with engine.begin() as connection:
                await connection.execute(insert(tables.calls).values(**{**known, **values}))
            assert (await forgetting.replay()).calls == 1
            assert await now_counted(engine) == (1, 1, 0, 60)
