"""What the records tell to those who watch: calls and stories, each read within its time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sipagent.model import CallId, TenantName
from sipagent.model.live import LiveEvent, LiveKind
from sipagent.store import tables
from sipagent.store.facts import CallRow
from sipagent.store.reading import (
    MOST_NEW,
    CallFilter,
    decided_since,
    ended_since,
    read_story,
)
from sipagent.store.reading.rows import CALL_COLUMNS, call_row
from sipagent.watching.ids import Named
from sipagent.watching.recalling import events_of, lifecycle_of

READ_WITHIN: Final = 5.0
TURN_WITHIN: Final = 10.0
"""Seconds for a turn to come, before the records are as good as away."""

STORED_WITHIN: Final = 1.0
"""Seconds for what has just happened here to be stored, before the records are asked for it."""

MOST_AT_ONCE: Final = 2
"""Who comes with a crowd waits for a turn, so that what is recorded meanwhile, and whoever asks for
something else, finds a connection."""

_ATTEMPTS: Final = 2
"""The one that is under way may have begun before."""

MOST_PAGES: Final = 20
"""Answers of 500 calls, at most, to what has happened since."""


class Archive:
    """The records of all replicas. Methods raise what a database raises."""

    def __init__(
        self, engine: Callable[[], AsyncEngine], flushed: Callable[[int], Awaitable[None]]
    ) -> None:
        self._engine = engine
        self._flushed = flushed
        self._turns = asyncio.Semaphore(MOST_AT_ONCE)

    async def settle(self) -> None:
        """What has happened here until now is stored, unless that takes too long."""
        try:
            async with asyncio.timeout(STORED_WITHIN):
                await self._flushed(_ATTEMPTS)
        except TimeoutError:
            return

    async def whose(self, call_id: CallId) -> TenantName | None:
        found = await self.find(call_id)
        return None if found is None else TenantName(found.tenant)

    async def find(self, call_id: CallId) -> CallRow | None:
        async with self._connected() as connection:
            query = select(*CALL_COLUMNS).where(tables.calls.c.call_id == call_id)
            row = (await connection.execute(query)).mappings().first()
        return None if row is None else call_row(row)

    async def story(self, call_id: CallId) -> tuple[LiveEvent, ...]:
        """All that is recorded of the call; nothing where it is unknown."""
        async with self._connected() as connection:
            story = await read_story(connection, None, call_id, words=True)
        return () if story is None else events_of(story)

    async def at(self, named: Named, tenant: TenantName | None) -> float | None:
        """When that happened to a call of this tenant's, or of any; None where nothing is recorded
        of it: another's call is as one that never was."""
        call = await self.find(named.call_id)
        if call is None or tenant not in (None, call.tenant):
            return None
        events = {event.kind.value: event.at for event in lifecycle_of(call)}
        return events.get(named.what, call.began_at)

    async def since(
        self, tenant: TenantName | None, since: float, numbers: tuple[str, ...] = ()
    ) -> list[LiveEvent]:
        """How far the tenant's calls have come since then, in its order."""
        found: dict[str, CallRow] = {}
        wanted = CallFilter(dialed=numbers)
        async with self._connected() as connection:
            async for call in _calls(connection, tenant, wanted, since):
                found[call.call_id] = call
        events = [one for call in found.values() for one in lifecycle_of(call) if one.at >= since]
        return sorted(events, key=lambda event: (event.at, event.kind is LiveKind.ENDED))

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[AsyncConnection]:
        async with (
            asyncio.timeout(TURN_WITHIN + READ_WITHIN),
            self._turns,
            asyncio.timeout(READ_WITHIN),
            self._engine().connect() as connection,
        ):
            yield connection


async def _calls(
    connection: AsyncConnection, tenant: TenantName | None, wanted: CallFilter, since: float
) -> AsyncIterator[CallRow]:
    """Calls that were decided or have ended since then."""
    begun = over = since
    for _ in range(MOST_PAGES):
        decided = await decided_since(connection, tenant, wanted, begun)
        for call in decided:
            yield call
        if len(decided) < MOST_NEW:
            break
        begun = decided[-1].began_at
    for _ in range(MOST_PAGES):
        ended = await ended_since(connection, tenant, wanted, over)
        for call in ended:
            yield call
        if len(ended) < MOST_NEW:
            break
        over = ended[-1].ended_at or over
