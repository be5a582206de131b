"""What is done to a subject in one trial, and the figures that it gives."""

import asyncio
import gc
import statistics
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.backend import HANGING, Backend, open_backend
from benchmarks.carrier import Carrier, Poster, Stamps, ToolStamps, open_carrier
from benchmarks.certificates import PrivateCa
from benchmarks.subjects import BenchError, Server, Subject, running

Figures = dict[str, float]

ENDING = [{"pause": 0.1}, {"hang_up": True}]
"""The caller listens to the greeting, waits a moment and hangs up."""

_AT_ONCE = 6
_HANGING_CALLS = 50
_LATER = 100_000
_EARLIER = 200_000
_SETTLE = 1.5
_BUSIEST = 0.9
_LATE = 0.02
_MOST_LATE = 0.1


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is done. `levels` are numbers of held calls, ascending; times are in seconds."""

    rate: float = 100.0
    arrival_seconds: float = 8.0
    levels: tuple[int, ...] = (10, 100, 500, 1000, 2000)
    events_per_second: float = 5.0
    held_seconds: float = 4.0
    top_seconds: float = 8.0
    idle_seconds: float = 1.5
    warm_up: int = 100


@dataclass(frozen=True, slots=True)
class Stage:
    """Where trials take place: `cores` are the server's and the load's, `ca` makes it TLS."""

    folder: Path
    core: int | None
    ca: PrivateCa | None = None


async def arrival(subject: Subject, stage: Stage, sizes: Sizes) -> Figures:
    """Calls come at a steady rate, are greeted and end: what each costs, and how long it takes."""
    async with warmed(subject, stage, sizes) as (server, carrier):
        before = server.cpu()
        with Effort() as effort:
            calls = await arrive(carrier, sizes.rate, round(sizes.rate * sizes.arrival_seconds))
        await carrier.ended()
        await asyncio.sleep(0.3)
        used = server.cpu() - before
        check(server, calls, effort)
    posted = [stamps.posted for stamps in calls]
    answered = between(posted, [stamps.answered for stamps in calls])
    accepted = between(posted, [stamps.accepted for stamps in calls])
    greeted = between(posted, [stamps.greeted.result() for stamps in calls])
    return {
        "cpu_per_call_ms": used / len(calls) * 1e3,
        "greeting_p50_ms": statistics.median(greeted),
        "greeting_p99_ms": percentile(greeted, 0.99),
        "accept_p50_ms": statistics.median(accepted),
        "answer_p50_ms": statistics.median(answered),
        "answer_p99_ms": percentile(answered, 0.99),
        "load_cpu_share": effort.share,
    }


async def tools(subject: Subject, stage: Stage, sizes: Sizes) -> Figures:
    """Calls come at a steady rate, and the model of each asks for a tool: how long its output
    takes, but for the time of the tool's API. Then the same while fifty others wait in vain."""
    count = round(sizes.rate * sizes.arrival_seconds)
    async with open_backend() as backend:
        asking = replace(subject, environment={**subject.environment, "BENCH_BACKEND": backend.url})
        async with warmed(asking, stage, sizes) as (server, carrier):
            stamps = carrier.book.tools = ToolStamps()
            await arrive(carrier, sizes.rate / 2, sizes.warm_up, _asking_first)
            await carrier.ended()
            with Effort() as effort:
                calls = await arrive(carrier, sizes.rate, count, _asking)
                before = set(carrier.book.calls)
                calls += await arrive(carrier, sizes.rate, _HANGING_CALLS, _waiting)
                waiting = set(carrier.book.calls) - before
                calls += await arrive(carrier, sizes.rate, count // 2, _asking_later)
            for call_id in waiting:
                carrier.simulator.hang_up(call_id)
            await carrier.ended()
            check(server, calls, effort)
    alone = _own(stamps, backend, 0, count)
    beside = _own(stamps, backend, _LATER, count // 2)
    return {
        "tool_p50_ms": statistics.median(alone),
        "tool_p99_ms": percentile(alone, 0.99),
        "tool_beside_p99_ms": percentile(beside, 0.99),
        "load_cpu_share": effort.share,
    }


def _own(stamps: ToolStamps, backend: Backend, first: int, count: int) -> list[float]:
    """Of each of these orders the milliseconds from the model's wish to the output, less those of
    the API."""
    orders = [str(number) for number in range(first, first + count)]
    if missing := sum(order not in stamps.told for order in orders):
        raise BenchError(f"{missing} of {count} tool calls had no output")
    whole = between([stamps.asked[one] for one in orders], [stamps.told[one] for one in orders])
    theirs = between(
        [backend.asked[one] for one in orders], [backend.answered[one] for one in orders]
    )
    return [total - other for total, other in zip(whole, theirs, strict=True)]


def _asking(number: int) -> list[dict[str, Any]]:
    """The caller asks, the model looks it up and answers, the caller hangs up."""
    order = {"name": "order_status", "arguments": {"order_no": str(number)}}
    return [{"caller": "Where is it?"}, {"tool": order}, {"agent": "On its way."}, *ENDING]


def _asking_first(number: int) -> list[dict[str, Any]]:
    return _asking(_EARLIER + number)


def _asking_later(number: int) -> list[dict[str, Any]]:
    return _asking(_LATER + number)


def _waiting(number: int) -> list[dict[str, Any]]:
    """The model asks for something that never comes."""
    order = {"name": "order_status", "arguments": {"order_no": f"{HANGING}{number}"}}
    return [{"caller": "Where is it?"}, {"tool": order}, {"pause": 60}]


def _ending(_: int) -> list[dict[str, Any]]:
    return ENDING


async def held(subject: Subject, stage: Stage, sizes: Sizes) -> Figures:
    """More and more calls are held, on all of which events keep coming.

    Of each level: what an event costs, less what the idle process uses in that time, and how much
    larger the process is than when it was idle, for each call.
    """
    figures: Figures = {}
    async with warmed(subject, stage, sizes) as (server, carrier):
        cpu, began = server.cpu(), time.monotonic()
        await asyncio.sleep(sizes.idle_seconds)
        idle = (server.cpu() - cpu) / (time.monotonic() - began)
        empty = server.memory()
        calls: list[Stamps] = []
        for level in sizes.levels:
            calls += await fill(carrier, level - len(calls), sizes.events_per_second)
            await asyncio.sleep(_SETTLE)
            top = level == sizes.levels[-1]
            seconds = sizes.top_seconds if top else sizes.held_seconds
            per_event, effort = await _listen(server, carrier, idle, seconds)
            figures[f"cpu_per_event_us/{level}"] = per_event * 1e6
            figures[f"kib_per_call/{level}"] = (server.memory() - empty) / level / 1024
            figures[f"load_cpu_share/{level}"] = effort.share
            check(server, calls, effort)
    figures["idle_cpu_share"] = idle
    return figures


@asynccontextmanager
async def warmed(
    subject: Subject, stage: Stage, sizes: Sizes
) -> AsyncIterator[tuple[Server, Carrier]]:
    """A server that has held calls and holds none any more, and its carrier."""
    async with open_carrier(stage.ca) as carrier:
        authority = stage.ca.authority if stage.ca else None
        upstream = carrier.simulator.base_url
        try:
            async with running(subject, upstream, stage.folder, stage.core, authority) as server:
                carrier.poster = Poster(f"{server.url}/webhooks/openai")
                await arrive(carrier, sizes.rate / 2, sizes.warm_up)
                await carrier.ended()
                carrier.book.calls.clear()
                await asyncio.sleep(0.3)
                gc.collect()
                gc.freeze()
                yield server, carrier
        finally:
            await carrier.left()


async def arrive(
    carrier: Carrier, rate: float, count: int, script: Callable[[int], Any] = _ending
) -> list[Stamps]:
    """So many calls at this rate, however long the server takes; returns when all are greeted."""
    loop = asyncio.get_running_loop()
    began = loop.time() + 0.05
    placing: list[asyncio.Task[Stamps]] = []
    late = 0
    for number in range(count):
        due = began + number / rate
        await asyncio.sleep(due - loop.time())
        late += loop.time() > due + _LATE
        placing.append(asyncio.create_task(carrier.place(script=script(number))))
    if late > count * _MOST_LATE:
        raise BenchError(f"the load placed {late} of {count} calls late; is the machine busy?")
    calls = list(await asyncio.gather(*placing))
    await carrier.greeted(calls)
    return calls


async def fill(carrier: Carrier, count: int, events_per_second: float) -> list[Stamps]:
    """So many calls more, as fast as the server takes them a few at a time."""
    calls: list[Stamps] = []
    left = iter(range(count))
    chatter = {"events_per_second": events_per_second, "after": 0.5}

    async def one_by_one() -> None:
        for _ in left:
            stamps = await carrier.place(chatter=chatter)
            await carrier.greeted([stamps])
            calls.append(stamps)

    await asyncio.gather(*(one_by_one() for _ in range(_AT_ONCE)))
    return calls


async def _listen(
    server: Server, carrier: Carrier, idle: float, seconds: float
) -> tuple[float, "Effort"]:
    """Seconds of CPU that the server spends on one event."""
    with Effort() as effort:
        cpu, events, began = server.cpu(), carrier.book.events, time.monotonic()
        await asyncio.sleep(seconds)
        used = server.cpu() - cpu - idle * (time.monotonic() - began)
        heard = carrier.book.events - events
    return used / heard, effort


class Effort:
    """What this process, the load, has used of its core; without a collector that pauses it."""

    share = 0.0

    def __enter__(self) -> "Effort":
        gc.disable()
        self._cpu, self._began = time.process_time(), time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self.share = (time.process_time() - self._cpu) / (time.monotonic() - self._began)
        gc.enable()


def check(server: Server, calls: Sequence[Stamps], effort: Effort) -> None:
    """Raises BenchError where the figures would not mean what they say."""
    if any(stamps.accepts != 1 for stamps in calls):
        raise BenchError(f"{server.subject.name} did not accept every call exactly once")
    if complaints := server.complaints():
        raise BenchError(f"{server.subject.name} complains: {complaints[0][:2000]}")
    if effort.share > _BUSIEST:
        raise BenchError(f"the load itself used {effort.share:.0%} of its core")


def between(since: Sequence[float], until: Sequence[float]) -> list[float]:
    """Milliseconds."""
    return [(end - start) * 1e3 for start, end in zip(since, until, strict=True)]


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share of them lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
