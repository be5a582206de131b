"""Who watches the calls of one process, put together."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Self

from sipagent.metrics import Metrics
from sipagent.sessions.ports import Records
from sipagent.store.fanout import EachOf
from sipagent.storehouse import Storehouse
from sipagent.watching.hub import Hub
from sipagent.watching.joining import LiveWatch
from sipagent.watching.reading import Archive
from sipagent.watching.remote import Remote
from sipagent.watching.standin import StandIn


class Watchroom:
    """The hub of a house, and the `watch` of the control API. As a context, to be opened within the
    house's, it watches other replicas' calls as well, and has them watch ours."""

    def __init__(self, house: Storehouse, metrics: Metrics) -> None:
        clock, numbers = house.clock, house.numbers
        self.hub = Hub(clock, numbers)
        archive = Archive(lambda: house.writer.engine, house.writer.flushed)
        self.watch = LiveWatch(self.hub, archive, clock, numbers)
        house.records.stepped = self.hub.stepped
        self._remote: Remote | None = None
        self._standin: StandIn | None = None
        if house.room.notices is not None:
            self._remote = Remote(self.hub, house.room.notices, house.replica, clock)
            self._standin = StandIn(self.hub, self._remote, archive, clock)
        self._opened = AsyncExitStack()
        metrics.observe_viewers(lambda: self.hub.board.viewers)
        metrics.observe_live_events(self._dropped)

    async def __aenter__(self) -> Self:
        for one in (self._remote, self._standin):
            if one is not None:
                await self._opened.enter_async_context(one)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
        await self._opened.aclose()

    def beside(self, records: Records) -> Records:
        """Records that have the hub told as well."""
        return EachOf(records, self.hub)

    def close(self) -> None:
        """All streams end, now: nothing waits for those who watch."""
        self.hub.board.close()

    def _dropped(self) -> Mapping[str, int]:
        """Events that viewers, or other replicas, have missed."""
        remote = 0 if self._remote is None else self._remote.dropped
        return {"viewer": self.hub.board.dropped, "replica": remote}
