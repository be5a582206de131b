"""What happens to a call: from the provider's socket, from our own requests, from the clock.

The provider's words are translated by its codec; nothing here depends on one provider's JSON.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from msgspec import Struct

from sipagent.model import AgentName, Bill, DestinationName, Reachable, Reason, ToolResult


class Answer(StrEnum):
    """What came of asking the provider to accept, reject, refer or hang up.

    DONE: the provider says so. GONE: there is no such call any more (404). DECIDED: the provider
    refuses because the call has been decided before. REFUSED: any other definite refusal.
    SILENT: no usable answer within the time; the request may or may not have taken effect.
    UNSENT: no usable answer, and the request has not taken effect; only a refer tells it apart.
    BARRED: we have not asked, because a refer's cap has no room.
    """

    DONE = "done"
    GONE = "gone"
    DECIDED = "decided"
    REFUSED = "refused"
    SILENT = "silent"
    UNSENT = "unsent"
    BARRED = "barred"


class AcceptAnswered(Struct, frozen=True):
    """`elsewhere`: no request of ours can have decided what has been decided."""

    answer: Answer
    detail: str | None = None
    elsewhere: bool = False


class RejectAnswered(Struct, frozen=True):
    answer: Answer


class HangUpAnswered(Struct, frozen=True):
    answer: Answer


class Referred(Struct, frozen=True):
    """DONE says that the REFER was relayed, SILENT that it may have been; nothing ever says what
    came of it."""

    answer: Answer


class SocketOpened(Struct, frozen=True):
    """The call's socket is attached and events may be sent."""


class SocketRefused(Struct, frozen=True):
    """The call's socket could not be attached within the time for it. `gone`: there is no such
    call, as far as the provider says (404)."""

    detail: str
    gone: bool = False


class SocketClosed(Struct, frozen=True):
    """The call's socket has ended. `code` is the close code (RFC 6455 7.4), 1006 without one."""

    code: int
    expired: bool = False


class Probed(Struct, frozen=True):
    """A re-dial after the socket's end. `alive` is None where no answer proves anything."""

    alive: bool | None


class EndRequested(Struct, frozen=True):
    """Somebody who may end the call wants it ended, after the agent has said `goodbye`. `key` is
    that of somebody's on duty who wants it, empty where nobody does."""

    reason: Reason
    goodbye: str | None
    key: str = ""


class TransferOrdered(Struct, frozen=True):
    """The operator wants the call sent somewhere, and its agent to go on where nobody takes it.
    `order` names the order: each sends a call on once."""

    order: str
    way: Reachable


class TransferWanted(Struct, frozen=True):
    """Somebody on duty wants the call sent to one of its plan's destinations, once for this
    `key`."""

    key: str
    destination: DestinationName


@dataclass(frozen=True, slots=True)
class SayWanted:
    """Somebody on duty wants the agent to say this to the caller."""

    key: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Whispered:
    """Somebody on duty tells the model something that the caller does not hear."""

    key: str
    text: str = field(repr=False)


class AgentWanted(Struct, frozen=True):
    """Somebody on duty wants another agent of the plan to go on with the call."""

    key: str
    agent: AgentName


class HoldWanted(Struct, frozen=True):
    """Somebody on duty wants the agent to say nothing until `ResumeWanted`."""

    key: str


class ResumeWanted(Struct, frozen=True):
    """Somebody on duty wants the agent to answer again."""

    key: str


@dataclass(frozen=True, slots=True)
class CallerTyped:
    """The caller has written this, as conversation item `item_id`, instead of saying it."""

    key: str
    item_id: str
    text: str = field(repr=False)


class Timer(StrEnum):
    """What a call may wait for."""

    GREETING_HEARD = "greeting-heard"
    DETECTION_RESTORED = "detection-restored"
    RESPONSE_BEGUN = "response-begun"
    GOODBYE_HEARD = "goodbye-heard"
    SOCKET_CLOSED = "socket-closed"
    HANG_UP_AGAIN = "hang-up-again"
    LONGEST_CALL = "longest-call"
    FORWARD_TAKEN = "forward-taken"
    REATTACH = "reattach"
    ANSWER_DUE = "answer-due"
    SOMEBODY_THERE = "somebody-there"
    TIME_SHORT = "time-short"
    TIME_OVER = "time-over"
    FILLER = "filler"
    FAREWELL_HEARD = "farewell-heard"
    LEAVE = "leave"
    HANDED_OVER = "handed-over"
    STILL_CONNECTING = "still-connecting"
    TRANSFER_TAKEN = "transfer-taken"
    SILENT = "silent"
    NEXT_DIGIT = "next-digit"


class DeadlineReached(Struct, frozen=True):
    """The time that was asked for under this key has come."""

    key: Timer


class SessionUpdated(Struct, frozen=True):
    """The provider has taken a change of the session."""


class CallerStarted(Struct, frozen=True):
    """Voice detection hears the caller speak; the speech becomes conversation item `item_id`."""

    item_id: str


class CallerStopped(Struct, frozen=True):
    """Voice detection hears the caller no more."""

    item_id: str


class CallerCommitted(Struct, frozen=True):
    """The caller's turn is over and part of the conversation."""

    item_id: str


class CallerText(Struct, frozen=True):
    """A piece of the caller's words, as transcribed so far."""

    item_id: str
    delta: str


class CallerTextDone(Struct, frozen=True):
    """The caller's words in full, None where they could not be transcribed."""

    item_id: str
    text: str | None
    bill: Bill | None = None


@dataclass(frozen=True, slots=True)
class DigitPressed:
    """The caller has pressed a key: 0 to 9, *, #, A to D (RFC 4733). It may be one of a PIN, so it
    is never printed."""

    digit: str = field(repr=False)


class RateLimit(Struct, frozen=True):
    """What is left of one limit of the account's project, and seconds until it is whole again."""

    name: str
    limit: int
    remaining: int
    reset_seconds: float


class RateLimitsTold(Struct, frozen=True):
    """What the provider says is left to the account's project."""

    limits: tuple[RateLimit, ...]


class ResponseCreated(Struct, frozen=True):
    """The model has begun a response. `tag` is the one we asked with, None if VAD asked."""

    response_id: str
    tag: str | None


class FunctionCall(Struct, frozen=True):
    """A tool that the model asks for, with its arguments as it wrote them: JSON, or what it takes
    for it. `id` is the provider's of this call, which its output has to name."""

    id: str
    name: str
    arguments: str


class ResponseDone(Struct, frozen=True):
    """The model has ended a response.

    `completed` says that all it has put out is on its way to the caller; a response that was
    cancelled or has failed may not be heard at all. `failed`: the model could not make it.
    `bill` is None where the provider tells no usage. `calls` are the tools that it asks for, each
    finished; `spoken` says that it put out words as well, and `served` that the provider has used
    a tool of an MCP server, after which nothing is said until the model is asked.
    """

    response_id: str
    completed: bool
    error_code: str | None = None
    failed: bool = False
    bill: Bill | None = None
    calls: tuple[FunctionCall, ...] = ()
    spoken: bool = False
    served: bool = False


class OutputAdded(Struct, frozen=True):
    """The output of a tool call is part of the conversation: responses from now on know it."""

    id: str


class ApprovalAsked(Struct, frozen=True):
    """The model wants to use a tool of an MCP server, which has to be approved."""

    request_id: str
    server: str
    tool: str


class ToolEnded(Struct, frozen=True):
    """A tool that we ran has come to its end, within its time."""

    id: str
    result: ToolResult


class AgentText(Struct, frozen=True):
    """A piece of what the agent says."""

    response_id: str
    item_id: str
    delta: str


class AgentTextDone(Struct, frozen=True):
    """All that the agent says in one item; not all of it need be heard."""

    response_id: str
    item_id: str
    text: str


class AudioStarted(Struct, frozen=True):
    """The caller begins to hear a response."""

    response_id: str


class AudioStopped(Struct, frozen=True):
    """The caller has heard a response to its end."""

    response_id: str


class AudioCleared(Struct, frozen=True):
    """The rest of a response will not be heard: the caller spoke, or we cleared it."""

    response_id: str


class FaultKind(StrEnum):
    """What an error event means for the call.

    BUSY: a response was active when another was asked for. IDLE: there was nothing to cancel.
    EXPIRED: the session's longest time is over. UNKNOWN_CALL: the provider has no such call.
    OTHER: noted, and the call goes on; most errors are recoverable.
    """

    BUSY = "busy"
    IDLE = "idle"
    EXPIRED = "expired"
    UNKNOWN_CALL = "unknown_call"
    OTHER = "other"


class ProviderFault(Struct, frozen=True):
    """An error event. `request_id` is the event of ours that caused it, if one did."""

    kind: FaultKind
    code: str
    request_id: str | None


Event = (
    AcceptAnswered
    | RejectAnswered
    | HangUpAnswered
    | Referred
    | SocketOpened
    | SocketRefused
    | SocketClosed
    | Probed
    | EndRequested
    | TransferOrdered
    | TransferWanted
    | SayWanted
    | Whispered
    | AgentWanted
    | HoldWanted
    | ResumeWanted
    | CallerTyped
    | DeadlineReached
    | SessionUpdated
    | CallerStarted
    | CallerStopped
    | CallerCommitted
    | CallerText
    | CallerTextDone
    | DigitPressed
    | RateLimitsTold
    | ResponseCreated
    | ResponseDone
    | OutputAdded
    | ApprovalAsked
    | ToolEnded
    | AgentText
    | AgentTextDone
    | AudioStarted
    | AudioStopped
    | AudioCleared
    | ProviderFault
)
