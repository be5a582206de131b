"""All calls of this process: each has its own task, and none can harm another."""

import asyncio
from dataclasses import dataclass, replace
from typing import Final

import structlog

from sipagent.concurrency import TaskOwner, finish
from sipagent.model import (
    CallId,
    CallOutcome,
    CallPlan,
    IncomingCall,
    Reason,
    Reject,
)
from sipagent.sessions.machine.commands import Finish
from sipagent.sessions.machine.events import Answer, EndRequested
from sipagent.sessions.ports import Clock, Providers, Records, Tap
from sipagent.sessions.runner import CallRunner, World

log = structlog.get_logger(__name__)

GOODBYE: Final = (
    "The call has to end now, for a technical reason that is not the caller's fault. In the"
    " language of the conversation, apologise in one short sentence, ask the caller to call again"
    " in a few minutes, and say goodbye. Do not ask anything."
)

_LAST_WORDS: Final = 20.0
"""Seconds for a goodbye, its hang-up and the socket's end, beyond their own deadlines."""

_ABORT_WITHIN: Final = 1.0
"""Seconds for the hang-ups of an immediate end, so that the process exits within two."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The ports that all calls share."""

    providers: Providers
    records: Records
    tap: Tap
    clock: Clock


class Supervisor:
    """Owns every call from its claim to its recorded outcome."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._tasks = TaskOwner(self._task_crashed)
        self._runners: dict[CallId, CallRunner] = {}

    @property
    def live(self) -> int:
        """Calls that are held now, from accept to outcome."""
        return len(self._runners)

    @property
    def busy(self) -> int:
        """Tasks that run now: calls that are held, and rejections on their way."""
        return len(self._tasks)

    def answer(self, plan: CallPlan, *, within: float) -> None:
        """Answer and hold a call. `within`: seconds that are left to have it answered."""
        self._tasks.start(self._hold(plan, within), name=f"call:{plan.call_id}")

    def refuse(self, call: IncomingCall, verdict: Reject) -> None:
        """Refuse a call and record it."""
        self._tasks.start(self._refuse(call, verdict), name=f"reject:{call.call_id}")

    async def drain(self, within: float) -> None:
        """Let all calls go on to their end for `within` seconds, then end them with a goodbye.

        Afterwards every call that was held has its outcome. Cancelling it leaves the calls.
        """
        log.info("draining", calls=self.live, within=within)
        if not await self._tasks.join(within):
            log.warning("drain time is over: saying goodbye", calls=self.live)
            for runner in tuple(self._runners.values()):
                runner.deliver(EndRequested(Reason.OPERATOR_HUNG_UP, GOODBYE))
            if not await self._tasks.join(_LAST_WORDS):
                await self.abort()
        log.info("drained")

    async def abort(self) -> None:
        """End all calls at once: hang up, record, and be gone within two seconds."""
        if self.busy:
            log.warning("ending all calls at once", calls=self.live)
            await self._tasks.cancel(_ABORT_WITHIN + 0.2)

    async def _hold(self, plan: CallPlan, within: float) -> None:
        control = self._around.providers.control(plan.account)
        world = World(
            control=control,
            sideband=self._around.providers.sideband(plan.account),
            records=self._around.records,
            tap=self._around.tap,
            clock=self._around.clock,
        )
        with structlog.contextvars.bound_contextvars(
            call_id=plan.call_id, tenant=plan.tenant, agent=plan.agent
        ):
            runner = CallRunner(plan, world, answer_within=within)
            self._runners[plan.call_id] = runner
            end = Finish(Reason.INTERNAL_ERROR, None)
            try:
                outcome = await runner.run()
            except asyncio.CancelledError:
                end = replace(end, reason=Reason.OPERATOR_HUNG_UP, detail="ended at once")
                await finish(self._cut_off(runner, end), name=f"end:{plan.call_id}")
                raise
            except Exception as crash:  # the crash boundary of one call
                log.exception("call crashed", error=type(crash).__name__)
                await finish(self._cut_off(runner, end), name=f"end:{plan.call_id}")
            else:
                self._around.records.ended(outcome)
            finally:
                self._runners.pop(plan.call_id, None)

    async def _cut_off(self, runner: CallRunner, end: Finish) -> None:
        """Hang up and record, whatever state the call was in."""
        answer = Answer.SILENT
        try:
            async with asyncio.timeout(_ABORT_WITHIN):
                control = self._around.providers.control(runner.plan.account)
                answer = await control.hang_up(runner.plan.call_id)
        except Exception as error:  # noqa: BLE001  # the outcome is due in any case
            log.warning("hang-up failed", error=type(error).__name__)
        if answer not in (Answer.DONE, Answer.GONE):
            end = replace(end, detail="hang-up not confirmed")
        self._around.records.ended(runner.outcome(end))

    async def _refuse(self, call: IncomingCall, verdict: Reject) -> None:
        began_at = self._around.clock.wall()
        with structlog.contextvars.bound_contextvars(call_id=call.call_id, tenant=verdict.tenant):
            control = self._around.providers.control(call.account)
            answer = await control.reject(call.call_id, verdict.code)
            reason = Reason.CALLER_GONE if answer is Answer.GONE else verdict.reason
            self._around.records.ended(
                CallOutcome(
                    call_id=call.call_id,
                    account=call.account,
                    tenant=verdict.tenant,
                    agent=None,
                    reason=reason,
                    began_at=began_at,
                    ended_at=self._around.clock.wall(),
                    sip_code=verdict.code if answer is Answer.DONE else None,
                    detail=None if answer in (Answer.DONE, Answer.GONE) else f"reject {answer}",
                )
            )

    def _task_crashed(self, name: str, crash: BaseException) -> None:
        log.error("task crashed", task=name, error=type(crash).__name__, exc_info=crash)
