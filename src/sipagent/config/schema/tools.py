"""Tools as agents list them: a word for the simple ones, a mapping with one key for the others.

Their shapes are checked; no tool is offered to the model by this release.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, Tag

from sipagent.config.schema.base import (
    ABSENT,
    MAPPING,
    TEXT,
    Duration,
    Entry,
    ExpandableWord,
    Hidden,
    Name,
    Word,
    shape_of,
    shaped,
)

ToolName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
KINDS = ("transfer", "switch_agent", "take_message", "collect_digits", "http", "mcp", "python")


class GrantedSecret(Entry):
    secret: Name = Field(description="A secret that the operator grants the tenant, by name.")


class BearerAuth(Entry):
    bearer: GrantedSecret = Field(description="The secret sent as a bearer token.")


Auth = Annotated[BearerAuth, Hidden()]
HeaderValues = Annotated[dict[str, ExpandableWord], Hidden()]


class Requirement(Entry):
    attestation: Literal["A", "B", "C"] = Field(
        default=ABSENT, description="The least STIR/SHAKEN attestation of the caller."
    )
    pin: Name = Field(default=ABSENT, description="The variable that holds the caller's PIN.")


class HttpTool(Entry):
    name: ToolName = Field(description="The tool's name, as the model sees it.")
    description: Word = Field(default=ABSENT, description="What it does, for the model.")
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = Field(
        default="POST", description="The request's method."
    )
    url: ExpandableWord = Field(description="Where the request goes; the host is never a template.")
    headers: HeaderValues = Field(default=ABSENT, description="Headers to send.")
    auth: Auth = Field(default=ABSENT, description="What proves who asks.")
    parameters: dict[str, Any] = Field(
        default=ABSENT, description="A JSON Schema of the arguments that the model gives."
    )
    bind: dict[Name, Word] = Field(
        default=ABSENT, description="Arguments that we fill in and the model never sees."
    )
    body: Any = Field(default=ABSENT, description="The request's body, if not the arguments.")
    response: Any = Field(default=ABSENT, description="What of the answer the model gets.")
    timeout: Duration = Field(default="10s", description="How long it may take.")
    say_while_waiting: Word = Field(default=ABSENT, description="What is said meanwhile.")
    effects: Literal["none", "idempotent", "once"] = Field(
        default="idempotent", description="What happens if it is done twice."
    )
    requires: Requirement = Field(default=ABSENT, description="What a caller must prove first.")


class McpTool(Entry):
    server_label: ToolName = Field(description="The server's name, as the model sees it.")
    server_url: ExpandableWord = Field(default=ABSENT, description="Where the server is.")
    command: list[Word] = Field(
        default=ABSENT, min_length=1, description="A local server's command. Operator only."
    )
    headers: HeaderValues = Field(default=ABSENT, description="Headers to send.")
    auth: Auth = Field(default=ABSENT, description="What proves who asks.")
    allowed_tools: list[Word] = Field(default=ABSENT, description="The tools that may be used.")


class PythonTool(Entry):
    name: ToolName = Field(description="The name of an entry point in the group sipagent.tools.")


class DigitsTool(Entry):
    name: ToolName = Field(default=ABSENT, description="The tool's name, as the model sees it.")
    length: int = Field(default=ABSENT, ge=1, le=64, description="How many digits are expected.")
    terminator: Literal["#", "*"] = Field(default="#", description="The key that ends the input.")
    timeout: Duration = Field(default="10s", description="How long the caller has.")
    retries: int = Field(default=2, ge=0, le=5, description="How often the agent asks again.")
    sensitive: bool = Field(default=False, description="Whether the digits are masked everywhere.")


class MessageTool(Entry):
    fields: list[Name] = Field(default=ABSENT, description="What the message must say.")


class ToolWith(Entry):
    """Exactly one key: the tool's kind."""

    transfer: list[Name] = Field(
        default=ABSENT, min_length=1, description="The destinations that the agent may send to."
    )
    switch_agent: list[Name] = Field(
        default=ABSENT, min_length=1, description="The agents that may take over."
    )
    take_message: MessageTool = Field(default=ABSENT, description="Take a message.")
    collect_digits: DigitsTool = Field(default=ABSENT, description="Have the caller press keys.")
    http: HttpTool = Field(default=ABSENT, description="A request to an HTTP API.")
    mcp: McpTool = Field(default=ABSENT, description="The tools of an MCP server.")
    python: PythonTool = Field(default=ABSENT, description="A function of the operator's own.")


def _tool_of(value: Any) -> str | None:
    if isinstance(value, dict):
        return MAPPING if len(value) == 1 else None
    return shape_of(value)


Tool = Annotated[
    Annotated[
        Literal["hang_up", "wait", "take_message", "set_language", "collect_digits"], Tag(TEXT)
    ]
    | Annotated[ToolWith, Tag(MAPPING)],
    shaped("a tool's name, or a mapping with one key such as {transfer: [front_desk]}", _tool_of),
]
