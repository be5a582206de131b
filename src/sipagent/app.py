"""The composition root: the only place where ports meet their implementations."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import httpx
from fastapi import FastAPI
from starlette.types import ASGIApp

from sipagent import __version__
from sipagent.api import problems
from sipagent.api.health import health_router
from sipagent.api.server import ConnectionStats, GracefulServer, server_config
from sipagent.api.webhooks import WebhookFront, WebhookReceiver
from sipagent.concurrency import SystemClock
from sipagent.config.reload.live import LiveConfiguration
from sipagent.config.reload.reloader import Reloader
from sipagent.engine.embedded import EmbeddedEngine
from sipagent.errors import SecretError
from sipagent.metrics import Metrics
from sipagent.model import CallId, SecretName, TenantName, TrunkName
from sipagent.observability import log_later
from sipagent.outbox.courier import Courier, Directory
from sipagent.outbox.post import GuardedPost
from sipagent.outbox.scribe import Scribe
from sipagent.providers.accounts import AccountSpec
from sipagent.providers.registry import Accounts
from sipagent.providers.secrets import SecretSource
from sipagent.routing import Controls, RoutingTable
from sipagent.sessions.breaker import Breakers
from sipagent.sessions.gate import Gate, RecordsGate, WatchedRecords
from sipagent.sessions.headroom import Headroom
from sipagent.sessions.intake import Intake
from sipagent.sessions.moving import Mover
from sipagent.sessions.ports import Claims, Clock, Engine, Records, Tap, ToolRunner, Words
from sipagent.sessions.recent import RecentEnds
from sipagent.sessions.supervisor import Supervisor, Surroundings
from sipagent.settings import Settings
from sipagent.store.fanout import EachOf
from sipagent.store.log import LogRecords
from sipagent.storehouse import Storehouse
from sipagent.toolroom import Toolroom
from sipagent.tools.addresses import Allow
from sipagent.tools.consulting import EndpointConsultant
from sipagent.tools.egress import Egress
from sipagent.tools.local import LocalServer
from sipagent.upkeep import Readiness, Upkeep, accounts_of, described_account


class Unwatched:
    """A tap that nobody listens to."""

    def watched(self, call_id: CallId) -> bool:
        return False

    def publish(self, words: Words) -> None:
        """Never called: no call is watched."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """A configuration that never changes."""

    table: RoutingTable
    controls: Controls = field(default_factory=Controls)
    trunk_secrets: Mapping[TrunkName, Sequence[bytes]] = field(default_factory=dict)
    webhook_secrets: Mapping[tuple[TenantName, str], SecretSource] = field(default_factory=dict)
    servers: Mapping[str, LocalServer] = field(default_factory=dict)

    def secret(self, tenant: TenantName, name: SecretName) -> str:
        """Raises SecretError: nobody is granted one."""
        raise SecretError(f"the secret {name}", "is not granted")


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

    def give_up(self) -> None:
        """Take no more calls; the end of the application ends the held ones at once."""
        self.intake.draining = True

    async def drain(self) -> None:
        """Take no more calls, and let the held ones end as the settings say; or have other replicas
        go on with them, and with those that still come."""
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
    if accounts is None:
        accounts = accounts_of(() if live is None else live.loaded.accounts, environment)
    providers = Accounts(accounts, context, metrics.odd, granted=fixed.secret)
    house = Storehouse(settings, lambda: fixed.table, metrics, clock) if keep else None
    books = _books(house, records or LogRecords(metrics, log_later), clock)
    gate = Gate(books.engine, Breakers(clock), Headroom(clock))
    if egress is None:
        egress = Egress(Allow.parse(settings.http_tools_allow), context, clock=clock)
    room = Toolroom(fixed, egress, books.records, clock, metrics.tools.observe)
    runner = room.toolbox if tools is None else tools(room.toolbox)
    supervisor = _supervisor(providers, books, tap, clock, gate, runner)
    intake = Intake(
        configuration=fixed,
        engine=_door(gate, house, settings),
        supervisor=supervisor,
        records=books.records,
        ring_window=settings.ring_window,
        clock=clock,
        process=settings.process_quota,
        consultant=EndpointConsultant(egress, fixed.secret, clock),
        recent=books.recent,
    )
    connections = ConnectionStats()
    _observe(metrics, supervisor, connections, providers)
    _observe_gate(metrics, providers, gate)
    receiver = WebhookReceiver(providers.webhook_secrets, intake, metrics)
    upkeep = None if live is None else Upkeep(live, environment, providers, metrics, house=house)
    readiness = Readiness(intake, providers, upkeep, gate, house)
    courier = None if house is None else _courier(house, fixed, egress, clock, metrics)
    mover = Mover(supervisor, fixed, clock)
    app = _application(receiver, supervisor, readiness, settings.ring_window, room, courier, mover)
    drain = settings.drain_timeout
    hands_over = settings.hands_over
    return Service(app, providers, supervisor, intake, connections, drain, house, hands_over)


@dataclass(frozen=True, slots=True)
class _Books:
    """Where it is written who holds which call, and what became of them."""

    engine: Engine
    records: Records
    recent: RecentEnds


def _books(house: Storehouse | None, records: Records, clock: Clock) -> _Books:
    """The house's, if there is one, and these records."""
    recent = RecentEnds(clock)
    if house is None:
        return _Books(EmbeddedEngine(clock), EachOf(records, recent), recent)
    house.forget = recent.forget
    return _Books(house.engine, EachOf(house.records, records, recent), recent)


def _door(gate: Gate, house: Storehouse | None, settings: Settings) -> Claims:
    """The gate, behind that of the records where no call is to be taken without them."""
    if house is None or settings.without_records == "take":
        return gate
    return RecordsGate(gate, lambda: house.writer.away)


def _supervisor(
    providers: Accounts,
    books: _Books,
    tap: Tap | None,
    clock: Clock,
    gate: Gate,
    tools: ToolRunner,
) -> Supervisor:
    """All calls, with the gate told how they end and what is left of their accounts' limits."""
    watched = WatchedRecords(books.records, gate.breakers)
    limits = gate.headroom.heed
    return Supervisor(
        Surroundings(
            providers,
            books.engine,
            watched,
            tap or Unwatched(),
            clock,
            limits=limits,
            tools=tools,
        )
    )


def _observe(
    metrics: Metrics, supervisor: Supervisor, connections: ConnectionStats, accounts: Accounts
) -> None:
    """Have what is true at the moment read whenever metrics are asked for."""
    metrics.observe_active(lambda: supervisor.live)
    metrics.observe_closings(lambda: connections.closings)
    metrics.observe_accounts(
        lambda: {name: health.healthy for name, health in accounts.health().items()}
    )


def _observe_gate(metrics: Metrics, accounts: Accounts, gate: Gate) -> None:
    """Have the metrics show which accounts take new calls now."""

    def breakers() -> Mapping[str, bool]:
        opened = gate.breakers.opened()
        return {name: name in opened for name in accounts.health()}

    def lowered() -> Mapping[str, bool]:
        return {name: gate.headroom.lowered(name) is not None for name in accounts.health()}

    metrics.observe_breakers(breakers)
    metrics.observe_headroom(gate.headroom.shares, lowered)


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


def _courier(
    house: Storehouse, directory: Directory, egress: Egress, clock: Clock, metrics: Metrics
) -> Courier:
    """Who tells tenants what the house keeps for them."""
    post = GuardedPost(egress, clock.wall)
    courier = Courier(
        lambda: house.writer.engine,
        directory,
        post,
        clock,
        metrics.outbox,
        jobs=house.room.jobs,
    )
    house.stir = courier.stir
    return courier


def _scribe(house: Storehouse, accounts: Accounts, clock: Clock) -> Scribe:
    """Who has models read the calls that are over."""
    announcer, put = house.records.announcer, house.writer.put
    scribe = Scribe(
        lambda: house.writer.engine,
        accounts,
        announcer,
        put,
        clock,
        spent=house.charge,
        jobs=house.room.jobs,
    )
    house.read = scribe.stir
    return scribe


def _application(
    receiver: WebhookReceiver,
    supervisor: Supervisor,
    readiness: Readiness,
    ring_window: float,
    room: Toolroom,
    courier: Courier | None,
    mover: Mover,
) -> ASGIApp:
    accounts, upkeep, house = readiness.accounts, readiness.upkeep, readiness.house
    intake = readiness.intake

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with accounts, room, AsyncExitStack() as stack:
            if house is not None:
                await stack.enter_async_context(house)
                await house.go_on(supervisor, ring_window)
                await house.count(supervisor.wind_down)
            if courier is not None:
                await stack.enter_async_context(courier)
            if house is not None:
                await stack.enter_async_context(_scribe(house, accounts, house.clock))
            if upkeep is not None:
                upkeep.tell(upkeep.live.status)
                upkeep.after = room.renew
                reloader = Reloader(upkeep.live, upkeep.after_reading, upkeep.secret_files)
                await stack.enter_async_context(reloader)
                if house is not None and house.location.shared:
                    await stack.enter_async_context(upkeep.following(reloader, house))
                await stack.enter_async_context(mover)
            yield
            if house is not None and intake.leaving:
                await house.hand_over()  # what came while the listener closed
            await supervisor.abort()

    # Until there is an operator's token nobody gets to see the API's description.
    app = FastAPI(
        title="sipagent",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,  # the provider counts a redirect as a failure
    )
    problems.install(app)
    app.include_router(health_router(readiness.unready, receiver.metrics, readiness.degraded))
    return WebhookFront(receiver, app)
