"""A call's conversation: its items in order, and the events that say so."""

from sipagent.simulator.line import Line
from sipagent.simulator.refusal import JsonObject, Refusal


class Items:
    """Items by id; `audio_ms` is how long each spoken one is."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._items: dict[str, JsonObject] = {}
        self._order: list[str] = []
        self.audio_ms: dict[str, int] = {}

    @property
    def last_id(self) -> str | None:
        return self._order[-1] if self._order else None

    def get(self, item_id: str) -> JsonObject | None:
        return self._items.get(item_id)

    def open(self, item: JsonObject) -> None:
        """The item is part of the conversation from now on, though not finished."""
        self._insert(item, self.last_id)

    def close(self, item: JsonObject) -> None:
        self._items[item["id"]] = item
        self._line.emit(
            "conversation.item.done", item=item, previous_item_id=self._before(item["id"])
        )

    def add(self, item: JsonObject, after: str | None = None) -> None:
        """A finished item: `added` and `done` at once."""
        self._insert(item, after or self.last_id)
        self.close(item)

    def create(self, item: JsonObject, after: str | None) -> Refusal | None:
        """An item that the client wrote."""
        item = {"object": "realtime.item", "status": "completed", **item}
        if item["type"] == "mcp_approval_response":
            del item["object"], item["status"]
        item.setdefault("id", self._line.ids.new("item"))
        if item["id"] in self._items:
            return Refusal(
                f"Error adding item: an item with id '{item['id']}' already exists.",
                "item_create_duplicate_item_id",
                "item.id",
            )
        if after not in {None, "root"} and after not in self._items:
            return Refusal(
                f"Error adding item: the previous item with id '{after}' does not exist.",
                "item_create_invalid_previous_item_id",
                "previous_item_id",
            )
        if item["type"] == "function_call_output" and not self._has_call(item["call_id"]):
            return Refusal(
                f"Tool call ID '{item['call_id']}' not found in conversation.",
                "invalid_tool_call_id",
                "item.call_id",
            )
        self._line.ledger.read(_words(item))
        self._insert(item, None if after == "root" else after or self.last_id)
        self.close(item)
        return None

    def delete(self, item_id: str) -> bool:
        if item_id not in self._items:
            return False
        del self._items[item_id]
        self._order.remove(item_id)
        return True

    def _insert(self, item: JsonObject, after: str | None) -> None:
        place = self._order.index(after) + 1 if after is not None else 0
        self._items[item["id"]] = item
        self._order.insert(place, item["id"])
        self._line.emit("conversation.item.added", item=item, previous_item_id=after)

    def _before(self, item_id: str) -> str | None:
        place = self._order.index(item_id) if item_id in self._items else 0
        return self._order[place - 1] if place else None

    def _has_call(self, call_id: str) -> bool:
        return any(
            item["type"] == "function_call" and item.get("call_id") == call_id
            for item in self._items.values()
        )


def _words(item: JsonObject) -> str:
    if item["type"] == "message":
        return " ".join(content.get("text", "") for content in item["content"])
    return str(item.get("output", ""))
