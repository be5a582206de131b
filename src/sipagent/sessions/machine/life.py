"""What is known of a call's life, and how any phase of it comes to the end."""

from enum import StrEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from sipagent.model import Json, Reason
from sipagent.sessions.machine.commands import (
    Accept,
    Attach,
    Finish,
    HangUp,
    Probe,
    RecordStep,
    Reject,
)
from sipagent.sessions.machine.events import (
    AcceptAnswered,
    DeadlineReached,
    EndRequested,
    HangUpAnswered,
    Probed,
    ProviderFault,
    RejectAnswered,
    SocketClosed,
    SocketOpened,
    SocketRefused,
    Timer,
)
from sipagent.sessions.machine.loss import Loss
from sipagent.sessions.machine.signals import (
    CallAnswered,
    CallBegun,
    CallDropped,
    CallLive,
    CallOver,
    CallResumed,
    CallUnheard,
    DeadlineDropped,
    DeadlineWanted,
    EndWanted,
    FallbackWanted,
    ForwardEnded,
    ForwardGivenUp,
    HangingUp,
    ModelFailed,
    Parting,
    PlaybackEnded,
    Purpose,
    ResponseDropped,
    ResponseWanted,
    SendAway,
    TransferGoing,
    TransferTaken,
    UsageLost,
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
    ADOPTED = "adopted"
    ANSWERING = "answering"
    REJECTING = "rejecting"
    ATTACHING = "attaching"
    FORWARDING = "forwarding"
    LIVE = "live"
    GOODBYE = "goodbye"
    HANGING_UP = "hanging_up"
    PROBING = "probing"
    REATTACHING = "reattaching"
    OVER = "over"


class Lifecycle(Struct, frozen=True):
    """`end` is what the outcome will be once the ending is through, and `gone` what it will be if
    the call turns out to have ended before; `asked` is an end that somebody asked for before the
    call was live. `attached`: there is a socket whose closing will confirm a hang-up. `expired`:
    the provider said the session's time is over. A call that `forwards` is left to `forwarding`
    as soon as it is answered. `spare` is the session to be answered with where the provider
    refuses the first one. `answerable` says of an adopted call that it may still be answered; None
    of one that is known to have been. `hung_up` counts the hang-ups that nobody has confirmed.
    While it is `referred` to somebody, a call that ends by itself has been transferred. One that is
    `answered` has been before there was anything to do for it.
    """

    session: Json
    forwards: bool = False
    phase: Phase = Phase.NEW
    end: Finish | None = None
    gone: Finish | None = None
    asked: EndRequested | None = None
    attached: bool = False
    expired: bool = False
    spare: Json | None = None
    answerable: bool | None = None
    hung_up: int = 0
    loss: Loss | None = None
    jitter: float = 0.0
    referred: bool = False
    answered: bool = False


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
    | FallbackWanted
    | EndWanted
    | TransferGoing
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
    | CallUnheard
    | CallDropped
    | CallResumed
    | ModelFailed
    | SendAway
    | UsageLost
    | RecordStep
    | CallOver
    | TransferTaken
    | HangingUp
    | Parting
    | ResponseWanted
    | DeadlineWanted
    | DeadlineDropped
)
Result = tuple[Lifecycle, tuple[Output, ...]]


def part(state: Lifecycle, end: Finish, goodbye: str | None, now: float) -> Result:
    """End the call, after a goodbye if there is one."""
    if goodbye is None:
        return hang_up(state, end)
    wish = ResponseWanted(Purpose.GOODBYE, goodbye, tools=False)
    cap = DeadlineWanted(Timer.GOODBYE_HEARD, now + GOODBYE_WITHIN)
    return replace(state, phase=Phase.GOODBYE, end=end), (Parting(), wish, cap)


def hang_up(state: Lifecycle, end: Finish, *, rings: bool = False) -> Result:
    state = replace(state, phase=Phase.HANGING_UP, end=end)
    return state, (HangUp(end.reason, rings), HangingUp())


def ended(state: Lifecycle, otherwise: Finish) -> Finish:
    """How a call has ended that turns out to be there no more."""
    if state.referred:
        return Finish(Reason.TRANSFERRED, None)
    return state.gone or otherwise


def unconfirmed(detail: str | None) -> str:
    """The detail of an end whose hang-up nobody has confirmed; its cause is kept."""
    return f"{detail}; hang-up not confirmed" if detail else "hang-up not confirmed"


def finish(state: Lifecycle, end: Finish) -> Result:
    taken = (TransferTaken(),) if end.reason is Reason.TRANSFERRED else ()
    return replace(state, phase=Phase.OVER, end=end), (*taken, CallOver())


def lost(detail: str) -> Finish:
    return Finish(Reason.CONNECTION_LOST, detail)
