"""Monthly statements are closed when their time has come, by one task."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, Self

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from sipagent.concurrency import TaskOwner
from sipagent.jobs import JobName, Jobs, Ours
from sipagent.model import TenantName
from sipagent.sessions.ports import Clock
from sipagent.store.billing import close_due
from sipagent.store.database import DATABASE_ERRORS, reason_of

log = structlog.get_logger(__name__)

EVERY: Final = 3600.0
"""Seconds between two looks."""

WITHIN: Final = 300.0
"""Seconds for one look at all tenants; the next goes on where it was broken off."""

Zones = Callable[[], Mapping[TenantName, str | None]]


class Closing:
    """Closes each tenant's months in its zone, as long as that is this replica's job. Used as
    `async with`, while the database is open.

    To close is idempotent, so it does not matter when the process dies, or who else is at it.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        zones: Zones,
        clock: Clock,
        *,
        every: float = EVERY,
        jobs: Jobs | None = None,
    ) -> None:
        self._engine = engine
        self._jobs = jobs or Ours()
        self._zones = zones
        self._clock = clock
        self._every = every
        self._tasks = TaskOwner(_crashed, apart=True)

    async def __aenter__(self) -> Self:
        self._tasks.start(self._run(), name="close statements")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._tasks.cancel(1.0)

    async def look(self) -> int:
        """How many months have been closed just now. Raises what a database raises."""
        closed = await close_due(self._engine, self._zones(), self._clock.wall())
        for statement in closed:
            log.info("statement closed", tenant=statement.tenant, month=statement.month)
        return len(closed)

    async def _run(self) -> None:
        while True:
            async with self._jobs.turn(JobName.STATEMENTS):
                while self._jobs.mine(JobName.STATEMENTS):
                    await self._looked()
                    await asyncio.sleep(self._every)

    async def _looked(self) -> None:
        try:
            async with asyncio.timeout(WITHIN):
                await self.look()
        except (*DATABASE_ERRORS, TimeoutError) as error:
            log.warning("statements not closed", reason=reason_of(error))


def _crashed(name: str, crash: BaseException) -> None:
    log.error("task crashed", task=name, error=type(crash).__name__, exc_info=crash)
