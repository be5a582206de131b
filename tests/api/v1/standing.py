"""A control API on real records, a real configuration and real tokens; only calls are pretended."""

import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from sipagent.api.v1.application import control_application
from sipagent.api.v1.ports import Backend, LiveBatches
from sipagent.config.reload.live import LiveConfiguration
from sipagent.config.reload.orders import OrderFile
from sipagent.config.reload.reloader import Reloader
from sipagent.configdesk import LiveDesk
from sipagent.model import CallId, TenantName
from sipagent.model.access import Scope
from sipagent.model.request import CallRequest, Replied, Reply
from sipagent.sip import to_e164
from sipagent.store import tokens
from sipagent.store.audit import AuditFilter as Wanted
from sipagent.store.audit import AuditLine, Author, lines
from sipagent.store.keys import TokenKeys
from sipagent.store.owed import OwedAudit
from tests.store.kept import BEGAN
from tests.store.support import opened

NOW = BEGAN + 86_400.0
ACME, BETA = TenantName("acme"), TenantName("beta")
ACME_NUMBER, BETA_NUMBER = "+17134810111", "+17134810122"
SECRET_WORDS = "You answer the telephone of Acme and never tell that the cellar is full of gold."

MAIN = f"""\
version: 1
include: tenants/*/tenant.yaml
defaults: {{model: gpt-realtime-2.1}}
tenants: {{acme: {{timezone: Europe/London}}, beta: {{}}}}
trunks: {{wavix: {{carrier: wavix, secret: none, per_caller: 30/10m}}}}
destinations: {{front_desk: "tel:+442079460018"}}
numbers:
  "{ACME_NUMBER}": {{tenant: acme, agent: store}}
  "{BETA_NUMBER}": {{tenant: beta, agent: store}}
  "+17134810133": {{tenant: acme, reject: 486}}
"""
TENANT = """\
tenant: {tenant}
fallback: office
destinations: {{office: "tel:+442079460019"}}
agents:
  store:
    instructions: {words}
    greeting: Good morning.
    voice: marin
    tools: [{{transfer: [office]}}, hang_up]
  {other}: {{instructions: Only of this tenant.}}
"""


def files(folder: Path) -> Path:
    """The files of two tenants; gives the main one."""
    main = folder / "agents.yaml"
    main.write_text(MAIN)
    for tenant, other in (("acme", "night"), ("beta", "billing")):
        path = folder / "tenants" / tenant / "tenant.yaml"
        path.parent.mkdir(parents=True)
        path.write_text(TENANT.format(tenant=tenant, other=other, words=SECRET_WORDS))
    return main


@dataclass
class Hand:
    """The records' time stands still; durations go on."""

    now: float = NOW

    def monotonic(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return self.now


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


class NothingToWatch:
    def lifecycle(
        self, tenant: TenantName | None, after: str | None = None, *, number: str | None = None
    ) -> AbstractAsyncContextManager[LiveBatches]:
        raise NotImplementedError

    def call(
        self, call_id: CallId, after: str | None = None
    ) -> AbstractAsyncContextManager[LiveBatches]:
        raise NotImplementedError

    async def settle(self, call_id: CallId) -> bool:
        return False

    async def whose(self, call_id: CallId) -> TenantName | None:
        return None


@dataclass
class Kept:
    """The records; `away` while they do not answer."""

    opened: AsyncEngine
    away: bool = False

    @property
    def engine(self) -> AsyncEngine:
        if self.away:
            raise ConnectionRefusedError
        return self.opened

    def forms_of(self, number: str, tenant: TenantName | None) -> tuple[str, ...]:
        return tuple(dict.fromkeys(filter(None, (to_e164(number), number))))


@dataclass
class Standing:
    """A control API, and what a test looks at. Tokens that are made hold for `life` seconds, or for
    ever."""

    app: FastAPI
    backend: Backend
    kept: Kept
    desk: PretendedDesk
    clock: Hand
    folder: Path
    made: dict[tuple[str | None, Scope], str] = field(default_factory=dict)
    keys: Iterator[int] = field(default_factory=itertools.count)
    life: float | None = None

    async def token(self, tenant: str | None = None, scope: Scope = Scope.ADMIN) -> str:
        """A token of the tenant's, or of the operator's."""
        known = self.made.get((tenant, scope))
        if known is None:
            name = f"{tenant or 'operator'} {scope}"
            whose = None if tenant is None else TenantName(tenant)
            until = None if self.life is None else NOW + self.life
            wanted = tokens.Wanted(name, whose, scope, until)
            made = await tokens.create(self.kept.opened, wanted, Author("root@here"), at=NOW)
            known = self.made[tenant, scope] = made.text
        return known

    @asynccontextmanager
    async def client(
        self, tenant: str | None = None, scope: Scope = Scope.ADMIN
    ) -> AsyncIterator[httpx.AsyncClient]:
        """Asks with a token of the tenant's, or of the operator's."""
        headers = {"Authorization": f"Bearer {await self.token(tenant, scope)}"}
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://control", headers=headers
        ) as client:
            yield client

    async def audited(self, *actions: str) -> list[AuditLine]:
        """What the audit says, the oldest first; of these actions."""
        found = await lines(self.kept.opened, Wanted(), limit=200)
        return [one for one in reversed(found) if not actions or one.deed.action in actions]

    @contextmanager
    def records_away(self) -> Iterator[None]:
        self.kept.away = True
        try:
            yield
        finally:
            self.kept.away = False


Stand = Callable[..., AbstractAsyncContextManager[Standing]]
Asking = Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]


@asynccontextmanager
async def standing(url: str, folder: Path, **parts: Any) -> AsyncIterator[Standing]:
    """A control API on an empty database at this URL; `parts` replace those of its backend."""
    data = folder / "data"
    (data / "orders").mkdir(parents=True)
    orders, clock, desk = OrderFile(data), Hand(), PretendedDesk()
    live = LiveConfiguration(files(folder), orders=orders, wall=clock.wall)
    async with opened(url) as engine:
        kept = Kept(engine)
        reloader = Reloader(live, _nothing)
        audit = OwedAudit(lambda: kept.engine, clock)
        async with TokenKeys(lambda: kept.engine, clock) as keys, audit:
            wanted: dict[str, Any] = {
                "records": kept,
                "desk": desk,
                "watch": NothingToWatch(),
                "keys": keys,
                "audit": audit,
                "config": LiveDesk(live, reloader, orders, clock),
                "clock": clock,
            }
            backend = Backend(**(wanted | parts))
            app = control_application(backend)
            yield Standing(app, backend, kept, desk, clock, folder)


async def _nothing() -> None:
    """What follows a reload, where nothing does."""
