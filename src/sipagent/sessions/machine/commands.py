"""What a call wants done. The runner does it and reports back by an event, where one is due."""

from dataclasses import dataclass, field

from sipagent.model import Json, Reason, Turn


@dataclass(frozen=True, slots=True)
class Accept:
    """Ask the provider to answer the call with this session. Leads to `AcceptAnswered`."""

    session: Json


@dataclass(frozen=True, slots=True)
class Reject:
    """Ask the provider to refuse the call with this SIP code. Leads to `RejectAnswered`."""

    code: int


@dataclass(frozen=True, slots=True)
class Attach:
    """Open the call's socket. Leads to `SocketOpened` or `SocketRefused`."""


@dataclass(frozen=True, slots=True)
class Probe:
    """Dial the call's socket once more, to learn whether the call still lives. See `Probed`."""


@dataclass(frozen=True, slots=True)
class HangUp:
    """Ask the provider to end the call. Leads to `HangUpAnswered`.

    `rings`: the caller may still wait for an answer, so that there is little time for it.
    """

    rings: bool = False


@dataclass(frozen=True, slots=True)
class Refer:
    """Have the carrier sent a REFER to this URI. Leads to `Referred`."""

    target_uri: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class CreateResponse:
    """Ask the model to speak. `request_id` comes back in the error if it is refused.

    `tag` comes back in `ResponseCreated`; without instructions the session's own apply.
    """

    request_id: str
    tag: str
    instructions: str | None


@dataclass(frozen=True, slots=True)
class CancelResponse:
    """Stop the model's response. What it has put out already goes on being played."""

    response_id: str


@dataclass(frozen=True, slots=True)
class ClearAudio:
    """Stop what is being played to the caller."""


@dataclass(frozen=True, slots=True)
class UpdateSession:
    """Change the session. Only what stands in `session` changes."""

    request_id: str
    session: Json


@dataclass(frozen=True, slots=True)
class RecordTurn:
    """Keep what one side said."""

    turn: Turn


@dataclass(frozen=True, slots=True)
class Finish:
    """The call is over. Nothing follows."""

    reason: Reason
    detail: str | None
    sip_code: int | None = None


Command = (
    Accept
    | Reject
    | Attach
    | Probe
    | HangUp
    | Refer
    | CreateResponse
    | CancelResponse
    | ClearAudio
    | UpdateSession
    | RecordTurn
    | Finish
)
