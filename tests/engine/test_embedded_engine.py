"""Claims: once by webhook id, once by call id, remembered for an hour."""

import asyncio

import pytest

from sipagent.engine import embedded
from sipagent.engine.embedded import EmbeddedEngine
from sipagent.model import AccountName, CallId, Cap, IncomingCall, Rate, WebhookId
from sipagent.sessions.ports import Claim
from sipagent.sip import Invite
from sipagent.testing import VirtualClock

pytestmark = pytest.mark.virtual_time


def call(webhook: str, call_id: str) -> IncomingCall:
    return IncomingCall(CallId(call_id), WebhookId(webhook), AccountName("a"), Invite())


async def test_a_call_is_claimed_once_by_either_id() -> None:
    engine = EmbeddedEngine(VirtualClock())
    assert await engine.offer(call("w1", "c1")) is Claim.OK
    assert await engine.offer(call("w1", "c1")) is Claim.DUPLICATE
    assert await engine.offer(call("w2", "c1")) is Claim.DUPLICATE
    assert await engine.offer(call("w1", "c2")) is Claim.DUPLICATE
    assert await engine.offer(call("w3", "c3")) is Claim.OK


async def test_a_webhook_id_and_a_call_id_of_one_text_are_two_ids() -> None:
    engine = EmbeddedEngine(VirtualClock())
    assert await engine.offer(call("same", "c1")) is Claim.OK
    assert await engine.offer(call("w2", "same")) is Claim.OK


async def test_offers_at_the_same_moment_have_one_winner_each() -> None:
    engine = EmbeddedEngine(VirtualClock())
    offers = [engine.offer(call(f"w{n % 200}", f"c{n % 200}")) for n in range(3_000)]
    assert (await asyncio.gather(*offers)).count(Claim.OK) == 200


async def test_ids_are_forgotten_after_an_hour_and_not_before() -> None:
    engine = EmbeddedEngine(VirtualClock())
    await engine.offer(call("w1", "c1"))
    await asyncio.sleep(3599)
    assert await engine.offer(call("w1", "c1")) is Claim.DUPLICATE
    await asyncio.sleep(2)
    assert await engine.offer(call("w2", "c2")) is Claim.OK
    assert len(engine) == 2
    assert await engine.offer(call("w1", "c1")) is Claim.OK


def per_caller(caller: str = "+14067704205", count: int = 3) -> Cap:
    return Cap("per_caller", f"wavix:{caller}", Rate(count, 600.0))


class Counter:
    """An engine that is offered a new call each time."""

    def __init__(self) -> None:
        self.engine = EmbeddedEngine(VirtualClock())
        self.calls = 0

    async def __call__(self, *caps: Cap) -> Claim:
        self.calls += 1
        return await self.engine.offer(call(f"w{self.calls}", f"c{self.calls}"), caps)


async def test_the_fourth_call_of_a_window_has_no_room_and_the_window_slides() -> None:
    offer = Counter()
    for _ in range(3):
        assert await offer(per_caller()) is Claim.OK
        await asyncio.sleep(100)
    assert await offer(per_caller()) is Claim.LIMIT
    assert await offer(per_caller("+14067704206")) is Claim.OK
    await asyncio.sleep(299)  # the first call was 599 seconds ago
    assert await offer(per_caller()) is Claim.LIMIT
    await asyncio.sleep(1)
    assert await offer(per_caller()) is Claim.OK
    assert await offer(per_caller()) is Claim.LIMIT
    await asyncio.sleep(100)  # the second has left, the refused ones never counted
    assert await offer(per_caller()) is Claim.OK
    assert await offer(per_caller()) is Claim.LIMIT


async def test_a_duplicate_counts_for_nothing_and_is_one_whatever_the_caps() -> None:
    engine = EmbeddedEngine(VirtualClock())
    cap = per_caller(count=2)
    assert await engine.offer(call("w1", "c1"), [cap]) is Claim.OK
    for _ in range(5):
        assert await engine.offer(call("w1", "c1"), [cap]) is Claim.DUPLICATE
    assert await engine.offer(call("w2", "c2"), [cap]) is Claim.OK
    assert await engine.offer(call("w3", "c3"), [cap]) is Claim.LIMIT
    # A call over the limit is claimed all the same: it is rejected once.
    assert await engine.offer(call("w3", "c3"), [cap]) is Claim.DUPLICATE


async def test_a_call_counts_for_all_of_its_caps_or_for_none() -> None:
    offer = Counter()
    wide, narrow = per_caller("all", 2), per_caller("one", 1)
    assert await offer(wide, narrow) is Claim.OK
    assert await offer(wide, narrow) is Claim.LIMIT
    assert await offer(wide) is Claim.OK
    assert await offer(wide) is Claim.LIMIT


async def test_offers_at_the_same_moment_never_pass_the_limit() -> None:
    offer = Counter()
    claims = await asyncio.gather(*(offer(per_caller(count=20)) for _ in range(300)))
    assert (claims.count(Claim.OK), claims.count(Claim.LIMIT)) == (20, 280)


async def test_what_is_counted_of_callers_is_bounded_and_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(embedded, "WINDOWS", 100)
    offer = Counter()
    for number in range(1_000):
        assert await offer(per_caller(str(number))) is Claim.OK
    assert offer.engine.windows == 100
    assert await offer(per_caller("999", 1)) is Claim.LIMIT
    await asyncio.sleep(600)
    await offer(per_caller("new"))
    assert offer.engine.windows == 1


async def test_a_flood_of_callers_makes_no_other_cap_be_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(embedded, "WINDOWS", 100)
    offer = Counter()
    forwards = Cap("forwards", "forwards:acme", Rate(1, 3600.0))
    assert await offer(forwards) is Claim.OK
    for number in range(500):
        await offer(per_caller(str(number)))
    assert offer.engine.windows == 101
    assert await offer(forwards) is Claim.LIMIT
    await asyncio.sleep(3600)
    assert await offer(forwards) is Claim.OK
