"""What happened to a call between its decision and its outcome."""

from dataclasses import dataclass, field
from enum import StrEnum

from sipagent.model.ids import DestinationName


class Happening(StrEnum):
    """A step in the story of a call, as `sipagent why` tells it."""

    ANSWERED = "answered"
    ATTACHED = "attached"
    GREETED = "greeted"
    HEARD = "heard"
    DROPPED = "dropped"
    REATTACHED = "reattached"
    ADOPTED = "adopted"
    FAULT = "fault"
    RETRIED = "retried"
    FELL_BACK = "fell_back"
    WOUND_DOWN = "wound_down"
    REFERRED = "referred"
    LANGUAGE = "language"
    AGENT = "agent"
    DISCLOSED = "disclosed"
    NOT_DISCLOSED = "not_disclosed"
    NOT_TRANSFERRED = "not_transferred"
    CLOSED = "closed"
    ORDERED = "ordered"
    STEPPED_IN = "stepped_in"


class Mark(StrEnum):
    """What is written down before it is done, or right after, so that nobody does it twice."""

    ACCEPTED = "accepted"
    ATTACHED = "attached"
    GREETING = "greeting"
    HEARD = "heard"
    TURN_RESTORED = "turn_restored"
    SOMEBODY = "somebody"
    DISCLOSURE = "disclosure"
    LANGUAGE = "language"
    AGENT = "agent"
    REFER = "refer"
    REFERRED = "referred"
    REFER_OVER = "refer_over"
    ORDERED = "ordered"
    ASKED = "asked"
    TOOL = "tool"
    TOLD = "told"
    HANG_UP = "hang_up"
    HUSH = "hush"
    WANTED = "wanted"


class TransferEnd(StrEnum):
    """What has come of an attempt to send a call somewhere.

    TAKEN: the call ended within the watch, so that somebody took it, presumably: nothing says so.
    NOT_TAKEN: it was still there after the watch. REFUSED: the REFER was refused, or not sent.
    BARRED: it was not sent, because the tenant's calls have been sent on often enough. GONE: the
    call had ended before it. BROKEN_OFF: the call was ended while it was watched.
    """

    TAKEN = "taken"
    NOT_TAKEN = "not_taken"
    REFUSED = "refused"
    BARRED = "barred"
    GONE = "gone"
    BROKEN_OFF = "broken_off"


@dataclass(frozen=True, slots=True)
class Transfer:
    """One attempt to send a call on. `target` is the URI in the REFER; `answer` what the provider
    said of it. `outcome` is None while it goes on, and where the call's own outcome says all: of a
    call that is sent on unanswered, or because its model has failed."""

    number: int
    destination: DestinationName | None
    target: str = field(repr=False)
    answer: str
    outcome: TransferEnd | None = None
