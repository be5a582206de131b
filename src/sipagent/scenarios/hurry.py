"""An event loop whose clock hurries, and whose network leads nowhere but to the stage.

While anything is to be done, time passes as it does; when all that is left is to wait for a timer,
the clock jumps to it. A minute of silence takes no longer than a moment, and nothing that waits
for an answer of this very process runs out of time.
"""

import asyncio
import ipaddress
import selectors
import socket
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, Final, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

QUIET: Final = 0.001
"""Seconds without a byte on a socket, after which only timers are waited for."""


class Hurrying(selectors.DefaultSelector):
    """A selector that does not wait for timers: it counts what it has `skipped`."""

    def __init__(self) -> None:
        super().__init__()
        self.skipped = 0.0
        self.working = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= QUIET:
            return super().select(timeout)
        # While a thread works its end is waited for, as it would be.
        ready = super().select(timeout if self.working else QUIET)
        if not ready and not self.working:
            self.skipped += timeout - QUIET
        return ready


class HurriedLoop(asyncio.SelectorEventLoop):
    """`own` are the ports on loopback that are the stage's; a connection to any other place is made
    to the port that `detour` gives for it."""

    def __init__(self) -> None:
        self._hurrying = Hurrying()
        super().__init__(self._hurrying)
        self.own: set[int] = set()
        self.detour: Callable[[int], int] | None = None

    def time(self) -> float:
        return time.monotonic() + self._hurrying.skipped

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> "asyncio.Future[T]":
        self._hurrying.working += 1
        try:
            future = super().run_in_executor(executor, func, *args)
        except BaseException:
            self._hurrying.working -= 1
            raise
        future.add_done_callback(self._rested)
        return future

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        host, port = address[:2]
        if not (_is_loopback(host) and port in self.own):
            if self.detour is None:
                raise ConnectionRefusedError("a stage has no network")
            address = ("127.0.0.1", self.detour(port), *address[2:])
        await super().sock_connect(sock, address)

    async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> Any:
        """Only addresses that are written out lead anywhere."""
        if isinstance(host, str) and not _is_address(host):
            raise socket.gaierror(socket.EAI_NONAME, "a stage has no name server")
        return await super().getaddrinfo(host, port, **options)

    def _rested(self, _: "asyncio.Future[Any]") -> None:
        self._hurrying.working -= 1


class StageClock:
    """The stage's clocks: monotonic is the loop's, and wall time begins at `begins`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, begins: float) -> None:
        self._loop = loop
        self._offset = begins - loop.time()

    def monotonic(self) -> float:
        return self._loop.time()

    def wall(self) -> float:
        return self._loop.time() + self._offset


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return _is_address(host) and ipaddress.ip_address(host).is_loopback
