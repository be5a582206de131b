"""A guarded server for tests, in this process or in one of its own, and a raw client for it."""

import asyncio
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse

from sipagent.api.server import (
    ConnectionLimits,
    ConnectionStats,
    GracefulServer,
    read_body,
    server_config,
)

PATIENCE = 20.0
"""Seconds after which a test gives up waiting for what should happen at once."""


GET = b"GET /ok HTTP/1.1\r\nHost: x\r\n\r\n"


def post(size: int | str, path: str = "/hook", more: str = "") -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n{more}\r\n".encode()


CHUNKED = b"POST /hook HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@dataclass
class Doings:
    """What the test application did and shall do."""

    bodies: list[bytes | None] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    disconnected: asyncio.Event = field(default_factory=asyncio.Event)
    draining: asyncio.Event = field(default_factory=asyncio.Event)
    aborts: int = 0


def application(doings: Doings, lifespan: Callable[..., object] | None = None) -> FastAPI:
    app = FastAPI(openapi_url=None, lifespan=lifespan)  # type: ignore[arg-type]

    @app.get("/ready")
    async def ready() -> Response:
        return PlainTextResponse("", 503 if doings.draining.is_set() else 200)

    @app.api_route("/ok", methods=["GET", "POST"])
    async def ok(n: int = 0) -> Response:
        return PlainTextResponse(f"ok {n}")

    @app.post("/hook")
    async def hook(request: Request) -> Response:
        body = await read_body(request)
        doings.bodies.append(body)
        doings.headers.append(dict(request.headers))
        if body is None:
            return PlainTextResponse("", 413, headers={"connection": "close"})
        return JSONResponse({"size": len(body)})

    @app.post("/late")
    async def late(request: Request) -> Response:
        doings.entered.set()
        await doings.release.wait()
        body = await request.body()
        return JSONResponse({"size": len(body)})

    @app.get("/disconnect")
    async def disconnect(request: Request) -> Response:
        doings.entered.set()
        assert await request.receive() == {"type": "http.request", "body": b"", "more_body": False}
        assert await request.receive() == {"type": "http.disconnect"}
        doings.disconnected.set()
        return PlainTextResponse("")

    @app.get("/stream")
    async def stream(count: int, every: float) -> Response:
        async def lines() -> AsyncGenerator[str, None]:
            for number in range(count):
                yield f"{number}\n"
                await asyncio.sleep(every)

        return StreamingResponse(lines())

    return app


@dataclass
class Serving:
    """A server that runs. `drained` is awaited by its drain."""

    server: GracefulServer
    port: int
    stats: ConnectionStats
    doings: Doings
    drained: asyncio.Event

    async def connect(self) -> "Client":
        return Client(*await asyncio.open_connection("127.0.0.1", self.port))

    async def stays_usable(self) -> None:
        client = await self.connect()
        client.send(GET)
        assert (await client.answer())[0] == 200
        await client.close()

    async def exchange(self, data: bytes) -> bytes:
        """Everything that comes back on a connection of its own, until its end."""
        client = await self.connect()
        client.send(data)
        return await client.until_closed()


@dataclass
class Client:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> tuple[int, bytes]:
        """The next response's status and body, by its Content-Length."""
        async with asyncio.timeout(PATIENCE):
            head = await self.reader.readuntil(b"\r\n\r\n")
            status = int(head.split()[1])
            size = 0
            for line in head.lower().split(b"\r\n"):
                if line.startswith(b"content-length:"):
                    size = int(line.split(b":")[1])
            return status, await self.reader.readexactly(size)

    async def until_closed(self) -> bytes:
        """What is still received before the server closes the connection."""
        received = bytearray()
        async with asyncio.timeout(PATIENCE):
            with suppress(ConnectionError):
                while data := await self.reader.read(65536):
                    received += data
        await self.close()
        return bytes(received)

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()

    async def flood(self, piece: bytes) -> int:
        """Send until the connection breaks; how many bytes could be sent."""
        sent = 0
        async with asyncio.timeout(PATIENCE):
            with suppress(ConnectionError):
                while True:
                    self.send(piece)
                    await self.writer.drain()
                    sent += len(piece)
        await self.close()
        return sent


@asynccontextmanager
async def serving(**limits: float) -> AsyncIterator[Serving]:
    """A server on loopback. It drains and ends when the block does."""
    doings, stats, drained = Doings(), ConnectionStats(), asyncio.Event()
    bounds = ConnectionLimits(**limits)  # type: ignore[arg-type]

    async def on_drain() -> None:
        doings.draining.set()
        await drained.wait()

    def on_abort() -> None:
        doings.aborts += 1

    config = server_config(
        application(doings), "127.0.0.1", 0, limits=bounds, stats=stats, graceful_timeout=2
    )
    server = GracefulServer(config, on_drain=on_drain, on_abort=on_abort, kill_after=None)
    async with asyncio.TaskGroup() as group, asyncio.timeout(60):
        group.create_task(server.serve(), name="server")
        while not server.started:
            await asyncio.sleep(0.005)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield Serving(server, port, stats, doings, drained)
        server.should_exit = True
        doings.release.set()
        drained.set()


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.005)


def _say(word: str) -> None:
    print(word, flush=True)


async def _drain_at_once() -> None:
    _say("draining")


async def _drain_never() -> None:
    _say("draining")
    await asyncio.Event().wait()


async def _drain_deaf() -> None:
    _say("draining")
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            continue


async def _drain_in_thread() -> None:
    _say("draining")
    await asyncio.to_thread(time.sleep, 60)


async def _drain_crash() -> None:
    _say("draining")
    raise RuntimeError("crash")


DRAINS: dict[str, Callable[[], Awaitable[None]]] = {
    "at-once": _drain_at_once,
    "never": _drain_never,
    "deaf": _drain_deaf,
    "in-thread": _drain_in_thread,
    "crash": _drain_crash,
}


def main(drain: str, port: int, lifespan: str = "") -> int:
    """A server in a process of its own: says its port, and what happens to it."""

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        if lifespan == "fails":
            raise RuntimeError("cannot start")
        yield
        _say("lifespan ended")

    class Talking(GracefulServer):
        async def startup(self, sockets: object = None) -> None:
            await super().startup()
            _say(f"port {self.servers[0].sockets[0].getsockname()[1]}")

    config = server_config(application(Doings(), life), "127.0.0.1", port, graceful_timeout=2)
    server = Talking(config, on_drain=DRAINS[drain], on_abort=lambda: _say("aborted"))
    return server.run_until_exit()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:]))
