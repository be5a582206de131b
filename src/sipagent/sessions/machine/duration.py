"""How long a call may take: the plan's own time, and the provider's for a session.

The model is told a while before, so that the conversation comes to its end by itself; what goes on
then is ended with a goodbye. Times count from the call's beginning, whoever holds it now.
"""

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from sipagent.model import CallPlan, Happening, Reason
from sipagent.sessions.machine.commands import Inform, RecordStep
from sipagent.sessions.machine.events import DeadlineReached, Timer
from sipagent.sessions.machine.farewells import TIME_IS_UP
from sipagent.sessions.machine.signals import (
    CallDropped,
    CallLive,
    CallResumed,
    DeadlineDropped,
    DeadlineWanted,
    EndWanted,
    Parting,
)

_MINUTE: Final = 60.0
_SHARE: Final = 0.8
"""Of a short call's time: by then the model is told."""

_REQUEST: Final = "time-short"


class Limit(Struct, frozen=True):
    """The model is told at `short_at`, and the call ends at `over_at` for this reason."""

    short_at: float
    over_at: float
    reason: Reason


PROVIDERS: Final = Limit(57 * _MINUTE, 59 * _MINUTE, Reason.SESSION_EXPIRED)
"""OpenAI ends a session at 60 minutes, in the middle of a word."""


class Duration(Struct, frozen=True):
    """`told`: the model knows. `live`: it could be told. `parting`: the call is ending already."""

    limit: Limit = PROVIDERS
    told: bool = False
    live: bool = False
    parting: bool = False


Heeded = CallLive | CallDropped | CallResumed | DeadlineReached | Parting
Output = Inform | RecordStep | EndWanted | DeadlineWanted | DeadlineDropped
Result = tuple[Duration, tuple[Output, ...]]


def duration(plan: CallPlan) -> Duration:
    """The state of a call of which nothing is over yet: the limit that comes first holds."""
    longest = plan.ceilings.duration
    if longest is None or longest >= PROVIDERS.over_at:
        return Duration()
    short_at = max(longest - _MINUTE, longest * _SHARE)
    return Duration(Limit(short_at, longest, Reason.MAX_DURATION))


def step(state: Duration, event: Heeded, now: float) -> Result:
    if state.parting:
        return state, ()
    match event:
        case CallLive() | CallResumed():
            return replace(state, live=True), _deadlines(state, now)
        case CallDropped():
            return replace(state, live=False), ()
        case DeadlineReached(Timer.TIME_SHORT) if state.live:
            told = Inform(_REQUEST, _hint(state.limit.over_at - now))
            return replace(state, told=True), (
                told,
                RecordStep(Happening.WOUND_DOWN, state.limit.reason),
            )
        case DeadlineReached(Timer.TIME_OVER):
            return state, (EndWanted(state.limit.reason, TIME_IS_UP),)
        case Parting():
            dropped = (DeadlineDropped(Timer.TIME_SHORT), DeadlineDropped(Timer.TIME_OVER))
            return replace(state, parting=True), dropped
        case _:
            return state, ()


def _deadlines(state: Duration, now: float) -> tuple[DeadlineWanted, ...]:
    """The times that are still to come. What has passed while nobody held the call is due now."""
    over = DeadlineWanted(Timer.TIME_OVER, max(now, state.limit.over_at))
    if state.told:
        return (over,)
    return DeadlineWanted(Timer.TIME_SHORT, max(now, state.limit.short_at)), over


def _hint(seconds: float) -> str:
    return (
        f"The call will be ended in about {_spoken(seconds)}. Bring it to its end in what you say"
        " next, in the language of the conversation, and begin nothing new."
    )


def _spoken(seconds: float) -> str:
    minutes = round(seconds / _MINUTE)
    if minutes >= 2:
        return f"{minutes} minutes"
    return "a minute" if seconds >= 50.0 else f"{max(1, round(seconds))} seconds"
