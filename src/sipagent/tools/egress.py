"""The one way out to servers that are neither ours nor the provider's: of tools, of tenants'
webhooks and of consulted endpoints.

A URL is read strictly, its name is looked up, the addresses are checked, and the connection goes to
a checked address; TLS and the Host header keep the name. No redirect is followed, no proxy of the
environment is used, no cookie is kept, nothing is sent twice.
"""

import asyncio
import re
import ssl
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

import aiohttp
from yarl import URL

from sipagent import __version__
from sipagent.concurrency import SystemClock
from sipagent.errors import EgressError, EgressTrouble
from sipagent.sessions.ports import Clock
from sipagent.tools.addresses import NOTHING, Allow
from sipagent.tools.circuit import WORKING, Circuit
from sipagent.tools.resolving import CheckedResolver, ForbiddenError, Lookup, SystemLookup
from sipagent.tools.targets import Target, TargetError, parse_target, refusal

CONNECT_WITHIN: Final = 2.0
"""Seconds for a connection: the name's address, TCP and TLS together."""

LARGEST_ANSWER: Final = 256 * 1024
"""Bytes of an answer that are read at most, as they come and unpacked."""

LARGEST_BODY: Final = 1024 * 1024
"""Bytes that a request carries at most."""

MOST_AT_ONCE: Final = 64
"""Requests to one server of one tenant at the same time. Further ones wait, within their time."""

# Shorter than the 5 seconds after which common servers close, so that seldom a request is sent on
# a connection that is just being closed.
_IDLE_FOR: Final = 4.0

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}", re.ASCII)
_HEADER_VALUE: Final = re.compile(r"[\t -~\u00a0-\ud7ff\ue000-\U0010ffff]{0,4096}")
_OURS: Final = frozenset(
    {
        *("host", "content-length", "transfer-encoding", "connection", "keep-alive", "upgrade"),
        *("te", "trailer", "expect", "proxy-authorization", "proxy-connection", "accept-encoding"),
    }
)
_AGENT: Final = f"sipagent/{__version__}"
_TIMEOUTS: Final = aiohttp.ClientTimeout(total=None, connect=CONNECT_WITHIN)
_NEARLY: Final = 0.9
"""The share of its time after which a request that is cancelled has shown what it would."""

_AWAY: Final = frozenset({502, 503, 504})
"""Answers that say that nobody is there. Not 500: what one request asks for may bring it about."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. `tenant` is whose it is: its servers' troubles are nobody else's. `within` is in
    seconds, for all of it. `plain` URLs may be http, as the operator has written them."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    within: float = 10.0
    most_bytes: int = LARGEST_ANSWER
    tenant: str = ""
    plain: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. Names of headers are in small letters; of several with one name it is the
    last."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class _Server:
    """What is kept of one server while it is asked, or in trouble."""

    def __init__(self) -> None:
        self.circuit: Circuit = WORKING
        self.room = asyncio.Semaphore(MOST_AT_ONCE)
        self.users = 0


@dataclass(slots=True)
class _Attempt:
    """A request on its way. Until it is `sent` it waits for room."""

    began: float
    sent: bool = False


class Egress:
    """One pool of connections to servers of others. Used as `async with`: its end closes them."""

    def __init__(
        self,
        allow: Allow = NOTHING,
        context: ssl.SSLContext | None = None,
        *,
        clock: Clock | None = None,
        lookup: Lookup | None = None,
    ) -> None:
        self._allow = allow
        self._context = context
        self._clock = clock or SystemClock()
        self._system = SystemLookup()
        self._lookup: Lookup = lookup or self._system
        self._servers: dict[tuple[str, str, int], _Server] = {}
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections. What is asked from now on is refused."""
        self._closed = True
        session, self._session = self._session, None
        if session is not None:
            await session.close()
        self._system.close()

    async def request(self, ask: Ask) -> Answer:
        """The answer, whatever its status. Raises EgressError where there is none.

        Cancelling it closes the connection; the request may still take effect.
        """
        target = self._checked(ask)
        key = (ask.tenant, target.host, target.port)
        server = self._servers.setdefault(key, _Server())
        server.users += 1
        try:
            return await self._admitted(ask, target, server)
        finally:
            server.users -= 1
            if not server.users and server.circuit == WORKING:
                self._servers.pop(key, None)

    def _checked(self, ask: Ask) -> Target:
        """What is asked for, if it may be."""
        try:
            target = parse_target(ask.url)
        except TargetError as error:
            raise EgressError(EgressTrouble.REFUSED, str(error)) from None
        problem = refusal(target, self._allow, plain=ask.plain)
        if problem is None and ask.method not in _METHODS:
            problem = "method"
        for name, value in ask.headers.items():
            problem = problem or header_problem(name, value)
        if ask.body is not None and len(ask.body) > LARGEST_BODY:
            problem = problem or "body"
        if self._closed:
            problem = "closed"
        if problem is not None:
            raise EgressError(EgressTrouble.REFUSED, problem)
        return target

    async def _admitted(self, ask: Ask, target: Target, server: _Server) -> Answer:
        """The answer, if the server has not failed too often. What comes of it is noted."""
        if not server.circuit.admits(self._clock.monotonic()):
            raise EgressError(EgressTrouble.CIRCUIT_OPEN, "failed too often")
        trial = server.circuit.open_until is not None
        server.circuit = server.circuit.begun()
        shows: bool | None = None
        attempt = _Attempt(self._clock.monotonic())
        try:
            answer = await self._timed(ask, target, server, attempt)
            shows = answer.status not in _AWAY
        except EgressError as error:
            shows = _shows(error)
            raise
        except asyncio.CancelledError:
            # Who asks may keep the same time, and be a moment earlier.
            waited = self._clock.monotonic() - attempt.began
            shows = False if attempt.sent and waited >= _NEARLY * ask.within else None
            raise
        else:
            return answer
        finally:
            now = self._clock.monotonic()
            if shows is None:
                server.circuit = server.circuit.showed_nothing(trial=trial)
            elif shows:
                server.circuit = server.circuit.worked()
            else:
                server.circuit = server.circuit.failed(now, trial=trial)

    async def _timed(self, ask: Ask, target: Target, server: _Server, attempt: _Attempt) -> Answer:
        """The answer within the request's time, of which waiting for room is a part."""
        try:
            async with asyncio.timeout(ask.within), server.room:
                attempt.sent = True
                return await self._exchange(ask, target)
        except TimeoutError:
            detail = "no answer" if attempt.sent else "too many requests at once"
            raise EgressError(EgressTrouble.TIMED_OUT, detail, sent=attempt.sent) from None

    async def _exchange(self, ask: Ask, target: Target) -> Answer:
        try:
            async with self._opened().request(
                ask.method,
                URL(target.url, encoded=True),
                data=ask.body,
                headers=ask.headers,
                allow_redirects=False,
            ) as response:
                packed = await _read(response, ask.most_bytes)
                body = _unpacked(response, packed, ask.most_bytes)
                named = {name.lower(): value for name, value in response.headers.items()}
                return Answer(response.status, named, body)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise _translated(error) from None

    def _opened(self) -> aiohttp.ClientSession:
        """The pool, which is made when the first request needs it: it belongs to an event loop.
        Raises EgressError for a request that has waited for room until all was closed."""
        if self._closed:
            raise EgressError(EgressTrouble.REFUSED, "closed")
        if self._session is None:
            connector = aiohttp.TCPConnector(
                ssl=self._context or True,
                limit=0,  # each server has its own room
                keepalive_timeout=_IDLE_FOR,
                resolver=CheckedResolver(self._lookup, self._allow),
                use_dns_cache=False,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": _AGENT, "Accept-Encoding": "gzip"},
                timeout=_TIMEOUTS,
                auto_decompress=False,
                trust_env=False,
                skip_auto_headers=("Content-Type", "Accept"),
            )
            # The library repeats a PUT or a DELETE whose connection broke; nothing here may happen
            # twice. It has no public switch.
            self._session._retry_connection = False
        return self._session


def header_problem(name: str, value: str) -> str | None:
    """Why a header cannot be sent, None if it can: RFC 9110 5.5, and the connection's own are not
    to be set."""
    if _HEADER_NAME.fullmatch(name) is None or name.lower() in _OURS:
        return "header name"
    return None if _HEADER_VALUE.fullmatch(value) is not None else "header value"


async def _read(response: aiohttp.ClientResponse, most: int) -> bytes:
    """The answer's body as it came. Raises EgressError where it is too long."""
    pieces: list[bytes] = []
    left = most
    while chunk := await response.content.read(left + 1):
        left -= len(chunk)
        if left < 0:
            response.close()
            raise _unread(response, EgressTrouble.TOO_LARGE, "answer")
        pieces.append(chunk)
    return b"".join(pieces)


def _unpacked(response: aiohttp.ClientResponse, packed: bytes, most: int) -> bytes:
    """The body as it was before it was packed. Raises EgressError where that is too long or none
    that can be read."""
    coding = response.headers.get("Content-Encoding", "").strip().lower()
    if coding in ("", "identity") or not packed:
        return packed
    body = _unzipped(packed, most + 1) if coding in ("gzip", "x-gzip") else None
    if body is None:
        raise _unread(response, EgressTrouble.UNREACHABLE, "answer's encoding")
    if len(body) > most:
        raise _unread(response, EgressTrouble.TOO_LARGE, "answer")
    return body


def _unzipped(packed: bytes, most: int) -> bytes | None:
    """At most so many bytes of what was packed: a bomb is not unpacked. None where it is broken."""
    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        body = unpacker.decompress(packed, most)
    except zlib.error:
        return None
    return body if unpacker.eof or len(body) == most else None


def _unread(response: aiohttp.ClientResponse, kind: EgressTrouble, detail: str) -> EgressError:
    """An answer that came and cannot be read. Its status may still be worth something."""
    return EgressError(kind, detail, sent=True, status=response.status)


def _translated(error: Exception) -> EgressError:
    """What the client's error means here. Its text would quote the URL, and is not taken."""
    if isinstance(error, aiohttp.ClientConnectorDNSError) and isinstance(
        error.os_error, ForbiddenError
    ):
        return EgressError(EgressTrouble.REFUSED, "address")
    unsent = isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
    return EgressError(EgressTrouble.UNREACHABLE, type(error).__name__, sent=not unsent)


def _shows(error: EgressError) -> bool | None:
    """Whether the server works, as far as this tells."""
    match error.kind:
        case EgressTrouble.UNREACHABLE:
            return False
        case EgressTrouble.TIMED_OUT:
            return False if error.sent else None
        case EgressTrouble.TOO_LARGE:
            return error.status not in _AWAY
        case EgressTrouble.REFUSED | EgressTrouble.CIRCUIT_OPEN:
            return None
