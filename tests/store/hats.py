"""Jobs that a test gives to a replica and takes away from it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sipagent.jobs import Bells, JobName


class Hats:
    """What `Jobs` promises, decided by a test. No job is ours at first."""

    def __init__(self, *ours: JobName, silent: bool = False) -> None:
        self.ours = set(ours)
        self.silent = silent
        """Whether nobody can say whose the jobs are."""
        self.stirred: list[JobName] = []
        self._bells = Bells()
        self._given = asyncio.Event()
        self._turns: dict[asyncio.Timeout, JobName] = {}

    @property
    def working(self) -> bool:
        """Whether somebody has a turn."""
        return bool(self._turns)

    def give(self, job: JobName) -> None:
        self.ours.add(job)
        self._given.set()
        self._bells.ring(job)

    def take(self, job: JobName) -> None:
        self.ours.discard(job)
        for bounds, whose in self._turns.items():
            if whose is job:
                bounds.reschedule(0.0)

    def tell(self, job: JobName) -> None:
        """Another has found something to do."""
        self._bells.ring(job)

    def mine(self, job: JobName) -> bool:
        return job in self.ours

    def unknown(self) -> bool:
        return self.silent

    @asynccontextmanager
    async def turn(self, job: JobName) -> AsyncIterator[None]:
        while job not in self.ours:
            self._given.clear()
            await self._given.wait()
        bounds = asyncio.timeout(None)
        try:
            async with bounds:
                self._turns[bounds] = job
                try:
                    yield
                finally:
                    del self._turns[bounds]
        except TimeoutError:
            if not bounds.expired():
                raise

    def stir(self, job: JobName) -> None:
        self.stirred.append(job)
        if job in self.ours:
            self._bells.ring(job)

    async def rest(self, job: JobName, within: float) -> None:
        await self._bells.rest(job, within)
