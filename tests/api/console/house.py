"""A console on real records and a real configuration, and people who look at it."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy.ext.asyncio import AsyncEngine

from sipagent.api.console import config, history, numbers, session, usage
from sipagent.api.console.application import Sight, console
from sipagent.api.v1.auth import Doorkeeper
from sipagent.api.v1.ports import Backend, LiveBatches
from sipagent.config.reload.live import LiveConfiguration
from sipagent.config.reload.orders import OrderFile
from sipagent.config.reload.reloader import Reloader
from sipagent.configdesk import LiveDesk
from sipagent.model import CallId, TenantName
from sipagent.model.access import Deed, Principal, Scope
from sipagent.model.request import CallRequest, Replied, Reply
from sipagent.sip import to_e164
from sipagent.store.audit import AuditLog
from tests.cli.support import ACME, COMMON, MAIN
from tests.store.forgetting import At
from tests.store.kept import BEGAN
from tests.store.support import opened

NOW = BEGAN + 3600
TOKENS = {
    "token-operator": Principal("tok_op", "Olga", None, Scope.ADMIN),
    "token-watcher": Principal("tok_wa", "Walt", None, Scope.READ),
    "token-acme": Principal("tok_ac", "Ann", TenantName("acme"), Scope.ADMIN),
    "token-acme-control": Principal("tok_cc", "Cora", TenantName("acme"), Scope.CONTROL),
    "token-acme-read": Principal("tok_ar", "Ray", TenantName("acme"), Scope.READ),
    "token-beta": Principal("tok_be", "Bea", TenantName("beta"), Scope.ADMIN),
}
PAGES = (history.router, numbers.router, usage.router, config.router)

BUDGET = "{account: us-1, timezone: America/Chicago, budget: {day: 1 USD, month: 20 USD}}"
SPLIT = "{when: {hours: weekdays}, agent: store, split: {store_next: 25%}}"


def written(folder: Path) -> Path:
    """The main file of two tenants, of which acme has a budget and two versions of an agent."""
    files = {
        "agents.yaml": MAIN.replace("{account: us-1, timezone: America/Chicago}", BUDGET),
        "common/agents.yaml": COMMON,
        "tenants/acme/tenant.yaml": ACME.replace(
            "{when: {hours: weekdays}, agent: store}", SPLIT
        ).replace("numbers:\n", "  store_next: {extends: store}\nnumbers:\n"),
        "us-1.keys": "sk-x\n",
        "twilio.key": "a-secret-of-a-trunk\n",
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder / "agents.yaml"


class Keys:
    async def principal(self, token: str) -> Principal | None:
        return TOKENS.get(token)

    async def any_operator(self) -> bool:
        return True


class NoDesk:
    async def ask(self, call_id: CallId, request: CallRequest, *, key: str = "") -> Reply:
        return Reply(Replied.UNKNOWN_CALL)


class NoWatch:
    def lifecycle(
        self, tenant: TenantName | None, after: str | None = None, *, number: str | None = None
    ) -> AbstractAsyncContextManager[LiveBatches]:
        raise NotImplementedError

    def call(
        self, call_id: CallId, after: str | None = None
    ) -> AbstractAsyncContextManager[LiveBatches]:
        raise NotImplementedError


@dataclass
class Records:
    engine: AsyncEngine

    def forms_of(self, number: str, tenant: TenantName | None) -> tuple[str, ...]:
        return tuple(dict.fromkeys(filter(None, (to_e164(number), number))))


@dataclass
class House:
    """The console, what it stands on, and one client for each visitor."""

    backend: Backend
    main: Path
    engine: AsyncEngine
    deeds: list[Deed] = field(default_factory=list)
    clients: dict[str, httpx.AsyncClient] = field(default_factory=dict)

    async def get(self, who: str, path: str, **params: str) -> httpx.Response:
        return await self.clients[who].get(path, params=params or None)

    async def post(
        self, who: str, path: str, *, csrf: str | None = None, **fields: str
    ) -> httpx.Response:
        """A form of a page, with its token unless another one is given."""
        cookies = {session.PLAIN: self.clients[who].cookies[session.PLAIN]}
        kept = session.read(cookies, NOW)
        assert kept is not None
        word = kept.csrf if csrf is None else csrf
        return await self.clients[who].post(path, data={"csrf": word, **fields})

    @property
    def desk(self) -> LiveDesk:
        assert isinstance(self.backend.config, LiveDesk)
        return self.backend.config


@dataclass
class _Noted:
    """The real audit, whose deeds a test can look at."""

    log: AuditLog
    deeds: list[Deed]
    broken: bool = False

    async def write(self, by: Principal, deed: Deed) -> None:
        if self.broken:
            raise ConnectionError("away")
        await self.log.write(by, deed)
        self.deeds.append(deed)

    def owe(self, by: Principal, deed: Deed) -> None:
        self.deeds.append(deed)


@asynccontextmanager
async def house(url: str, folder: Path) -> AsyncIterator[House]:
    """A console with all pages of this part."""
    clock = At(NOW)
    main = await asyncio.to_thread(written, folder / "config")
    data = folder / "data"
    data.mkdir(mode=0o700)
    orders = OrderFile(data)
    live = LiveConfiguration(main, orders=orders, environment={}, wall=clock.wall)

    async def nothing() -> None:
        return None

    async with opened(url) as engine:
        deeds: list[Deed] = []
        backend = Backend(
            records=Records(engine),
            desk=NoDesk(),
            watch=NoWatch(),
            keys=Keys(),
            audit=_Noted(AuditLog(lambda: engine, clock), deeds),
            config=LiveDesk(live, Reloader(live, nothing), orders, clock),
            clock=clock,
        )
        app = console(backend, Doorkeeper(backend.keys, clock), Sight(), PAGES)
        made = House(backend, main, engine, deeds)
        for token in TOKENS:
            who = token.removeprefix("token-")
            made.clients[who] = httpx.AsyncClient(
                transport=httpx.ASGITransport(app=_mounted(app)), base_url="http://console.test"
            )
            made.clients[who].cookies.set(
                session.PLAIN, session.begin(token, NOW), domain="console.test", path="/console"
            )
        try:
            yield made
        finally:
            for client in made.clients.values():
                await client.aclose()


def _mounted(app: Any) -> Any:
    """The console below `/console`, as the service has it."""
    from fastapi import FastAPI

    outer = FastAPI(openapi_url=None)
    outer.mount("/console", app)
    return outer


@dataclass
class Element:
    tag: str
    attributes: Mapping[str, str]
    text: str = ""


class Read(HTMLParser):
    """A page as a browser reads it: its elements in their order, and its words."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.words.append(data.strip())
            if self.elements:
                self.elements[-1].text += data

    def all(self, tag: str) -> list[Element]:
        return [one for one in self.elements if one.tag == tag]

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))

    def faults(self) -> list[str]:
        """What makes a form unusable for somebody, or the policy refuse the page."""
        labels = {one.attributes["for"] for one in self.all("label")}
        ids = [one.attributes["id"] for one in self.elements if "id" in one.attributes]
        found = [f"id {one} stands {ids.count(one)} times" for one in {*ids} if ids.count(one) > 1]
        for one in self.elements:
            kind = one.attributes.get("type")
            filled_in = one.tag in ("input", "select", "textarea") and kind != "hidden"
            labelled = one.attributes.get("id") in labels or "aria-label" in one.attributes
            if filled_in and not labelled:
                found.append(f"{one.tag} {one.attributes.get('name')} has no label")
            found += [
                f"{one.tag} has {name}"
                for name in one.attributes
                if name == "style" or name.startswith("on")
            ]
        return found + list(self._unproven())

    def _unproven(self) -> list[str]:
        """Forms that are posted without the token of the session."""
        found, form = [], None
        for one in self.elements:
            if one.tag == "form":
                if form is not None:
                    found.append(f"{form} has no csrf")
                posted = one.attributes.get("method") == "post"
                form = one.attributes["action"] if posted else None
            if one.tag == "input" and one.attributes.get("name") == "csrf":
                form = None
        return found if form is None else [*found, f"{form} has no csrf"]
