"""Jobs that one replica does for all: each is a key that its owner renews, and that ends alone.

The owner acts for nine tenths of the lease that it could confirm, counted from when it asked; the
key lives for all of it, counted from when it was written. So whoever is killed, held still or cut
off from the engine has stopped before another begins.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Self

import structlog

from sipagent.concurrency import TaskOwner
from sipagent.engine.redis.lease import Lease
from sipagent.engine.redis.link import Link, Value
from sipagent.engine.redis.tenure import Tenure
from sipagent.errors import EngineError
from sipagent.jobs import Bells, JobName
from sipagent.sessions.ports import Clock

log = structlog.get_logger(__name__)

LEFT_WITHIN: Final = 1.0
"""Seconds for the engine to hear that this replica does no job any more."""


class RedisJobs:
    """The jobs of one replica, as a context in which it asks for them; at its end they are
    anybody's. What does them ends before."""

    def __init__(
        self, link: Link, replica: str, clock: Clock, lease: float, heartbeat: float
    ) -> None:
        """Both in seconds; the heartbeat well below the lease."""
        self._link = link
        self._replica = replica
        self._clock = clock
        self._heartbeat = heartbeat
        self._tenure = Tenure(Lease(lease, clock.monotonic()))
        self._bells = Bells()
        self._ours: defaultdict[JobName, asyncio.Event] = defaultdict(asyncio.Event)
        self._turns: dict[asyncio.Timeout, JobName] = {}
        self._stirred: set[JobName] = set()
        self._away = False
        self._tasks = TaskOwner(_crashed, apart=True)

    async def __aenter__(self) -> Self:
        self._tasks.start(self._ask_for_ever(), name="engine jobs")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Another gets them at once, unless the engine is away: then when their leases are over."""
        await self._tasks.cancel(1.0)
        self._tenure.leave()
        self._bound()
        with contextlib.suppress(EngineError):
            await self._link.run("leave_jobs", self._replica, *JobName, within=LEFT_WITHIN)

    def mine(self, job: JobName) -> bool:
        return self._tenure.mine(job, self._clock.monotonic())

    def unknown(self) -> bool:
        return self._tenure.unknown(self._clock.monotonic())

    @asynccontextmanager
    async def turn(self, job: JobName) -> AsyncIterator[None]:
        while not self.mine(job):
            self._ours[job].clear()
            await self._ours[job].wait()
        bounds = asyncio.timeout(self._remaining(job))
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
            log.warning("job left: it may be another replica's", job=job.value)

    def stir(self, job: JobName) -> None:
        if self.mine(job):
            self._bells.ring(job)
        else:
            self._stirred.add(job)

    async def rest(self, job: JobName, within: float) -> None:
        await self._bells.rest(job, within)

    async def ask(self) -> bool:
        """Renew what is ours, and take what is nobody's. False if the engine has not answered."""
        sent, told = self._clock.monotonic(), frozenset(self._stirred)
        lease = int(self._tenure.heard.seconds * 1000)
        values: list[Value] = [self._replica, lease, int(self._tenure.may_take(sent))]
        for job in JobName:
            values += [job, int(self._tenure.mine(job, sent)), int(job in told)]
        try:
            answers = await self._link.run("jobs", *values, within=self._heartbeat)
        except EngineError as error:
            self._failed(error)
            return False
        self._stirred -= told
        self._heard(sent, dict(zip(JobName, answers, strict=True)))
        return True

    def _heard(self, sent: float, answers: dict[JobName, int]) -> None:
        ours = {job for job, answer in answers.items() if answer}
        begun = self._tenure.answered(sent, ours, self._clock.monotonic())
        self._away = False
        self._bound()
        if begun:
            log.info("jobs are this replica's", jobs=sorted(job.value for job in begun))
        for job in ours:
            self._ours[job].set()
            if job in begun or answers[job] > 1:
                self._bells.ring(job)

    def _failed(self, error: EngineError) -> None:
        self._tenure.failed(self._clock.monotonic())
        if not self._away:
            log.warning("engine away: jobs wait for it", reason=str(error))
        self._away = True

    def _bound(self) -> None:
        """Every turn ends when its lease does, as it is known now."""
        now = asyncio.get_running_loop().time()
        for bounds, job in self._turns.items():
            if not bounds.expired():
                bounds.reschedule(now + self._remaining(job))

    def _remaining(self, job: JobName) -> float:
        return self._tenure.remaining(job, self._clock.monotonic())

    async def _ask_for_ever(self) -> None:
        while True:
            answered = await self.ask()
            await asyncio.sleep(self._heartbeat if answered else self._heartbeat / 4)


def _crashed(name: str, crash: BaseException) -> None:
    log.error("task crashed", task=name, error=type(crash).__name__, exc_info=crash)
