"""What the metrics say of a replica: what has changed hands, and whether its engine answers."""

import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sipagent.concurrency import SystemClock
from sipagent.engine.redis.room import SharedRoom
from sipagent.engineroom import EmbeddedRoom, EngineRoom
from sipagent.metrics import Metrics
from sipagent.model import CallId
from sipagent.sessions.ports import HeldCall
from sipagent.standing import Standing
from tests.engine.replicas import replica
from tests.engine.support import a_claim, an_outcome
from tests.servers import RedisServer
from tests.waiting import eventually

LEASE, HEARTBEAT = 1.0, 0.2


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer(own=True) as running:
        yield running


@dataclass
class Switchboard:
    """Who holds a room's calls: it has room for all, and goes on with none of them."""

    taken: list[CallId] = field(default_factory=list)
    gone: list[CallId] = field(default_factory=list)

    @property
    def holder(self) -> "Switchboard":
        return self

    async def take_over(self, held: Sequence[HeldCall]) -> None:
        self.taken += [one.call.call_id for one in held]

    def act(self, call_id: CallId, want: str) -> bool:
        return False

    def let_go(self, call_id: CallId) -> None:
        self.gone.append(call_id)

    def wind_down(self, calls: Sequence[CallId]) -> None:
        raise AssertionError("no budget is used up")

    def resume(self) -> None:
        """Nothing has waited."""

    def has_room(self) -> bool:
        return True


@asynccontextmanager
async def room(url: str, name: str) -> AsyncIterator[SharedRoom]:
    made = SharedRoom(url, name, SystemClock(), lambda _: None, lease=LEASE, heartbeat=HEARTBEAT)
    await made.begin(Switchboard())
    yield made
    await made.close()


def told(made: EngineRoom) -> dict[str, float]:
    """What Prometheus gets to see, by name and labels."""
    metrics = Metrics()
    metrics.observe_replica(made.standing)
    shown = re.findall(
        r"^sipagent_((?:engine|replica)\S*) (\S+)$", metrics.exposition().decode(), re.MULTILINE
    )
    return {name: float(value) for name, value in shown}


async def test_what_changes_hands_is_counted(server: RedisServer) -> None:
    server.empty()
    async with replica(server.url, "one") as one, replica(server.url, "two") as two:
        for number in range(4):
            await one.engine.offer(*a_claim(f"rtc_{number}"))
        await one.abandon(CallId("rtc_1"))
        await two.leases.adopt()
        await one.leases.renew()
        assert one.engine.tally.changes() == changes(lost=1)
        assert two.engine.tally.changes() == changes(taken_over=1)
        one.engine.finish(an_outcome(a_claim("rtc_0")[0]), 1)  # it is over, and stays
        assert await one.leases.hand_over() == 2
        await two.leases.adopt()
        assert one.engine.tally.changes() == changes(lost=1, handed_over=2)
        assert two.engine.tally.changes() == changes(taken_over=3)


async def test_calls_that_the_engine_has_forgotten_are_counted_once(server: RedisServer) -> None:
    server.empty()
    async with replica(server.url, "one") as one:
        for number in range(3):
            await one.engine.offer(*a_claim(f"rtc_{number}"))
        server.empty()
        for _ in range(2):
            await one.leases.renew()
        assert one.engine.tally.changes() == changes(registered=3)


async def test_an_engine_that_goes_away_and_comes_back_shows(server: RedisServer) -> None:
    server.empty()
    async with room(server.url, "one") as one:
        held, decision = a_claim("rtc_0")
        await one.engine.offer(held, decision)
        well = told(one)
        assert well.pop("engine_renewed_seconds") < LEASE
        assert well == {
            "engine_answers": 1,
            "engine_steps_waiting": 0,
            "replica_passive": 0,
            **{f'replica_calls_total{{change="{name}"}}': 0 for name in changes()},
        }
        server.kill()
        await eventually(lambda: told(one)["engine_answers"] == 0)
        await one.engine.offer(*a_claim("rtc_1"))
        one.engine.note(held.call_id, 1, "heard")
        await eventually(lambda: told(one)["replica_passive"] == 1)
        away = told(one)
        assert away["engine_renewed_seconds"] >= 0.9 * LEASE
        assert away["engine_steps_waiting"] == 1
        assert away['replica_calls_total{change="alone"}'] == 1
        server.start()
        await eventually(lambda: told(one)["engine_answers"] == 1)
        await eventually(lambda: told(one)["engine_steps_waiting"] == 0)
        back = told(one)
        assert back["replica_passive"] == 0
        assert back["engine_renewed_seconds"] < LEASE
        assert back['replica_calls_total{change="registered"}'] >= 1


async def test_a_replica_that_shares_no_engine_shows_none(tmp_path: Path) -> None:
    made = EmbeddedRoom(tmp_path, SystemClock(), lambda _: None)
    made.start()
    assert made.standing() is None
    assert told(made) == {}
    await made.close()


def test_counts_are_counters_and_states_are_gauges() -> None:
    metrics = Metrics()
    standing = Standing(answers=True, passive=False, renewed=0.5, steps=7, changes={"lost": 2})
    metrics.observe_replica(lambda: standing)
    text = metrics.exposition().decode()
    kinds = dict(re.findall(r"^# TYPE sipagent_((?:engine|replica)\S+) (\S+)$", text, re.MULTILINE))
    assert kinds == {
        "engine_answers": "gauge",
        "engine_renewed_seconds": "gauge",
        "engine_steps_waiting": "gauge",
        "replica_passive": "gauge",
        "replica_calls_total": "counter",
    }
    assert "sipagent_engine_renewed_seconds 0.5\n" in text
    assert 'sipagent_replica_calls_total{change="lost"} 2.0\n' in text


def changes(**counted: int) -> dict[str, int]:
    """All numbers of a tally: these, and 0 for the others."""
    names = ("taken_over", "handed_over", "lost", "registered", "alone")
    return {**dict.fromkeys(names, 0), **counted}
