"""The last of a call: its hang-up, which has to be confirmed, and its outcome."""

from typing import Final

from msgspec.structs import replace

from sipagent.model import Reason
from sipagent.sessions.machine.commands import HangUp
from sipagent.sessions.machine.events import (
    Answer,
    DeadlineReached,
    HangUpAnswered,
    SocketClosed,
    Timer,
)
from sipagent.sessions.machine.life import (
    CLOSED_WITHIN,
    Heeded,
    Lifecycle,
    Result,
    ended,
    finish,
    unconfirmed,
)
from sipagent.sessions.machine.signals import CallOver, DeadlineWanted, UsageLost

_AGAIN_AFTER: Final = (2.0, 4.0, 8.0)
"""Seconds until a hang-up that nobody has confirmed is asked for again, while the call is seen to
go on: a model that nobody stops talks, and is billed, for up to an hour."""


def hanging_up(state: Lifecycle, event: Heeded, now: float) -> Result:
    assert state.end is not None
    match event:
        case HangUpAnswered(Answer.DONE) if not state.attached:
            return finish(state, state.end)
        case HangUpAnswered(Answer.DONE):
            return state, (DeadlineWanted(Timer.SOCKET_CLOSED, now + CLOSED_WITHIN),)
        case HangUpAnswered(Answer.GONE):
            # An attachment that failed stays one: a session that the provider took and could not
            # begin looks the same as a call that has ended.
            return finish(state, ended(state, state.end))
        case HangUpAnswered():
            return _unconfirmed(state, now)
        case DeadlineReached(Timer.HANG_UP_AGAIN):
            return state, (HangUp(state.end.reason),)
        case SocketClosed() | DeadlineReached(Timer.SOCKET_CLOSED):
            return finish(state, state.end)
        case _:
            return state, ()


def _unconfirmed(state: Lifecycle, now: float) -> Result:
    assert state.end is not None
    if state.attached and state.hung_up < len(_AGAIN_AFTER):
        due = DeadlineWanted(Timer.HANG_UP_AGAIN, now + _AGAIN_AFTER[state.hung_up])
        return replace(state, hung_up=state.hung_up + 1), (due,)
    end = replace(state.end, detail=unconfirmed(state.end.detail))
    # The model may go on talking, and is billed for it.
    talks = not state.forwards and end.reason is not Reason.ACCEPT_REFUSED
    over, outputs = finish(state, end)
    return over, ((UsageLost(),) * talks + outputs)


def over(state: Lifecycle, event: Heeded, _: float) -> Result:
    """Finish once the others have said their last: `CallOver` reaches this machine last."""
    if isinstance(event, CallOver) and state.end is not None:
        return replace(state, end=None), (state.end,)
    return state, ()
