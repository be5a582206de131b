"""Calls that are not held: refused, or let go because they cannot be taken over."""

import asyncio
from dataclasses import dataclass
from typing import Final

import structlog

from sipagent.model import CallOutcome, IncomingCall, Mark, Reason, Reject
from sipagent.sessions.machine.events import Answer
from sipagent.sessions.machine.life import unconfirmed
from sipagent.sessions.ports import FIRST_EPOCH, CallControl, Clock, HeldCall

log = structlog.get_logger(__name__)

ABORT_WITHIN: Final = 1.0
"""Seconds for the hang-ups of an immediate end, so that the process exits within two."""

OVER: Final = (Answer.DONE, Answer.GONE)
"""Answers after which the call is no more."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A call that is rejected, by the control that its account had when it came. One of a browser
    has been answered: it is hung up."""

    call: IncomingCall
    verdict: Reject
    control: CallControl
    clock: Clock
    began_at: float
    epoch: int = FIRST_EPOCH

    async def run(self) -> CallOutcome:
        if self.call.talk:
            answer = await self.control.hang_up(self.call.call_id)
            detail = None if answer in OVER else unconfirmed(None)
            return self.outcome(self.verdict.reason, detail=detail)
        answer = await self.control.reject(self.call.call_id, self.verdict.code)
        if answer is Answer.GONE:
            if self.epoch == FIRST_EPOCH:
                return self.outcome(Reason.CALLER_GONE)
            # The owner before may have had it rejected.
            return self.outcome(self.verdict.reason, detail=f"reject {answer}")
        if answer is Answer.DONE:
            return self.outcome(self.verdict.reason, sip_code=self.verdict.code)
        detail = f"reject {answer}"
        if answer is not Answer.DECIDED and self.verdict.reason is not Reason.UNKNOWN_NUMBER:
            # Until somebody says no, the caller rings on. A call that has been decided, or whose
            # number is not ours, may be held by another service that shares the account.
            answer = await self.control.hang_up(self.call.call_id)
            detail = detail if answer in OVER else unconfirmed(detail)
        return self.outcome(self.verdict.reason, detail=detail)

    async def cut_off(self, reason: Reason) -> CallOutcome:
        """Try once more, for a second: until somebody says no, the caller rings on."""
        try:
            async with asyncio.timeout(ABORT_WITHIN):
                return await self.run()
        except Exception as error:  # noqa: BLE001  # the outcome is due in any case
            log.warning("reject failed", error=type(error).__name__)
        crashed = reason is Reason.INTERNAL_ERROR
        return self.outcome(reason if crashed else self.verdict.reason, detail="reject broken off")

    def outcome(
        self, reason: Reason, *, detail: str | None = None, sip_code: int | None = None
    ) -> CallOutcome:
        return CallOutcome(
            call_id=self.call.call_id,
            account=self.call.account,
            tenant=self.verdict.tenant,
            agent=None,
            reason=reason,
            began_at=self.began_at,
            ended_at=self.clock.wall(),
            sip_code=sip_code,
            detail=detail,
        )


@dataclass(frozen=True, slots=True)
class Unadopted:
    """A call that cannot be gone on with: its account is not there any more, or what was written of
    it cannot be used. `control` is None where nobody could be asked to end it."""

    held: HeldCall
    cause: str
    control: CallControl | None
    clock: Clock

    async def run(self) -> CallOutcome:
        answer = Answer.SILENT
        if self.control is not None:
            answer = await self.control.hang_up(self.held.call.call_id)
        return self.outcome(confirmed=answer in OVER)

    async def cut_off(self, _: Reason) -> CallOutcome:
        return self.outcome(confirmed=False)

    def outcome(self, *, confirmed: bool) -> CallOutcome:
        held, verdict, marks = self.held, self.held.decision.verdict, self.held.marks
        detail = f"not adopted: {self.cause}"
        if isinstance(verdict, Reject):
            agent, reason = None, verdict.reason
        else:
            agent, reason = verdict.plan.agent, Reason.REPLICA_LOST
        return CallOutcome(
            call_id=held.call.call_id,
            account=held.call.account,
            tenant=held.decision.tenant,
            agent=agent,
            reason=reason,
            began_at=held.claimed_at,
            ended_at=self.clock.wall(),
            answered_at=marks.get(Mark.ACCEPTED) or marks.get(Mark.ATTACHED),
            attached_at=marks.get(Mark.ATTACHED),
            heard_at=marks.get(Mark.HEARD),
            detail=detail if confirmed else unconfirmed(detail),
            usage_complete=isinstance(verdict, Reject),
        )
