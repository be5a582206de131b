"""How rows get into the database: in time, in bounds, and whatever becomes of the database."""

import asyncio
import socket
import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from sqlalchemy import text

from sipagent.errors import StoreError
from sipagent.store import tables
from sipagent.store.buffer import MOST_SPARE, Buffer
from sipagent.store.rows import RowKind
from sipagent.store.schema import upgrade
from tests.store.nouns import a_call, accepted, billed, ending, keeping, planned, said
from tests.store.support import EXPANDED, NEWER, later, located, opened, outage

FLOOD = MOST_SPARE + 2_000
CALLS = 40
BILLS = 5


async def test_an_outage_loses_nothing_final_and_counts_the_turns_that_it_loses(
    records_url: str, tmp_path: Path
) -> None:
    async with keeping(records_url, tmp_path / "data") as kept:
        kept.records.decided(a_call("before"), accepted(planned("before")))
        await kept.writer.flushed()
        with outage(records_url):
            for number in range(CALLS):
                plan = planned(f"rtc_{number}")
                kept.records.decided(a_call(plan.call_id), accepted(plan))
                for bill in range(BILLS):
                    kept.records.used(plan, billed(f"resp_{bill}"))
            for turn in range(FLOOD):
                kept.records.turn(planned("rtc_0"), said(turn))
            await until_troubled(kept.writer)
            for number in range(CALLS):
                kept.records.ended(ending(f"rtc_{number}"))
            waiting, away = len(kept.writer), kept.writer.defects()[0]
        await kept.writer.flushed()
        calls = await kept.rows(tables.calls)
        usage = await kept.rows(tables.usage)
        turns = await kept.rows(tables.turns)
        dropped = kept.counted("sipagent_records_dropped_total", kind="turn")

        assert kept.counted("sipagent_records_failures_total") >= 1
        assert [defect.code for defect in kept.writer.defects()] == ["rows-dropped"]
    assert away.code == "away"
    assert MOST_SPARE < waiting <= MOST_SPARE + CALLS * (BILLS + 5)
    ended = {call["call_id"]: call["tokens"] for call in calls if call["outcome"] is not None}
    assert ended == {f"rtc_{number}": BILLS * 410 for number in range(CALLS)}
    assert len(usage) == CALLS * BILLS
    assert len(turns) + dropped == FLOOD
    assert [turn["sequence"] for turn in turns] == list(range(FLOOD - len(turns), FLOOD))
    assert len(kept.settled) == CALLS


async def until_troubled(writer: object) -> None:
    """Wait until an attempt to store has failed."""
    async with asyncio.timeout(15):
        while not any(defect.code == "away" for defect in writer.defects()):  # type: ignore[attr-defined]
            await asyncio.sleep(0.01)


async def test_a_full_disk_is_told_and_calls_go_on(sqlite_url: str, tmp_path: Path) -> None:
    async with keeping(sqlite_url, tmp_path / "data") as kept:
        with outage(sqlite_url):
            for number in range(20):
                plan = planned(f"rtc_{number}")
                kept.records.decided(a_call(plan.call_id), accepted(plan))
            await until_troubled(kept.writer)
            codes = {defect.code for defect in kept.writer.defects()}
        await kept.writer.flushed()

        assert codes == {"away", "spool"}
        assert len(await kept.rows(tables.calls)) == 20
        assert kept.writer.defects() == []


async def test_rows_are_stored_a_quarter_of_a_second_later(
    records_url: str, tmp_path: Path
) -> None:
    async with keeping(records_url, tmp_path) as kept:
        began = time.monotonic()
        kept.records.turn(planned(), said(0))
        async with asyncio.timeout(5):
            while len(kept.writer):
                await asyncio.sleep(0.005)

        assert time.monotonic() - began >= 0.2
        assert len(await kept.rows(tables.turns)) == 1


async def test_an_outcome_is_stored_sooner(records_url: str, tmp_path: Path) -> None:
    settled = asyncio.Event()
    async with keeping(records_url, tmp_path, settled=lambda _: settled.set()) as kept:
        kept.records.ended(ending())
        async with asyncio.timeout(0.2):
            await settled.wait()


async def test_the_end_stores_what_is_left(records_url: str, tmp_path: Path) -> None:
    async with keeping(records_url, tmp_path) as kept:
        for number in range(1_200):
            kept.records.turn(planned(), said(number))
    async with opened(records_url) as engine, engine.connect() as connection:
        found = (await connection.execute(text("SELECT count(*) FROM turns"))).scalar_one()

    assert found == 1_200


async def test_a_row_after_the_end_is_counted(sqlite_url: str, tmp_path: Path) -> None:
    async with keeping(sqlite_url, tmp_path) as kept:
        pass
    kept.records.ended(ending())

    assert kept.counted("sipagent_records_dropped_total", kind="outcome") == 1
    assert [defect.code for defect in kept.writer.defects()] == ["rows-dropped"]


async def test_what_the_end_could_not_store_is_stored_by_the_next_process(
    postgresql_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sipagent.store.writer.CLOSE_WITHIN", 0.5)
    async with keeping(postgresql_url, tmp_path):
        pass
    with outage(postgresql_url):
        async with keeping(postgresql_url, tmp_path) as kept:
            kept.records.decided(a_call(), accepted(planned()))
            kept.records.used(planned(), billed("resp_1"))
            kept.records.ended(ending())
            assert [defect.code for defect in kept.writer.defects()] == ["away"]
    async with keeping(postgresql_url, tmp_path) as kept:
        await kept.writer.flushed()
        (call,) = await kept.rows(tables.calls)

    assert (call["outcome"], call["tokens"]) == ("completed.line_closed", 410)
    assert kept.settled == ["rtc_1"]
    assert [path.stat().st_size for path in sorted(tmp_path.glob("records.spool.*"))] == [0, 0]


async def test_a_service_starts_while_its_server_is_away(
    postgresql_url: str, tmp_path: Path
) -> None:
    """It brings the schema when the server is there."""
    with outage(postgresql_url):
        stack = AsyncExitStack()
        kept = await stack.enter_async_context(keeping(postgresql_url, tmp_path))
        kept.records.ended(ending())
    async with stack:
        await kept.writer.flushed()

        assert len(await kept.rows(tables.calls)) == 1
        assert kept.writer.defects() == []


async def test_without_migrations_the_schema_is_waited_for(
    records_url: str, tmp_path: Path
) -> None:
    async with keeping(records_url, tmp_path, migrate=False) as kept:
        kept.records.ended(ending())
        (defect,) = kept.writer.defects()
        assert "has an older schema: run `sipagent db upgrade`" in defect.detail
        await upgrade(kept.writer.engine, located(records_url))
        await kept.writer.flushed()

        assert len(await kept.rows(tables.calls)) == 1
        assert kept.writer.defects() == []


async def test_a_newer_schema_stops_the_start(records_url: str, tmp_path: Path) -> None:
    async with opened(records_url, schema=False) as engine:
        await upgrade(engine, located(records_url))
        await later(engine, NEWER)

    with pytest.raises(StoreError, match="schema 9999"):
        async with keeping(records_url, tmp_path):
            pass


@pytest.mark.parametrize("migrate", [True, False])
async def test_the_schema_of_the_next_release_takes_what_this_one_stores(
    records_url: str, tmp_path: Path, *, migrate: bool
) -> None:
    async with opened(records_url, schema=False) as engine:
        await upgrade(engine, located(records_url))
        await later(engine, EXPANDED)

    async with keeping(records_url, tmp_path, migrate=migrate) as kept:
        kept.records.ended(ending())
        await kept.writer.flushed()

        assert kept.writer.defects() == []
        assert len(await kept.rows(tables.calls)) == 1


async def test_a_file_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    file = tmp_path / "records.sqlite"
    file.write_bytes(b"no database, whatever its name says" * 100)

    with pytest.raises(StoreError, match="cannot be used"):
        async with keeping(f"sqlite:///{file}", tmp_path):
            pass


async def test_a_black_hole_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that takes connections and never answers."""
    monkeypatch.setattr("sipagent.store.database.CONNECT_WITHIN", 0.2)
    monkeypatch.setattr("sipagent.store.writer.CLOSE_WITHIN", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://u@127.0.0.1:{silent.getsockname()[1]}/calls"
        began = time.monotonic()
        async with keeping(url, tmp_path) as kept:
            kept.records.ended(ending())
            assert "no answer in time" in kept.writer.defects()[0].detail

    assert time.monotonic() - began < 5


def test_a_buffer_gives_up_its_oldest_turns_and_nothing_final() -> None:
    buffer = Buffer(most=2)
    kinds = [RowKind.TURN, RowKind.CALL, RowKind.HAPPENING, RowKind.TOOL, RowKind.TURN]
    given_up = [list(buffer.add(kind, (number,))) for number, kind in enumerate(kinds)]

    assert given_up == [[], [], [], [(RowKind.TURN, (0,))], [(RowKind.HAPPENING, (2,))]]
    assert list(buffer.add(RowKind.USAGE, (5,))) == []
    assert (len(buffer), buffer.finals) == (4, 2)


def test_what_was_taken_and_is_put_back_comes_first_again() -> None:
    buffer = Buffer()
    rows = [(RowKind.CALL, (1,)), (RowKind.TURN, (2,)), (RowKind.OUTCOME, (3,))]
    for kind, row in rows:
        buffer.add(kind, row)
    taken = buffer.take(2)
    buffer.add(RowKind.CALL, (4,))
    buffer.put_back(taken)

    assert [row for _, row in buffer.take(10)] == [(1,), (3,), (4,), (2,)]
