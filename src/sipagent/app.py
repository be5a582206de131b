"""The composition root: the only place where ports meet their implementations."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import httpx
from starlette.types import ASGIApp

from sipagent.api.server import ConnectionStats, GracefulServer, server_config
from sipagent.api.webhooks import WebhookReceiver
from sipagent.callroom import Books, Callroom, books_of, call_room
from sipagent.callroom import Fixed as Fixed
from sipagent.callroom import Unwatched as Unwatched
from sipagent.concurrency import SystemClock
from sipagent.config.reload.live import LiveConfiguration
from sipagent.config.reload.reloader import Reloader
from sipagent.controlroom import Controlroom, control_room
from sipagent.errors import SettingsError
from sipagent.instruments import Instruments, instruments_of
from sipagent.lifetime import Lifetime
from sipagent.listeners import Listeners, listeners
from sipagent.metrics import Metrics
from sipagent.observability import log_later
from sipagent.outbox.courier import Courier, Directory
from sipagent.outbox.post import GuardedPost
from sipagent.outbox.scribe import Scribe
from sipagent.providers.accounts import AccountSpec
from sipagent.providers.registry import Accounts
from sipagent.routing import RoutingTable
from sipagent.sessions.intake import Intake
from sipagent.sessions.moving import Mover
from sipagent.sessions.ports import Clock, Records, Tap, ToolRunner
from sipagent.sessions.supervisor import Supervisor
from sipagent.sessions.talks import Talks
from sipagent.settings import Settings
from sipagent.store.log import LogRecords
from sipagent.storehouse import Storehouse
from sipagent.toolroom import Toolroom
from sipagent.tools.addresses import Allow
from sipagent.tools.egress import Egress
from sipagent.upkeep import Readiness, Upkeep, accounts_of, described_account
from sipagent.watchroom import Watchroom

UNREADY_FOR: Final = 2.0
"""Seconds for which a replica that leaves says so before it does: balancers ask every second."""

HANDED_OVER_AGAIN: Final = 0.5
"""Seconds between two attempts to have others go on with calls."""


@dataclass(frozen=True, slots=True)
class Service:
    """One process's service: an ASGI application and the calls behind it."""

    app: ASGIApp
    accounts: Accounts
    supervisor: Supervisor
    intake: Intake
    connections: ConnectionStats
    drain_timeout: float
    house: Storehouse | None = None
    hands_over: bool = False
    control: Controlroom | None = None
    talks: Talks | None = None
    watching: Watchroom | None = None
    admin: ASGIApp | None = None
    """What the operator's own listener serves, where there is one; `app` is without it then."""

    def give_up(self) -> None:
        """Take no more calls; the end of the application ends the held ones at once."""
        self.intake.draining = True
        self._unwatch()

    async def drain(self) -> None:
        """Take no more calls, and let the held ones end as the settings say; or have other replicas
        go on with them, and with those that still come. Whoever watches them does so until then."""
        try:
            await self._drained()
        finally:
            self._unwatch()

    def _unwatch(self) -> None:
        """Streams end before the listener closes, which waits for what is open."""
        if self.watching is not None:
            self.watching.close()

    async def _drained(self) -> None:
        if self.house is None or not self.hands_over:
            self.intake.draining = True
            await self.supervisor.drain(self.drain_timeout)
            return
        self.intake.leaving = True
        await asyncio.sleep(UNREADY_FOR)
        loop = asyncio.get_running_loop()
        until = loop.time() + self.drain_timeout
        while True:
            await self.house.hand_over()
            if not self.supervisor.live or loop.time() >= until:
                break
            await asyncio.sleep(HANDED_OVER_AGAIN)  # the engine is away, or another call has come
        await self.supervisor.drain(max(0.0, until - loop.time()))


def build(
    settings: Settings,
    configuration: RoutingTable | LiveConfiguration | Fixed,
    *,
    accounts: Sequence[AccountSpec] | None = None,
    records: Records | None = None,
    tap: Tap | None = None,
    clock: Clock | None = None,
    egress: Egress | None = None,
    tools: Callable[[ToolRunner], ToolRunner] | None = None,
    keep: bool = False,
) -> Service:
    """The service for this configuration. Nothing runs yet.

    A table is a configuration that never changes. Without `accounts` there are those of the live
    configuration, or the environment's one. `records` and `tap` replace the log's records and the
    tap that nobody listens to, `clock` the machine's clocks, `egress` the way out to others;
    `tools` is given what runs tools, and gives what is to run them. To `keep` is to take the data
    directory: calls outlive the process, and are recorded there or in the settings' database.
    Raises SettingsError for accounts, and StoreError for a data directory, that cannot be used.
    """
    clock, metrics = clock or SystemClock(), Metrics()
    # One TLS context for REST and sockets: a default one costs 14 to 18 ms of CPU.
    context = httpx.create_ssl_context()
    fixed = Fixed(configuration) if isinstance(configuration, RoutingTable) else configuration
    live = configuration if isinstance(configuration, LiveConfiguration) else None
    environment = described_account(settings)
    wanted = _wanted(live, environment) if accounts is None else accounts
    providers = Accounts(wanted, context, metrics.odd, granted=fixed.secret)
    house = Storehouse(settings, lambda: fixed.table, metrics, clock) if keep else None
    instruments = instruments_of(settings, metrics, clock, fixed, providers)
    told = instruments.beside(records or LogRecords(metrics, log_later))
    books = books_of(house, told, tap, metrics, clock)
    egress = egress or Egress(Allow.parse(settings.http_tools_allow), context, clock=clock)
    room = Toolroom(fixed, egress, books.records, clock, metrics.tools.observe, instruments.headers)
    run = room.toolbox if tools is None else tools(room.toolbox)
    calls = call_room(settings, fixed, providers, house, books, egress, run, instruments, metrics)
    upkeep = None if live is None else Upkeep(live, environment, providers, metrics, house=house)
    ground = _Ground(settings, fixed, clock, metrics, egress, room, calls, instruments, books)
    return _service(ground, Readiness(calls.intake, providers, upkeep, calls.gate, house))


def _wanted(
    live: LiveConfiguration | None, environment: AccountSpec | SettingsError
) -> Sequence[AccountSpec]:
    """The live configuration's accounts, or the environment's one. Raises SettingsError."""
    return accounts_of(() if live is None else live.loaded.accounts, environment)


def _service(ground: "_Ground", readiness: Readiness) -> Service:
    listening, control = _application(ground, readiness)
    calls, settings = ground.calls, ground.settings
    return Service(
        listening.public,
        readiness.accounts,
        calls.supervisor,
        calls.intake,
        calls.connections,
        settings.drain_timeout,
        readiness.house,
        settings.hands_over,
        control,
        calls.talks,
        ground.books.watching,
        listening.admin,
    )


@dataclass(frozen=True, slots=True)
class _Ground:
    """What an application is made of, beside what makes it ready."""

    settings: Settings
    fixed: LiveConfiguration | Fixed
    clock: Clock
    metrics: Metrics
    egress: Egress
    room: Toolroom
    calls: Callroom
    instruments: Instruments
    books: Books


@asynccontextmanager
async def serving(service: Service, host: str = "127.0.0.1") -> AsyncIterator[str]:
    """Serve in this event loop on a free port, whose URL this gives, until the block ends.

    The end drains as a first signal does. For demonstrations and tests: `sipagent serve` is the
    service's own process.
    """
    config = server_config(service.app, host=host, port=0, stats=service.connections)
    server = GracefulServer(
        config, on_drain=service.drain, on_abort=service.give_up, kill_after=None
    )
    listener = socket.create_server((host, 0), backlog=config.backlog)
    # asyncio does it only for sockets that it has made; without it answers wait for 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    async with asyncio.TaskGroup() as tasks:
        served = tasks.create_task(server.serve([listener]), name="server")
        try:
            while not server.started and not served.done():  # noqa: ASYNC110  # uvicorn has no event for it
                await asyncio.sleep(0.005)
            yield f"http://{host}:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True


def _courier(house: Storehouse, directory: Directory, ground: _Ground) -> Courier:
    """Who tells tenants what the house keeps for them."""
    clock = ground.clock
    courier = Courier(
        lambda: house.writer.engine,
        directory,
        GuardedPost(ground.egress, clock.wall),
        clock,
        ground.metrics.outbox,
        jobs=house.room.jobs,
        trace=ground.instruments.headers,
    )
    house.stir = courier.stir
    return courier


def _scribe(house: Storehouse, accounts: Accounts) -> Scribe:
    """Who has models read the calls that are over."""
    scribe = Scribe(
        lambda: house.writer.engine,
        accounts,
        house.records.announcer,
        house.writer.put,
        house.clock,
        spent=house.charge,
        jobs=house.room.jobs,
    )
    house.read = scribe.stir
    return scribe


def _application(ground: _Ground, readiness: Readiness) -> tuple[Listeners, Controlroom | None]:
    """What answers all requests, and the control room if there is one: where records are kept, and
    the configuration is read from files."""
    house, upkeep, fixed = readiness.house, readiness.upkeep, ground.fixed
    reloader = None
    if upkeep is not None:
        reloader = Reloader(upkeep.live, upkeep.after_reading, upkeep.secret_files)
    control = None
    if house is not None and upkeep is not None and reloader is not None:
        assert ground.books.watching is not None
        watch = ground.books.watching.watch
        clock, talks = ground.clock, ground.calls.talks
        control = control_room(house, upkeep.live, reloader, upkeep, watch, clock, readiness, talks)
    lifetime = Lifetime(
        readiness,
        ground.calls.supervisor,
        ground.room,
        ground.settings.ring_window,
        None if house is None else _courier(house, fixed, ground),
        None if house is None else _scribe(house, readiness.accounts),
        Mover(ground.calls.supervisor, fixed, ground.clock),
        reloader,
        _also(ground, control),
    )
    receiver = WebhookReceiver(readiness.accounts.webhook_secrets, readiness.intake, ground.metrics)
    apart = ground.settings.admin_port is not None
    return listeners(receiver, readiness, lifetime, control, apart=apart), control


def _also(
    ground: _Ground, control: Controlroom | None
) -> Sequence[AbstractAsyncContextManager[object]]:
    """What begins and ends with the application beside the calls."""
    watching = () if ground.books.watching is None else (ground.books.watching,)
    return (ground.instruments, *watching, *(() if control is None else control.also))
