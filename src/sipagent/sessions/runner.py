"""One call's runner: carries events into its machine and the machine's commands out.

Events may come at any moment and are taken at once, without a task switch: a frame costs one
step. Commands wait in a queue and are carried out one by one, in order, each within a deadline.
"""

import asyncio
from collections import deque
from typing import Final, assert_never

from sipagent.model import AgentName, CallOutcome, CallPlan
from sipagent.sessions.line import Asked, Line, is_marked
from sipagent.sessions.logbook import Logbook
from sipagent.sessions.machine import CallState, Past, adopted, begin, resume, step
from sipagent.sessions.machine.commands import (
    CancelTool,
    Command,
    Finish,
    Note,
    RecordStep,
    RecordTool,
    RecordTransfer,
    RecordTurn,
    RecordUsage,
    RunTool,
)
from sipagent.sessions.machine.events import DeadlineReached, Event
from sipagent.sessions.machine.life import Phase
from sipagent.sessions.ports import CallControl, HeldCall, SocketRequest
from sipagent.sessions.tooling import Tooling
from sipagent.sessions.world import World

_RINGING: Final = frozenset({Phase.NEW, Phase.ADOPTED, Phase.ANSWERING, Phase.REJECTING})

Kept = RecordTurn | RecordUsage | RecordTransfer | RecordStep | RecordTool | Note
"""What goes to the logbook."""

_WAITED_FOR: Final = frozenset({*Asked.__args__, Finish})


class CallRunner:
    """Holds one call from its claim to its outcome.

    `answer_within` is how many seconds are left to have the call answered. A call that is `held`
    already goes on from its marks; `rings` says that it may still be answered if nobody has.
    """

    __slots__ = (
        "_began",
        "_commands",
        "_crash",
        "_end",
        "_line",
        "_state",
        "_timer",
        "_timer_at",
        "_tooling",
        "_wake",
        "_world",
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
        self.log = Logbook(plan, world.keeping, began_at, held)
        self._world = world
        self._line = Line(plan, world, self.log, self, answer_within=answer_within)
        self._tooling = Tooling(plan, world.tools, world.tasks, self.log, self.deliver)
        self._began = world.clock.monotonic() - max(0.0, world.clock.wall() - began_at)
        self._state: CallState
        if held is None:
            self._state, commands = begin(plan)
        else:
            since = {key: at - began_at for key, at in held.marks.items()}
            state = adopted(plan, Past(held.epoch, since, rings, held.cost))
            self._state, commands = resume(state, self.now())
        self._commands: deque[Command] = deque(commands)
        self._wake: asyncio.Future[None] | None = None
        self._crash: Exception | None = None
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
            await self.surely_ours()  # whoever hears of it ends the call
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
            state, commands = step(self._state, event, self.now())
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
        return self._line.control

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
        return self._state, self.now()

    def sendable(self, order: str) -> bool:
        """Whether the call can be sent on now, and has not been by this order of the operator's."""
        live = self._state.lifecycle.phase is Phase.LIVE and self.log.active
        return live and self._state.transfer.can_obey(order)

    def now(self) -> float:
        """Seconds since the call began."""
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

    async def surely_ours(self) -> None:
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
            self._tooling.run(command, self.now)
        elif isinstance(command, CancelTool):
            self._tooling.cancel(command.id)
        elif isinstance(command, SocketRequest) and not is_marked(command):
            return self._line.put(command)
        else:
            return False
        return True

    async def _carry_out(self, command: Command) -> None:
        if self._at_once(command):
            return
        match command:
            case Finish():
                self._end = command
            case _ if isinstance(command, Asked):
                await self._line.ask(command)
            case _ if isinstance(command, SocketRequest):
                await self._line.send(command)
            case _ if isinstance(command, Kept | RunTool | CancelTool):
                raise AssertionError(command)  # nothing of it waits
            case _:
                assert_never(command)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._timer_at = earliest = self._state.deadlines.earliest
        if earliest is not None:
            delay = max(0.0, earliest - self.now())
            self._timer = asyncio.get_running_loop().call_later(delay, self._time_is_up)

    def _time_is_up(self) -> None:
        self._timer_at = None
        key = self._state.deadlines.due(self.now())
        if key is None:
            self._set_timer()  # a timer may fire within the clock's resolution too early
        else:
            self.deliver(DeadlineReached(key))

    async def _let_go(self) -> None:
        self._tooling.leave()
        if self._timer is not None:
            self._timer.cancel()
        await self._line.let_go()
