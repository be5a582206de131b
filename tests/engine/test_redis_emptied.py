"""An engine that was emptied, and is asked for a call again before its owner has told of it."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from sipagent.model import CallId
from sipagent.sessions.ports import Claim, Marked
from tests.chaos.shared_books import SharedBooks
from tests.engine.replicas import Replica, replica
from tests.engine.support import a_claim, an_outcome
from tests.servers import FLAVOURS, RedisServer

CALL = CallId("rtc_0")
LEASE = 60.0


@pytest.fixture(scope="module", params=FLAVOURS)
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    with RedisServer(request.param, own=True) as running:
        yield running


@pytest.fixture
async def owner(server: RedisServer) -> AsyncIterator[Replica]:
    """Holds a call that it has answered, of which the engine knows nothing any more."""
    server.empty()
    async with replica(server.url, "owner", lease=LEASE) as made:
        await made.engine.offer(*a_claim(CALL))
        made.engine.note(CALL, 1, "accepted")
        await made.written()
        server.empty()
        yield made


@pytest.fixture
async def late(server: RedisServer, owner: Replica) -> AsyncIterator[Replica]:
    """Has been given the webhook again, and the call."""
    async with replica(server.url, "late", lease=0.3) as made:
        assert (await made.engine.offer(*a_claim(CALL))).claim is Claim.OK
        yield made


@pytest.mark.parametrize("epoch", [1, 2])
async def test_whom_the_provider_gave_the_call_to_keeps_it(
    server: RedisServer, owner: Replica, late: Replica, epoch: int
) -> None:
    owner.engine.held[CALL].epoch = epoch
    async with asyncio.TaskGroup() as tasks:
        theirs = tasks.create_task(late.engine.yielded(CALL))
        assert await owner.leases.renew()
        assert await late.leases.renew()
        assert await theirs
    assert (owner.heirs.lost, late.heirs.lost) == ([], [CALL])
    await owner.written()
    assert await owner.engine.mark(CALL, epoch, "greeting") is Marked.DONE_NOW
    await owner.abandon()
    async with replica(server.url, "heir") as heir:
        await heir.leases.adopt()
        (adopted,) = heir.heirs.adopted
        assert (adopted.epoch, set(adopted.marks)) == (epoch + 1, {"accepted", "greeting"})
        heir.engine.finish(an_outcome(adopted.call), adopted.epoch)
        heir.engine.settled(CALL)
        await heir.written()
    assert await SharedBooks("", server.url).left() == [], "it counts once, and no more"


async def test_a_mark_before_it_is_told_does_not_lose_the_call(
    owner: Replica, late: Replica
) -> None:
    assert await owner.engine.mark(CALL, 1, "greeting") is Marked.DONE_NOW
    assert owner.heirs.lost == []
    assert await owner.leases.renew()
    assert await late.leases.renew()
    assert late.heirs.lost == [CALL]
    await owner.written()
    assert await owner.engine.mark(CALL, 1, "greeting") is Marked.ALREADY


async def test_a_call_whose_owner_tells_of_it_no_more_is_held_by_whoever_was_given_it_again(
    owner: Replica, late: Replica
) -> None:
    assert not await late.engine.yielded(CALL)
    late.engine.note(CALL, 1, "accepted")
    await late.written()
    assert await owner.leases.renew()
    assert owner.heirs.lost == [CALL], "one that comes later still lets it go"


async def test_an_owner_that_has_not_answered_it_yet_lets_go_of_it(server: RedisServer) -> None:
    server.empty()
    async with replica(server.url, "one") as one, replica(server.url, "two") as two:
        for each in (one, two):
            assert (await each.engine.offer(*a_claim(CALL))).claim is Claim.OK
            if each is one:
                server.empty()
        assert await one.leases.renew()
        assert await two.leases.renew()
        assert (one.heirs.lost, two.heirs.lost) == ([CALL], [])
