"""An agent's leaves as the Realtime session of the provider's API."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from sipagent.config.findings import Complaint, Steps
from sipagent.config.schema import Entry

_INPUT: Final = ("turn_detection", "noise_reduction", "transcription")
_OUTPUT: Final = ("voice", "speed")
_TOP: Final = (
    "output_modalities",
    "reasoning",
    "max_output_tokens",
    "truncation",
    "tracing",
    "prompt",
    "include",
    "tool_choice",
    "parallel_tool_calls",
)
_ANSWERING: Final = ("create_response", "interrupt_response")
_SHORT_FORMS: Final = {"noise_reduction": "type", "transcription": "model", "reasoning": "effort"}
"""Leaves that may be written as one word, and the key that the word stands for."""

_WRITTEN_ELSEWHERE: Final = {
    "type": None,
    "tools": None,
    "model": "write the agent's own model",
    "instructions": "write the agent's own instructions",
}
"""Keys of a session that `extra` may not have, and what to write instead."""

_TURNS: Final = ("audio", "input", "turn_detection")


def session_of(leaves: Mapping[str, Any]) -> dict[str, Any]:
    """The session that the leaves write, and nothing that they do not, except `type` and the
    turn detection, which is always spelled out (`format` never is: SIP agrees on the codec)."""
    wire = {name: _wire(name, value) for name, value in leaves.items()}
    wire["turn_detection"] = _spelled_out(wire.get("turn_detection", {"type": "server_vad"}))
    session = {"type": "realtime", **_some(wire, ("model", "instructions"))}
    audio = {"input": _some(wire, _INPUT), "output": _some(wire, _OUTPUT)}
    session["audio"] = {side: values for side, values in audio.items() if values}
    return session | _some(wire, _TOP)


def _wire(name: str, value: Any) -> Any:
    if isinstance(value, Entry):
        return {key: _wire("", below) for key, below in value.written().items()}
    if isinstance(value, str) and name in _SHORT_FORMS:
        return {_SHORT_FORMS[name]: value}
    return value


def _spelled_out(turns: dict[str, Any] | None) -> dict[str, Any] | None:
    if turns is None:
        return None
    return {**turns, **{key: turns.get(key, True) for key in _ANSWERING}}


def _some(wire: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: wire[name] for name in names if name in wire}


def merge_patch(session: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """The session with a JSON merge patch applied (RFC 7396)."""
    merged = dict(session)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            below = merged.get(key)
            merged[key] = merge_patch(below if isinstance(below, dict) else {}, value)
        else:
            merged[key] = value
    return merged


def verify_patch(patch: Mapping[str, Any], steps: Steps) -> Iterator[Complaint]:
    """What a patch must not touch: what is written elsewhere, and what SIP agrees on. Instructions
    end with the operator's rules, which a patch would cut off."""
    for key, hint in _WRITTEN_ELSEWHERE.items():
        if key in patch:
            yield Complaint((*steps, key), f"extra must not change {key}", hint, at_key=True)
    yield from _formats(patch, steps)
    yield from _removals(patch, steps)


def _removals(patch: Mapping[str, Any], steps: Steps) -> Iterator[Complaint]:
    """A patch may change the turn detection, not take it away: a session always has it."""
    value: Any = patch
    for place, key in enumerate(_TURNS, 1):
        if key not in value:
            return
        value = value[key]
        if not isinstance(value, dict):
            path = ".".join(_TURNS[:place])
            hint = "for no turn detection write turn_detection: null beside extra"
            yield Complaint(
                (*steps, *_TURNS[:place]), f"extra must not replace {path}", hint, at_key=True
            )
            return


def _formats(value: Any, steps: Steps) -> Iterator[Complaint]:
    if isinstance(value, dict):
        for key, below in value.items():
            if key == "format":
                hint = "the codec is agreed by SIP, so it is never set"
                yield Complaint((*steps, key), "extra must not change format", hint, at_key=True)
            else:
                yield from _formats(below, (*steps, key))
