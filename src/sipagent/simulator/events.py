"""The shapes of conversation items and responses on the wire."""

from typing import Any

from sipagent.simulator.refusal import JsonObject


def user_item(item_id: str) -> JsonObject:
    """A caller's turn: audio, whose transcript comes in an event of its own."""
    return {
        "id": item_id,
        "object": "realtime.item",
        "type": "message",
        "status": "completed",
        "role": "user",
        "content": [{"type": "input_audio", "transcript": None}],
    }


def message_item(item_id: str, status: str, content: list[JsonObject]) -> JsonObject:
    return {
        "id": item_id,
        "object": "realtime.item",
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": content,
    }


def spoken(text: str, audio: bool) -> JsonObject:
    """The content of a finished message item."""
    if audio:
        return {"type": "output_audio", "transcript": text}
    return {"type": "output_text", "text": text}


def part(text: str, audio: bool) -> JsonObject:
    """The same in a content part event, where the types have other names."""
    return {"type": "audio", "transcript": text} if audio else {"type": "text", "text": text}


def call_item(item_id: str, status: str, call_id: str, name: str, arguments: str) -> JsonObject:
    return {
        "id": item_id,
        "object": "realtime.item",
        "type": "function_call",
        "status": status,
        "call_id": call_id,
        "name": name,
        "arguments": arguments,
    }


def response_object(session: JsonObject, params: JsonObject, **fields: Any) -> JsonObject:
    """A response as `response.created` and `response.done` show it."""
    asked = params.get("audio", {}).get("output", {})
    output = session["audio"]["output"]
    voice = asked.get("voice", output["voice"])
    return {
        "object": "realtime.response",
        "output_modalities": params.get("output_modalities", session["output_modalities"]),
        "max_output_tokens": params.get("max_output_tokens", session["max_output_tokens"]),
        "audio": {
            "output": {
                "format": asked.get("format") or output["format"],
                "voice": voice["id"] if isinstance(voice, dict) else voice,
            }
        },
        "metadata": params.get("metadata"),
        **fields,
    }
