"""One call's runner: carries events into its machine and the machine's commands out.

Events may come at any moment and are taken at once, without a task switch: a frame costs one
step. Commands wait in a queue and are carried out one by one, in order, each within a deadline.
"""

import asyncio
from collections import deque
from typing import Final, assert_never

from sipagent.errors import AttachError
from sipagent.model import AgentName, CallOutcome, CallPlan, Mark
from sipagent.sessions.logbook import Logbook
from sipagent.sessions.machine import CallState, Past, adopted, begin, resume, step
from sipagent.sessions.machine.commands import (
    Accept,
    Attach,
    CancelTool,
    Command,
    CreateResponse,
    Finish,
    HangUp,
    Note,
    Probe,
    RecordStep,
    RecordTool,
    RecordTransfer,
    RecordTurn,
    RecordUsage,
    Refer,
    Reject,
    RunTool,
    SendOutput,
)
from sipagent.sessions.machine.events import (
    Answer,
    DeadlineReached,
    Event,
    HangUpAnswered,
    Probed,
    Referred,
    RejectAnswered,
    SocketRefused,
)
from sipagent.sessions.machine.life import Phase
from sipagent.sessions.ports import (
    END_WITHIN,
    CallControl,
    CallSocket,
    Dial,
    HeldCall,
    SocketRequest,
)
from sipagent.sessions.tooling import Tooling
from sipagent.sessions.world import World

SEND_WITHIN: Final = 5.0
"""Seconds for a request to be handed to the connection; a peer that does not read is gone."""

UNANSWERED_WITHIN: Final = 3.5
"""Seconds for a reject and the hang-up after it once the time for an answer is over: meanwhile the
caller may still hear it ring."""

_SHORTEST_ACCEPT: Final = 1.0
"""Seconds for an accept whose time has been taken by another one that was refused."""

KEPT_FOR_HANG_UP: Final = 1.5
"""Seconds of these that a reject leaves to the hang-up."""

_NOT_FOUND: Final = 404
_RINGING: Final = frozenset({Phase.NEW, Phase.ADOPTED, Phase.ANSWERING, Phase.REJECTING})


Kept = RecordTurn | RecordUsage | RecordTransfer | RecordStep | RecordTool | Note
"""What goes to the logbook."""


_WAITED_FOR: Final = frozenset({Accept, Reject, Refer, HangUp, Attach, Probe, Finish})


def _is_marked(request: SocketRequest) -> bool:
    """Whether it is written down before it is made."""
    return isinstance(request, CreateResponse) and request.mark is not None


class CallRunner:
    """Holds one call from its claim to its outcome.

    `answer_within` is how many seconds are left to have the call answered; what rings then is
    rejected, or else hung up, within UNANSWERED_WITHIN more. A call that is `held` already goes on
    from its marks; `rings` says that it may still be answered if nobody has.
    """

    __slots__ = (
        "_began",
        "_commands",
        "_crash",
        "_dial",
        "_end",
        "_socket",
        "_state",
        "_timer",
        "_timer_at",
        "_tooling",
        "_wake",
        "_world",
        "answer_within",
        "log",
        "plan",
    )

    def __init__(
        self,
        plan: CallPlan,
        world: World,
        *,
        answer_within: float,
        began_at: float,
        held: HeldCall | None = None,
        rings: bool = False,
    ) -> None:
        self.plan = plan
        self.answer_within = answer_within
        self.log = Logbook(plan, world.keeping, began_at, held)
        self._world = world
        self._tooling = Tooling(plan, world.tools, world.tasks, self.log, self.deliver)
        self._began = world.clock.monotonic() - max(0.0, world.clock.wall() - began_at)
        self._state: CallState
        if held is None:
            self._state, commands = begin(plan)
        else:
            since = {key: at - began_at for key, at in held.marks.items()}
            state = adopted(plan, Past(held.epoch, since, rings, held.cost))
            self._state, commands = resume(state, self._now())
        self._commands: deque[Command] = deque(commands)
        self._wake: asyncio.Future[None] | None = None
        self._crash: Exception | None = None
        self._dial: Dial | None = None
        self._socket: CallSocket | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: float | None = None
        self._end: Finish | None = None

    async def run(self) -> CallOutcome:
        """Hold the call to its end and say how it ended.

        While another replica may be about to take the call over, its events move its state, and
        all that follows from them waits. Raises whatever broke it. Cancelling it closes the socket
        and leaves the call up: whoever cancels hangs up.
        """
        try:
            self._set_timer()
            if self.plan.talk:
                self.log.answered_before()
            while self._end is None:
                await self._carry_out(await self._next_command())
            return self.outcome(self._end)
        except Exception:
            await self._surely_ours()  # whoever hears of it ends the call
            raise
        finally:
            await self._let_go()

    def outcome(self, end: Finish) -> CallOutcome:
        """The call's outcome, had it ended so at this moment."""
        return self.log.outcome(end, usage_complete=self._state.usage_complete)

    def deliver(self, event: Event) -> None:
        """Take an event, now. After the end, and after a crash, events are dropped."""
        if self._crash is not None or self._end is not None:
            return
        try:
            self.log.observe(event)
            state, commands = step(self._state, event, self._now())
        except Exception as crash:  # noqa: BLE001  # the crash boundary: `run` raises it
            self._crash = crash
            self._rouse()
            return
        moved = state.deadlines is not self._state.deadlines
        self._state = state
        if commands:
            self._commands.extend(commands)
            self._go_on()
        if moved and state.deadlines.earliest != self._timer_at:
            self._set_timer()

    @property
    def control(self) -> CallControl:
        """The call's own: its account may be at another address by now."""
        return self._world.control

    @property
    def rings(self) -> bool:
        """Whether the caller may still be waiting for an answer."""
        return self._state.lifecycle.phase in _RINGING and not self.plan.talk

    @property
    def agent(self) -> AgentName | None:
        """Who has the call now; None where nobody talks to the caller."""
        return self._state.speech.now.agent or self.plan.agent

    @property
    def known(self) -> tuple[CallState, float]:
        """What is known of the call now, and the seconds since it began."""
        return self._state, self._now()

    def sendable(self, order: str) -> bool:
        """Whether the call can be sent on now, and has not been by this order of the operator's."""
        live = self._state.lifecycle.phase is Phase.LIVE and self.log.active
        return live and self._state.transfer.can_obey(order)

    def _now(self) -> float:
        return self._world.clock.monotonic() - self._began

    def leave(self) -> None:
        """The call is another replica's: nothing more is done or recorded for it here. Whoever says
        so cancels `run`."""
        self._tooling.abandon()
        self.log.left()

    def resume(self) -> None:
        """Do what has waited for the call to be surely ours again."""
        if self._crash is None:
            self._go_on()
        self._rouse()

    async def _next_command(self) -> Command:
        while self._crash is None and not (self._commands and self.log.active):
            await self._roused()
        if self._crash is not None:
            raise self._crash
        return self._commands.popleft()

    async def _roused(self) -> None:
        self._wake = asyncio.get_running_loop().create_future()
        await self._wake

    async def _surely_ours(self) -> None:
        """Wait until what has been written down may also be done."""
        while not self.log.active:
            await self._roused()

    @property
    def _idle(self) -> bool:
        """Whether `run` waits for a command."""
        return self._wake is not None and not self._wake.done()

    def _rouse(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def _go_on(self) -> None:
        """Carry out at once what nobody has to wait for, in its order; `run` does the rest. While
        it is at something all commands wait for that."""
        try:
            while self._commands and self._idle and self.log.active:
                command = self._commands.popleft()
                if not self._at_once(command):
                    self._commands.appendleft(command)
                    self._rouse()
        except Exception as crash:  # noqa: BLE001  # as above
            self._crash = crash
            self._rouse()

    def _at_once(self, command: Command) -> bool:
        """Carry a command out without waiting; False if that cannot be."""
        # An `isinstance` for each of the twenty kinds costs as much as most commands do.
        if type(command) in _WAITED_FOR:
            return False
        if isinstance(command, Kept):
            self.log.record(command)
        elif isinstance(command, RunTool):
            self._tooling.run(command, self._now)
        elif isinstance(command, CancelTool):
            self._tooling.cancel(command.id)
        elif isinstance(command, SocketRequest) and not _is_marked(command):
            return self._put(command)
        else:
            return False
        return True

    def _put(self, request: SocketRequest) -> bool:
        """Hand a request to the connection at once. Without one it is given up."""
        if self._socket is None:
            return True
        if not self._socket.put(request):
            return False
        if isinstance(request, SendOutput):
            self.log.record(Note(request.note))
        return True

    async def _carry_out(self, command: Command) -> None:
        if self._at_once(command):
            return
        match command:
            case Accept() | Reject() | Refer() | HangUp():
                await self._control(command)
            case Attach(again):
                await self._attach(again=again)
            case Probe():
                await self._release_socket()
                self.deliver(Probed(await self._new_dial().probe()))
            case Finish():
                self._end = command
            case _ if isinstance(command, SocketRequest):
                await self._ask(command)
            case _ if isinstance(command, Kept | RunTool | CancelTool):
                raise AssertionError(command)  # nothing of it waits
            case _:
                assert_never(command)

    async def _ask(self, request: SocketRequest) -> None:
        """Send a request; one that must not be made twice only if it has not been."""
        mark = request.mark if isinstance(request, CreateResponse) else None
        if mark is not None:
            if not await self.log.mark(mark):
                return
            await self._surely_ours()
        if await self._send(request) and isinstance(request, SendOutput):
            self.log.record(Note(request.note))

    async def _control(self, command: Accept | Reject | Refer | HangUp) -> None:
        match command:
            case Accept():
                await self._accept(command)
            case Reject(code):
                within = self._ringing_left(KEPT_FOR_HANG_UP)
                answer = await self.control.reject(self.plan.call_id, code, within=within)
                self.deliver(RejectAnswered(answer))
            case Refer():
                await self._refer(command)
            case HangUp(reason, rings):
                await self.log.mark(f"{Mark.HANG_UP}:{reason}")
                await self._surely_ours()
                within = self._ringing_left(0.0) if rings else END_WITHIN
                answer = await self.control.hang_up(self.plan.call_id, within=within)
                self.deliver(HangUpAnswered(answer))

    async def _refer(self, command: Refer) -> None:
        """Have the REFER sent, if there is room for it, and if it has not been: one whose mark is
        there may have been."""
        answer = Answer.SILENT
        if command.cap is not None and not await self.log.admitted(command.cap):
            answer = Answer.BARRED
        elif await self.log.mark(command.mark):
            await self._surely_ours()
            answer = await self.control.refer(self.plan.call_id, command.target_uri)
        if command.destination is None:
            self.log.referred(command.target_uri, answer)
        self.deliver(Referred(answer))

    async def _accept(self, command: Accept) -> None:
        """Have the call answered, and meanwhile the way to its socket opened if that is far."""
        if self._dial is not None:  # there is one where the provider has refused another session
            self._dial.abandon()
        self._dial = dial = self._new_dial()
        within = max(_SHORTEST_ACCEPT, self.answer_within - self._now())
        accepting = self.control.accept(self.plan.call_id, command.session, within=within)
        if dial.far:
            async with asyncio.TaskGroup() as tasks:
                warming = tasks.create_task(dial.warm(), name=f"warm:{self.plan.call_id}")
                answered = await accepting
                if answered.answer not in (Answer.DONE, Answer.DECIDED):
                    warming.cancel()
        else:
            answered = await accepting
        if answered.elsewhere and await self.log.yielded():
            return
        if answered.answer is Answer.DONE:
            self.log.answered()
        self.deliver(answered)

    def _ringing_left(self, kept: float) -> float:
        """Seconds for a request to a call that may still ring, `kept` of the time left over."""
        left = self.answer_within + UNANSWERED_WITHIN - self._now()
        return min(END_WITHIN, max(KEPT_FOR_HANG_UP, left - kept))

    async def _attach(self, *, again: bool) -> None:
        dial, self._dial = self._dial or self._new_dial(), None
        await self._release_socket()
        try:
            if again:
                async with self._world.gate:
                    self._socket = await dial.attach(self.deliver, again=True)
            else:
                self._socket = await dial.attach(self.deliver)
        except AttachError as refused:
            detail = f"attach answered {refused.status}" if refused.status else "attach unanswered"
            self.deliver(SocketRefused(detail, gone=refused.status == _NOT_FOUND))
        else:
            self.log.attached()

    async def _send(self, request: SocketRequest) -> bool:
        """Hand a request to the connection; False where that is lost."""
        if self._socket is None:
            return False
        if self._socket.put(request):
            return True
        try:
            async with asyncio.timeout(SEND_WITHIN):
                await self._socket.send(request)
        except TimeoutError:
            await self._release_socket()
        except ConnectionError:
            return False  # SocketClosed is on its way, or here already
        else:
            return True
        return False

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
        self._tooling.leave()
        if self._timer is not None:
            self._timer.cancel()
        if self._dial is not None:
            self._dial.abandon()
        await self._release_socket()
