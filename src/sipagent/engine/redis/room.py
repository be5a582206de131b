"""The engine that replicas share, with the tasks that keep it."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from typing import Protocol

from sipagent.engine.counters import Counters
from sipagent.engine.desk import nobody
from sipagent.engine.purse import Crossing
from sipagent.engine.redis.engine import RedisEngine
from sipagent.engine.redis.jobs import RedisJobs
from sipagent.engine.redis.lease import Lease
from sipagent.engine.redis.leases import Heir, Leases
from sipagent.engine.redis.link import Link
from sipagent.engine.redis.notices import Notices
from sipagent.engine.redis.requests import Requests
from sipagent.model import CallId, Quota
from sipagent.model.request import CallRequest, Reply
from sipagent.sessions.ports import Clock
from sipagent.standing import Standing


class Holder(Protocol):
    """Who holds the calls of this process."""

    def let_go(self, call_id: CallId) -> None: ...

    def wind_down(self, calls: Sequence[CallId]) -> None: ...

    def act(self, call_id: CallId, request: CallRequest, key: str) -> Reply | None: ...


class SharedHeir(Heir, Protocol):
    """An heir whose own calls may be lost as well."""

    @property
    def holder(self) -> Holder: ...


class SharedRoom:
    """One replica's engine."""

    def __init__(
        self,
        url: str,
        replica: str,
        clock: Clock,
        crossed: Callable[[Crossing], None],
        *,
        lease: float,
        heartbeat: float,
    ) -> None:
        """Nothing is connected yet. Times are in seconds."""
        self.link = Link(url)
        self.replica = replica
        self._clock = clock
        self._heartbeat = heartbeat
        self.engine = RedisEngine(
            self.link, replica, clock, Lease(lease, clock.monotonic()), crossed=crossed
        )
        self.notices = Notices(self.link, replica)
        self.jobs = RedisJobs(self.link, replica, clock, lease, heartbeat)
        self._leases: Leases | None = None
        self.desk = Requests(self.link, self.notices, replica, nobody)
        self._opened = AsyncExitStack()

    @property
    def counters(self) -> Counters:
        return self.engine.counters

    def start(self) -> None:
        """Claims are taken once `begin` was called: tasks belong to an event loop."""

    async def begin(self, heirs: SharedHeir) -> None:
        await self._opened.enter_async_context(self.link)
        self.engine.lost = heirs.holder.let_go
        self.engine.over = heirs.holder.wind_down
        self._leases = leases = Leases(self.engine, heirs, self._clock, self._heartbeat)
        self.notices.on("adopt", lambda _: leases.nudge())
        self.desk.act = heirs.holder.act
        self._opened.push_async_callback(self.desk.close)
        await self._opened.enter_async_context(self.notices)
        await leases.renew()
        leases.start()
        await self._opened.enter_async_context(self.jobs)

    async def hand_over(self) -> int:
        return 0 if self._leases is None else await self._leases.hand_over()

    async def close(self) -> None:
        if self._leases is not None:
            await self._leases.stop()
        await self._opened.aclose()

    def seed(self, key: str, label: str, micros: int, *, first: bool) -> None:
        self.engine.seed(key, label, micros)

    def charged(self, quotas: Iterable[Quota], cost: int) -> Sequence[CallId]:
        return self.engine.charged(quotas, cost)

    def defects(self) -> Sequence[tuple[str, str]]:
        trouble = None if self._leases is None else self._leases.trouble
        if trouble is None:
            return ()
        return [("away", f"{trouble}; calls go on, and are taken over by nobody meanwhile.")]

    def standing(self) -> Standing:
        now, lease = self._clock.monotonic(), self.engine.lease
        return Standing(
            answers=self._leases is not None and self._leases.trouble is None,
            passive=not lease.active(now),
            renewed=max(0.0, now - lease.confirmed_at),
            steps=len(self.engine.outgoing),
            changes=self.engine.tally.changes(),
        )
