"""A session with other tools than it was made with."""

from collections.abc import Sequence
from typing import Any

from sipagent.model.json import Json


def offering(session: Json, tools: Sequence[Json]) -> Json:
    """The session with just these tools. Where the model can no longer choose as it should, it may
    choose as it likes: the provider would refuse the session."""
    if not _can_choose(session, tools):
        session = {**session, "tool_choice": "auto"}
    return {**session, "tools": list(tools)}


def _can_choose(session: Json, tools: Sequence[Json]) -> bool:
    """Whether a model with these tools can do as the session's `tool_choice` says."""
    chosen: Any = session.get("tool_choice", "auto")
    match chosen:
        case {"type": "mcp", "server_label": label}:
            return any(tool.get("server_label") == label for tool in tools)
        case {"type": "function", "name": name}:
            return any(tool.get("name") == name for tool in tools)
        case "required":
            return bool(tools)
        case _:
            return True
