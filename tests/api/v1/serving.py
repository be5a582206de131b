"""A control API on a socket and a loop of its own, for clients that are not this loop's."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sipagent.api.server import GracefulServer, server_config
from sipagent.model.access import Scope
from sipagent.store import tables
from tests.api.v1.standing import Standing, standing
from tests.store.kept import a_bill, a_call, a_live, a_message, a_turn, a_use, an_alias, put

PARTS = (
    (tables.turns, a_turn()),
    (tables.turns, a_turn("rtc_1", 1, "I want a refund.")),
    (tables.tool_calls, a_use("rtc_1", "u1")),
    (tables.messages, a_message("rtc_1", "m1")),
    (tables.usage, a_bill("rtc_1", "b1")),
    (tables.aliases, an_alias("rtc_1", "CA1")),
)


@dataclass(frozen=True)
class Served:
    """A control API on a socket: the call rtc_1 is over, rtc_live is held, rtc_2 is beta's. Both
    tokens are administrators', one the operator's, one acme's."""

    url: str
    description: dict[str, Any]
    token: str
    acme: str
    standing: Standing


@contextmanager
def served(folder: Path) -> Iterator[Served]:
    """A control API, as long as the block lasts."""
    ready, found = threading.Event(), []
    stop: list[Callable[[], object]] = []

    async def main() -> None:
        async with standing(f"sqlite:///{folder}/records/records.sqlite", folder) as stand:
            await _fill(stand)
            listener = socket.create_server(("127.0.0.1", 0))
            server, loop = _server(stand.app), asyncio.get_running_loop()
            stop.append(lambda: loop.call_soon_threadsafe(setattr, server, "should_exit", True))
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            tokens = await stand.token(), await stand.token("acme", Scope.ADMIN)
            found.append(Served(url, stand.app.openapi(), *tokens, stand))
            ready.set()
            await server.serve([listener])

    thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
    thread.start()
    try:
        assert ready.wait(30)
        yield found[0]
    finally:
        stop[0]()
        thread.join(10)


async def _fill(stand: Standing) -> None:
    calls = [a_call("rtc_1"), a_live("rtc_live", at=5), a_call("rtc_2", tenant="beta")]
    await put(stand.kept.opened, *calls)
    for table, row in PARTS:
        await put(stand.kept.opened, row, table=table)


def _server(app: Any) -> GracefulServer:
    async def nothing() -> None:
        """No call is held here."""

    config = server_config(app, host="127.0.0.1", port=0)
    return GracefulServer(config, on_drain=nothing, on_abort=lambda: None, kill_after=None)
