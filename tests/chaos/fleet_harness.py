"""Rounds of calls on three replicas, each with a strike in their midst."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from tests.chaos.books import ANSWERED
from tests.chaos.callers import QUIESCENT, Kind, Placed
from tests.chaos.fleet_callers import AGENTS, MIX, FleetCrowd
from tests.chaos.fleet_figures import FleetFigures, Measured
from tests.chaos.promises import (
    ended,
    nothing_twice,
    recorded_as_may_be_true,
    usage_is_the_ledgers,
)
from tests.chaos.shared_books import SharedBooks
from tests.chaos.spans import gaps, sent_by_earlier, taken_over_at, twice
from tests.chaos.strikes import ROLL, Strike, replaced
from tests.faults import Proxy
from tests.process.test_kill_tools import Bookings, booking, outputs
from tests.replicas.balancer import Balancer, balancing
from tests.replicas.fleet import Fleet, fleet, servers
from tests.servers import Flavour, PostgresServer, RedisServer

BUSY: Final = 0.9
"""Seconds in which calls come, and callers begin to talk, before and after the strike."""

SETTLED_FOR: Final = 0.5
"""Seconds before a strike in which nothing is said on a quiet call: what was said is stored."""

BEFORE_ROLL: Final = 2.0
HELD_WITHIN: Final = 15.0
RECORDED_WITHIN: Final = 30.0
HANDED_OVER_WITHIN: Final = 1.0
LET_GO_WITHIN: Final = 1.0
TWICE_WITHIN: Final = 0.5
"""Seconds for which two sockets may be open on a call while one hands it to the other."""


class FleetChaos:
    """A fleet behind a balancer, its servers, and the simulator that all its calls come from.

    Every method that is named for a promise raises AssertionError where it is broken.
    """

    def __init__(
        self,
        made: Fleet,
        balancer: Balancer,
        servers: tuple[RedisServer, PostgresServer],
        bookings: Bookings,
        seed: int,
        *,
        linked: bool,
    ) -> None:
        """Replicas that are `linked` can be cut off from Redis; it costs time of this process."""
        self.fleet = made
        self.redis, self.postgres = servers
        self.figures = FleetFigures()
        self.chance = random.Random(seed)
        self.balancer = balancer
        self._proxies: dict[str, Proxy] = {}
        self._opened = AsyncExitStack()
        self._bookings = bookings
        self._linked = linked
        self._books = SharedBooks(made.variables["SIPAGENT_DATABASE_URL"], self.redis.url)
        self._crowd = FleetCrowd(balancer, "0", self.chance, {})
        self._victims: frozenset[str] = frozenset()
        self._hit_at = 0.0

    @property
    def links(self) -> Mapping[str, Proxy]:
        """What lies between each replica and Redis."""
        return self._proxies

    async def add(self) -> str:
        """One more replica is ready."""
        if not self._linked:
            return await self.fleet.start()
        proxy = await self._opened.enter_async_context(Proxy(self.redis.address))
        name = await self.fleet.start(SIPAGENT_ENGINE=proxy.through(self.redis.url))
        self._proxies[name] = proxy
        return name

    async def talk(self) -> None:
        """Every caller says something, and is answered."""
        await self._crowd.talk()

    async def stop(self) -> None:
        await asyncio.gather(*(each.kill() for each in self.fleet.replicas.values()))
        await self._opened.aclose()

    async def hit(self, *victims: str) -> None:
        """The strike has come: what must be true of each call afterwards depends on what it was
        doing, and on whether its replica was hit. Some callers hang up."""
        crowd, self._hit_at = self._crowd, time.time()
        crowd.struck = self._victims = frozenset(victims)
        marks = await self._books.marks(crowd.prefix) if victims else {}
        for placed in crowd.calls:
            if not placed.tried & self._victims:
                continue
            placed.quiet = placed.quiet and placed.is_quiet
            sent = len(placed.call.accepts)
            if not ANSWERED & marks.get(placed.call_id, set()):
                # A webhook that waited in a victim may be taken there late, and elsewhere before.
                placed.in_flight = placed.in_flight or sent > 0 or not placed.taken_at
            elif placed.accepted_by_then is None:
                placed.accepted_by_then = sent
        crowd.leave()

    async def round(self, strike: Strike, mix: Mapping[Kind, int] = MIX) -> None:
        """Calls that are all doing something, the strike, and all that must be true after it."""
        self.figures.rounds += 1
        crowd = self._crowd = FleetCrowd(self.balancer, f"f{self.figures.rounds}", self.chance, mix)
        await crowd.settle()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(crowd.be_busy(BUSY))
            await asyncio.sleep(self.chance.uniform(SETTLED_FOR, BUSY))
            await strike.come(self)
            healed_at = time.time()
            crowd.struck = frozenset()
        await self._all_are_held_or_over(crowd)
        for placed in crowd.calls:
            placed.in_flight = placed.in_flight or (strike.forgotten and placed.call.ended)
        await crowd.redeliver()
        await crowd.talk()
        self._measure(strike, crowd, healed_at)
        crowd.hang_up()
        await self._is_over(crowd)

    async def roll(self, rate: float) -> None:
        """Each replica is replaced by a fresh one while so many calls come each second, and all
        that must be true after it."""

        async def restart() -> None:
            await asyncio.sleep(BEFORE_ROLL)
            for name in self.fleet.alive:
                await replaced(self, name)
            await asyncio.sleep(BEFORE_ROLL)

        crowd = await self._come_and_go(rate, restart())
        found = self.figures.strikes.setdefault(f"rolling restart, {rate:g} calls/s", Measured())
        for placed in crowd.calls:
            self._measure_one(ROLL, placed, found, time.time(), hit=True)
        found.rounds, found.calls = found.rounds + 1, found.calls + len(crowd.calls)
        found.taken_over.clear()  # from the last replica's leaving, that is
        self._within_limits(ROLL, found)
        assert found.between
        await self._is_over(crowd)

    async def stream(self, rate: float, seconds: float) -> FleetCrowd:
        """So many calls come each second, for so long, and go."""
        crowd = await self._come_and_go(rate, asyncio.sleep(seconds))
        await self._is_over(crowd)
        return crowd

    async def _come_and_go(self, rate: float, meanwhile: Coroutine[None, None, None]) -> FleetCrowd:
        self.figures.rounds += 1
        crowd = self._crowd = FleetCrowd(self.balancer, f"f{self.figures.rounds}", self.chance, {})
        async with asyncio.TaskGroup() as tasks:
            traffic = tasks.create_task(crowd.come_and_go(rate))
            await meanwhile
            traffic.cancel()
        return crowd

    async def _is_over(self, crowd: FleetCrowd) -> None:
        await self._recorded_once(crowd)
        self._booked_once(crowd)
        await self._nothing_is_left_in_the_engine()

    async def _all_are_held_or_over(self, crowd: FleetCrowd) -> None:
        """Each call that goes on is held, by one socket."""
        async with asyncio.TaskGroup() as tasks:
            for placed in crowd.calls:
                tasks.create_task(self._held_or_over(placed))

    async def _held_or_over(self, placed: Placed) -> None:
        def safe(_: object) -> bool:
            return placed.call.ended or placed.open_sockets == 1

        try:
            await self.fleet.simulator.until(placed.call_id, safe, timeout=HELD_WITHIN)
        except TimeoutError:
            raise AssertionError((placed.open_sockets, placed.call.describe())) from None

    def _measure(self, strike: Strike, crowd: FleetCrowd, healed_at: float) -> None:
        """Who held which call for how long, before the callers hang up."""
        found = self.figures.strikes.setdefault(strike.name, Measured())
        found.rounds += 1
        found.calls += len(crowd.calls)
        for placed in crowd.calls:
            hit = bool(placed.tried & self._victims)
            self._measure_one(strike, placed, found, healed_at, hit=hit)
        self._within_limits(strike, found)

    def _within_limits(self, strike: Strike, found: Measured) -> None:
        assert max(found.taken_over, default=0.0) < strike.worst, found
        nobody = HANDED_OVER_WITHIN if strike.announced else strike.worst
        assert max(found.between, default=0.0) < nobody, found
        assert found.let_go < LET_GO_WITHIN, found
        assert found.twice < TWICE_WITHIN, found
        assert found.stale == 0, found

    def _measure_one(
        self, strike: Strike, placed: Placed, found: Measured, healed_at: float, *, hit: bool
    ) -> None:
        call, notes = placed.call, placed.call.notes
        placed_at = call.order.placed_at
        struck, healed = self._hit_at - placed_at, healed_at - placed_at
        end = time.time() - placed_at if not call.ended else call.agenda.now
        if hit and (at := taken_over_at(notes, struck)) is not None:
            found.taken_over.append(at - struck)
        found.between += [until - since for since, until in gaps(notes, end)]
        doubled = twice(notes, end)
        if strike.kept and hit:
            found.let_go = max([found.let_go, *(until - healed for _, until in doubled)])
        else:
            found.twice = max(found.twice, sum(until - since for since, until in doubled))
        found.stale += sent_by_earlier(notes, call.senders)
        if not hit and call.attachments > 1:
            found.needless += 1
            raise AssertionError((strike.name, placed.tried, call.describe(), call.notes))

    async def _recorded_once(self, crowd: FleetCrowd) -> None:
        """Each call is in PostgreSQL once, with one outcome that may be true of it, what was said,
        and what was billed."""
        placed = {one.call_id for one in crowd.calls}
        async with asyncio.timeout(RECORDED_WITHIN):
            while not placed <= ended(records := await self._books.calls(crowd.prefix)):
                await asyncio.sleep(0.1)
        recorded_as_may_be_true(crowd, records, self.figures)
        nothing_twice(crowd, self.figures)
        used, turns = await self._books.used(crowd.prefix), await self._books.turns(crowd.prefix)
        usage_is_the_ledgers(crowd, records, used, self.figures)
        for one in crowd.of(*QUIESCENT):
            said = [(line["who"], line["text"]) for line in one.call.transcript]
            assert turns.get(one.call_id, []) == said, (said, one.call.describe())
            self.figures.turns += len(said)
        statuses = self.balancer.statuses
        self.figures.webhooks = statuses[200]
        self.figures.slowest_webhook = self.balancer.slowest
        self.figures.failed_webhooks = sum(
            count for status, count in statuses.items() if status is not None and status >= 500
        )
        assert self.figures.failed_webhooks == 0

    def _booked_once(self, crowd: FleetCrowd) -> None:
        """No tool that must run once ran twice, and of each that ran the model was told what came
        of it, or that it is not known."""
        for order, placed in crowd.orders.items():
            made, told = self._bookings.made[order], outputs(placed.call)
            self.figures.bookings += made
            self.figures.booked_twice += made > 1
            self.figures.unknown_bookings += "unknown" in "".join(told)
            assert made <= 1, placed.call.describe()
            assert made == 0 or len(told) == 1, placed.call.describe()

    async def _nothing_is_left_in_the_engine(self) -> None:
        """No claim, no place that a call takes, no entry."""
        left = ["?"]
        for _ in range(100):
            if not (left := await self._books.left()):
                break
            await asyncio.sleep(0.1)
        self.figures.left_in_redis += len(left)
        assert not left


@asynccontextmanager
async def fleet_chaos(
    folder: Path,
    seed: int,
    *,
    replicas: int = 3,
    linked: bool = True,
    flavour: Flavour = "redis",
) -> AsyncIterator[FleetChaos]:
    """Replicas that are ready, with a Redis and a PostgreSQL of their own."""
    chance = random.Random(seed)
    with servers(flavour) as (redis, postgres):
        async with (
            booking(lambda: chance.uniform(0.02, 1.5)) as bookings,
            fleet(
                folder, redis.url, postgres.url, AGENTS.format(url=bookings.url), replicas=0
            ) as made,
            balancing(made) as balancer,
        ):
            chaos = FleetChaos(made, balancer, (redis, postgres), bookings, seed, linked=linked)
            try:
                for _ in range(replicas):
                    await chaos.add()
                yield chaos
            finally:
                await chaos.stop()
