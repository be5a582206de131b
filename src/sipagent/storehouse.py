"""What one process keeps beyond its own life: the engine's memory and the records of calls."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Final, Self

import structlog

from sipagent import __version__
from sipagent.api.health import UnreadyReason
from sipagent.concurrency import TaskOwner
from sipagent.engine.counters import Counters
from sipagent.engine.purse import Crossing
from sipagent.engineroom import Heirs, engine_room, replica_name
from sipagent.metrics import Metrics
from sipagent.model import CallId, QuotaScope, TenantName, Webhook
from sipagent.outbox.warnings import tell_budget
from sipagent.routing import RoutingTable
from sipagent.sessions.ports import Clock, Engine, HeldCall
from sipagent.sessions.supervisor import Supervisor
from sipagent.settings import Settings
from sipagent.sip import to_e164
from sipagent.store.arrivals import Arrivals
from sipagent.store.closing import Closing
from sipagent.store.database import DATABASE_ERRORS, reason_of
from sipagent.store.erasure import Eraser, IsErased
from sipagent.store.ledger import Ledger
from sipagent.store.location import location_of
from sipagent.store.numbers import InstallationKey, StoredNumbers, installation_key
from sipagent.store.outbox import Endpoint
from sipagent.store.records import StoreRecords
from sipagent.store.retention import Pruner, Retention
from sipagent.store.rows import COLUMNS, Row, RowKind, Writing
from sipagent.store.spending import Spent, costs_of, quotas_for, quotas_of, spent_so_far
from sipagent.store.summaries import Job
from sipagent.store.writer import Writer

log = structlog.get_logger(__name__)

COSTS_WITHIN: Final = 1.0
"""Seconds for the records to say what calls have cost that are gone on with: they are waiting."""

SEEDED_AGAIN: Final = 15.0
"""Seconds between two questions to records that are away."""

SEEDED_WITHIN: Final = 10.0
"""Seconds for the records to say what has been spent in the running day and month; a start waits
for as long, those that are left are asked for later."""

LEFT_WITHIN: Final = 1.0
"""Seconds for what a killed process has left to be stored."""


class Storehouse:
    """The engine and the records of one data directory.

    Making it takes the directory for this process and reads no call yet: SettingsError and
    StoreError say that it cannot be used. As a context it is open for calls; at its end all that
    was kept is on disk, as far as the disk takes it. `table` gives the routing table in force.
    """

    def __init__(
        self, settings: Settings, table: Callable[[], RoutingTable], metrics: Metrics, clock: Clock
    ) -> None:
        location = location_of(
            None if settings.database_url is None else settings.database_url.get_secret_value(),
            settings.data_dir,
        )
        self.location = location
        self.data_dir = settings.data_dir
        self._table = table
        self.clock = clock
        self._metrics = metrics
        self.stir: Callable[[Endpoint], None] = lambda _: None
        self.read: Callable[[], None] = lambda: None
        self.forget: Callable[[IsErased], None] = lambda _: None
        self._process = settings.process_quota
        self._key = self._installation_key(settings, file=location.file is not None)
        self._ledger = Ledger(settings.data_dir)
        self.replica = replica = replica_name()
        self.room = engine_room(settings, replica, clock, self._crossed)
        self.writer = Writer(
            location,
            settings.data_dir,
            metrics,
            clock,
            migrate=settings.db_migrate == "auto",
            # The engine's memory has decisions and outcomes until they are stored.
            spooled=(RowKind.USAGE, RowKind.TRANSFER, RowKind.MESSAGE, RowKind.EVENT),
            settled=self.room.engine.settled,
            stirred=self._stirred,
        )
        self._numbers = StoredNumbers(self._key, lambda tenant: table().privacy(tenant).hmac)
        writing = Writing(__version__, replica, self._numbers)
        self.records = StoreRecords(self.writer, writing, clock, self._webhooks)
        self.arrivals = Arrivals(
            lambda: self.writer.engine, table, clock, behind=lambda: bool(self.writer.defects())
        )
        metrics.observe_arrivals(lambda: self.arrivals.few)
        metrics.observe_replica(self.room.standing)
        self._since = clock.wall()
        self._seeded: set[str] = set()
        self._seeding = asyncio.Lock()
        self._begun = False
        self._wind_down: Callable[[Sequence[CallId]], None] = lambda _: None
        self._tasks = TaskOwner(_crashed, apart=True)
        self._opened = AsyncExitStack()
        self._open = False

    async def __aenter__(self) -> Self:
        """The engine's memory takes claims, and records are stored; a database that is away is
        waited for behind the calls. Raises StoreError."""
        self.room.start()
        self._opened.push_async_callback(self.room.close)
        try:
            await self._opened.enter_async_context(self.writer)
            self._open = True
            if not self.writer.defects():  # else the calls that are held wait for nothing
                await self._store_left()
            await self._opened.enter_async_context(self._retention())
            await self._opened.enter_async_context(self._closing())
            await self._opened.enter_async_context(self.arrivals)
        except BaseException:
            await self._opened.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self._open = False
        await self._tasks.cancel(1.0)
        await self._opened.aclose()

    @property
    def engine(self) -> Engine:
        return self.room.engine

    @property
    def numbers(self) -> StoredNumbers:
        """How tenants' numbers are stored."""
        return self._numbers

    @property
    def counters(self) -> Counters:
        return self.room.counters

    async def go_on(self, supervisor: Supervisor, ring_window: float) -> None:
        """The calls that others have left are the supervisor's: processes before this one, or other
        replicas from now on."""

        async def take_over(held: Sequence[HeldCall]) -> None:
            if held:
                log.info("going on with calls of another process", calls=len(held))
                held = await self._with_costs(held)
            supervisor.adopt(held, ring_window)

        most = None if self._process is None else self._process.held
        await self.room.begin(Heirs(supervisor, take_over, most))

    async def hand_over(self) -> int:
        """Other replicas go on with our calls, as many as these are."""
        given = await self.room.hand_over()
        if given:
            log.info("calls handed over", calls=given)
        return given

    async def count(self, wind_down: Callable[[Sequence[CallId]], None] = lambda _: None) -> None:
        """Budgets go on from what has been spent, now or as soon as the records can say it, and
        calls whose money turns out to be used up are wound down."""
        self._wind_down = wind_down
        if not self.writer.defects():
            await self.seed()
        self._tasks.start(self._seed_until_done(), name="seed budgets")

    def defects(self) -> tuple[UnreadyReason, ...]:
        """What is wrong while calls are taken."""
        memory = (UnreadyReason("engine", *defect) for defect in self.room.defects())
        records = (UnreadyReason(*defect) for defect in self.writer.defects())
        return (*memory, *records)

    def forms_of(self, number: str, tenant: TenantName | None) -> tuple[str, ...]:
        """All forms in which a number may stand in the records, the hidden one of a tenant's."""
        e164 = to_e164(number)
        plain = tuple(dict.fromkeys(filter(None, (e164, number))))
        if e164 is None or tenant is None:
            return plain
        return (*plain, *self._numbers.spellings(tenant, e164)[1:])

    async def seed(self) -> None:
        """Have budgets that are new here go on from what has been spent already.

        What is new at the start goes on from what was spent before it, also if the records can say
        that only later: they are asked again until they do.
        """
        if self._open and not self._seeding.locked():
            await self._seed(self.clock.wall() if self._begun else self._since)

    async def _seed(self, until: float) -> None:
        async with self._seeding:
            asked = spent_so_far(
                self.writer.engine,
                self._table(),
                self._numbers,
                until,
                frozenset(self._seeded),
                self._process,
            )
            try:
                async with asyncio.timeout(SEEDED_WITHIN), contextlib.aclosing(asked):
                    async for key, sums in asked:
                        self._go_on_from(key, sums)
                self._begun = True
            except (*DATABASE_ERRORS, TimeoutError) as error:
                why = reason_of(error)
                log.warning("budgets count from now on until the records answer", reason=why)
            self.counters.renew(quota for quota, _ in quotas_of(self._table(), self._process))
            self._wind_down(self.counters.unpaid(self.clock.wall()))

    def _go_on_from(self, key: str, sums: Sequence[Spent]) -> None:
        self._seeded.add(key)
        for one in sums:
            self.room.seed(key, one.label, one.micros, first=not self._begun)

    async def _seed_until_done(self) -> None:
        while not self._begun:
            await asyncio.sleep(SEEDED_AGAIN)
            await self.seed()

    async def _store_left(self) -> None:
        """Bills that a killed process has left count as spent, unless the database is away."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEFT_WITHIN):
                await self.writer.flushed()

    async def _with_costs(self, held: Sequence[HeldCall]) -> list[HeldCall]:
        """The calls with what they have cost, as far as the records say it in time: their ceilings
        hold for the whole of them."""
        costs: Mapping[str, int] = {}
        try:
            async with asyncio.timeout(COSTS_WITHIN):
                await self.writer.flushed()
                costs = await costs_of(self.writer.engine, [one.call.call_id for one in held])
        except (*DATABASE_ERRORS, TimeoutError) as error:
            log.warning("calls go on as if they had cost nothing", reason=reason_of(error))
        return [replace(one, cost=costs.get(one.call.call_id, 0)) for one in held]

    def _closing(self) -> Closing:
        return Closing(
            self.writer.engine,
            lambda: {name: tenant.timezone for name, tenant in self._table().tenants.items()},
            self.clock,
            jobs=self.room.jobs,
        )

    def _webhooks(self, tenant: TenantName) -> Mapping[str, Webhook]:
        known = self._table().tenants.get(tenant)
        return {} if known is None else known.webhooks

    def _stirred(self, kind: RowKind, row: Row) -> None:
        """An event has been stored, or a call that is to be read."""
        if kind is RowKind.SUMMARY:
            self.read()
            return
        endpoint = COLUMNS[RowKind.EVENT].index("endpoint")
        tenant = COLUMNS[RowKind.EVENT].index("tenant")
        self.stir((TenantName(row[tenant]), row[endpoint]))

    def _crossed(self, crossing: Crossing) -> None:
        """Tell of a budget of which a share is used up, once for each share and period."""
        name = "" if crossing.scope is QuotaScope.NUMBER else crossing.name
        share = f"{crossing.share / 100:g}%"
        self._metrics.budgets.crossed(crossing.scope, name, crossing.period, share)
        log.warning(
            "budget spent" if crossing.spent else "budget is being spent",
            scope=crossing.scope,
            name=name,
            period=crossing.label,
            share=share,
        )
        tell_budget(
            self.records.announcer, crossing, self._table(), self._numbers, self.clock.wall()
        )

    def charge(self, job: Job, cost: int) -> None:
        """Count what reading a call has cost for the budgets that it counts for."""
        quotas = quotas_for(
            self._table(),
            self._process,
            self._numbers,
            tenant=TenantName(job.tenant),
            account=job.account,
            dialed=job.dialed,
        )
        self._wind_down(self.room.charged(quotas, cost))

    def _retention(self) -> Retention:
        engine = self.writer.engine
        pruner = Pruner(engine, self._key, lambda tenant: self._table().privacy(tenant), self.clock)
        eraser = Eraser(engine, self._key, self._ledger, self.clock, lambda it: self.forget(it))
        return Retention(pruner, eraser, self.clock, jobs=self.room.jobs)

    def _installation_key(self, settings: Settings, *, file: bool) -> InstallationKey:
        hidden = any(tenant.privacy.hmac for tenant in self._table().tenants.values())
        return installation_key(settings.privacy_key, settings.data_dir, file=file or not hidden)


def _crashed(name: str, crash: BaseException) -> None:
    log.error("task crashed", task=name, error=type(crash).__name__, exc_info=crash)
