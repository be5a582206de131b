"""A process that does the job whenever it is its own, and says so each few milliseconds: its name,
and the machine's monotonic clock. `python working.py URL NAME LEASE HEARTBEAT`."""

import asyncio
import sys
from time import monotonic

from sipagent.concurrency import SystemClock
from sipagent.engine.redis.jobs import RedisJobs
from sipagent.engine.redis.link import Link
from sipagent.jobs import JobName


def tell(name: str, what: str) -> None:
    """A line that is whole or not there, also where the process is killed."""
    sys.stdout.write(f"{name} {what}\n")
    sys.stdout.flush()


async def work(url: str, name: str, lease: float, heartbeat: float) -> None:
    async with (
        Link(url) as link,
        RedisJobs(link, name, SystemClock(), lease, heartbeat) as jobs,
    ):
        tell(name, "is there")
        while True:
            async with jobs.turn(JobName.RETENTION):
                while True:
                    tell(name, str(monotonic()))
                    await asyncio.sleep(0.005)


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])))
