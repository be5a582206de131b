"""What is too old is deleted, and nothing else; what a hold covers stays."""

import asyncio
from dataclasses import replace
from pathlib import Path

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from sipagent.model import CallId, Privacy
from sipagent.model.access import Scope
from sipagent.model.privacy import DAY
from sipagent.store import tables
from sipagent.store.audit import Author, verify
from sipagent.store.holds import Subject, place
from sipagent.store.purging import STEP
from sipagent.store.retention import Pruned, Retention
from sipagent.store.tokens import Wanted, create
from tests.store.forgetting import (
    ACME,
    ANN,
    BETA,
    BOB,
    KEY,
    NOW,
    At,
    Told,
    call_ids,
    count,
    eraser,
    pruner,
    session_hashes,
    tell,
    tool_words,
)
from tests.store.support import opened

WEEK, YEAR = 7 * DAY, 365 * DAY
OF_CALLS = (
    *(tables.turns, tables.happenings, tables.transfers, tables.tool_calls, tables.aliases),
    tables.usage,
)


async def test_words_go_when_their_tenants_time_has_come(records_url: str) -> None:
    async with opened(records_url) as engine:
        await tell(
            engine,
            [
                Told("old", age=31 * DAY),
                Told("young", age=29 * DAY),
                Told("week", BETA, age=8 * DAY),
                Told("day", BETA, age=DAY),
            ],
        )
        done = await pruner(engine, beta=Privacy(transcripts=WEEK)).prune()
        assert (done.turns, done.messages, done.tools, done.calls) == (4, 2, 2, 0)
        assert await call_ids(engine, tables.turns) == {"young", "day"}
        assert await call_ids(engine, tables.messages) == {"young", "day"}
        assert await tool_words(engine) == {"young", "day"}
        assert await call_ids(engine, tables.tool_calls) == {"old", "young", "week", "day"}
        assert await call_ids(engine) == {"old", "young", "week", "day"}


async def test_the_words_of_one_call_go_one_by_one(records_url: str) -> None:
    async with opened(records_url) as engine:
        await tell(engine, [Told("a", age=30 * DAY + 2.5, turns=5)])
        await pruner(engine).prune()
        async with engine.connect() as connection:
            left = (await connection.scalars(select(tables.turns.c.sequence))).all()
    assert left == [3, 4]


async def test_whole_calls_go_when_their_tenants_time_has_come(records_url: str) -> None:
    async with opened(records_url) as engine:
        await tell(
            engine,
            [
                Told("old", BETA, age=YEAR + 1, session="old", spare="older"),
                Told("young", BETA, age=YEAR - 60),
                Told("stuck", BETA, age=YEAR + 2, live=True),
                Told("for ever", ACME, age=9 * YEAR),
            ],
        )
        done = await pruner(engine, beta=Privacy(records=YEAR)).prune()
        assert done.calls == 2
        assert await call_ids(engine) == {"young", "for ever"}
        for table in OF_CALLS[1:]:
            assert await call_ids(engine, table) == {"young", "for ever"}
        assert await session_hashes(engine) == {"shared"}


async def test_usage_outlives_its_call_until_its_month_has_been_closed(records_url: str) -> None:
    async with opened(records_url) as engine:
        await tell(
            engine, [Told("a", age=2 * WEEK), Told("b", age=69 * DAY), Told("c", age=71 * DAY)]
        )
        privacy = Privacy(transcripts=WEEK, records=WEEK)
        assert (await pruner(engine, acme=privacy).prune()).calls == 3
        assert await call_ids(engine, tables.usage) == {"a", "b"}
        await pruner(engine, NOW + 70 * DAY, acme=privacy).prune()
        assert await call_ids(engine, tables.usage) == set()


async def test_what_is_held_stays_and_holds_up_nothing_else(records_url: str) -> None:
    async with opened(records_url) as engine:
        held = [Told(f"held {at}", age=2 * YEAR, turns=1) for at in range(STEP + 7)]
        other = [Told(f"other {at}", caller=BOB, age=YEAR + 1, turns=1) for at in range(STEP + 7)]
        await tell(engine, [*held, *other])
        subject = Subject(caller=KEY.fingerprint(ANN))
        assert await place(engine, subject, reason="case", by="me", at=NOW) is not None
        done = await pruner(engine, acme=Privacy(records=YEAR)).prune()
        assert (done.turns, done.calls) == (STEP + 7, STEP + 7)
        for table in (tables.calls, *OF_CALLS):
            assert await call_ids(engine, table) == {call.call_id for call in held}


async def test_words_without_a_call_go_unless_their_tenant_is_held(records_url: str) -> None:
    async with opened(records_url) as engine:
        await tell(engine, [Told("a", age=YEAR), Told("b", BETA, age=YEAR)])
        async with engine.begin() as connection:
            await connection.execute(tables.calls.delete())
        assert await place(engine, Subject(tenant=BETA), reason="case", by="me", at=NOW)
        await pruner(engine).prune()
        assert await call_ids(engine, tables.turns) == {"b"}


async def test_a_hold_on_a_call_covers_that_call_only(records_url: str) -> None:
    async with opened(records_url) as engine:
        await tell(engine, [Told("a", age=YEAR), Told("b", age=YEAR)])
        subject = Subject(call_id=CallId("a"))
        assert await place(engine, subject, reason="case", by="me", at=NOW)
        await pruner(engine).prune()
        assert await call_ids(engine, tables.turns) == {"a"}
        assert await call_ids(engine, tables.messages) == {"a"}
        assert await tool_words(engine) == {"a"}


async def test_nothing_is_deleted_twice(records_url: str) -> None:
    async with opened(records_url) as engine:
        await tell(engine, [Told("a", age=YEAR)])
        first, second = [await pruner(engine).prune() for _ in range(2)]
    assert (first.turns, first.messages, first.tools) == (2, 1, 1)
    assert second == Pruned()


async def rounds(retention: Retention, so_many: int) -> None:
    async with asyncio.timeout(30):
        while retention.rounds < so_many:  # it counts, and calls nobody
            await asyncio.sleep(0.01)


async def test_the_task_prunes_and_erases_again_what_was_erased_lately(
    records_url: str, tmp_path: Path
) -> None:
    async with opened(records_url) as engine:
        forgetting = eraser(engine, tmp_path)
        await tell(engine, [Told("old", age=YEAR), Told("live", caller=BOB, age=60.0, live=True)])
        await forgetting.erase(BOB, by="me")
        async with Retention(pruner(engine), forgetting, At(), every=0.01) as retention:
            await rounds(retention, 2)
            assert await call_ids(engine) == {"old", "live"}
            async with engine.begin() as connection:
                await connection.execute(update(tables.calls).values(outcome="completed.silence"))
            await rounds(retention, retention.rounds + 2)
        assert await call_ids(engine) == {"old"}
        assert await count(engine, tables.turns) == 0


async def test_the_task_outlives_a_database_that_is_away(records_url: str, tmp_path: Path) -> None:
    async with opened(records_url, schema=False) as engine:
        forgetting = eraser(engine, tmp_path)
        async with Retention(pruner(engine), forgetting, At(), every=0.01) as retention:
            await rounds(retention, 2)
            await _make(engine)
            await tell(engine, [Told("old", age=YEAR)])
            await rounds(retention, retention.rounds + 2)
        assert await call_ids(engine, tables.turns) == set()


async def _make(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.run_sync(tables.metadata.create_all)


async def test_all_erasures_are_repeated_once_and_then_the_late_ones(
    records_url: str, tmp_path: Path
) -> None:
    async with opened(records_url) as engine:
        early = eraser(engine, tmp_path, NOW - 30 * DAY)
        await early.erase(ANN, by="me")
        old = Told("put back", age=31 * DAY)
        await tell(engine, [old])
        async with Retention(pruner(engine), eraser(engine, tmp_path), At(), every=0.01) as task:
            await rounds(task, 1)
            assert await call_ids(engine) == set()
            await tell(engine, [replace(old, call_id="again")])
            await rounds(task, task.rounds + 2)
        assert await call_ids(engine) == {"again"}


async def test_the_audit_outlives_everything_and_keys_of_requests_a_day(
    records_url: str, tmp_path: Path
) -> None:
    async with opened(records_url) as engine:
        await tell(engine, [Told("old", age=10 * YEAR)])
        wanted = Wanted("Anna", ACME, Scope.READ, None)
        for at in (NOW - 10 * YEAR, NOW):
            await create(engine, wanted, Author("root@here"), at=at)
            row = {"token": "t", "key": str(at), "fingerprint": "f", "at": at}
            async with engine.begin() as connection:
                await connection.execute(insert(tables.idempotency).values(row))
        await pruner(engine, acme=Privacy(transcripts=WEEK, records=WEEK)).prune()
        await eraser(engine, tmp_path).erase(ANN, by="me")

        whole = await verify(engine)
        assert (whole.lines, whole.broken_at) == (2, None)
        async with engine.connect() as connection:
            keys = (await connection.scalars(select(tables.idempotency.c.key))).all()
        assert keys == [str(NOW)]
