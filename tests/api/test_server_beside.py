"""A second listener: begun after the service, open while it drains, closed with it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import FastAPI

from sipagent.api.server import GracefulServer, server_config
from tests.process.running import free_port
from tests.waiting import eventually


class Pair:
    """A server with another beside it, on ports of their own; `drained` ends its drain."""

    def __init__(self, *, port: int | None = None) -> None:
        self.told: list[str] = []
        self.drained = asyncio.Event()
        self.leave_at_once = False
        self.public, self.admin = free_port(), port or free_port()

        @asynccontextmanager
        async def life(_: FastAPI) -> AsyncIterator[None]:
            self.told.append("begun")
            self.server.should_exit = self.leave_at_once
            yield
            self.told.append("ended")

        main = FastAPI(openapi_url=None, lifespan=life)
        beside = FastAPI(openapi_url=None)
        for app, name in ((main, "main"), (beside, "beside")):
            app.add_api_route("/", self._named(name))
        self.server = GracefulServer(
            server_config(main, "127.0.0.1", self.public, graceful_timeout=2),
            on_drain=self._drain,
            on_abort=lambda: self.told.append("aborted"),
            kill_after=None,
            beside=server_config(
                beside, "127.0.0.1", self.admin, graceful_timeout=2, lifespan="off"
            ),
        )

    def _named(self, name: str):  # type: ignore[no-untyped-def]
        async def told() -> str:
            self.told.append(name)
            return name

        return told

    async def _drain(self) -> None:
        self.told.append("draining")
        await self.drained.wait()

    async def ask(self, port: int) -> httpx.Response:
        async with httpx.AsyncClient() as client:
            return await client.get(f"http://127.0.0.1:{port}/")


async def test_both_answer_through_the_drain_and_close_with_it() -> None:
    pair = Pair()
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        served = group.create_task(pair.server.serve())
        beside = pair.server.beside
        assert beside is not None
        await eventually(lambda: beside.started)
        assert [(await pair.ask(port)).json() for port in (pair.public, pair.admin)] == [
            "main",
            "beside",
        ]
        pair.server.should_exit = True
        await eventually(lambda: "draining" in pair.told)
        answer = await pair.ask(pair.admin)
        assert (answer.json(), bool(answer.headers["date"])) == ("beside", True)
        pair.drained.set()
        await served
    assert pair.told == ["begun", "main", "beside", "draining", "beside", "ended"]
    for port in (pair.public, pair.admin):
        with pytest.raises(httpx.ConnectError):
            await pair.ask(port)
    assert pair.server.exit_code == 0


async def test_a_signal_while_it_starts_ends_it_before_the_other_begins() -> None:
    pair = Pair()
    pair.leave_at_once = True
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        served = group.create_task(pair.server.serve())
        await eventually(lambda: "draining" in pair.told)
        pair.drained.set()
        await served
    assert pair.server.beside is not None
    assert not pair.server.beside.started
    assert pair.told == ["begun", "draining", "ended"]


async def test_where_the_other_cannot_listen_nothing_is_left_running() -> None:
    taken = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    async with taken:
        pair = Pair(port=taken.sockets[0].getsockname()[1])
        with pytest.raises(SystemExit):
            await pair.server.serve()
        assert pair.told == ["begun", "ended"]
        assert pair.server.exit_code == 3
        with pytest.raises(httpx.ConnectError):
            await pair.ask(pair.public)
