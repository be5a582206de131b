"""Replicas of one process: engines with leases of their own on one server."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from sipagent.concurrency import SystemClock
from sipagent.engine.redis.engine import RedisEngine
from sipagent.engine.redis.lease import Lease
from sipagent.engine.redis.leases import Leases
from sipagent.engine.redis.link import ANSWER_WITHIN, Link, Value
from sipagent.errors import EngineError
from sipagent.model import CallId
from sipagent.sessions.ports import HeldCall


@dataclass
class Heirs:
    """What a replica's calls are told."""

    room: bool = True
    adopted: list[HeldCall] = field(default_factory=list)
    lost: list[CallId] = field(default_factory=list)
    over: list[CallId] = field(default_factory=list)
    resumed: int = 0

    async def take_over(self, held: Sequence[HeldCall]) -> None:
        self.adopted += held

    def resume(self) -> None:
        self.resumed += 1

    def has_room(self) -> bool:
        return self.room


@dataclass
class Replica:
    """One engine, whose leases are renewed when a test says so, or by themselves once started."""

    engine: RedisEngine
    leases: Leases
    heirs: Heirs
    link: "AgeingLink"

    async def written(self) -> None:
        """All that was put has been taken by the server."""
        assert await self.engine.outgoing.flush(10.0)

    async def abandon(self, *calls: CallId) -> None:
        """The leases of these calls, or of all, are over: as if this replica had died long ago."""
        for call_id in calls or tuple(self.engine.held):
            await self.link.age(call_id)


@asynccontextmanager
async def replica(
    url: str,
    name: str,
    *,
    lease: float = 60.0,
    heartbeat: float = 1.0,
    started: bool = False,
    crossed: Callable[..., None] = lambda _: None,
    line: Callable[[str], "AgeingLink"] | None = None,
) -> AsyncIterator[Replica]:
    link = AgeingLink(url) if line is None else line(url)
    async with (
        link,
        _replica(link, name, lease, heartbeat, crossed, started=started) as made,
    ):
        yield made


@asynccontextmanager
async def _replica(
    link: "AgeingLink",
    name: str,
    lease: float,
    heartbeat: float,
    crossed: Callable[..., None],
    *,
    started: bool,
) -> AsyncIterator[Replica]:
    clock, heirs = SystemClock(), Heirs()
    engine = RedisEngine(link, name, clock, Lease(lease, clock.monotonic()), crossed=crossed)
    engine.offer_within = engine.admit_within = 5.0  # a busy machine is no engine that is away
    engine.lost = heirs.lost.append
    engine.over = heirs.over.extend
    leases = Leases(engine, heirs, clock, heartbeat)
    made = Replica(engine, leases, heirs, link)
    if started:
        leases.start()
        yield made
        await leases.stop()
    else:
        async with asyncio.TaskGroup() as steps:
            task = steps.create_task(engine.outgoing.run())
            yield made
            task.cancel()


class AgeingLink(Link):
    """A link whose server can be told that a call was last renewed long ago. Answers to the scripts
    in `losing` are lost, requests to run those in `cutting` as well."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.losing: set[str] = set()
        self.cutting: set[str] = set()

    async def run(self, script: str, *values: Value, within: float = ANSWER_WITHIN) -> Any:
        if script in self.cutting:
            raise EngineError("cut")
        answer = await super().run(script, *values, within=within)
        if script in self.losing:
            raise EngineError("lost")
        return answer

    async def age(self, call_id: CallId) -> None:
        await self._redis.eval(_AGE, 0, f"{{sip}}:call:{call_id}")


_AGE = """
local held = redis.call('HMGET', ARGV[1], 'id', 'owner')
local stream, group = '{sip}:calls', 'replicas'
return redis.call('XCLAIM', stream, group, held[2], 0, held[1], 'IDLE', 3600000, 'JUSTID')
"""
