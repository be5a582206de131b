"""What is asked of a call's owner from another replica."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from sipagent.engine.redis.notices import Notices
from sipagent.engine.redis.requests import Replied, Requests
from sipagent.model import CallId
from tests.engine.replicas import Replica, replica
from tests.engine.support import a_claim
from tests.servers import FLAVOURS, RedisServer


@pytest.fixture(scope="module", params=FLAVOURS)
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    with RedisServer(request.param) as running:
        yield running


class Speaking:
    """A replica that hears and asks; what it was asked to do stands in `did`."""

    def __init__(self, made: Replica, notices: Notices) -> None:
        self.made = made
        self.did: list[tuple[CallId, str]] = []
        self.requests = Requests(made.link, notices, made.engine.replica, self.act)

    def act(self, call_id: CallId, want: str) -> bool:
        if call_id not in self.made.engine.held:
            return False
        self.did.append((call_id, want))
        return True


@asynccontextmanager
async def speaking(url: str, name: str) -> AsyncIterator[Speaking]:
    async with replica(url, name) as made:
        notices = Notices(made.link, name)
        one = Speaking(made, notices)
        async with notices:
            await notices.listening.wait()
            yield one
        await one.requests.close()


async def test_whoever_holds_the_call_does_it_and_the_same_request_twice_is_one(
    server: RedisServer,
) -> None:
    server.empty()
    async with speaking(server.url, "one") as one, speaking(server.url, "two") as two:
        call, decision = a_claim()
        await one.made.engine.offer(call, decision)
        for asking in (two, one, two):
            assert await asking.requests.ask(call.call_id, "hang_up", key="k") is Replied.DONE
        assert one.did == [(call.call_id, "hang_up")]
        assert two.did == []
        assert await two.requests.ask(CallId("rtc_9"), "hang_up") is Replied.UNKNOWN_CALL


async def test_who_takes_the_call_over_answers_in_place_of_an_owner_that_has_died(
    server: RedisServer,
) -> None:
    server.empty()
    async with speaking(server.url, "two") as two, replica(server.url, "one") as dead:
        call, decision = a_claim()
        await dead.engine.offer(call, decision)  # nobody listens for it
        async with asyncio.TaskGroup() as tasks:
            asked = tasks.create_task(two.requests.ask(call.call_id, "hang_up"))
            await dead.abandon()
            await two.made.leases.adopt()
        assert asked.result() is Replied.DONE
        assert two.did == [(call.call_id, "hang_up")]


async def test_no_answer_is_said_to_be_none(server: RedisServer) -> None:
    server.empty()
    async with speaking(server.url, "two") as two, replica(server.url, "one") as dead:
        call, decision = a_claim()
        await dead.engine.offer(call, decision)
        replied = await two.requests.ask(call.call_id, "hang_up", within=0.3)
        assert replied is Replied.NO_ANSWER


async def test_what_is_no_notice_breaks_nothing(server: RedisServer) -> None:
    server.empty()
    async with speaking(server.url, "one") as one, speaking(server.url, "two") as two:
        call, decision = a_claim()
        await one.made.engine.offer(call, decision)
        for odd in (b"{", b"[]", b'{"do":"request"}', b'{"do":5}', b'{"do":"reply","key":"x"}'):
            await two.made.link.publish("{sip}:all", odd)
        assert await two.requests.ask(call.call_id, "hang_up") is Replied.DONE
