"""What leases cost: `python -m benchmarks.leases [CALLS]`.

One replica's engine holds so many calls (6,000 by default) on a Redis of its own and renews their
leases as `sipagent serve` does. Said are the CPU time of the replica and of Redis for each renewal,
for each look whether a lease is over, for each claim and each end, and the memory of Redis for each
held call. Both on one machine, with the test's own Redis. Exit codes: 0 done, 2 usage.
"""

import asyncio
import resource
import sys
import time
from typing import Final

import psutil  # type: ignore[import-untyped]  # its stubs are a package of their own

from benchmarks.subjects import HERE
from sipagent.concurrency import SystemClock
from sipagent.config import parse
from sipagent.engine.redis.engine import RedisEngine
from sipagent.engine.redis.lease import Lease
from sipagent.engine.redis.leases import Leases
from sipagent.engine.redis.link import Link
from sipagent.engine.redis.outgoing import Outgoing
from sipagent.model import Decision, IncomingCall
from sipagent.routing import decide
from tests.engine.replicas import Heirs
from tests.engine.support import a_claim, an_outcome
from tests.servers import RedisServer

ROUNDS: Final = 20
AT_ONCE: Final = 50


def _own() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _of(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


class Meter:
    """CPU seconds of this process and of Redis since its making."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._own, self._redis, self._began = _own(), _of(pid), time.monotonic()

    def told(self, what: str, count: int) -> None:
        own, redis = _own() - self._own, _of(self._pid) - self._redis
        seconds = time.monotonic() - self._began
        print(
            f"{what:<34} {count:>7,}   replica {own / count * 1e6:7.1f} us"
            f"   redis {redis / count * 1e6:7.1f} us   {seconds:6.2f} s"
        )


async def measure(server: RedisServer, calls: int) -> None:
    pid, clock = server.pid, SystemClock()
    assert pid is not None
    before = int(server.info("memory")["used_memory"])
    async with Link(server.url) as link:
        engine = RedisEngine(link, "bench", clock, Lease(3600.0, clock.monotonic()))
        leases = Leases(engine, Heirs(), clock, 5.0)
        async with asyncio.TaskGroup() as tasks:
            steps = tasks.create_task(engine.outgoing.run())
            claims = _claims(calls)
            meter = Meter(pid)
            for first in range(0, calls, AT_ONCE):
                some = claims[first : first + AT_ONCE]
                await asyncio.gather(*(engine.offer(*claim) for claim in some))
            meter.told("claims", calls)
            held = int(server.info("memory")["used_memory"]) - before
            meter = Meter(pid)
            for _ in range(ROUNDS):
                assert await leases.renew()
            meter.told("renewals", calls * ROUNDS)
            meter = Meter(pid)
            for _ in range(ROUNDS):
                assert await leases.adopt() == 0
            meter.told("looks for leases that are over", calls * ROUNDS)
            meter = Meter(pid)
            for call, _ in claims:
                engine.finish(an_outcome(call), 1)
                engine.settled(call.call_id)
            await _written(engine.outgoing)
            meter.told("ends", calls)
            steps.cancel()
    print(f"memory of Redis for a held call: {held / calls / 1024:.1f} KiB")


def _claims(count: int) -> list[tuple[IncomingCall, Decision]]:
    """Calls to the benchmark's agent, which has five tools."""
    file = HERE / "agents.yaml"
    table = parse(file.read_text(), file=str(file), base=HERE).table
    made = []
    for number in range(count):
        call, _ = a_claim(f"rtc_{number:032}")
        decision = decide(call, table, time.time())
        assert decision.held
        made.append((call, decision))
    return made


async def _written(outgoing: Outgoing) -> None:
    while not await outgoing.flush(60.0):
        pass


def main() -> int:
    try:
        calls = int(sys.argv[1]) if len(sys.argv) > 1 else 6000
    except ValueError:
        print(__doc__, file=sys.stderr)
        return 2
    with RedisServer(own=True) as server:
        print(f"{server.flavour}, Python {sys.version.split()[0]}")
        asyncio.run(measure(server, calls))
    return 0


if __name__ == "__main__":
    sys.exit(main())
