"""A stream of calls over three replicas: how soon each is answered, and what is left of them."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import psutil

from tests.chaos.callers import Placed
from tests.chaos.fleet_harness import FleetChaos

WARM: Final = 5.0
IDLE_WITHIN: Final = 60.0
"""Seconds after which no connection of a call, a webhook or a question is open any more."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """What the processes of all replicas have."""

    files: int
    memory: int


@dataclass(frozen=True, slots=True)
class Soaked:
    """What a stream came to. Times are milliseconds, of which 99 of 100 are below."""

    calls: int
    to_accept: float
    to_socket: float
    files: int
    kilobytes: float

    def table(self) -> str:
        rows = (
            ("calls of the stream", f"{self.calls:,}"),
            ("webhook to accept answered, ms (p99)", f"{self.to_accept:.0f}"),
            ("accept to socket open, ms (p99)", f"{self.to_socket:.0f}"),
            ("more files open than before", str(self.files)),
            ("more memory than before, KB per 1,000 calls", f"{self.kilobytes:,.0f}"),
        )
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}  {figure}" for name, figure in rows)


async def soaked(chaos: FleetChaos, rate: float, seconds: float) -> Soaked:
    """All calls have gone, and the replicas have no more files open than before them."""
    await chaos.stream(rate, WARM)
    before = await _idle(chaos)
    crowd = await chaos.stream(rate, seconds)
    after = await _idle(chaos, before.files)
    calls = len(crowd.calls)
    return Soaked(
        calls,
        _p99(_between(placed, "delivery", "accept") for placed in crowd.calls),
        _p99(_between(placed, "accept", "attached") for placed in crowd.calls),
        after.files - before.files,
        (after.memory - before.memory) / calls,
    )


async def _idle(chaos: FleetChaos, files: int | None = None) -> Footprint:
    """What is left once it does not get less; with `files`, as soon as no more than these are."""
    found, steady = _footprint(chaos), 0
    for _ in range(int(IDLE_WITHIN)):
        await asyncio.sleep(1.0)
        last, found = found, _footprint(chaos)
        steady = steady + 1 if found.files == last.files else 0
        if found.files <= files if files is not None else steady > 10:
            break
    return found


def _footprint(chaos: FleetChaos) -> Footprint:
    fleet = chaos.fleet
    processes = [psutil.Process(fleet.replicas[name].running.pid) for name in fleet.alive]
    return Footprint(
        sum(one.num_fds() for one in processes), sum(one.memory_info().rss for one in processes)
    )


def _between(placed: Placed, first: str, then: str) -> float:
    """Milliseconds from the one to the other; a delivery counts from when it was sent."""
    notes: Sequence[Any] = placed.call.notes
    at = {note["type"]: note for note in reversed(notes)}
    began = at[first]["at"] - (at[first]["seconds"] if first == "delivery" else 0.0)
    return float(at[then]["at"] - began) * 1000


def _p99(values: Iterable[float]) -> float:
    ordered = sorted(values)
    return ordered[int(len(ordered) * 0.99)]
