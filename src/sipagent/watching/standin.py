"""What stands in for other replicas while the engine by which they tell of their calls is away."""

import asyncio
from typing import Final

import structlog

from sipagent.concurrency import TaskOwner
from sipagent.model.live import LiveEvent
from sipagent.sessions.ports import Clock
from sipagent.store.database import DATABASE_ERRORS
from sipagent.watching.hub import Hub
from sipagent.watching.reading import Archive
from sipagent.watching.remote import Remote

log = structlog.get_logger(__name__)

LOOKED_EVERY: Final = 2.0
LONGER: Final = 10.0
"""Seconds for which the records are still looked at once the engine is back, and before it went:
others store what they tell a moment later."""

LONGEST: Final = 60.0
"""Seconds that are looked back at most, however long the engine is away."""

MOST_STORIES: Final = 50
"""Calls whose stories are read in one look."""


class StandIn:
    """Looks into the records, as a context, for what others do not tell. Whoever watches learns
    that something may be missing: words are not recorded as they are spoken."""

    def __init__(self, hub: Hub, remote: Remote, archive: Archive, clock: Clock) -> None:
        self._hub = hub
        self._remote = remote
        self._archive = archive
        self._clock = clock
        self._since: float | None = None
        self._until = 0.0
        self._tasks = TaskOwner(_crashed, apart=True)

    async def __aenter__(self) -> "StandIn":
        self._tasks.start(self._look_for_ever(), name="watch records")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._tasks.cancel(1.0)

    async def _look_for_ever(self) -> None:
        while True:
            await asyncio.sleep(LOOKED_EVERY)
            await self.look()

    async def look(self) -> None:
        """Tell what the records have, while others do not tell it."""
        board, now = self._hub.board, self._clock.wall()
        if not board.calls_watched and not board.tenants_watched:
            self._since = None
            return
        if self._remote.away:
            self._until = now + LONGER
            if self._since is None:
                self._since = now - LONGER
                self._hub.missed("engine_away")
        elif now > self._until:
            self._since = None
        if self._since is None:
            return
        self._since = max(self._since, now - LONGEST)
        try:
            recorded = await self._recorded(self._since)
        except DATABASE_ERRORS:
            return  # the gap has been told
        for event in board.news(recorded):
            if not self._hub.holds(event.call_id):
                board.receive(event, self._hub.dialed(event.call_id))

    async def _recorded(self, since: float) -> list[LiveEvent]:
        board = self._hub.board
        found: list[LiveEvent] = []
        if tenants := board.tenants_watched:
            one = tenants[0] if len(tenants) == 1 else None
            found += await self._archive.since(one, since)
        others = [one for one in board.calls_watched if not self._hub.holds(one)]
        for call_id in others[:MOST_STORIES]:
            story = await self._archive.story(call_id)
            found += [event for event in story if event.at >= since]
        return found


def _crashed(name: str, crash: BaseException) -> None:
    log.error("task crashed", task=name, error=type(crash).__name__, exc_info=crash)
