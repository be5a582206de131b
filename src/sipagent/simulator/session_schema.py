"""The GA session object as the provider accepts it: strict, and without room for unknown keys.

Written from the openai SDK's request types. A field that may be absent has a default here; only
the fields that the API documents as switched off by `null` may be null.
"""

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator


class Wire(BaseModel):
    """Something that a client sent."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def by_type(value: Any) -> str | None:
    """The tag of a union whose objects carry `type` and whose strings are words."""
    if isinstance(value, dict):
        kind = value.get("type")
        return kind if isinstance(kind, str) else None
    return "id" if value is None else "word"


def _voice_kind(value: Any) -> str:
    return "id" if isinstance(value, dict) else "word"


def _limit_kind(value: Any) -> str:
    return "word" if isinstance(value, str) else "number"


def _list_kind(value: Any) -> str:
    return "list" if isinstance(value, list) else "filter"


def _approval_kind(value: Any) -> str:
    return "filter" if isinstance(value, dict) else "word"


class Pcm(Wire):
    type: Literal["audio/pcm"]
    rate: Literal[24000] = 24000


class Pcmu(Wire):
    type: Literal["audio/pcmu"]


class Pcma(Wire):
    type: Literal["audio/pcma"]


AudioFormat = Annotated[Pcm | Pcmu | Pcma, Field(discriminator="type")]


class NoiseReduction(Wire):
    type: Literal["near_field", "far_field"] = "near_field"
    strength: float = 1.0


class Transcription(Wire):
    model: str = ""
    language: str = ""
    languages: list[str] = []
    keywords: list[str] = []
    prompt: str = ""
    delay: Literal["minimal", "low", "medium", "high", "xhigh"] = "low"


class ServerVad(Wire):
    type: Literal["server_vad"]
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.5
    prefix_padding_ms: Annotated[int, Field(ge=0)] = 300
    silence_duration_ms: Annotated[int, Field(ge=0)] = 200
    create_response: bool = True
    interrupt_response: bool = True
    idle_timeout_ms: Annotated[int, Field(ge=5000, le=30000)] | None = None


class SemanticVad(Wire):
    type: Literal["semantic_vad"]
    eagerness: Literal["low", "medium", "high", "auto"] = "auto"
    create_response: bool = True
    interrupt_response: bool = True


TurnDetection = Annotated[ServerVad | SemanticVad, Field(discriminator="type")]


class AudioInput(Wire):
    format: AudioFormat | None = None
    noise_reduction: NoiseReduction | None = None
    transcription: Transcription | None = None
    turn_detection: TurnDetection | None = None


class VoiceId(Wire):
    id: str


Voice = Annotated[
    Annotated[str, Tag("word")] | Annotated[VoiceId, Tag("id")], Discriminator(_voice_kind)
]


class AudioOutput(Wire):
    format: AudioFormat | None = None
    voice: Voice = "alloy"
    speed: Annotated[float, Field(ge=0.25, le=1.5)] = 1.0


class Audio(Wire):
    input: AudioInput = AudioInput()
    output: AudioOutput = AudioOutput()


class FunctionTool(Wire):
    type: Literal["function"]
    name: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
    description: str = ""
    parameters: dict[str, Any] = {}

    @model_validator(mode="after")
    def _verify_parameters(self) -> "FunctionTool":
        kind = self.parameters.get("type")
        if self.parameters and kind != "object":
            raise ValueError(
                f"Invalid schema for function '{self.name}': schema must be a JSON Schema of "
                f"'type: \"object\"', got 'type: {json.dumps(kind)}'."
            )
        return self


class ToolFilter(Wire):
    tool_names: list[str] = []
    read_only: bool = False


class ApprovalFilter(Wire):
    always: ToolFilter = ToolFilter()
    never: ToolFilter = ToolFilter()


class McpTool(Wire):
    type: Literal["mcp"]
    server_label: str
    server_url: str | None = None
    tunnel_id: str | None = None
    connector_id: str | None = None
    server_description: str | None = None
    authorization: str | None = None
    headers: dict[str, str] | None = None
    allowed_tools: (
        Annotated[
            Annotated[list[str], Tag("list")] | Annotated[ToolFilter, Tag("filter")],
            Discriminator(_list_kind),
        ]
        | None
    ) = None
    require_approval: (
        Annotated[
            Annotated[Literal["always", "never"], Tag("word")]
            | Annotated[ApprovalFilter, Tag("filter")],
            Discriminator(_approval_kind),
        ]
        | None
    ) = None
    allowed_callers: list[Literal["direct", "programmatic"]] | None = None
    defer_loading: bool | None = None

    @model_validator(mode="after")
    def _verify_place(self) -> "McpTool":
        places = [p for p in (self.server_url, self.tunnel_id, self.connector_id) if p is not None]
        if len(places) > 1:
            raise ValueError("Provide only one of 'server_url', 'tunnel_id' and 'connector_id'.")
        keys = {name.lower() for name in self.headers or {}}
        if self.authorization is not None and "authorization" in keys:
            raise ValueError("Provide 'authorization' or an Authorization header, not both.")
        return self


Tool = Annotated[FunctionTool | McpTool, Field(discriminator="type")]


class ForcedFunction(Wire):
    type: Literal["function"]
    name: str


class ForcedMcp(Wire):
    type: Literal["mcp"]
    server_label: str
    name: str | None = None


ToolChoice = Annotated[
    Annotated[Literal["auto", "none", "required"], Tag("word")]
    | Annotated[ForcedFunction, Tag("function")]
    | Annotated[ForcedMcp, Tag("mcp")],
    Discriminator(by_type),
]


class Reasoning(Wire):
    effort: Literal["minimal", "low", "medium", "high", "xhigh"] = "low"


class TokenLimits(Wire):
    post_instructions: Annotated[int, Field(ge=0)] = 0


class RetentionRatio(Wire):
    type: Literal["retention_ratio"]
    retention_ratio: Annotated[float, Field(ge=0, le=1)]
    token_limits: TokenLimits = TokenLimits()


class Tracing(Wire):
    workflow_name: str = ""
    group_id: str = ""
    metadata: dict[str, Any] = {}


class Prompt(Wire):
    id: str
    version: str | None = None
    variables: dict[str, Any] | None = None


MaxTokens = Annotated[
    Annotated[Literal["inf"], Tag("word")] | Annotated[int, Field(ge=1, le=4096), Tag("number")],
    Discriminator(_limit_kind),
]
Modalities = Annotated[list[Literal["text", "audio"]], Field(min_length=1, max_length=1)]


class Session(Wire):
    """The body of accept, and the `session` of `session.update`."""

    type: Literal["realtime"]
    model: str = ""
    instructions: str = ""
    output_modalities: Modalities = ["audio"]
    audio: Audio = Audio()
    tools: list[Tool] = []
    tool_choice: ToolChoice = "auto"
    parallel_tool_calls: bool = True
    reasoning: Reasoning = Reasoning()
    max_output_tokens: MaxTokens = "inf"
    truncation: Annotated[
        Annotated[Literal["auto", "disabled"], Tag("word")]
        | Annotated[RetentionRatio, Tag("retention_ratio")],
        Discriminator(by_type),
    ] = "auto"
    tracing: (
        Annotated[
            Annotated[Literal["auto"], Tag("word")] | Annotated[Tracing, Tag("id")],
            Discriminator(_voice_kind),
        ]
        | None
    ) = None
    prompt: Prompt | None = None
    include: list[Literal["item.input_audio_transcription.logprobs"]] = []

    @model_validator(mode="after")
    def _verify_tools(self) -> "Session":
        labels = [tool.server_label for tool in self.tools if isinstance(tool, McpTool)]
        if len(set(labels)) != len(labels):
            raise ValueError("Duplicate 'server_label' in 'session.tools'.")
        names = [tool.name for tool in self.tools if isinstance(tool, FunctionTool)]
        if len(set(names)) != len(names):
            raise ValueError("Tool names must be unique in 'session.tools'.")
        forced = self.tool_choice
        if self.tools and isinstance(forced, ForcedFunction) and forced.name not in names:
            raise ValueError(f"Tool choice '{forced.name}' not found in 'tools' parameter.")
        return self
