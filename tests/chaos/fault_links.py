"""Two replicas whose five links to everything else lead through a proxy each."""

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from sipagent.simulator import Simulator, running_simulator
from tests.chaos.shared_books import SharedBooks
from tests.faults import CHUNK, Proxy
from tests.listening import listening
from tests.process.running import SECRET
from tests.process.test_kill_tools import Bookings, booking
from tests.replicas.fleet import Fleet, servers
from tests.servers import PostgresServer, RedisServer
from tests.store.support import postgresql_database

T = TypeVar("T")

LINKS: Final = ("rest", "socket", "engine", "database", "tool")
"""OpenAI's REST API, the calls' sockets, Redis, PostgreSQL, the API that a tool asks."""

CLERK: Final = "+17134810111"
GREETING: Final = "Thank you for calling Acme, how can I help?"
AGENTS: Final = f"""
version: 1
defaults: {{{{model: gpt-realtime-2.1, transcription: gpt-live-transcribe}}}}
tenants:
  default: {{{{max_concurrent_calls: 1000}}}}
agents:
  clerk:
    instructions: You answer the telephone of Acme.
    greeting: "{GREETING}"
    tools:
      - http:
          name: book
          description: Book a table.
          url: "{{url}}"
          effects: once
          parameters:
            type: object
            properties: {{{{order_no: {{{{type: string}}}}}}}}
            required: [order_no]
numbers: {{{{"{CLERK}": clerk}}}}
"""

REPLICAS: Final = 2


class Front:
    """One address, behind which requests for sockets go one way and all others another: a
    connection is told apart by its first request.

    What has been closed or reset behind it is closed or reset before it; where nobody listens
    behind it, its client is reset.
    """

    def __init__(self, rest: Proxy, sockets: Proxy) -> None:
        self._rest = rest
        self._sockets = sockets
        self.url = ""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        async with listening(self._take, limit=CHUNK) as server:
            host, port = server.sockets[0].getsockname()
            self.url = f"http://{host}:{port}/v1"
            yield

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = [writer]
        try:
            await self._joined(reader, ends)
            for end in ends:
                end.close()
            for end in ends:
                with contextlib.suppress(OSError):
                    await end.wait_closed()
        finally:
            for end in ends:
                end.transport.abort()

    async def _joined(self, reader: asyncio.StreamReader, ends: list[asyncio.StreamWriter]) -> None:
        """The connection has come to its end, on both sides; `ends` are what writes to them."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            behind = self._sockets if b"upgrade: websocket" in head.lower() else self._rest
            there, on = await asyncio.open_connection(behind.host, behind.port, limit=CHUNK)
            ends.append(on)
            on.write(head)
            async with asyncio.TaskGroup() as ways:
                ways.create_task(_carry(reader, on))
                ways.create_task(_carry(there, ends[0]))
        except* (OSError, asyncio.IncompleteReadError):
            for end in ends:
                _reset(end)


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(CHUNK):
        writer.write(chunk)
        await writer.drain()
    writer.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    held: socket.socket | None = writer.get_extra_info("socket")
    if held is not None and held.fileno() != -1:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@dataclass(slots=True)
class Scene:
    """Replicas that are ready, and what lies between them and everything else."""

    fleet: Fleet
    links: dict[str, Proxy]
    redis: RedisServer
    books: SharedBooks
    bookings: Bookings
    spoilt: bool = False
    """Whether a cell has failed in it: the next one gets fresh replicas."""

    _cells: "count[int]" = field(default_factory=count)

    @property
    def simulator(self) -> Simulator:
        return self.fleet.simulator

    @property
    def names(self) -> list[str]:
        return self.fleet.alive

    def cell(self) -> int:
        """A number that no cell has had."""
        return next(self._cells)

    async def refresh(self) -> None:
        """Nothing is left of the replicas that there were, if a cell has spoilt them."""
        for proxy in self.links.values():
            await proxy.heal()
        if self.spoilt or not self.names:
            await asyncio.gather(*(each.kill() for each in self.fleet.replicas.values()))
            self.fleet.replicas.clear()
            for call in self.simulator.calls:
                call.end("caller")
            await asyncio.to_thread(self.redis.empty)
            await asyncio.gather(*(self.fleet.start() for _ in range(REPLICAS)))
            self.spoilt = False

    def crashes(self) -> list[str]:
        """What a process has said that no fault of a network may make it say."""
        found = [
            f"{name} has ended: {process.running.returncode}"
            for name, process in self.fleet.replicas.items()
            if process.running.returncode is not None
        ]
        for process in self.fleet.replicas.values():
            for line in process.log:
                bug = line.get("outcome") == "failed.internal_error"
                if bug or "exception" in line or "crash" in line["event"]:
                    found.append(json.dumps(line))
        return found


@asynccontextmanager
async def scene(
    folder: Path, redis: RedisServer, postgres: PostgresServer, database: str
) -> AsyncIterator[Scene]:
    """Nothing runs yet; `refresh` starts the replicas. All of it is gone at the end."""
    async with AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(running_simulator(SECRET))
        bookings = await stack.enter_async_context(booking())
        place, desk = urlsplit(simulator.url), urlsplit(bookings.url)
        behind: dict[str, tuple[str, int] | Path] = {
            "rest": (str(place.hostname), int(place.port or 0)),
            "socket": (str(place.hostname), int(place.port or 0)),
            "engine": redis.address,
            "database": postgres.address,
            "tool": (str(desk.hostname), int(desk.port or 0)),
        }
        links = {
            name: await stack.enter_async_context(Proxy(address))
            for name, address in behind.items()
        }
        front = Front(links["rest"], links["socket"])
        await stack.enter_async_context(front.open())
        agents = AGENTS.format(url=links["tool"].through(bookings.url))
        (folder / "agents.yaml").write_text(agents)
        variables = {
            "OPENAI_BASE_URL": front.url,
            "SIPAGENT_ENGINE": links["engine"].through(redis.url),
            "SIPAGENT_DATABASE_URL": links["database"].through(database),
            "SIPAGENT_HTTP_TOOLS_ALLOW": "127.0.0.0/8",
        }
        fleet = Fleet(folder, simulator, variables)
        made = Scene(fleet, links, redis, SharedBooks(database, redis.url), bookings)
        try:
            yield made
        finally:
            await asyncio.gather(*(each.kill() for each in fleet.replicas.values()))


class Stage:
    """A scene on a loop of its own, which lives as long as the tests of a module."""

    def __init__(self, made: Scene) -> None:
        self.scene = made
        self.over = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def play(self, work: Coroutine[Any, Any, T]) -> T:
        """What comes of this, on the scene's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(90)

    def end(self) -> None:
        """Nothing of it is needed any more."""
        self._loop.call_soon_threadsafe(self.over.set)


@contextmanager
def stage(folder: Path) -> Iterator[Stage]:
    """A scene with a Redis and a PostgreSQL of its own."""
    ready: Future[Stage] = Future()

    async def live(redis: RedisServer, postgres: PostgresServer, database: str) -> None:
        async with scene(folder, redis, postgres, database) as made:
            ready.set_result(on := Stage(made))
            await on.over.wait()

    with (
        servers() as (redis, postgres),
        postgresql_database(postgres.url) as database,
        ThreadPoolExecutor(1, thread_name_prefix="scene") as threads,
    ):
        ended = threads.submit(asyncio.run, live(redis, postgres, database))
        ended.add_done_callback(lambda done: _failed(done, ready))
        made = ready.result(30)
        try:
            yield made
        finally:
            made.end()
            ended.result(30)


def _failed(done: "Future[None]", ready: "Future[Stage]") -> None:
    """Whoever waits for a scene learns why there is none."""
    if not ready.done():
        ready.set_exception(done.exception() or RuntimeError("no scene"))
