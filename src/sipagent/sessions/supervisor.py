"""All calls of this process: each has its own task, and none can harm another."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as replace_fields
from functools import partial
from typing import Final

import structlog
from msgspec.structs import replace

from sipagent.concurrency import TaskOwner, finish
from sipagent.model import (
    CallId,
    CallOutcome,
    CallPlan,
    Decision,
    IncomingCall,
    Reason,
    Reject,
)
from sipagent.model.request import CallRequest, Reply
from sipagent.sessions.acting import Acting
from sipagent.sessions.logbook import Keeping, Looks
from sipagent.sessions.machine.commands import Finish
from sipagent.sessions.machine.events import Answer, EndRequested, RateLimitsTold
from sipagent.sessions.machine.life import SERVICE_UNAVAILABLE, unconfirmed
from sipagent.sessions.ports import (
    FIRST_EPOCH,
    CallControl,
    Clock,
    Engine,
    HeldCall,
    Providers,
    Records,
    Tap,
    ToolRunner,
)
from sipagent.sessions.refusals import ABORT_WITHIN, OVER, Refusal, Unadopted
from sipagent.sessions.runner import CallRunner
from sipagent.sessions.tooling import NoTools
from sipagent.sessions.world import World

log = structlog.get_logger(__name__)

GOODBYE: Final = (
    "The call has to end now, for a technical reason that is not the caller's fault. In the"
    " language of the conversation, apologise in one short sentence, ask the caller to call again"
    " in a few minutes, and say goodbye. Do not ask anything."
)

MONEY_SPENT: Final = (
    "The call has to end now. In the language of the conversation, say in one short sentence that"
    " you have to end the call, and say goodbye politely. Do not mention money and ask nothing."
)

_DIALS_AT_ONCE: Final = 100
"""Lost sockets that are dialed at the same time: after a restart all of them are due at once."""

_RINGING_LEFT: Final = 5.0
"""Seconds to have a call answered that another process has left ringing."""

_LAST_WORDS: Final = 30.0
"""Seconds for a goodbye, its hang-up and the socket's end: more than their own deadlines."""


def _unheeded(_: CallPlan, __: RateLimitsTold) -> None:
    """What is left to an account, told to nobody."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The ports that all calls share."""

    providers: Providers
    engine: Engine
    records: Records
    tap: Tap
    clock: Clock
    limits: Callable[[CallPlan, RateLimitsTold], None] = field(default=_unheeded)
    tools: ToolRunner = field(default_factory=NoTools)
    looks: Looks = field(default=Looks())


class Supervisor:
    """Owns every call from its claim to its recorded outcome."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._tasks = TaskOwner(self._task_crashed)
        self._runners: dict[CallId, CallRunner] = {}
        self._holding: dict[CallId, asyncio.Task[None]] = {}
        self._aside: dict[CallId, asyncio.Task[None]] = {}
        self._gate = asyncio.Semaphore(_DIALS_AT_ONCE)
        self._acting = Acting()
        self._keeping = Keeping(
            around.engine,
            around.records,
            around.tap,
            around.clock,
            self._spent,
            around.limits,
            around.looks,
        )

    @property
    def live(self) -> int:
        """Calls that are held now, from accept to outcome."""
        return len(self._runners)

    @property
    def busy(self) -> int:
        """Tasks that run now: calls that are held, and rejections on their way."""
        return len(self._tasks)

    def held(self) -> tuple[CallRunner, ...]:
        """The calls that are held now."""
        return tuple(self._runners.values())

    def answer(self, plan: CallPlan, *, within: float, began_at: float) -> None:
        """Answer and hold a call that has been claimed at `began_at`, unix seconds. `within`: the
        seconds that are left to have it answered."""
        world = self._world(plan)
        self._start(CallRunner(plan, world, answer_within=within, began_at=began_at))

    def refuse(self, call: IncomingCall, verdict: Reject) -> None:
        """Refuse a call and record it."""
        self._refuse_from(call, verdict, self._around.clock.wall(), FIRST_EPOCH)

    def consult(
        self, call: IncomingCall, decision: Decision, work: Coroutine[None, None, None]
    ) -> None:
        """Have `work` find out what becomes of a claimed call and see to it. A call about which it
        cannot is refused."""
        began_at = self._around.clock.wall()
        work = self._consult(call, decision, work, began_at)
        self._see_to(call.call_id, work, name=f"consult:{call.call_id}")

    def adopt(self, held: Sequence[HeldCall], ring_window: float) -> None:
        """Go on with calls that processes before this one have left.

        A call that has ended is recorded, one that lives is held to its end, and one that was left
        ringing is answered if it may still ring, `ring_window` seconds after its creation.
        """
        for one in held:
            try:
                self._adopt(one, ring_window)
            except Exception as error:  # the crash boundary of one call
                cause, call_id = type(error).__name__, one.call.call_id
                log.exception("call not adopted", call_id=call_id, error=cause)
                lost = Unadopted(one, cause, self._control_of(one), self._around.clock)
                self._tasks.start(self._let_go(lost), name=f"lost:{call_id}")

    def wind_down(self, calls: Sequence[CallId]) -> None:
        """End these calls politely, because their money is used up."""
        for call_id in calls:
            if (runner := self._runners.get(call_id)) is not None:
                runner.deliver(EndRequested(Reason.BUDGET, MONEY_SPENT))

    def _adopt(self, held: HeldCall, ring_window: float) -> None:
        records, verdict = self._around.records, held.decision.verdict
        records.adopted(held.call, held.decision, held.claimed_at)
        if held.outcome is not None:
            self._ended(held.outcome, held.epoch)
        elif isinstance(verdict, Reject):
            self._refuse_from(held.call, verdict, held.claimed_at, held.epoch)
        else:
            plan = verdict.plan
            created_at = held.call.created_at or held.claimed_at
            runner = CallRunner(
                plan,
                self._world(plan),
                answer_within=self._around.clock.wall() - held.claimed_at + _RINGING_LEFT,
                began_at=held.claimed_at,
                held=held,
                rings=self._around.clock.wall() - created_at < ring_window,
            )
            self._start(runner)

    def _control_of(self, held: HeldCall) -> CallControl | None:
        try:
            return self._around.providers.control(held.call.account)
        except KeyError:
            return None

    def _world(self, plan: CallPlan) -> World:
        around, account = self._around, plan.account
        return World(
            control=around.providers.control(account),
            sideband=around.providers.sideband(account),
            keeping=self._keeping,
            clock=around.clock,
            gate=self._gate,
            tools=around.tools,
            tasks=self._tasks,
        )

    def _start(self, runner: CallRunner) -> None:
        call_id = runner.plan.call_id
        self._runners[call_id] = runner
        self._holding[call_id] = self._tasks.start(self._hold(runner), name=f"call:{call_id}")

    def let_go(self, call_id: CallId) -> None:
        """The call is another replica's by now: its socket is closed here, its tools end, and the
        call itself goes on. Nothing of it is recorded here any more."""
        runner, task = self._runners.pop(call_id, None), self._holding.pop(call_id, None)
        if runner is not None and task is not None:
            runner.leave()
            task.cancel()
        if (aside := self._aside.pop(call_id, None)) is not None:
            aside.cancel()

    def act(self, call_id: CallId, request: CallRequest, key: str) -> Reply | None:
        """Do with a call what somebody on duty wants, once for each key, or say why not; None if it
        is not held here, or not surely."""
        aside = call_id in self._aside
        return self._acting.act(call_id, self._runners.get(call_id), request, key, aside=aside)

    def resume(self) -> None:
        """Do what has waited for calls to be surely ours again."""
        for runner in tuple(self._runners.values()):
            runner.resume()

    def _refuse_from(
        self, call: IncomingCall, verdict: Reject, began_at: float, epoch: int
    ) -> None:
        control, clock = self._around.providers.control(call.account), self._around.clock
        refusal = Refusal(call, verdict, control, clock, began_at, epoch)
        self._see_to(call.call_id, self._refuse(refusal), name=f"reject:{call.call_id}")

    def _see_to(self, call_id: CallId, work: Coroutine[None, None, None], *, name: str) -> None:
        """Do what a call needs that is not held."""
        task = self._aside[call_id] = self._tasks.start(work, name=name)

        def done(_: object) -> None:
            if self._aside.get(call_id) is task:
                del self._aside[call_id]

        task.add_done_callback(done)

    def _sees_to(self, call_id: CallId) -> bool:
        """Whether the call is still this task's."""
        return self._aside.get(call_id) is asyncio.current_task()

    def _spent(self, call_id: CallId, cost: int) -> None:
        self.wind_down(self._around.engine.spent(call_id, cost))

    def _ended(self, outcome: CallOutcome, epoch: int) -> None:
        """Record the outcome. The engine is told first: until the records have the outcome, it is
        what remembers it."""
        try:
            self._around.engine.finish(outcome, epoch)
        finally:
            self._around.records.ended(outcome)

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
        if not self.busy:
            return
        log.warning("ending all calls at once", calls=self.live)
        # A task that is cancelled before its first step would never run, and record nothing.
        await asyncio.sleep(0)
        await self._tasks.cancel(ABORT_WITHIN + 0.2)

    async def _hold(self, runner: CallRunner) -> None:
        plan = runner.plan
        with structlog.contextvars.bound_contextvars(
            call_id=plan.call_id, tenant=plan.tenant, agent=plan.agent
        ):
            try:
                await self._recorded(
                    runner.run(),
                    partial(self._cut_off, runner),
                    runner.log.epoch,
                    ours=lambda: self._runners.get(plan.call_id) is runner and runner.log.active,
                )
            finally:
                if self._runners.get(plan.call_id) is runner:
                    del self._runners[plan.call_id], self._holding[plan.call_id]

    async def _refuse(self, refusal: Refusal) -> None:
        call_id, tenant = refusal.call.call_id, refusal.verdict.tenant
        with structlog.contextvars.bound_contextvars(call_id=call_id, tenant=tenant):
            await self._recorded(
                refusal.run(),
                refusal.cut_off,
                refusal.epoch,
                ours=lambda: self._sees_to(call_id),
            )

    async def _consult(
        self,
        call: IncomingCall,
        decision: Decision,
        work: Coroutine[None, None, None],
        began_at: float,
    ) -> None:
        with structlog.contextvars.bound_contextvars(call_id=call.call_id, tenant=decision.tenant):
            try:
                await work
            except asyncio.CancelledError:
                if not self._sees_to(call.call_id):
                    raise  # another replica goes on with it
                refusal = self._unsettled(call, decision, Reason.DRAINING, began_at)
                last = self._last(refusal.cut_off(Reason.DRAINING), FIRST_EPOCH)
                await finish(last, name="last words")
                raise
            except Exception as crash:  # the crash boundary of one consultation
                log.exception("consultation crashed", error=type(crash).__name__)
                refusal = self._unsettled(call, decision, Reason.INTERNAL_ERROR, began_at)
                await self._refuse(refusal)

    def _unsettled(
        self, call: IncomingCall, decision: Decision, reason: Reason, began_at: float
    ) -> Refusal:
        """The refusal of a call of which nobody has found out what becomes of it."""
        verdict = Reject(SERVICE_UNAVAILABLE, reason, decision.tenant)
        told = replace_fields(decision, verdict=verdict, caps=(), quotas=(), consult=None)
        self._around.records.decided(call, told)
        control, clock = self._around.providers.control(call.account), self._around.clock
        return Refusal(call, verdict, control, clock, began_at)

    async def _let_go(self, lost: Unadopted) -> None:
        call_id, tenant = lost.held.call.call_id, lost.held.decision.tenant
        with structlog.contextvars.bound_contextvars(call_id=call_id, tenant=tenant):
            await self._recorded(lost.run(), lost.cut_off, lost.held.epoch)

    async def _recorded(
        self,
        work: Coroutine[None, None, CallOutcome],
        cut_off: Callable[[Reason], Coroutine[None, None, CallOutcome]],
        epoch: int,
        ours: Callable[[], bool] = lambda: True,
    ) -> None:
        """Record the outcome of `work`; if it is cancelled or crashes, that of `cut_off`. Of a call
        that is not `ours` any more, or not surely, nothing is."""
        try:
            outcome = await work
        except asyncio.CancelledError:
            if not ours():
                return
            await finish(self._last(cut_off(Reason.OPERATOR_HUNG_UP), epoch), name="last words")
            raise
        except Exception as crash:  # the crash boundary of one call
            log.exception("call crashed", error=type(crash).__name__)
            await finish(self._last(cut_off(Reason.INTERNAL_ERROR), epoch), name="last words")
        else:
            self._ended(outcome, epoch)

    async def _last(self, work: Coroutine[None, None, CallOutcome], epoch: int) -> None:
        self._ended(await work, epoch)

    async def _cut_off(self, runner: CallRunner, reason: Reason) -> CallOutcome:
        """End a call whatever state it was in, within a second.

        A caller who still waits for an answer is sent on; and in case the answer is on its way,
        the call is hung up as well.
        """
        control, call_id, rings = runner.control, runner.plan.call_id, runner.rings
        end = Finish(
            Reason.DRAINING if rings and reason is not Reason.INTERNAL_ERROR else reason, None
        )
        answer = Answer.SILENT
        try:
            async with asyncio.timeout(ABORT_WITHIN):
                if rings:
                    answer = await control.reject(call_id, SERVICE_UNAVAILABLE)
                    if answer is Answer.DONE:
                        end = replace(end, sip_code=SERVICE_UNAVAILABLE)
                if answer not in OVER:
                    answer = await control.hang_up(call_id)
        except Exception as error:  # noqa: BLE001  # the outcome is due in any case
            log.warning("hang-up failed", error=type(error).__name__)
        if answer not in OVER:
            end = replace(end, detail=unconfirmed(end.detail))
        return runner.outcome(end)

    def _task_crashed(self, name: str, crash: BaseException) -> None:
        log.error("task crashed", task=name, error=type(crash).__name__, exc_info=crash)
