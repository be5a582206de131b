"""The servers of others, all of them: whatever a call asks the network for is answered here."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast
from urllib.parse import parse_qsl, urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from sipagent.scenarios.scenario import Exchange, Reply

SOMEWHERE: Final = "1.1.1.1"
"""Where every name leads: an address that may be asked, and that a stage leads elsewhere."""

_METHODS: Final = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
_PLAIN: Final = 80
# Without a certificate nothing has to be trusted; both ends are of this process.
_ANONYMOUS: Final = "aNULL:@SECLEVEL=0"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that was made. `known`: the scenario has an answer for it."""

    method: str
    url: str
    headers: dict[str, str]
    body: str
    known: bool

    def json(self) -> Any:
        """The body as JSON, None where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


@dataclass(slots=True)
class StandIn:
    """Answers as the scenario says, requests of one kind in the order of their replies, the last
    for ever; what it does not know, with 404."""

    exchanges: Sequence[Exchange]
    asked: list[Asked] = field(default_factory=list)
    ports: tuple[int, int] = (0, 0)
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    _given: dict[int, int] = field(default_factory=dict)

    def detour(self, port: int) -> int:
        """The port here of a server on that port: TLS, unless its URL says otherwise."""
        plain = {_PLAIN, *(_port(each.url) for each in self.exchanges if _is_plain(each.url))}
        return self.ports[0] if port in plain else self.ports[1]

    async def answer(self, request: Request) -> Response:
        url = str(request.url)
        body = (await request.body()).decode(errors="replace")
        reply = self._reply(request.method, url)
        self.asked.append(
            Asked(request.method, url, dict(request.headers), body, reply is not None)
        )
        if reply is None:
            return Response("This scenario has no answer for the request.", 404)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(reply.after):
                await self.closing.wait()
        if reply.body is None:
            return Response(status_code=reply.status)
        if isinstance(reply.body, str):
            return Response(reply.body, reply.status, media_type="text/plain")
        return Response(json.dumps(reply.body), reply.status, media_type="application/json")

    def _reply(self, method: str, url: str) -> Reply | None:
        fitting = [
            each for each in self.exchanges if each.method == method and same_place(each.url, url)
        ]
        if not fitting:
            return None
        key = id(fitting[0])
        turn = self._given.get(key, 0)
        self._given[key] = turn + 1
        return fitting[min(turn, len(fitting) - 1)].reply


def same_place(written: str, asked: str) -> bool:
    """Whether a URL that was asked is the one that is written; a query counts if one is written."""
    one, other = urlsplit(written), urlsplit(asked)
    places = [(url.scheme, url.hostname, url.path or "/") for url in (one, other)]
    queries = [sorted(parse_qsl(url.query, keep_blank_values=True)) for url in (one, other)]
    alike = places[0] == places[1] and _port(written) == _port(asked)
    return alike and (not one.query or queries[0] == queries[1])


def _port(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or (_PLAIN if parts.scheme == "http" else 443)


def _is_plain(url: str) -> bool:
    return urlsplit(url).scheme == "http"


async def somewhere(host: str) -> Sequence[str]:
    """The address of any name."""
    return (SOMEWHERE,)


def client_context() -> ssl.SSLContext:
    """TLS to the stand-in."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return _anonymous(context)


def _anonymous(context: ssl.SSLContext) -> ssl.SSLContext:
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_ANONYMOUS)
    return context


@contextlib.asynccontextmanager
async def standing_in(exchanges: Sequence[Exchange]) -> AsyncIterator[StandIn]:
    """Others' servers, on two ports of loopback, until the block ends."""
    standin = StandIn(exchanges)
    app = Starlette(routes=[Route("/{path:path}", standin.answer, methods=_METHODS)])
    config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False)
    config.load()
    state = ServerState()

    def connection() -> HttpToolsProtocol:
        return HttpToolsProtocol(config=config, server_state=state, app_state={})

    loop = asyncio.get_running_loop()
    context = _anonymous(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    servers = [
        await loop.create_server(connection, "127.0.0.1", 0, ssl=each) for each in (None, context)
    ]
    first, second = (cast("tuple[str, int]", each.sockets[0].getsockname())[1] for each in servers)
    standin.ports = (first, second)
    try:
        yield standin
    finally:
        for server in servers:
            server.close()
        standin.closing.set()
        await _disconnect(state)


async def _disconnect(state: ServerState) -> None:
    """Connections and tasks are gone."""
    await asyncio.gather(*state.tasks, return_exceptions=True)
    for each in list(state.connections):
        each.transport.abort()
    # Each leaves in a callback of its own, which uvicorn has no event for.
    while state.connections:  # noqa: ASYNC110
        await asyncio.sleep(0)
