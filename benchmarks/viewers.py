"""What those who watch calls cost them: the same calls with viewers, and without."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

from benchmarks.carrier import Stamps
from benchmarks.scenarios import (
    Effort,
    Figures,
    Sizes,
    Stage,
    arrive,
    between,
    check,
    fill,
    percentile,
    warmed,
)
from benchmarks.subjects import BenchError, Server, Subject
from sipagent.app import Unwatched
from sipagent.concurrency import SystemClock
from sipagent.model.access import Scope
from sipagent.sessions.machine.events import CallerText
from sipagent.sessions.ports import Tap
from sipagent.sessions.viewing import Viewing
from sipagent.store import tokens
from sipagent.store.audit import Author
from sipagent.store.database import open_engine
from sipagent.store.location import location_of
from sipagent.testing.fakes import a_plan
from sipagent.watching.hub import Hub

VIEWERS = 500
_HELD = 100
_EVENTS_PER_SECOND = 5.0
_OF_TOKEN = 50
_PHASES = 4
_OPENED_WITHIN = 30.0
_AT_ONCE = 4
_PIECES = 200_000


async def viewers(subject: Subject, stage: Stage, sizes: Sizes) -> Figures:
    """Calls come at a steady rate while others are held, by turns without anybody who watches and
    with 500 who do: half of them all calls, half one of those that are held."""
    without: list[float] = []
    watched: list[float] = []
    used = {False: 0.0, True: 0.0}
    arrived: list[Stamps] = []
    count = round(sizes.rate / 2 * sizes.arrival_seconds / _PHASES * 2)
    async with warmed(subject, stage, sizes) as (server, carrier):
        held = await fill(carrier, _HELD, _EVENTS_PER_SECOND)
        calls = [call_id for call_id, stamps in carrier.book.calls.items() if stamps in held]
        bearers = await _tokens(server, VIEWERS // _OF_TOKEN)
        with Effort() as effort:
            for with_viewers in itertools.islice(itertools.cycle((False, True)), 2 * _PHASES):
                async with _watching(server, bearers, calls if with_viewers else []) as crowd:
                    cpu, before = server.cpu(), sum(one.received for one in crowd)
                    some = await arrive(carrier, sizes.rate / 2, count)
                    used[with_viewers] += server.cpu() - cpu
                    if crowd and sum(one.received for one in crowd) == before:
                        raise BenchError("those who watch were told nothing")
                arrived += some
                posted = [stamps.posted for stamps in some]
                greeted = between(posted, [stamps.greeted.result() for stamps in some])
                (watched if with_viewers else without).extend(greeted)
        check(server, [*held, *arrived], effort)
        for call_id in calls:
            carrier.simulator.hang_up(call_id)
        await carrier.ended()
    taps = {"unwatched": _tap_cost(Unwatched()), "hub": _tap_cost(Hub(SystemClock()))}
    return {
        "greeting_p50_ms/without": percentile(without, 0.5),
        "greeting_p50_ms/with": percentile(watched, 0.5),
        "greeting_p99_ms/without": percentile(without, 0.99),
        "greeting_p99_ms/with": percentile(watched, 0.99),
        "cpu_per_call_ms/without": used[False] / len(without) * 1e3,
        "cpu_per_call_ms/with": used[True] / len(watched) * 1e3,
        "tap_us/unwatched": taps["unwatched"],
        "tap_us/hub": taps["hub"],
        "load_cpu_share": effort.share,
    }


async def _tokens(server: Server, count: int) -> list[str]:
    """Tokens of the operator's, in the running server's records."""
    engine = open_engine(location_of(None, server.data))
    try:
        wanted = tokens.Wanted("viewers", None, Scope.ADMIN, None)
        author = Author("benchmark")
        made = [await tokens.create(engine, wanted, author, at=time.time()) for _ in range(count)]
    finally:
        await engine.dispose()
    return [one.text for one in made]


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
                self.opened.set_exception(BenchError(f"no stream: {data[:100]!r}"))
        self.received += len(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(BenchError("a stream was refused"))


@asynccontextmanager
async def _watching(
    server: Server, bearers: Sequence[str], calls: Sequence[str]
) -> AsyncIterator[list[_Viewer]]:
    """500 viewers, or none where there is no call to watch."""
    loop, where = asyncio.get_running_loop(), urlsplit(server.url)
    crowd: list[_Viewer] = []
    transports: list[asyncio.BaseTransport] = []
    for number in range(VIEWERS if calls else 0):
        one_call = f"/calls/{calls[number % len(calls)]}/events?reason=benchmark"
        path = "/events" if number % 2 else one_call
        request = (
            f"GET /api/v1{path} HTTP/1.1\r\nHost: {where.netloc}\r\n"
            f"Authorization: Bearer {bearers[number % len(bearers)]}\r\n\r\n"
        )
        viewer = _Viewer(request.encode(), loop.create_future())
        crowd.append(viewer)
        made = await loop.create_connection(lambda one=viewer: one, where.hostname, where.port)
        transports.append(made[0])
        if number % _AT_ONCE == 0:
            await viewer.opened
    try:
        async with asyncio.timeout(_OPENED_WITHIN):
            for one in crowd:
                await one.opened
        await asyncio.sleep(1.5)  # what is recorded has been told
        yield crowd
    finally:
        for transport in transports:
            cast("asyncio.Transport", transport).abort()
        await asyncio.sleep(0.5)


def _tap_cost(tap: Tap) -> float:
    """Microseconds that a piece of speech costs a call which nobody watches."""
    viewing, event = Viewing(a_plan(), tap), CallerText("item_1", "Good morning.")
    spoken, best = viewing.spoken, float("inf")
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(_PIECES):
            spoken(event)
        best = min(best, time.perf_counter() - began)
    return best / _PIECES * 1e6
