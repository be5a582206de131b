"""Claims: once by webhook id, once by call id, remembered for an hour."""

import asyncio

import pytest

from sipagent.engine.embedded import EmbeddedEngine
from sipagent.model import AccountName, CallId, IncomingCall, WebhookId
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
