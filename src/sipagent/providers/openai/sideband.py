"""A call's socket: `wss://.../v1/realtime?call_id=...`, beside the call's media.

The library dials, upgrades, pings and closes. Frames do not wait in its queue for a task of ours:
each is decoded and delivered as it is read, which costs half of a task switch's time.
"""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any, Final
from urllib.parse import urlsplit

import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.frames import DATA_OPCODES, Frame
from websockets.protocol import OPEN
from websockets.protocol import Event as ProtocolEvent
from websockets.proxy import get_proxy
from websockets.uri import parse_uri

from sipagent.errors import AttachError, TokenError
from sipagent.model import CallId
from sipagent.providers.openai.account import Account
from sipagent.providers.openai.codec import Oddity, decode, encode
from sipagent.providers.openai.credentials import AuthHeaders
from sipagent.sessions.machine.events import Event, SocketClosed, SocketOpened
from sipagent.sessions.ports import SocketRequest

log = structlog.get_logger(__name__)

ATTACH_WITHIN: Final = 5.0
"""Seconds from the accept to the open socket, all attempts together."""

NOT_FOUND_WITHIN: Final = 2.0
"""Seconds for which a 404 may mean "not yet" (OpenAI documents no delay; seen right after 200)."""

PROBE_WITHIN: Final = 2.0
CLOSE_WITHIN: Final = 2.0


@dataclass(frozen=True, slots=True)
class Keepalive:
    """Seconds between pings, and for each answer: together how long silence is borne."""

    every: float = 10.0
    within: float = 8.0


_LARGEST_FRAME: Final = 32 * 2**20
_PAUSES: Final = (0.05, 0.1, 0.2, 0.4, 0.8)
_FINAL: Final = frozenset({400, 401, 403})
"""Refusals that another attempt would not change."""

_NO_CODE: Final = 1006
_GOING_AWAY: Final = 1001

# RFC 6455 5.2: a frame's first bytes.
_WHOLE_TEXT: Final = 0x81
_TWO_BYTES: Final = 126
_SHORTEST_HEAD: Final = 2
_LONGER_HEAD: Final = 4

Note = Callable[[Oddity], None]


class Connection(ClientConnection):
    """The library's connection, which hands over frames as they are read. `_behind` is how many
    bytes the library has beyond the last whole frame, None until the upgrade is answered."""

    _deliver: Callable[[Event], None] | None = None
    _note: Note | None = None
    _early: list[bytes]
    _parts: list[bytes]
    _ended = False
    _behind: int | None = None
    _head = b""

    def begin(self, deliver: Callable[[Event], None], note: Note) -> None:
        """Deliver from now on: first that the socket is open, then what has come meanwhile."""
        self._deliver, self._note = deliver, note
        deliver(SocketOpened())
        early, self._early = self._early, []
        for frame in early:
            self._receive(frame)
        if self._ended:
            self._tell_end()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._early, self._parts = [], []
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Whole messages are read here, where the library's parser is between two frames; all else
        is the library's. Its way to a frame costs as much as the rest of an event's way through
        the machine."""
        if self._behind == 0 and not self._parts and self.protocol.state is OPEN:
            data = self._read_messages(data)
            if not data:
                return
        if self._behind is None:
            self._read_head(data)
        else:
            self._behind += len(data)
        super().data_received(data)

    def process_event(self, event: ProtocolEvent) -> None:
        if self.response is None or not isinstance(event, Frame):
            super().process_event(event)
            return
        if self._behind is not None:
            self._behind -= _size_of(event)
        if event.opcode not in DATA_OPCODES:
            super().process_event(event)
            if self.protocol.close_rcvd is not None:
                self._peer_closed()
        elif event.fin and not self._parts:
            self._receive(bytes(event.data))
        else:
            self._parts.append(bytes(event.data))
            if event.fin:
                whole, self._parts = b"".join(self._parts), []
                self._receive(whole)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._end()

    def _read_messages(self, data: bytes) -> bytes:
        """Take the whole text messages that the data begins with; gives back the rest of it."""
        at, end = 0, len(data)
        while end - at >= _SHORTEST_HEAD and data[at] == _WHOLE_TEXT:
            begin, length = at + 2, data[at + 1]
            if length == _TWO_BYTES and end - at >= _LONGER_HEAD:
                begin, length = at + 4, data[at + 2] << 8 | data[at + 3]
            elif length >= _TWO_BYTES:
                break  # longer still, or masked, which no server may do: the library knows
            if begin + length > end:
                break
            at = begin + length
            self._receive(data[begin:at])
        return data[at:] if at else data

    def _read_head(self, data: bytes) -> None:
        """Find where the answer to the upgrade ends (RFC 9112 2.1); what follows are frames."""
        head = self._head + data
        end = head.find(b"\r\n\r\n")
        if end < 0:
            self._head = head
        else:
            self._behind, self._head = len(head) - end - 4, b""

    def _receive(self, frame: bytes) -> None:
        if self._deliver is None or self._note is None:
            self._early.append(frame)
            return
        event = decode(frame)
        if event is None:
            return
        if isinstance(event, Oddity):
            self._note(event)
        else:
            self._deliver(event)

    def _peer_closed(self) -> None:
        """The peer has said goodbye: nothing more comes, even if it keeps the TCP connection."""
        self._end()
        self.loop.call_later(1.0, self.transport.abort)

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            if self._deliver is not None:
                self._tell_end()

    def _tell_end(self) -> None:
        received = self.protocol.close_rcvd
        code = received.code if received is not None else _NO_CODE
        reason = received.reason if received is not None else ""
        # OpenAI ends a session at its longest duration by 1001 and a sentence that says so.
        expired = code == _GOING_AWAY and "maximum duration" in reason
        deliver, self._deliver = self._deliver, None
        if deliver is not None:
            deliver(SocketClosed(code, expired=expired))
        # No cycle with the runner outlives the socket: memory of ended calls goes at once.
        self._note = None


def _size_of(frame: Frame) -> int:
    """How many bytes the frame was, if its length was written as short as it must be (RFC 6455
    5.2). If it was not, the library reads all that follows."""
    length = len(frame.data)
    return length + (2 if length < _TWO_BYTES else 4 if length < 2**16 else 10)


class OpenAISocket:
    """An attached socket."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def send(self, request: SocketRequest) -> None:
        try:
            await self._connection.send(encode(request))
        except ConnectionClosed as closed:
            raise ConnectionResetError("the call's socket has closed") from closed

    async def close(self) -> None:
        try:
            async with asyncio.timeout(CLOSE_WITHIN):
                await self._connection.close()
        except TimeoutError:  # the peer does not even read
            self._connection.transport.abort()


class OpenAIDial:
    """Dials the socket of one call, again and again if need be, within its deadlines."""

    __slots__ = ("_account", "_note", "_route", "_warm", "far")

    def __init__(self, account: Account, route: "Route", note: Note) -> None:
        self._account = account
        self._route = route
        self._note = note
        # Without TLS the host is near: opening the connection early would gain nothing.
        self.far = route.context is not None
        self._warm: Connection | None = None

    async def warm(self) -> None:
        """Open TCP and TLS, so that only the upgrade is left when the call is answered."""
        try:
            async with asyncio.timeout(ATTACH_WITHIN):
                self._warm = await self._route.open()
        except (OSError, TimeoutError, InvalidHandshake, EOFError, ssl.SSLError) as error:
            log.info("socket host not reached ahead of time", error=type(error).__name__)

    async def attach(
        self, deliver: Callable[[Event], None], *, again: bool = False
    ) -> OpenAISocket:
        """Open the call's socket, trying again what may pass, for ATTACH_WITHIN seconds."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        for pause in chain(_PAUSES, repeat(_PAUSES[-1])):
            try:
                connection = await self._upgrade(began + ATTACH_WITHIN)
            except AttachError as refused:
                within = NOT_FOUND_WITHIN if refused.status == 404 else ATTACH_WITHIN
                gone = again and refused.status == 404
                if gone or refused.status in _FINAL or loop.time() + pause > began + within:
                    raise
                await asyncio.sleep(pause)
            else:
                connection.begin(deliver, self._note)
                return OpenAISocket(connection)
        raise AssertionError("repeat() ended")

    async def probe(self) -> bool | None:
        """Dial once more: 404 proves that the call has ended, an open socket that it lives."""
        try:
            async with asyncio.timeout(PROBE_WITHIN):
                upgrade = await self._account.authorized("attach", self._ask)
        except (OSError, TimeoutError, ValueError, ssl.SSLError, TokenError):
            return None
        return {101: True, 404: False}.get(upgrade.status)

    def abandon(self) -> None:
        """Give back a connection that was opened ahead of time and is not needed."""
        warm, self._warm = self._warm, None
        if warm is not None:
            warm.transport.abort()

    async def _upgrade(self, deadline: float) -> Connection:
        """One attempt. Raises AttachError only."""
        try:
            async with asyncio.timeout_at(deadline):
                upgrade = await self._account.authorized("attach", self._handshake)
        except (OSError, TimeoutError, InvalidHandshake, EOFError) as error:
            raise AttachError(None, type(error).__name__) from error
        except TokenError as error:
            raise AttachError(None, str(error)) from error
        if upgrade.connection is None:
            raise AttachError(upgrade.status, "upgrade refused")
        upgrade.connection.start_keepalive()
        return upgrade.connection

    async def _handshake(self, headers: AuthHeaders) -> "Upgrade":
        """An upgrade with these headers; a connection whose upgrade is refused is given back."""
        connection, self._warm = self._warm, None
        try:
            if connection is None or connection.transport.is_closing():
                connection = await self._route.open()
            await connection.handshake(headers.lines, "sipagent")
        except InvalidStatus as refused:
            _drop(connection)
            return Upgrade(refused.response.status_code)
        except BaseException:
            _drop(connection)
            raise
        return Upgrade(101, connection)

    async def _ask(self, headers: AuthHeaders) -> "Upgrade":
        return Upgrade(await self._route.upgrade_status(headers))


@dataclass(frozen=True, slots=True)
class Upgrade:
    """How an upgrade was answered, and the upgraded connection if it is kept."""

    status: int
    connection: Connection | None = None


def _drop(connection: Connection | None) -> None:
    if connection is not None:
        connection.transport.abort()


@dataclass(frozen=True, slots=True)
class Route:
    """The way to one call's socket. `context` is None where the address is plain ws://."""

    url: str
    context: ssl.SSLContext | None
    proxy: str | None
    keepalive: Keepalive

    async def open(self) -> Connection:
        """A connection over which nothing has been asked yet."""
        # The library refuses the very keyword for a plain ws:// address.
        tls: dict[str, Any] = {"ssl": self.context} if self.context is not None else {}
        connector = connect(
            self.url,
            compression=None,
            proxy=self.proxy,
            ping_interval=self.keepalive.every,
            ping_timeout=self.keepalive.within,
            close_timeout=1.0,
            max_size=_LARGEST_FRAME,
            create_connection=Connection,
            **tls,
        )
        connection = await connector.open_tcp_connection()
        assert isinstance(connection, Connection)
        return connection

    async def upgrade_status(self, headers: AuthHeaders) -> int:
        """How an upgrade is answered, by the first line of the answer alone (RFC 9112 4).

        Every call ends with this question, and the library's way to a refusal costs twice as much
        as a whole turn of the conversation.
        """
        if self.proxy is not None:
            return await self._upgrade_status_by_proxy(headers)
        url = urlsplit(self.url)
        port = url.port or (80 if self.context is None else 443)
        reader, writer = await asyncio.open_connection(url.hostname, port, ssl=self.context)
        try:
            fields = (("Host", url.netloc), *_UPGRADE, *headers.lines)
            lines = [f"GET {url.path}?{url.query} HTTP/1.1"]
            lines += [f"{name}: {value}" for name, value in fields]
            writer.write("\r\n".join([*lines, "", ""]).encode())
            version, status, *_ = (await reader.readline()).split(maxsplit=2)
            return int(status) if version.startswith(b"HTTP/1.") else 0
        finally:
            writer.transport.abort()

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
            _drop(connection)


_UPGRADE: Final = (
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "c2lwYWdlbnQtcHJvYmUtMQ=="),  # nothing is read beyond the status
    ("User-Agent", "sipagent"),
)


class OpenAISideband:
    """The sockets of one account. They share one TLS context: a default one costs 14 to 18 ms."""

    def __init__(
        self,
        account: Account,
        context: ssl.SSLContext,
        note: Note,
        keepalive: Keepalive = Keepalive(),
    ) -> None:
        self._account = account
        self._keepalive = keepalive
        self._note = note
        url = account.socket_url(CallId("x"))
        self._context = context if url.startswith("wss:") else None
        self._proxy = get_proxy(parse_uri(url))

    def dial(self, call_id: CallId) -> OpenAIDial:
        """A dial for this call; nothing is opened yet."""
        url = self._account.socket_url(call_id)
        route = Route(url, self._context, self._proxy, self._keepalive)
        return OpenAIDial(self._account, route, self._note)
