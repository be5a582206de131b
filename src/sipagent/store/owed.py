"""Lines that the audit is owed: of what is done also while the records are away.

That is the ending of calls alone. Each such line is in the log at once, with all that it says; it
is written as soon as the records answer again, with the time at which the deed was done. A process
that dies before has left it in the log.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from sipagent.concurrency import TaskOwner
from sipagent.model.access import Deed, Principal
from sipagent.sessions.ports import Clock
from sipagent.store.audit import AuditLog, Author, append, author_of, tell
from sipagent.store.database import DATABASE_ERRORS
from sipagent.store.purging import writing

log = structlog.get_logger(__name__)

MOST_OWED: Final = 1000
"""Of more the oldest are in the log alone."""

EVERY: Final = 5.0
"""Seconds after which it is tried again."""

_WITHIN: Final = 5.0
_AT_ONCE: Final = 20
_END_WITHIN: Final = 2.0


@dataclass(frozen=True, slots=True)
class _Line:
    at: float
    by: Author
    deed: Deed


class OwedAudit:
    """The audit of the records' database, and what it is owed. As a context it ends what it has
    under way, after one attempt more."""

    def __init__(self, engine: Callable[[], AsyncEngine], clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._log = AuditLog(engine, clock)
        self._owed: deque[_Line] = deque(maxlen=MOST_OWED)
        self._tasks = TaskOwner(_crashed, apart=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._tasks.cancel(_END_WITHIN)
        if self._owed:
            await self._pay(_END_WITHIN)

    async def write(self, by: Principal, deed: Deed) -> None:
        """The deed is in the audit. Raises what a database raises."""
        await self._log.write(by, deed)

    def owe(self, by: Principal, deed: Deed) -> None:
        """The deed is in the log, and will be in the audit."""
        line = _Line(self._clock.wall(), author_of(by), deed)
        log.warning(
            "audit line not written yet",
            at=line.at,
            action=deed.action,
            target=deed.target,
            tenant=deed.tenant,
            token=by.token_id,
            operator=by.is_operator,
            detail=deed.detail,
        )
        self._owed.append(line)
        if not len(self._tasks):
            self._tasks.start(self._follow(), name="write owed audit lines")

    async def _follow(self) -> None:
        while self._owed:
            await asyncio.sleep(EVERY)
            await self._pay(_WITHIN)

    async def _pay(self, within: float) -> None:
        """Lines that were owed are in the audit, the oldest first, as far as the records answer."""
        try:
            async with asyncio.timeout(within):
                while self._owed:
                    await self._write([*self._owed][:_AT_ONCE])
        except DATABASE_ERRORS:
            return  # it is in the log, line by line

    async def _write(self, some: list[_Line]) -> None:
        async with writing(self._engine()) as connection:
            written = [await append(connection, one.by, one.deed, at=one.at) for one in some]
        for line in written:
            tell(line)
        for one in some:
            if self._owed and self._owed[0] is one:  # else it was pushed out meanwhile
                self._owed.popleft()


def _crashed(name: str, crash: BaseException) -> None:
    log.error("task crashed", task=name, error=type(crash).__name__, exc_info=crash)
