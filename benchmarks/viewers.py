"""What those who watch calls cost them: the same calls with viewers, and without."""

import asyncio
import contextlib
import itertools
import json
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
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
_OPENED_WITHIN = 40.0
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
                async with _watching(server, bearers, calls if with_viewers else []):
                    cpu = server.cpu()
                    some = await arrive(carrier, sizes.rate / 2, count)
                    used[with_viewers] += server.cpu() - cpu
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


@asynccontextmanager
async def _watching(
    server: Server, bearers: Sequence[str], calls: Sequence[str]
) -> AsyncIterator[None]:
    """500 viewers, or none where there is no call to watch. Raises BenchError where they are not
    told anything."""
    if not calls:
        yield
        return
    where = urlsplit(server.url)
    requests = []
    for number in range(VIEWERS):
        one_call = f"/calls/{calls[number % len(calls)]}/events?reason=benchmark"
        path = "/events" if number % 2 else one_call
        requests.append(
            f"GET /api/v1{path} HTTP/1.1\r\nHost: {where.netloc}\r\n"
            f"Authorization: Bearer {bearers[number % len(bearers)]}\r\n\r\n"
        )
    crowd = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.crowd", str(where.hostname), str(where.port)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert crowd.stdin is not None
    assert crowd.stdout is not None
    try:
        crowd.stdin.write(json.dumps(requests).encode() + b"\n")
        async with asyncio.timeout(_OPENED_WITHIN):
            if await crowd.stdout.readline() != b"open\n":
                raise BenchError("not all streams were opened")
        await asyncio.sleep(1.5)  # what is recorded has been told
        yield
        crowd.stdin.write(b"\n")
        async with asyncio.timeout(_OPENED_WITHIN):
            if not int(await crowd.stdout.readline()):
                raise BenchError("those who watch were told nothing")
    finally:
        if crowd.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                crowd.kill()
        await crowd.wait()
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
