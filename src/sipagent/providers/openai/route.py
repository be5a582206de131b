"""The way to a call's socket: connections over which nothing has been asked yet, and the question
whether the call still has one."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

from websockets.asyncio.client import connect
from websockets.client import ClientProtocol
from websockets.datastructures import Headers
from websockets.exceptions import InvalidHandshake, InvalidStatus
from websockets.headers import build_host
from websockets.http11 import Request
from websockets.proxy import get_proxy
from websockets.uri import WebSocketURI, parse_uri

from sipagent.providers.openai.connection import Connection
from sipagent.providers.openai.credentials import AuthHeaders

P = TypeVar("P", bound=asyncio.Protocol)

_CLOSE_TIMEOUT: Final = 1.0
_LARGEST_FRAME: Final = 32 * 2**20
_LONGEST_LINE: Final = 8192


@dataclass(frozen=True, slots=True)
class Keepalive:
    """Seconds between pings, and for each answer: together how long silence is borne."""

    every: float = 10.0
    within: float = 8.0


KEEPALIVE: Final = Keepalive()


@dataclass(frozen=True, slots=True)
class Route:
    """The way to one call's socket. `host` is what the field of that name says (RFC 9110 7.2);
    `context` is None where the address is plain ws://."""

    uri: WebSocketURI
    host: str
    context: ssl.SSLContext | None
    proxy: str | None
    keepalive: Keepalive

    async def open(self) -> Connection:
        """A connection over which nothing has been asked yet."""
        if self.proxy is not None:
            return await self._open_by_proxy(self.proxy)
        # What the library's `connect` does where there is no proxy, without preparing for one.
        _, connection = await self._connected(self._new_connection)
        return connection

    async def upgrade_status(self, headers: AuthHeaders) -> int:
        """How an upgrade is answered, by the first line of the answer alone (RFC 9112 4).

        Every call ends with this question, and the library's way to a refusal costs twice as much
        as a whole turn of the conversation.
        """
        if self.proxy is not None:
            return await self._upgrade_status_by_proxy(headers)
        transport, question = await self._connected(lambda: _Question(self._upgrade(headers)))
        try:
            version, status, *_ = (await question.answer).split(maxsplit=2)
            right = version.startswith(b"HTTP/1.") and status.isdigit() and len(status) == 3
            return int(status) if right else 0
        finally:
            transport.abort()

    async def _connected(self, factory: Callable[[], P]) -> tuple[asyncio.Transport, P]:
        host = self.uri.host
        return await asyncio.get_running_loop().create_connection(
            factory,
            host,
            self.uri.port,
            ssl=self.context,
            server_hostname=None if self.context is None else host,
        )

    def _new_connection(self) -> Connection:
        return Connection(
            _Client(self.uri, self.host),
            ping_interval=self.keepalive.every,
            ping_timeout=self.keepalive.within,
            close_timeout=_CLOSE_TIMEOUT,
        )

    def _upgrade(self, headers: AuthHeaders) -> bytes:
        fields = (("Host", self.host), *_UPGRADE, *headers.lines)
        lines = [f"GET {self.uri.resource_name} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in fields]
        return "\r\n".join([*lines, "", ""]).encode()

    async def _open_by_proxy(self, proxy: str) -> Connection:
        # The library refuses the very keyword for a plain ws:// address.
        tls: dict[str, Any] = {"ssl": self.context} if self.context is not None else {}
        host = build_host(self.uri.host, self.uri.port, self.uri.secure, always_include_port=True)
        connector = connect(
            f"{'wss' if self.uri.secure else 'ws'}://{host}{self.uri.resource_name}",
            compression=None,
            proxy=proxy,
            ping_interval=self.keepalive.every,
            ping_timeout=self.keepalive.within,
            close_timeout=_CLOSE_TIMEOUT,
            max_size=_LARGEST_FRAME,
            create_connection=Connection,
            **tls,
        )
        connection = await connector.open_tcp_connection()
        assert isinstance(connection, Connection)
        return connection

    async def _upgrade_status_by_proxy(self, headers: AuthHeaders) -> int:
        connection: Connection | None = None
        try:
            connection = await self.open()
            await connection.handshake(headers.lines, "sipagent")
        except InvalidStatus as refused:
            return refused.response.status_code
        except (InvalidHandshake, EOFError) as error:
            raise OSError("the proxy or the upgrade failed") from error
        else:
            return 101
        finally:
            drop(connection)


@dataclass(frozen=True, slots=True)
class Routes:
    """The ways to all sockets below one address. They share one TLS context: a default one costs 14
    to 18 ms."""

    uri: WebSocketURI
    host: str
    context: ssl.SSLContext | None
    proxy: str | None
    keepalive: Keepalive

    @classmethod
    def below(cls, url: str, context: ssl.SSLContext, keepalive: Keepalive) -> "Routes":
        """The ways to sockets at this URL, by the proxy that the environment names, if it does."""
        uri = parse_uri(url)
        host = build_host(uri.host, uri.port, uri.secure)
        return cls(uri, host, context if uri.secure else None, get_proxy(uri), keepalive)

    def to(self, query: str) -> Route:
        one = self.uri
        uri = WebSocketURI(
            one.secure, one.host, one.port, one.path, query, one.username, one.password
        )
        return Route(uri, self.host, self.context, self.proxy, self.keepalive)


class _Client(ClientProtocol):
    """The library's, which asks for neither extensions nor subprotocols; it is told its host, to
    which the library comes anew for each upgrade by way of `ipaddress`."""

    def __init__(self, uri: WebSocketURI, host: str) -> None:
        super().__init__(uri, max_size=_LARGEST_FRAME)
        self._host = host

    def connect(self) -> Request:
        """As RFC 6455 4.1 has it."""
        if self.uri.username is not None:
            return super().connect()
        fields = Headers()
        for name, value in (("Host", self._host), *_UPGRADING, ("Sec-WebSocket-Key", self.key)):
            fields[name] = value
        return Request(self.uri.resource_name, fields)


class _Question(asyncio.Protocol):
    """A request of which only the first line of the answer is waited for."""

    def __init__(self, request: bytes) -> None:
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._request = request
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes.
        cast("asyncio.WriteTransport", transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        if self.answer.done():
            return
        self._read += data
        line, end, _ = self._read.partition(b"\n")
        if end or len(line) > _LONGEST_LINE:
            self.answer.set_result(line if end else b"")

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.answer.done():
            self.answer.set_result(b"")


def drop(connection: Connection | None) -> None:
    """Give a connection back that is not kept."""
    if connection is not None:
        connection.transport.abort()


_UPGRADING: Final = (
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Version", "13"),
)
_UPGRADE: Final = (
    *_UPGRADING,
    ("Sec-WebSocket-Key", "c2lwYWdlbnQtcHJvYmUtMQ=="),  # nothing is read beyond the status
    ("User-Agent", "sipagent"),
)
