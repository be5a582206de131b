"""The last questions before a call is claimed: whether it can be recorded, and whether its account
takes new calls now."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from sipagent.model import (
    Accept,
    CallOutcome,
    CallPlan,
    Decision,
    Forward,
    Happening,
    IncomingCall,
    Message,
    Reason,
    Reject,
    ToolUse,
    TraceStep,
    Transfer,
    Turn,
    Usage,
)
from sipagent.sessions.breaker import Admission, Breakers, sign_of_end, sign_of_step
from sipagent.sessions.headroom import Headroom
from sipagent.sessions.machine.life import SERVICE_UNAVAILABLE
from sipagent.sessions.ports import Claim, Claims, Offer, Records

FAILING: Final = "its calls fail: it is tried with one call at a time"
NO_ROOM: Final = "the provider has next to nothing left of its limits"
AWAY: Final = "records are away, and no call is taken without them"


@dataclass(frozen=True, slots=True)
class Passed:
    """A decision as the account allows it. `trial`: the call is the one by which an account that
    fails is tried."""

    decision: Decision
    trial: bool = False


@dataclass(frozen=True, slots=True)
class Gate:
    """Claims that first ask whether the call's account takes new calls: one that cannot be held is
    refused with 503, so that the carrier may try elsewhere."""

    claims: Claims
    breakers: Breakers
    headroom: Headroom

    async def offer(self, call: IncomingCall, decision: Decision) -> Offer:
        """Claim a call as its account allows.

        A trial that is not held (it is no new call, or there is no room for it) is none.
        """
        passed = self.admit(call, decision)
        held = False
        try:
            offer = await self.claims.offer(call, passed.decision)
            refused = isinstance(offer.decision.verdict, Reject)
            held = offer.claim is not Claim.DUPLICATE and not refused
        finally:
            if passed.trial and not held:
                self.breakers.withdraw(call.account, call.call_id)
        return offer

    async def revise(self, call: IncomingCall, before: Decision, after: Decision) -> Offer:
        """As `offer`, for a claimed call of which something else is decided."""
        self.breakers.withdraw(call.account, call.call_id)
        passed = self.admit(call, after)
        held = False
        try:
            offer = await self.claims.revise(call, before, passed.decision)
            lost = offer.claim is Claim.LOST
            held = not lost and not isinstance(offer.decision.verdict, Reject)
        finally:
            if passed.trial and not held:
                self.breakers.withdraw(call.account, call.call_id)
        return offer

    def admit(self, call: IncomingCall, decision: Decision) -> Passed:
        """What is to become of a call that was decided so. A rejection stays what it is, and a
        forward needs no model, so that limits do not hold it up."""
        verdict = decision.verdict
        match verdict:
            case Accept() if self.headroom.lowered(call.account) is not None:
                return Passed(_refused(decision, Reason.BUSY, _about(call, NO_ROOM)))
            case Accept() | Forward():
                admission = self.breakers.admit(call.account, call.call_id)
                if admission is Admission.REFUSED:
                    return Passed(_refused(decision, Reason.BUSY, _about(call, FAILING)))
                return Passed(decision, trial=admission is Admission.TRIAL)
            case Reject():
                return Passed(decision)


@dataclass(frozen=True, slots=True)
class RecordsGate:
    """Claims that first ask whether records are `away`: then a call that would have to be held is
    refused with 503, and those that are held go on."""

    claims: Claims
    away: Callable[[], bool]

    async def offer(self, call: IncomingCall, decision: Decision) -> Offer:
        return await self.claims.offer(call, self._admitted(decision))

    async def revise(self, call: IncomingCall, before: Decision, after: Decision) -> Offer:
        return await self.claims.revise(call, before, self._admitted(after))

    def _admitted(self, decision: Decision) -> Decision:
        if isinstance(decision.verdict, Reject) or not self.away():
            return decision
        step = TraceStep("records", "new calls", held=True, because=AWAY)
        return _refused(decision, Reason.NO_RECORDS, step)


def _about(call: IncomingCall, because: str) -> TraceStep:
    return TraceStep("accounts", call.account, held=True, because=because)


def _refused(decision: Decision, reason: Reason, step: TraceStep) -> Decision:
    """Counts for no cap and no quota: there is nothing that it could take."""
    refused = Reject(SERVICE_UNAVAILABLE, reason, decision.tenant)
    return replace(
        decision,
        verdict=refused,
        trace=(*decision.trace, step),
        caps=(),
        quotas=(),
        if_full=None,
        if_spent=None,
        overflow=(),
        consult=None,
    )


@dataclass(frozen=True, slots=True)
class WatchedRecords:
    """Records that also tell the breakers what calls show of their accounts: the one place where
    they hear of it."""

    records: Records
    breakers: Breakers

    def decided(self, call: IncomingCall, decision: Decision) -> None:
        self.records.decided(call, decision)

    def adopted(self, call: IncomingCall, decision: Decision, began_at: float) -> None:
        self.records.adopted(call, decision, began_at)

    def happened(self, plan: CallPlan, what: Happening, detail: str | None = None) -> None:
        self.records.happened(plan, what, detail)
        sign = sign_of_step(what)
        if sign is not None:
            self.breakers.tell(plan.account, plan.call_id, sign)

    def turn(self, plan: CallPlan, turn: Turn) -> None:
        self.records.turn(plan, turn)

    def used(self, plan: CallPlan, usage: Usage) -> None:
        self.records.used(plan, usage)

    def transfer(self, plan: CallPlan, transfer: Transfer) -> None:
        self.records.transfer(plan, transfer)

    def tool(self, plan: CallPlan, use: ToolUse) -> None:
        self.records.tool(plan, use)

    async def message(self, plan: CallPlan, message: Message) -> None:
        await self.records.message(plan, message)

    def fault(self, plan: CallPlan, kind: str, code: str) -> None:
        self.records.fault(plan, kind, code)

    def left(self, plan: CallPlan) -> None:
        self.records.left(plan)
        self.breakers.withdraw(plan.account, plan.call_id)

    def ended(self, outcome: CallOutcome) -> None:
        self.records.ended(outcome)
        self.breakers.tell(outcome.account, outcome.call_id, sign_of_end(outcome))
