"""Replicas that want the same job, and when each of them did it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic

from sipagent.concurrency import SystemClock
from sipagent.engine.redis.jobs import RedisJobs
from sipagent.engine.redis.link import Link
from sipagent.jobs import JobName
from tests.waiting import eventually

JOB = JobName.RETENTION
LEASE, HEARTBEAT = 0.6, 0.1
LONG = 60.0
"""Seconds of a lease that is not over before the test is."""


@dataclass
class Span:
    """A time in which somebody did the job; infinite while it lasts."""

    who: str
    began: float
    ended: float = float("inf")


@dataclass
class Diary:
    """Who did the job when, in the order of their beginnings."""

    spans: list[Span] = field(default_factory=list)

    @property
    def doing(self) -> list[str]:
        return [span.who for span in self.spans if span.ended == float("inf")]

    async def until(self, who: str) -> Span:
        """This replica, and no other, does the job."""
        await eventually(lambda: self.doing == [who])
        return self.spans[-1]

    async def until_another_than(self, who: str) -> Span:
        await eventually(lambda: self.doing and self.doing != [who])
        return self.spans[-1]

    def gaps(self) -> Sequence[float]:
        """Seconds between each end and the next beginning: below zero where two were at it."""
        pairs = zip(self.spans, self.spans[1:], strict=False)
        return [after.began - before.ended for before, after in pairs]


@dataclass
class Holder:
    """One replica's jobs."""

    name: str
    jobs: RedisJobs
    diary: Diary

    async def work(self) -> None:
        """Do the job whenever it is ours, as the diary tells."""
        while True:
            async with self.jobs.turn(JOB):
                span = Span(self.name, monotonic())
                self.diary.spans.append(span)
                try:
                    await asyncio.get_running_loop().create_future()
                finally:
                    span.ended = monotonic()


@asynccontextmanager
async def asking(
    url: str, name: str, *, lease: float = LONG, heartbeat: float = 1.0
) -> AsyncIterator[RedisJobs]:
    """A replica that asks for jobs when a test says so."""
    async with Link(url) as link:
        yield RedisJobs(link, name, SystemClock(), lease, heartbeat)


@asynccontextmanager
async def holding(
    url: str, name: str, diary: Diary, *, lease: float = LEASE, heartbeat: float = HEARTBEAT
) -> AsyncIterator[Holder]:
    """A replica that asks for jobs by itself, and works."""
    async with asking(url, name, lease=lease, heartbeat=heartbeat) as jobs, jobs:
        holder = Holder(name, jobs, diary)
        async with asyncio.TaskGroup() as group:
            worker = group.create_task(holder.work())
            yield holder
            worker.cancel()
