"""Several replicas on one database: owners of a call, before and after, and writers at once."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import Table

from sipagent.model import (
    Happening,
    Reason,
    ToolStatus,
    Transfer,
    TransferEnd,
    Turn,
    Webhook,
)
from sipagent.store import tables
from sipagent.store.rows import RowKind
from tests.store.nouns import (
    Kept,
    a_call,
    accepted,
    billed,
    ending,
    keeping,
    planned,
    said,
    used,
)
from tests.store.support import execute, outage

ROUNDS = 8
ALIAS = "INSERT INTO aliases VALUES ($1, 'rtc', 'call-id') ON CONFLICT DO NOTHING"
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"

TOKENS = 410
"""Of each bill."""

SECOND_OWNER = 1_000_000
"""The first turn of a call's second owner."""

HOOKS = {"crm": Webhook("crm", "https://crm.example/events")}


class Standing:
    """A clock that stands still."""

    def monotonic(self) -> float:
        return 0.0

    def wall(self) -> float:
        return 1_790_000_000.25


@asynccontextmanager
async def replicas(
    url: str, folder: Path, count: int = 2, **options: Any
) -> AsyncIterator[Sequence[Kept]]:
    """Records of so many replicas in one database, each with a data directory of its own."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                keeping(url, folder / str(number), replica=f"host-{number}", **options)
            )
            for number in range(count)
        ]


async def stored(*all_kept: Kept) -> None:
    """All of them write at once, until nothing is left."""
    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        for kept in all_kept:
            tasks.create_task(kept.writer.flushed())


async def only(kept: Kept, table: Table) -> dict[str, Any]:
    (row,) = await kept.rows(table)
    return row


async def test_what_an_earlier_owner_tells_late_changes_nothing(
    records_url: str, tmp_path: Path
) -> None:
    """It was held still while another took the call over, and wakes up with rows to store."""
    plan = planned()
    async with replicas(records_url, tmp_path) as (before, after):
        after.records.adopted(a_call(), accepted(plan), 1000.0)
        after.records.transfer(plan, Transfer(1, None, "tel:+1", "done", TransferEnd.TAKEN))
        after.records.tool(plan, used(result=ToolStatus.UNKNOWN, output=None))
        after.records.turn(plan, Turn(SECOND_OWNER, *_WORDS, text="Later."))
        after.records.ended(ending(reason=Reason.TRANSFERRED, turns=1))
        await stored(after)
        kept = {table: await only(after, table) for table in (*_ONCE, tables.calls)}

        before.records.decided(a_call(), accepted(plan))
        before.records.transfer(plan, Transfer(1, None, "tel:+1", "silent"))
        before.records.transfer(plan, Transfer(1, None, "tel:+1", "silent", TransferEnd.BROKEN_OFF))
        before.records.tool(plan, used())
        before.records.turn(plan, said(0))
        before.records.ended(ending(reason=Reason.CONNECTION_LOST, ended_at=1030.0))
        await stored(before)

        assert {table: await only(after, table) for table in _ONCE} == {
            table: kept[table] for table in _ONCE
        }
        call = await only(after, tables.calls)
        turns = await after.rows(tables.turns)
    assert call == kept[tables.calls] | {"turns": 2}
    assert (call["outcome"], call["replica"]) == ("completed.transferred", "host-1")
    assert kept[tables.transfers]["outcome"] == "taken"
    # What it has heard while it was the owner is not lost, and stands where it was said.
    assert [turn["text"] for turn in turns] == ["Hello.", "Later."]


_WORDS = said(0).speaker, 30.0
_ONCE = (tables.transfers, tables.tool_calls)


async def test_a_transfer_is_told_twice_by_its_owner(records_url: str, tmp_path: Path) -> None:
    """Once when it begins, and once when its end is known, by whoever watches it then."""
    plan = planned()
    async with replicas(records_url, tmp_path) as (before, after):
        before.records.transfer(plan, Transfer(1, None, "tel:+1", "done"))
        await stored(before)
        assert (await only(after, tables.transfers))["outcome"] is None
        after.records.transfer(plan, Transfer(1, None, "tel:+1", "done", TransferEnd.NOT_TAKEN))
        await stored(after)

        assert (await only(after, tables.transfers))["outcome"] == "not_taken"


async def test_of_two_ends_that_are_told_at_once_one_is_kept_whole(
    postgresql_url: str, tmp_path: Path
) -> None:
    """Two owners tell of the same 150 calls, in opposite orders."""
    names = [f"rtc_{number}" for number in range(150)]
    async with replicas(postgresql_url, tmp_path, webhooks=lambda _: HOOKS) as (one, other):
        for name, opposite in zip(names, reversed(names), strict=True):
            one.records.decided(a_call(name), accepted(planned(name)))
            one.records.ended(ending(name, ended_at=1060.0, turns=1))
            other.records.adopted(a_call(opposite), accepted(planned(opposite)), 1000.0)
            other.records.ended(
                ending(opposite, reason=Reason.TRANSFERRED, ended_at=1061.0, turns=2)
            )
        await stored(one, other)
        calls = await one.rows(tables.calls)
        told = [
            row["call_id"] for row in await one.rows(tables.outbox) if row["type"] == "call.ended"
        ]
        failures = [kept.counted("sipagent_records_failures_total") for kept in (one, other)]

    ends = {(call["outcome"], call["ended_at"], call["turns"]) for call in calls}
    assert ends <= {
        ("completed.line_closed", 1060.0, 1),
        ("completed.transferred", 1061.0, 2),
    }
    assert sorted(call["call_id"] for call in calls) == sorted(names)
    assert sorted(told) == sorted(names)
    assert sorted(one.settled) == sorted(other.settled) == sorted(names)
    assert failures == [0, 0]


@pytest.mark.parametrize("shared", [1, 0])
async def test_bills_of_three_owners_add_up_and_none_counts_twice(
    postgresql_url: str, tmp_path: Path, shared: int
) -> None:
    """All write of the same calls at the same time; of `shared` bills each is heard by two."""
    names = [f"rtc_{number}" for number in range(30)]
    heard = [(0, 1), (1, 2), (2, 3)] if shared else [(0, 1), (2, 3), (4, 5)]
    async with replicas(postgresql_url, tmp_path, 3) as owners:
        for name in names:
            owners[0].records.decided(a_call(name), accepted(planned(name)))
        await stored(owners[0])
        for round_ in range(ROUNDS):
            for number, owner in enumerate(owners):
                for name in names:
                    for bill in heard[number]:
                        owner.records.used(planned(name), billed(f"resp_{round_}_{bill}"))
                    if round_ == number:
                        owner.records.ended(ending(name))
            await stored(*owners)
        calls = await owners[0].rows(tables.calls)
        usage = await owners[0].rows(tables.usage)

    each = ROUNDS * len({bill for bills in heard for bill in bills})
    assert len(usage) == len(names) * each
    assert {call["tokens"] for call in calls} == {each * TOKENS}
    assert {call["cost"] for call in calls} == {each * 1234}


async def test_replicas_that_write_the_same_rows_wait_for_each_other_in_turn(
    postgresql_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever order they are told in: else the database would have to give up one of them."""
    monkeypatch.setattr("sipagent.store.sinks._ATTEMPTS", 1)
    rows = [(f"alias-{number}", "rtc", "call-id") for number in range(400)]
    async with replicas(postgresql_url, tmp_path, 3) as all_kept:
        for _ in range(5):
            for kept, turn in zip(all_kept, (1, -1, 1), strict=True):
                for row in rows[::turn]:
                    kept.writer.put(RowKind.ALIAS, row)
            await stored(*all_kept)
            await execute(postgresql_url, "TRUNCATE aliases")
        failures = [kept.counted("sipagent_records_failures_total") for kept in all_kept]

    assert failures == [0, 0, 0]


async def test_replicas_that_are_in_each_others_way_try_again_at_once(
    postgresql_url: str, tmp_path: Path
) -> None:
    """Each has a row of a call that the other one is about to write: the database gives up one."""
    async with replicas(postgresql_url, tmp_path, 1) as (kept,):
        other = await asyncpg.connect(postgresql_url)
        try:
            await other.execute("SET deadlock_timeout = '60s'")
            transaction = other.transaction()
            await transaction.start()
            await other.execute(ALIAS, "b")
            kept.records.decided(a_call("a"), accepted(planned("a")))
            kept.writer.put(RowKind.ALIAS, ("a", "rtc", "call-id"))
            kept.writer.put(RowKind.ALIAS, ("b", "rtc", "call-id"))
            async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
                tasks.create_task(kept.writer.flushed())
                while not await other.fetchval(WAITING):
                    await asyncio.sleep(0.005)
                await other.execute(ALIAS, "a")
                await transaction.commit()
        finally:
            await other.close()
        aliases = [row["alias"] for row in await kept.rows(tables.aliases)]

        assert kept.counted("sipagent_records_failures_total") == 0
    assert {"a", "b"} <= set(aliases)
    assert kept.counted("sipagent_records_dropped_total", kind="alias") == 0


async def test_turns_keep_their_order_over_owners(postgresql_url: str, tmp_path: Path) -> None:
    """Each counts from a million of its own, whichever is stored first."""
    plan = planned()
    async with replicas(postgresql_url, tmp_path, 3) as owners:
        for epoch in (2, 0, 1):
            first = epoch * SECOND_OWNER
            for sequence in (first + 1, first):
                owners[epoch].records.turn(plan, said(sequence, f"{epoch}: {sequence - first}"))
            await stored(owners[epoch])
        turns = await owners[0].rows(tables.turns)

    assert [turn["text"] for turn in turns] == ["0: 0", "0: 1", "1: 0", "1: 1", "2: 0", "2: 1"]


async def test_steps_of_the_same_moment_are_all_kept(postgresql_url: str, tmp_path: Path) -> None:
    """Their numbers are made of the time: here it stands still."""
    plan = planned()
    async with replicas(postgresql_url, tmp_path, 3, clock=Standing()) as owners:
        for owner in owners:
            for what in (Happening.ATTACHED, Happening.DROPPED, Happening.ADOPTED):
                owner.records.happened(plan, what)
        await stored(*owners)
        steps = [row["what"] for row in await owners[0].rows(tables.happenings)]

    assert steps == ["attached"] * 3 + ["dropped"] * 3 + ["adopted"] * 3


async def test_what_a_killed_replica_has_left_is_stored_once_by_whoever_reads_it(
    postgresql_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meanwhile another one has taken its call over, and has ended it."""
    monkeypatch.setattr("sipagent.store.writer.CLOSE_WITHIN", 0.3)
    plan = planned()
    async with replicas(postgresql_url, tmp_path, 1):
        pass
    with outage(postgresql_url):
        async with replicas(postgresql_url, tmp_path, 1) as (killed,):
            killed.records.decided(a_call(), accepted(plan))
            for bill in ("resp_1", "resp_2"):
                killed.records.used(plan, billed(bill))
            killed.records.transfer(plan, Transfer(1, None, "tel:+1", "done"))
    async with keeping(postgresql_url, tmp_path / "other", replica="host-9") as heir:
        heir.records.adopted(a_call(), accepted(plan), 1000.0)
        for bill in ("resp_2", "resp_3"):
            heir.records.used(plan, billed(bill))
        heir.records.transfer(plan, Transfer(1, None, "tel:+1", "done", TransferEnd.TAKEN))
        heir.records.ended(ending(reason=Reason.TRANSFERRED))
        await stored(heir)
        assert (await only(heir, tables.calls))["tokens"] == 2 * TOKENS
        async with keeping(postgresql_url, tmp_path / "0", replica="host-10") as reader:
            await stored(reader)
            call = await only(reader, tables.calls)
            usage = await reader.rows(tables.usage)
            transfer = await only(reader, tables.transfers)

    assert (call["outcome"], call["replica"]) == ("completed.transferred", "host-9")
    assert call["tokens"] == 3 * TOKENS
    assert [row["source_id"] for row in usage] == ["resp_1", "resp_2", "resp_3"]
    assert transfer["outcome"] == "taken"


async def test_an_older_use_of_a_session_does_not_make_it_older(
    records_url: str, tmp_path: Path
) -> None:
    plan = planned()
    async with replicas(records_url, tmp_path) as (one, other):
        for kept, at in ((one, 5_000.0), (other, 4_000.0)):
            kept.records.adopted(a_call(f"rtc_{at}"), accepted(plan), at)
            await stored(kept)
        session = await only(one, tables.sessions)
        assert session["last_used_at"] == 5_000.0
        one.records.adopted(a_call("rtc_3"), accepted(plan), 9_000.0)
        await stored(one)

        assert (await only(one, tables.sessions))["last_used_at"] == 9_000.0
