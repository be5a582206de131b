"""A conversation without I/O, a receiver of webhooks, and the official types as judges."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from openai.types.realtime import RealtimeServerEvent
from pydantic import BaseModel, TypeAdapter

from sipagent.simulator.agenda import Agenda
from sipagent.simulator.conversation import Conversation
from sipagent.simulator.line import Ids, Line, Manner
from sipagent.simulator.orders import PlaceOrder
from sipagent.simulator.session import begin_session

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ACCEPT: dict[str, Any] = {
    "type": "realtime",
    "model": "gpt-realtime-2.1",
    "instructions": "You answer the phone.",
    "audio": {"input": {"transcription": {"model": "gpt-transcribe"}}},
}

_SERVER_EVENT: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
# What the wire carries and the SDK's types leave out (protocol.md 3.2).
_UNDECLARED = {"session": {"id", "object", "expires_at"}}


def assert_official(event: dict[str, Any]) -> None:
    """The event is of its official type, and has no key that the type does not know."""
    model = _SERVER_EVENT.validate_python(event)
    assert model.type == event["type"]
    unknown = list(_unknown_keys(model, "event"))
    assert not unknown, f"{event['type']} has keys unknown to the SDK: {unknown}"


def _unknown_keys(value: Any, name: str) -> list[str]:
    if isinstance(value, list):
        return [key for each in value for key in _unknown_keys(each, name)]
    if not isinstance(value, BaseModel):
        return []
    extra = set(value.model_extra or ()) - _UNDECLARED.get(name, set())
    found = [f"{name}.{key}" for key in sorted(extra)]
    for key in type(value).model_fields:
        found += _unknown_keys(getattr(value, key), key)
    return found


class Table:
    """One accepted call in virtual time: `run` goes from deadline to deadline."""

    def __init__(self, script: Sequence[dict[str, Any]] = (), **options: Any) -> None:
        session = options.pop("session", ACCEPT)
        order = PlaceOrder.model_validate({"to": "+1", "script": list(script), **options})
        placed = order.order(0.0, 409)
        self.now = 0.0
        effective = begin_session(session, "rtc_test", 3600)
        manner: Manner = placed.manner
        line = Line(Ids("test"), Agenda(), manner, effective, 0.0, "conv_test")
        self.conversation = Conversation(line, placed.script)
        self.line = line

    def attach(self) -> "Table":
        self.conversation.attach(self.now)
        return self

    def send(self, kind: str, **fields: Any) -> "Table":
        self.conversation.receive(json.dumps({"type": kind, **fields}), self.now)
        return self

    def greet(self, text: str = "Hello") -> "Table":
        return self.send("response.create", response={"instructions": f'Say exactly: "{text}"'})

    def run(self, until: float = 60.0) -> "Table":
        """Everything that happens until then, or until the call is hung up."""
        while (at := self.conversation.next_at) is not None and at <= until:
            self.now = at
            self.conversation.advance(at)
        return self

    @property
    def events(self) -> list[dict[str, Any]]:
        return self.line.frames

    @property
    def kinds(self) -> list[str]:
        return [event["type"] for event in self.events]

    def all(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]

    def last(self, kind: str) -> dict[str, Any]:
        return self.all(kind)[-1]

    def clear(self) -> None:
        self.line.frames.clear()


@dataclass
class Receiver:
    """Takes webhooks: `on_call` acts, then the next of `answers` is given, the last for ever."""

    url: str = ""
    answers: list[int] = field(default_factory=lambda: [200])
    deliveries: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    on_call: Callable[[str], Awaitable[None]] | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            try:
                await self._answer(reader, writer)
            finally:
                writer.close()
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            lines = [line.split(": ", 1) for line in head.split("\r\n")[1:] if line]
            headers = {name.lower(): value for name, value in lines}
            body = await reader.readexactly(int(headers["content-length"]))
            self.deliveries.append((headers, body))
            if self.on_call is not None:
                await self.on_call(json.loads(body)["data"]["call_id"])
            status = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n".encode())


@contextlib.asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    async with asyncio.TaskGroup() as group:
        connections: list[asyncio.Task[None]] = []

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connections.append(group.create_task(receiver.serve(reader, writer), name="webhooks"))

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/webhook"
        yield receiver
        server.close()
        for connection in connections:
            connection.cancel()
