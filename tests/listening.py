"""Servers of tests whose connections all have an end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Connections:
    """What a server has taken: each is served by a task, and is closed whatever becomes of that.

    `asyncio.start_server` leaves one open whose task is cancelled before its first step, and at the
    end of the loop all others; that is told by a warning in some later test.
    """

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """For `asyncio.start_server`."""
        task = asyncio.get_running_loop().create_task(self._served(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(partial(self._over, writer))

    async def end(self) -> None:
        """None is left, nor any that was on its way when the server was closed."""
        await _turns()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await _turns()

    async def _served(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._serve(reader, writer)

    def _over(self, writer: asyncio.StreamWriter, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            writer.transport.abort()
            return
        writer.close()
        if (error := task.exception()) is not None:
            context = {"message": "connection not served", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)


async def _turns() -> None:
    """As many as the loop takes from an accepted connection to its task, or from its end to that of
    its socket."""
    for _ in range(5):
        await asyncio.sleep(0)


@asynccontextmanager
async def listening(
    serve: Serve, host: str = "127.0.0.1", port: int = 0, **options: Any
) -> AsyncIterator[asyncio.Server]:
    """A server whose connections are served so, and none of them afterwards."""
    connections = Connections(serve)
    server = await asyncio.start_server(connections.take, host, port, **options)
    try:
        yield server
    finally:
        server.close()
        await connections.end()
