"""A provider, a caller and tools that do what they may do, in any order, by the dice of a seed.

What each of them tells comes in its own order; what several tell comes in any. The model keeps what
the real one would know: which response is active, and which outputs it has been given.
"""

from collections import deque
from dataclasses import dataclass, field
from random import Random
from typing import Any

from sipagent.model import CallPlan, Reason, ToolResult, ToolStatus
from sipagent.sessions.machine.commands import (
    Attach,
    CancelResponse,
    CancelTool,
    ClearAudio,
    Command,
    CreateResponse,
    Finish,
    HangUp,
    Probe,
    Refer,
    RunTool,
    SendOutput,
    UpdateSession,
)
from sipagent.sessions.machine.events import (
    AcceptAnswered,
    AgentText,
    Answer,
    AudioCleared,
    AudioStarted,
    AudioStopped,
    CallerCommitted,
    CallerStarted,
    CallerStopped,
    CallerTextDone,
    DigitPressed,
    EndRequested,
    Event,
    FaultKind,
    FunctionCall,
    HangUpAnswered,
    OutputAdded,
    Probed,
    ProviderFault,
    Referred,
    ResponseCreated,
    ResponseDone,
    SessionUpdated,
    SocketClosed,
    SocketOpened,
    ToolEnded,
)
from sipagent.testing import Playbook

STEP = 0.5
"""Seconds."""


@dataclass
class Response:
    id: str
    calls: tuple[FunctionCall, ...] = ()
    spoken: bool = True
    farewell: bool = False


@dataclass
class Model:
    """The other side of a playbook, and what it has seen."""

    plan: CallPlan
    dice: Random
    menu: tuple[tuple[str, str], ...]
    call: Playbook = field(init=False)
    told: list[Any] = field(default_factory=list)
    socket: deque[Event] = field(default_factory=deque)
    control: deque[Event] = field(default_factory=deque)
    tools: list[str] = field(default_factory=list)
    active: Response | None = None
    making: Response | None = None
    playing: str | None = None
    up: bool = True
    open: bool = True
    count: int = 0
    asked: dict[str, str] = field(default_factory=dict)
    given: set[str] = field(default_factory=set)
    farewells: dict[str, float] = field(default_factory=dict)
    heard: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.call = Playbook(self.plan)
        self.feed(AcceptAnswered(Answer.DONE))
        self.feed(SocketOpened())

    def play(self, steps: int) -> "Model":
        for _ in range(steps):
            if self.call.state.over:
                break
            self.step()
        return self

    def step(self) -> None:
        roll = self.dice.random()
        if roll < 0.45 and self.socket:
            self.feed(self.socket.popleft())
        elif roll < 0.55 and self.control:
            self.feed(self.control.popleft())
        elif roll < 0.65 and self.tools:
            self.end_tool(self.tools.pop(self.dice.randrange(len(self.tools))))
        elif roll < 0.80 and self.active is not None:
            self.go_on()
        elif roll < 0.92 and self.up and self.open:
            self.caller()
        elif roll < 0.93 and self.open and self.up:
            self.drop()
        else:
            self.wait(self.dice.choice((0.1, 0.5, 0.8, 2.0, 9.0)))

    def settle(self) -> "Model":
        """Let everything that is on its way arrive, until nothing is."""
        for _ in range(400):
            if self.call.state.over:
                break
            if self.socket:
                self.feed(self.socket.popleft())
            elif self.control:
                self.feed(self.control.popleft())
            elif self.tools:
                self.end_tool(self.tools.pop())
            elif self.active is not None:
                self.go_on(quiet=True)
            else:
                break
        return self

    def finish(self) -> "Model":
        """End the call, whatever has happened."""
        for _ in range(12):
            self.feed(EndRequested(Reason.OPERATOR_HUNG_UP, None))
            self.settle()
            self.wait(60.0)
        return self

    def wait(self, seconds: float) -> None:
        """Let time pass, in steps so small that what happens in one has its time."""
        while seconds > 0 and not self.call.state.over:
            step = min(seconds, STEP)
            self.told.append(("waited", step))
            self.call.wait(step)
            self.take()
            seconds -= step

    def feed(self, event: Event) -> None:
        self.told.append(event)
        if isinstance(event, ResponseDone):
            self.asked |= {one.id: one.name for one in event.calls}
        self.call.feed(event)
        self.take()

    def take(self) -> None:
        commands, self.call.commands = self.call.commands, []
        for command in commands:
            self.told.append(command)
            self.do(command)

    def do(self, command: Command) -> None:
        if self.open:
            self.hear(command)
        match command:
            case RunTool(call_id):
                self.tools.append(call_id)
            case CancelTool(call_id):
                self.tools.remove(call_id)
            case Refer():
                self.control.append(Referred(self.dice.choice((Answer.DONE, Answer.REFUSED))))
            case HangUp():
                self.control.append(HangUpAnswered(Answer.DONE if self.up else Answer.GONE))
                self.hang_up()
            case Probe():
                self.control.append(Probed(self.up))
            case Attach(again) if again:
                self.open = self.up
                self.control.append(SocketOpened() if self.up else Probed(alive=False))
            case Finish():
                self.socket.clear()
                self.control.clear()
            case _:
                pass

    def hear(self, command: Command) -> None:
        """What comes over the socket."""
        match command:
            case CreateResponse(request_id, tag) if self.active is None:
                self.begin(tag, tools=command.tools, farewell=tag == "goodbye")
            case CreateResponse(request_id):
                self.socket.append(ProviderFault(FaultKind.BUSY, "active", request_id))
            case CancelResponse() if self.active is not None:
                self.socket.append(ResponseDone(self.active.id, completed=False))
                self.active = None
            case ClearAudio() if self.playing is not None:
                self.stop(AudioCleared(self.playing))
            case SendOutput(call_id) if call_id not in self.given:
                self.given.add(call_id)
                self.socket.append(OutputAdded(call_id))
            case UpdateSession():
                self.socket.append(SessionUpdated())
            case _:
                pass

    def begin(self, tag: str | None, *, tools: bool = True, farewell: bool = False) -> None:
        self.count += 1
        calls: tuple[FunctionCall, ...] = ()
        if tools and not farewell:
            many = self.dice.choice((0, 0, 0, 1, 1, 2, 4))
            picked = [self.dice.choice(self.menu) for _ in range(many)]
            calls = tuple(
                FunctionCall(f"c{self.count}-{place}", name, arguments)
                for place, (name, arguments) in enumerate(picked)
            )
        spoken = not calls or self.dice.random() < 0.5
        self.active = Response(f"r{self.count}", calls, spoken, farewell)
        self.socket.append(ResponseCreated(self.active.id, tag))

    def go_on(self, *, quiet: bool = False) -> None:
        """The active response is heard, or done."""
        response = self.active
        assert response is not None
        if response.spoken and self.playing is None and response.id not in self.heard:
            self.playing = response.id
            self.socket.append(AgentText(response.id, f"i-{response.id}", "words"))
            self.socket.append(AudioStarted(response.id))
            self.heard.add(response.id)
            if not quiet and self.dice.random() < 0.5:
                return
        self.active = None
        done = ResponseDone(
            response.id, completed=True, calls=response.calls, spoken=response.spoken
        )
        for one in response.calls:
            if one.name == "hang_up" and response.spoken:
                self.farewells[response.id] = self.call.now
        if response.farewell:
            self.farewells[response.id] = self.call.now
        self.socket.append(done)
        if self.playing == response.id:
            self.stop(AudioStopped(response.id))

    def stop(self, event: AudioStopped | AudioCleared) -> None:
        self.socket.append(event)
        self.playing = None

    def caller(self) -> None:
        roll = self.dice.random()
        if roll < 0.1:
            self.socket.append(DigitPressed(self.dice.choice("0123456789*#")))
            return
        if roll < 0.13:
            self.hang_up()
            return
        self.count += 1
        item = f"i{self.count}"
        self.socket.append(CallerStarted(item))
        if self.active is not None and self.dice.random() < 0.7:
            self.socket.append(ResponseDone(self.active.id, completed=False))
            self.active = None
        if self.playing is not None:
            self.stop(AudioCleared(self.playing))
        self.socket += [CallerStopped(item), CallerCommitted(item), CallerTextDone(item, "hm")]
        if self.active is None:
            self.begin(None)

    def hang_up(self) -> None:
        if self.up:
            self.up = False
            self.lose()

    def drop(self) -> None:
        """The socket is lost while the call goes on."""
        self.lose()

    def lose(self) -> None:
        if not self.open:
            return
        self.open = False
        self.active = self.playing = None
        # What has not arrived never does (OpenAI closes at once).
        self.socket.clear()
        self.socket.append(SocketClosed(1006))

    def end_tool(self, call_id: str) -> None:
        status = self.dice.choice((ToolStatus.DONE, ToolStatus.DONE, ToolStatus.FAILED))
        self.feed(ToolEnded(call_id, ToolResult(status, '{"a":1}')))
