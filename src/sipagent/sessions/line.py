"""One call's line to its provider: what is asked of the call by REST, and its socket.

Each request has its deadline, and the call is told what came of it. What must not be made twice is
written down first, and made only if it has not been.
"""

import asyncio
from typing import Final, Protocol, assert_never

from sipagent.errors import AttachError
from sipagent.model import CallPlan, Mark
from sipagent.sessions.logbook import Logbook
from sipagent.sessions.machine.commands import (
    Accept,
    Attach,
    CreateResponse,
    HangUp,
    Note,
    Probe,
    Refer,
    Reject,
    SendOutput,
)
from sipagent.sessions.machine.events import (
    Answer,
    Event,
    HangUpAnswered,
    Probed,
    Referred,
    RejectAnswered,
    SocketRefused,
)
from sipagent.sessions.ports import (
    END_WITHIN,
    CallControl,
    CallSocket,
    Dial,
    SocketRequest,
)
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

Asked = Accept | Reject | Refer | HangUp | Attach | Probe
"""What is waited for."""


def is_marked(request: SocketRequest) -> bool:
    """Whether it is written down before it is made."""
    return isinstance(request, CreateResponse) and request.mark is not None


class Call(Protocol):
    """Whose line it is."""

    def deliver(self, event: Event) -> None: ...

    def now(self) -> float:
        """Seconds since the call began."""

    async def surely_ours(self) -> None:
        """Wait until what has been written down may also be done."""


class Line:
    """Carries requests to the provider. `answer_within` is how many seconds the call has to be
    answered in; what rings then is rejected, or else hung up, within UNANSWERED_WITHIN more."""

    __slots__ = ("_answer_within", "_call", "_dial", "_log", "_plan", "_socket", "_world")

    def __init__(
        self, plan: CallPlan, world: World, log: Logbook, call: Call, *, answer_within: float
    ) -> None:
        self._plan = plan
        self._world = world
        self._log = log
        self._call = call
        self._answer_within = answer_within
        self._dial: Dial | None = None
        self._socket: CallSocket | None = None

    @property
    def control(self) -> CallControl:
        """The call's own: its account may be at another address by now."""
        return self._world.control

    def put(self, request: SocketRequest) -> bool:
        """Hand a request to the connection at once; False if that cannot be. Without a connection
        it is given up."""
        if self._socket is None:
            return True
        if not self._socket.put(request):
            return False
        if isinstance(request, SendOutput):
            self._log.record(Note(request.note))
        return True

    async def send(self, request: SocketRequest) -> None:
        """Send a request; one that must not be made twice only if it has not been."""
        mark = request.mark if isinstance(request, CreateResponse) else None
        if mark is not None:
            if not await self._log.mark(mark):
                return
            await self._call.surely_ours()
        if await self._sent(request) and isinstance(request, SendOutput):
            self._log.record(Note(request.note))

    async def ask(self, command: Asked) -> None:
        """Do this with the call, and tell it what came of it."""
        match command:
            case Accept():
                await self._accept(command)
            case Reject(code):
                within = self._ringing_left(KEPT_FOR_HANG_UP)
                answer = await self.control.reject(self._plan.call_id, code, within=within)
                self._call.deliver(RejectAnswered(answer))
            case Refer():
                await self._refer(command)
            case HangUp(reason, rings):
                await self._log.mark(f"{Mark.HANG_UP}:{reason}")
                await self._call.surely_ours()
                within = self._ringing_left(0.0) if rings else END_WITHIN
                answer = await self.control.hang_up(self._plan.call_id, within=within)
                self._call.deliver(HangUpAnswered(answer))
            case Attach(again):
                await self._attach(again=again)
            case Probe():
                await self._release_socket()
                self._call.deliver(Probed(await self._new_dial().probe()))
            case _:
                assert_never(command)

    async def let_go(self) -> None:
        """Give up the socket, and whatever is being dialed."""
        if self._dial is not None:
            self._dial.abandon()
        await self._release_socket()

    async def _refer(self, command: Refer) -> None:
        """Have the REFER sent, if there is room for it, and if it has not been: one whose mark is
        there may have been."""
        answer = Answer.SILENT
        if command.cap is not None and not await self._log.admitted(command.cap):
            answer = Answer.BARRED
        elif await self._log.mark(command.mark):
            await self._call.surely_ours()
            answer = await self.control.refer(self._plan.call_id, command.target_uri)
        if command.destination is None:
            self._log.referred(command.target_uri, answer)
        self._call.deliver(Referred(answer))

    async def _accept(self, command: Accept) -> None:
        """Have the call answered, and meanwhile the way to its socket opened if that is far."""
        if self._dial is not None:  # there is one where the provider has refused another session
            self._dial.abandon()
        self._dial = dial = self._new_dial()
        within = max(_SHORTEST_ACCEPT, self._answer_within - self._call.now())
        accepting = self.control.accept(self._plan.call_id, command.session, within=within)
        if dial.far:
            async with asyncio.TaskGroup() as tasks:
                warming = tasks.create_task(dial.warm(), name=f"warm:{self._plan.call_id}")
                answered = await accepting
                if answered.answer not in (Answer.DONE, Answer.DECIDED):
                    warming.cancel()
        else:
            answered = await accepting
        if answered.elsewhere and await self._log.yielded():
            return
        if answered.answer is Answer.DONE:
            self._log.answered()
        self._call.deliver(answered)

    def _ringing_left(self, kept: float) -> float:
        """Seconds for a request to a call that may still ring, `kept` of the time left over."""
        left = self._answer_within + UNANSWERED_WITHIN - self._call.now()
        return min(END_WITHIN, max(KEPT_FOR_HANG_UP, left - kept))

    async def _attach(self, *, again: bool) -> None:
        dial, self._dial = self._dial or self._new_dial(), None
        await self._release_socket()
        try:
            if again:
                async with self._world.gate:
                    self._socket = await dial.attach(self._call.deliver, again=True)
            else:
                self._socket = await dial.attach(self._call.deliver)
        except AttachError as refused:
            detail = f"attach answered {refused.status}" if refused.status else "attach unanswered"
            self._call.deliver(SocketRefused(detail, gone=refused.status == _NOT_FOUND))
        else:
            self._log.attached()

    async def _sent(self, request: SocketRequest) -> bool:
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
        return self._world.sideband.dial(self._plan.call_id)

    async def _release_socket(self) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            await socket.close()
