"""An engine that is silent while marks are asked for, or while calls are registered with it."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from sipagent.engine.redis.engine import RedisEngine
from sipagent.engine.redis.link import Step, Value
from sipagent.errors import EngineError
from sipagent.model import CallId, Decision, IncomingCall
from sipagent.sessions.ports import Claim, Marked
from tests.chaos.shared_books import SharedBooks
from tests.engine.replicas import AgeingLink, Replica, replica
from tests.engine.support import a_claim, an_outcome
from tests.servers import FLAVOURS, RedisServer


@pytest.fixture(scope="module", params=FLAVOURS)
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    with RedisServer(request.param, own=True) as running:
        yield running


@pytest.fixture
def url(server: RedisServer) -> str:
    server.empty()
    return server.url


async def test_a_mark_waits_for_an_engine_that_is_silent(server: RedisServer, url: str) -> None:
    """Whoever takes the call over meanwhile is not to do the same again."""
    async with replica(url, "one") as one, replica(url, "two") as two, asyncio.TaskGroup() as tasks:
        for name in ("rtc_0", "rtc_1"):
            await one.engine.offer(*a_claim(name))
        server.pause()
        kept = tasks.create_task(one.engine.mark(CallId("rtc_0"), 1, "greeting"))
        lost = tasks.create_task(one.engine.mark(CallId("rtc_1"), 1, "greeting"))
        done, _ = await asyncio.wait([kept, lost], timeout=0.7)
        assert not done
        one.engine.lose(CallId("rtc_1"))
        assert await lost is Marked.NOT_OWNER
        server.resume()
        assert await kept is Marked.DONE_NOW
        assert await one.engine.mark(CallId("rtc_0"), 1, "greeting") is Marked.ALREADY
        await one.abandon("rtc_0")
        await two.leases.adopt()
        assert set(two.heirs.adopted[0].marks) == {"greeting"}


class Interrupted(AgeingLink):
    """A link by which no offer is answered in time, and while a registration is on its way, once,
    something happens."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.meanwhile: list[tuple[IncomingCall, Decision]] = []
        self.engine: RedisEngine | None = None

    async def run(self, script: str, *values: Value, within: float = 1.0) -> Any:
        if script == "offer":
            raise EngineError("no answer in time")
        return await super().run(script, *values, within=within)

    async def run_all(self, steps: Sequence[Step], within: float = 1.0) -> list[Any]:
        answers = await super().run_all(steps, within)
        while self.meanwhile and self.engine is not None:
            await self.engine.offer(*self.meanwhile.pop())
        return answers


async def test_a_call_that_is_taken_alone_while_others_are_registered_is_kept(url: str) -> None:
    line = Interrupted(url)
    async with replica(url, "one", line=lambda _: line) as one, replica(url, "two") as two:
        line.engine, line.meanwhile = one.engine, [a_claim("rtc_late")]
        await one.engine.offer(*a_claim("rtc_0"))
        assert await one.leases.renew()
        assert await one.leases.renew()
        assert one.heirs.lost == []
        for name in ("rtc_0", "rtc_late"):
            assert (await two.engine.offer(*a_claim(name))).claim is Claim.DUPLICATE
        await one.abandon()
        assert await two.leases.adopt() == 2


async def renewed(one: Replica) -> None:
    """Connections of before are found to be broken."""
    async with asyncio.timeout(10):
        while not await one.leases.renew():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("silent", [True, False], ids=["late", "never"])
@pytest.mark.parametrize("first", ["winner", "loser"])
async def test_a_call_that_two_took_alone_stays_with_whom_the_provider_gave_it(
    server: RedisServer, url: str, first: str, *, silent: bool
) -> None:
    """Also where the other one's claim comes late, or its ids are remembered before."""
    call, decision = a_claim("rtc_0")
    async with replica(url, "won") as won, replica(url, "lost") as lost, replica(url, "x") as heir:
        server.pause() if silent else server.kill()
        for one in (lost, won):
            assert (await one.engine.offer(call, decision)).claim is Claim.OK
        won.engine.note(call.call_id, 1, "accepted")
        assert await lost.engine.yielded(call.call_id)
        server.resume() if silent else server.start()
        for one in (won, lost) if first == "winner" else (lost, won):
            await renewed(one)
            await one.written()
        await renewed(won)
        assert (won.heirs.lost, list(won.engine.held)) == ([], [call.call_id])
        assert lost.engine.held == {}
        await won.abandon()
        heir.engine.lease.calm_from = 0.0
        await heir.leases.adopt()
        assert [set(each.marks) for each in heir.heirs.adopted] == [{"accepted"}]


async def test_nothing_is_left_of_a_call_that_has_ended_before_its_claim_came(
    server: RedisServer, url: str
) -> None:
    call, decision = a_claim("rtc_0")
    async with replica(url, "one") as one, replica(url, "two") as two:
        server.pause()
        assert (await one.engine.offer(call, decision)).claim is Claim.OK
        one.engine.finish(an_outcome(call), 1)
        one.engine.settled(call.call_id)
        server.resume()
        await one.written()
        assert (await two.engine.offer(call, decision)).claim is Claim.DUPLICATE
        assert await SharedBooks("", url).left() == []


async def test_a_claim_that_comes_after_its_call_has_ended_is_nobodys(
    server: RedisServer, url: str
) -> None:
    line = Interrupted(url)
    call, decision = a_claim("rtc_0")
    async with replica(url, "one", line=lambda _: line) as one, replica(url, "two") as two:
        assert (await one.engine.offer(call, decision)).claim is Claim.OK
        one.engine.finish(an_outcome(call), 1)
        one.engine.settled(call.call_id)
        await one.written()
        assert (await two.engine.offer(call, decision)).claim is Claim.DUPLICATE
        assert await SharedBooks("", url).left() == []
