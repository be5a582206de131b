"""Leaves compile to the session that the provider's API takes, and to nothing else."""

import json
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from openai.types.realtime.call_accept_params import CallAcceptParams
from pydantic import TypeAdapter
from typing_extensions import is_typeddict

from sipagent.config import parse
from sipagent.config.schema import AgentEntry
from sipagent.model import Edition

NOT_OF_THE_SESSION = {
    "after_call",
    "disclosure",
    "extends",
    "extra",
    "keys",
    "attestation",
    "max_cost",
    "max_duration",
    "on_failure",
    "silence",
    "tools",
    "vars",
    "watch",
}
VAD = {"type": "server_vad", "create_response": True, "interrupt_response": True}


def editions(agents: str, defaults: str = "{model: m}") -> list[Edition]:
    text = f"version: 1\ndefaults: {defaults}\nagents:\n{agents}\nnumbers: {{default: a}}\n"
    table = parse(text, file="f", base=Path()).table
    return [profile.edition(None) for profile in table.agents.values()]


def edition(leaves: str, defaults: str = "{model: m}") -> Edition:
    return editions(f"  a: {{{leaves}}}", defaults)[0]


def with_input(**values: Any) -> dict[str, Any]:
    return {"type": "realtime", "model": "m", "audio": {"input": {"turn_detection": VAD, **values}}}


def with_output(**values: Any) -> dict[str, Any]:
    return {
        "type": "realtime",
        "model": "m",
        "audio": {"input": {"turn_detection": VAD}, "output": values},
    }


def with_turns(turns: Any) -> dict[str, Any]:
    return {"type": "realtime", "model": "m", "audio": {"input": {"turn_detection": turns}}}


SESSIONS = [
    ("", with_input()),
    ("instructions: Be kind.", with_input() | {"instructions": "Be kind."}),
    ("model: gpt-of-tomorrow", with_input() | {"model": "gpt-of-tomorrow"}),
    ("voice: marin", with_output(voice="marin")),
    ("voice: a-voice-of-tomorrow", with_output(voice="a-voice-of-tomorrow")),
    ("voice: {id: voice_1234}", with_output(voice={"id": "voice_1234"})),
    ("speed: 1.1", with_output(speed=1.1)),
    ("speed: 1, voice: ash", with_output(voice="ash", speed=1)),
    ("output_modalities: [audio]", with_input() | {"output_modalities": ["audio"]}),
    ("output_modalities: [text]", with_input() | {"output_modalities": ["text"]}),
    ("turn_detection: null", with_turns(None)),
    ("turn_detection: {type: server_vad}", with_turns(VAD)),
    (
        (
            "turn_detection: {type: server_vad, threshold: 0.7, prefix_padding_ms: 200, "
            "silence_duration_ms: 600, create_response: false, interrupt_response: false, "
            "idle_timeout_ms: 6000}"
        ),
        with_turns(
            {
                "type": "server_vad",
                "threshold": 0.7,
                "prefix_padding_ms": 200,
                "silence_duration_ms": 600,
                "create_response": False,
                "interrupt_response": False,
                "idle_timeout_ms": 6000,
            }
        ),
    ),
    (
        "turn_detection: {type: server_vad, idle_timeout_ms: null}",
        with_turns(VAD | {"idle_timeout_ms": None}),
    ),
    (
        "turn_detection: {type: semantic_vad, eagerness: low, interrupt_response: false}",
        with_turns(
            {
                "type": "semantic_vad",
                "eagerness": "low",
                "create_response": True,
                "interrupt_response": False,
            }
        ),
    ),
    ("noise_reduction: near_field", with_input(noise_reduction={"type": "near_field"})),
    (
        "noise_reduction: {type: far_field, strength: 0.5}",
        with_input(noise_reduction={"type": "far_field", "strength": 0.5}),
    ),
    ("noise_reduction: null", with_input(noise_reduction=None)),
    ("transcription: gpt-transcribe", with_input(transcription={"model": "gpt-transcribe"})),
    (
        (
            "transcription: {model: gpt-live-transcribe, languages: [en, no], keywords: [Acme], "
            "prompt: names}"
        ),
        with_input(
            transcription={
                "model": "gpt-live-transcribe",
                "languages": ["en", "no"],
                "keywords": ["Acme"],
                "prompt": "names",
            }
        ),
    ),
    (
        "transcription: {model: gpt-realtime-whisper, language: en, delay: low}",
        with_input(
            transcription={"model": "gpt-realtime-whisper", "language": "en", "delay": "low"}
        ),
    ),
    (
        "transcription: {model: of-tomorrow, keywords: [a], delay: low}",
        with_input(transcription={"model": "of-tomorrow", "keywords": ["a"], "delay": "low"}),
    ),
    ("transcription: null", with_input(transcription=None)),
    ("reasoning: low", with_input() | {"reasoning": {"effort": "low"}}),
    ("reasoning: {effort: xhigh}", with_input() | {"reasoning": {"effort": "xhigh"}}),
    ("max_output_tokens: 4096", with_input() | {"max_output_tokens": 4096}),
    ("max_output_tokens: inf", with_input() | {"max_output_tokens": "inf"}),
    ("truncation: disabled", with_input() | {"truncation": "disabled"}),
    (
        (
            "truncation: {type: retention_ratio, retention_ratio: 0.8, "
            "token_limits: {post_instructions: 8000}}"
        ),
        with_input()
        | {
            "truncation": {
                "type": "retention_ratio",
                "retention_ratio": 0.8,
                "token_limits": {"post_instructions": 8000},
            }
        },
    ),
    ("tracing: auto", with_input() | {"tracing": "auto"}),
    ("tracing: null", with_input() | {"tracing": None}),
    (
        "tracing: {workflow_name: calls, group_id: g, metadata: {a: [1, null]}}",
        with_input()
        | {"tracing": {"workflow_name": "calls", "group_id": "g", "metadata": {"a": [1, None]}}},
    ),
    ("prompt: null", with_input() | {"prompt": None}),
    (
        (
            "prompt: {id: pmpt_1, version: '2', "
            "variables: {name: Acme, long: {type: input_text, text: x}}}"
        ),
        with_input()
        | {
            "prompt": {
                "id": "pmpt_1",
                "version": "2",
                "variables": {"name": "Acme", "long": {"type": "input_text", "text": "x"}},
            }
        },
    ),
    (
        "include: [item.input_audio_transcription.logprobs]",
        with_input() | {"include": ["item.input_audio_transcription.logprobs"]},
    ),
    ("tool_choice: none", with_input() | {"tool_choice": "none"}),
    ("parallel_tool_calls: false", with_input() | {"parallel_tool_calls": False}),
    ("greeting: Hello", with_input()),
]


@pytest.mark.parametrize(("leaves", "session"), SESSIONS, ids=[leaves for leaves, _ in SESSIONS])
def test_leaves_become_the_wire_session(leaves: str, session: dict[str, Any]) -> None:
    assert edition(leaves).session == session
    assert json.loads(json.dumps(session)) == session


@pytest.mark.parametrize(("leaves", "session"), SESSIONS, ids=[leaves for leaves, _ in SESSIONS])
def test_the_official_types_know_every_key(leaves: str, session: dict[str, Any]) -> None:
    compiled = dict(edition(leaves).session)
    assert list(unknown_keys(compiled, CallAcceptParams)) == []
    # The API takes null here and its types do not say so (openai 3.52).
    for leaf in ("noise_reduction", "transcription"):
        if compiled["audio"]["input"].get(leaf, "") is None:
            del compiled["audio"]["input"][leaf]
    TypeAdapter(CallAcceptParams).validate_python(compiled)


def test_every_leaf_of_the_schema_is_compiled_in_these_tests() -> None:
    used = {leaf.split(":")[0].strip() for leaves, _ in SESSIONS for leaf in leaves.split(", ")}
    assert set(AgentEntry.model_fields) - used == NOT_OF_THE_SESSION


def test_the_key_check_finds_unknown_keys() -> None:
    assert list(unknown_keys({"type": "realtime", "voice": "x"}, CallAcceptParams)) == ["voice"]
    wrong = {"audio": {"input": {"turn_detection": {"type": "server_vad", "speed": 1}}}}
    assert list(unknown_keys(wrong, CallAcceptParams)) == ["audio.input.turn_detection.speed"]


def unknown_keys(value: Any, *types_: Any, path: str = "") -> Iterator[str]:
    """The keys of a value that none of the TypedDicts among the types has."""
    branches = [branch for type_ in types_ for branch in branches_of(type_)]
    if isinstance(value, list):
        items = [item for branch in branches for item in get_args(branch)]
        for element in value:
            yield from unknown_keys(element, *items, path=f"{path}[]")
    if not isinstance(value, dict) or not (typed := [b for b in branches if is_typeddict(b)]):
        return
    hints = [get_type_hints(branch) for branch in typed]
    for key, child in value.items():
        where = f"{path}.{key}".removeprefix(".")
        below = [hint[key] for hint in hints if key in hint]
        if not below:
            yield where
        yield from unknown_keys(child, *below, path=where)


def branches_of(type_: Any) -> Iterator[Any]:
    if get_origin(type_) in (Union, types.UnionType):
        for branch in get_args(type_):
            yield from branches_of(branch)
    else:
        yield type_


def test_a_leaf_of_an_agent_replaces_that_of_defaults_as_a_whole() -> None:
    defaults = (
        "{model: m, voice: ash, speed: 1.1, "
        "turn_detection: {type: server_vad, threshold: 0.7, silence_duration_ms: 700}}"
    )
    own = edition(
        "turn_detection: {type: server_vad, threshold: 0.5}, voice: {id: voice_1}", defaults
    )
    assert own.session == {
        "type": "realtime",
        "model": "m",
        "audio": {
            "input": {"turn_detection": VAD | {"threshold": 0.5}},
            "output": {"voice": {"id": "voice_1"}, "speed": 1.1},
        },
    }


def test_null_of_an_agent_turns_a_default_off() -> None:
    defaults = "{model: m, greeting: Hello, noise_reduction: near_field}"
    off, on = editions("  a: {greeting: null, noise_reduction: null}\n  b: {}", defaults)
    assert off.greeting is None
    assert off.session["audio"]["input"]["noise_reduction"] is None
    assert on.greeting == "Hello"
    assert on.session["audio"]["input"]["noise_reduction"] == {"type": "near_field"}


@pytest.mark.parametrize(
    ("leaf", "greeting", "interruptible"),
    [
        ("greeting: Hello", "Hello", True),
        ("greeting: {say: Hello}", "Hello", True),
        ("greeting: {say: Hello, interruptible: false}", "Hello", False),
        ("greeting: null", None, True),
        ("voice: ash", None, True),
    ],
)
def test_greetings(leaf: str, greeting: str | None, interruptible: bool) -> None:
    assert (edition(leaf).greeting, edition(leaf).interruptible) == (greeting, interruptible)


def test_a_greeting_has_at_most_2000_characters() -> None:
    assert edition(f"greeting: {'x' * 2000}").greeting == "x" * 2000


def test_a_text_agent_may_silence_the_default_greeting() -> None:
    silent = edition("greeting: null, output_modalities: [text]", "{model: m, greeting: Hello}")
    assert silent.greeting is None
