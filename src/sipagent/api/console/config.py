"""*Config*: what is loaded, what is wrong with it, reload, orders in force, the audit, tokens."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request, Response

from sipagent.api.console import asking, orders
from sipagent.api.console.directory import routes_of
from sipagent.api.console.refusals import Refused
from sipagent.api.console.shell import Posted, Shell, Visitor
from sipagent.api.v1.ports import Backend, Deed, ReloadTold
from sipagent.model import TenantName
from sipagent.model.access import Principal, Scope
from sipagent.routing import Order
from sipagent.store import tokens
from sipagent.store.audit import AuditFilter, AuditLine, author_of, lines

HOME: Final = "/console/config"
MOST_TENANTS: Final = 500
LINES: Final = 50

_OPERATORS: Final = "This is the operator's."


@dataclass(frozen=True, slots=True)
class TenantStatus:
    """A tenant in the version in force, and what is wrong with its own file, if anything is."""

    name: TenantName
    numbers: int
    agents: int
    findings: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Told:
    """What came of a reload, or would come of one."""

    title: str
    told: ReloadTold


def router(backend: Backend, shell: Shell) -> APIRouter:
    routes = APIRouter()
    visits = Annotated[Visitor, Depends(shell.visitor)]
    admins = Annotated[Visitor, Depends(shell.visitor_with(Scope.ADMIN))]
    controls = Annotated[Posted, Depends(shell.posted(Scope.CONTROL))]
    administers = Annotated[Posted, Depends(shell.posted(Scope.ADMIN))]
    pages = Config(backend, shell)

    @routes.get("/config")
    async def config(request: Request, visitor: visits) -> Response:
        return await pages.status(request, visitor)

    @routes.get("/config/diff")
    async def diff(request: Request, visitor: visits) -> Response:
        require_operator(visitor.principal)
        told = Told("What a reload would change now", await backend.config.diff())
        return await pages.status(request, visitor, told)

    @routes.post("/config/reload")
    async def reload(request: Request, posted: administers) -> Response:
        return await pages.reloaded(request, posted)

    @routes.post("/config/orders/cancel")
    async def cancel(request: Request, posted: controls) -> Response:
        return await pages.cancelled(request, posted)

    @routes.get("/config/audit")
    async def audit(request: Request, visitor: visits) -> Response:
        return await pages.audit(request, visitor)

    @routes.get("/config/tokens")
    async def tokens_(request: Request, visitor: admins) -> Response:
        return await pages.tokens(request, visitor)

    @routes.post("/config/tokens/revoke")
    async def revoke(request: Request, posted: administers) -> Response:
        return await pages.revoked(request, posted)

    return routes


def require_operator(principal: Principal) -> None:
    """Raises Refused for a tenant's people."""
    if not principal.is_operator:
        raise Refused(HTTPStatus.FORBIDDEN, _OPERATORS)


@dataclass(frozen=True, slots=True)
class Config:
    """The pages' answers."""

    backend: Backend
    shell: Shell

    async def status(
        self, request: Request, visitor: Visitor, told: Told | None = None
    ) -> Response:
        table, by = self.backend.config.table, visitor.principal
        status: Mapping[str, Any] = self.backend.config.status()
        given = await self.backend.config.orders()
        return self.shell.page(
            request,
            visitor,
            "config.html",
            loaded=seen_of(status, by),
            tenants=self._tenants(status, by),
            orders=list(orders.told(given, table, by)),
            told=told,
        )

    async def reloaded(self, request: Request, posted: Posted) -> Response:
        """The files have been read again; what is wrong with them stands in the page."""
        by = posted.visitor.principal
        require_operator(by)
        await asking.audited(self.backend, by, Deed("config.reload", "config", None))
        found = await self.backend.config.reload()
        title = "Reloaded" if found.applied else "Not reloaded: the files cannot be used"
        return await self.status(request, posted.visitor, Told(title, found))

    async def cancelled(self, request: Request, posted: Posted) -> Response:
        """The order is not in force any more. What another may cancel is not there."""
        by, table = posted.visitor.principal, self.backend.config.table
        given = await self.backend.config.orders()
        mine = [one.order for one in orders.told(given, table, by) if one.mine]
        order = _meant(mine, posted)
        tenant = orders.tenant_of(order, routes_of(table))
        if not await orders.cancel(self.backend, by, order, tenant):
            raise Refused(HTTPStatus.CONFLICT, "The order was not in force any more.")
        whom = f"{order.scope} {order.name}".strip()
        return self.shell.toast(request, f"No longer in force: {whom}.", back=f"{HOME}#orders")

    async def audit(self, request: Request, visitor: Visitor) -> Response:
        """The lines about a tenant's data; the operator sees those of all."""
        fields = asking.clipped(request.query_params, ("tenant", "action", "before"))
        tenant = asking.whose(visitor, fields["tenant"])
        before = fields["before"]
        place = (
            int(before) if before.isascii() and before.isdecimal() and len(before) < 18 else None
        )
        wanted = AuditFilter(tenant=tenant, action=fields["action"] or None)
        async with asking.answered():
            found = await lines(self.backend.records.engine, wanted, before=place, limit=LINES + 1)
        shown = found[:LINES]
        older = None if len(found) <= LINES else _older(fields, shown[-1])
        return self.shell.page(
            request,
            visitor,
            "audit.html",
            fields=fields,
            tenants=asking.tenants_to_choose(self.backend, visitor),
            lines=shown,
            older=older,
        )

    async def tokens(self, request: Request, visitor: Visitor) -> Response:
        async with asking.answered():
            found = await tokens.listed(
                self.backend.records.engine, tenant=visitor.principal.tenant, every=True
            )
        return self.shell.page(request, visitor, "tokens.html", tokens=found)

    async def revoked(self, request: Request, posted: Posted) -> Response:
        """The token is refused within seconds, on every replica, and that is in the audit."""
        by = posted.visitor.principal
        async with asking.answered():
            token = await tokens.revoke(
                self.backend.records.engine,
                posted.text("token", most=64).replace("\x00", ""),
                author_of(by),
                at=self.backend.clock.wall(),
                tenant=by.tenant,
            )
        if token is None:
            raise Refused(HTTPStatus.NOT_FOUND, "There is no such token.")
        return self.shell.toast(request, f"Revoked: {token.name}.", back=f"{HOME}/tokens")

    def _tenants(self, status: Mapping[str, Any], by: Principal) -> list[TenantStatus]:
        """Of each tenant that the visitor sees how much is loaded, those with mistakes first."""
        table, stale = self.backend.config.table, status.get("stale") or {}
        numbers = Counter(route.tenant for route in routes_of(table).values())
        agents = Counter(tenant for tenant, _ in table.agents)
        found = [
            TenantStatus(
                name,
                numbers[name],
                agents[name],
                tuple(stale.get(name, ())),
            )
            for name in sorted(table.tenants)
            if by.sees(name)
        ]
        return sorted(found, key=lambda one: not one.findings)[:MOST_TENANTS]


def seen_of(status: Mapping[str, Any], by: Principal) -> Mapping[str, Any]:
    """What of the status a visitor may see: the operator's files, and what is wrong with them and
    beside them, are nobody else's."""
    if by.is_operator:
        return status
    return {**status, "file": None, "findings": (), "troubles": (), "stale": {}}


def _meant(mine: Sequence[Order], posted: Posted) -> Order:
    """The order of a form. Raises Refused."""
    scope, name = posted.text("scope", most=10), posted.text("name", most=128)
    paused = posted.text("paused", most=10) == "yes"
    for order in mine:
        if (order.scope.value, order.name, order.paused) == (scope, name, paused):
            return order
    raise Refused(HTTPStatus.NOT_FOUND, "There is no such order in force.")


def _older(fields: Mapping[str, str], last: AuditLine) -> str:
    kept = {name: value for name, value in fields.items() if value and name != "before"}
    return f"{HOME}/audit?{urlencode({**kept, 'before': last.number})}"
