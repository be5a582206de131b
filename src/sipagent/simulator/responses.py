"""What the simulated model puts out: one response at a time in the call's conversation."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from sipagent.simulator import events
from sipagent.simulator.agenda import Story, Telling
from sipagent.simulator.items import Items
from sipagent.simulator.line import Line
from sipagent.simulator.offers import may_use_tools, needs_approval, possible, server_tool, tools_of
from sipagent.simulator.playback import Playback, Utterance
from sipagent.simulator.refusal import JsonObject, Refusal
from sipagent.simulator.script import Answer, Missing, Prompter, ServerUse, ToolCall
from sipagent.simulator.servers import Servers, call_item, request_item

_GENERATION_SPEED = 5  # times faster than speech
_MAX_DELTAS = 8
_TOKEN_LIMIT = 800_000


@dataclass(slots=True)
class Part:
    """The output item that is being generated."""

    item_id: str
    index: int
    text: str = ""
    call: ToolCall | None = None
    call_id: str = ""


@dataclass(slots=True)
class Response:
    id: str
    params: JsonObject
    answer: Answer
    in_conversation: bool
    audio: bool
    output: list[JsonObject] = field(default_factory=list)
    part: Part | None = None
    utterance: Utterance | None = None
    telling: Telling | None = None
    said: str = ""


class Responses:
    """Responses under way. `when_finished` is told of each response that is done."""

    def __init__(
        self,
        line: Line,
        items: Items,
        playback: Playback,
        prompter: Prompter,
        servers: Servers,
        when_finished: Callable[[Response], None],
    ) -> None:
        self._line = line
        self._items = items
        self._playback = playback
        self._prompter = prompter
        self._servers = servers
        self._when_finished = when_finished
        self._active: dict[str, Response] = {}
        self.elsewhere: str | None = None
        self.called_tools = False

    @property
    def active_id(self) -> str | None:
        """The response that writes to the conversation now."""
        own = (r.id for r in self._active.values() if r.in_conversation)
        return next(own, self.elsewhere)

    def create(self, params: JsonObject) -> Refusal | None:
        in_conversation = params.get("conversation", "auto") != "none"
        if in_conversation and self.active_id is not None:
            return Refusal(
                "Conversation already has an active response in progress: "
                f"{self.active_id}. Wait until the response is finished before creating a new one.",
                "conversation_already_has_active_response",
            )
        answer = self._answer(params)
        if answer.missing is not Missing.NEVER_BEGUN:
            self._begin(params, answer, in_conversation=in_conversation)
        return None

    def serve(self) -> None:
        """What has been approved is used, in a response of its own, when no other is active."""
        if self._servers.approved and self.active_id is None:
            self._begin({}, Answer(), in_conversation=True)

    def _answer(self, params: JsonObject) -> Answer:
        session = self._line.session
        asked = params.get("instructions")
        answer = self._prompter.answer(asked, tools=may_use_tools(session, params))
        if not self._line.manner.as_written:
            return answer
        answer, notes = possible(answer, tools_of(session, params), session["instructions"])
        for note in notes:
            self._line.note(note.pop("type"), **note)
        return answer

    def _begin(self, params: JsonObject, answer: Answer, *, in_conversation: bool) -> None:
        modalities = params.get("output_modalities", self._line.session["output_modalities"])
        response = Response(
            id=self._line.ids.new("resp"),
            params=params,
            answer=answer,
            in_conversation=in_conversation,
            audio=modalities == ["audio"],
        )
        self._active[response.id] = response
        response.telling = self._line.agenda.tell(self._story(response))

    def cancel(self, response_id: str | None) -> Refusal | None:
        target = response_id or self.active_id
        response = self._active.get(target) if target else None
        if response is None:
            return Refusal("Cancellation failed: no active response found", _NOTHING_TO_CANCEL)
        self._cut(response, "client_cancelled")
        return None

    def interrupt(self) -> None:
        """The caller began to speak: generation and playback end, as far as they go on."""
        cut = self._playback.clear()
        for response in list(self._active.values()):
            if response.in_conversation:
                self._cut(response, "turn_detected")
        if cut is not None:
            self._playback.truncate(cut)

    def _story(self, response: Response) -> Story:
        self._emit_response("response.created", response, status="in_progress")
        if response.answer.failure is not None:
            self._finish(response, "failed")
            return
        if response.answer.missing is Missing.NEVER_FINISHED:
            return
        approved, self._servers.approved = self._servers.approved, []
        for request_id, use in approved:
            self._use(response, use, request_id)
        answer = response.answer
        if answer.text or not (answer.tools or answer.servers or approved):
            yield from self._say(response)
        for use in answer.servers:
            self._serve(response, use)
        for call in answer.tools:
            yield from self._call(response, call)
        self._finish(response, "completed")

    def _say(self, response: Response) -> Story:
        part = response.part = Part(self._line.ids.new("item"), len(response.output))
        self._open(response, events.message_item(part.item_id, "in_progress", []))
        self._emit_content("response.content_part.added", response, text="")
        kind = "output_audio_transcript" if response.audio else "output_text"
        pace = self._line.manner.pace * _GENERATION_SPEED
        for delta in _deltas(response.answer.text):
            part.text += delta
            self._line.emit(f"response.{kind}.delta", **self._place(response), delta=delta)
            if pace:
                yield len(delta.split()) / pace
        if response.audio:
            response.utterance = Utterance(response.id, part.item_id, part.text)
            self._playback.play(response.utterance)
            yield 0.0
        self._close(response, "completed")

    def _serve(self, response: Response, use: ServerUse) -> None:
        """Use a tool of an MCP server, or ask whether that is wanted."""
        tools = tools_of(self._line.session, response.params)
        tool = server_tool(tools, use.server, use.name)
        if tool is None or not needs_approval(tool, use.name):
            self._use(response, use, None)
            return
        item = request_item(self._line.ids.new("mcpr"), use)
        self._servers.ask(item["id"], use)
        self._open(response, item)
        self._shut(response, len(response.output), item)

    def _use(self, response: Response, use: ServerUse, request_id: str | None) -> None:
        item_id, index = self._line.ids.new("mcp"), len(response.output)
        place = {"item_id": item_id, "output_index": index}
        self._open(response, call_item(item_id, use, ended=False, request_id=request_id))
        written = {"response_id": response.id, **place}
        kind = "response.mcp_call_arguments"
        self._line.emit(f"{kind}.delta", **written, delta=use.arguments)
        self._line.emit(f"{kind}.done", **written, arguments=use.arguments)
        self._line.emit("response.mcp_call.in_progress", **place)
        end = "completed" if use.error is None else "failed"
        self._line.emit(f"response.mcp_call.{end}", **place)
        self._line.note("served", server=use.server, name=use.name, arguments=use.arguments)
        self._shut(response, index, call_item(item_id, use, ended=True, request_id=request_id))

    def _call(self, response: Response, call: ToolCall) -> Story:
        self.called_tools = True
        part = Part(self._line.ids.new("item"), len(response.output), call=call)
        part.call_id = self._line.ids.new("call")
        response.part = part
        self._open(
            response,
            events.call_item(part.item_id, "in_progress", part.call_id, call.name, ""),
        )
        place = self._place(response)
        del place["content_index"]
        kind = "response.function_call_arguments.delta"
        pace = self._line.manner.pace * _GENERATION_SPEED
        for delta in _pieces(call.arguments) if pace else [call.arguments]:
            part.text += delta
            self._line.emit(kind, **place, call_id=part.call_id, delta=delta)
            if pace:
                yield 1 / pace
        self._close(response, "completed")

    def _open(self, response: Response, item: JsonObject) -> None:
        self._line.emit(
            "response.output_item.added",
            response_id=response.id,
            output_index=len(response.output),
            item=item,
        )
        if response.in_conversation:
            self._items.open(item)

    def _close(self, response: Response, status: str) -> None:
        """The events that end the open item, which come also when it is cut off."""
        part = response.part
        if part is None:
            return
        item = (
            self._close_call(response, part, status)
            if part.call is not None
            else self._close_message(response, part, status)
        )
        response.part = None
        self._shut(response, part.index, item)

    def _shut(self, response: Response, index: int, item: JsonObject) -> None:
        """The item is what it will be."""
        if response.in_conversation:
            self._items.close(item)
        self._line.emit(
            "response.output_item.done", response_id=response.id, output_index=index, item=item
        )
        response.output.append(item)

    def _close_message(self, response: Response, part: Part, status: str) -> JsonObject:
        place = self._place(response)
        if response.audio:
            self._line.emit("response.output_audio.done", **place)
            kind = "response.output_audio_transcript.done"
            self._line.emit(kind, **place, transcript=part.text)
            response.said += part.text
        else:
            self._line.emit("response.output_text.done", **place, text=part.text)
            self._line.note("text", who="agent", text=part.text)
        self._emit_content("response.content_part.done", response, text=part.text)
        content = [events.spoken(part.text, response.audio)]
        return events.message_item(part.item_id, status, content)

    def _close_call(self, response: Response, part: Part, status: str) -> JsonObject:
        name = part.call.name if part.call else ""
        place = self._place(response)
        del place["content_index"]
        self._line.emit(
            "response.function_call_arguments.done",
            **place,
            call_id=part.call_id,
            name=name,
            arguments=part.text,
        )
        cut = {} if status == "completed" else {"status": status}
        self._line.note("tool", name=name, arguments=part.text, call_id=part.call_id, **cut)
        return events.call_item(part.item_id, status, part.call_id, name, part.text)

    def _cut(self, response: Response, reason: str) -> None:
        if response.telling is not None:
            response.telling.stop()
        self._close(response, "incomplete")
        self._finish(response, "cancelled", reason)

    def _finish(self, response: Response, status: str, reason: str | None = None) -> None:
        del self._active[response.id]
        details: JsonObject | None = {"type": status, "reason": reason} if reason else None
        usage = None
        if status == "failed":
            error = {"type": "server_error", "code": response.answer.failure, "message": _FAILED}
            details = {"type": "failed", "error": error}
        else:
            billed = self._usage(response)
            usage = billed if self._line.manner.usage else None
        self._emit_response(
            "response.done", response, status=status, status_details=details, usage=usage
        )
        self._tell_rate_limits()
        if response.utterance is not None:
            self._playback.finish(response.utterance)
        self._when_finished(response)
        self.serve()

    def _usage(self, response: Response) -> JsonObject:
        default = self._line.session["instructions"]
        instructions = str(response.params.get("instructions", default))
        written = "".join(
            _text(item) if item["type"] == "message" else item["arguments"]
            for item in response.output
        )
        return self._line.ledger.charge(instructions, response.said, written)

    def _emit_response(
        self,
        kind: str,
        response: Response,
        *,
        status: str,
        status_details: JsonObject | None = None,
        usage: JsonObject | None = None,
    ) -> None:
        shown = events.response_object(
            self._line.session,
            response.params,
            id=response.id,
            status=status,
            status_details=status_details,
            output=list(response.output),
            conversation_id=self._line.conversation_id if response.in_conversation else None,
            usage=usage,
        )
        self._line.emit(kind, response=shown)

    def _emit_content(self, kind: str, response: Response, *, text: str) -> None:
        self._line.emit(kind, **self._place(response), part=events.part(text, response.audio))

    def _tell_rate_limits(self) -> None:
        told = self._line.manner.rate_limits
        if isinstance(told, tuple):
            self._line.emit("rate_limits.updated", rate_limits=list(told))
            return
        if not told:
            return
        spent = self._line.ledger.input_tokens + self._line.ledger.output_tokens
        limit = {
            "name": "tokens",
            "limit": _TOKEN_LIMIT,
            "remaining": max(0, _TOKEN_LIMIT - spent),
            "reset_seconds": 0.1,
        }
        self._line.emit("rate_limits.updated", rate_limits=[limit])

    def _place(self, response: Response) -> JsonObject:
        part = response.part
        assert part is not None  # only an item under way has a place
        return {
            "response_id": response.id,
            "item_id": part.item_id,
            "output_index": part.index,
            "content_index": 0,
        }


_NOTHING_TO_CANCEL = "response_cancel_not_active"
_FAILED = "The simulated model failed, as the script says."


def _text(item: JsonObject) -> str:
    return "".join(content.get("text", "") for content in item["content"])


def _pieces(arguments: str) -> Iterator[str]:
    size = max(1, -(-len(arguments) // _MAX_DELTAS))
    for start in range(0, len(arguments) or 1, size):
        yield arguments[start : start + size]


def _deltas(text: str) -> Iterator[str]:
    words = text.split(" ")
    size = -(-len(words) // _MAX_DELTAS)
    for start in range(0, len(words), size):
        piece = " ".join(words[start : start + size])
        yield piece if start == 0 else " " + piece
