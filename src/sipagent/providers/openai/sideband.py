"""A call's socket: `wss://.../v1/realtime?call_id=...`, beside the call's media.

Dialing tries again what may pass; a probe asks whether the call still has a socket.
"""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Final

import structlog
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.protocol import CLOSED

from sipagent.errors import AttachError, TokenError
from sipagent.model import CallId
from sipagent.model.secret import ReadSecret, no_secrets, with_secrets
from sipagent.providers.openai.account import Account
from sipagent.providers.openai.client_events import encode
from sipagent.providers.openai.connection import Connection, Note
from sipagent.providers.openai.credentials import AuthHeaders
from sipagent.providers.openai.route import KEEPALIVE, Keepalive, Route, Routes, drop
from sipagent.sessions.machine.commands import UpdateSession
from sipagent.sessions.machine.events import Event
from sipagent.sessions.ports import SocketRequest

log = structlog.get_logger(__name__)

ATTACH_WITHIN: Final = 5.0
"""Seconds from the accept to the open socket, all attempts together."""

NOT_FOUND_WITHIN: Final = 2.0
"""Seconds for which a 404 may mean "not yet" (OpenAI documents no delay; seen right after 200)."""

PROBE_WITHIN: Final = 2.0
CLOSE_WITHIN: Final = 2.0

_PAUSES: Final = (0.05, 0.1, 0.2, 0.4, 0.8)
_FINAL: Final = frozenset({400, 401, 403})
"""Refusals that another attempt would not change."""


class OpenAISocket:
    """An attached socket."""

    __slots__ = ("_connection", "_secrets")

    def __init__(self, connection: Connection, secrets: ReadSecret = no_secrets) -> None:
        self._connection = connection
        self._secrets = secrets

    def put(self, request: SocketRequest) -> bool:
        return self._connection.put(self._encoded(request).encode())

    async def send(self, request: SocketRequest) -> None:
        try:
            await self._connection.send(self._encoded(request))
        except ConnectionClosed as closed:
            raise ConnectionResetError("the call's socket has closed") from closed

    def _encoded(self, request: SocketRequest) -> str:
        if isinstance(request, UpdateSession):
            session = with_secrets(request.session, self._secrets)
            request = UpdateSession(request.request_id, session)
        return encode(request)

    async def close(self) -> None:
        if self._connection.protocol.state is CLOSED:
            return
        try:
            async with asyncio.timeout(CLOSE_WITHIN):
                await self._connection.close()
        except TimeoutError:  # the peer does not even read
            self._connection.transport.abort()


class OpenAIDial:
    """Dials the socket of one call, again and again if need be, within its deadlines."""

    __slots__ = ("_account", "_note", "_route", "_secrets", "_warm", "far")

    def __init__(
        self, account: Account, route: "Route", note: Note, secrets: ReadSecret = no_secrets
    ) -> None:
        self._secrets = secrets
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
                return OpenAISocket(connection, self._secrets)
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
            drop(connection)
            return Upgrade(refused.response.status_code)
        except BaseException:
            drop(connection)
            raise
        return Upgrade(101, connection)

    async def _ask(self, headers: AuthHeaders) -> "Upgrade":
        return Upgrade(await self._route.upgrade_status(headers))


@dataclass(frozen=True, slots=True)
class Upgrade:
    """How an upgrade was answered, and the upgraded connection if it is kept."""

    status: int
    connection: Connection | None = None


class OpenAISideband:
    """The sockets of one account."""

    def __init__(
        self,
        account: Account,
        context: ssl.SSLContext,
        note: Note,
        keepalive: Keepalive = KEEPALIVE,
        secrets: ReadSecret = no_secrets,
    ) -> None:
        """`secrets` are those that sessions name."""
        self._account = account
        self._note = note
        self._secrets = secrets
        self._routes = Routes.below(account.sockets_url, context, keepalive)

    def dial(self, call_id: CallId) -> OpenAIDial:
        """A dial for this call; nothing is opened yet."""
        route = self._routes.to(f"call_id={call_id}")
        return OpenAIDial(self._account, route, self._note, self._secrets)
