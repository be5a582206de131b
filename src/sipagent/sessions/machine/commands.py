"""What a call wants done. The runner does it and reports back by an event, where one is due.

A command with a `mark` is done only after the mark has been written down, so that whoever takes the
call over does not do it again. A `note` is written down after the command has been carried out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from msgspec import Struct

from sipagent.model import (
    AgentName,
    Cap,
    DestinationName,
    Happening,
    Json,
    Mark,
    Reason,
    Tool,
    ToolName,
    ToolUse,
    Transfer,
    Turn,
    Usage,
)


class Accept(Struct, frozen=True):
    """Ask the provider to answer the call with this session. Leads to `AcceptAnswered`."""

    session: Json


class Reject(Struct, frozen=True):
    """Ask the provider to refuse the call with this SIP code. Leads to `RejectAnswered`."""

    code: int


class Attach(Struct, frozen=True):
    """Open the call's socket. Leads to `SocketOpened` or `SocketRefused`.

    `again`: the socket has been open before, or a process before this one may have had the call
    answered, so that a 404 says at once that the call is not there.
    """

    again: bool = False


class Probe(Struct, frozen=True):
    """Dial the call's socket once more, to learn whether the call still lives. See `Probed`."""


class HangUp(Struct, frozen=True):
    """Ask the provider to end the call. Leads to `HangUpAnswered`.

    The mark carries the reason, which whoever takes the call over goes on with. `rings`: the caller
    may still wait for an answer, so that there is little time for it.
    """

    reason: Reason
    rings: bool = False


@dataclass(frozen=True, slots=True)
class Refer:
    """Have the carrier sent a REFER to this URI. Leads to `Referred`.

    Each attempt has a mark of its own. With a `cap` it is sent only if that has room.
    """

    target_uri: str = field(repr=False)
    mark: str = Mark.REFER
    destination: DestinationName | None = None
    cap: Cap | None = None


class CreateResponse(Struct, frozen=True):
    """Ask the model to speak. `request_id` comes back in the error if it is refused.

    `tag` comes back in `ResponseCreated`; without instructions the session's own apply. Without
    `tools` the model can only speak.
    """

    request_id: str
    tag: str
    instructions: str | None
    mark: Mark | None = None
    tools: bool = True


class CancelResponse(Struct, frozen=True):
    """Stop the model's response. What it has put out already goes on being played."""

    response_id: str


class ClearAudio(Struct, frozen=True):
    """Stop what is being played to the caller."""


class UpdateSession(Struct, frozen=True):
    """Change the session. Only what stands in `session` changes."""

    request_id: str
    session: Json


class Inform(Struct, frozen=True):
    """Put a message of the system's into the conversation, for the model to heed when it speaks
    next."""

    request_id: str
    text: str


@dataclass(frozen=True, slots=True)
class AddText:
    """Put what the caller has written into the conversation. `item_id` is the new item's, so that
    the same words can be sent again and be there once."""

    item_id: str
    text: str = field(repr=False)


class SendOutput(Struct, frozen=True):
    """Put the output of a tool call into the conversation. `item_id` is the new item's, so that the
    same output can be sent again and be there once. `note` is written down when it has been sent.
    """

    id: str
    item_id: str
    output: str
    note: str


class Approve(Struct, frozen=True):
    """Answer the request for an MCP server's tool."""

    request_id: str
    approve: bool


@dataclass(frozen=True, slots=True)
class RunTool:
    """Have a tool run, beside everything else. Leads to `ToolEnded`.

    `mark` is written down: before a tool that must run at most once, soon for the others. `digits`
    are what tools have collected in this call, `agent` is who asks.
    """

    id: str
    tool: Tool
    arguments: Json = field(repr=False)
    mark: str
    digits: Mapping[ToolName, str] = field(default_factory=dict, repr=False)
    agent: AgentName | None = None


class CancelTool(Struct, frozen=True):
    """Give up a running tool: nobody waits for it."""

    id: str


class RecordTool(Struct, frozen=True):
    """Keep what a tool call has come to."""

    use: ToolUse


class Note(Struct, frozen=True):
    """Write down soon what has been done."""

    mark: str


class RecordTurn(Struct, frozen=True):
    """Keep what one side said."""

    turn: Turn


class RecordUsage(Struct, frozen=True):
    """Keep what one response or transcription is billed."""

    usage: Usage


class RecordTransfer(Struct, frozen=True):
    """Keep what is known of one attempt to send the call somewhere."""

    transfer: Transfer


class RecordStep(Struct, frozen=True):
    """Keep a step of the call's story."""

    what: Happening
    detail: str | None = None


class Finish(Struct, frozen=True):
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
    | Inform
    | AddText
    | SendOutput
    | Approve
    | RunTool
    | CancelTool
    | RecordTool
    | Note
    | RecordTurn
    | RecordUsage
    | RecordTransfer
    | RecordStep
    | Finish
)
