"""Whether anything grows from call to call: `python -m benchmarks.soak [THOUSANDS]`.

One process of `sipagent serve` with the embedded engine and SQLite, and the simulator. So many
thousand calls come (16 by default), 60 at a time: each is greeted, is asked something, answers and
ends. After each thousand, and a rest, its memory and its open files are told. The ids of calls are
remembered for an hour, so that a webhook that comes again does nothing; that is to be all: over the
last half of the calls memory must grow by less than 1 MB per 1,000 calls, and in the end no more
files may be open than after the first thousand. Exit codes: 0 so it is, 1 it grows, 2 usage.
"""

import asyncio
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil  # type: ignore[import-untyped]  # its stubs are a package of their own

from benchmarks.report import machine
from benchmarks.subjects import SECRET, SIPAGENT, Server, running
from sipagent.simulator import Simulator, running_simulator

NUMBER: Final = "+17134810111"
SCRIPT: Final = [{"caller": "Are you open?"}, {"agent": "We are open until six."}]
AT_ONCE: Final = 60
FEWEST: Final = 12
"""Thousands of calls: in fewer the caches of a young process are still being filled."""

REST: Final = 4.0
CLOSED_WITHIN: Final = 60
"""Seconds in which the last connections that were kept open for more are closed."""

MOST: Final = 1.0
"""MB by which memory may grow per 1,000 calls."""

ENDED_WITHIN: Final = 60.0


@dataclass(frozen=True, slots=True)
class Footprint:
    """What the process has: MB of memory that is its own, and open files."""

    memory: float
    files: int


async def measure(server: Server, simulator: Simulator, thousands: int) -> list[Footprint]:
    """What there is after each thousand; of the files at the first and the last rest as few as
    there come to be."""
    print("| thousand | memory, MB | open files |\n|---|---|---|")
    found: list[Footprint] = []
    for number in range(1, thousands + 1):
        await _thousand(simulator)
        await asyncio.sleep(REST)
        files = await _settled(server) if number in (1, thousands) else _files(server)
        found.append(Footprint(server.memory() / 1e6, files))
        print(f"| {number} | {found[-1].memory:.1f} | {files} |", flush=True)
    return found


async def _thousand(simulator: Simulator) -> None:
    room = asyncio.Semaphore(AT_ONCE)

    async def one() -> None:
        async with room:
            call_id = await simulator.place_call(NUMBER, script=SCRIPT, pace=200)
            await simulator.until(call_id, lambda call: call.ended, timeout=ENDED_WITHIN)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(1000):
            tasks.create_task(one())


async def _settled(server: Server) -> int:
    """The files once those are closed that wait for more."""
    fewest = _files(server)
    for _ in range(CLOSED_WITHIN):
        await asyncio.sleep(1.0)
        fewest = min(fewest, _files(server))
    return fewest


def _files(server: Server) -> int:
    return int(psutil.Process(server.pid).num_fds())


def slope(found: list[Footprint]) -> float:
    """MB per 1,000 calls over the last half, by least squares."""
    half = [one.memory for one in found[len(found) // 2 :]]
    middle, mean = (len(half) - 1) / 2, sum(half) / len(half)
    spread = sum((place - middle) ** 2 for place in range(len(half)))
    return sum((place - middle) * (one - mean) for place, one in enumerate(half)) / spread


async def _run(thousands: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        async with (
            running_simulator(SECRET) as simulator,
            running(SIPAGENT, simulator.base_url, Path(folder), None, None) as server,
        ):
            simulator.deliver_to = f"{server.url}/webhooks/openai"
            found = await measure(server, simulator, thousands)
    grows, more = slope(found), found[-1].files - found[0].files
    print(f"memory over the last half: {grows:+.2f} MB per 1,000 calls; files: {more:+d}")
    here = machine()
    print(f"{here['cpu']}, {here['cores']} cores, {here['python']}")
    return int(grows >= MOST or more > 0)


def main() -> int:
    try:
        thousands = int(sys.argv[1]) if len(sys.argv) > 1 else 16
        if thousands < FEWEST:
            raise ValueError
    except ValueError:
        print(__doc__, file=sys.stderr)
        return 2
    return asyncio.run(_run(thousands))


if __name__ == "__main__":
    sys.exit(main())
