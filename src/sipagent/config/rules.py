"""What the leaves of one agent must be to fit together: facts of the provider and of the phone."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from sipagent.config.findings import Complaint, Steps
from sipagent.config.schema import ForcedTool, Transcription, TurnDetection
from sipagent.config.validation import Draft

_SERVER_VAD_ONLY: Final = (
    "threshold",
    "prefix_padding_ms",
    "silence_duration_ms",
    "idle_timeout_ms",
)
_SEMANTIC_VAD_ONLY: Final = ("eagerness",)

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


class Leaf(NamedTuple):
    """A leaf's value, and the steps where it was written: at the agent or under `defaults`."""

    value: Any
    steps: Steps


Leaves = Mapping[str, Leaf]


def leaves_of(draft: Draft, name: str) -> Leaves:
    """The leaves that an agent has: its own, and those of `defaults` that it does not write."""
    return leaves_of_defaults(draft) | {
        leaf: Leaf(value, ("agents", name, leaf))
        for leaf, value in draft.file.agents[name].written().items()
    }


def leaves_of_defaults(draft: Draft) -> dict[str, Leaf]:
    written = draft.file.defaults.written()
    written.pop("region", None)
    return {leaf: Leaf(value, ("defaults", leaf)) for leaf, value in written.items()}


def verify_leaf(leaf: Leaf) -> Iterator[Complaint]:
    """What does not fit together within one leaf."""
    match leaf.value:
        case TurnDetection():
            yield from _verify_turn_detection(leaf.value, leaf.steps)
        case Transcription():
            yield from _verify_transcription(leaf.value, leaf.steps)
        case ForcedTool():
            yield from _verify_forced_tool(leaf.value, leaf.steps)


def verify_agent(draft: Draft, name: str, leaves: Leaves) -> Iterator[Complaint]:
    """What an agent lacks, and which of its leaves contradict each other."""
    at = ("agents", name)
    if "model" not in leaves and not draft.lacks((*at, "model"), ("defaults", "model")):
        hint = "write it here or under `defaults`, for example model: gpt-realtime-2.1"
        yield Complaint(at, "the agent has no model", hint, at_key=True)
    greeting, modalities = leaves.get("greeting"), leaves.get("output_modalities")
    if greeting is None or modalities is None or greeting.value is None:
        return
    if modalities.value == ["text"]:
        written_here = (leaf.steps for leaf in (greeting, modalities) if leaf.steps[:2] == at)
        steps = next(written_here, greeting.steps)
        hint = "answer with [audio], or write greeting: null"
        yield Complaint(steps, "nobody would hear the greeting of an agent that only writes", hint)


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
