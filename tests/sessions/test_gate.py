"""Which calls the gate lets through, and how the breakers hear of what becomes of them."""

import asyncio
from dataclasses import dataclass, replace

import pytest

from sipagent.model import (
    DEFAULT_TENANT,
    Accept,
    AccountName,
    CallId,
    CallOutcome,
    Cap,
    Decision,
    DestinationName,
    Forward,
    Happening,
    IncomingCall,
    Message,
    Quota,
    QuotaScope,
    Rate,
    Reason,
    Reject,
    ToolName,
    ToolStatus,
    ToolUse,
    TraceStep,
    WebhookId,
)
from sipagent.sessions.breaker import FAILURES, SHORTEST_PAUSE, Breakers, Sign
from sipagent.sessions.gate import (
    AWAY,
    FAILING,
    NO_ROOM,
    Gate,
    Passed,
    RecordsGate,
    WatchedRecords,
)
from sipagent.sessions.headroom import Headroom
from sipagent.sessions.machine.events import RateLimit, RateLimitsTold
from sipagent.sessions.ports import Claim, Offer
from sipagent.sip import Invite
from sipagent.testing import MemoryRecords, a_forward, a_plan

ACCOUNT = AccountName("default")
PLAN = a_plan()
STEP = TraceStep("numbers", "+1", held=True, because="listed")
ROOM = {
    "trace": (STEP,),
    "caps": (Cap("per_caller", "k", Rate(1, 1.0)),),
    "quotas": (Quota(QuotaScope.PROCESS, held=3),),
    "if_full": Reject(486, Reason.QUOTA, DEFAULT_TENANT),
    "if_spent": Reject(486, Reason.BUDGET, DEFAULT_TENANT),
    "overflow": (Cap("forwards", "f", Rate(1, 1.0)),),
}
ANSWERED = Decision(Accept(PLAN), **ROOM)
SENT_ON = Decision(Forward(a_forward(), DestinationName("front_desk")), **ROOM)
REJECTED = Decision(Reject(404, Reason.UNKNOWN_NUMBER, DEFAULT_TENANT), trace=(STEP,))


@dataclass(slots=True)
class HandClock:
    """A clock that a test moves."""

    now: float = 0.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return 1_790_000_000.0 + self.now


class FakeClaims:
    """Claims that are answered as a test says; what was offered is kept. None breaks off."""

    def __init__(self) -> None:
        self.answer: Offer | Claim | None = Claim.OK
        self.offered: list[Decision] = []

    async def offer(self, call: IncomingCall, decision: Decision) -> Offer:
        self.offered.append(decision)
        match self.answer:
            case Claim() as claim:
                return Offer(claim, decision)
            case Offer() as offer:
                return offer
            case None:
                raise asyncio.CancelledError

    async def revise(self, call: IncomingCall, before: Decision, after: Decision) -> Offer:
        return await self.offer(call, after)


class Door:
    """A gate, and records that its breakers watch."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.claims = FakeClaims()
        self.gate = Gate(self.claims, Breakers(self.clock), Headroom(self.clock))
        self.memory = MemoryRecords()
        self.records = WatchedRecords(self.memory, self.gate.breakers)

    def admit(self, decision: Decision = ANSWERED, call_id: str = "rtc_1") -> Passed:
        return self.gate.admit(incoming(call_id), decision)

    def fail(self, times: int = FAILURES) -> None:
        for number in range(times):
            self.records.ended(an_end(Reason.ACCEPT_TIMEOUT, f"rtc_failed_{number}"))


def incoming(call_id: str) -> IncomingCall:
    return IncomingCall(CallId(call_id), WebhookId(f"wh_{call_id}"), ACCOUNT, Invite())


def an_end(reason: Reason, call_id: str = "rtc_1", attached_at: float | None = None) -> CallOutcome:
    return CallOutcome(
        CallId(call_id), ACCOUNT, DEFAULT_TENANT, None, reason, 0, 1, attached_at=attached_at
    )


def refused(because: str) -> Decision:
    """What becomes of a call that the gate refuses: 503, and it counts for nothing."""
    step = TraceStep("accounts", ACCOUNT, held=True, because=because)
    return Decision(Reject(503, Reason.BUSY, DEFAULT_TENANT), trace=(STEP, step))


async def through(gate: RecordsGate, *, revised: bool) -> Decision:
    """What is claimed of a call that is to be answered, at once or after a consultation."""
    call = incoming("rtc_1")
    if revised:
        return (await gate.revise(call, REJECTED, ANSWERED)).decision
    return (await gate.offer(call, ANSWERED)).decision


@pytest.mark.parametrize("revised", [False, True])
async def test_without_records_a_call_that_would_be_held_is_refused(*, revised: bool) -> None:
    claims, away = FakeClaims(), [True]
    gate = RecordsGate(claims, lambda: away[0])
    step = TraceStep("records", "new calls", held=True, because=AWAY)
    no_records = Decision(Reject(503, Reason.NO_RECORDS, DEFAULT_TENANT), trace=(STEP, step))

    assert await through(gate, revised=revised) == no_records
    assert claims.offered == [no_records]
    away[0] = False
    assert await through(gate, revised=revised) == ANSWERED


async def test_without_records_nobody_is_sent_on_and_a_rejection_stays_what_it_is() -> None:
    gate = RecordsGate(FakeClaims(), lambda: True)
    call = incoming("rtc_1")

    assert (await gate.offer(call, SENT_ON)).decision.verdict == Reject(
        503, Reason.NO_RECORDS, DEFAULT_TENANT
    )
    assert (await gate.offer(call, REJECTED)).decision == REJECTED


@pytest.mark.parametrize("decision", [ANSWERED, SENT_ON, REJECTED])
def test_everything_passes_where_nothing_is_wrong(decision: Decision) -> None:
    assert Door().admit(decision) == Passed(decision)


def test_an_account_that_fails_refuses_all_calls_that_it_would_have_to_hold() -> None:
    door = Door()
    door.fail()
    assert door.admit(ANSWERED) == Passed(refused(FAILING))
    assert door.admit(SENT_ON) == Passed(refused(FAILING))
    assert door.admit(REJECTED) == Passed(REJECTED)


def test_an_account_without_room_refuses_calls_that_need_the_model() -> None:
    door = Door()
    told = RateLimitsTold((RateLimit("tokens", 1000, 1, 20.0),))
    door.gate.headroom.heed(PLAN, told)
    assert door.admit(ANSWERED) == Passed(refused(NO_ROOM))
    assert door.admit(SENT_ON) == Passed(SENT_ON)
    assert door.admit(REJECTED) == Passed(REJECTED)
    door.clock.now = 20
    assert door.admit(ANSWERED) == Passed(ANSWERED)


def test_a_call_that_is_refused_for_want_of_room_is_no_trial() -> None:
    door = Door()
    door.fail()
    door.clock.now = SHORTEST_PAUSE
    told = RateLimitsTold((RateLimit("tokens", 1000, 1, 1.0),))
    door.gate.headroom.heed(PLAN, told)
    assert door.admit(call_id="rtc_1") == Passed(refused(NO_ROOM))
    door.clock.now += 1
    assert door.admit(call_id="rtc_2") == Passed(ANSWERED, trial=True)


@pytest.mark.parametrize(
    ("shown", "passed"),
    [
        (Happening.HEARD, Passed(ANSWERED)),
        (Happening.FELL_BACK, Passed(refused(FAILING))),
        (Happening.ATTACHED, Passed(refused(FAILING))),
        (Happening.RETRIED, Passed(refused(FAILING))),
        (an_end(Reason.PROVIDER_ERROR), Passed(refused(FAILING))),
        (an_end(Reason.CALLER_GONE), Passed(ANSWERED, trial=True)),
        (an_end(Reason.LINE_CLOSED, attached_at=1.0), Passed(ANSWERED)),
    ],
    ids=lambda value: None if isinstance(value, Passed) else str(getattr(value, "name", value)),
)
async def test_what_becomes_of_the_trial_decides_on_the_next_call(
    shown: Happening | CallOutcome, passed: Passed
) -> None:
    door = Door()
    door.fail()
    door.clock.now = SHORTEST_PAUSE
    offer = await door.gate.offer(incoming("rtc_1"), ANSWERED)
    assert offer == Offer(Claim.OK, ANSWERED)
    if isinstance(shown, Happening):
        door.records.happened(PLAN, shown)
    else:
        door.records.ended(shown)
    assert door.admit(call_id="rtc_2") == passed


FULL = Offer(Claim.FULL, replace(ANSWERED, verdict=Reject(486, Reason.QUOTA, DEFAULT_TENANT)))
FORWARDED = Offer(Claim.FULL, SENT_ON)


@pytest.mark.parametrize(
    ("answer", "passed"),
    [
        (Claim.OK, Passed(refused(FAILING))),
        (FORWARDED, Passed(refused(FAILING))),
        (Claim.DUPLICATE, Passed(ANSWERED, trial=True)),
        (FULL, Passed(ANSWERED, trial=True)),
    ],
    ids=["held", "sent on", "second delivery", "rejected"],
)
async def test_a_trial_that_is_not_held_is_none(answer: Offer | Claim, passed: Passed) -> None:
    door = Door()
    door.fail()
    door.clock.now = SHORTEST_PAUSE
    door.claims.answer = answer
    await door.gate.offer(incoming("rtc_1"), ANSWERED)
    assert door.admit(call_id="rtc_2") == passed


async def test_a_trial_whose_claim_is_broken_off_is_none() -> None:
    door = Door()
    door.fail()
    door.clock.now = SHORTEST_PAUSE
    door.claims.answer = None
    with pytest.raises(asyncio.CancelledError):
        await door.gate.offer(incoming("rtc_1"), ANSWERED)
    assert door.admit(call_id="rtc_2") == Passed(ANSWERED, trial=True)


async def test_the_trials_own_second_delivery_does_not_let_another_call_through() -> None:
    door = Door()
    door.fail()
    door.clock.now = SHORTEST_PAUSE
    await door.gate.offer(incoming("rtc_1"), ANSWERED)
    door.claims.answer = Claim.DUPLICATE
    await door.gate.offer(incoming("rtc_1"), ANSWERED)
    assert door.admit(call_id="rtc_2") == Passed(refused(FAILING))


async def test_what_is_refused_is_claimed_as_a_rejection() -> None:
    """So that it is recorded once, and takes nobody's room."""
    door = Door()
    door.fail()
    offer = await door.gate.offer(incoming("rtc_1"), ANSWERED)
    assert offer.decision == refused(FAILING)
    assert door.claims.offered == [refused(FAILING)]


def test_a_rejection_by_the_gate_is_no_failure_of_the_account() -> None:
    door = Door()
    for number in range(2 * FAILURES):
        door.records.ended(an_end(Reason.BUSY, f"rtc_{number}"))
    assert door.admit() == Passed(ANSWERED)


async def test_records_are_kept_as_they_would_be_without_a_watch() -> None:
    door = Door()
    call, outcome = incoming("rtc_1"), an_end(Reason.LINE_CLOSED)
    door.records.decided(call, ANSWERED)
    door.records.fault(PLAN, "other", "server_error")
    use = ToolUse("call_1", ToolName("wait"), 1.0, 1.0, ToolStatus.DONE)
    door.records.tool(PLAN, use)
    message = Message("call_2", {"message": "Call me."})
    await door.records.message(PLAN, message)
    door.records.ended(outcome)
    assert door.memory.decisions == [(call, ANSWERED)]
    assert door.memory.faults == [("other", "server_error")]
    assert door.memory.tools == [use]
    assert door.memory.messages == {(PLAN.call_id, "call_2"): message}
    assert door.memory.outcomes == [outcome]


def test_signs_of_one_account_do_not_reach_another() -> None:
    door = Door()
    door.fail()
    other = replace(incoming("rtc_1"), account=AccountName("eu-1"))
    assert door.gate.admit(other, ANSWERED) == Passed(ANSWERED)
    door.gate.breakers.tell(AccountName("eu-1"), CallId("rtc_1"), Sign.WORKS)
    assert door.admit() == Passed(refused(FAILING))
