"""What the keys of one leaf must be to fit together: facts of the provider."""

from collections.abc import Iterator
from typing import Any, Final

from sipagent.config.findings import Complaint, Steps
from sipagent.config.schema import ForcedTool, Transcription, TurnDetection
from sipagent.config.schema.base import CONVERT, NOT_DOLLARS, micros, seconds
from sipagent.config.schema.persona import Silence
from sipagent.config.schema.tools import ToolWith
from sipagent.config.skills.names import names_of
from sipagent.config.words import quoted

_SERVER_VAD_ONLY: Final = (
    "threshold",
    "prefix_padding_ms",
    "silence_duration_ms",
    "idle_timeout_ms",
)
_SEMANTIC_VAD_ONLY: Final = ("eagerness",)

_LONGEST_CALL: Final = 3600.0
_SHORTEST_SILENCE: Final = 1.0
_LONGEST_SILENCE: Final = 600.0
_STREAMING_WHISPER: Final = "gpt-realtime-whisper"
_TAKES_KEYWORDS: Final = frozenset({"gpt-transcribe", "gpt-live-transcribe"})
_OTHER_TRANSCRIBERS: Final = frozenset(
    {
        "whisper-1",
        "gpt-4o-transcribe",
        "gpt-4o-transcribe-diarize",
        "gpt-4o-mini-transcribe",
        "gpt-4o-mini-transcribe-2025-12-15",
    }
)
"""What the models take, by the docstrings of openai-python 3.52. Other names are not judged."""


def verify_leaf(value: Any, steps: Steps) -> Iterator[Complaint]:
    """What does not fit together within one leaf."""
    match value:
        case TurnDetection():
            yield from _verify_turn_detection(value, steps)
        case Transcription():
            yield from _verify_transcription(value, steps)
        case ForcedTool():
            yield from _verify_forced_tool(value, steps)
        case Silence() if not _SHORTEST_SILENCE <= seconds(value.after) <= _LONGEST_SILENCE:
            yield Complaint((*steps, "after"), "silence is 1s to 10m")
        case list() if steps[-1] == "languages":
            yield from _verify_languages(value, steps)
        case list() if steps[-1] == "tools":
            yield from _verify_tool_names(value, steps)
        case str() if steps[-1] == "max_duration" and seconds(value) > _LONGEST_CALL:
            yield Complaint(steps, "the provider ends every call after 60 minutes", "at most 60m")
        case str() if steps[-1] == "max_cost" and not micros(value):
            nothing = micros(value) is not None
            message = "no call costs nothing" if nothing else NOT_DOLLARS
            yield Complaint(steps, message, "as in 2 USD" if nothing else CONVERT)


def _verify_languages(languages: list[str], steps: Steps) -> Iterator[Complaint]:
    for at, language in enumerate(languages):
        if language in languages[:at]:
            yield Complaint((*steps, at), f"{language} stands twice", "keep one of the two")


def _verify_tool_names(tools: list[str | ToolWith], steps: Steps) -> Iterator[Complaint]:
    known: set[str] = set()
    for at, tool in enumerate(tools):
        for name, where in names_of(tool):
            if name in known:
                hint = "the model tells tools apart by their names"
                message = f"there is a tool {quoted(name)} already"
                yield Complaint((*steps, at, *where), message, hint)
            known.add(name)


def _verify_turn_detection(turns: TurnDetection, steps: Steps) -> Iterator[Complaint]:
    semantic = turns.type == "semantic_vad"
    foreign, owner = (
        (_SERVER_VAD_ONLY, "server_vad") if semantic else (_SEMANTIC_VAD_ONLY, "semantic_vad")
    )
    for key in foreign:
        if key in turns.model_fields_set:
            message = f"{turns.type} has no such setting"
            yield Complaint((*steps, key), message, f"it belongs to {owner}", at_key=True)


def _verify_transcription(transcription: Transcription, steps: Steps) -> Iterator[Complaint]:
    model, written = transcription.model, transcription.model_fields_set
    if model == _STREAMING_WHISPER or model in _OTHER_TRANSCRIBERS:
        for key in written & {"keywords", "languages"}:
            hint = "gpt-transcribe and gpt-live-transcribe take it"
            yield Complaint((*steps, key), f"{model} takes no {key}", hint, at_key=True)
    if "delay" in written and model in _TAKES_KEYWORDS | _OTHER_TRANSCRIBERS:
        hint = f"only {_STREAMING_WHISPER} takes it"
        yield Complaint((*steps, "delay"), f"{model} takes no delay", hint, at_key=True)
    if "prompt" in written and model == _STREAMING_WHISPER:
        yield Complaint((*steps, "prompt"), f"{model} takes no prompt", at_key=True)


def _verify_forced_tool(tool: ForcedTool, steps: Steps) -> Iterator[Complaint]:
    needed = "name" if tool.type == "function" else "server_label"
    if needed not in tool.model_fields_set:
        message = f"is missing, and {{type: {tool.type}}} needs it"
        yield Complaint((*steps, needed), message, at_key=True)
    if tool.type == "function" and "server_label" in tool.model_fields_set:
        message = "a function has no server"
        yield Complaint((*steps, "server_label"), message, at_key=True)
