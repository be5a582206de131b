"""From the claim to the outcome: answer, attach, hold, end.

                        +-> REJECTING --+
    NEW -> ANSWERING ---+-> ATTACHING --+-> LIVE -> GOODBYE -> HANGING_UP -> OVER
              ^         |                   |  ^                ^  ^          ^
              |         |                   |  +-- REATTACHING  |  |          |
    ADOPTED --+---------|-------------------+-> PROBING -^------|--+----------+
                        +-> FORWARDING -------------------------+-------------+

The socket's end is the only sign that a call has ended, and it proves nothing by itself: a
re-dial that is answered with 404 does. A call that goes on without its socket is attached again.
Whatever cannot be answered is rejected with 503, so that the carrier's own fallback can ring;
whatever may have been answered and cannot be held is hung up, so that nobody talks to a model that
nobody watches.

A call that another process has held before is ADOPTED: its socket is dialed first, which tells
whether it is there, and it is answered only if nothing says that it has been.
"""

from collections.abc import Callable, Mapping
from typing import Final

from msgspec.structs import replace

from sipagent.model import Happening, Reason
from sipagent.sessions.machine import ending
from sipagent.sessions.machine.commands import (
    Accept,
    Attach,
    Finish,
    Probe,
    RecordStep,
    Reject,
)
from sipagent.sessions.machine.events import (
    AcceptAnswered,
    Answer,
    DeadlineReached,
    EndRequested,
    FaultKind,
    Probed,
    ProviderFault,
    RejectAnswered,
    SocketClosed,
    SocketOpened,
    SocketRefused,
    Timer,
)
from sipagent.sessions.machine.life import (
    CLOSED_WITHIN,
    LONGEST_CALL,
    SERVICE_UNAVAILABLE,
    Heeded,
    Lifecycle,
    Output,
    Phase,
    Result,
    ended,
    finish,
    hang_up,
    lost,
    part,
)
from sipagent.sessions.machine.loss import Loss
from sipagent.sessions.machine.signals import (
    CallAnswered,
    CallBegun,
    CallDropped,
    CallLive,
    CallResumed,
    CallUnheard,
    DeadlineWanted,
    EndWanted,
    FallbackWanted,
    ForwardEnded,
    ForwardGivenUp,
    ModelFailed,
    Parting,
    PlaybackEnded,
    Purpose,
    ResponseDropped,
    SendAway,
    TransferGoing,
    UsageLost,
)


def step(state: Lifecycle, event: Heeded, now: float) -> Result:
    """Late events of a phase that has passed are no-ops: both sides act at once on a phone."""
    if isinstance(event, PlaybackEnded) and event.purpose is not Purpose.GOODBYE:
        return state, ()
    if isinstance(event, TransferGoing):
        return replace(state, referred=event.going and event.referred), ()
    return _PHASES[state.phase](state, event, now)


def _new(state: Lifecycle, _: Heeded, __: float) -> Result:
    if state.answered:
        return _answered(state)
    return replace(state, phase=Phase.ANSWERING), (Accept(state.session),)


def _adopted(state: Lifecycle, event: Heeded, now: float) -> Result:
    """Find out by the socket whether the call is there, and answer it if nobody has."""
    match event:
        case CallBegun() if state.end is not None:
            return hang_up(state, state.end)
        case CallBegun() | DeadlineReached(Timer.REATTACH):
            return state, (Attach(again=True),)
        case SocketOpened():
            return _found(state, now)
        case SocketRefused(gone=True):
            return _not_found(state)
        case SocketRefused(detail) if state.answerable:
            # Nobody can tell whether it still rings, and a caller who does wait has waited enough.
            return _reject(state, Finish(Reason.ACCEPT_TIMEOUT, detail, SERVICE_UNAVAILABLE))
        case SocketRefused():
            return _dial_again(state, now)
        case EndRequested():
            return replace(state, asked=event), ()
        case _:
            return state, ()


def _found(state: Lifecycle, now: float) -> Result:
    asked = state.asked
    if asked is not None and (state.forwards or asked.goodbye is None):
        return hang_up(replace(state, attached=True), Finish(asked.reason, None))
    if state.forwards:
        return replace(state, phase=Phase.FORWARDING, attached=True), (CallAnswered(),)
    state, outputs = _opened(replace(state, phase=Phase.LIVE, asked=None), CallResumed(), now)
    return (state, outputs) if asked is None else _part_as_asked(state, outputs, asked, now)


def _not_found(state: Lifecycle) -> Result:
    if state.answerable is None:
        reason = Reason.TRANSFERRED if state.referred else Reason.LINE_CLOSED
        return finish(state, Finish(reason, "ended while no process held it"))
    if state.answerable:
        return replace(state, phase=Phase.ANSWERING), (Accept(state.session),)
    return finish(state, Finish(Reason.REPLICA_LOST, "no process had it answered"))


def _answering(state: Lifecycle, event: Heeded, _: float) -> Result:
    match event:
        case AcceptAnswered(Answer.DONE | Answer.DECIDED):
            # DECIDED: an attempt of ours whose answer was lost, or of this service's former life.
            return _answered(state)
        case AcceptAnswered(Answer.GONE) if state.answerable:
            return _maybe_answered(state)
        case AcceptAnswered(Answer.GONE):
            return finish(state, Finish(Reason.CALLER_GONE, None))
        case AcceptAnswered(Answer.REFUSED) if state.spare is not None:
            return replace(state, spare=None), (Accept(state.spare),)
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
        return hang_up(state, Finish(state.asked.reason, None))
    return replace(state, phase=Phase.FORWARDING), (CallAnswered(),)


def _maybe_answered(state: Lifecycle) -> Result:
    """The caller has gone, or an accept of the owner before was on its way: the socket shows it."""
    state, outputs = _answered(replace(state, gone=Finish(Reason.CALLER_GONE, None)))
    attach = Attach(again=True)
    return state, (UsageLost(), *(attach if one == Attach() else one for one in outputs))


def _reject(state: Lifecycle, end: Finish) -> Result:
    return replace(state, phase=Phase.REJECTING, end=end), (Reject(SERVICE_UNAVAILABLE),)


def _rejecting(state: Lifecycle, event: Heeded, _: float) -> Result:
    match event, state.end:
        case RejectAnswered(Answer.GONE), Finish() as end if state.answerable:
            # An accept of the owner before may have been taken: then it is no call to be rejected.
            return hang_up(state, replace(end, sip_code=None), rings=True)
        case RejectAnswered(Answer.DONE | Answer.GONE), Finish() as end:
            return finish(state, end)
        case RejectAnswered(Answer.DECIDED), Finish(Reason.ACCEPT_TIMEOUT):
            # The accept did take effect, only its answer never came: the caller is on the line.
            return _answered(replace(state, end=None))
        case RejectAnswered(), Finish() as end:
            return hang_up(state, replace(end, sip_code=None), rings=True)
        case EndRequested(), _:
            return replace(state, asked=event), ()
        case _:
            return state, ()


def _attaching(state: Lifecycle, event: Heeded, now: float) -> Result:
    match event:
        case SocketOpened() if state.asked is not None:
            return hang_up(replace(state, attached=True), Finish(state.asked.reason, None))
        case SocketOpened():
            return _opened(replace(state, phase=Phase.LIVE, gone=None), CallLive(), now)
        case SocketRefused(detail, gone=True):
            return hang_up(state, Finish(Reason.ATTACH_FAILED, detail))
        case SocketRefused(detail):
            end = Finish(Reason.ATTACH_FAILED, detail)
            return replace(state, phase=Phase.LIVE, end=end), (ModelFailed(detail),)
        case EndRequested():
            return replace(state, asked=event), ()
        case _:
            return state, ()


def _opened(state: Lifecycle, signal: CallLive | CallResumed, now: float) -> Result:
    cap = DeadlineWanted(Timer.LONGEST_CALL, max(now, LONGEST_CALL))
    return replace(state, attached=True), (signal, cap)


def _forwarding(state: Lifecycle, event: Heeded, _: float) -> Result:
    match event:
        case SocketOpened():
            return replace(state, attached=True), ()
        case SocketClosed():
            return replace(state, attached=False), ()
        case ForwardEnded(reason):
            return finish(state, Finish(reason, None))
        case ForwardGivenUp(reason, detail, gone):
            vain = Finish(gone, detail if gone is reason else None)
            return hang_up(replace(state, gone=vain), Finish(reason, detail))
        case _:
            return state, ()


def _live(state: Lifecycle, event: Heeded, now: float) -> Result:
    match event:
        case SocketClosed(code, expired):
            return _socket_closed(state, code, now, expired=expired)
        case ProviderFault(FaultKind.EXPIRED):
            return replace(state, expired=True), (
                DeadlineWanted(Timer.SOCKET_CLOSED, now + CLOSED_WITHIN),
            )
        case ProviderFault(FaultKind.UNKNOWN_CALL, code):
            return _probe(state, code, now)
        case DeadlineReached(Timer.LONGEST_CALL | Timer.SOCKET_CLOSED):
            return hang_up(state, Finish(Reason.SESSION_EXPIRED, None))
        case FallbackWanted(target_uri) if state.phase is Phase.LIVE and not state.referred:
            state = replace(state, phase=Phase.FORWARDING, end=None)
            return state, (Parting(), SendAway(target_uri))
        case EndWanted() | EndRequested():
            return _end(state, event, now)
        case (
            PlaybackEnded()
            | ResponseDropped(Purpose.GOODBYE)
            | DeadlineReached(Timer.GOODBYE_HEARD)
        ) if state.end is not None:
            return hang_up(state, state.end)
        case _:
            return state, ()


def _end(state: Lifecycle, event: EndWanted | EndRequested, now: float) -> Result:
    """End the call as it is asked; while a goodbye is being said only an end without one counts."""
    detail = event.detail if isinstance(event, EndWanted) else None
    end = Finish(event.reason, detail)
    if not state.attached:
        # Why there is no socket precedes what follows from it.
        return hang_up(state, state.end or end)
    if state.phase is Phase.LIVE:
        return part(state, end, event.goodbye, now)
    return hang_up(state, end) if event.goodbye is None else (state, ())


def _socket_closed(state: Lifecycle, code: int, now: float, *, expired: bool) -> Result:
    if expired or state.expired:
        return finish(state, Finish(Reason.SESSION_EXPIRED, None))
    return _probe(state, f"socket closed with {code}", now)


def _probe(state: Lifecycle, detail: str, now: float) -> Result:
    """Find out whether the call has ended with its socket, which is given up."""
    parting = state.end if state.phase is Phase.GOODBYE else None
    loss = Loss(now, parting=parting) if state.loss is None else state.loss.again(now, parting)
    gone = Finish(Reason.LINE_CLOSED, None)
    state = replace(state, phase=Phase.PROBING, end=lost(detail), gone=gone, attached=False)
    return replace(state, loss=loss), (Probe(), CallUnheard())


def _probing(state: Lifecycle, event: Heeded, now: float) -> Result:
    assert state.end is not None
    assert state.gone is not None
    match event:
        case Probed(alive=False):
            return finish(state, ended(state, state.gone))
        case Probed() if state.asked is not None and state.asked.goodbye is None:
            return hang_up(state, Finish(state.asked.reason, None))
        case Probed():
            dropped = RecordStep(Happening.DROPPED, state.end.detail)
            state, outputs = _dial_again(replace(state, phase=Phase.REATTACHING), now)
            going_on = () if state.phase is Phase.HANGING_UP else (CallDropped(),)
            return state, (dropped, *going_on, *outputs)
        case EndRequested():
            return replace(state, asked=event), ()
        case EndWanted(reason, goodbye):
            return replace(state, asked=EndRequested(reason, goodbye)), ()
        case DeadlineReached(Timer.GOODBYE_HEARD) if (parting := _parting(state)) is not None:
            return replace(state, asked=EndRequested(parting.reason, None)), ()
        case _:
            return state, ()


def _parting(state: Lifecycle) -> Finish | None:
    """The end whose goodbye was being said when the socket was lost."""
    return None if state.loss is None else state.loss.parting


def _dial_again(state: Lifecycle, now: float) -> Result:
    """Dial the lost socket, now or after a pause, or give the call up."""
    loss = state.loss or Loss(now)
    pause = loss.pause(now, state.jitter)
    if pause is None:
        state, outputs = hang_up(state, state.end or lost("socket lost"))
        return state, (UsageLost(), *outputs)
    state = replace(state, loss=replace(loss, dials=loss.dials + 1))
    if not pause:
        return state, (Attach(again=True),)
    return state, (DeadlineWanted(Timer.REATTACH, now + pause),)


def _reattaching(state: Lifecycle, event: Heeded, now: float) -> Result:
    match event:
        case DeadlineReached(Timer.REATTACH):
            return state, (Attach(again=True),)
        case SocketOpened():
            return _reattached(state, now)
        case SocketRefused(gone=True):
            return finish(state, ended(state, Finish(Reason.LINE_CLOSED, None)))
        case SocketRefused():
            return _dial_again(state, now)
        case EndRequested(reason):
            return hang_up(state, Finish(reason, None))
        case EndWanted(reason, _, detail):
            return hang_up(state, Finish(reason, detail))
        case DeadlineReached(Timer.LONGEST_CALL):
            return hang_up(state, Finish(Reason.SESSION_EXPIRED, None))
        case DeadlineReached(Timer.GOODBYE_HEARD) if (parting := _parting(state)) is not None:
            return hang_up(state, parting)
        case _:
            return state, ()


def _reattached(state: Lifecycle, now: float) -> Result:
    """Go on where the socket was lost; an end that was asked for during the probe is due now."""
    loss, asked = replace(state.loss or Loss(now), opened=now), state.asked
    phase = Phase.LIVE if loss.parting is None else Phase.GOODBYE
    state = replace(state, phase=phase, end=loss.parting, gone=None, loss=loss, asked=None)
    state, outputs = _opened(state, CallResumed(), now)
    outputs = (RecordStep(Happening.REATTACHED), *outputs)
    if asked is None or phase is Phase.GOODBYE:
        return state, outputs
    return _part_as_asked(state, outputs, asked, now)


def _part_as_asked(
    state: Lifecycle, outputs: tuple[Output, ...], asked: EndRequested, now: float
) -> Result:
    state, parting = part(state, Finish(asked.reason, None), asked.goodbye, now)
    return state, (*outputs, *parting)


_PHASES: Final[Mapping[Phase, Callable[[Lifecycle, Heeded, float], Result]]] = {
    Phase.NEW: _new,
    Phase.ADOPTED: _adopted,
    Phase.ANSWERING: _answering,
    Phase.REJECTING: _rejecting,
    Phase.ATTACHING: _attaching,
    Phase.FORWARDING: _forwarding,
    Phase.LIVE: _live,
    Phase.GOODBYE: _live,
    Phase.HANGING_UP: ending.hanging_up,
    Phase.PROBING: _probing,
    Phase.REATTACHING: _reattaching,
    Phase.OVER: ending.over,
}
