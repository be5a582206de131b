"""The leaves of a Realtime session, under the names that the provider gives them, written flat.

The models know shapes, words and ranges. What must fit together is said in `config.rules`.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, Tag

from sipagent.config.schema.base import (
    ABSENT,
    MAPPING,
    NOTHING,
    NUMBER,
    SPOKEN_PATTERN,
    TEXT,
    Entry,
    Word,
    shape_of,
    shaped,
)


def _limit_of(value: Any) -> str | None:
    shape = shape_of(value)
    return None if shape == TEXT and value != "inf" else shape


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
        default=ABSENT, ge=0, le=1, description="For server_vad: how loud speech must be, 0 to 1."
    )
    prefix_padding_ms: int = Field(
        default=ABSENT,
        ge=0,
        description="For server_vad: audio kept from before the speech, in ms.",
    )
    silence_duration_ms: int = Field(
        default=ABSENT, ge=0, description="For server_vad: how much silence ends a turn, in ms."
    )
    idle_timeout_ms: int | None = Field(
        default=ABSENT,
        ge=5000,
        le=30000,
        description="For server_vad: silence after which the agent speaks, 5000 to 30000 ms.",
    )
    eagerness: Literal["low", "medium", "high", "auto"] = Field(
        default=ABSENT, description="For semantic_vad: how soon a turn counts as over."
    )


class NoiseReduction(Entry):
    type: Literal["near_field", "far_field"] = Field(
        description="near_field for a handset or headset, far_field for a speakerphone."
    )
    strength: float = Field(
        default=ABSENT, ge=0, description="How strongly noise is suppressed; 1 is normal."
    )


Language = Annotated[str, StringConstraints(pattern=SPOKEN_PATTERN)]


class Transcription(Entry):
    model: Word = Field(description="The model that writes down what the caller says.")
    language: Language = Field(
        default=ABSENT, description="The caller's language, an ISO 639-1 code such as en."
    )
    languages: list[Language] = Field(
        default=ABSENT,
        min_length=1,
        description="For gpt-transcribe and gpt-live-transcribe: languages to expect.",
    )
    keywords: list[Word] = Field(
        default=ABSENT,
        min_length=1,
        description="For gpt-transcribe and gpt-live-transcribe: names and words to expect.",
    )
    prompt: Word = Field(default=ABSENT, description="A text that guides the transcription model.")
    delay: Literal["minimal", "low", "medium", "high", "xhigh"] = Field(
        default=ABSENT, description="For gpt-realtime-whisper: how long the text may wait."
    )


Effort = Literal["minimal", "low", "medium", "high", "xhigh"]


class Reasoning(Entry):
    effort: Effort = Field(
        description="How long the model thinks: minimal, low, medium, high or xhigh."
    )


class TokenLimits(Entry):
    post_instructions: int = Field(
        default=ABSENT, ge=0, description="The most tokens kept after the instructions."
    )


class RetentionRatio(Entry):
    type: Literal["retention_ratio"] = Field(description="Always retention_ratio.")
    retention_ratio: float = Field(
        ge=0, le=1, description="The share of tokens that stays when the oldest go, 0 to 1."
    )
    token_limits: TokenLimits = Field(
        default=ABSENT, description="Limits below those of the model."
    )


class Tracing(Entry):
    workflow_name: Word = Field(default=ABSENT, description="The trace's name in the dashboard.")
    group_id: Word = Field(default=ABSENT, description="An id that groups traces.")
    metadata: dict[str, Any] = Field(default=ABSENT, description="Anything to filter traces by.")


class ReusablePrompt(Entry):
    id: Word = Field(description="The prompt's id, pmpt_ and what follows.")
    version: Word | None = Field(default=None, description="The prompt's version, as text.")
    variables: (
        dict[
            str,
            Annotated[
                Annotated[str, Tag(TEXT)] | Annotated[dict[str, Any], Tag(MAPPING)],
                shaped("text or an input item such as {type: input_text, text: ...}"),
            ],
        ]
        | None
    ) = Field(default=ABSENT, description="Values for the prompt's variables.")


class ForcedTool(Entry):
    type: Literal["function", "mcp"] = Field(description="function or mcp.")
    name: Word = Field(default=ABSENT, description="The tool's name; a function needs it.")
    server_label: Word = Field(default=ABSENT, description="The MCP server's label; mcp needs it.")


class SessionLeaves(Entry):
    """What a model's entry under `models` may have, an agent and `defaults`."""

    voice: Annotated[
        Annotated[Word, Tag(TEXT)] | Annotated[CustomVoice, Tag(MAPPING)],
        shaped("a voice's name or {id: voice_...}"),
    ] = Field(default=ABSENT, description="The agent's voice; marin and cedar are the best ones.")
    speed: float = Field(
        default=ABSENT,
        ge=0.25,
        le=1.5,
        description="How fast the agent speaks, 0.25 to 1.5; 1 is normal.",
    )
    output_modalities: list[Literal["audio", "text"]] = Field(
        default=ABSENT,
        min_length=1,
        max_length=1,
        description="What the agent answers with: [audio] or [text], never both.",
    )
    turn_detection: Annotated[
        Annotated[TurnDetection, Tag(MAPPING)] | Annotated[None, Tag(NOTHING)],
        shaped("a mapping such as {type: server_vad}, or null for none"),
    ] = Field(default=ABSENT, description="How the end of the caller's turn is found.")
    noise_reduction: Annotated[
        Annotated[Literal["near_field", "far_field"], Tag(TEXT)]
        | Annotated[NoiseReduction, Tag(MAPPING)]
        | Annotated[None, Tag(NOTHING)],
        shaped("near_field, far_field or null"),
    ] = Field(default=ABSENT, description="A filter for the caller's audio.")
    transcription: Annotated[
        Annotated[Word, Tag(TEXT)]
        | Annotated[Transcription, Tag(MAPPING)]
        | Annotated[None, Tag(NOTHING)],
        shaped("a model's name, a mapping such as {model: gpt-live-transcribe}, or null"),
    ] = Field(
        default=ABSENT, description="Whether and by what the caller's words are written down."
    )
    reasoning: Annotated[
        Annotated[Effort, Tag(TEXT)] | Annotated[Reasoning, Tag(MAPPING)],
        shaped("minimal, low, medium, high or xhigh"),
    ] = Field(default=ABSENT, description="How long the model thinks before it speaks.")
    max_output_tokens: Annotated[
        Annotated[int, Field(ge=1, le=4096), Tag(NUMBER)] | Annotated[Literal["inf"], Tag(TEXT)],
        shaped("a number from 1 to 4096, or inf", _limit_of),
    ] = Field(default=ABSENT, description="The longest answer, 1 to 4096 tokens or inf.")
    truncation: Annotated[
        Annotated[Literal["auto", "disabled"], Tag(TEXT)] | Annotated[RetentionRatio, Tag(MAPPING)],
        shaped("auto, disabled or {type: retention_ratio, retention_ratio: 0.8}"),
    ] = Field(default=ABSENT, description="What is forgotten when a call outgrows the model.")
    tracing: Annotated[
        Annotated[Literal["auto"], Tag(TEXT)]
        | Annotated[Tracing, Tag(MAPPING)]
        | Annotated[None, Tag(NOTHING)],
        shaped("auto, a mapping such as {workflow_name: calls}, or null"),
    ] = Field(default=ABSENT, description="Whether the provider keeps a trace of the call.")
    prompt: Annotated[
        Annotated[ReusablePrompt, Tag(MAPPING)] | Annotated[None, Tag(NOTHING)],
        shaped("a mapping such as {id: pmpt_...}, or null"),
    ] = Field(
        default=ABSENT, description="A reusable prompt; the provider ends them on 2026-11-30."
    )
    include: list[Literal["item.input_audio_transcription.logprobs"]] = Field(
        default=ABSENT, description="What the provider should send in addition."
    )
    tool_choice: Annotated[
        Annotated[Literal["auto", "none", "required"], Tag(TEXT)]
        | Annotated[ForcedTool, Tag(MAPPING)],
        shaped("auto, none, required or {type: function, name: ...}"),
    ] = Field(default=ABSENT, description="Whether the model may, must or must not use tools.")
    parallel_tool_calls: bool = Field(
        default=ABSENT, description="Whether the model may use several tools at once."
    )
