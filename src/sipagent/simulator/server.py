"""The simulator as an application, and as a server on a port."""

import asyncio
import contextlib
import logging
import socket
import ssl as tls
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import uvicorn
from starlette.applications import Starlette
from uvicorn.server import ServerState

from sipagent.errors import SimulatorError
from sipagent.simulator.control import control_routes
from sipagent.simulator.exchange import Exchange
from sipagent.simulator.reading import Reading
from sipagent.simulator.sockets import CallSocket, HttpConnection

logger = logging.getLogger(__name__)

_MAX_FRAME = 16 * 1024 * 1024
_BACKLOG = 4096


class Simulator(Exchange):
    """The simulated carrier and provider: `app` serves both, `url` is where.

    Sockets and scripted connection faults need `running_simulator`, which opens uvicorn's
    protocols up; the rest of `app` works under any ASGI server.
    """

    def __init__(self, webhook_secret: str, deliver_to: str | None = None, **options: Any) -> None:
        super().__init__(webhook_secret, deliver_to, **options)
        provider = [*self._provider.routes(), *self._talks.routes()]
        routes = [*control_routes(self), *provider, *self.entra.routes()]
        self.app = Starlette(routes=routes)
        self._url: str | None = None

    @property
    def url(self) -> str:
        if self._url is None:
            raise SimulatorError("the simulator is not being served")
        return self._url

    @property
    def reading(self) -> Reading:
        """The models that read texts, and what they were asked."""
        return self._provider.reading

    @property
    def base_url(self) -> str:
        """What an openai client takes as its base URL."""
        return f"{self.url}/v1"

    @property
    def azure_base_url(self) -> str:
        """The same as an Azure OpenAI resource has it; `url` is also the authority of Entra."""
        return f"{self.url}/openai/v1"


@contextlib.asynccontextmanager
async def running_simulator(
    webhook_secret: str,
    deliver_to: str | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    ssl_certfile: str | Path | None = None,
    ssl_keyfile: str | Path | None = None,
    **options: Any,
) -> AsyncIterator[Simulator]:
    """A simulator that is served in this event loop, by default on a free loopback port."""
    simulator = Simulator(webhook_secret, deliver_to, **options)
    async with serving(simulator, host, port, ssl_certfile, ssl_keyfile):
        yield simulator


@contextlib.asynccontextmanager
async def serving(
    simulator: Simulator,
    host: str,
    port: int,
    ssl_certfile: str | Path | None = None,
    ssl_keyfile: str | Path | None = None,
) -> AsyncIterator[None]:
    """The simulator answers at its `url`; in the end its connections and tasks are gone.

    Raises:
        SimulatorError: the port cannot be had.
    """
    config = uvicorn.Config(
        simulator.app,
        http=HttpConnection,
        ws=CallSocket,
        lifespan="off",
        log_config=None,
        access_log=False,
        ws_per_message_deflate=False,
        ws_ping_interval=None,
        ws_max_size=_MAX_FRAME,
        timeout_keep_alive=75,
    )
    config.load()
    state = ServerState()
    context = _tls_context(ssl_certfile, ssl_keyfile) if ssl_certfile is not None else None
    server = await _listen(config, state, host, port, context)
    bound = cast("tuple[str, int]", server.sockets[0].getsockname())
    scheme = "https" if context is not None else "http"
    simulator._url = f"{scheme}://{_in_url(host)}:{bound[1]}"
    try:
        yield
    finally:
        simulator._url = None
        server.close()
        await simulator.aclose()
        await _disconnect(state)


async def _listen(
    config: uvicorn.Config, state: ServerState, host: str, port: int, context: tls.SSLContext | None
) -> asyncio.Server:
    def connection() -> HttpConnection:
        return HttpConnection(config=config, server_state=state, app_state={})

    loop = asyncio.get_running_loop()
    try:
        return await loop.create_server(connection, host, port, ssl=context, backlog=_BACKLOG)
    except (OSError, socket.gaierror) as error:
        raise SimulatorError(f"cannot listen on {host}:{port}: {error}") from error


async def _disconnect(state: ServerState) -> None:
    """Whoever waits for a request of ours sees its connection cut; then our tasks have ended."""
    for connection in list(state.connections):
        connection.transport.abort()
    await asyncio.sleep(0)
    tasks = list(state.tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    # Each leaves in a callback of its own, which uvicorn has no event for.
    while state.connections:  # noqa: ASYNC110
        await asyncio.sleep(0)


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _tls_context(certfile: str | Path, keyfile: str | Path | None) -> tls.SSLContext:
    context = tls.SSLContext(tls.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certfile, keyfile)
    return context
