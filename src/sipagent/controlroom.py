"""What the control API and the console stand on, and the one application that serves both.

It is an application of its own beside the webhooks', so that its description, its errors and its
limits are those of nothing else, and so that another listener can serve it.
"""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.types import ASGIApp, Receive, Scope, Send

from sipagent.api.console import application as console
from sipagent.api.console.application import Sight
from sipagent.api.v1.application import control_application
from sipagent.api.v1.curtain import Curtain, OperatorsDetails
from sipagent.api.v1.ports import Backend, Talks, Watch
from sipagent.config.reload.live import LiveConfiguration
from sipagent.config.reload.orders import OrderFile, OrderStore
from sipagent.config.reload.reloader import Reloader
from sipagent.configdesk import LiveDesk
from sipagent.model import TenantName
from sipagent.sessions.ports import Clock
from sipagent.store.keys import TokenKeys
from sipagent.store.owed import OwedAudit
from sipagent.storehouse import Storehouse
from sipagent.upkeep import Readiness, Upkeep

PREFIXES: Final = ("/api/", "/console", "/docs", "/openapi.json")
"""Whose paths the control application answers."""


@dataclass(frozen=True, slots=True)
class Controlroom:
    """The control API and the console of one process: `app` is an ASGI application, `details` says
    who sees the metrics and why the process is not ready, `also` is what begins and ends with
    it."""

    backend: Backend
    app: ASGIApp
    details: OperatorsDetails
    also: tuple[AbstractAsyncContextManager[object], ...] = ()


def control_room(
    house: Storehouse,
    live: LiveConfiguration,
    reloader: Reloader,
    upkeep: Upkeep,
    watch: Watch,
    clock: Clock,
    readiness: Readiness,
    talks: Talks,
) -> Controlroom:
    """The control room of a service that keeps records and reads its configuration from files."""
    keys = TokenKeys(lambda: house.writer.engine, clock)
    audit = OwedAudit(lambda: house.writer.engine, clock)
    backend = Backend(
        records=_WrittenRecords(house),
        desk=house.room.desk,
        watch=watch,
        keys=keys,
        audit=audit,
        config=_config_desk(house, live, reloader, upkeep, clock),
        clock=clock,
        talks=talks,
    )
    app = control_application(backend)
    sight = Sight(readiness.unready, readiness.degraded)
    console.install(app, backend, app.state.doorkeeper, sight)
    details = OperatorsDetails(keys, app.state.doorkeeper)
    return Controlroom(backend, Curtain(app, keys), details, (keys, audit))


def _config_desk(
    house: Storehouse, live: LiveConfiguration, reloader: Reloader, upkeep: Upkeep, clock: Clock
) -> LiveDesk:
    store: OrderStore
    if house.location.shared:
        from sipagent.config.reload.shared import SharedOrders  # one process alone has none

        store = SharedOrders(house.location)
    else:
        store = OrderFile(house.data_dir)
    return LiveDesk(live, reloader, store, clock, upkeep.look)


@dataclass(frozen=True, slots=True)
class ControlFront:
    """An ASGI application: the control room's paths, and beside them whatever `app` answers."""

    control: ASGIApp
    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        controlled = scope["type"] == "http" and scope["path"].startswith(PREFIXES)
        await (self.control if controlled else self.app)(scope, receive, send)


@dataclass(frozen=True, slots=True)
class _WrittenRecords:
    house: Storehouse

    @property
    def engine(self) -> AsyncEngine:
        return self.house.writer.engine

    def forms_of(self, number: str, tenant: TenantName | None) -> tuple[str, ...]:
        return self.house.forms_of(number, tenant)
