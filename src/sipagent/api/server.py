"""The HTTP server: uvicorn with guarded connections, an orderly end and bounded bodies.

A *drain* is what happens between the first signal and the closing of the listener.
"""

import asyncio
import os
import socket
import threading
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from types import FrameType
from typing import Any, Final, Literal

import structlog
import uvicorn
from fastapi import Request
from starlette.requests import ClientDisconnect
from uvicorn.config import STARTUP_FAILURE

from sipagent.api.connections import ConnectionLimits, ConnectionStats, GuardedProtocol
from sipagent.concurrency import TaskOwner
from sipagent.observability import write_waiting_lines

__all__ = [
    "MAX_BODY",
    "ConnectionLimits",
    "ConnectionStats",
    "GracefulServer",
    "GuardedProtocol",
    "read_body",
    "server_config",
]

log = structlog.get_logger(__name__)

MAX_BODY: Final = 64 * 1024

_TICK: Final = 0.1
_TICKS_PER_SECOND: Final = 10
_CANCEL_WITHIN: Final = 0.3
_LAST_WORDS: Final = 1.4


async def read_body(request: Request, limit: int = MAX_BODY) -> bytes | None:
    """The request's body as it was sent; None if it is larger than `limit` or was cut off.

    After None the answer must carry `Connection: close` (status 413; of a body that was cut off
    nobody reads it): what is unread is then thrown away, and the connection closed.
    """
    announced = request.headers.get("content-length", "").lstrip("0")
    if announced.isdecimal() and (len(announced) > len(str(limit)) or int(announced) > limit):
        return None
    body = bytearray()
    try:
        async with aclosing(request.stream()) as chunks:
            async for chunk in chunks:
                body += chunk
                if len(body) > limit:
                    return None
    except ClientDisconnect:
        return None
    return bytes(body)


def server_config(
    app: Any,
    host: str,
    port: int,
    *,
    limits: ConnectionLimits | None = None,
    stats: ConnectionStats | None = None,
    forwarded_allow_ips: str | None = None,
    backlog: int = 2048,
    graceful_timeout: int = 5,
    lifespan: Literal["on", "off"] = "on",
) -> uvicorn.Config:
    """uvicorn's configuration for one guarded listener.

    Logging is left to whoever configured it. `graceful_timeout` is how long open answers may
    take once the listener is closed. Of several listeners one has the `lifespan`.
    """
    bounds = limits or ConnectionLimits()
    members = {"limits": bounds, "stats": stats or ConnectionStats()}
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=type("GuardedProtocol", (GuardedProtocol,), members),
        ws="none",
        loop="auto",
        lifespan=lifespan,
        log_config=None,
        log_level=None,
        access_log=False,
        server_header=False,
        backlog=backlog,
        proxy_headers=forwarded_allow_ips is not None,
        forwarded_allow_ips=forwarded_allow_ips,
        timeout_keep_alive=bounds.keep_alive,
        timeout_graceful_shutdown=graceful_timeout,
    )


class BesideServer(uvicorn.Server):
    """A listener beside another server's, which begins, ticks and ends it."""

    async def begin(self) -> None:
        """It listens. Raises SystemExit where it cannot; the log says why."""
        self.config.load()
        self.lifespan = self.config.lifespan_class(self.config)
        await self.startup()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        _cut_stuck(self)
        await super().shutdown(sockets)

    def abort(self) -> None:
        """Every connection is lost at once."""
        self.force_exit = True
        for connection in list(self.server_state.connections):
            connection.transport.abort()


class GracefulServer(uvicorn.Server):
    """A server whose first signal drains and whose second ends everything at once.

    At the first SIGTERM or SIGINT `on_drain` is awaited while the listener still accepts and
    answers; then the listener closes, open answers have `timeout_graceful_shutdown`, and the
    lifespan ends. At the second `on_abort` is called, the drain is cancelled and the process ends
    with 128 + the signal's number; `kill_after` seconds later it is killed by force if something
    holds it up (a thread in a DNS query, say); None spares it, for tests.

    uvicorn raises the caught signal again at the end, which would make 143 or 130 of every clean
    end; this server does not, so a clean drain exits with 0. `should_exit = True` drains too.

    A listener `beside` it begins after it, when whatever the lifespan begins is there, and closes
    with it. Both accept while they drain.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        on_drain: Callable[[], Awaitable[None]],
        on_abort: Callable[[], None],
        kill_after: float | None = 1.9,
        beside: uvicorn.Config | None = None,
    ) -> None:
        super().__init__(config)
        self.beside = None if beside is None else BesideServer(beside)
        self._on_drain = on_drain
        self._on_abort = on_abort
        self._kill_after = kill_after
        self._aborted_by: int | None = None
        self._failed = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def run_until_exit(self) -> int:
        """Serve until a signal ends it; gives the process's exit code. Errors are logged."""
        try:
            self.run()
        except SystemExit:
            if self.started:
                raise
            # uvicorn has told of the error; what to do about it is not its to know.
            log.warning(
                "cannot listen", advice="PORT, HOST, SIPAGENT_ADMIN_PORT say where to listen"
            )
        return self.exit_code

    @property
    def exit_code(self) -> int:
        """0 after a clean drain, 1 if it failed, 3 if the server never started, 128 + n if cut."""
        if self._aborted_by is not None:
            return 128 + self._aborted_by
        if not self.started:
            return STARTUP_FAILURE
        return 1 if self._failed else 0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if not self.should_exit:
            self.should_exit = True
        elif not self.force_exit:
            self.force_exit = True
            self._aborted_by = sig
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._abort)
            if self._kill_after is not None:
                force = threading.Timer(self._kill_after, _killed, [128 + sig])
                force.daemon = True
                force.start()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        if self.beside is None or self.should_exit:
            return
        try:
            await self.beside.begin()
        except SystemExit:
            self.started = False
            await super().shutdown(sockets)
            raise

    async def on_tick(self, counter: int) -> bool:
        if self.beside is not None and self.beside.started:
            await self.beside.on_tick(counter)  # keeps its Date header true
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """The drain, then uvicorn's own end; after a second signal as little as possible."""
        await self._drain()
        _cut_stuck(self)
        async with asyncio.TaskGroup() as ends:
            if self.beside is not None and self.beside.started:
                ends.create_task(self.beside.shutdown(), name="close the listener beside")
            await super().shutdown(sockets)
        if self.force_exit:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LAST_WORDS):
                    await self.lifespan.shutdown()

    async def _drain(self) -> None:
        drain = TaskOwner(self._drain_failed)
        drain.start(self._drained(), name="drain")
        ticks = 0
        while not await drain.join(within=_TICK) and not self.force_exit:
            ticks = (ticks + 1) % _TICKS_PER_SECOND
            await self.on_tick(ticks)  # keeps the Date header true
        await drain.cancel(within=_CANCEL_WITHIN)

    async def _drained(self) -> None:
        await self._on_drain()

    def _drain_failed(self, _: str, error: BaseException) -> None:
        self._failed = True
        log.error("draining failed", exc_info=error)

    def _abort(self) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        if self.beside is not None:
            self.beside.abort()
        self._on_abort()


def _cut_stuck(server: uvicorn.Server) -> None:
    for connection in list(server.server_state.connections):
        if isinstance(connection, GuardedProtocol):
            connection.cut_if_stuck()


def _killed(code: int) -> None:
    """The process is gone, with its log as whole as can be had."""
    write_waiting_lines(within=0.2)
    os._exit(code)
