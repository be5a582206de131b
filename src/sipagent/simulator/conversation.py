"""One accepted call, without input or output: client events and time in, server events out."""

from collections.abc import Callable
from typing import Any

from pydantic_core import from_json

from sipagent.simulator.caller import Caller
from sipagent.simulator.client_schema import CLIENT_EVENTS
from sipagent.simulator.items import Items
from sipagent.simulator.line import Line
from sipagent.simulator.playback import Playback
from sipagent.simulator.refusal import JsonObject, Refusal, check
from sipagent.simulator.responses import Responses
from sipagent.simulator.script import CallerLine, Prompter, Script
from sipagent.simulator.servers import Servers
from sipagent.simulator.session import has_format, merge, refuse_update

_EXPIRED = Refusal(
    "Your session hit the maximum duration of 60 minutes.", "session_expired", type="server_error"
)


class Conversation:
    """Every method takes `now`, in seconds since the call was placed; what follows is in `line`."""

    def __init__(self, line: Line, script: Script) -> None:
        self.line = line
        self._items = Items(self.line)
        self._servers = Servers(self.line, self._items)
        prompter = Prompter(script, as_written=line.manner.as_written, told=self._note_step)
        self._playback = Playback(
            self.line,
            self._items,
            started=lambda: self._caller.agent_started(),
            quiet=lambda: self._caller.agent_quiet(),
        )
        self._responses = Responses(
            self.line,
            self._items,
            self._playback,
            prompter,
            self._servers,
            when_finished=lambda response: self._caller.response_finished(response),
        )
        self._caller = Caller(self.line, self._items, self._playback, self._responses, prompter)
        self._handlers: dict[str, Callable[[JsonObject], Refusal | None]] = {
            "session.update": self._update,
            "response.create": lambda event: self._responses.create(event.get("response", {})),
            "response.cancel": lambda event: self._responses.cancel(event.get("response_id")),
            "conversation.item.create": self._create,
            "conversation.item.delete": self._delete,
            "conversation.item.retrieve": self._retrieve,
            "conversation.item.truncate": self._truncate,
            "input_audio_buffer.append": self._append,
            "input_audio_buffer.clear": self._clear_input,
            "input_audio_buffer.commit": lambda _: self._caller.commit(),
            "output_audio_buffer.clear": self._clear_output,
        }
        line.agenda.after(line.manner.max_duration, self._expire)

    @property
    def next_at(self) -> float | None:
        return self.line.agenda.next_at

    @property
    def is_busy(self) -> bool:
        """Whether anything is being generated or heard."""
        return self._playback.playing is not None or self._responses.active_id is not None

    def count_elsewhere(self, response_id: str | None) -> None:
        """A response that only the chatter plays is active, or none is."""
        self._responses.elsewhere = response_id

    def attach(self, now: float) -> None:
        self.line.agenda.run(now)
        if self.line.manner.session_created:
            self.line.emit("session.created", session=self.line.session)
        self._servers.list()
        self._caller.begin()
        self.line.agenda.run(now)

    def advance(self, now: float) -> None:
        self.line.agenda.run(now)

    def say(self, text: str, now: float) -> None:
        self.line.agenda.run(now)
        self._caller.say(CallerLine(text))
        self.line.agenda.run(now)

    def press(self, digits: str, now: float) -> None:
        self.line.agenda.run(now)
        self._caller.press(digits)

    def receive(self, raw: str | bytes, now: float) -> None:
        """What follows from one frame of a client."""
        self.line.agenda.run(now)
        event = _parse(raw)
        if isinstance(event, Refusal):
            self.line.complain(event)
            return
        event_id = event.get("event_id")
        event_id = event_id if isinstance(event_id, str) else None
        refusal = _refuse(event) or self._handlers[event["type"]](event)
        if refusal is not None:
            self.line.complain(refusal, event_id)
        self.line.agenda.run(now)

    def _update(self, event: JsonObject) -> Refusal | None:
        update = event["session"]
        refusal = refuse_update(self.line.session, update, self._playback.has_spoken)
        if refusal is None:
            self.line.static_noise = self.line.static_noise or has_format(update)
            self.line.session = merge(self.line.session, update)
            self.line.emit("session.updated", session=self.line.session)
            self._servers.list()
        return refusal

    def _create(self, event: JsonObject) -> Refusal | None:
        item = event["item"]
        approves = item["type"] == "mcp_approval_response"
        refusal = self._servers.refusal(item) if approves else None
        refusal = refusal or self._items.create(item, event.get("previous_item_id"))
        if refusal is None and approves:
            self._servers.heed(item)
            self._responses.serve()
        return refusal

    def _note_step(self, index: int, happened: bool) -> None:
        if self.line.manner.as_written:
            self.line.note("step", index=index, happened=happened)

    def _delete(self, event: JsonObject) -> Refusal | None:
        if not self._items.delete(event["item_id"]):
            return _no_item("deleting", "delete", event["item_id"])
        self.line.emit("conversation.item.deleted", item_id=event["item_id"])
        return None

    def _retrieve(self, event: JsonObject) -> Refusal | None:
        item = self._items.get(event["item_id"])
        if item is None:
            return _no_item("retrieving", "retrieve", event["item_id"])
        self.line.emit("conversation.item.retrieved", item=item)
        return None

    def _truncate(self, event: JsonObject) -> Refusal | None:
        item_id, end = event["item_id"], event["audio_end_ms"]
        item = self._items.get(item_id)
        if item is None:
            return _no_item("truncating", "truncate", item_id)
        if item.get("role") != "assistant":
            message = "Only model output audio messages can be truncated"
            return Refusal(message, "invalid_value", "item_id")
        length = self._items.audio_ms.get(item_id, 0)
        if end > length:
            message = f"Audio content of {length}ms is already shorter than {end}ms"
            return Refusal(message, "invalid_value", "audio_end_ms")
        self._items.audio_ms[item_id] = end
        self.line.emit(
            "conversation.item.truncated",
            item_id=item_id,
            content_index=event["content_index"],
            audio_end_ms=end,
        )
        return None

    def _append(self, event: JsonObject) -> Refusal | None:
        self._caller.buffer("")
        return None

    def _clear_input(self, event: JsonObject) -> Refusal | None:
        self._caller.clear_buffer()
        self.line.emit("input_audio_buffer.cleared")
        return None

    def _clear_output(self, event: JsonObject) -> Refusal | None:
        cut = self._playback.clear()
        if cut is not None:
            self._playback.truncate(cut)
            self._caller.agent_quiet()
        return None

    def _expire(self) -> None:
        self.line.complain(_EXPIRED)
        self.line.hang_up("expired")


def _parse(raw: str | bytes) -> JsonObject | Refusal:
    try:
        event: Any = from_json(raw)
    except ValueError:
        return Refusal("The event is not valid JSON.", "invalid_event")
    if not isinstance(event, dict):
        return Refusal("The event must be a JSON object.", "invalid_event")
    return event


def _refuse(event: JsonObject) -> Refusal | None:
    kind = event.get("type")
    if kind is None:
        return Refusal("The 'type' field is missing.", "invalid_event", "type")
    adapter = CLIENT_EVENTS.get(kind) if isinstance(kind, str) else None
    if adapter is None:
        known = ", ".join(f"'{name}'" for name in CLIENT_EVENTS)
        message = f"Invalid value: '{kind}'. Supported values are: {known}."
        return Refusal(message, "invalid_value", "type")
    return check(adapter, event, "")


def _no_item(doing: str, verb: str, item_id: str) -> Refusal:
    message = f"Error {doing} item: the item with id '{item_id}' does not exist."
    return Refusal(message, f"item_{verb}_invalid_item_id", "item_id")
