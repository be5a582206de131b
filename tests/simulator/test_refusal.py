"""What accept refuses, in OpenAI's words; and that it takes what the official types take."""

from typing import Any

import pytest
from openai.types.realtime import CallAcceptParams
from pydantic import TypeAdapter

from sipagent.simulator.client_schema import REFER, REJECT, SESSION
from sipagent.simulator.refusal import check

OFFICIAL = TypeAdapter(CallAcceptParams)
MCP = {"type": "mcp", "server_label": "crm", "server_url": "https://example.com/mcp"}


def body(**fields: Any) -> dict[str, Any]:
    return {"type": "realtime", "model": "gpt-realtime-2.1", **fields}


def heard(**fields: Any) -> dict[str, Any]:
    return body(audio={"input": fields})


def spoken(**fields: Any) -> dict[str, Any]:
    return body(audio={"output": fields})


VALID = {
    "least": {"type": "realtime"},
    "instructions": body(instructions="", max_output_tokens="inf", output_modalities=["text"]),
    "limits": body(max_output_tokens=4096, truncation="disabled", parallel_tool_calls=False),
    "no-vad": heard(turn_detection=None),
    "server-vad": heard(
        turn_detection={"type": "server_vad", "threshold": 0.4, "idle_timeout_ms": 6000}
    ),
    "semantic-vad": heard(turn_detection={"type": "semantic_vad", "eagerness": "low"}),
    "noise": heard(noise_reduction={"type": "far_field", "strength": 1}),
    "transcription": heard(transcription={"model": "gpt-transcribe", "languages": ["en"]}),
    "voice": spoken(voice="marin", speed=1),
    "own-voice": spoken(voice={"id": "voice_1"}),
    "format": spoken(format={"type": "audio/pcmu"}),
    "function": body(
        tools=[{"type": "function", "name": "f", "parameters": {"type": "object"}}],
        tool_choice={"type": "function", "name": "f"},
    ),
    "mcp": body(
        tools=[
            {
                **MCP,
                "allowed_tools": ["a"],
                "require_approval": {"never": {"tool_names": ["a"]}},
                "headers": {"x": "y"},
            }
        ],
        tool_choice={"type": "mcp", "server_label": "crm"},
    ),
    "reasoning": body(reasoning={"effort": "low"}, tracing="auto"),
    "tracing": body(tracing={"workflow_name": "w", "metadata": {"a": 1}}),
    "retention": body(truncation={"type": "retention_ratio", "retention_ratio": 0.8}),
    "prompt": body(prompt={"id": "pmpt_1", "version": "2", "variables": {"a": "b"}}),
    "include": body(include=["item.input_audio_transcription.logprobs"]),
}

REFUSED: dict[str, tuple[dict[str, Any], str, str | None, str]] = {
    "no-type": ({"model": "m"}, "missing_required_parameter", "session.type", "Missing required"),
    "unknown": (body(temperature=1), "unknown_parameter", "session.temperature", "Unknown"),
    "beta-voice": (body(voice="ash"), "unknown_parameter", "session.voice", "Unknown parameter"),
    "deep": (
        heard(turn_detection={"type": "semantic_vad", "threshold": 0.5}),
        "unknown_parameter",
        "session.audio.input.turn_detection.threshold",
        "Unknown parameter: 'session.audio.input.turn_detection.threshold'.",
    ),
    "in-tool": (
        body(tools=[{"type": "function", "name": "f", "strict": True}]),
        "unknown_parameter",
        "session.tools[0].strict",
        "Unknown parameter: 'session.tools[0].strict'.",
    ),
    "nameless-tool": (
        body(tools=[{"type": "function"}]),
        "missing_required_parameter",
        "session.tools[0].name",
        "Missing required parameter: 'session.tools[0].name'.",
    ),
    "typeless-tool": (
        body(tools=[{"name": "f"}]),
        "missing_required_parameter",
        "session.tools[0].type",
        "Missing required parameter: 'session.tools[0].type'.",
    ),
    "tool-kind": (
        body(tools=[{"type": "web_search"}]),
        "invalid_value",
        "session.tools[0]",
        "Invalid value: 'web_search'. Supported values are: 'function', 'mcp'.",
    ),
    "number-for-text": (
        body(instructions=5),
        "invalid_type",
        "session.instructions",
        "Invalid type for 'session.instructions': expected a string, but got an integer instead.",
    ),
    "text-for-number": (
        spoken(speed="fast"),
        "invalid_type",
        "session.audio.output.speed",
        "expected a decimal, but got a string instead.",
    ),
    "null": (body(instructions=None), "invalid_type", "session.instructions", "but got null"),
    "boolean-for-number": (
        heard(turn_detection={"type": "server_vad", "silence_duration_ms": True}),
        "invalid_type",
        "session.audio.input.turn_detection.silence_duration_ms",
        "expected an integer, but got a boolean instead.",
    ),
    "too-fast": (
        spoken(speed=2.0),
        "decimal_above_max_value",
        "session.audio.output.speed",
        "Expected a value <= 1.5, but got 2.0 instead.",
    ),
    "no-tokens": (
        body(max_output_tokens=0),
        "integer_below_min_value",
        "session.max_output_tokens",
        "Expected a value >= 1, but got 0 instead.",
    ),
    "word": (
        body(output_modalities=["video"]),
        "invalid_value",
        "session.output_modalities[0]",
        "Supported values are: 'text', 'audio'.",
    ),
    "both": (body(output_modalities=["text", "audio"]), "invalid_value", None, ""),
    "two-places": (
        body(tools=[{**MCP, "tunnel_id": "t"}]),
        "invalid_value",
        None,
        "only one of 'server_url'",
    ),
    "two-keys": (
        body(tools=[{**MCP, "authorization": "a", "headers": {"Authorization": "b"}}]),
        "invalid_value",
        None,
        "not both",
    ),
    "same-label": (body(tools=[MCP, MCP]), "invalid_value", None, "Duplicate 'server_label'"),
}


@pytest.mark.parametrize("given", VALID.values(), ids=VALID)
def test_what_the_official_type_takes_is_accepted(given: dict[str, Any]) -> None:
    OFFICIAL.validate_python(given)
    assert check(SESSION, given, "session") is None


@pytest.mark.parametrize(("given", "code", "param", "message"), REFUSED.values(), ids=REFUSED)
def test_a_wrong_session_is_refused_with_its_place(
    given: dict[str, Any], code: str, param: str | None, message: str
) -> None:
    refusal = check(SESSION, given, "session")
    assert refusal is not None
    assert (refusal.status, refusal.type, refusal.code) == (400, "invalid_request_error", code)
    assert param is None or refusal.param == param
    assert message in refusal.message


@pytest.mark.parametrize("uri", ["tel:+14155550123", "sip:a@example.com", "SIPS:a@example.com"])
def test_refer_takes_telephone_and_sip_targets(uri: str) -> None:
    assert check(REFER, {"target_uri": uri}, "") is None


@pytest.mark.parametrize("given", [{}, {"target_uri": "+1415"}, {"target_uri": "sip:a", "x": 1}])
def test_refer_refuses_other_bodies(given: dict[str, Any]) -> None:
    assert check(REFER, given, "") is not None


@pytest.mark.parametrize(("given", "ok"), [({}, True), ({"status_code": 486}, True)])
def test_reject_takes_a_final_sip_status(given: dict[str, Any], ok: bool) -> None:
    assert (check(REJECT, given, "") is None) is ok


@pytest.mark.parametrize("status", [200, 700, "486", 486.5])
def test_reject_refuses_what_is_no_final_failure(status: Any) -> None:
    assert check(REJECT, {"status_code": status}, "") is not None
