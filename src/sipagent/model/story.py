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


class Mark(StrEnum):
    """What is written down before it is done, or right after, so that nobody does it twice."""

    ACCEPTED = "accepted"
    ATTACHED = "attached"
    GREETING = "greeting"
    HEARD = "heard"
    TURN_RESTORED = "turn_restored"
    SOMEBODY = "somebody"
    REFER = "refer"
    HANG_UP = "hang_up"


@dataclass(frozen=True, slots=True)
class Transfer:
    """One attempt to send a call on. `target` is the URI in the REFER; `answer` what the provider
    said of it. What came of it shows in the call's outcome."""

    number: int
    destination: DestinationName | None
    target: str = field(repr=False)
    answer: str
