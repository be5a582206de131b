"""The provider's Responses API, as far as a call needs it: a text is read, JSON comes back."""

import itertools
import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sipagent.simulator.keys import Keys


class Reading:
    """Answers each request with the simplest JSON that its schema allows. `asked` are the requests'
    bodies; as long as there are `failures`, the first of these statuses is the answer instead."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._numbers = itertools.count(1)
        self.asked: list[dict[str, Any]] = []
        self.failures: list[int] = []

    async def respond(self, request: Request) -> Response:
        refusal = self._keys.refusal(request)
        if refusal is not None:
            return JSONResponse({"error": {"code": "invalid_api_key"}}, refusal.status)
        body = await request.json()
        self.asked.append(body)
        if self.failures:
            return JSONResponse({"error": {"code": "simulated"}}, self.failures.pop(0))
        text = json.dumps(simplest(body["text"]["format"]["schema"]))
        read, written = len(body["input"]) // 4, len(text) // 4
        return JSONResponse(
            {
                "id": f"resp_{next(self._numbers)}",
                "object": "response",
                "created_at": 0,
                "model": body["model"],
                "status": "completed",
                "parallel_tool_calls": True,
                "tool_choice": "auto",
                "tools": [],
                "output": [
                    {
                        "id": "msg_1",
                        "type": "message",
                        "role": "assistant",
                        "status": "completed",
                        "content": [{"type": "output_text", "text": text, "annotations": []}],
                    }
                ],
                "usage": {
                    "input_tokens": read,
                    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
                    "output_tokens": written,
                    "output_tokens_details": {"reasoning_tokens": 0},
                    "total_tokens": read + written,
                },
            }
        )


def simplest(schema: Any) -> Any:
    """A value that a plain schema allows: the first of an enum, or a simple one of its type."""
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            return {name: simplest(each) for name, each in schema.get("properties", {}).items()}
        case "array":
            return []
        case "boolean":
            return True
        case "integer" | "number":
            return schema.get("minimum", 0)
        case "null":
            return None
        case _:
            return "simulated"
