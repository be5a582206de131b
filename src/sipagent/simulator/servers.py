"""MCP servers that the provider asks for the model: what is listed, approved and used.

What happens after an approval is not documented: here the provider uses the tool in a response of
its own, after which the model says nothing until it is asked.
"""

from sipagent.simulator.items import Items
from sipagent.simulator.line import Line
from sipagent.simulator.refusal import JsonObject, Refusal
from sipagent.simulator.script import ServerUse

_FAILED = "tool_execution_error"


def call_item(item_id: str, use: ServerUse, *, ended: bool, request_id: str | None) -> JsonObject:
    item: JsonObject = {
        "id": item_id,
        "type": "mcp_call",
        "server_label": use.server,
        "name": use.name,
        "arguments": use.arguments if ended else "",
        "approval_request_id": request_id,
    }
    if not ended:
        return item
    if use.error is not None:
        return {**item, "error": {"type": _FAILED, "message": use.error}}
    return {**item, "output": use.output}


def request_item(item_id: str, use: ServerUse) -> JsonObject:
    return {
        "id": item_id,
        "type": "mcp_approval_request",
        "server_label": use.server,
        "name": use.name,
        "arguments": use.arguments,
    }


class Servers:
    """The servers of one call. `approved` are uses that may go ahead, with their requests' ids."""

    def __init__(self, line: Line, items: Items) -> None:
        self._line = line
        self._items = items
        self._asked: dict[str, ServerUse] = {}
        self._listed: set[str] = set()
        self.approved: list[tuple[str, ServerUse]] = []

    def list(self) -> None:
        """The provider asks each new server of the session for its tools."""
        for tool in self._line.session["tools"]:
            if tool["type"] == "mcp" and tool["server_label"] not in self._listed:
                self._listed.add(tool["server_label"])
                self._list(tool)

    def ask(self, request_id: str, use: ServerUse) -> None:
        """The use waits for its approval."""
        self._asked[request_id] = use

    def heed(self, item: JsonObject) -> None:
        """An approval, or its refusal, has come."""
        use = self._asked.pop(item["approval_request_id"])
        self._line.note("approval", server=use.server, name=use.name, approve=item["approve"])
        if item["approve"]:
            self.approved.append((item["approval_request_id"], use))

    def refusal(self, item: JsonObject) -> Refusal | None:
        if item["approval_request_id"] in self._asked:
            return None
        return Refusal(
            f"No approval request with id '{item['approval_request_id']}' is waiting.",
            "invalid_value",
            "item.approval_request_id",
        )

    def _list(self, tool: JsonObject) -> None:
        item_id = self._line.ids.new("mcpl")
        self._line.emit("mcp_list_tools.in_progress", item_id=item_id)
        allowed = tool.get("allowed_tools") or []
        names = allowed.get("tool_names", []) if isinstance(allowed, dict) else allowed
        tools = [{"name": name, "input_schema": {"type": "object"}} for name in names]
        item = {
            "id": item_id,
            "type": "mcp_list_tools",
            "server_label": tool["server_label"],
            "tools": tools,
        }
        self._items.add(item)
        self._line.emit("mcp_list_tools.completed", item_id=item_id)
