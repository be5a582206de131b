"""The composition root: the only place where ports meet their implementations."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import httpx
import structlog
from fastapi import FastAPI
from starlette.types import ASGIApp

from sipagent import __version__
from sipagent.api import problems
from sipagent.api.health import UnreadyReason, health_router
from sipagent.api.server import ConnectionStats, GracefulServer, server_config
from sipagent.api.webhooks import WebhookFront, WebhookReceiver
from sipagent.concurrency import SystemClock
from sipagent.config import Loaded
from sipagent.config.live import LiveConfiguration, Origin, Status
from sipagent.config.reloading import Reloader
from sipagent.engine.embedded import EmbeddedEngine
from sipagent.environment import environment_account
from sipagent.metrics import Metrics
from sipagent.model import CallId, TrunkName
from sipagent.providers.accounts import AccountSpec
from sipagent.providers.openai.codec import Oddity
from sipagent.providers.registry import Accounts
from sipagent.routing import Controls, RoutingTable
from sipagent.sessions.intake import Intake
from sipagent.sessions.ports import Records, Tap, Words
from sipagent.sessions.supervisor import Supervisor, Surroundings
from sipagent.settings import Settings
from sipagent.store.log import LogRecords


log = structlog.get_logger(__name__)


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


@dataclass(frozen=True, slots=True)
class Service:
    """One process's service: an ASGI application and the calls behind it."""

    app: ASGIApp
    accounts: Accounts
    supervisor: Supervisor
    intake: Intake
    connections: ConnectionStats
    drain_timeout: float

    def give_up(self) -> None:
        """Take no more calls; the end of the application ends the held ones at once."""
        self.intake.draining = True

    async def drain(self) -> None:
        """Take no more calls, and let the held ones end as the settings say."""
        self.intake.draining = True
        await self.supervisor.drain(self.drain_timeout)


@dataclass(frozen=True, slots=True)
class Upkeep:
    """Carries a reload on to what is not asked for at each call: accounts, metrics, credentials."""

    live: LiveConfiguration
    settings: Settings
    accounts: Accounts
    metrics: Metrics

    def swapped(self, before: Loaded, after: Loaded) -> None:
        from sipagent.config.difference import difference  # only a reload needs it

        for line in difference(before, after).lines():
            log.info("configuration changed", change=line)

    def tried(self, status: Status, *, usable: bool) -> None:
        self.metrics.config.read(usable=usable)
        self.show(status)

    def show(self, status: Status) -> None:
        """Have the metrics say what is in force."""
        self.metrics.config.in_force(
            status.config_hash,
            status.origin,
            usable=not status.findings,
            stale=len(status.stale),
        )

    async def after_reading(self) -> None:
        """Take new accounts, and read all credentials again, also where the files are unusable."""
        try:
            wanted = accounts_of(self.live.loaded, self.settings)
            if tuple(wanted) != self.accounts.specs:
                await self.accounts.replace(wanted)
            await self.accounts.refresh()
        except Exception as error:  # the crash boundary of a reload: calls go on as they are
            log.exception("accounts not updated", error=type(error).__name__)

    def defects(self) -> Sequence[UnreadyReason]:
        """What is wrong with the files while calls are taken."""
        status = self.live.status
        reasons: list[UnreadyReason] = []
        if status.origin is not Origin.FILES:
            detail = f"Version {status.config_hash} is in force, not the files."
            reasons.append(UnreadyReason("config", f"serving-{status.origin}", detail))
        if status.findings:
            first, more = status.findings[0], len(status.findings) - 1
            detail = f"{first}" + (f" (and {more} more)" if more else "")
            reasons.append(UnreadyReason("config", "refused", detail))
        for tenant, found in status.stale.items():
            reasons.append(UnreadyReason(f"config:{tenant}", "stale", str(found[0])))
        if status.trouble is not None:
            reasons.append(UnreadyReason("data", "not-stored", status.trouble))
        return tuple(reasons)


def accounts_of(loaded: Loaded, settings: Settings) -> Sequence[AccountSpec]:
    """The file's accounts, or the environment's. Raises SettingsError where there are none."""
    return loaded.accounts or (environment_account(settings),)


def build(
    settings: Settings,
    configuration: RoutingTable | LiveConfiguration,
    *,
    accounts: Sequence[AccountSpec] | None = None,
    records: Records | None = None,
    tap: Tap | None = None,
) -> Service:
    """The service for this configuration. Nothing runs and nothing is opened yet.

    A table is a configuration that never changes. Without `accounts` there are those of the live
    configuration, or the environment's one. `records` and `tap` replace the log's
    records and the tap that nobody listens to. Raises SettingsError for accounts that cannot be
    used.
    """
    clock, metrics = SystemClock(), Metrics()
    records = records or LogRecords(metrics)
    # One TLS context for REST and sockets: a default one costs 14 to 18 ms of CPU.
    context = httpx.create_ssl_context()

    def note(oddity: Oddity) -> None:
        metrics.odd_frames.labels(oddity).inc()

    live = configuration if isinstance(configuration, LiveConfiguration) else None
    if accounts is None:
        loaded = None if live is None else live.loaded
        accounts = accounts_of(loaded, settings) if loaded else [environment_account(settings)]
    providers = Accounts(accounts, context, note)
    supervisor = Supervisor(Surroundings(providers, records, tap or Unwatched(), clock))
    intake = Intake(
        configuration=Fixed(configuration)
        if isinstance(configuration, RoutingTable)
        else configuration,
        engine=EmbeddedEngine(clock),
        supervisor=supervisor,
        records=records,
        ring_window=settings.ring_window,
        clock=clock,
    )
    connections = ConnectionStats()
    metrics.observe_active(lambda: supervisor.live)
    metrics.observe_closings(lambda: connections.closings)
    metrics.observe_accounts(
        lambda: {name: health.healthy for name, health in providers.health().items()}
    )
    receiver = WebhookReceiver(providers.webhook_secrets, intake, metrics)
    upkeep = None if live is None else Upkeep(live, settings, providers, metrics)
    if live is not None and upkeep is not None:
        live.observe(upkeep)
        upkeep.show(live.status)
    app = _application(receiver, supervisor, providers, intake, upkeep)
    return Service(app, providers, supervisor, intake, connections, settings.drain_timeout)


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


def _application(
    receiver: WebhookReceiver,
    supervisor: Supervisor,
    accounts: Accounts,
    intake: Intake,
    upkeep: Upkeep | None,
) -> ASGIApp:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with accounts, AsyncExitStack() as stack:
            if upkeep is not None:
                await stack.enter_async_context(Reloader(upkeep.live, upkeep.after_reading))
            yield
            await supervisor.abort()

    def troubles() -> Sequence[UnreadyReason]:
        return tuple(
            UnreadyReason(f"account:{name}", trouble.code, trouble.detail)
            for name, trouble in accounts.troubles()
        )

    def unready() -> Sequence[UnreadyReason]:
        if intake.draining:
            detail = "The process is stopping; calls that are held go on to their end."
            return (UnreadyReason("process", "draining", detail),)
        return troubles() if accounts.useless else ()

    def degraded() -> Sequence[UnreadyReason]:
        wrong = () if upkeep is None else upkeep.defects()
        return wrong if accounts.useless else (*troubles(), *wrong)

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
    app.include_router(health_router(unready, receiver.metrics, degraded))
    return WebhookFront(receiver, app)
