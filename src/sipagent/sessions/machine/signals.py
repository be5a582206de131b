"""What the small machines tell each other. Never seen outside of one `step` of the whole."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from sipagent.model import Reason
from sipagent.sessions.machine.events import Timer


class Purpose(IntEnum):
    """Why the model is asked to speak. Of two wishes that meet, the smaller goes first."""

    GOODBYE = 0
    GREETING = 1
    REPLY = 2

    @property
    def tag(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class CallBegun:
    """The call is claimed and its plan is known."""


@dataclass(frozen=True, slots=True)
class CallAnswered:
    """A call that is to be sent on has been answered: the REFER may go."""


@dataclass(frozen=True, slots=True)
class ForwardEnded:
    """A call that was sent on is known to have ended."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class ForwardGivenUp:
    """A call that was to be sent on is to be hung up; `gone` is the reason of its end if it turns
    out to have ended before."""

    reason: Reason
    detail: str | None
    gone: Reason


@dataclass(frozen=True, slots=True)
class CallLive:
    """The socket is attached: the agent may speak."""


@dataclass(frozen=True, slots=True)
class CallOver:
    """Nothing more will be heard or said."""


@dataclass(frozen=True, slots=True)
class Parting:
    """The call is to end: nothing but a goodbye is to be said or heard any more."""


@dataclass(frozen=True, slots=True)
class ResponseWanted:
    purpose: Purpose
    instructions: str | None = None


@dataclass(frozen=True, slots=True)
class ResponseStarted:
    """A response has begun; `purpose` is None for one that the provider began by itself."""

    response_id: str
    purpose: Purpose | None


@dataclass(frozen=True, slots=True)
class ResponseEnded:
    response_id: str
    purpose: Purpose | None
    completed: bool


@dataclass(frozen=True, slots=True)
class ResponseDropped:
    """A wish came to nothing: the provider refused it or never answered."""

    purpose: Purpose


class Heard(StrEnum):
    """How much of a response the caller has heard."""

    ALL = "all"
    PART = "part"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class PlaybackEnded:
    response_id: str
    purpose: Purpose | None
    heard: Heard


@dataclass(frozen=True, slots=True)
class DeadlineWanted:
    """Be told by `DeadlineReached(key)` at this time; a later wish for the key replaces it."""

    key: Timer
    at: float


@dataclass(frozen=True, slots=True)
class DeadlineDropped:
    key: Timer


Signal = (
    CallBegun
    | CallAnswered
    | CallLive
    | ForwardEnded
    | ForwardGivenUp
    | CallOver
    | Parting
    | ResponseWanted
    | ResponseStarted
    | ResponseEnded
    | ResponseDropped
    | PlaybackEnded
    | DeadlineWanted
    | DeadlineDropped
)
