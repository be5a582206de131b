"""From the claim to the outcome: answer, attach, hold, end.

                        +-> REJECTING --+
    NEW -> ANSWERING ---+-> ATTACHING --+-> LIVE -> GOODBYE -> HANGING_UP -> OVER
                        |                   |                   ^  ^          ^
                        |                   +-> PROBING --------|--+----------+
                        +-> FORWARDING -------------------------+-------------+

The socket's end is the only sign that a call has ended, and it proves nothing by itself: a
re-dial that is answered with 404 does. Whatever cannot be answered is rejected with 503, so that
the carrier's own fallback can ring; whatever may have been answered and cannot be held is hung
up, so that nobody talks to a model that nobody watches.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from sipagent.model import Json, Reason
from sipagent.sessions.machine.commands import Accept, Attach, Finish, HangUp, Probe, Reject
from sipagent.sessions.machine.events import (
    AcceptAnswered,
    Answer,
    DeadlineReached,
    EndRequested,
    FaultKind,
    HangUpAnswered,
    Probed,
    ProviderFault,
    RejectAnswered,
    SocketClosed,
    SocketOpened,
    SocketRefused,
    Timer,
)
from sipagent.sessions.machine.signals import (
    CallAnswered,
    CallBegun,
    CallLive,
    CallOver,
    DeadlineDropped,
    DeadlineWanted,
    ForwardEnded,
    ForwardGivenUp,
    Parting,
    PlaybackEnded,
    Purpose,
    ResponseDropped,
    ResponseWanted,
)

SERVICE_UNAVAILABLE: Final = 503
"""RFC 3261 21.5.4: the carrier may try elsewhere."""

LONGEST_CALL: Final = 65 * 60.0
"""Seconds. The provider ends a session at 60 minutes; a call that outlives that is stuck."""

GOODBYE_WITHIN: Final = 15.0
"""Seconds for a goodbye to be heard."""

CLOSED_WITHIN: Final = 5.0
"""Seconds for the socket to close after the provider has confirmed a hang-up."""


class Phase(StrEnum):
    NEW = "new"
    ANSWERING = "answering"
    REJECTING = "rejecting"
    ATTACHING = "attaching"
    FORWARDING = "forwarding"
    LIVE = "live"
    GOODBYE = "goodbye"
    HANGING_UP = "hanging_up"
    PROBING = "probing"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """`end` is what the outcome will be once the ending is through, and `gone` what it will be if
    the call turns out to have ended before; `asked` is an end that somebody asked for before the
    call was live. `attached`: there is a socket whose closing will confirm a hang-up. `expired`:
    the provider said the session's time is over. A call that `forwards` is left to `forwarding`
    as soon as it is answered.
    """

    session: Json
    forwards: bool = False
    phase: Phase = Phase.NEW
    end: Finish | None = None
    gone: Finish | None = None
    asked: EndRequested | None = None
    attached: bool = False
    expired: bool = False


Heeded = (
    CallBegun
    | AcceptAnswered
    | RejectAnswered
    | HangUpAnswered
    | SocketOpened
    | SocketRefused
    | SocketClosed
    | Probed
    | EndRequested
    | DeadlineReached
    | ProviderFault
    | PlaybackEnded
    | ResponseDropped
    | ForwardEnded
    | ForwardGivenUp
    | CallOver
)
Output = (
    Accept
    | Reject
    | Attach
    | Probe
    | HangUp
    | Finish
    | CallAnswered
    | CallLive
    | CallOver
    | Parting
    | ResponseWanted
    | DeadlineWanted
    | DeadlineDropped
)
Result = tuple[Lifecycle, tuple[Output, ...]]


def step(state: Lifecycle, event: Heeded, now: float) -> Result:
    """Late events of a phase that has passed are no-ops: both sides act at once on a phone."""
    match state.phase:
        case Phase.NEW:
            return replace(state, phase=Phase.ANSWERING), (Accept(state.session),)
        case Phase.ANSWERING:
            return _answering(state, event)
        case Phase.REJECTING:
            return _rejecting(state, event)
        case Phase.ATTACHING:
            return _attaching(state, event, now)
        case Phase.FORWARDING:
            return _forwarding(state, event)
        case Phase.LIVE | Phase.GOODBYE:
            return _live(state, event, now)
        case Phase.HANGING_UP:
            return _hanging_up(state, event, now)
        case Phase.PROBING:
            return _probing(state, event)
        case Phase.OVER:
            return _over(state, event)


def _answering(state: Lifecycle, event: Heeded) -> Result:
    match event:
        case AcceptAnswered(Answer.DONE | Answer.DECIDED):
            # DECIDED: an attempt of ours whose answer was lost, or of this service's former life.
            return _answered(state)
        case AcceptAnswered(Answer.GONE):
            return _finish(state, Finish(Reason.CALLER_GONE, None))
        case AcceptAnswered(Answer.REFUSED, detail):
            return _reject(state, Finish(Reason.ACCEPT_REFUSED, detail, SERVICE_UNAVAILABLE))
        case AcceptAnswered(Answer.SILENT | Answer.UNSENT, detail):
            return _reject(state, Finish(Reason.ACCEPT_TIMEOUT, detail, SERVICE_UNAVAILABLE))
        case EndRequested():
            return replace(state, asked=event), ()
        case _:
            return state, ()


def _answered(state: Lifecycle) -> Result:
    if not state.forwards:
        return replace(state, phase=Phase.ATTACHING), (Attach(),)
    if state.asked is not None and state.asked.goodbye is None:
        return _hang_up(state, Finish(state.asked.reason, None))
    return replace(state, phase=Phase.FORWARDING), (CallAnswered(),)


def _reject(state: Lifecycle, end: Finish) -> Result:
    return replace(state, phase=Phase.REJECTING, end=end), (Reject(SERVICE_UNAVAILABLE),)


def _rejecting(state: Lifecycle, event: Heeded) -> Result:
    match event, state.end:
        case RejectAnswered(Answer.DONE | Answer.GONE), Finish() as end:
            return _finish(state, end)
        case RejectAnswered(Answer.DECIDED), Finish(Reason.ACCEPT_TIMEOUT):
            # The accept did take effect, only its answer never came: the caller is on the line.
            return _answered(replace(state, end=None))
        case RejectAnswered(), Finish() as end:
            return _hang_up(state, replace(end, sip_code=None), rings=True)
        case EndRequested(), _:
            return replace(state, asked=event), ()
        case _:
            return state, ()


def _attaching(state: Lifecycle, event: Heeded, now: float) -> Result:
    match event:
        case SocketOpened() if state.asked is not None:
            return _hang_up(replace(state, attached=True), Finish(state.asked.reason, None))
        case SocketOpened():
            cap = DeadlineWanted(Timer.LONGEST_CALL, now + LONGEST_CALL)
            return replace(state, phase=Phase.LIVE, attached=True), (CallLive(), cap)
        case SocketRefused(detail):
            return _hang_up(state, Finish(Reason.ATTACH_FAILED, detail))
        case EndRequested():
            return replace(state, asked=event), ()
        case _:
            return state, ()


def _forwarding(state: Lifecycle, event: Heeded) -> Result:
    match event:
        case SocketOpened():
            return replace(state, attached=True), ()
        case SocketClosed():
            return replace(state, attached=False), ()
        case ForwardEnded(reason):
            return _finish(state, Finish(reason, None))
        case ForwardGivenUp(reason, detail, gone):
            vain = Finish(gone, detail if gone is reason else None)
            return _hang_up(replace(state, gone=vain), Finish(reason, detail))
        case _:
            return state, ()


def _live(state: Lifecycle, event: Heeded, now: float) -> Result:
    match event:
        case SocketClosed(code, expired):
            return _socket_closed(state, code, expired=expired)
        case ProviderFault(FaultKind.EXPIRED):
            return replace(state, expired=True), (
                DeadlineWanted(Timer.SOCKET_CLOSED, now + CLOSED_WITHIN),
            )
        case ProviderFault(FaultKind.UNKNOWN_CALL, code):
            return _probe(state, code)
        case DeadlineReached(Timer.LONGEST_CALL | Timer.SOCKET_CLOSED):
            return _hang_up(state, Finish(Reason.SESSION_EXPIRED, None))
        case EndRequested(reason, goodbye) if state.phase is Phase.LIVE:
            end = Finish(reason, None)
            if goodbye is None:
                return _hang_up(state, end)
            wish = ResponseWanted(Purpose.GOODBYE, goodbye)
            cap = DeadlineWanted(Timer.GOODBYE_HEARD, now + GOODBYE_WITHIN)
            return replace(state, phase=Phase.GOODBYE, end=end), (Parting(), wish, cap)
        case EndRequested(reason, None):
            return _hang_up(state, Finish(reason, None))
        case (
            PlaybackEnded(purpose=Purpose.GOODBYE)
            | ResponseDropped(Purpose.GOODBYE)
            | DeadlineReached(Timer.GOODBYE_HEARD)
        ) if state.end is not None:
            return _hang_up(state, state.end)
        case _:
            return state, ()


def _socket_closed(state: Lifecycle, code: int, *, expired: bool) -> Result:
    if expired or state.expired:
        return _finish(state, Finish(Reason.SESSION_EXPIRED, None))
    return _probe(state, f"socket closed with {code}")


def _probe(state: Lifecycle, detail: str) -> Result:
    """Find out whether the call has ended with its socket, which is given up."""
    end = Finish(Reason.CONNECTION_LOST, detail)
    gone = Finish(Reason.LINE_CLOSED, None)
    state = replace(state, phase=Phase.PROBING, end=end, gone=gone, attached=False)
    return state, (Probe(),)


def _probing(state: Lifecycle, event: Heeded) -> Result:
    assert state.end is not None
    assert state.gone is not None
    match event:
        case Probed(alive=False):
            return _finish(state, state.gone)
        case Probed():
            return _hang_up(state, state.end)
        case _:
            return state, ()


def _hang_up(state: Lifecycle, end: Finish, *, rings: bool = False) -> Result:
    return replace(state, phase=Phase.HANGING_UP, end=end), (HangUp(rings),)


def _hanging_up(state: Lifecycle, event: Heeded, now: float) -> Result:
    assert state.end is not None
    match event:
        case HangUpAnswered(Answer.DONE) if not state.attached:
            return _finish(state, state.end)
        case HangUpAnswered(Answer.DONE):
            return state, (DeadlineWanted(Timer.SOCKET_CLOSED, now + CLOSED_WITHIN),)
        case HangUpAnswered(Answer.GONE):
            # An attachment that failed stays one: a session that the provider took and could not
            # begin looks the same as a call that has ended.
            return _finish(state, state.gone or state.end)
        case HangUpAnswered():
            return _finish(state, replace(state.end, detail=unconfirmed(state.end.detail)))
        case SocketClosed() | DeadlineReached(Timer.SOCKET_CLOSED):
            return _finish(state, state.end)
        case _:
            return state, ()


def unconfirmed(detail: str | None) -> str:
    """The detail of an end whose hang-up nobody has confirmed; its cause is kept."""
    return f"{detail}; hang-up not confirmed" if detail else "hang-up not confirmed"


def _finish(state: Lifecycle, end: Finish) -> Result:
    return replace(state, phase=Phase.OVER, end=end), (CallOver(),)


def _over(state: Lifecycle, event: Heeded) -> Result:
    """Finish once the others have said their last: `CallOver` reaches this machine last."""
    if isinstance(event, CallOver) and state.end is not None:
        return replace(state, end=None), (state.end,)
    return state, ()
