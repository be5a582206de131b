"""A call that is sent on unanswered: one REFER, then a look at what becomes of the call.

    IDLE (no forward)    DUE -> REFERRING -> WATCHING -> DONE
                                    +---------------------^

The provider says that it has relayed a REFER, never what came of it: only the call's end says that
somebody took the call, or that the caller gave up. So the socket is attached once the REFER is on
its way, or may be, and the call is watched: to hang up would break off a transfer whose answer got
lost. Nobody speaks, whatever is asked for, and no second REFER is ever sent: a carrier that gets
two may ring two people.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from sipagent.model import Reason, skills
from sipagent.sessions.machine.commands import Attach, Probe, Refer
from sipagent.sessions.machine.events import (
    Answer,
    DeadlineReached,
    EndRequested,
    FaultKind,
    Probed,
    ProviderFault,
    Referred,
    SocketClosed,
    SocketOpened,
    SocketRefused,
    Timer,
)
from sipagent.sessions.machine.signals import (
    CallAnswered,
    CallBegun,
    DeadlineWanted,
    ForwardEnded,
    ForwardGivenUp,
    SendAway,
)

WATCH: Final = skills.WATCH
"""Seconds from the REFER in which somebody must have taken the call."""

LAST_WATCH: Final = 15.0
"""Seconds that are left of the watch when somebody wants the call ended."""


class Stage(StrEnum):
    IDLE = "idle"
    DUE = "due"
    REFERRING = "referring"
    WATCHING = "watching"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Forwarding:
    """`target` is the URI that the call is sent to. `until` is when the watch ends; `asked` an end
    that somebody asked for meanwhile. `relayed`: the provider has said that the REFER is sent.
    `attached`: there is a socket whose closing will tell of the end. `held`: the call was held
    before it was sent away, so that its socket has been dialed."""

    stage: Stage = Stage.IDLE
    target: str = field(default="", repr=False)
    until: float = 0.0
    asked: EndRequested | None = None
    relayed: bool = False
    attached: bool = False
    held: bool = False

    def watched(self, until: float) -> "Forwarding":
        """The call has been sent away, or may have been: what comes of it shows till then."""
        return replace(self, stage=Stage.WATCHING, until=until)


_NOWHERE: Final = Forwarding()
_HELD: Final = replace(_NOWHERE, attached=True)
"""Nearly all calls: they are sent nowhere, and only their socket is known of."""

Heeded = (
    CallBegun
    | CallAnswered
    | SendAway
    | SocketOpened
    | Referred
    | SocketClosed
    | SocketRefused
    | Probed
    | ProviderFault
    | EndRequested
    | DeadlineReached
)
Output = Refer | Attach | Probe | ForwardEnded | ForwardGivenUp | DeadlineWanted
Result = tuple[Forwarding, tuple[Output, ...]]


def forwarding(target: str | None) -> Forwarding:
    """The state of a call that is to be sent to `target`, or nowhere."""
    return _NOWHERE if target is None else Forwarding(Stage.DUE, target)


def step(state: Forwarding, event: Heeded, now: float) -> Result:
    match state.stage, event:
        case _, SocketOpened():
            return (_HELD if state is _NOWHERE else replace(state, attached=True)), ()
        case Stage.WATCHING, CallBegun():
            return state, (Attach(again=True),)
        case Stage.IDLE, SendAway(target):
            state = replace(state, stage=Stage.REFERRING, target=target, held=True)
            return state, (Refer(target),)
        case Stage.IDLE | Stage.DUE | Stage.REFERRING, SocketClosed():
            return (_NOWHERE if state is _HELD else replace(state, attached=False)), ()
        case Stage.DUE, CallAnswered():
            return replace(state, stage=Stage.REFERRING), (Refer(state.target),)
        case Stage.DUE | Stage.REFERRING, EndRequested():
            return replace(state, asked=event), ()
        case Stage.REFERRING, Referred(answer):
            return _referred(state, answer, now)
        case Stage.WATCHING, _:
            return _watching(state, event, now)
        case _:
            return state, ()


def _referred(state: Forwarding, answer: Answer, now: float) -> Result:
    if answer not in (Answer.DONE, Answer.SILENT):
        # To hang up is also to learn whether the caller has gone: 404 says so.
        gone = Reason.LINE_CLOSED if answer is Answer.GONE else Reason.REFER_FAILED
        detail = "refer not sent" if answer is Answer.UNSENT else f"refer answered {answer}"
        return _give_up(state, Reason.REFER_FAILED, gone, detail)
    state = replace(state, relayed=answer is Answer.DONE)
    if state.asked is not None and state.asked.goodbye is None:
        return _give_up(state, state.asked.reason)
    until = now + (WATCH if state.asked is None else LAST_WATCH)
    watched = DeadlineWanted(Timer.FORWARD_TAKEN, until)
    attach = () if state.attached else (Attach(again=state.held),)
    return state.watched(until), (*attach, watched)


def _watching(state: Forwarding, event: Heeded, now: float) -> Result:
    match event:
        case SocketClosed() | SocketRefused() | ProviderFault(FaultKind.UNKNOWN_CALL):
            return replace(state, attached=False), (Probe(),)
        case Probed(alive=False):
            return replace(state, stage=Stage.DONE), (ForwardEnded(Reason.TRANSFERRED),)
        case EndRequested(reason, None):
            return _give_up(state, reason)
        case EndRequested():
            until = min(state.until, now + LAST_WATCH)
            watched = DeadlineWanted(Timer.FORWARD_TAKEN, until)
            return replace(state, asked=event, until=until), (watched,)
        case DeadlineReached(Timer.FORWARD_TAKEN) if state.asked is not None:
            return _give_up(state, state.asked.reason)
        case DeadlineReached(Timer.FORWARD_TAKEN):
            detail = "nobody took the call"
            detail = detail if state.relayed else f"refer answered {Answer.SILENT}; {detail}"
            return _give_up(state, Reason.REFER_FAILED, detail=detail)
        case _:
            # A socket that is lost while the call lives is not replaced: to hang up would end a
            # transfer that is under way, and the end of the watch tells as much.
            return state, ()


def _give_up(
    state: Forwarding, reason: Reason, gone: Reason = Reason.TRANSFERRED, detail: str | None = None
) -> Result:
    return replace(state, stage=Stage.DONE), (ForwardGivenUp(reason, detail, gone),)
