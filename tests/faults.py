"""A proxy in front of anything that listens, which does to connections what networks do.

The faults are those of `tests.toxics`. One is in force at a time, for the connections that live
and for those to come; it is set and healed while bytes are under way, and none of them is lost or
changes places unless the fault says so.
"""

import asyncio
import random
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

from tests.listening import Connections
from tests.servers import steady_port
from tests.toxics import (
    BOTH,
    Bandwidth,
    BlackHole,
    Down,
    Fault,
    Latency,
    LimitData,
    ResetPeer,
    Slicer,
    SlowClose,
    Way,
    due,
    lives,
)

CHUNK: Final = 65_536
UNDER_WAY: Final = 1024
"""Chunks that may wait in one direction before the sender is held up."""

TICK: Final = 0.02
"""Seconds of a limited bandwidth that are passed on at once."""


class _Cut(Exception):
    """The fault has the connection end here."""


class Proxy:
    """Listens on loopback while its block lasts and passes on to a port or a Unix socket.

    A client whose server refuses it is reset: the proxy has taken its connection by then.
    """

    def __init__(self, upstream: tuple[str, int] | Path) -> None:
        self.upstream = upstream
        self.host = "127.0.0.1"
        self.port = 0
        self.fault: Fault | None = None
        self.connections = 0
        self.over = asyncio.Event()  # for who runs it elsewhere
        self.passed = {Way.UP: 0, Way.DOWN: 0}
        self._connections = Connections(self._take)
        self._listener: asyncio.Server | None = None
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        for _ in range(5):
            self.port = steady_port()
            try:
                await self._listen()
            except OSError:  # taken by now
                continue
            return self
        raise RuntimeError("no port to listen on")

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()
        await self._connections.end()

    @property
    def open(self) -> int:
        """How many connections live now."""
        return len(self._connections)

    def through(self, url: str) -> str:
        """The URL of the same thing by way of this proxy."""
        parts = urlsplit(url)
        user = parts.netloc.rpartition("@")[0]
        place = f"{self.host}:{self.port}"
        return parts._replace(netloc=f"{user}@{place}" if user else place).geturl()

    async def inflict(self, fault: Fault) -> None:
        """This fault, and no other, is in force from here on."""
        await self._change(fault)

    async def heal(self) -> None:
        """Everything gets through again, on the connections that still live too."""
        await self._change(None)

    @asynccontextmanager
    async def under(self, fault: Fault) -> AsyncIterator[None]:
        """The fault is in force as long as the block lasts."""
        await self.inflict(fault)
        try:
            yield
        finally:
            await self.heal()

    async def _change(self, fault: Fault | None) -> None:
        self.fault = fault
        self._changed.set()
        self._changed = asyncio.Event()
        if isinstance(fault, Down):
            self._close()
        elif self._listener is None:
            await self._listen()

    async def until_changed(self, seconds: float | None = None) -> None:
        """Another fault, or none, is in force; or so many seconds have passed."""
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return

    async def _listen(self) -> None:
        self._listener = await asyncio.start_server(
            self._connections.take, self.host, self.port, reuse_address=True, limit=CHUNK
        )

    def _close(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        await _Link(self, reader, writer).run()


class _Link:
    """One connection of a client, and the one to the server that belongs to it."""

    def __init__(
        self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._proxy = proxy
        self._reader = reader
        self._writers = [writer]
        self._opened = _now()
        self._reset = False

    async def run(self) -> None:
        """The connection has ended, on both sides."""
        try:
            await self._held()
            await self._close()
        finally:
            for writer in self._writers:
                writer.transport.abort()

    async def _held(self) -> None:
        """One side, or the fault, has ended it."""
        try:
            await self._pass_on()
        except* _Cut:
            pass
        except* OSError:  # one side is gone, which the other learns
            self._reset = True

    async def _close(self) -> None:
        for writer in self._writers:
            _reset(writer) if self._reset else writer.close()
        for writer in self._writers:
            with suppress(OSError):
                await writer.wait_closed()

    async def _pass_on(self) -> None:
        reader, writer = await self._dialled()
        self._writers.append(writer)
        async with asyncio.TaskGroup() as tasks:
            doom = tasks.create_task(self._meet_doom())
            pipes = _Pipe(self._proxy, Way.UP), _Pipe(self._proxy, Way.DOWN)
            ends = (self._reader, writer), (reader, self._writers[0])
            work = [
                tasks.create_task(part)
                for pipe, (source, target) in zip(pipes, ends, strict=True)
                for part in (pipe.fill(source), pipe.pour(target))
            ]
            await asyncio.wait(work)
            doom.cancel()

    async def _dialled(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        upstream = self._proxy.upstream
        if isinstance(upstream, Path):
            return await asyncio.open_unix_connection(upstream, limit=CHUNK)
        return await asyncio.open_connection(*upstream, limit=CHUNK)

    async def _meet_doom(self) -> None:
        """Ends the connection when a fault wants it ended, whatever is under way."""
        began, seen = self._opened, self._proxy.fault
        while True:
            fault = self._proxy.fault
            if fault is not seen:
                began, seen = _now(), fault
            granted = lives(fault)
            left = None if granted is None else began + granted - _now()
            if left is not None and left <= 0:
                self._reset = isinstance(fault, ResetPeer)
                raise _Cut
            await self._proxy.until_changed(left)


class _Pipe:
    """One direction of a connection, in order."""

    def __init__(self, proxy: Proxy, way: Way) -> None:
        self._proxy = proxy
        self._way = way
        self._passed = 0
        self._under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(UNDER_WAY)

    async def fill(self, reader: asyncio.StreamReader) -> None:
        """All that came has its time of arrival; an empty chunk is the end."""
        chunk = b"-"
        while chunk:
            chunk = await reader.read(CHUNK)
            await self._under_way.put((_now(), chunk))

    async def pour(self, writer: asyncio.StreamWriter) -> None:
        """All that came went on as the fault has it, and so did the end."""
        while True:
            arrived, chunk = await self._under_way.get()
            shaken = random.uniform(-1, 1)
            if not chunk:
                break
            while chunk:
                piece, wait = self._next(chunk, arrived, shaken)
                if piece:
                    await self._write(writer, piece)
                    chunk = chunk[len(piece) :]
                if wait is None or wait > 0:
                    await self._proxy.until_changed(wait)
        while (wait := self._before_end(arrived, shaken)) is None or wait > 0:
            await self._proxy.until_changed(wait)
        writer.write_eof()

    async def _write(self, writer: asyncio.StreamWriter, piece: bytes) -> None:
        writer.write(piece)
        await writer.drain()
        self._passed += len(piece)
        self._proxy.passed[self._way] += len(piece)
        fault = self._fault()
        if isinstance(fault, LimitData) and self._passed >= fault.size:
            raise _Cut

    def _fault(self) -> Fault | None:
        """What is in force in this direction."""
        fault = self._proxy.fault
        return fault if self._way in getattr(fault, "ways", BOTH) else None

    def _next(self, chunk: bytes, arrived: float, shaken: float) -> tuple[bytes, float | None]:
        """What goes on now, and the seconds to wait afterwards; None is until the fault changes."""
        match self._fault():
            case Latency() as late:
                left = due(late, arrived, shaken) - _now()
                return (b"", left) if left > 0 else (chunk, 0.0)
            case BlackHole():
                return b"", None
            case Bandwidth(bytes_per_second=rate):
                piece = chunk[: max(1, int(rate * TICK))]
                return piece, len(piece) / rate
            case Slicer(size=size, seconds=seconds):
                return chunk[:size], seconds
            case LimitData(size=size):
                left_over = max(0, size - self._passed)
                if not left_over:
                    raise _Cut
                return chunk[:left_over], 0.0
            case _:
                return chunk, 0.0

    def _before_end(self, arrived: float, shaken: float) -> float | None:
        """The seconds until the other side may learn of the end."""
        match self._fault():
            case SlowClose(seconds=seconds):
                return arrived + seconds - _now()
            case Latency() as late:
                return due(late, arrived, shaken) - _now()
            case BlackHole():
                return None
            case _:
                return 0.0


class ThreadedProxy:
    """A proxy on a loop of its own, for tests that block and for processes under test."""

    def __init__(self, proxy: Proxy, loop: asyncio.AbstractEventLoop) -> None:
        self.proxy = proxy
        self._loop = loop

    def inflict(self, fault: Fault) -> None:
        """This fault, and no other, is in force from here on."""
        asyncio.run_coroutine_threadsafe(self.proxy.inflict(fault), self._loop).result(10)

    def heal(self) -> None:
        """Everything gets through again."""
        asyncio.run_coroutine_threadsafe(self.proxy.heal(), self._loop).result(10)

    def end(self) -> None:
        """Nothing is passed on any more, and the thread ends."""
        self._loop.call_soon_threadsafe(self.proxy.over.set)


@contextmanager
def threaded_proxy(upstream: tuple[str, int] | Path) -> Iterator[ThreadedProxy]:
    """A proxy whose thread lives as long as the block."""
    ready: Future[ThreadedProxy] = Future()

    async def serve() -> None:
        async with Proxy(upstream) as proxy:
            ready.set_result(ThreadedProxy(proxy, asyncio.get_running_loop()))
            await proxy.over.wait()

    with ThreadPoolExecutor(1, thread_name_prefix="proxy") as threads:
        ended = threads.submit(asyncio.run, serve())
        proxy = ready.result(10)
        try:
            yield proxy
        finally:
            proxy.end()
            ended.result(10)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _reset(writer: asyncio.StreamWriter) -> None:
    """The peer sees a reset and not an end."""
    held: socket.socket | None = writer.get_extra_info("socket")
    if held is not None and held.fileno() != -1 and held.family != socket.AF_UNIX:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
