"""*Numbers*: which are ours and who answers each, those that lead nowhere, and the red button."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from sipagent.api.console import asking, orders
from sipagent.api.console.directory import route_meant, routes_of, trunks_of
from sipagent.api.console.explaining import Explained, explained, question_of
from sipagent.api.console.refusals import Refused
from sipagent.api.console.shell import Posted, Shell, Visitor
from sipagent.api.v1.ports import Backend, Deed
from sipagent.model import DestinationName, TenantName
from sipagent.model.access import Scope
from sipagent.routing import Controls, Order, Route, RoutingTable
from sipagent.routing import Scope as Whom
from sipagent.store.facts import Unrouted
from sipagent.store.numbers import is_hashed
from sipagent.store.reading import LastCall, last_calls, unrouted_numbers
from sipagent.store.why import AGENT, line_to_paste, wording

PAGE: Final = 50
UNROUTED_DAYS: Final = 7
MOST_UNROUTED: Final = 50
HOME: Final = "/console/numbers"


@dataclass(frozen=True, slots=True)
class Line:
    """A number of the directory, as it is shown."""

    route: Route = field(repr=False)
    rules: str = field(repr=False)
    order: Order | None
    state: str
    last: LastCall | None = None

    @property
    def own(self) -> bool:
        """Whether the order is on this number alone, so that it can be taken back here."""
        return self.order is not None and self.order.scope is Whom.NUMBER


@dataclass(frozen=True, slots=True)
class Nowhere:
    """A number that leads nowhere, masked or whole, and the line that would give it to an agent."""

    found: Unrouted
    number: str | None = field(repr=False)
    line: str | None = field(default=None, repr=False)


def router(backend: Backend, shell: Shell) -> APIRouter:
    routes = APIRouter()
    visits = Annotated[Visitor, Depends(shell.visitor)]
    asks = Annotated[Posted, Depends(shell.posted(Scope.READ))]
    posts = Annotated[Posted, Depends(shell.posted(Scope.CONTROL))]
    pages = Numbers(backend, shell)

    @routes.get("/numbers")
    async def numbers(request: Request, visitor: visits) -> Response:
        return await pages.listed(request, visitor)

    @routes.post("/numbers/explain")
    async def explain(request: Request, posted: asks) -> Response:
        return await pages.explained(request, posted)

    @routes.post("/numbers/pause")
    async def pause(request: Request, posted: posts) -> Response:
        return await pages.paused(request, posted)

    @routes.post("/numbers/resume")
    async def resume(request: Request, posted: posts) -> Response:
        return await pages.resumed(request, posted)

    @routes.post("/numbers/divert")
    async def divert(request: Request, posted: posts) -> Response:
        return await pages.diverted(request, posted)

    return routes


@dataclass(frozen=True, slots=True)
class Numbers:
    """The page's answers."""

    backend: Backend
    shell: Shell

    async def listed(
        self,
        request: Request,
        visitor: Visitor,
        *,
        told: Explained | None = None,
        asked: Mapping[str, str] | None = None,
    ) -> Response:
        fields = asking.clipped(request.query_params, ("tenant", "q", "page", "whole"))
        tenant = asking.whose(visitor, fields["tenant"])
        whole = fields.pop("whole") == "yes"
        if whole:
            await self._allow_whole(visitor, tenant)
        found = meant(self.backend.config.table, tenant, fields["q"])
        page = _page_of(fields["page"], len(found))
        shown = found[page * PAGE : (page + 1) * PAGE]
        async with asking.records(self.backend) as connection:
            last = await _last_of(self.backend, connection, shown)
            nowhere = await self._unrouted(connection, tenant)
        controls = Controls(tuple(await self.backend.config.orders()))
        return self.shell.page(
            request,
            visitor,
            "numbers.html",
            fields=fields,
            tenants=asking.tenants_to_choose(self.backend, visitor),
            lines=[self._line(route, controls, last) for route in shown],
            many=len(found),
            page=page,
            pages=_links(fields, page, len(found)),
            unrouted=[_nowhere(one, whole=whole) for one in nowhere],
            whole=whole,
            unrouted_days=UNROUTED_DAYS,
            durations=orders.DURATIONS,
            destinations=self._destinations(shown),
            everywhere=sorted(self.backend.config.table.destinations),
            told=told,
            asked=asked or {"dialed": "", "caller": "", "at": "", "trunk": ""},
            trunks=trunks_of(self.backend.config.table, visitor.principal.tenant),
        )

    async def explained(self, request: Request, posted: Posted) -> Response:
        """The page, with what would happen to a call."""
        fields = asking.clipped(posted.fields, ("dialed", "caller", "at", "trunk"), most=300)
        known = trunks_of(self.backend.config.table, posted.visitor.principal.tenant)
        told = explained(self.backend, posted.visitor, question_of(fields, known))
        return await self.listed(request, posted.visitor, told=told, asked=fields)

    async def paused(self, request: Request, posted: Posted) -> Response:
        route = route_meant(self.backend, posted.visitor, posted.text("number", most=64))
        until = orders.until_of(posted, self.backend.clock.wall())
        order = Order(Whom.NUMBER, route.key, until=until, paused=True)
        await orders.give(self.backend, posted.visitor.principal, order, route.tenant)
        return self._done(request, f"{route.key} is paused.")

    async def resumed(self, request: Request, posted: Posted) -> Response:
        """The number is neither paused nor diverted by an order of its own."""
        route = route_meant(self.backend, posted.visitor, posted.text("number", most=64))
        given = await self.backend.config.orders()
        mine = [one for one in given if one.scope is Whom.NUMBER and one.name == route.key]
        if not mine:
            raise Refused(HTTPStatus.CONFLICT, f"{route.key} is neither paused nor diverted.")
        for order in {one.paused: one for one in mine}.values():
            await orders.cancel(self.backend, posted.visitor.principal, order, route.tenant)
        return self._done(request, f"The rules of {route.key} hold again.")

    async def _unrouted(
        self, connection: AsyncConnection, tenant: TenantName | None
    ) -> Sequence[Unrouted]:
        since = self.backend.clock.wall() - UNROUTED_DAYS * asking.DAY
        return await unrouted_numbers(connection, tenant, since=since, limit=MOST_UNROUTED)

    async def _allow_whole(self, visitor: Visitor, tenant: TenantName | None) -> None:
        """That numbers are shown whole is in the audit. Raises Refused for whoever may not."""
        if not visitor.principal.may(Scope.ADMIN):
            raise Refused(HTTPStatus.FORBIDDEN, "Whole numbers need a token with the scope admin.")
        deed = Deed("calls.numbers", "unrouted", tenant)
        await asking.audited(self.backend, visitor.principal, deed)

    async def diverted(self, request: Request, posted: Posted) -> Response:
        """New calls go to a destination; all calls of all tenants only when that is confirmed."""
        by, now = posted.visitor.principal, self.backend.clock.wall()
        scope, name, tenants = orders.named_by(self.backend, posted)
        if scope is Whom.ALL and posted.text("sure", most=10) != "yes":
            words = "This diverts the calls of all tenants. Tick that you mean it."
            raise Refused(HTTPStatus.CONFLICT, words)
        to = orders.destination_of(self.backend, tenants, posted.text("to", most=63))
        live = now if posted.text("live", most=10) == "yes" else None
        until = orders.until_of(posted, now)
        order = Order(scope, name, to=DestinationName(to), until=until, live=live)
        await orders.give(self.backend, by, order, _owner(scope, name, tenants))
        return self._done(request, f"{order.scope} {name}: {orders.what_of(order)}.")

    def _done(self, request: Request, words: str) -> Response:
        """What has been done shows in the page, which is loaded again."""
        return self.shell.toast(request, words, back=HOME)

    def _line(
        self,
        route: Route,
        controls: Controls,
        last: Mapping[tuple[TenantName, str], LastCall],
    ) -> Line:
        now = self.backend.clock.wall()
        order = controls.order_for(route.tenant, route.key, None, now)
        return Line(
            route,
            self.backend.config.rules(route),
            order,
            "" if order is None else orders.what_of(order),
            last.get((route.tenant, route.key)),
        )

    def _destinations(self, shown: Sequence[Route]) -> Mapping[TenantName, list[str]]:
        """Where each tenant's calls can be sent."""
        table = self.backend.config.table
        return {
            route.tenant: sorted({*table.tenants[route.tenant].destinations, *table.destinations})
            for route in shown
        }


def _owner(scope: Whom, name: str, tenants: frozenset[TenantName]) -> TenantName | None:
    """In whose audit an order stands."""
    if scope is Whom.ALL:
        return None
    return min(tenants) if scope is Whom.NUMBER else TenantName(name.partition("/")[0])


def meant(table: RoutingTable, tenant: TenantName | None, text: str) -> list[Route]:
    """The lines of a tenant's directory, or of all, in which the text stands: in the number, the
    tenant's name or the trunk's."""
    wanted = text.casefold()
    return [
        route
        for route in routes_of(table).values()
        if tenant in (None, route.tenant)
        and any(
            wanted in (each or "").casefold() for each in (route.key, route.tenant, route.trunk)
        )
    ]


async def _last_of(
    backend: Backend, connection: AsyncConnection, shown: Sequence[Route]
) -> Mapping[tuple[TenantName, str], LastCall]:
    """The last call of each number, in whichever form the records have it; calls by a prefix or by
    `default` have numbers of their own."""
    forms = {
        (route.tenant, spelling): route.key
        for route in shown
        if not route.key.endswith("*") and route.key != "default"
        for spelling in backend.records.forms_of(route.key, route.tenant)
    }
    found: dict[tuple[TenantName, str], LastCall] = {}
    for one in await last_calls(connection, list(forms)):
        tenant = TenantName(one.tenant)
        key = forms[tenant, one.dialed]
        if (tenant, key) not in found or found[tenant, key].began_at < one.began_at:
            found[tenant, key] = replace(one, dialed=key)
    return found


def _page_of(text: str, many: int) -> int:
    """Which page is shown, from 0."""
    last = max(0, (many - 1) // PAGE)
    return min(int(text), last) if text.isascii() and text.isdecimal() and len(text) < 9 else 0


def _links(fields: Mapping[str, str], page: int, many: int) -> dict[str, str | None]:
    """The ways to the page before and to the next one, as far as there are any."""
    last = max(0, (many - 1) // PAGE)
    kept = {name: value for name, value in fields.items() if value}

    def link(at: int) -> str | None:
        return f"{HOME}?{urlencode({**kept, 'page': str(at)})}" if 0 <= at <= last else None

    return {"before": link(page - 1), "after": link(page + 1)}


def _nowhere(found: Unrouted, *, whole: bool) -> Nowhere:
    if found.dialed is None or is_hashed(found.dialed):
        return Nowhere(found, None)
    number = wording.number(found.dialed, numbers=whole)
    return Nowhere(found, number, line_to_paste(found.dialed, AGENT) if whole else None)
