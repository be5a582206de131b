"""What is asked of a call's owner from another replica."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from sipagent.engine.redis.notices import Notices
from sipagent.engine.redis.requests import UNKNOWN, Requests
from sipagent.errors import EngineError
from sipagent.model import AgentName, CallId, DestinationName
from sipagent.model.request import (
    CallRequest,
    HangUp,
    HoldReplies,
    Replied,
    Reply,
    ResumeReplies,
    Say,
    SwitchAgent,
    TransferTo,
    Typed,
    Whisper,
)
from tests.engine.replicas import Replica, replica
from tests.engine.support import a_claim
from tests.servers import FLAVOURS, RedisServer
from tests.waiting import eventually

DONE = Reply(Replied.DONE)


@pytest.fixture(scope="module", params=FLAVOURS)
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    with RedisServer(request.param) as running:
        yield running


class Speaking:
    """A replica that hears and asks; what it was asked to do stands in `did`. What cannot be done
    it refuses with `why`."""

    def __init__(self, made: Replica, notices: Notices) -> None:
        self.made = made
        self.notices = notices
        self.did: list[tuple[CallId, CallRequest]] = []
        self.keys: set[str] = set()
        self.why: str | None = None
        self.requests = Requests(made.link, notices, made.engine.replica, self.act)

    def act(self, call_id: CallId, request: CallRequest, key: str) -> Reply | None:
        if call_id not in self.made.engine.held:
            return None
        if self.why is not None:
            return Reply(Replied.REFUSED, self.why)
        if key not in self.keys:
            self.did.append((call_id, request))
            self.keys.add(key)
        return DONE


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
            assert await asking.requests.ask(call.call_id, HangUp(), key="k") == DONE
        assert one.did == [(call.call_id, HangUp())]
        assert two.did == []
        unknown = await two.requests.ask(CallId("rtc_9"), HangUp())
        assert unknown == Reply(Replied.UNKNOWN_CALL)


EACH: tuple[CallRequest, ...] = (
    HangUp(),
    HangUp(goodbye=True),
    TransferTo(DestinationName("desk")),
    Say('One "moment", señora.\n\u2028'),
    Whisper("They are known here."),
    SwitchAgent(AgentName("billing")),
    HoldReplies(),
    ResumeReplies(),
    Typed("Hello?"),
)


async def test_every_request_arrives_as_it_was_asked(server: RedisServer) -> None:
    server.empty()
    async with speaking(server.url, "one") as one, speaking(server.url, "two") as two:
        call, decision = a_claim()
        await one.made.engine.offer(call, decision)
        for request in EACH:
            assert await two.requests.ask(call.call_id, request) == DONE
        assert [request for _, request in one.did] == [*EACH]


async def test_a_refusal_arrives_with_its_reason_and_is_not_held_against_the_key(
    server: RedisServer,
) -> None:
    server.empty()
    async with speaking(server.url, "one") as one, speaking(server.url, "two") as two:
        call, decision = a_claim()
        await one.made.engine.offer(call, decision)
        one.why = "a transfer is under way already"
        replied = await two.requests.ask(call.call_id, HoldReplies(), key="k")
        assert replied == Reply(Replied.REFUSED, "a transfer is under way already")
        one.why = None
        assert await two.requests.ask(call.call_id, HoldReplies(), key="k") == DONE


async def test_two_who_ask_under_one_key_at_once_are_both_answered(server: RedisServer) -> None:
    server.empty()
    async with speaking(server.url, "one") as one, speaking(server.url, "two") as two:
        call, decision = a_claim()
        await one.made.engine.offer(call, decision)
        asked = (two.requests.ask(call.call_id, Say("Hm."), key="k") for _ in range(3))
        assert await asyncio.gather(*asked) == [DONE] * 3
        assert len(one.did) == 1


async def test_one_key_for_two_calls_is_two_requests(server: RedisServer) -> None:
    server.empty()
    async with speaking(server.url, "one") as one, speaking(server.url, "two") as two:
        call, decision = a_claim()
        await one.made.engine.offer(call, decision)
        gone = two.requests.ask(CallId("rtc_9"), HangUp(), key="k")
        both = await asyncio.gather(two.requests.ask(call.call_id, HangUp(), key="k"), gone)
        assert both == [DONE, Reply(Replied.UNKNOWN_CALL)]


async def test_one_replica_asks_itself_without_redis(server: RedisServer) -> None:
    server.empty()
    async with speaking(server.url, "one") as one:
        call, decision = a_claim()
        await one.made.engine.offer(call, decision)
        one.made.link.cutting |= {"owner"}
        assert await one.requests.ask(call.call_id, HoldReplies()) == DONE
        with pytest.raises(EngineError):
            await one.requests.ask(CallId("rtc_9"), HoldReplies())


async def test_the_release_before_asks_and_is_asked_in_its_own_word(server: RedisServer) -> None:
    """It knows one word, and one answer."""
    server.empty()
    async with speaking(server.url, "one") as one, speaking(server.url, "two") as two:
        call, decision = a_claim()
        await one.made.engine.offer(call, decision)
        heard: list[Mapping[str, Any]] = []
        two.notices.on("reply", heard.append)
        asked = {
            "do": "request",
            "call": call.call_id,
            "want": "hang_up",
            "key": "k",
            "from": "two",
        }
        await two.notices.tell("one", asked)
        await eventually(lambda: heard)
        assert {"do": "reply", "key": "k", "answer": "done"}.items() <= heard[0].items()
        assert one.did == [(call.call_id, HangUp())]
        await two.notices.tell("one", {**asked, "want": '{"type":"dance"}', "key": "k2"})
        await eventually(lambda: len(heard) == 2)
        assert (heard[1]["answer"], heard[1]["why"]) == ("refused", UNKNOWN)

        one.notices.on("request", heard.append)
        asking = two.requests.ask(call.call_id, HangUp(), within=0.3)
        assert await asking == Reply(Replied.NO_ANSWER)
        assert heard[2]["want"] == "hang_up"


async def test_who_takes_the_call_over_answers_in_place_of_an_owner_that_has_died(
    server: RedisServer,
) -> None:
    server.empty()
    async with speaking(server.url, "two") as two, replica(server.url, "one") as dead:
        call, decision = a_claim()
        await dead.engine.offer(call, decision)  # nobody listens for it
        async with asyncio.TaskGroup() as tasks:
            asked = tasks.create_task(two.requests.ask(call.call_id, HangUp()))
            await dead.abandon()
            await two.made.leases.adopt()
        assert asked.result() == DONE
        assert two.did == [(call.call_id, HangUp())]


async def test_no_answer_is_said_to_be_none(server: RedisServer) -> None:
    server.empty()
    async with speaking(server.url, "two") as two, replica(server.url, "one") as dead:
        call, decision = a_claim()
        await dead.engine.offer(call, decision)
        replied = await two.requests.ask(call.call_id, HangUp(), within=0.3)
        assert replied == Reply(Replied.NO_ANSWER)


async def test_what_is_no_notice_breaks_nothing(server: RedisServer) -> None:
    server.empty()
    async with speaking(server.url, "one") as one, speaking(server.url, "two") as two:
        call, decision = a_claim()
        await one.made.engine.offer(call, decision)
        for odd in (b"{", b"[]", b'{"do":"request"}', b'{"do":5}', b'{"do":"reply","key":"x"}'):
            await two.made.link.publish("{sip}:all", odd)
        assert await two.requests.ask(call.call_id, HangUp()) == DONE
