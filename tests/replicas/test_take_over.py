"""Three replicas hold calls; one of them is killed, stopped or cut off, and nobody notices."""

import asyncio
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import Proxy
from tests.process.running import AGENTS, QUIET, RECEPTION
from tests.process.test_kill import greetings, restored, sockets
from tests.replicas.fleet import Fleet, fleet, servers
from tests.servers import FLAVOURS, PostgresServer, RedisServer
from tests.toxics import BlackHole
from tests.waiting import eventually

Servers = tuple[RedisServer, PostgresServer]


@pytest.fixture(scope="module", params=FLAVOURS)
def running(request: pytest.FixtureRequest) -> Iterator[Servers]:
    with servers(request.param) as both:
        yield both


async def greeted(made: Fleet, calls: list[str]) -> None:
    for call_id in calls:
        await made.simulator.until(call_id, restored, timeout=30)


async def over(made: Fleet, calls: list[str]) -> None:
    """All callers hang up, and each call has one outcome, of whichever replica."""
    for call_id in calls:
        made.simulator.hang_up(call_id)

    def told() -> bool:
        ended = [line["call_id"] for lines in made.logged("call ended").values() for line in lines]
        return set(calls) <= set(ended)

    await eventually(told)


async def test_calls_of_a_replica_that_is_killed_are_taken_over(
    tmp_path: Path, running: Servers
) -> None:
    redis, postgres = running
    redis.empty()
    async with fleet(tmp_path, redis.url, postgres.url, AGENTS) as made:
        calls = await made.place(60, RECEPTION)
        await greeted(made, calls)
        victim = made.alive[0]
        theirs = made.taken[victim]
        assert len(theirs) == 20
        began = time.monotonic()
        await made.kill(victim)
        for call_id in theirs:
            await made.simulator.until(call_id, lambda call: call.attachments == 2, timeout=30)
        took = time.monotonic() - began
        told = [made.simulator.call(call_id) for call_id in calls]
        assert {sockets(call) for call in told} == {1}
        assert {len(call.accepts) for call in told} == {1}
        assert {greetings(call) for call in told} == {1}
        assert sum(call.attachments for call in told) == len(calls) + len(theirs)
        await over(made, calls)
        ended = [line["call_id"] for lines in made.logged("call ended").values() for line in lines]
        assert sorted(ended) == sorted(calls)
        assert took < 10
    print(f"{len(theirs)} of 60 calls taken over {took:.2f} s after the kill")


async def test_calls_are_handed_over_by_a_replica_that_is_told_to_end(
    tmp_path: Path, running: Servers
) -> None:
    redis, postgres = running
    redis.empty()
    async with fleet(tmp_path, redis.url, postgres.url, AGENTS, replicas=2) as made:
        first, _ = made.alive
        calls = await made.place(20, QUIET, first)
        for call_id in calls:
            await made.simulator.until(call_id, lambda call: call.attachments == 1, timeout=30)
        assert await made.stop(first) == 0
        for call_id in calls:
            await made.simulator.until(call_id, lambda call: call.attachments == 2, timeout=30)
        told = [made.simulator.call(call_id) for call_id in calls]
        assert {sockets(call) for call in told} == {1}
        assert not any(call.ended for call in told)
        await over(made, calls)


async def test_a_replica_that_sleeps_longer_than_its_lease_does_nothing_when_it_wakes(
    tmp_path: Path, running: Servers
) -> None:
    redis, postgres = running
    redis.empty()
    async with fleet(tmp_path, redis.url, postgres.url, AGENTS, replicas=2) as made:
        first, _ = made.alive
        calls = await made.place(10, QUIET, first)
        for call_id in calls:
            await made.simulator.until(call_id, lambda call: call.attachments == 1, timeout=30)
        made.replicas[first].signal(signal.SIGSTOP)
        for call_id in calls:
            await made.simulator.until(call_id, lambda call: call.attachments == 2, timeout=30)
        before = [len(made.simulator.call(call_id).client_events) for call_id in calls]
        made.replicas[first].signal(signal.SIGCONT)
        await eventually(lambda: len(made.logged("call left")[first]) == len(calls))
        after = [made.simulator.call(call_id) for call_id in calls]
        assert [len(call.client_events) for call in after] == before
        for call_id in calls:
            await made.simulator.until(call_id, lambda call: sockets(call) == 1, timeout=30)
        assert {call.attachments for call in after} == {2}
        await over(made, calls)
        assert not made.logged("call ended")[first]


async def test_a_replica_that_is_cut_off_from_the_engine_lets_others_go_on(
    tmp_path: Path, running: Servers
) -> None:
    redis, postgres = running
    redis.empty()
    async with (
        Proxy(redis.address) as proxy,
        fleet(tmp_path, redis.url, postgres.url, AGENTS, replicas=1) as made,
    ):
        cut = await made.start(SIPAGENT_ENGINE=proxy.through(redis.url))
        calls = await made.place(10, QUIET, cut)
        for call_id in calls:
            await made.simulator.until(call_id, lambda call: call.attachments == 1, timeout=30)
        await proxy.inflict(BlackHole())
        for call_id in calls:
            await made.simulator.until(call_id, lambda call: call.attachments == 2, timeout=30)
        await proxy.heal()
        for call_id in calls:
            await made.simulator.until(call_id, lambda call: sockets(call) == 1, timeout=30)
        await over(made, calls)
        assert not made.logged("call ended")[cut]


@pytest.mark.parametrize("away", [1.0, 6.0])
async def test_an_engine_that_is_away_costs_no_call_and_no_attachment(
    tmp_path: Path, running: Servers, away: float
) -> None:
    redis, postgres = running
    redis.empty()
    async with fleet(tmp_path, redis.url, postgres.url, AGENTS, replicas=2) as made:
        calls = await made.place(20, QUIET)
        for call_id in calls:
            await made.simulator.until(call_id, lambda call: call.attachments == 1, timeout=30)
        await asyncio.sleep(1.5)  # the file has it every second
        redis.kill()
        more = await made.place(4, QUIET)
        for call_id in more:
            await made.simulator.until(call_id, lambda call: call.attachments == 1, timeout=30)
        await asyncio.sleep(away)
        redis.start()
        for name in made.alive:
            await eventually(
                lambda name=name: bool(made.logged("engine answers again")[name])  # type: ignore[misc]
            )
        await asyncio.sleep(4.0)  # longer than a lease: whoever would be taken over is by now
        told = [made.simulator.call(call_id) for call_id in (*calls, *more)]
        assert {call.attachments for call in told} == {1}
        assert {sockets(call) for call in told} == {1}
        await over(made, [*calls, *more])


async def test_an_engine_that_was_emptied_learns_of_all_calls_again(
    tmp_path: Path, running: Servers
) -> None:
    redis, postgres = running
    redis.empty()
    async with fleet(tmp_path, redis.url, postgres.url, AGENTS, replicas=2) as made:
        first, _ = made.alive
        calls = await made.place(20, QUIET)
        for call_id in calls:
            await made.simulator.until(call_id, lambda call: call.attachments == 1, timeout=30)
        redis.empty()
        await asyncio.sleep(4.0)
        assert {made.simulator.call(call_id).attachments for call_id in calls} == {1}
        theirs = made.taken[first]
        await made.kill(first)
        for call_id in theirs:
            await made.simulator.until(call_id, lambda call: call.attachments == 2, timeout=30)
        await over(made, calls)
