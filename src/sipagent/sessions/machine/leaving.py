"""The agent hangs up: after a goodbye that the caller has heard, and unless they still speak.

    IDLE -> SPEAKING (its goodbye is played, or asked for) -> LINGERING -> the call's end
      ^-------------------------------------------------------'  the caller spoke

The goodbye is what the response that asked for it has said; one that said nothing is asked for it.
A caller who speaks until a moment after it withdraws the hang-up, at most twice; so does one whom a
key sends to somebody, and whoever on duty has the agent say nothing or another one go on.
"""

from enum import StrEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from sipagent.model import CallPlan, HangUp, Reason
from sipagent.sessions.machine.events import (
    AgentWanted,
    CallerStarted,
    CallerTyped,
    DeadlineReached,
    Timer,
)
from sipagent.sessions.machine.outputs import error, output
from sipagent.sessions.machine.signals import (
    CallDropped,
    DeadlineDropped,
    DeadlineWanted,
    EndWanted,
    HangUpAsked,
    Hushed,
    IntentEnded,
    Parting,
    PlaybackEnded,
    Purpose,
    ResponseDropped,
    ResponseUnneeded,
    ResponseWanted,
    TransferGoing,
)

HEARD_WITHIN: Final = 15.0
"""Seconds for the goodbye to be heard."""

LINGER: Final = 0.7
"""Seconds after the goodbye in which the caller may still speak."""

WITHDRAWN_AT_MOST: Final = 2

_PLAYED: Final = 8

_SAY_GOODBYE: Final = (
    "The call ends now. In the language of the conversation, say goodbye in one short sentence. Ask"
    " nothing."
)
_WITHDRAWN: Final = output(
    {"status": "not hung up", "why": "the caller spoke: answer, and hang up when all is said"}
)
_HUNG_UP: Final = output({"status": "hung up"})
_HUSHED: Final = error("nothing is to be said for now, and the call is not hung up")
_BEING_SENT: Final = error("the call is being transferred, and ends by itself when it has been")


class Stage(StrEnum):
    IDLE = "idle"
    SPEAKING = "speaking"
    LINGERING = "lingering"


class Leaving(Struct, frozen=True):
    """`id` is the tool call that asked, `response_id` the response whose words are the goodbye,
    None if one is asked for. `played` are the responses that have been heard last: a goodbye may
    have been before the model says that it is done. `going`: the call is being sent on. `hushed`:
    the agent is to say nothing. `parting`: the call ends by other means, or its agent cannot hang
    up."""

    stage: Stage = Stage.IDLE
    id: str = ""
    response_id: str | None = None
    withdrawn: int = 0
    played: tuple[str, ...] = ()
    going: bool = False
    hushed: bool = False
    parting: bool = False


_NEVER: Final = Leaving(parting=True)


def leaving(plan: CallPlan) -> Leaving:
    """The state of a call whose agent has not wanted to hang up, or never can."""
    skilled = (plan.skills, *(one.skills for one in plan.colleagues))
    able = any(isinstance(tool.does, HangUp) for skills in skilled for tool in skills.tools)
    return Leaving() if able else _NEVER


Heeded = (
    HangUpAsked
    | PlaybackEnded
    | ResponseDropped
    | CallerStarted
    | CallerTyped
    | AgentWanted
    | DeadlineReached
    | TransferGoing
    | Hushed
    | CallDropped
    | Parting
)
Output = (
    ResponseWanted | ResponseUnneeded | IntentEnded | EndWanted | DeadlineWanted | DeadlineDropped
)
Result = tuple[Leaving, tuple[Output, ...]]

_NO_DEADLINES: Final = (DeadlineDropped(Timer.FAREWELL_HEARD), DeadlineDropped(Timer.LEAVE))


def step(state: Leaving, event: Heeded, now: float) -> Result:
    if state.parting:
        return state, ()
    match event:
        case HangUpAsked():
            return _begin(state, event, now)
        case PlaybackEnded():
            return _played(state, event, now)
        case TransferGoing() | Hushed():
            return _kept(state, event)
        case Parting():
            return replace(state, parting=True), _NO_DEADLINES if state.id else ()
        case _ if state.stage is Stage.IDLE:
            return state, ()
        case CallerStarted() | CallerTyped() | AgentWanted():
            wanted = isinstance(event, AgentWanted) or state.withdrawn < WITHDRAWN_AT_MOST
            return _withdraw(state) if wanted else (state, ())
        case ResponseDropped(Purpose.FAREWELL) if state.response_id is None:
            return _linger(state, now)
        case DeadlineReached(Timer.FAREWELL_HEARD | Timer.LEAVE) | CallDropped():
            return replace(state, stage=Stage.IDLE, parting=True), (
                *_NO_DEADLINES,
                EndWanted(Reason.AGENT_HUNG_UP),
                # After the end: it is for the records, and nobody is told any more.
                IntentEnded(state.id, _HUNG_UP, speak=False),
            )
        case _:
            return state, ()


def _kept(state: Leaving, event: TransferGoing | Hushed) -> Result:
    """The call is to go on otherwise, or can be left again."""
    if isinstance(event, TransferGoing):
        state, stays = replace(state, going=event.going), event.going
    else:
        state, stays = replace(state, hushed=event.on), event.on
    return _withdraw(state) if stays and state.stage is not Stage.IDLE else (state, ())


def _begin(state: Leaving, event: HangUpAsked, now: float) -> Result:
    if state.going or state.hushed or state.stage is not Stage.IDLE:
        words = _BEING_SENT if state.going else _HUSHED
        words = words if state.stage is Stage.IDLE else error("the call is being hung up")
        return state, (IntentEnded(event.id, words, done=False, speak=False),)
    state = replace(state, stage=Stage.SPEAKING, id=event.id, response_id=None)
    cap = DeadlineWanted(Timer.FAREWELL_HEARD, now + HEARD_WITHIN)
    if not event.spoken:
        return state, (ResponseWanted(Purpose.FAREWELL, _SAY_GOODBYE, tools=False), cap)
    state = replace(state, response_id=event.response_id)
    return _linger(state, now) if event.response_id in state.played else (state, (cap,))


def _played(state: Leaving, event: PlaybackEnded, now: float) -> Result:
    state = replace(state, played=(*state.played, event.response_id)[-_PLAYED:])
    if state.stage is not Stage.SPEAKING:
        return state, ()
    asked = state.response_id is None and event.purpose is Purpose.FAREWELL
    return _linger(state, now) if asked or event.response_id == state.response_id else (state, ())


def _linger(state: Leaving, now: float) -> Result:
    state = replace(state, stage=Stage.LINGERING)
    over = DeadlineWanted(Timer.LEAVE, now + LINGER)
    return state, (DeadlineDropped(Timer.FAREWELL_HEARD), over)


def _withdraw(state: Leaving) -> Result:
    ended = IntentEnded(state.id, _WITHDRAWN, speak=False)
    state = replace(state, stage=Stage.IDLE, id="", withdrawn=state.withdrawn + 1)
    return state, (*_NO_DEADLINES, ResponseUnneeded(Purpose.FAREWELL), ended)
