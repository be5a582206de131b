"""A call's effective session: the provider's defaults, what accept said, and later updates."""

from typing import Any

from sipagent.simulator.refusal import JsonObject, Refusal

_DEFAULT_INSTRUCTIONS = (
    "Your knowledge cutoff is 2023-10. You are a helpful, witty, and friendly AI. Act like a "
    "human, but remember that you aren't a human and that you can't do human things in the real "
    "world. Your voice and personality should be warm and engaging, with a lively and playful tone."
)
_VAD_DEFAULTS: dict[str, JsonObject] = {
    "server_vad": {
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 200,
        "idle_timeout_ms": None,
        "create_response": True,
        "interrupt_response": True,
    },
    "semantic_vad": {"eagerness": "auto", "create_response": True, "interrupt_response": True},
}
_SIP_FORMAT = {"type": "audio/pcmu"}
_BROWSERS_FORMAT = {"type": "audio/pcm", "rate": 24000}


def _defaults(call_id: str, expires_at: int, audio_format: JsonObject) -> JsonObject:
    return {
        "type": "realtime",
        "object": "realtime.session",
        "id": "sess_" + call_id.removeprefix("rtc_"),
        "expires_at": expires_at,
        "model": "gpt-realtime-2.1",
        "instructions": _DEFAULT_INSTRUCTIONS,
        "output_modalities": ["audio"],
        "audio": {
            "input": {
                "format": audio_format,
                "noise_reduction": None,
                "transcription": None,
                "turn_detection": {"type": "server_vad"},
            },
            "output": {"format": audio_format, "voice": "alloy", "speed": 1.0},
        },
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "truncation": "auto",
        "tracing": None,
        "prompt": None,
        "include": None,
    }


def begin_session(
    accepted: JsonObject, call_id: str, expires_at: int, *, browser: bool = False
) -> JsonObject:
    """The effective session of a call that was accepted, or begun, with a valid body."""
    audio_format = _BROWSERS_FORMAT if browser else _SIP_FORMAT
    return merge(_defaults(call_id, expires_at, audio_format), accepted)


def merge(session: JsonObject, update: JsonObject) -> JsonObject:
    """A session in which only the fields that are present in the update have changed.

    Parts that have not changed are shared: a session is never changed in place.
    """
    merged = _merge(session, update)
    turn_detection = merged["audio"]["input"]["turn_detection"]
    if turn_detection is None:
        return merged
    complete = {**_VAD_DEFAULTS[turn_detection["type"]], **turn_detection}
    return _merge(merged, {"audio": {"input": {"turn_detection": complete}}})


def _merge(old: JsonObject, new: JsonObject) -> JsonObject:
    merged = dict(old)
    for key, value in new.items():
        before = merged.get(key)
        if isinstance(value, dict) and isinstance(before, dict) and _same_kind(before, value):
            merged[key] = _merge(before, value)
        else:
            merged[key] = value
    return merged


def _same_kind(old: JsonObject, new: JsonObject) -> bool:
    """Server VAD's threshold does not survive a change to semantic VAD."""
    return bool(old.get("type", new.get("type")) == new.get("type", old.get("type")))


def refuse_update(session: JsonObject, update: JsonObject, has_spoken: bool) -> Refusal | None:
    """Why a valid update is not possible now, or None."""
    if update.get("model", session["model"]) != session["model"]:
        return Refusal(
            "Cannot update a conversation's model.", "cannot_update_model", "session.model"
        )
    output: JsonObject = session["audio"]["output"]
    voice = update.get("audio", {}).get("output", {}).get("voice", output["voice"])
    if has_spoken and voice != output["voice"]:
        return Refusal(
            "Cannot update a conversation's voice if assistant audio is present.",
            "cannot_update_voice",
            "session.audio.output.voice",
        )
    tracing: Any = session["tracing"]
    if tracing is not None and update.get("tracing", tracing) != tracing:
        return Refusal(
            "Cannot update tracing once it is enabled.", "cannot_update_tracing", "session.tracing"
        )
    return None


def has_format(session: JsonObject) -> bool:
    """Whether the body names an audio format, which on a SIP call is heard as static noise."""
    audio = session.get("audio", {})
    return any(audio.get(side, {}).get("format") is not None for side in ("input", "output"))
