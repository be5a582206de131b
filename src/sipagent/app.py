"""The composition root: the only place where ports meet their implementations."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

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
from sipagent.config.live import LiveConfiguration, Origin, Status
from sipagent.config.reloading import Reloader
from sipagent.engine.embedded import EmbeddedEngine
from sipagent.environment import environment_account
from sipagent.errors import SettingsError
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

MOST_CHANGES: Final = 50
"""Changes of a reload that are logged one by one."""


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


@dataclass(slots=True)
class Upkeep:
    """Carries a reload on to what is not asked for at each call: accounts, metrics, credentials.

    `environment` is the account that the environment described when the process began, or why it
    described none. `problems` are why the configuration's accounts are not the ones in use.
    """

    live: LiveConfiguration
    environment: AccountSpec | SettingsError
    accounts: Accounts
    metrics: Metrics
    problems: tuple[str, ...] = ()

    def swapped(self, changes: Sequence[str]) -> None:
        for line in changes[:MOST_CHANGES]:
            log.info("configuration changed", change=line)
        if len(changes) > MOST_CHANGES:
            log.info("configuration changed", more=len(changes) - MOST_CHANGES)

    def tried(self, status: Status) -> None:
        self.metrics.config.read(usable=not status.findings)
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
        before, self.problems = self.problems, ()
        try:
            wanted = accounts_of(self.live.loaded.accounts, self.environment)
            if set(wanted) != set(self.accounts.specs):
                await self.accounts.replace(wanted)
        except SettingsError as error:
            self.problems = error.problems
        except Exception as error:  # the crash boundary of a reload: calls go on as they are
            log.exception("accounts not updated", error=type(error).__name__)
            self.problems = (f"internal error ({type(error).__name__})",)
        if self.problems and self.problems != before:
            log.error("accounts refused, the old ones stay", problems=self.problems)
        try:
            await self.accounts.refresh()
        except Exception as error:  # as above
            log.exception("credentials not read again", error=type(error).__name__)

    def secret_files(self) -> set[Path]:
        """The files of the accounts' secrets, of those in use and of those that should be."""
        specs = {*self.accounts.specs, *self.live.loaded.accounts}
        sources = {source for spec in specs for source in (spec.api_keys, spec.webhook_secrets)}
        return {source.file for source in sources if source is not None and source.file is not None}

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
        reasons += (UnreadyReason(*trouble) for trouble in status.troubles)
        reasons += (UnreadyReason("accounts", "refused", problem) for problem in self.problems)
        return tuple(reasons)


def accounts_of(
    configured: Sequence[AccountSpec], environment: AccountSpec | SettingsError
) -> Sequence[AccountSpec]:
    """The configuration's accounts, or the environment's. Raises SettingsError."""
    if configured:
        return configured
    if isinstance(environment, SettingsError):
        raise environment
    return (environment,)


def described_account(settings: Settings) -> AccountSpec | SettingsError:
    """The environment's account, or why there is none."""
    try:
        return environment_account(settings)
    except SettingsError as error:
        return error


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
    environment = described_account(settings)
    if accounts is None:
        accounts = accounts_of(() if live is None else live.loaded.accounts, environment)
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
    upkeep = None if live is None else Upkeep(live, environment, providers, metrics)
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
                reloader = Reloader(upkeep.live, upkeep.after_reading, upkeep.secret_files)
                await stack.enter_async_context(reloader)
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
