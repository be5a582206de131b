"""What an agent can do beside talking: its tools, as the plan of a call has them.

*Intents* are done by the call itself: hang up, wait, transfer, change the language or the agent,
collect digits. *Effects* reach beyond it: requests, messages, functions. What a model asks for is
untrusted: it chooses among the tools of its agent and gives their arguments, and nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal

from sipagent.model.ids import AgentName, DestinationName, SecretName, ToolName
from sipagent.model.json import Json

TOOL_WITHIN: Final = 10.0
"""Seconds that a tool may take unless it says otherwise."""

DIGITS_WITHIN: Final = 10.0
"""Seconds for the next key of a caller who is asked for digits."""


class Effects(StrEnum):
    """What happens if a tool runs twice: NONE, nothing changes; IDEMPOTENT, the same as once;
    ONCE, it must not."""

    NONE = "none"
    IDEMPOTENT = "idempotent"
    ONCE = "once"


@dataclass(frozen=True, slots=True)
class HangUp:
    """End the call, after a goodbye that the caller has heard."""

    kind: Literal["hang_up"] = "hang_up"


@dataclass(frozen=True, slots=True)
class Wait:
    """Say nothing until the caller speaks again."""

    kind: Literal["wait"] = "wait"


@dataclass(frozen=True, slots=True)
class TransferTo:
    """Send the caller to one of these destinations."""

    destinations: tuple[DestinationName, ...]
    kind: Literal["transfer"] = "transfer"


@dataclass(frozen=True, slots=True)
class SetLanguage:
    """Speak one of these languages from now on."""

    languages: tuple[str, ...]
    kind: Literal["set_language"] = "set_language"


@dataclass(frozen=True, slots=True)
class SwitchAgent:
    """Have one of these agents go on with the call."""

    agents: tuple[AgentName, ...]
    kind: Literal["switch_agent"] = "switch_agent"


@dataclass(frozen=True, slots=True)
class CollectDigits:
    """Have the caller press keys: `length` of them, or until the `terminator`.

    `timeout` is the seconds for the next key; after it the agent asks again, `retries` times. Of
    `sensitive` digits neither the model nor any record gets to know more than how many there are.
    """

    length: int | None = None
    terminator: str = "#"
    timeout: float = DIGITS_WITHIN
    retries: int = 2
    sensitive: bool = False
    kind: Literal["collect_digits"] = "collect_digits"


@dataclass(frozen=True, slots=True)
class TakeMessage:
    """Keep a message of the caller's for the tenant. `fields` are what it must say."""

    fields: tuple[str, ...] = ("message",)
    kind: Literal["take_message"] = "take_message"


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """Ask an HTTP API of the operator's or the tenant's.

    `{name}` in the URL's path or query stands for an argument, percent-encoded; the host is always
    written out. `bind` are arguments that we fill in and the model never sees, `digits` those whose
    values are what a tool of this name has collected. Without a `body` all arguments that the URL
    does not take are the JSON body, or the query of a method that has none. `response` says what of
    the answer's JSON the model gets: names and RFC 6901 pointers. `secret` is sent as a bearer
    token and read when the request is made. `plain` is set where the operator's own file has
    written an http URL: all others need https, or a host that the operator allows.
    """

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    secret: SecretName | None = None
    bind: Mapping[str, str] = field(default_factory=dict, repr=False)
    digits: Mapping[str, ToolName] = field(default_factory=dict)
    body: Json | None = field(default=None, repr=False)
    response: Mapping[str, str] | None = None
    plain: bool = False
    kind: Literal["http"] = "http"


@dataclass(frozen=True, slots=True)
class McpCall:
    """Use a tool of an MCP server that runs beside us. `tool` is its name there."""

    server: str
    tool: str
    kind: Literal["mcp"] = "mcp"


@dataclass(frozen=True, slots=True)
class PythonCall:
    """Call a function of the operator's: an entry point of the group `sipagent.tools`."""

    entry_point: str
    kind: Literal["python"] = "python"


Intent = HangUp | Wait | TransferTo | SetLanguage | SwitchAgent | CollectDigits
Effect = TakeMessage | HttpRequest | McpCall | PythonCall


@dataclass(frozen=True, slots=True)
class Requirement:
    """What a caller must have proven before a tool is used: the number, by a verdict of the
    carrier's that is at least `attestation` (A is the most), or who they are, by pressing the keys
    of `pin` when a tool asks for digits. Both, where both are given."""

    attestation: Literal["A", "B", "C"] | None = None
    pin: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool of one agent in one call.

    `parameters` is the JSON Schema of the arguments that the model gives. `timeout` is in seconds.
    `say_while_waiting` is said once if it takes longer than a moment. A tool that is to `finish`
    goes on when the caller has hung up.
    """

    name: ToolName
    does: Intent | Effect
    description: str
    parameters: Json
    timeout: float = TOOL_WITHIN
    say_while_waiting: str | None = None
    effects: Effects = Effects.IDEMPOTENT
    requires: Requirement | None = None
    finish: bool = False


class ToolStatus(StrEnum):
    """What came of a tool call.

    DONE: it has an output. FAILED: it has none, and says so. TIMED_OUT: no answer in its time; what
    it does may have happened. REFUSED: nothing was done, because of its arguments, its name or what
    it requires. CANCELLED: the call had ended. UNKNOWN: it began in a process that is no more.
    """

    DONE = "done"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool has come to. `output` is what the model gets, JSON or plain text. `detail` is a
    technical word or two for records: nothing of a caller's."""

    status: ToolStatus
    output: str = field(repr=False)
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class ToolUse:
    """One tool call, as it is recorded. `id` is the provider's of the call. Times are seconds since
    the call began. `arguments` and `output` are None where they are masked. `agent` is who used it,
    None where that is the agent which answered."""

    id: str
    name: ToolName
    began: float
    ended: float
    result: ToolStatus
    detail: str | None = None
    arguments: str | None = field(default=None, repr=False)
    output: str | None = field(default=None, repr=False)
    agent: AgentName | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """What a caller wants to have told. `id` is that of the tool call which took it."""

    id: str
    fields: Mapping[str, str] = field(repr=False)
