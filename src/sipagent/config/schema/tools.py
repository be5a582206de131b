"""Tools as agents list them: a word for the simple ones, a mapping with one key for the others."""

from typing import Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints, Tag

from sipagent.config.schema.base import (
    ABSENT,
    MAPPING,
    TEXT,
    Duration,
    Entry,
    ExpandableWord,
    Hidden,
    Name,
    Reference,
    VariableName,
    Word,
    shape_of,
    shaped,
)

TOOL_PATTERN: Final = r"^[A-Za-z0-9_-]{1,64}$"
ARGUMENT_PATTERN: Final = r"^[A-Za-z_][A-Za-z0-9_]{0,63}$"
POINTER_PATTERN: Final = r"^(?:/(?:[^~/]|~0|~1)*)*$"

ToolName = Annotated[str, StringConstraints(pattern=TOOL_PATTERN)]
ArgumentName = Annotated[str, StringConstraints(pattern=ARGUMENT_PATTERN)]
Pointer = Annotated[str, StringConstraints(pattern=POINTER_PATTERN, max_length=500)]
Sentence = Annotated[Word, StringConstraints(max_length=500)]
Description = Annotated[Word, StringConstraints(max_length=4000)]
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
    pin: VariableName = Field(
        default=ABSENT, description="The variable that holds the PIN that the caller must press."
    )


Effects = Literal["none", "idempotent", "once"]


class EffectTool(Entry):
    """What every tool may have that reaches beyond the call."""

    timeout: Duration = Field(default="10s", description="How long it may take.")
    say_while_waiting: Sentence = Field(
        default=ABSENT, description="What is said once if it takes longer than a moment."
    )
    effects: Effects = Field(
        default="idempotent", description="What happens if it is done twice: once says it must not."
    )
    requires: Requirement = Field(default=ABSENT, description="What a caller must prove first.")
    finish: bool = Field(
        default=False, description="Whether it goes on to its end when the caller has hung up."
    )


class HttpTool(EffectTool):
    name: ToolName = Field(description="The tool's name, as the model sees it.")
    description: Description = Field(
        default=ABSENT, description="What it does and when to use it, for the model."
    )
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = Field(
        default="POST", description="The request's method."
    )
    url: ExpandableWord = Field(
        description="Where the request goes; {name} in path or query is an argument."
    )
    headers: HeaderValues = Field(default=ABSENT, description="Headers to send.")
    auth: Auth = Field(default=ABSENT, description="What proves who asks.")
    parameters: dict[str, Any] = Field(
        default=ABSENT, description="A JSON Schema of the arguments that the model gives."
    )
    bind: dict[ArgumentName, Word] = Field(
        default=ABSENT, description="Arguments that we fill in and the model never sees."
    )
    body: dict[str, Any] = Field(
        default=ABSENT, description="The request's JSON body, if it is not the arguments."
    )
    response: Annotated[
        Annotated[Pointer, Tag(TEXT)] | Annotated[dict[ArgumentName, Pointer], Tag(MAPPING)],
        shaped("a JSON pointer such as /order/status, or a mapping of names to pointers"),
    ] = Field(default=ABSENT, description="What of the answer's JSON the model gets.")


class LocalTool(EffectTool):
    name: ToolName = Field(description="The tool's name, on the server and for the model.")
    description: Description = Field(
        default=ABSENT, description="What it does and when to use it, for the model."
    )
    parameters: dict[str, Any] = Field(
        default=ABSENT, description="A JSON Schema of the arguments that the model gives."
    )


class McpTool(Entry):
    server_label: ToolName = Field(description="The server's name, as the model sees it.")
    server_url: ExpandableWord = Field(
        default=ABSENT, description="Where the server is, which the provider asks."
    )
    command: list[Word] = Field(
        default=ABSENT, min_length=1, description="A local server's command. Operator only."
    )
    environment: HeaderValues = Field(
        default=ABSENT, description="What a local server sees of the environment, by name."
    )
    tools: list[LocalTool] = Field(
        default=ABSENT, min_length=1, description="The tools of a local server that may be used."
    )
    description: Description = Field(
        default=ABSENT, description="What the server is for, for the model."
    )
    headers: HeaderValues = Field(default=ABSENT, description="Headers to send.")
    auth: Auth = Field(default=ABSENT, description="What proves who asks.")
    allowed_tools: list[Word] = Field(
        default=ABSENT, min_length=1, description="The tools of the server at the URL, if not all."
    )
    require_approval: Literal["never", "always"] = Field(
        default="never", description="Whether each use is approved here, by allowed_tools."
    )


class PythonTool(EffectTool):
    name: ToolName = Field(description="The name of an entry point in the group sipagent.tools.")
    description: Description = Field(
        default=ABSENT, description="What it does, for the model, if not as the function says."
    )


class DigitsTool(Entry):
    name: ToolName = Field(default=ABSENT, description="The tool's name, as the model sees it.")
    description: Description = Field(
        default=ABSENT, description="What the digits are, for the model."
    )
    length: int = Field(default=ABSENT, ge=1, le=64, description="How many digits are expected.")
    terminator: Literal["#", "*"] = Field(default="#", description="The key that ends the input.")
    timeout: Duration = Field(default="10s", description="How long the caller has for a key.")
    retries: int = Field(default=2, ge=0, le=5, description="How often the agent asks again.")
    sensitive: bool = Field(default=False, description="Whether the digits are masked everywhere.")


class MessageTool(Entry):
    fields: list[ArgumentName] = Field(
        default=ABSENT, min_length=1, description="What the message must say; message by default."
    )
    description: Description = Field(
        default=ABSENT, description="When to take one and how, for the model."
    )


class ToolWith(Entry):
    """Exactly one key: the tool's kind."""

    transfer: list[Reference] = Field(
        default=ABSENT, min_length=1, description="The destinations that the agent may send to."
    )
    switch_agent: list[Reference] = Field(
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
