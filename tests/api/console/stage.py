"""A console with all its pages on real records, whose calls are pretended: what is asked of them is
remembered, and what happens in them is told by the test."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from sipagent.api.console import application, session
from sipagent.api.console.application import Sight
from sipagent.api.health import UnreadyReason
from sipagent.api.v1.auth import Doorkeeper
from sipagent.api.v1.ports import Backend, LiveBatches
from sipagent.config.reload.live import LiveConfiguration
from sipagent.config.reload.orders import OrderFile
from sipagent.config.reload.reloader import Reloader
from sipagent.configdesk import LiveDesk
from sipagent.model import CallId, TenantName
from sipagent.model.access import Deed, Principal
from sipagent.model.live import LiveEvent, LiveKind
from sipagent.model.request import CallRequest, Replied, Reply
from sipagent.store.audit import AuditLog
from tests.api.console.house import NOW, TOKENS, Records, written
from tests.store.forgetting import At
from tests.store.support import opened

HOST = "console.test"


@dataclass
class People:
    """The tokens; those that are `revoked` stand for nobody."""

    revoked: set[str] = field(default_factory=set)
    away: bool = False

    async def principal(self, token: str) -> Principal | None:
        if self.away:
            raise ConnectionRefusedError
        return None if token in self.revoked else TOKENS.get(token)

    async def any_operator(self) -> bool:
        return True


@dataclass
class PretendedDesk:
    """Answers as it is told, and remembers what was asked."""

    reply: Reply = field(default_factory=lambda: Reply(Replied.DONE))
    error: Exception | None = None
    asked: list[tuple[CallId, CallRequest, str]] = field(default_factory=list)

    async def ask(self, call_id: CallId, request: CallRequest, *, key: str = "") -> Reply:
        self.asked.append((call_id, request, key))
        if self.error is not None:
            raise self.error
        return self.reply


@dataclass
class PretendedWatch:
    """Tells each viewer the same events, and remembers what was asked for. `between` is called
    before the next batch."""

    events: Sequence[LiveEvent] = ()
    between: Callable[[], None] = lambda: None
    asked: list[tuple[str | None, str | None]] = field(default_factory=list)

    def lifecycle(
        self, tenant: TenantName | None, after: str | None = None, *, number: str | None = None
    ) -> AbstractAsyncContextManager[LiveBatches]:
        self.asked.append((tenant, after))
        return self._told()

    def call(
        self, call_id: CallId, after: str | None = None
    ) -> AbstractAsyncContextManager[LiveBatches]:
        self.asked.append((call_id, after))
        return self._told()

    async def settle(self, call_id: CallId) -> bool:
        return False

    async def whose(self, call_id: CallId) -> TenantName | None:
        return None

    @asynccontextmanager
    async def _told(self) -> AsyncIterator[LiveBatches]:
        yield self._batches()

    async def _batches(self) -> LiveBatches:
        yield tuple(self.events)
        self.between()
        yield tuple(self.events)


@dataclass
class Noted:
    """The real audit; `broken` while nothing can be written there."""

    log: AuditLog
    deeds: list[tuple[str, Deed]] = field(default_factory=list)
    owed: list[tuple[str, Deed]] = field(default_factory=list)
    broken: bool = False

    async def write(self, by: Principal, deed: Deed) -> None:
        if self.broken:
            raise ConnectionError("away")
        await self.log.write(by, deed)
        self.deeds.append((by.name, deed))

    def owe(self, by: Principal, deed: Deed) -> None:
        self.owed.append((by.name, deed))


@dataclass
class Stage:
    """The console, and what a test looks at."""

    app: FastAPI
    pages: FastAPI
    engine: AsyncEngine
    clock: At
    people: People
    desk: PretendedDesk
    watch: PretendedWatch
    audit: Noted
    wrong: list[UnreadyReason]
    clients: dict[str, httpx.AsyncClient] = field(default_factory=dict)

    def client(self, who: str | None = None, *, scheme: str = "http") -> httpx.AsyncClient:
        """A browser, in which somebody is signed in already."""
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        client = httpx.AsyncClient(transport=transport, base_url=f"{scheme}://{HOST}")
        if who is not None:
            name = session.SECURE if scheme == "https" else session.PLAIN
            cookie = session.begin(f"token-{who}", self.clock.wall())
            client.cookies.set(name, cookie, domain=HOST, path="/console")
        return client

    async def get(
        self, who: str | None, path: str, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        async with self.client(who) as client:
            return await client.get(path, headers=headers)

    async def post(
        self,
        who: str,
        path: str,
        fields: Mapping[str, str] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        csrf: str | None = None,
    ) -> httpx.Response:
        """A form of a page, with its token unless another one is given."""
        async with self.client(who) as client:
            word = csrf_of(client, self.clock.wall()) if csrf is None else csrf
            data = {"csrf": word, **(fields or {})}
            return await client.post(path, data=data, headers=headers)


def csrf_of(client: httpx.AsyncClient, now: float) -> str:
    kept = session.read(dict(client.cookies), now)
    assert kept is not None
    return kept.csrf


@asynccontextmanager
async def stage(url: str, folder: Path) -> AsyncIterator[Stage]:
    """A console at `/console` of an application."""
    clock = At(NOW)
    main = await asyncio.to_thread(written, folder / "config")
    data = folder / "data"
    data.mkdir(mode=0o700)
    orders = OrderFile(data)
    live = LiveConfiguration(main, orders=orders, environment={}, wall=clock.wall)

    async def nothing() -> None:
        return None

    async with opened(url) as engine:
        people, desk, watch = People(), PretendedDesk(), PretendedWatch()
        audit = Noted(AuditLog(lambda: engine, clock))
        backend = Backend(
            records=Records(engine),
            desk=desk,
            watch=watch,
            keys=people,
            audit=audit,
            config=LiveDesk(live, Reloader(live, nothing), orders, clock),
            clock=clock,
        )
        wrong: list[UnreadyReason] = []
        app, sight = FastAPI(openapi_url=None), Sight(degraded=lambda: tuple(wrong))
        doorkeeper = Doorkeeper(people, clock)
        application.install(app, backend, doorkeeper, sight)
        pages = application.console_pages(backend, doorkeeper, sight)
        yield Stage(app, pages, engine, clock, people, desk, watch, audit, wrong)


def an_event(
    kind: LiveKind, id_: str = "", at: float = NOW, call_id: str = "rtc_1", **data: object
) -> LiveEvent:
    return LiveEvent(
        f"{id_ or kind}@{call_id}", at, kind, CallId(call_id), TenantName("acme"), None, dict(data)
    )
