"""What has to be done once for an installation, however many replicas it has."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from enum import StrEnum
from typing import Protocol


class JobName(StrEnum):
    """OUTBOX: events go to tenants' webhooks. SUMMARIES: models read the calls that are over.
    RETENTION: what is old enough is deleted, and erased callers stay erased. STATEMENTS: months
    are closed."""

    OUTBOX = "outbox"
    SUMMARIES = "summaries"
    RETENTION = "retention"
    STATEMENTS = "statements"


class Jobs(Protocol):
    """Which jobs are this replica's. Each is that of one replica at most at any time."""

    def mine(self, job: JobName) -> bool:
        """Whether this replica does the job now: to be asked before each step that begins
        something."""

    def unknown(self) -> bool:
        """Whether nobody can say whose a job is, and has not been able to for longer than it takes
        another to get it. None is ours then."""

    def turn(self, job: JobName) -> AbstractAsyncContextManager[None]:
        """Waits until the job is ours. The block is broken off, without an error behind it, as soon
        as it may be another's."""

    def stir(self, job: JobName) -> None:
        """There is something to do: whoever has the job looks soon."""

    async def rest(self, job: JobName, within: float) -> None:
        """Returns after so many seconds, or earlier: when the job has become ours, or when it has
        been stirred since this returned last."""


class Bells:
    """What ends a rest early, for each job."""

    def __init__(self) -> None:
        self._bells: defaultdict[JobName, asyncio.Event] = defaultdict(asyncio.Event)

    def ring(self, job: JobName) -> None:
        self._bells[job].set()

    async def rest(self, job: JobName, within: float) -> None:
        bell = self._bells[job]
        try:
            async with asyncio.timeout(within):
                await bell.wait()
        except TimeoutError:
            return
        bell.clear()


class Ours:
    """All jobs are always this process's: there is no other."""

    def __init__(self) -> None:
        self._bells = Bells()

    def mine(self, job: JobName) -> bool:
        return True

    def unknown(self) -> bool:
        return False

    @asynccontextmanager
    async def turn(self, job: JobName) -> AsyncIterator[None]:
        yield

    def stir(self, job: JobName) -> None:
        self._bells.ring(job)

    async def rest(self, job: JobName, within: float) -> None:
        await self._bells.rest(job, within)
