"""What may be written in agents.yaml: one frozen model for each mapping, strict and closed.

The models know shapes, words and ranges. What must fit together is said in `rules`.
"""

from collections.abc import Callable
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, StringConstraints, Tag

NAME_PATTERN: Final = r"^[a-z][a-z0-9_-]{0,62}$"
REGION_PATTERN: Final = r"^[A-Z]{2}$"
NOT_BLANK_PATTERN: Final = r"\S"

TEXT: Final = "<text>"
NUMBER: Final = "<number>"
MAPPING: Final = "<mapping>"
NOTHING: Final = "<nothing>"

SHAPE_ERROR: Final = "sipagent_shape"

_ABSENT: Final[Any] = None
"""The default of a key that was not written, never sent: what was written is in `written`."""

Word = Annotated[str, StringConstraints(pattern=NOT_BLANK_PATTERN)]
AgentKey = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]


def _shape_of(value: Any) -> str | None:
    match value:
        case None:
            return NOTHING
        case str():
            return TEXT
        case int() if not isinstance(value, bool):
            return NUMBER
        case dict():
            return MAPPING
        case _:
            return None


def _action_of(value: Any) -> str | None:
    if isinstance(value, dict):
        kinds = {"agent", "reject"} & value.keys()
        return f"<{kinds.pop()}>" if len(kinds) == 1 else None
    return TEXT if isinstance(value, str) else None


def _limit_of(value: Any) -> str | None:
    shape = _shape_of(value)
    return None if shape == TEXT and value != "inf" else shape


def _shaped(message: str, branch_of: Callable[[Any], str | None] = _shape_of) -> Discriminator:
    """One branch for each shape, so that a mistake is never told once for each branch."""
    return Discriminator(branch_of, custom_error_type=SHAPE_ERROR, custom_error_message=message)


class Entry(BaseModel):
    """A mapping of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    def written(self) -> dict[str, Any]:
        """The keys that stand in the file, each with its value; null is a value."""
        fields = type(self).model_fields
        return {key: getattr(self, key) for key in fields if key in self.model_fields_set}


class InstructionsFile(Entry):
    file: Word = Field(
        description="A UTF-8 text file, its path relative to the folder of this file."
    )


class SpokenGreeting(Entry):
    say: Annotated[Word, StringConstraints(max_length=2000)] = Field(
        description="The first words of the call, at most 2,000 characters."
    )
    interruptible: bool = Field(
        default=True, description="Whether a caller who speaks cuts the greeting short."
    )


class CustomVoice(Entry):
    id: Annotated[Word, StringConstraints(pattern=r"^voice_")] = Field(
        description="The id of a custom voice, voice_ and what follows."
    )


class TurnDetection(Entry):
    type: Literal["server_vad", "semantic_vad"] = Field(
        description="server_vad listens for silence, semantic_vad for a finished thought."
    )
    create_response: bool = Field(
        default=True, description="Whether the agent answers by itself when a turn ends."
    )
    interrupt_response: bool = Field(
        default=True, description="Whether the agent stops when the caller speaks."
    )
    threshold: float = Field(
        default=_ABSENT, ge=0, le=1, description="For server_vad: how loud speech must be, 0 to 1."
    )
    prefix_padding_ms: int = Field(
        default=_ABSENT,
        ge=0,
        description="For server_vad: audio kept from before the speech, in ms.",
    )
    silence_duration_ms: int = Field(
        default=_ABSENT, ge=0, description="For server_vad: how much silence ends a turn, in ms."
    )
    idle_timeout_ms: int | None = Field(
        default=_ABSENT,
        ge=5000,
        le=30000,
        description="For server_vad: silence after which the agent speaks, 5000 to 30000 ms.",
    )
    eagerness: Literal["low", "medium", "high", "auto"] = Field(
        default=_ABSENT, description="For semantic_vad: how soon a turn counts as over."
    )


class NoiseReduction(Entry):
    type: Literal["near_field", "far_field"] = Field(
        description="near_field for a handset or headset, far_field for a speakerphone."
    )
    strength: float = Field(
        default=_ABSENT, ge=0, description="How strongly noise is suppressed; 1 is normal."
    )


Language = Annotated[Word, StringConstraints(max_length=35)]


class Transcription(Entry):
    model: Word = Field(description="The model that writes down what the caller says.")
    language: Language = Field(
        default=_ABSENT, description="The caller's language, an ISO 639-1 code such as en."
    )
    languages: list[Language] = Field(
        default=_ABSENT,
        min_length=1,
        description="For gpt-transcribe and gpt-live-transcribe: languages to expect.",
    )
    keywords: list[Word] = Field(
        default=_ABSENT,
        min_length=1,
        description="For gpt-transcribe and gpt-live-transcribe: names and words to expect.",
    )
    prompt: Word = Field(default=_ABSENT, description="A text that guides the transcription model.")
    delay: Literal["minimal", "low", "medium", "high", "xhigh"] = Field(
        default=_ABSENT, description="For gpt-realtime-whisper: how long the text may wait."
    )


Effort = Literal["minimal", "low", "medium", "high", "xhigh"]


class Reasoning(Entry):
    effort: Effort = Field(
        description="How long the model thinks: minimal, low, medium, high or xhigh."
    )


class TokenLimits(Entry):
    post_instructions: int = Field(
        default=_ABSENT, ge=0, description="The most tokens kept after the instructions."
    )


class RetentionRatio(Entry):
    type: Literal["retention_ratio"] = Field(description="Always retention_ratio.")
    retention_ratio: float = Field(
        ge=0, le=1, description="The share of tokens that stays when the oldest go, 0 to 1."
    )
    token_limits: TokenLimits = Field(
        default=_ABSENT, description="Limits below those of the model."
    )


class Tracing(Entry):
    workflow_name: Word = Field(default=_ABSENT, description="The trace's name in the dashboard.")
    group_id: Word = Field(default=_ABSENT, description="An id that groups traces.")
    metadata: dict[str, Any] = Field(default=_ABSENT, description="Anything to filter traces by.")


class ReusablePrompt(Entry):
    id: Word = Field(description="The prompt's id, pmpt_ and what follows.")
    version: Word | None = Field(default=None, description="The prompt's version, as text.")
    variables: (
        dict[
            str,
            Annotated[
                Annotated[str, Tag(TEXT)] | Annotated[dict[str, Any], Tag(MAPPING)],
                _shaped("text or an input item such as {type: input_text, text: ...}"),
            ],
        ]
        | None
    ) = Field(default=_ABSENT, description="Values for the prompt's variables.")


class ForcedTool(Entry):
    type: Literal["function", "mcp"] = Field(description="function or mcp.")
    name: Word = Field(default=_ABSENT, description="The tool's name; a function needs it.")
    server_label: Word = Field(default=_ABSENT, description="The MCP server's label; mcp needs it.")


class AgentLeaves(Entry):
    """The leaves of an agent. All are optional here: a leaf may come from `defaults`."""

    model: Word = Field(default=_ABSENT, description="The model that speaks and listens.")
    instructions: Annotated[
        Annotated[Word, Tag(TEXT)] | Annotated[InstructionsFile, Tag(MAPPING)],
        _shaped("text or {file: path}"),
    ] = Field(
        default=_ABSENT, description="Who the agent is and how it behaves, or the file with it."
    )
    greeting: Annotated[
        Annotated[Word, StringConstraints(max_length=2000), Tag(TEXT)]
        | Annotated[SpokenGreeting, Tag(MAPPING)]
        | Annotated[None, Tag(NOTHING)],
        _shaped("text or {say: text, interruptible: false}"),
    ] = Field(default=_ABSENT, description="What the agent says first.")
    voice: Annotated[
        Annotated[Word, Tag(TEXT)] | Annotated[CustomVoice, Tag(MAPPING)],
        _shaped("a voice's name or {id: voice_...}"),
    ] = Field(default=_ABSENT, description="The agent's voice; marin and cedar are the best ones.")
    speed: float = Field(
        default=_ABSENT,
        ge=0.25,
        le=1.5,
        description="How fast the agent speaks, 0.25 to 1.5; 1 is normal.",
    )
    output_modalities: list[Literal["audio", "text"]] = Field(
        default=_ABSENT,
        min_length=1,
        max_length=1,
        description="What the agent answers with: [audio] or [text], never both.",
    )
    turn_detection: Annotated[
        Annotated[TurnDetection, Tag(MAPPING)] | Annotated[None, Tag(NOTHING)],
        _shaped("a mapping such as {type: server_vad}, or null for none"),
    ] = Field(default=_ABSENT, description="How the end of the caller's turn is found.")
    noise_reduction: Annotated[
        Annotated[Literal["near_field", "far_field"], Tag(TEXT)]
        | Annotated[NoiseReduction, Tag(MAPPING)]
        | Annotated[None, Tag(NOTHING)],
        _shaped("near_field, far_field or null"),
    ] = Field(default=_ABSENT, description="A filter for the caller's audio.")
    transcription: Annotated[
        Annotated[Word, Tag(TEXT)]
        | Annotated[Transcription, Tag(MAPPING)]
        | Annotated[None, Tag(NOTHING)],
        _shaped("a model's name, a mapping such as {model: gpt-live-transcribe}, or null"),
    ] = Field(
        default=_ABSENT, description="Whether and by what the caller's words are written down."
    )
    reasoning: Annotated[
        Annotated[Effort, Tag(TEXT)] | Annotated[Reasoning, Tag(MAPPING)],
        _shaped("minimal, low, medium, high or xhigh"),
    ] = Field(default=_ABSENT, description="How long the model thinks before it speaks.")
    max_output_tokens: Annotated[
        Annotated[int, Field(ge=1, le=4096), Tag(NUMBER)] | Annotated[Literal["inf"], Tag(TEXT)],
        _shaped("a number from 1 to 4096, or inf", _limit_of),
    ] = Field(default=_ABSENT, description="The longest answer, 1 to 4096 tokens or inf.")
    truncation: Annotated[
        Annotated[Literal["auto", "disabled"], Tag(TEXT)] | Annotated[RetentionRatio, Tag(MAPPING)],
        _shaped("auto, disabled or {type: retention_ratio, retention_ratio: 0.8}"),
    ] = Field(default=_ABSENT, description="What is forgotten when a call outgrows the model.")
    tracing: Annotated[
        Annotated[Literal["auto"], Tag(TEXT)]
        | Annotated[Tracing, Tag(MAPPING)]
        | Annotated[None, Tag(NOTHING)],
        _shaped("auto, a mapping such as {workflow_name: calls}, or null"),
    ] = Field(default=_ABSENT, description="Whether the provider keeps a trace of the call.")
    prompt: Annotated[
        Annotated[ReusablePrompt, Tag(MAPPING)] | Annotated[None, Tag(NOTHING)],
        _shaped("a mapping such as {id: pmpt_...}, or null"),
    ] = Field(
        default=_ABSENT, description="A reusable prompt; the provider ends them on 2026-11-30."
    )
    include: list[Literal["item.input_audio_transcription.logprobs"]] = Field(
        default=_ABSENT, description="What the provider should send in addition."
    )
    tool_choice: Annotated[
        Annotated[Literal["auto", "none", "required"], Tag(TEXT)]
        | Annotated[ForcedTool, Tag(MAPPING)],
        _shaped("auto, none, required or {type: function, name: ...}"),
    ] = Field(default=_ABSENT, description="Whether the model may, must or must not use tools.")
    parallel_tool_calls: bool = Field(
        default=_ABSENT, description="Whether the model may use several tools at once."
    )


class Defaults(AgentLeaves):
    """Leaves for every agent that does not write its own, and what the whole file shares."""

    region: Annotated[str, StringConstraints(pattern=REGION_PATTERN)] | None = Field(
        default=None,
        description="Whose national spellings of numbers are read: two capital letters, ISO 3166.",
    )


class Answer(Entry):
    agent: Word = Field(description="The agent that answers.")


class Refusal(Entry):
    reject: int = Field(ge=300, le=699, description="The SIP status that refuses, 300 to 699.")


Action = Annotated[
    Annotated[Word, Tag(TEXT)]
    | Annotated[Answer, Tag("<agent>")]
    | Annotated[Refusal, Tag("<reject>")],
    _shaped("an agent's name, {agent: name} or {reject: 404}", _action_of),
]


class AgentsFile(Entry):
    version: int = Field(ge=1, le=1, description="The version of this format, always 1.")
    defaults: Defaults = Field(
        default=Defaults(), description="Leaves for every agent that does not write its own."
    )
    agents: dict[AgentKey, AgentLeaves] = Field(description="The agents by name.")
    numbers: dict[str, Action] = Field(description="What to do with a call to each number.")
