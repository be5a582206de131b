"""A provider, a caller and tools that do what they may do, in any order, by the dice of a seed.

What each of them tells comes in its own order; what several tell comes in any. The model keeps what
the real one would know: which response is active, and which outputs it has been given.
"""

from collections import deque
from dataclasses import dataclass, field
from random import Random
from typing import Any

from sipagent.model import (
    AgentName,
    CallPlan,
    DestinationName,
    Mark,
    Reason,
    ToolResult,
    ToolStatus,
)
from sipagent.sessions.machine import Past
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
    AgentWanted,
    Answer,
    AudioCleared,
    AudioStarted,
    AudioStopped,
    CallerCommitted,
    CallerStarted,
    CallerStopped,
    CallerTextDone,
    CallerTyped,
    DigitPressed,
    EndRequested,
    Event,
    FaultKind,
    FunctionCall,
    HangUpAnswered,
    HoldWanted,
    OutputAdded,
    Probed,
    ProviderFault,
    Referred,
    ResponseCreated,
    ResponseDone,
    ResumeWanted,
    SayWanted,
    SessionUpdated,
    SocketClosed,
    SocketOpened,
    SocketRefused,
    ToolEnded,
    TransferWanted,
    Whispered,
)
from sipagent.testing import Playbook

STEP = 0.5
"""Seconds."""


@dataclass
class Response:
    id: str
    calls: tuple[FunctionCall, ...] = ()
    spoken: bool = True
    served: bool = False


@dataclass
class Model:
    """The other side of a playbook, and what it has seen. `marks` are what our side has written
    down. `tells`: the provider says that it has got an output. `unspoken` are outputs, and uses of
    an MCP server's tools, after which no response has begun. `adrift` are outputs that went to a
    socket that was lost, `forgotten` those of which a process that died then had written nothing.
    `answering`: voice detection answers the caller's turns.
    """

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
    playing: deque[str] = field(default_factory=deque)
    up: bool = True
    open: bool = True
    count: int = 0
    asked: dict[str, str] = field(default_factory=dict)
    given: set[str] = field(default_factory=set)
    heard: set[str] = field(default_factory=set)
    unspoken: set[str] = field(default_factory=set)
    marks: dict[str, float] = field(default_factory=dict)
    owners: int = 1
    adrift: set[str] = field(default_factory=set)
    forgotten: set[str] = field(default_factory=set)
    tells: bool = True
    answering: bool = True

    def __post_init__(self) -> None:
        self.call = Playbook(self.plan)
        self.tells = self.dice.random() < 0.8
        self.marks = {Mark.ACCEPTED: 0.0, Mark.ATTACHED: 0.0}
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
        elif roll < 0.78 and self.active is not None:
            self.go_on()
        elif roll < 0.81 and self.playing:
            self.hear_out()
        elif roll < 0.92 and self.up and self.open:
            self.caller()
        elif roll < 0.93 and self.open and self.up:
            self.lose()  # and the call goes on
        elif roll < 0.935:
            self.restart()
        elif roll < 0.96:
            spent = EndRequested(Reason.BUDGET, "Say goodbye.")
            self.feed(spent if roll < 0.94 else self.wanted())
        else:
            self.wait(self.dice.choice((0.1, 0.5, 0.8, 2.0, 9.0)))

    def wanted(self) -> Event:
        """What somebody on duty wants."""
        self.count += 1
        key = f"k{self.count}"
        # A call that is ending is not held, as whoever wants it is told.
        hold = Whispered(key, "Hold.") if self.call.state.hush.over else HoldWanted(key)
        return self.dice.choice(
            (
                hold,
                hold,
                ResumeWanted(key),
                ResumeWanted(key),
                SayWanted(key, "One moment."),
                SayWanted(key, "Another one."),
                Whispered(key, "They are known here."),
                CallerTyped(key, f"typed-{key}", "I write this."),
                AgentWanted(key, AgentName("billing")),
                TransferWanted(key, DestinationName("front")),
                EndRequested(Reason.OPERATOR_HUNG_UP, "Say goodbye.", key),
            )
        )

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
                self.go_on()
            elif self.playing:
                self.hear_out()
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
            if self.call.state.outputs.parting:
                self.forgotten |= {one.id for one in event.calls}
        self.call.feed(event)
        self.take()

    def take(self) -> None:
        commands, self.call.commands = self.call.commands, []
        notes, self.call.notes = self.call.notes, []
        for command in commands:
            self.told.append(command)
            self.do(command)
        self.mark(*notes)

    def mark(self, *marks: str) -> None:
        for one in marks:
            self.marks.setdefault(one, self.call.now)

    def restart(self) -> None:
        """Our process dies, and another one goes on from what is written down. What was noted last
        may not be."""
        self.told.append("restart")
        self.owners += 1
        self.open = False
        self.active = None
        for events in (self.socket, self.control, self.tools, self.playing):
            events.clear()
        noted = {one.partition(":")[2] for one in self.marks}
        self.forgotten |= self.adrift - noted
        self.adrift.clear()
        self.unspoken.clear()  # that the model has been asked to speak of them is not marked
        last = next(reversed(self.marks))
        if last.startswith(Mark.TOLD) and self.dice.random() < 0.5:
            del self.marks[last]
        past = Past(self.owners, dict(self.marks), rings=False)
        self.call = Playbook(self.plan, past, now=self.call.now)
        self.take()

    def do(self, command: Command) -> None:
        if self.open:
            self.hear(command)
        elif isinstance(command, SendOutput):
            self.adrift.add(command.id)
        match command:
            case RunTool(call_id, mark=mark):
                self.mark(mark)
                self.tools.append(call_id)
            case CancelTool(call_id):
                self.tools.remove(call_id)
            case Refer(mark=mark):
                self.mark(mark)
                self.control.append(Referred(self.dice.choice((Answer.DONE, Answer.REFUSED))))
            case HangUp(reason):
                self.mark(f"{Mark.HANG_UP}:{reason}")
                self.control.append(HangUpAnswered(Answer.DONE if self.up else Answer.GONE))
                self.hang_up()
            case Probe():
                self.control.append(Probed(self.up))
            case Attach(again) if again:
                self.attach()
            case Finish():
                self.socket.clear()
                self.control.clear()
            case _:
                pass

    def attach(self) -> None:
        self.open = self.up
        if self.up:
            self.socket.append(SocketOpened())
        else:
            self.control.append(SocketRefused("404", gone=True))

    def hear(self, command: Command) -> None:
        """What comes over the socket."""
        match command:
            case CreateResponse(request_id, tag) if self.active is None:
                self.begin(tag, tools=command.tools)
                self.mark(*filter(None, [command.mark]))
            case CreateResponse(request_id):
                self.socket.append(ProviderFault(FaultKind.BUSY, "active", request_id))
            case CancelResponse() if self.active is not None:
                self.socket.append(ResponseDone(self.active.id, completed=False))
                self.active = None
            case ClearAudio() if self.playing:
                self.clear()
            case SendOutput(call_id, note=note):
                self.mark(note)
                if call_id not in self.given:
                    self.given.add(call_id)
                    self.unspoken.add(call_id)
                    self.socket += [OutputAdded(call_id)] * self.tells
            case UpdateSession(_, session):
                detection = session.get("audio", {}).get("input", {}).get("turn_detection", {})
                self.answering = detection.get("create_response", self.answering)
                self.socket.append(SessionUpdated())
            case _:
                pass

    def begin(self, tag: str | None, *, tools: bool = True) -> None:
        self.count += 1
        self.unspoken.clear()
        calls: tuple[FunctionCall, ...] = ()
        if tools:
            many = self.dice.choice((0, 0, 0, 1, 1, 2, 4))
            picked = [self.dice.choice(self.menu) for _ in range(many)]
            calls = tuple(
                FunctionCall(f"c{self.count}-{place}", name, arguments)
                for place, (name, arguments) in enumerate(picked)
            )
        served = tools and self.dice.random() < 0.1
        spoken = not (calls or served) or self.dice.random() < 0.5
        self.active = Response(f"r{self.count}", calls, spoken, served)
        self.socket.append(ResponseCreated(self.active.id, tag))

    def go_on(self) -> None:
        """The active response is on its way to the caller, or done."""
        response = self.active
        assert response is not None
        if response.spoken and response.id not in self.heard:
            self.heard.add(response.id)
            self.playing.append(response.id)
            self.socket.append(AgentText(response.id, f"i-{response.id}", "words"))
            if len(self.playing) == 1:
                self.socket.append(AudioStarted(response.id))
            return
        self.active = None
        done = ResponseDone(
            response.id,
            completed=True,
            calls=response.calls,
            spoken=response.spoken,
            served=response.served,
        )
        if response.served:
            self.unspoken.add(response.id)
        self.socket.append(done)

    def hear_out(self) -> None:
        """The caller has heard a response, which may have been done before, and hears the next."""
        self.socket.append(AudioStopped(self.playing.popleft()))
        if self.playing:
            self.socket.append(AudioStarted(self.playing[0]))

    def clear(self) -> None:
        """What is not heard yet never is."""
        self.socket.append(AudioCleared(self.playing[0]))
        self.playing.clear()

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
        if self.playing:
            self.clear()
        self.socket += [CallerStopped(item), CallerCommitted(item), CallerTextDone(item, "hm")]
        # Now and then it had begun before it was told not to.
        if self.active is None and (self.answering or self.dice.random() < 0.1):
            self.begin(None)

    def hang_up(self) -> None:
        if self.up:
            self.up = False
            self.lose()

    def lose(self) -> None:
        if not self.open:
            return
        self.open = False
        self.active = None
        self.playing.clear()
        # What has not arrived never does (OpenAI closes at once).
        opened = [one for one in self.socket if isinstance(one, SocketOpened)]
        self.socket = deque([*opened, SocketClosed(1006)])
        self.unspoken &= self.asked.keys()

    def end_tool(self, call_id: str) -> None:
        status = self.dice.choice((ToolStatus.DONE, ToolStatus.DONE, ToolStatus.FAILED))
        self.feed(ToolEnded(call_id, ToolResult(status, '{"a":1}')))
