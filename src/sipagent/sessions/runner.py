"""One call's runner: carries events into its machine and the machine's commands out.

Events may come at any moment and are taken at once, without a task switch: a frame costs one
step. Commands wait in a queue and are carried out one by one, in order, each within a deadline.
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Final, assert_never

from sipagent.errors import AttachError
from sipagent.model import CallOutcome, CallPlan, Speaker
from sipagent.sessions.machine import begin, step
from sipagent.sessions.machine.commands import (
    Accept,
    Attach,
    CancelResponse,
    ClearAudio,
    Command,
    CreateResponse,
    Finish,
    HangUp,
    Probe,
    RecordTurn,
    Refer,
    Reject,
    UpdateSession,
)
from sipagent.sessions.machine.events import (
    AgentText,
    Answer,
    AudioStarted,
    CallerText,
    DeadlineReached,
    Event,
    HangUpAnswered,
    Probed,
    ProviderFault,
    Referred,
    RejectAnswered,
    ResponseDone,
    SocketRefused,
)
from sipagent.sessions.machine.lifecycle import Phase
from sipagent.sessions.ports import (
    END_WITHIN,
    CallControl,
    CallSocket,
    Clock,
    Dial,
    Records,
    Sideband,
    SocketRequest,
    Tap,
    Words,
)

SEND_WITHIN: Final = 5.0
"""Seconds for a request to be handed to the connection; a peer that does not read is gone."""

UNANSWERED_WITHIN: Final = 3.5
"""Seconds for a reject and the hang-up after it once the time for an answer is over: meanwhile the
caller may still hear it ring."""

KEPT_FOR_HANG_UP: Final = 1.5
"""Seconds of these that a reject leaves to the hang-up."""

_SPEECH: Final = (AgentText, CallerText)
_RINGING: Final = frozenset({Phase.NEW, Phase.ANSWERING, Phase.REJECTING})


@dataclass(frozen=True, slots=True)
class World:
    """The ports that one call speaks to."""

    control: CallControl
    sideband: Sideband
    records: Records
    tap: Tap
    clock: Clock


class CallRunner:
    """Holds one call from its claim to its outcome.

    `answer_within` is how many seconds are left to have the call answered; what rings then is
    rejected, or else hung up, within UNANSWERED_WITHIN more.
    """

    __slots__ = (
        "_answered_at",
        "_attached_at",
        "_began",
        "_began_at",
        "_commands",
        "_crash",
        "_dial",
        "_end",
        "_heard_at",
        "_socket",
        "_state",
        "_timer",
        "_timer_at",
        "_turns",
        "_wake",
        "_world",
        "answer_within",
        "plan",
    )

    def __init__(self, plan: CallPlan, world: World, *, answer_within: float) -> None:
        self.plan = plan
        self.answer_within = answer_within
        self._world = world
        self._began = world.clock.monotonic()
        self._began_at = world.clock.wall()
        self._state, commands = begin(plan)
        self._commands: deque[Command] = deque(commands)
        self._wake: asyncio.Future[None] | None = None
        self._crash: Exception | None = None
        self._dial: Dial | None = None
        self._socket: CallSocket | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: float | None = None
        self._end: Finish | None = None
        self._answered_at: float | None = None
        self._attached_at: float | None = None
        self._heard_at: float | None = None
        self._turns = 0

    async def run(self) -> CallOutcome:
        """Hold the call to its end and say how it ended.

        Raises whatever broke it. Cancelling it closes the socket and leaves the call up: whoever
        cancels hangs up.
        """
        try:
            while self._end is None:
                await self._carry_out(await self._next_command())
            return self.outcome(self._end)
        finally:
            await self._let_go()

    def deliver(self, event: Event) -> None:
        """Take an event, now. After the end, and after a crash, events are dropped."""
        if self._crash is not None or self._end is not None:
            return
        try:
            self._observe(event)
            self._state, commands = step(self._state, event, self._now())
        except Exception as crash:  # noqa: BLE001  # the crash boundary: `run` raises it
            self._crash = crash
            self._rouse()
            return
        if commands:
            self._commands.extend(commands)
            self._rouse()
        if self._state.deadlines.earliest != self._timer_at:
            self._set_timer()

    def outcome(self, end: Finish) -> CallOutcome:
        """The call's outcome, had it ended so at this moment."""
        plan = self.plan
        return CallOutcome(
            call_id=plan.call_id,
            account=plan.account,
            tenant=plan.tenant,
            agent=plan.agent,
            reason=end.reason,
            detail=end.detail,
            sip_code=end.sip_code,
            began_at=self._began_at,
            ended_at=self._world.clock.wall(),
            answered_at=self._answered_at,
            attached_at=self._attached_at,
            heard_at=self._heard_at,
            turns=self._turns,
        )

    @property
    def control(self) -> CallControl:
        """The call's own: its account may be at another address by now."""
        return self._world.control

    @property
    def rings(self) -> bool:
        """Whether the caller may still be waiting for an answer."""
        return self._state.lifecycle.phase in _RINGING

    def _now(self) -> float:
        return self._world.clock.monotonic() - self._began

    def _observe(self, event: Event) -> None:
        """Show words as they are spoken, and note the first sound and what went wrong."""
        if isinstance(event, _SPEECH):
            if self._world.tap.watched(self.plan.call_id):
                speaker = Speaker.AGENT if isinstance(event, AgentText) else Speaker.CALLER
                words = Words(self.plan.call_id, speaker, event.item_id, event.delta)
                self._world.tap.publish(words)
        elif isinstance(event, AudioStarted):
            self._heard_at = self._heard_at or self._world.clock.wall()
        elif isinstance(event, ProviderFault):
            self._world.records.fault(self.plan, event.kind, event.code)
        elif isinstance(event, ResponseDone) and event.error_code is not None:
            self._world.records.fault(self.plan, "response_failed", event.error_code)

    async def _next_command(self) -> Command:
        while self._crash is None and not self._commands:
            self._wake = asyncio.get_running_loop().create_future()
            await self._wake
        if self._crash is not None:
            raise self._crash
        return self._commands.popleft()

    def _rouse(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def _carry_out(self, command: Command) -> None:
        match command:
            case CreateResponse() | CancelResponse() | ClearAudio() | UpdateSession():
                await self._send(command)
            case RecordTurn(turn):
                self._turns += 1
                self._world.records.turn(self.plan, turn)
            case Accept():
                await self._accept(command)
            case Reject(code):
                within = self._ringing_left(KEPT_FOR_HANG_UP)
                answer = await self.control.reject(self.plan.call_id, code, within=within)
                self.deliver(RejectAnswered(answer))
            case Attach():
                await self._attach()
            case Probe():
                await self._release_socket()
                self.deliver(Probed(await self._new_dial().probe()))
            case Refer(target_uri):
                answer = await self.control.refer(self.plan.call_id, target_uri)
                self.deliver(Referred(answer))
            case HangUp(rings):
                within = self._ringing_left(0.0) if rings else END_WITHIN
                answer = await self.control.hang_up(self.plan.call_id, within=within)
                self.deliver(HangUpAnswered(answer))
            case Finish():
                self._end = command
            case _:
                assert_never(command)

    async def _accept(self, command: Accept) -> None:
        """Have the call answered, and meanwhile the way to its socket opened if that is far."""
        self._dial = dial = self._new_dial()
        accepting = self.control.accept(
            self.plan.call_id, command.session, within=self.answer_within
        )
        if dial.far:
            async with asyncio.TaskGroup() as tasks:
                warming = tasks.create_task(dial.warm(), name=f"warm:{self.plan.call_id}")
                answered = await accepting
                if answered.answer not in (Answer.DONE, Answer.DECIDED):
                    warming.cancel()
        else:
            answered = await accepting
        if answered.answer is Answer.DONE:
            self._answered_at = self._world.clock.wall()
        self.deliver(answered)

    def _ringing_left(self, kept: float) -> float:
        """Seconds for a request to a call that may still ring, `kept` of the time left over."""
        left = self.answer_within + UNANSWERED_WITHIN - self._now()
        return min(END_WITHIN, max(KEPT_FOR_HANG_UP, left - kept))

    async def _attach(self) -> None:
        dial, self._dial = self._dial or self._new_dial(), None
        try:
            self._socket = await dial.attach(self.deliver)
        except AttachError as refused:
            detail = f"attach answered {refused.status}" if refused.status else "attach unanswered"
            self.deliver(SocketRefused(detail))
        else:
            self._attached_at = self._world.clock.wall()
            # An accept whose own answer was lost is known to have been taken only now.
            self._answered_at = self._answered_at or self._attached_at

    async def _send(self, request: SocketRequest) -> None:
        if self._socket is None:
            return
        try:
            async with asyncio.timeout(SEND_WITHIN):
                await self._socket.send(request)
        except TimeoutError:
            await self._release_socket()
        except ConnectionError:
            return  # SocketClosed is on its way, or here already

    def _new_dial(self) -> Dial:
        return self._world.sideband.dial(self.plan.call_id)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._timer_at = earliest = self._state.deadlines.earliest
        if earliest is not None:
            delay = max(0.0, earliest - self._now())
            self._timer = asyncio.get_running_loop().call_later(delay, self._time_is_up)

    def _time_is_up(self) -> None:
        self._timer_at = None
        key = self._state.deadlines.due(self._now())
        if key is None:
            self._set_timer()  # a timer may fire within the clock's resolution too early
        else:
            self.deliver(DeadlineReached(key))

    async def _release_socket(self) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            await socket.close()

    async def _let_go(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._dial is not None:
            self._dial.abandon()
        await self._release_socket()
