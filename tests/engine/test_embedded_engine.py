"""Claims: once by webhook id, once by call id, remembered for an hour."""

import asyncio

import pytest

from sipagent.engine.embedded import EmbeddedEngine
from sipagent.model import CallId, Cap, Rate
from sipagent.sessions.ports import Claim, Marked
from sipagent.testing import VirtualClock
from tests.engine.support import a_claim, an_outcome

pytestmark = pytest.mark.virtual_time


async def offer(engine: EmbeddedEngine, webhook: str, call_id: str, *caps: Cap) -> Claim:
    return (await engine.offer(*a_claim(call_id, webhook, caps=caps))).claim


async def test_a_call_is_claimed_once_by_either_id() -> None:
    engine = EmbeddedEngine(VirtualClock())
    assert await offer(engine, "w1", "c1") is Claim.OK
    assert await offer(engine, "w1", "c1") is Claim.DUPLICATE
    assert await offer(engine, "w2", "c1") is Claim.DUPLICATE
    assert await offer(engine, "w1", "c2") is Claim.DUPLICATE
    assert await offer(engine, "w3", "c3") is Claim.OK


async def test_a_webhook_id_and_a_call_id_of_one_text_are_two_ids() -> None:
    engine = EmbeddedEngine(VirtualClock())
    assert await offer(engine, "same", "c1") is Claim.OK
    assert await offer(engine, "w2", "same") is Claim.OK


async def test_offers_at_the_same_moment_have_one_winner_each() -> None:
    engine = EmbeddedEngine(VirtualClock())
    offers = [offer(engine, f"w{n % 200}", f"c{n % 200}") for n in range(3_000)]
    assert (await asyncio.gather(*offers)).count(Claim.OK) == 200


async def test_ids_are_forgotten_after_an_hour_and_not_before() -> None:
    engine = EmbeddedEngine(VirtualClock())
    await offer(engine, "w1", "c1")
    await asyncio.sleep(3599)
    assert await offer(engine, "w1", "c1") is Claim.DUPLICATE
    await asyncio.sleep(2)
    assert await offer(engine, "w2", "c2") is Claim.OK
    assert len(engine) == 2
    assert await offer(engine, "w1", "c1") is Claim.OK


def per_caller(caller: str = "+14067704205", count: int = 3) -> Cap:
    return Cap("per_caller", f"wavix:{caller}", Rate(count, 600.0))


class Counter:
    """An engine that is offered a new call each time."""

    def __init__(self) -> None:
        self.engine = EmbeddedEngine(VirtualClock())
        self.calls = 0

    async def __call__(self, *caps: Cap) -> Claim:
        self.calls += 1
        return await offer(self.engine, f"w{self.calls}", f"c{self.calls}", *caps)


async def test_the_fourth_call_of_a_window_has_no_room_and_the_window_slides() -> None:
    claim = Counter()
    for _ in range(3):
        assert await claim(per_caller()) is Claim.OK
        await asyncio.sleep(100)
    assert await claim(per_caller()) is Claim.FULL
    assert await claim(per_caller("+14067704206")) is Claim.OK
    await asyncio.sleep(299)  # the first call was 599 seconds ago
    assert await claim(per_caller()) is Claim.FULL
    await asyncio.sleep(1)
    assert await claim(per_caller()) is Claim.OK
    assert await claim(per_caller()) is Claim.FULL
    await asyncio.sleep(100)  # the second has left, the refused ones never counted
    assert await claim(per_caller()) is Claim.OK
    assert await claim(per_caller()) is Claim.FULL


async def test_a_duplicate_counts_for_nothing_and_is_one_whatever_the_caps() -> None:
    engine = EmbeddedEngine(VirtualClock())
    cap = per_caller(count=2)
    assert await offer(engine, "w1", "c1", cap) is Claim.OK
    for _ in range(5):
        assert await offer(engine, "w1", "c1", cap) is Claim.DUPLICATE
    assert await offer(engine, "w2", "c2", cap) is Claim.OK
    assert await offer(engine, "w3", "c3", cap) is Claim.FULL
    # A call over the limit is claimed all the same: it is rejected once.
    assert await offer(engine, "w3", "c3", cap) is Claim.DUPLICATE


async def test_a_call_counts_for_all_of_its_caps_or_for_none() -> None:
    claim = Counter()
    wide, narrow = per_caller("all", 2), per_caller("one", 1)
    assert await claim(wide, narrow) is Claim.OK
    assert await claim(wide, narrow) is Claim.FULL
    assert await claim(wide) is Claim.OK
    assert await claim(wide) is Claim.FULL


async def test_offers_at_the_same_moment_never_pass_the_limit() -> None:
    claim = Counter()
    claims = await asyncio.gather(*(claim(per_caller(count=20)) for _ in range(300)))
    assert (claims.count(Claim.OK), claims.count(Claim.FULL)) == (20, 280)


async def test_a_mark_is_given_once_and_to_the_owner_only() -> None:
    engine = EmbeddedEngine(VirtualClock())
    claimed, decision = a_claim("c1")
    assert await engine.mark(claimed.call_id, 1, "greeting") is Marked.NOT_OWNER
    await engine.offer(claimed, decision)
    assert await engine.mark(claimed.call_id, 2, "greeting") is Marked.NOT_OWNER
    assert await engine.mark(claimed.call_id, 1, "greeting") is Marked.DONE_NOW
    assert await engine.mark(claimed.call_id, 1, "greeting") is Marked.ALREADY
    engine.note(claimed.call_id, 1, "heard")
    assert await engine.mark(claimed.call_id, 1, "heard") is Marked.ALREADY
    engine.finish(an_outcome(claimed), 1)
    assert await engine.mark(claimed.call_id, 1, "refer") is Marked.NOT_OWNER


async def test_transfers_of_all_calls_are_held_to_one_cap_exactly() -> None:
    engine = EmbeddedEngine(VirtualClock())
    cap = Cap("forwards", "forwards:acme", Rate(40, 3600.0))
    assert await offer(engine, "w0", "c0", cap) is Claim.OK
    assert sum([await engine.admit(CallId(f"c{n % 7}"), cap) for n in range(300)]) == 39
    assert await engine.admit(CallId("c0"), Cap("forwards", "forwards:other", cap.rate))
    await asyncio.sleep(3601)
    assert sum([await engine.admit(CallId(f"c{n % 7}"), cap) for n in range(300)]) == 40
