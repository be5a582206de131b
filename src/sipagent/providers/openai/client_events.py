"""What we ask of the Realtime API, as its client events. Pure."""

import json
from hashlib import sha256
from typing import Any, Final

import msgspec

from sipagent.sessions.machine.commands import (
    AddText,
    Approve,
    CancelResponse,
    ClearAudio,
    CreateResponse,
    Inform,
    SendOutput,
    UpdateSession,
)

TAG: Final = "sipagent"
"""The metadata key that the provider echoes in `response.created` (OpenAI, response.metadata)."""

_ENCODER: Final = msgspec.json.Encoder()

Request = (
    CreateResponse
    | CancelResponse
    | ClearAudio
    | UpdateSession
    | Inform
    | AddText
    | SendOutput
    | Approve
)


def encode(request: Request) -> str:
    """The client event that a request of ours is."""
    match request:
        case CreateResponse(request_id, tag, instructions, _, tools):
            response: dict[str, Any] = {"metadata": {TAG: tag}}
            if instructions is not None:
                response["instructions"] = instructions
            if not tools:
                response["tool_choice"] = "none"
            return _event("response.create", event_id=request_id, response=response)
        case CancelResponse(response_id):
            return _event("response.cancel", response_id=response_id)
        case ClearAudio():
            return _event("output_audio_buffer.clear")
        case UpdateSession(request_id, session):
            # Without `type` inside the session the update is ignored (OpenAI staff, 2025-09).
            return _event("session.update", event_id=request_id, session=dict(session))
        case Inform() | AddText() | SendOutput() | Approve():
            return _item_of(request)


def _item_of(request: Inform | AddText | SendOutput | Approve) -> str:
    """The client event that puts an item into the conversation."""
    match request:
        case Inform(request_id, text):
            item = {"type": "message", "role": "system", "content": _written(text)}
            return _event("conversation.item.create", event_id=request_id, item=item)
        case AddText(item_id, text):
            item = {"id": item_id, "type": "message", "role": "user", "content": _written(text)}
            return _event("conversation.item.create", item=item)
        case SendOutput(call_id, item_id, output):
            item = {"type": "function_call_output", "call_id": call_id, "output": output}
            return _event("conversation.item.create", item={"id": item_id, **item})
        case Approve(request_id, approve):
            # The new item's id is required, and has at most 32 characters.
            own = "ok_" + sha256(request_id.encode("utf-8", "replace")).hexdigest()[:24]
            item = {"type": "mcp_approval_response", "approval_request_id": request_id}
            return _event("conversation.item.create", item={"id": own, **item, "approve": approve})


def _written(text: str) -> list[dict[str, str]]:
    return [{"type": "input_text", "text": text}]


def _event(kind: str, **fields: Any) -> str:
    event = {"type": kind, **fields}
    try:
        return _ENCODER.encode(event).decode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return json.dumps(event, separators=(",", ":"))
