"""The agent's first words, and the moment when the caller gets the turn.

While a greeting is due the session was accepted with `create_response: false`, so that a caller's
early hello does not lead to a second first sentence. When the greeting has been heard the
profile's own turn detection is restored, and a turn that the caller finished meanwhile gets its
one response.

A greeting is asked for once. If the socket is lost while it is spoken, or another process takes the
call over, the caller gets the turn instead.
"""

from enum import StrEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from sipagent.model import Json, Mark
from sipagent.sessions.machine.commands import Note, UpdateSession
from sipagent.sessions.machine.events import (
    CallerCommitted,
    CallerTyped,
    DeadlineReached,
    ProviderFault,
    SessionUpdated,
    Timer,
)
from sipagent.sessions.machine.signals import (
    CallLive,
    CallResumed,
    DeadlineDropped,
    DeadlineWanted,
    GreetingOver,
    Heard,
    ModelFailed,
    PlaybackEnded,
    Purpose,
    ResponseDropped,
    ResponseStarted,
    ResponseWanted,
)

HEARD_WITHIN: Final = 15.0
"""Seconds after which the caller gets the turn, whatever has become of the greeting."""

RESTORED_WITHIN: Final = 2.0
"""Seconds for the provider to confirm the restored turn detection."""

_REQUEST: Final = "restore-turn-detection"


class Stage(StrEnum):
    """DUE, then SPEAKING, then RESTORING, then DONE.

    UNRESTORED: the provider did not confirm the restored turn detection, so each turn of the
    caller is answered by a request of ours; should voice detection answer as well, its response
    is there first and ours is dropped.
    """

    DUE = "due"
    SPEAKING = "speaking"
    RESTORING = "restoring"
    UNRESTORED = "unrestored"
    DONE = "done"


class FirstWords(Struct, frozen=True):
    """`restore` is the change of session that gives the turn to the caller, None if none is due.

    `answers` says that the profile's turn detection answers the caller's turns; `owed`, that one
    of these turns has had no response yet.
    """

    stage: Stage
    instructions: str = ""
    restore: Json | None = None
    answers: bool = False
    owed: bool = False


Heeded = (
    CallLive
    | CallResumed
    | PlaybackEnded
    | ResponseDropped
    | ResponseStarted
    | CallerCommitted
    | CallerTyped
    | SessionUpdated
    | ProviderFault
    | DeadlineReached
)
Output = (
    ResponseWanted
    | UpdateSession
    | Note
    | GreetingOver
    | ModelFailed
    | DeadlineWanted
    | DeadlineDropped
)


def step(state: FirstWords, event: Heeded, now: float) -> tuple[FirstWords, tuple[Output, ...]]:
    if isinstance(event, CallLive | CallResumed):
        return _attached(state, now)
    if state.stage is Stage.DONE:
        return _typed(state, event)
    if state.stage is Stage.UNRESTORED:
        return _unrestored(state, event)
    match state.stage, event:
        case Stage.SPEAKING, PlaybackEnded() | ResponseDropped() | DeadlineReached():
            return _said(state, event, now)
        case Stage.SPEAKING | Stage.RESTORING, CallerCommitted():
            return replace(state, owed=state.answers), ()
        case Stage.RESTORING, ResponseStarted():
            return replace(state, owed=False), ()
        case Stage.RESTORING, SessionUpdated():
            return _restored(state, Stage.DONE)
        case Stage.RESTORING, DeadlineReached(Timer.DETECTION_RESTORED):
            return _restored(state, Stage.UNRESTORED)
        case Stage.RESTORING, ProviderFault() if event.request_id == _REQUEST:
            return _restored(state, Stage.UNRESTORED)
        case _:
            return _typed(state, event)


def _typed(state: FirstWords, event: Heeded) -> tuple[FirstWords, tuple[Output, ...]]:
    """What is written, which no voice detection answers, is answered once the caller has the
    turn."""
    if not isinstance(event, CallerTyped):
        return state, ()
    if state.stage in (Stage.DUE, Stage.SPEAKING):
        return replace(state, owed=True), ()
    return state, (ResponseWanted(Purpose.REPLY),)


def _unrestored(state: FirstWords, event: Heeded) -> tuple[FirstWords, tuple[Output, ...]]:
    if isinstance(event, CallerCommitted) and state.answers:
        return state, (ResponseWanted(Purpose.REPLY),)
    if isinstance(event, SessionUpdated):
        return replace(state, stage=Stage.DONE), ()
    return _typed(state, event)


def _attached(state: FirstWords, now: float) -> tuple[FirstWords, tuple[Output, ...]]:
    match state.stage:
        case Stage.DUE:
            wish = ResponseWanted(Purpose.GREETING, state.instructions, tools=False)
            deadline = DeadlineWanted(Timer.GREETING_HEARD, now + HEARD_WITHIN)
            return replace(state, stage=Stage.SPEAKING), (wish, deadline)
        case Stage.SPEAKING:
            return _hand_over(state, now)
        case Stage.RESTORING | Stage.UNRESTORED:
            return replace(state, stage=Stage.RESTORING), (*_restoring(state, now), GreetingOver())
        case Stage.DONE:
            return state, (GreetingOver(),)


def _said(
    state: FirstWords, event: PlaybackEnded | ResponseDropped | DeadlineReached, now: float
) -> tuple[FirstWords, tuple[Output, ...]]:
    """Hand over when the greeting has been heard or given up, and say so if nothing was heard."""
    match event:
        case DeadlineReached(Timer.GREETING_HEARD):
            return _hand_over(state, now)
        case PlaybackEnded(purpose=Purpose.GREETING, heard=heard):
            silent = heard is Heard.NOTHING
        case ResponseDropped(Purpose.GREETING):
            silent = True
        case _:
            return state, ()
    failed = (ModelFailed("greeting failed"),) if silent and not state.owed else ()
    state, outputs = _hand_over(state, now)
    return state, (*outputs, *failed)


def _hand_over(state: FirstWords, now: float) -> tuple[FirstWords, tuple[Output, ...]]:
    heard = DeadlineDropped(Timer.GREETING_HEARD)
    reply = (ResponseWanted(Purpose.REPLY),) if state.owed else ()
    if state.restore is None:
        return replace(state, stage=Stage.DONE, owed=False), (heard, GreetingOver(), *reply)
    outputs: tuple[Output, ...] = (heard, *_restoring(state, now), GreetingOver(), *reply)
    return replace(state, stage=Stage.RESTORING, owed=False), outputs


def _restoring(state: FirstWords, now: float) -> tuple[Output, ...]:
    assert state.restore is not None
    return (
        UpdateSession(_REQUEST, state.restore),
        DeadlineWanted(Timer.DETECTION_RESTORED, now + RESTORED_WITHIN),
    )


def _restored(state: FirstWords, stage: Stage) -> tuple[FirstWords, tuple[Output, ...]]:
    outputs: tuple[Output, ...] = (DeadlineDropped(Timer.DETECTION_RESTORED),)
    if stage is Stage.DONE:
        outputs = (*outputs, Note(Mark.TURN_RESTORED))
    if state.owed:
        outputs = (*outputs, ResponseWanted(Purpose.REPLY))
    return replace(state, stage=stage, owed=False), outputs
