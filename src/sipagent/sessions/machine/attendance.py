"""Whether there is anybody: a caller who has neither spoken nor pressed a key.

A carrier may connect a line on which nobody is, and a caller may have hung up while it rang. The
time counts from the moment when the caller has the turn, and anew when a lost socket is back.
"""

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from sipagent.model import Mark, Reason
from sipagent.sessions.machine.commands import Note
from sipagent.sessions.machine.events import (
    CallerStarted,
    CallerTyped,
    DeadlineReached,
    DigitPressed,
    Timer,
)
from sipagent.sessions.machine.signals import (
    CallDropped,
    CallLive,
    CallResumed,
    DeadlineDropped,
    DeadlineWanted,
    EndWanted,
    GreetingOver,
    Hushed,
    Parting,
    TransferGoing,
)

SIGN_WITHIN: Final = 30.0
"""Seconds for the first word or key of a caller who has the turn."""


class Attendance(Struct, frozen=True):
    """`attended`: there has been a sign of a caller, or none is waited for any more. `live`: a
    sign would be told."""

    attended: bool = False
    live: bool = False


Heeded = (
    CallLive
    | CallDropped
    | CallResumed
    | GreetingOver
    | CallerStarted
    | DigitPressed
    | CallerTyped
    | DeadlineReached
    | TransferGoing
    | Hushed
    | Parting
)
Output = Note | EndWanted | DeadlineWanted | DeadlineDropped
Result = tuple[Attendance, tuple[Output, ...]]


def step(state: Attendance, event: Heeded, now: float) -> Result:
    if state.attended:
        return state, ()
    unwatched = DeadlineDropped(Timer.SOMEBODY_THERE)
    match event:
        case CallerStarted() | DigitPressed() | CallerTyped():
            return replace(state, attended=True), (unwatched, Note(Mark.SOMEBODY))
        case CallLive() | CallResumed():
            return replace(state, live=True), ()
        case GreetingOver() if state.live:
            return state, (DeadlineWanted(Timer.SOMEBODY_THERE, now + SIGN_WITHIN),)
        case CallDropped():
            return replace(state, live=False), (unwatched,)
        case Parting() | TransferGoing(going=True) | Hushed(on=True):
            return replace(state, attended=True), (unwatched,)
        case DeadlineReached(Timer.SOMEBODY_THERE):
            return state, (EndWanted(Reason.NOBODY_THERE),)
        case _:
            return state, ()
