"""The carrier's side of the load: calls that are placed, and the moments that are measured.

The simulator is the provider. What it sees is stamped as soon as it sees it: the request to
accept a call when its headers are there, the greeting when its frame is there.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

import httptools
from pydantic_core import to_json
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from benchmarks.backend import order_in
from benchmarks.certificates import PrivateCa
from benchmarks.subjects import SECRET, BenchError
from sipagent.simulator import Simulator
from sipagent.simulator.call import CallOrder
from sipagent.simulator.orders import DeliverOrder
from sipagent.simulator.server import serving
from sipagent.simulator.sockets import CallSocket
from sipagent.simulator.webhooks import incoming_event, webhook_headers

DIALED = "+17134810111"
_GREETED_WITHIN = 20.0
_CALL_IDS = re.compile(rb'"call_id": ?"(call_[^"]+)"')


@dataclass(slots=True)
class Stamps:
    """One call's moments, on the clock of `time.perf_counter`."""

    greeted: asyncio.Future[float]
    posted: float = 0.0
    answered: float = 0.0
    accepted: float = 0.0
    accepts: int = 0
    status: int = 0


@dataclass(slots=True)
class ToolStamps:
    """When the model asked for each order's status, and when the output was there."""

    asked: dict[str, float] = field(default_factory=dict)
    told: dict[str, float] = field(default_factory=dict)
    orders: dict[str, str] = field(default_factory=dict)

    def sent(self, frames: Iterable[bytes]) -> None:
        for frame in frames:
            if b'"function_call"' in frame and b'"response.done"' in frame:
                order = order_in(frame)
                self.asked[order] = time.perf_counter()
                for call_id in _CALL_IDS.findall(frame):
                    self.orders[call_id.decode()] = order

    def received(self, text: str) -> None:
        for call_id in _CALL_IDS.findall(text.encode()):
            self.told[self.orders[call_id.decode()]] = time.perf_counter()


@dataclass(slots=True)
class StampBook:
    """All calls' moments, how many events have gone out to them, and how many sockets are open.
    `tools` are the moments of tool calls, None where nobody looks for them."""

    calls: dict[str, Stamps] = field(default_factory=dict)
    events: int = 0
    sockets: int = 0
    tools: ToolStamps | None = None

    def accepted(self, call_id: str) -> None:
        stamps = self.calls[call_id]
        stamps.accepted = stamps.accepted or time.perf_counter()
        stamps.accepts += 1

    def listening(self, call_id: str, receive: Receive) -> Receive:
        """`receive`, which stamps the greeting on its way."""
        stamps = self.calls[call_id]

        async def stamping() -> Message:
            message = await receive()
            if self.tools is not None and "function_call_output" in (message.get("text") or ""):
                self.tools.received(message["text"])
            if not stamps.greeted.done() and "response.create" in (message.get("text") or ""):
                stamps.greeted.set_result(time.perf_counter())
            return message

        return stamping


class Stamping:
    """ASGI middleware in front of the simulator."""

    def __init__(self, app: ASGIApp, book: StampBook) -> None:
        self._app = app
        self._book = book

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].endswith("/accept"):
            self._book.accepted(scope["path"].split("/")[-2])
        elif scope["type"] == "websocket":
            call_id = scope["query_string"].partition(b"call_id=")[2].decode()
            receive = self._book.listening(call_id, receive)
            self._book.sockets += 1
            try:
                await self._app(scope, receive, send)
            finally:
                self._book.sockets -= 1
            return
        await self._app(scope, receive, send)


class Carrier:
    """Places calls at a simulator and delivers their webhooks to one server."""

    def __init__(self, simulator: Simulator, book: StampBook) -> None:
        self.simulator = simulator
        self.book = book
        self.poster: Poster | None = None

    async def place(self, **options: Any) -> Stamps:
        """Place one call and deliver its webhook; the greeting is yet to come."""
        assert self.poster is not None
        call, _ = await self.simulator.place({"to": DIALED, "deliver": False, **options})
        stamps = Stamps(asyncio.get_running_loop().create_future())
        self.book.calls[call.call_id] = stamps
        await self.poster.post(call.order, stamps)
        if stamps.status != 200:
            raise BenchError(f"a webhook was answered with {stamps.status}")
        return stamps

    async def greeted(self, calls: Iterable[Stamps]) -> None:
        """Wait until these calls have been greeted."""
        waiting = [stamps.greeted for stamps in calls if not stamps.greeted.done()]
        if waiting:
            _, late = await asyncio.wait(waiting, timeout=_GREETED_WITHIN)
            if late:
                raise BenchError(f"{len(late)} calls were not greeted in {_GREETED_WITHIN:g} s")

    async def ended(self) -> None:
        """Wait until no call is left."""
        await _until(
            lambda: all(self.simulator.call(call_id).ended for call_id in self.book.calls),
            "calls have not ended",
            within=_GREETED_WITHIN,
        )

    async def left(self) -> None:
        """Wait until the killed server's sockets are closed on our side, too."""
        await _until(lambda: self.book.sockets == 0, "sockets have not closed", within=5.0)


async def _until(holds: Callable[[], bool], otherwise: str, within: float) -> None:
    deadline = time.monotonic() + within
    while not holds():
        if time.monotonic() > deadline:
            raise BenchError(f"{otherwise} in {within:g} s")
        await asyncio.sleep(0.05)


@asynccontextmanager
async def open_carrier(ca: PrivateCa | None) -> AsyncIterator[Carrier]:
    """A carrier with its simulator, served on loopback, over TLS if there is a CA."""
    book = StampBook()
    simulator = Simulator(SECRET, keep_details=0)
    simulator.app.add_middleware(Stamping, book=book)
    tls = (ca.certificate, ca.key) if ca else (None, None)
    carrier = Carrier(simulator, book)
    with _counting(book):
        async with serving(simulator, "127.0.0.1", 0, *tls):
            try:
                yield carrier
            finally:
                if carrier.poster is not None:
                    carrier.poster.close()


@contextmanager
def _counting(book: StampBook) -> Iterator[None]:
    """Count the events that go out: server events bypass ASGI, so that the method is wrapped."""
    write = CallSocket.write_frames

    def counting(self: CallSocket, frames: Iterable[bytes]) -> None:
        several = list(frames)
        book.events += len(several)
        write(self, several)
        if book.tools is not None:
            book.tools.sent(several)

    CallSocket.write_frames = counting  # type: ignore[method-assign]  # for this block only
    try:
        yield
    finally:
        CallSocket.write_frames = write  # type: ignore[method-assign]


class Poster:
    """Posts webhooks over connections that are kept, with next to no time of its own."""

    def __init__(self, url: str) -> None:
        where = urlsplit(url)
        self._address = (where.hostname or "", where.port or 80)
        self._head = f"POST {where.path} HTTP/1.1\r\nhost: {where.netloc}\r\n"
        self._idle: list[_Connection] = []

    async def post(self, order: CallOrder, stamps: Stamps) -> None:
        """Deliver a call's webhook and stamp when it left and when its answer was there."""
        body = to_json(incoming_event(order))
        headers = webhook_headers(SECRET, order.webhook_id, body, DeliverOrder())
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        request = f"{self._head}{lines}content-length: {len(body)}\r\n\r\n".encode() + body
        stamps.posted = time.perf_counter()
        connection = self._kept()
        if connection is None:
            loop = asyncio.get_running_loop()
            _, connection = await loop.create_connection(_Connection, *self._address)
        stamps.status, stamps.answered = await connection.exchange(request)
        self._idle.append(connection)

    def close(self) -> None:
        for connection in self._idle:
            connection.transport.abort()

    def _kept(self) -> "_Connection | None":
        while self._idle:
            connection = self._idle.pop()
            if not connection.transport.is_closing():
                return connection
        return None


class _Connection(asyncio.Protocol):
    """One HTTP/1.1 connection, which takes one request at a time."""

    transport: asyncio.Transport
    _parser: httptools.HttpResponseParser
    _answer: asyncio.Future[tuple[int, float]] | None = None

    async def exchange(self, request: bytes) -> tuple[int, float]:
        """The answer's status, and when it was complete."""
        self._parser = httptools.HttpResponseParser(self)
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self._answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((self._parser.get_status_code(), time.perf_counter()))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(BenchError("a webhook's connection was cut"))
