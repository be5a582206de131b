"""What somebody on duty wants of a call: whether it can be done now, and the event that it is.

What cannot be done is said at once, in a sentence that stays the same; what can is a request whose
key is known by marks to whoever takes the call over. Pure.
"""

import unicodedata
from hashlib import sha256
from typing import Final

from sipagent.model import DestinationName, Reason
from sipagent.model.request import (
    CallRequest,
    HangUp,
    HoldReplies,
    ResumeReplies,
    Say,
    SwitchAgent,
    TransferTo,
    Typed,
    Whisper,
)
from sipagent.sessions.machine.attempts import is_open
from sipagent.sessions.machine.call import CallState
from sipagent.sessions.machine.events import (
    AgentWanted,
    CallerTyped,
    EndRequested,
    Event,
    HoldWanted,
    ResumeWanted,
    SayWanted,
    TransferWanted,
    Whispered,
)
from sipagent.sessions.machine.farewells import ENDED_BY_SOMEBODY
from sipagent.sessions.machine.life import Phase
from sipagent.sessions.machine.speech import why_not
from sipagent.sessions.machine.transferring import Stage, order_of

LONGEST: Final = 1_000
"""Characters of what is said, whispered or written."""

NOT_LIVE: Final = "the call is not live yet"
LOST: Final = "the call's connection is being restored; ask again in a moment"
ENDING: Final = "the call is ending already"
SENT_ON: Final = "no agent has the call: it is being sent on"
UNDER_WAY: Final = "a transfer is under way already"
NO_DESTINATION: Final = "this call has no such destination"
BY_BROWSER: Final = "a call from a browser cannot be transferred"
CLOSED: Final = "the destination is closed now"
NO_WORDS: Final = "there are no words in it"
TOO_LONG: Final = f"it has more than {LONGEST:,} characters"
HUSHED: Final = "the agent's replies are held; have it resume first"
WAITING: Final = "too much waits to be said already"
TOO_MUCH: Final = "too much has been asked of this call already"

_WORDS = Say | Whisper | Typed
_DIGITS: Final = 24

_PHASES: Final = {
    Phase.NEW: NOT_LIVE,
    Phase.ANSWERING: NOT_LIVE,
    Phase.ATTACHING: NOT_LIVE,
    Phase.ADOPTED: LOST,
    Phase.PROBING: LOST,
    Phase.REATTACHING: LOST,
    Phase.FORWARDING: SENT_ON,
}


def cleaned(request: CallRequest) -> CallRequest:
    """The request with its words as they are said: without control characters, and on their own."""
    if not isinstance(request, _WORDS):
        return request
    spaced = "".join(" " if one in "\t\r\n" else one for one in request.text)
    words = (one for one in spaced if unicodedata.category(one) not in ("Cc", "Cs"))
    return type(request)("".join(words).strip())


def done_before(state: CallState, key: str) -> bool:
    """Whether this very request has been done with the call, whoever held it."""
    return key in state.duty.done or order_of(key) in state.transfer.obeyed


def refusal(state: CallState, request: CallRequest, now: float) -> str | None:
    """Why a `cleaned` request cannot be done with the call now; None if it can."""
    if isinstance(request, HangUp):
        return None  # to ask again for what is under way changes nothing
    return _far(state) or _unfit(state, request, now)


def _far(state: CallState) -> str | None:
    """Why nothing at all can be done with the call now, but to end it."""
    life = state.lifecycle
    if life.phase is not Phase.LIVE:
        return _PHASES.get(life.phase, ENDING)
    if not life.attached:
        return NOT_LIVE
    return TOO_MUCH if state.duty.worn_out else None


def _unfit(
    state: CallState,
    request: TransferTo | Say | Whisper | SwitchAgent | HoldReplies | ResumeReplies | Typed,
    now: float,
) -> str | None:
    match request:
        case TransferTo(destination):
            return _unreachable(state, destination, now)
        case SwitchAgent(agent):
            going = state.transfer.stage is not Stage.IDLE
            return UNDER_WAY if going else why_not(state.speech, agent)
        case Say() | Whisper() | Typed():
            return _words(state, request)
        case HoldReplies() | ResumeReplies():
            return None  # so it is then, whatever it was before


def _unreachable(state: CallState, destination: DestinationName, now: float) -> str | None:
    sent = state.transfer
    way = sent.means.ways.get(destination)
    if way is None:
        return NO_DESTINATION
    if not sent.means.telephone:
        return BY_BROWSER
    if sent.stage is not Stage.IDLE:
        return UNDER_WAY
    return None if is_open(way, now) else CLOSED


def _words(state: CallState, request: _WORDS) -> str | None:
    if not request.text:
        return NO_WORDS
    if len(request.text) > LONGEST:
        return TOO_LONG
    if isinstance(request, Say):
        if state.hush.on:
            return HUSHED
        return WAITING if state.duty.full else None
    return None


def event_of(request: CallRequest, key: str) -> Event:
    """What the call is told."""
    match request:
        case HangUp(goodbye):
            words = ENDED_BY_SOMEBODY if goodbye else None
            return EndRequested(Reason.OPERATOR_HUNG_UP, words, key)
        case TransferTo(destination):
            return TransferWanted(key, destination)
        case Say(text):
            return SayWanted(key, text)
        case Whisper(text):
            return Whispered(key, text)
        case SwitchAgent(agent):
            return AgentWanted(key, agent)
        case HoldReplies():
            return HoldWanted(key)
        case ResumeReplies():
            return ResumeWanted(key)
        case Typed(text):
            return CallerTyped(key, _item_id(key), text)


def _item_id(key: str) -> str:
    """The same for each attempt at the same request. Ids of items have at most 32 characters."""
    return "typed_" + sha256(key.encode("utf-8", "replace")).hexdigest()[:_DIGITS]
