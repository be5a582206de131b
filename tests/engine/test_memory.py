"""What outlives the process: claims, marks and outcomes in the engine's file."""

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import fields, replace
from pathlib import Path

import pytest

from sipagent.concurrency import SystemClock
from sipagent.engine.claims import decision_to_json
from sipagent.engine.embedded import EmbeddedEngine
from sipagent.engine.memory import Memory, forget_deleted
from sipagent.errors import StoreError
from sipagent.model import CallId, Decision, Mark, Quota, QuotaScope, Reason
from sipagent.sessions.ports import Claim, HeldCall, Marked
from sipagent.sip import Headers
from tests.engine.support import a_claim, an_outcome


@asynccontextmanager
async def life(folder: Path) -> AsyncIterator[tuple[EmbeddedEngine, Sequence[HeldCall]]]:
    """One process's engine on this folder, and the calls that it has taken over."""
    memory = Memory(folder)
    memory.open()
    memory.start()
    engine = EmbeddedEngine(SystemClock(), memory)
    try:
        yield engine, await engine.adopt()
    finally:
        memory.close()


async def test_a_claim_is_taken_over_with_all_that_was_decided(tmp_path: Path) -> None:
    call, decision = a_claim()
    async with life(tmp_path) as (engine, held):
        assert not held
        await engine.offer(call, decision)
        assert await engine.mark(call.call_id, 1, Mark.GREETING) is Marked.DONE_NOW
        engine.note(call.call_id, 1, Mark.HEARD)
    async with life(tmp_path) as (engine, held):
        (one,) = held
        assert (one.call, one.decision, one.epoch, one.outcome) == (call, decision, 2, None)
        assert set(one.marks) == {Mark.GREETING, Mark.HEARD}
        assert one.claimed_at <= one.marks[Mark.GREETING]
        assert await engine.mark(call.call_id, 2, Mark.GREETING) is Marked.ALREADY
        assert await engine.mark(call.call_id, 1, Mark.REFER) is Marked.NOT_OWNER
        assert (await engine.offer(call, decision)).claim is Claim.DUPLICATE
    async with life(tmp_path) as (_, held):
        assert held[0].epoch == 3


async def test_a_call_that_has_ended_is_kept_until_the_records_have_it(tmp_path: Path) -> None:
    call, decision = a_claim()
    outcome = an_outcome(call, Reason.PROVIDER_ERROR)
    async with life(tmp_path) as (engine, _):
        await engine.offer(call, decision)
        engine.finish(outcome, 1)
    async with life(tmp_path) as (engine, held):
        assert [one.outcome for one in held] == [outcome]
        engine.finish(outcome, 2)
        engine.settled(call.call_id)
    async with life(tmp_path) as (engine, held):
        assert held == []
        # Its ids are remembered all the same.
        assert (await engine.offer(call, decision)).claim is Claim.DUPLICATE
    for name in ("engine.sqlite", "engine.sqlite-wal"):
        path = tmp_path / name
        if path.exists():
            assert b"4065550100" not in path.read_bytes()


async def test_what_is_settled_can_be_forgotten_to_the_last_byte(tmp_path: Path) -> None:
    call, decision = a_claim()
    memory = Memory(tmp_path)
    memory.open()
    engine = EmbeddedEngine(SystemClock(), memory)
    await engine.offer(call, decision)
    engine.finish(an_outcome(call), 1)
    engine.settled(call.call_id)
    assert memory.flush()
    caller, files = b"4065550100", [tmp_path / "engine.sqlite-wal", tmp_path / "engine.sqlite"]
    assert caller in files[0].read_bytes()
    forget_deleted(tmp_path)
    assert not any(caller in path.read_bytes() for path in files)
    memory.close()
    forget_deleted(tmp_path / "elsewhere")
    assert not (tmp_path / "elsewhere").exists()


def table(folder: Path, sql: str) -> list[tuple[object, ...]]:
    """What stands in the file now, while a process has it open."""
    with contextlib.closing(sqlite3.connect(folder / "engine.sqlite")) as file:
        return file.execute(sql).fetchall()


async def test_an_outcome_is_written_with_the_next_claim_in_place_of_its_marks(
    tmp_path: Path,
) -> None:
    call, decision = a_claim()
    async with life(tmp_path) as (engine, _):
        await engine.offer(call, decision)
        engine.note(call.call_id, 1, Mark.HEARD)
        engine.finish(an_outcome(call), 1)
        assert table(tmp_path, "SELECT id FROM outcomes") == []
        await engine.offer(*a_claim("rtc_2"))
        assert table(tmp_path, "SELECT id FROM outcomes") == [(1,)]
        assert table(tmp_path, "SELECT key FROM marks") == []


async def test_what_waits_for_one_claim_does_not_wait_for_another(tmp_path: Path) -> None:
    async with life(tmp_path) as (engine, _):
        for number in range(2):
            await engine.offer(*a_claim(f"rtc_{number}"))
            engine.note(CallId(f"rtc_{number}"), 1, Mark.HEARD)
        await engine.mark(CallId("rtc_1"), 1, Mark.GREETING)
        written = table(tmp_path, "SELECT id, key FROM marks ORDER BY key")
        assert written == [(2, Mark.GREETING), (2, Mark.HEARD)]
    assert len(table(tmp_path, "SELECT * FROM marks")) == 3


async def test_of_a_call_that_is_settled_at_once_only_its_ids_are_kept(tmp_path: Path) -> None:
    call, decision = a_claim()
    async with life(tmp_path) as (engine, _):
        await engine.offer(call, decision)
        engine.note(call.call_id, 1, Mark.HEARD)
        engine.finish(an_outcome(call), 1)
        engine.settled(call.call_id)
    assert table(tmp_path, "SELECT call_id, call, decision FROM claims") == [("rtc_1", None, None)]
    assert table(tmp_path, "SELECT * FROM marks") == table(tmp_path, "SELECT * FROM outcomes") == []


async def test_nothing_is_left_of_an_outcome_that_a_process_before_has_written(
    tmp_path: Path,
) -> None:
    call, decision = a_claim()
    async with life(tmp_path) as (engine, _):
        await engine.offer(call, decision)
        engine.finish(an_outcome(call), 1)
    async with life(tmp_path) as (engine, held):
        assert held[0].outcome is not None
        engine.finish(held[0].outcome, 2)
        engine.settled(call.call_id)
    assert table(tmp_path, "SELECT * FROM outcomes") == []


async def test_what_is_left_of_a_call_never_becomes_anothers(tmp_path: Path) -> None:
    async with life(tmp_path):
        """The file is there."""
    with contextlib.closing(sqlite3.connect(tmp_path / "engine.sqlite")) as file:
        file.execute("INSERT INTO outcomes VALUES (1, '{}')")
        file.execute("INSERT INTO marks VALUES (1, 'greeting', 1.0)")
        file.commit()
    call, decision = a_claim()
    async with life(tmp_path) as (engine, _):
        await engine.offer(call, decision)
        assert await engine.mark(call.call_id, 1, Mark.GREETING) is Marked.DONE_NOW
    async with life(tmp_path) as (_, held):
        assert [(one.outcome, set(one.marks)) for one in held] == [(None, {Mark.GREETING})]


def test_all_of_a_decision_is_written_but_what_matters_only_until_its_claim() -> None:
    _, decision = a_claim()
    names = {each.name for each in fields(Decision)}
    left_out = {"caps", "overflow", "if_full", "if_spent", "free", "consult"}
    assert set(json.loads(decision_to_json(decision))) == names - left_out


async def test_a_call_whose_headers_are_no_text_is_taken_over(tmp_path: Path) -> None:
    call, decision = a_claim()
    call = replace(call, headers=Headers((("x-note", "half a pair: \ud83d"),)))
    async with life(tmp_path) as (engine, _):
        await engine.offer(call, decision)
    async with life(tmp_path) as (_, held):
        assert [one.call for one in held] == [call]


async def test_an_outcome_of_a_former_owner_changes_nothing(tmp_path: Path) -> None:
    call, decision = a_claim()
    async with life(tmp_path) as (engine, _):
        await engine.offer(call, decision)
    async with life(tmp_path) as (engine, _):
        engine.finish(an_outcome(call), 1)
        assert await engine.mark(call.call_id, 2, Mark.HANG_UP) is Marked.DONE_NOW


async def test_a_refusal_is_taken_over_too_and_counts_for_no_quota(tmp_path: Path) -> None:
    call, decision = a_claim(refused=True)
    async with life(tmp_path) as (engine, _):
        await engine.offer(call, decision)
    async with life(tmp_path) as (_, held):
        assert held[0].decision.verdict == decision.verdict


async def test_calls_that_are_taken_over_count_for_their_quotas(tmp_path: Path) -> None:
    quota = Quota(QuotaScope.PROCESS, held=2)
    async with life(tmp_path) as (engine, _):
        for number in range(2):
            await engine.offer(*a_claim(f"rtc_{number}", quotas=[quota]))
    async with life(tmp_path) as (engine, held):
        call, decision = a_claim("rtc_2", quotas=[quota])
        assert (await engine.offer(call, decision)).claim is Claim.FULL
        engine.finish(an_outcome(held[0].call), 2)
        assert (await engine.offer(*a_claim("rtc_3", quotas=[quota]))).claim is Claim.OK


async def test_a_thousand_offers_at_once_are_all_written(tmp_path: Path) -> None:
    async with life(tmp_path) as (engine, _):
        await asyncio.gather(*(engine.offer(*a_claim(f"rtc_{n}")) for n in range(1_000)))
    async with life(tmp_path) as (_, held):
        assert [one.call.call_id for one in held] == [f"rtc_{n}" for n in range(1_000)]


async def test_a_data_directory_has_one_process(tmp_path: Path) -> None:
    async with life(tmp_path):
        with pytest.raises(StoreError, match="another `sipagent serve` uses this data directory"):
            Memory(tmp_path).open()
    async with life(tmp_path):
        """The lock went with the process that had it."""


async def test_a_file_of_a_newer_release_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "engine.sqlite") as connection:
        connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(StoreError, match="is of a newer release"):
        Memory(tmp_path).open()


@pytest.mark.parametrize("content", [b"no database" * 1000, b"SQLite format 3\0" + b"x" * 5000])
async def test_a_file_that_is_no_database_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "engine.sqlite").write_bytes(content)
    with pytest.raises(StoreError, match=r"engine\.sqlite: cannot be used"):
        Memory(tmp_path).open()


async def test_a_claim_that_cannot_be_read_hides_no_other(tmp_path: Path) -> None:
    async with life(tmp_path) as (engine, _):
        for number in range(3):
            await engine.offer(*a_claim(f"rtc_{number}"))
    with sqlite3.connect(tmp_path / "engine.sqlite") as connection:
        connection.execute("UPDATE claims SET decision = '{' WHERE call_id = 'rtc_1'")
    connection.close()
    async with life(tmp_path) as (_, held):
        assert [one.call.call_id for one in held] == ["rtc_0", "rtc_2"]


async def test_calls_go_on_while_the_disk_takes_nothing(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    memory.open()
    memory.start()
    engine = EmbeddedEngine(SystemClock(), memory)
    call, decision = a_claim()
    assert memory._connection is not None
    memory._connection.execute("PRAGMA query_only = ON")
    assert (await engine.offer(call, decision)).claim is Claim.OK
    assert await engine.mark(call.call_id, 1, Mark.GREETING) is Marked.DONE_NOW
    assert list(engine.defects()) == ["attempt to write a readonly database"]
    memory._connection.execute("PRAGMA query_only = OFF")
    other, second = a_claim("rtc_2")
    assert (await engine.offer(other, second)).claim is Claim.OK
    assert list(engine.defects()) == []
    memory.close()
    async with life(tmp_path) as (_, held):
        assert [set(one.marks) for one in held] == [{Mark.GREETING}, set()]


class Full:
    """A connection to a disk that takes no commit; it counts what it was asked in vain."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.full = True
        self.asked = 0

    def execute(self, sql: str, values: Sequence[object] = ()) -> sqlite3.Cursor:
        self.asked += 1
        if sql.startswith(("COMMIT", "INSERT")) and self.full:
            raise sqlite3.OperationalError("database or disk is full")
        return self.connection.execute(sql, values)

    def close(self) -> None:
        self.connection.close()


async def test_a_disk_that_stays_full_costs_each_claim_the_same(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    memory.open()
    engine = EmbeddedEngine(SystemClock(), memory)
    assert memory._connection is not None
    disk = Full(memory._connection)
    memory._connection = disk  # type: ignore[assignment]
    for number in range(1_000):
        disk.asked = 0
        await engine.offer(*a_claim(f"rtc_{number}"))
        assert disk.asked <= 110, f"{number} claims are waiting"
    disk.full = False
    memory.close()
    async with life(tmp_path) as (_, held):
        assert len(held) == 1_000


async def test_only_the_first_claim_waits_for_another_writer(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    memory.open()
    engine = EmbeddedEngine(SystemClock(), memory)
    with contextlib.closing(sqlite3.connect(tmp_path / "engine.sqlite")) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        for number in range(100):
            await engine.offer(*a_claim(f"rtc_{number}"))
        assert time.monotonic() - began < 1.0
        assert list(engine.defects()) == ["database is locked"]
        other.execute("ROLLBACK")
    await engine.offer(*a_claim("rtc_100"))
    assert list(engine.defects()) == []
    # All that waited is there as soon as nothing is said to be wrong.
    assert table(tmp_path, "SELECT count(*) FROM claims") == [(101,)]
    memory.close()
    async with life(tmp_path) as (_, held):
        assert len(held) == 101


async def test_a_claim_of_a_newer_release_is_taken_over(tmp_path: Path) -> None:
    call, decision = a_claim()
    async with life(tmp_path) as (engine, _):
        await engine.offer(call, decision)
    with sqlite3.connect(tmp_path / "engine.sqlite") as connection:
        connection.execute(
            "UPDATE claims SET call = CAST(json_set(CAST(call AS TEXT), '$.new', 1) AS BLOB),"
            " decision = CAST(json_set(CAST(decision AS TEXT), '$.new', 1, '$.verdict.new', 1,"
            " '$.verdict.plan.new', 1) AS BLOB)"
        )
    connection.close()
    async with life(tmp_path) as (_, held):
        assert [(one.call, one.decision) for one in held] == [(call, decision)]


ROOT = Path(__file__).parent.parent.parent
WRITER = textwrap.dedent("""
    import asyncio, pathlib, sys
    from sipagent.concurrency import SystemClock
    from sipagent.engine.embedded import EmbeddedEngine
    from sipagent.engine.memory import Memory, forget_deleted
    from tests.engine.support import a_claim

    async def main():
        memory = Memory(pathlib.Path(sys.argv[1]))
        memory.open()
        memory.start()
        engine = EmbeddedEngine(SystemClock(), memory)
        for number in range(100_000):
            call, decision = a_claim(f"rtc_{number}")
            await engine.offer(call, decision)
            print(f"claimed {number}", flush=True)
            await engine.mark(call.call_id, 1, "greeting")
            print(f"greeted {number}", flush=True)

    asyncio.run(main())
""")


async def test_what_was_answered_before_a_kill_is_there_after_it(tmp_path: Path) -> None:
    for round_ in range(3):
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            WRITER,
            str(tmp_path / str(round_)),
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        assert process.stdout is not None
        told = b"".join([await process.stdout.readline() for _ in range(20 + 7 * round_)])
        os.kill(process.pid, signal.SIGKILL)
        told += await process.stdout.read()
        await process.wait()
        last = told[: told.rindex(b"\n")].decode().split("\n")[-1].split()
        async with life(tmp_path / str(round_)) as (_, held):
            marks = {one.call.call_id: set(one.marks) for one in held}
            assert CallId(f"rtc_{last[1]}") in marks
            if last[0] == "greeted":
                assert marks[CallId(f"rtc_{last[1]}")] == {"greeting"}


async def test_ids_are_forgotten_with_their_rows(tmp_path: Path) -> None:
    class Later(SystemClock):
        ahead = 0.0

        def monotonic(self) -> float:
            return super().monotonic() + self.ahead

        def wall(self) -> float:
            return super().wall() + self.ahead

    clock = Later()
    memory = Memory(tmp_path)
    memory.open()
    memory.start()
    engine = EmbeddedEngine(clock, memory)
    first, decision = a_claim("rtc_1")
    await engine.offer(first, decision)
    engine.finish(an_outcome(first), 1)
    engine.settled(first.call_id)
    clock.ahead = 3601.0
    await engine.offer(*a_claim("rtc_2"))
    memory.close()
    with sqlite3.connect(tmp_path / "engine.sqlite") as connection:
        rows = connection.execute("SELECT call_id FROM claims").fetchall()
    connection.close()
    assert rows == [("rtc_2",)]
