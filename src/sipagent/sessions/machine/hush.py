"""The agent says nothing, because somebody on duty wants it so; the caller is heard as ever.

Voice detection answers no turn meanwhile, and nobody else asks the model to speak: the others know
it by `Hushed`. The profile's turn detection is restored at the end, and a turn that the caller has
finished meanwhile gets its one response. A goodbye ends it: a call that is ended is not left
without a word.

Each beginning and end is a mark with a number, so that whoever takes the call over knows the last.
What happened while nobody listened is not told: an answer may be owed then, and whether the last
change of the session has arrived nobody knows, so that it is sent again.
"""

from collections.abc import Iterable
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from sipagent.model import AgentName, CallPlan, Json, Mark
from sipagent.sessions.machine.commands import Note, UpdateSession
from sipagent.sessions.machine.events import (
    CallerCommitted,
    CallerTyped,
    HoldWanted,
    ResumeWanted,
)
from sipagent.sessions.machine.signals import (
    AgentTaken,
    CallBegun,
    CallDropped,
    CallLive,
    CallResumed,
    GreetingOver,
    Hushed,
    Parting,
    Purpose,
    ResponseStarted,
)

_REQUEST: Final = "replies"

Detections = tuple[tuple[AgentName | None, Json | None], ...]
"""The turn detection of each agent that may have the call."""


class Hush(Struct, frozen=True):
    """`on`: the agent is to say nothing. `owed`: the caller has finished a turn since. `count`
    numbers beginnings and ends."""

    on: bool = False
    owed: bool = False
    live: bool = False
    count: int = 0
    agent: AgentName | None = None
    detections: Detections = ()
    over: bool = False

    @property
    def detection(self) -> Json | None:
        """The turn detection of the agent that has the call; None where there is none."""
        return next((one for agent, one in self.detections if agent == self.agent), None)

    @property
    def answers(self) -> bool:
        """Whether voice detection answers the caller's turns, as a rule."""
        detection = self.detection
        return detection is not None and bool(detection.get("create_response", True))


Heeded = (
    HoldWanted
    | ResumeWanted
    | CallBegun
    | CallLive
    | CallDropped
    | CallResumed
    | GreetingOver
    | CallerCommitted
    | CallerTyped
    | ResponseStarted
    | AgentTaken
    | Parting
)
Output = UpdateSession | Note | Hushed
Result = tuple[Hush, tuple[Output, ...]]


def hush(plan: CallPlan, marks: Iterable[str] = ()) -> Hush:
    """The state of a call of which these marks tell what has been wanted."""
    if plan.refer_to is not None:
        return Hush(over=True)
    first = _detection(plan.session, otherwise=None)
    detections: Detections = ((plan.agent, first),)
    if plan.colleagues:
        others = ((one.agent, _detection(one.session, otherwise=first)) for one in plan.colleagues)
        detections = (*detections, *others)
    count = _last(marks) if marks else 0
    # What the caller has said meanwhile nobody knows.
    on = count % 2 == 1
    return Hush(on, owed=on, count=count, agent=plan.agent, detections=detections)


def step(state: Hush, event: Heeded, _: float) -> Result:
    match event:
        case CallerCommitted() | CallerTyped() | ResponseStarted():
            return _said(state, event) if state.on else (state, ())
        case HoldWanted() if not state.on and not state.over:
            state = replace(state, on=True, owed=False)
            return _turned(state, event.key, Hushed(on=True))
        case ResumeWanted() if state.on:
            ended = Hushed(on=False, owed=state.owed)
            return _turned(replace(state, on=False, owed=False), event.key, ended)
        case CallLive() | CallResumed():
            return replace(state, live=True), ()
        case CallDropped():
            return replace(state, live=False), ()
        case AgentTaken(agent):
            state = replace(state, agent=agent)
            return state, _sent(state) if state.on else ()
        case Parting():
            return replace(state, on=False, over=True), ()
        case CallBegun() if state.on:
            return state, (Hushed(on=True),)  # whoever takes the call over tells the others
        case GreetingOver() if state.count and not state.over:
            return _again(state)
        case _:
            return state, ()


def _said(state: Hush, event: CallerCommitted | CallerTyped | ResponseStarted) -> Result:
    """An answer is owed to what the caller says; so it is where one has begun that is cut off."""
    match event:
        case CallerCommitted():
            owed = state.answers
        case ResponseStarted(purpose=purpose):
            owed = purpose in (None, Purpose.TOOL, Purpose.REPLY)
        case _:
            owed = True
    return replace(state, owed=state.owed or owed), ()


def _again(state: Hush) -> Result:
    """The end of the greeting has restored the turn detection, and so may whatever was sent when a
    socket was attached again, after which this comes as well."""
    owed = state.on and (state.owed or state.answers)
    return replace(state, owed=owed), _sent(state)


def _turned(state: Hush, key: str, told: Hushed) -> Result:
    state = replace(state, count=state.count + 1)
    return state, (*_sent(state), Note(f"{Mark.HUSH}:{state.count}:{key}"), told)


def _sent(state: Hush) -> tuple[UpdateSession, ...]:
    """Have the session be as it is to be now."""
    detection = state.detection
    if detection is None or not state.answers or not state.live:
        return ()
    if state.on:
        detection = _quiet(detection)
    session = {"type": "realtime", "audio": {"input": {"turn_detection": detection}}}
    return (UpdateSession(f"{_REQUEST}-{state.count}", session),)


def _quiet(detection: Json) -> Json:
    """The turn detection without what makes the model speak; it may be interrupted as ever."""
    quiet: dict[str, Any] = {**detection, "create_response": False}
    if quiet.get("idle_timeout_ms") is not None:
        quiet["idle_timeout_ms"] = None
    return quiet


def _detection(session: Json, *, otherwise: Json | None) -> Json | None:
    """The turn detection of this session, or after this change of one."""
    heard = session.get("audio", {}).get("input", {})
    detection: Json | None = heard.get("turn_detection", otherwise)
    return detection


def _last(marks: Iterable[str]) -> int:
    """The number of the last beginning or end."""
    numbers = (key.split(":") for key in marks if key.startswith(f"{Mark.HUSH}:"))
    return max((int(parts[1]) for parts in numbers if parts[1].isdecimal()), default=0)
