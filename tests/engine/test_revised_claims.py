"""Claims of which something else is decided before the call is answered."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from sipagent.concurrency import SystemClock
from sipagent.engine.embedded import EmbeddedEngine
from sipagent.engine.memory import Memory
from sipagent.model import (
    DEFAULT_TENANT,
    Accept,
    AgentName,
    CallId,
    Cap,
    Consult,
    Decision,
    IncomingCall,
    Quota,
    QuotaScope,
    Rate,
    Reason,
    Reject,
    SecretName,
)
from sipagent.sessions.ports import Claim, HeldCall
from sipagent.testing import a_plan
from tests.engine.support import a_claim, an_outcome

QUOTA = Quota(QuotaScope.TENANT, "default", held=2)
CALLER = Cap("per_caller", "numbers.a:+1", Rate(3, 600.0))
FORWARDS = Cap("forwards", "forwards:default", Rate(1, 3600.0))
CONSULT = Consult(DEFAULT_TENANT, "https://api.example/x", SecretName("hook"), 0.8)
REJECT = Reject(480, Reason.RULE, DEFAULT_TENANT)
VIP = AgentName("vip")


def consulting(call_id: str = "rtc_1", *, refused: bool = False) -> tuple[IncomingCall, Decision]:
    call, decision = a_claim(call_id, caps=[CALLER], quotas=[QUOTA], refused=refused)
    return call, replace(decision, consult=CONSULT)


def answered(call: IncomingCall, before: Decision, *caps: Cap) -> Decision:
    plan = replace(a_plan(), call_id=call.call_id, agent=VIP)
    return replace(before, verdict=Accept(plan), consult=None, caps=(CALLER, *caps))


@asynccontextmanager
async def life(folder: Path) -> AsyncIterator[tuple[EmbeddedEngine, Sequence[HeldCall]]]:
    memory = Memory(folder)
    memory.open()
    memory.start()
    engine = EmbeddedEngine(SystemClock(), memory)
    try:
        yield engine, await engine.adopt()
    finally:
        memory.close()


@pytest.mark.parametrize("refused", [False, True])
async def test_a_call_that_is_asked_about_counts_whatever_would_follow(refused: bool) -> None:
    engine = EmbeddedEngine(SystemClock())
    for number, claim in enumerate((Claim.OK, Claim.OK, Claim.FULL)):
        call, decision = consulting(f"rtc_{number}", refused=refused)
        offer = await engine.offer(call, decision)
        assert offer.claim is claim
        assert (offer.decision.consult is None) is (claim is Claim.FULL)
    assert engine.counters.held("tenant:default") == 2
    assert isinstance(offer.decision.verdict, Reject)
    assert offer.decision.verdict.reason is Reason.QUOTA


async def test_an_answer_counts_nothing_twice() -> None:
    engine = EmbeddedEngine(SystemClock())
    for number in range(2):
        call, before = consulting(f"rtc_{number}")
        await engine.offer(call, before)
        offer = await engine.revise(call, before, answered(call, before))
        assert offer.claim is Claim.OK
    assert engine.counters.held("tenant:default") == 2
    engine.finish(an_outcome(call), 1)
    assert engine.counters.held("tenant:default") == 1
    call, before = consulting("rtc_3")
    assert (await engine.offer(call, before)).claim is Claim.OK
    engine.finish(an_outcome(call), 1)
    call, before = consulting("rtc_4")
    assert (await engine.offer(call, before)).claim is Claim.FULL  # the caller's fourth


async def test_a_rejection_gives_the_room_back() -> None:
    engine = EmbeddedEngine(SystemClock())
    call, before = consulting()
    await engine.offer(call, before)
    offer = await engine.revise(call, before, Decision(REJECT, before.trace))
    assert offer.decision.verdict == REJECT
    assert engine.counters.held("tenant:default") == 0


async def test_what_was_not_counted_before_must_have_room() -> None:
    engine = EmbeddedEngine(SystemClock())
    claims = []
    for number in range(2):
        call, before = consulting(f"rtc_{number}")
        await engine.offer(call, before)
        offer = await engine.revise(call, before, answered(call, before, FORWARDS))
        claims.append(offer.claim)
    assert claims == [Claim.OK, Claim.FULL]
    assert offer.decision.verdict == Reject(486, Reason.QUOTA, DEFAULT_TENANT)
    assert (offer.decision.trace[-1].source, offer.decision.trace[-1].considered) == (
        "limits",
        "forwards",
    )
    assert engine.counters.held("tenant:default") == 1


@pytest.mark.parametrize("said", [False, True])
async def test_whoever_takes_the_call_over_goes_on_with_what_is_decided(
    tmp_path: Path, said: bool
) -> None:
    """Killed while it was asked about: with what would follow without an answer."""
    call, before = consulting()
    after = answered(call, before)
    async with life(tmp_path) as (engine, _):
        await engine.offer(call, before)
        if said:
            await engine.revise(call, before, after)
    async with life(tmp_path) as (engine, held):
        (one,) = held
        assert one.decision.consult is None
        expected = after if said else before
        assert one.decision.verdict == expected.verdict
        assert engine.counters.held("tenant:default") == 1


async def test_a_call_that_is_not_claimed_is_not_written() -> None:
    engine = EmbeddedEngine(SystemClock())
    call, before = consulting()
    offer = await engine.revise(call, before, answered(call, before))
    assert offer.claim is Claim.OK
    assert engine.counters.calls_of("tenant:default") == ()


async def test_one_caller_gets_through_exactly_as_often_as_the_cap_says() -> None:
    """A thousand calls of one caller and a thousand of others, all at once."""
    engine = EmbeddedEngine(SystemClock())
    claims: list[Claim] = []
    for number in range(1000):
        mine, decision = a_claim(f"rtc_mine_{number}", caps=[CALLER])
        claims.append((await engine.offer(mine, decision)).claim)
        cap = Cap("per_caller", f"numbers.a:+1{number}", CALLER.rate)
        other, decision = a_claim(f"rtc_other_{number}", caps=[cap])
        assert (await engine.offer(other, decision)).claim is Claim.OK
    assert claims.count(Claim.OK) == 3
    assert claims[:3] == [Claim.OK] * 3
    assert CallId("rtc_mine_3") not in engine.counters.calls_of("tenant:default")
