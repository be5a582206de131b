"""What somebody on duty has a call do: told to the model, said by it, and kept as a step.

What the agent is to say waits until nothing else is said, one after the other. What has been done
is noted by the request's key, so that whoever takes the call over does not do it again; words that
have not begun to be said are not kept, and are asked for again by whoever wanted them.
"""

from dataclasses import dataclass, field
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from sipagent.model import Happening, Mark
from sipagent.sessions.machine.commands import AddText, Inform, Note, RecordStep
from sipagent.sessions.machine.events import (
    AgentWanted,
    CallerTyped,
    EndRequested,
    HoldWanted,
    ResumeWanted,
    SayWanted,
    TransferWanted,
    Whispered,
)
from sipagent.sessions.machine.opening import quoted
from sipagent.sessions.machine.signals import (
    CallDropped,
    CallLive,
    CallResumed,
    Parting,
    Purpose,
    ResponseDropped,
    ResponseStarted,
    ResponseWanted,
)

MOST_WAITING: Final = 4
"""Texts that wait to be said."""

MOST_REQUESTS: Final = 500
"""Of one call, as far as they are noted."""

_SAY: Final = (
    "Say exactly the words between the quotation marks, in the language in which they are written,"
    " and nothing before or after them: "
)
_FOR_YOU: Final = "This is for you alone: the caller has not heard it, and says none of it. "


@dataclass(frozen=True, slots=True)
class Dictated:
    """Words that are to be said, and the key of the request for them."""

    key: str
    text: str = field(repr=False)


class Duty(Struct, frozen=True):
    """`waiting` is what is to be said; `asked`: the first of it has been asked for. `response_id`
    is the response that says `said`, as far as is known. `done` are the keys of what has been
    done."""

    waiting: tuple[Dictated, ...] = ()
    asked: bool = False
    response_id: str | None = None
    said: Dictated | None = None
    done: tuple[str, ...] = ()
    live: bool = False
    parting: bool = False

    @property
    def full(self) -> bool:
        return len(self.waiting) >= MOST_WAITING

    @property
    def worn_out(self) -> bool:
        return len(self.done) >= MOST_REQUESTS


Wanted = (
    EndRequested
    | TransferWanted
    | SayWanted
    | Whispered
    | AgentWanted
    | HoldWanted
    | ResumeWanted
    | CallerTyped
)
Heeded = Wanted | ResponseStarted | ResponseDropped | CallLive | CallDropped | CallResumed | Parting
Output = AddText | Inform | Note | RecordStep | ResponseWanted
Result = tuple[Duty, tuple[Output, ...]]


def step(state: Duty, event: Heeded, _: float) -> Result:
    match event:
        case ResponseStarted() | ResponseDropped():
            return _made(state, event)
        case CallLive() | CallResumed():
            return _ask(replace(state, live=True))
        case CallDropped():
            # What has begun to be said is not said again.
            return replace(state, live=False, asked=False, response_id=None, said=None), ()
        case Parting():
            return Duty(done=state.done, parting=True), ()
        case EndRequested():
            return state, (_stepped("hang_up"),) if event.key else ()
        case _ if state.parting or event.key in state.done:
            return state, ()
        case SayWanted():
            return _dictated(state, event)
        case _:
            return _told(state, event)


def _told(
    state: Duty,
    event: TransferWanted | Whispered | AgentWanted | HoldWanted | ResumeWanted | CallerTyped,
) -> Result:
    """Note what this or another machine does now. A transfer is noted with its REFER."""
    if isinstance(event, TransferWanted):
        return state, (_stepped(f"transfer to {event.destination}"),)
    state = replace(state, done=(*state.done, event.key))
    noted = Note(f"{Mark.WANTED}:{event.key}")
    match event:
        case Whispered(text=text):
            told = Inform(f"whisper-{len(state.done)}", _FOR_YOU + text)
            return state, (told, _stepped("message"), noted)
        case CallerTyped(item_id=item_id, text=text):
            return state, (AddText(item_id, text), noted)  # the turn itself tells of it
        case AgentWanted(agent=agent):
            return state, (_stepped(f"switch_agent to {agent}"), noted)
        case HoldWanted():
            return state, (_stepped("hold"), noted)
        case ResumeWanted():
            return state, (_stepped("resume"), noted)


def _stepped(detail: str) -> RecordStep:
    return RecordStep(Happening.STEPPED_IN, detail)


def _dictated(state: Duty, event: SayWanted) -> Result:
    if state.full or any(one.key == event.key for one in state.waiting):
        return state, ()
    waiting = (*state.waiting, Dictated(event.key, event.text))
    state, asked = _ask(replace(state, waiting=waiting))
    return state, (_stepped("say"), *asked)


def _ask(state: Duty) -> Result:
    if not state.live or state.asked or not state.waiting:
        return state, ()
    words = _SAY + quoted(state.waiting[0].text)
    return replace(state, asked=True), (ResponseWanted(Purpose.DICTATION, words, tools=False),)


def _made(state: Duty, event: ResponseStarted | ResponseDropped) -> Result:
    if isinstance(event, ResponseDropped):
        if event.purpose is not Purpose.DICTATION or not state.waiting:
            return state, ()
        return _ask(replace(state, waiting=state.waiting[1:], asked=False))
    if event.purpose is Purpose.DICTATION and state.waiting:
        said, *rest = state.waiting
        state = replace(
            state,
            waiting=tuple(rest),
            asked=False,
            response_id=event.response_id,
            said=said,
            done=(*state.done, said.key),
        )
        state, asked = _ask(state)
        return state, (Note(f"{Mark.WANTED}:{said.key}"), *asked)
    if state.said is not None and event.response_id == state.response_id:
        # It was voice detection's after all, and the request for ours is on its way.
        waiting = (state.said, *state.waiting)
        return replace(state, waiting=waiting, asked=True, response_id=None, said=None), ()
    return state, ()
