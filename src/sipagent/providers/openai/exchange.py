"""One request and its answer over a kept connection (RFC 9112), parsed by httptools.

Every call has at least one such request before it is answered. The way through a general client,
with its models of requests, sessions, cookies and redirects, costs a tenth of all that a call
costs; nothing of that is wanted here.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast
from urllib.parse import urlsplit

import httptools
from aiohappyeyeballs import start_connection
from websockets.headers import build_host

IDLE_FOR: Final = 15.0
"""Seconds for which a connection is kept; others keep theirs for longer."""

LARGEST_ANSWER: Final = 64 * 1024
"""Bytes of an answer that are of use. What goes beyond them is not read."""

_KNOWN_FOR: Final = 10.0
_UNKNOWN_FOR: Final = 1.0
"""Seconds for which a name's addresses are remembered, and that it has none."""

_TRY_NEXT_AFTER: Final = 0.25
"""Seconds until the next address of a host is tried as well (RFC 8305, 5)."""

_PORTS: Final = {"http": 80, "https": 443}

Fields = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class RestAnswer:
    """An answer. `body` is as much of it as is of use."""

    status: int
    headers: Fields
    body: bytes

    def header(self, name: bytes) -> str | None:
        """The first header of this name (in lower case), None without one."""
        for key, value in self.headers:
            if key.lower() == name:
                return value.decode("latin-1")
        return None


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go; `field` is what their Host says."""

    secure: bool
    host: str
    port: int
    field: str

    @classmethod
    def of(cls, scheme: str, host: str, port: int | None) -> "Target":
        secure = scheme == "https"
        port = port or _PORTS[scheme]
        return cls(secure, host, port, build_host(host, port, secure))


class BrokenError(Exception):
    """The connection, or what came by it, cannot be used any more."""


class Connection(asyncio.Protocol):
    """A connection on which one request at a time is answered."""

    def __init__(self) -> None:
        self.idle_since = 0.0
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._answer: asyncio.Future[RestAnswer] | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._size = 0
        self._status = 0
        self._whole = False
        self._header_bytes = 0
        self.reusable = False

    def ask(self, request: bytes) -> "asyncio.Future[RestAnswer]":
        """Send it. The answer fails with BrokenError."""
        assert self._transport is not None
        self.reusable = self._whole = False
        self._header_bytes = 0
        self._parser = httptools.HttpResponseParser(self)
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    @property
    def usable(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def give_up(self) -> None:
        """The answer has taken too long."""
        self._fail("no answer in time")

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._answer.done() or self._parser is None:
            self.abort()  # nothing was asked
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail("unreadable answer")

    def eof_received(self) -> None:
        # Without a length the end of the connection is the end of the body (RFC 9112, 6.3).
        if self._whole and not any(name.lower() in _LENGTHS for name, _ in self._headers):
            self._tell()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._fail("connection lost" if exc is None else type(exc).__name__)

    def on_message_begin(self) -> None:
        self._headers, self._body, self._size = [], [], 0
        self._whole = False
        if self._answer is not None and self._answer.done():
            self.reusable = False  # nobody asked for more

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > LARGEST_ANSWER:
            raise BrokenError("too many headers")
        if not self._whole:  # else a trailer, which must not pass for a header
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        self._status = self._parser.get_status_code()
        self._whole = self._status >= _FINAL

    def on_body(self, body: bytes) -> None:
        self._body.append(body)
        self._size += len(body)
        if self._size >= LARGEST_ANSWER:
            self._tell()
            self.abort()

    def on_message_complete(self) -> None:
        if self._status < _FINAL:  # what was asked is still being worked on (RFC 9110, 15.2)
            return
        assert self._parser is not None
        assert self._answer is not None
        # What follows the answer was not asked for: whoever sends it is about to close.
        self.reusable = not self._answer.done() and self._parser.should_keep_alive()
        self._tell()

    def _tell(self) -> None:
        if self._answer is not None and not self._answer.done():
            body = b"".join(self._body)[:LARGEST_ANSWER]
            self._answer.set_result(RestAnswer(self._status, self._headers, body))

    def _fail(self, why: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(BrokenError(why))
        self.abort()


Addresses = list[tuple[Any, ...]]
Ask = Callable[[str, int], Awaitable[Addresses | OSError]]


async def _asked(host: str, port: int) -> Addresses | OSError:
    loop = asyncio.get_running_loop()
    try:
        return [*await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except OSError as error:
        return error


class Names:
    """What hosts' names stand for, asked once by however many requests come at the same time: the
    threads that ask are few, and shared with the calls' sockets."""

    def __init__(self, ask: Ask = _asked) -> None:
        self._ask = ask
        self._locks: dict[str, asyncio.Lock] = {}
        self._found: dict[tuple[str, int], tuple[float, Addresses | OSError]] = {}

    async def found(self, host: str, port: int) -> Addresses:
        """The host's addresses, as they were ten seconds ago at most. Raises OSError."""
        loop = asyncio.get_running_loop()
        async with self._locks.setdefault(host, asyncio.Lock()):
            until, known = self._found.get((host, port), (0.0, []))
            if loop.time() >= until:
                known = await self._ask(host, port)
                kept = _UNKNOWN_FOR if isinstance(known, OSError) else _KNOWN_FOR
                self._found[host, port] = loop.time() + kept, known
        if isinstance(known, OSError):
            raise OSError(*known.args) from known
        return known


class Exchange:
    """The connections of one process to any number of hosts. They belong to one event loop.

    No request waits for another one's connection.
    """

    def __init__(self, context: ssl.SSLContext | None, agent: str) -> None:
        self._context = context
        self._agent = agent
        self._idle: dict[Target, list[Connection]] = {}
        self._targets: dict[str, Target] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._names = Names()
        self._closed = False

    def kept(self, target: Target) -> Connection | None:
        """A connection that is open and that nobody uses, the one that was used last."""
        idle, since = self._idle.get(target), asyncio.get_running_loop().time() - IDLE_FOR
        while idle:
            connection = idle.pop()
            if connection.usable and connection.idle_since > since:
                return connection
            connection.abort()
        return None

    async def opened(self, target: Target) -> Connection:
        """A new connection. Raises OSError."""
        loop = asyncio.get_running_loop()
        found = await self._names.found(target.host, target.port)
        opened = await start_connection(
            found, happy_eyeballs_delay=_TRY_NEXT_AFTER, interleave=1, loop=loop
        )
        try:
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _, connection = await loop.create_connection(
                Connection,
                sock=opened,
                ssl=self._context or ssl.create_default_context() if target.secure else None,
                server_hostname=target.host if target.secure else None,
            )
        except BaseException:
            opened.close()
            raise
        return connection

    def request(
        self, target: Target, path: str, headers: Fields, content: bytes, kind: str
    ) -> bytes:
        """A request to post content of this media type."""
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {target.field}\r\nUser-Agent: {self._agent}\r\n"
            f"Accept: */*\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\n"
        )
        fields = [b"%b: %b\r\n" % field for field in headers]
        return b"".join([head.encode("latin-1"), *fields, b"\r\n", content])

    def target(self, url: str) -> tuple[Target, str]:
        """Where a URL leads, and what is asked for there. Raises ValueError."""
        parts = urlsplit(url)
        base = f"{parts.scheme}://{parts.netloc}"
        target = self._targets.get(base)
        if target is None:
            if parts.scheme not in _PORTS or not parts.hostname:
                raise ValueError(f"not a URL of http or https: {base}")
            target = Target.of(parts.scheme, parts.hostname, parts.port)
            self._targets[base] = target
        path = parts.path or "/"
        return target, f"{path}?{parts.query}" if parts.query else path

    def give_back(self, target: Target, connection: Connection) -> None:
        """Keep the connection for others, if it can be used again."""
        if self._closed or not (connection.reusable and connection.usable):
            connection.abort()
            return
        loop = asyncio.get_running_loop()
        connection.idle_since = loop.time()
        self._idle.setdefault(target, []).append(connection)
        if self._timer is None:
            self._timer = loop.call_later(IDLE_FOR, self._tidy)

    def close(self) -> None:
        """No connection is kept, nor will be."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for connections in self._idle.values():
            for connection in connections:
                connection.abort()
        self._idle.clear()

    def _tidy(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        before = loop.time() - IDLE_FOR
        for target, connections in list(self._idle.items()):
            kept = [one for one in connections if one.usable and one.idle_since > before]
            for connection in connections:
                if connection not in kept:
                    connection.abort()
            if kept:
                self._idle[target] = kept
            else:
                del self._idle[target]
        if self._idle:
            self._timer = loop.call_later(IDLE_FOR / 2, self._tidy)


_FINAL: Final = 200
_LENGTHS: Final = (b"content-length", b"transfer-encoding")
