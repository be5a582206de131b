"""The API that the agent's tool asks: it answers at once or never, and stamps when."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import httptools

_ANSWER = b'{"status":"shipped","eta":"Tuesday"}'
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"

HANGING = "900"
"""How the numbers of orders begin that nobody ever says anything of."""


class Backend:
    """Seconds of `time.perf_counter` at which each order was asked for and answered."""

    def __init__(self) -> None:
        self.asked: dict[str, float] = {}
        self.answered: dict[str, float] = {}
        self.url = ""


class _Asked(asyncio.Protocol):
    """A connection of the server's, which sends one request at a time."""

    transport: asyncio.Transport
    _body: bytes = b""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._body = b""

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        order = order_in(self._body)
        if order.startswith(HANGING):
            return
        self._backend.asked[order] = time.perf_counter()
        self.transport.write(_HEAD % len(_ANSWER) + _ANSWER)
        self._backend.answered[order] = time.perf_counter()


def order_in(text: bytes) -> str:
    """The number after the last `order_no`, in whatever JSON it stands."""
    digits = text.rpartition(b"order_no")[2].lstrip(b'\\": ')
    return bytes(digits[: len(digits) - len(digits.lstrip(b"0123456789"))]).decode()


@asynccontextmanager
async def open_backend() -> AsyncIterator[Backend]:
    """The API on loopback."""
    backend = Backend()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Asked(backend), "127.0.0.1", 0)
    async with server:
        backend.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/orders"
        yield backend
