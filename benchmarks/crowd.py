"""Those who watch, in a process of their own, as they are elsewhere in earnest.

`python -m benchmarks.crowd HOST PORT` reads requests, a line of JSON, opens a stream for each, says
`open`, and at the end of its input how many bytes all of them have been told.
"""

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from typing import Final, cast

_AT_ONCE: Final = 4
_OPENED_WITHIN: Final = 30.0
_LEAST_WANTED: Final = 19
"""How willingly it gives way: on this machine it is not to hold up who carries the calls."""


@dataclass(slots=True)
class _Viewer(asyncio.Protocol):
    """Reads a stream, and throws away what it says."""

    request: bytes
    opened: asyncio.Future[None]
    received: int = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).write(self.request)

    def data_received(self, data: bytes) -> None:
        if not self.received and not self.opened.done():
            if data.startswith(b"HTTP/1.1 200"):
                self.opened.set_result(None)
            else:
                self.opened.set_exception(RuntimeError(f"no stream: {data[:100]!r}"))
        self.received += len(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(RuntimeError("a stream was refused"))


async def watch(host: str, port: int, requests: list[str]) -> None:
    loop = asyncio.get_running_loop()
    crowd: list[_Viewer] = []
    async with asyncio.timeout(_OPENED_WITHIN):
        for number, request in enumerate(requests):
            viewer = _Viewer(request.encode(), loop.create_future())
            crowd.append(viewer)
            await loop.create_connection(lambda one=viewer: one, host, port)
            if number % _AT_ONCE == 0:
                await viewer.opened
        for one in crowd:
            await one.opened
    opened = sum(one.received for one in crowd)
    print("open", flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    print(sum(one.received for one in crowd) - opened, flush=True)


if __name__ == "__main__":
    os.nice(_LEAST_WANTED)
    asyncio.run(watch(sys.argv[1], int(sys.argv[2]), json.loads(sys.stdin.readline())))
