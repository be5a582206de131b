"""What the agent says while a tool takes its time: once for each, and nothing that comes late."""

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from sipagent.sessions.machine.events import DeadlineReached, Timer, ToolEnded
from sipagent.sessions.machine.opening import quoted
from sipagent.sessions.machine.signals import (
    CallDropped,
    CallOver,
    DeadlineDropped,
    DeadlineWanted,
    FillerOffered,
    Parting,
    Purpose,
    ResponseUnneeded,
    ResponseWanted,
)

AFTER: Final = 1.0
"""Seconds that a tool may take until something is said."""

AFTER_WORDS: Final = 4.0
"""The same where the agent has said something when it began the tool."""

_SAY: Final = "In the language of the conversation, say no more than this: "


class Fillers(Struct, frozen=True):
    """`waiting` are tools that run and of which nothing has been said, the earliest due first;
    `said` those of which something has been, or is about to be."""

    waiting: tuple[FillerOffered, ...] = ()
    said: tuple[str, ...] = ()


Heeded = FillerOffered | ToolEnded | DeadlineReached | CallDropped | Parting | CallOver
Output = ResponseWanted | ResponseUnneeded | DeadlineWanted | DeadlineDropped
Result = tuple[Fillers, tuple[Output, ...]]


def step(state: Fillers, event: Heeded, now: float) -> Result:
    match event:
        case FillerOffered():
            waiting = tuple(sorted((*state.waiting, event), key=lambda one: one.at))
            return replace(state, waiting=waiting), (_next(waiting),)
        case DeadlineReached(Timer.FILLER) if state.waiting:
            return _speak(state, now)
        case ToolEnded(call_id):
            return _ended(state, call_id)
        case CallDropped() | Parting() | CallOver() if state.waiting or state.said:
            return Fillers(), (ResponseUnneeded(Purpose.FILLER), DeadlineDropped(Timer.FILLER))
        case _:
            return state, ()


def _speak(state: Fillers, now: float) -> Result:
    """Say what is due first. Others that are due do not add to it."""
    due = tuple(one for one in state.waiting if one.at <= now)
    rest = state.waiting[len(due) :]
    if not due:
        return state, (_next(rest),)
    state = Fillers(rest, (*state.said, *(one.id for one in due)))
    wanted = ResponseWanted(Purpose.FILLER, _SAY + quoted(due[0].words), tools=False)
    return state, (wanted, *((_next(rest),) if rest else ()))


def _ended(state: Fillers, call_id: str) -> Result:
    if call_id in state.said:
        said = tuple(one for one in state.said if one != call_id)
        needless = () if said else (ResponseUnneeded(Purpose.FILLER),)
        return replace(state, said=said), needless
    waiting = tuple(one for one in state.waiting if one.id != call_id)
    if len(waiting) == len(state.waiting):
        return state, ()
    due = _next(waiting) if waiting else DeadlineDropped(Timer.FILLER)
    return replace(state, waiting=waiting), (due,)


def _next(waiting: tuple[FillerOffered, ...]) -> DeadlineWanted:
    return DeadlineWanted(Timer.FILLER, waiting[0].at)
