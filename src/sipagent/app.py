"""The composition root: the only place where ports meet their implementations."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import httpx
from fastapi import FastAPI
from starlette.types import ASGIApp

from sipagent import __version__
from sipagent.api import problems
from sipagent.api.health import UnreadyReason, health_router
from sipagent.api.server import ConnectionStats, GracefulServer, server_config
from sipagent.api.webhooks import WebhookFront, WebhookReceiver
from sipagent.concurrency import SystemClock
from sipagent.engine.embedded import EmbeddedEngine
from sipagent.errors import SettingsError
from sipagent.metrics import Metrics
from sipagent.model import AccountName, CallId, TrunkName
from sipagent.providers.openai.account import Account
from sipagent.providers.openai.codec import Oddity
from sipagent.providers.openai.control import OpenAICallControl
from sipagent.providers.openai.rest import Rest, environment_proxy
from sipagent.providers.openai.sideband import OpenAISideband
from sipagent.providers.openai.webhooks import WebhookSecrets
from sipagent.routing import Controls, RoutingTable
from sipagent.sessions.intake import Intake
from sipagent.sessions.ports import CallControl, Records, Sideband, Tap, Words
from sipagent.sessions.supervisor import Supervisor, Surroundings
from sipagent.settings import Settings
from sipagent.store.log import LogRecords

ENVIRONMENT_ACCOUNT: Final = AccountName("default")
"""The account that the environment describes (OPENAI_API_KEY and its companions)."""


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
class OpenAIProviders:
    """Call control and sockets of each account."""

    controls: Mapping[AccountName, CallControl]
    sidebands: Mapping[AccountName, Sideband]

    def control(self, account: AccountName) -> CallControl:
        return self.controls[account]

    def sideband(self, account: AccountName) -> Sideband:
        return self.sidebands[account]


@dataclass(frozen=True, slots=True)
class Service:
    """One process's service: an ASGI application and the calls behind it."""

    app: ASGIApp
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


def environment_account(settings: Settings) -> Account:
    """The account of the environment. Raises SettingsError that names what is missing."""
    problems_found = [
        f"{name}: is not set"
        for name, value in (
            ("OPENAI_API_KEY", settings.openai_api_key),
            ("OPENAI_WEBHOOK_SECRET", settings.openai_webhook_secret),
        )
        if value is None
    ]
    if settings.openai_api_key is None or settings.openai_webhook_secret is None:
        raise SettingsError(tuple(problems_found))
    key = settings.openai_api_key.get_secret_value()
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise SettingsError(("OPENAI_API_KEY: has characters that no key has",))
    try:
        secrets = WebhookSecrets.parse(settings.openai_webhook_secret.get_secret_value())
    except ValueError as error:
        raise SettingsError((f"OPENAI_WEBHOOK_SECRET: {error}",)) from None
    return Account(
        name=ENVIRONMENT_ACCOUNT,
        base_url=settings.openai_base_url,
        api_key=key,
        secrets=secrets,
        organization=settings.openai_org_id,
        project=settings.openai_project_id,
    )


def _rest(context: ssl.SSLContext, base_url: str) -> Rest:
    """The way to the provider's REST API, through the environment's proxy if there is one.

    Raises SettingsError for a proxy that cannot be used.
    """
    try:
        return Rest(context, environment_proxy(base_url))
    except ValueError as error:
        raise SettingsError((f"HTTPS_PROXY, HTTP_PROXY or ALL_PROXY: {error}",)) from error


def build(
    settings: Settings,
    table: RoutingTable,
    *,
    records: Records | None = None,
    tap: Tap | None = None,
) -> Service:
    """The service for this configuration. Nothing runs and nothing is opened yet.

    `records` and `tap` replace the log's records and the tap that nobody listens to.
    """
    account = environment_account(settings)
    clock, metrics = SystemClock(), Metrics()
    records = records or LogRecords(metrics)
    # One TLS context for REST and sockets: a default one costs 14 to 18 ms of CPU.
    context = httpx.create_ssl_context()
    rest = _rest(context, account.base_url)

    def note(oddity: Oddity) -> None:
        metrics.odd_frames.labels(oddity).inc()

    providers = OpenAIProviders(
        {account.name: OpenAICallControl(account, rest)},
        {account.name: OpenAISideband(account, context, note)},
    )
    supervisor = Supervisor(Surroundings(providers, records, tap or Unwatched(), clock))
    intake = Intake(
        configuration=Fixed(table),
        engine=EmbeddedEngine(clock),
        supervisor=supervisor,
        records=records,
        ring_window=settings.ring_window,
        clock=clock,
    )
    connections = ConnectionStats()
    metrics.observe_active(lambda: supervisor.live)
    metrics.observe_closings(lambda: connections.closings)
    receiver = WebhookReceiver({account.name: account.secrets}, intake, metrics)
    app = _application(receiver, supervisor, rest, intake)
    return Service(app, supervisor, intake, connections, settings.drain_timeout)


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
    rest: Rest,
    intake: Intake,
) -> ASGIApp:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with rest:
            yield
            await supervisor.abort()

    def unready() -> Sequence[UnreadyReason]:
        if intake.draining:
            detail = "The process is stopping; calls that are held go on to their end."
            return (UnreadyReason("process", "draining", detail),)
        return ()

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
    app.include_router(health_router(unready, receiver.metrics))
    return WebhookFront(receiver, app)
