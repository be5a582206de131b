"""A real PostgreSQL goes away under three replicas, as servers do, and comes back."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import (
    AbstractContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from pathlib import Path

import pytest

from sipagent.store import tables
from tests.servers import PostgresServer
from tests.store.nouns import Kept, a_call, accepted, billed, ending, keeping, planned, said
from tests.store.support import postgresql_database
from tests.waiting import eventually

BILLS, TURNS = 3, 2
TOKENS = 410
"""Of each bill."""


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """One of our own, which can be killed and held still."""
    with PostgresServer() as server:
        yield server


@pytest.fixture
def url(server: PostgresServer) -> Iterator[str]:
    with postgresql_database(server.url) as url:
        yield url


@contextmanager
def killed(server: PostgresServer) -> Iterator[None]:
    """Connections break, and new ones are refused."""
    server.kill()
    try:
        yield
    finally:
        server.start()


@contextmanager
def held_still(server: PostgresServer) -> Iterator[None]:
    """Nobody refuses anything, and nobody answers. What was sent meanwhile is carried out later."""
    server.pause()
    try:
        yield
    finally:
        server.resume()


class Load:
    """Calls of all replicas, one after the other, each with its bills, turns and end."""

    def __init__(self, all_kept: Sequence[Kept]) -> None:
        self.names: list[str] = []
        self._all_kept = all_kept

    def step(self) -> None:
        """Each replica has had one more call."""
        for number, kept in enumerate(self._all_kept):
            name = f"rtc_{number}_{len(self.names)}"
            plan = planned(name)
            kept.records.decided(a_call(name), accepted(plan))
            for turn in range(TURNS):
                kept.records.turn(plan, said(turn))
            for bill in range(BILLS):
                kept.records.used(plan, billed(f"resp_{bill}"))
            kept.records.ended(ending(name))
            self.names.append(name)

    async def until(self, seen: Callable[[], bool]) -> None:
        """More and more calls, until there is this to see."""
        async with asyncio.timeout(60):
            while not seen():
                self.step()
                await asyncio.sleep(0.01)


@asynccontextmanager
async def loaded(url: str, folder: Path) -> AsyncIterator[tuple[Sequence[Kept], Load]]:
    """Three replicas that have stored their first calls."""
    async with AsyncExitStack() as stack:
        all_kept = [
            await stack.enter_async_context(keeping(url, folder / name, replica=name))
            for name in ("host-0", "host-1", "host-2")
        ]
        load = Load(all_kept)
        await load.until(lambda: all(kept.settled for kept in all_kept))
        yield all_kept, load


@pytest.mark.parametrize(
    ("away", "within"),
    [
        pytest.param(killed, 10.0, id="killed"),
        pytest.param(held_still, 10.0, id="held still"),
        pytest.param(held_still, 0.3, id="held still for longer than a transaction may take"),
    ],
)
async def test_an_outage_under_three_replicas_loses_nothing_and_doubles_nothing(
    server: PostgresServer,
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    away: Callable[[PostgresServer], AbstractContextManager[None]],
    within: float,
) -> None:
    monkeypatch.setattr("sipagent.store.writer.FLUSH_WITHIN", within)
    monkeypatch.setattr("sipagent.store.outage.LATE", 0.2)
    gives_up = away is killed or within < 1

    async with loaded(url, tmp_path) as (all_kept, load):

        def failures() -> list[float]:
            return [kept.counted("sipagent_records_failures_total") for kept in all_kept]

        with away(server):
            await load.until(lambda: all(kept.writer.away for kept in all_kept))
            if gives_up:
                await load.until(lambda: all(failures()))
            else:  # it is told before anything has failed, and nothing does
                assert failures() == [0, 0, 0]
            told = {defect.code for kept in all_kept for defect in kept.writer.defects()}
            waiting = [len(kept.writer) for kept in all_kept]
        await load.until(lambda: not any(kept.writer.away for kept in all_kept))
        for kept in all_kept:
            async with asyncio.timeout(30):
                await kept.writer.flushed()
        calls = await all_kept[0].rows(tables.calls)
        usage = await all_kept[0].rows(tables.usage)
        turns = await all_kept[0].rows(tables.turns)
        wrong = [defect for kept in all_kept for defect in kept.writer.defects()]
        settled = [name for kept in all_kept for name in kept.settled]

    assert told == {"away"}
    assert all(waiting)
    assert wrong == []
    assert {call["call_id"]: (call["outcome"], call["tokens"]) for call in calls} == dict.fromkeys(
        load.names, ("completed.line_closed", BILLS * TOKENS)
    )
    assert len(usage) == BILLS * len(load.names)
    assert len(turns) == TURNS * len(load.names)
    assert sorted(settled) == sorted(load.names)


async def test_a_server_that_comes_back_is_found_without_a_row_to_store(
    server: PostgresServer, url: str, tmp_path: Path
) -> None:
    """Where no call is taken without records there would never be one."""
    async with AsyncExitStack() as stack:
        with killed(server):
            kept = await stack.enter_async_context(keeping(url, tmp_path))
            assert [defect.code for defect in kept.writer.defects()] == ["away"]
            assert len(kept.writer) == 0
        await eventually(lambda: not kept.writer.away)

        assert kept.writer.defects() == []
        assert await kept.rows(tables.calls) == []
