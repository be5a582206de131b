"""Orders as pages show and take them: in words, whom they concern, and who may give them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, assert_never

from sipagent.api.console import asking
from sipagent.api.console.directory import route_meant, routes_of, tenants_of_agent
from sipagent.api.console.refusals import Refused
from sipagent.api.console.shell import Posted
from sipagent.api.v1.ports import Backend, Deed
from sipagent.errors import StoreError, TooManyOrdersError
from sipagent.model import AgentName, DestinationName, TenantName
from sipagent.model.access import Principal
from sipagent.routing import Order, Route, RoutingTable, Scope

DURATIONS: Final = (
    ("900", "15 minutes"),
    ("3600", "1 hour"),
    ("14400", "4 hours"),
    ("86400", "1 day"),
    ("", "until cancelled"),
)
"""For how long an order is given: seconds, and what is read."""

_SECONDS: Final = frozenset(value for value, _ in DURATIONS)
_UNKNOWN: Final = "There is nothing of this name."
_TOO_MANY: Final = "Too many orders are in force there: resume first."
_NOT_WRITTEN: Final = "The orders cannot be written at the moment. Nothing was changed."


@dataclass(frozen=True, slots=True)
class Told:
    """An order as a page shows it. `mine` says whether this visitor may cancel it."""

    order: Order
    whom: str
    what: str
    mine: bool


def what_of(order: Order) -> str:
    """What an order does, without whom it concerns and when it ends."""
    if order.paused:
        return "paused"
    if order.to is not None:
        return f"diverted to {order.to}" + (", held calls too" if order.live else "")
    return f"rejected with {order.code or 503}"


def told(orders: Iterable[Order], table: RoutingTable, by: Principal) -> Iterator[Told]:
    """The orders that concern what this visitor sees."""
    routes = routes_of(table)
    for order in orders:
        tenant = tenant_of(order, routes)
        if order.scope is Scope.ALL or tenant is None:
            seen = order.scope is Scope.ALL or by.is_operator
            mine = by.is_operator
        else:
            seen = by.sees(tenant)
            mine = seen and (by.is_operator or order.by_tenant)
        if seen:
            whom = "all calls" if order.scope is Scope.ALL else f"{order.scope} {order.name}"
            yield Told(order, whom, what_of(order), mine)


def tenant_of(order: Order, routes: Mapping[str, Route]) -> TenantName | None:
    """Whose calls an order concerns; None for all, and for a number that nobody has any more."""
    match order.scope:
        case Scope.ALL:
            return None
        case Scope.TENANT:
            return TenantName(order.name)
        case Scope.AGENT:
            return TenantName(order.name.partition("/")[0])
        case Scope.NUMBER:
            route = routes.get(order.name)
            return None if route is None else route.tenant


def named_by(backend: Backend, posted: Posted) -> tuple[Scope, str, frozenset[TenantName]]:
    """Whom a form's order is about: the scope, the name, and whose calls these are. Raises Refused
    for what is not there, or not this visitor's."""
    by, table = posted.visitor.principal, backend.config.table
    name = posted.text("name", most=128)
    try:
        scope = Scope(posted.text("scope", most=10))
    except ValueError:
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "There is no such scope.") from None
    match scope:
        case Scope.ALL:
            if not by.is_operator:
                raise Refused(HTTPStatus.NOT_FOUND, _UNKNOWN)
            numbers = routes_of(table).values()
            return scope, "", frozenset(route.tenant for route in numbers)
        case Scope.NUMBER:
            route = route_meant(backend, posted.visitor, name)
            return scope, route.key, frozenset({route.tenant})
        case Scope.TENANT:
            tenant = TenantName(name)
            known = tenant in table.tenants
        case Scope.AGENT:
            owner, _, agent = name.partition("/")
            tenant = TenantName(owner)
            key = (tenant, AgentName(agent))
            if key in table.agents and by.sees(tenant):
                return scope, name, _all_seen(by, tenants_of_agent(backend, key))
            known = False
        case _:
            assert_never(scope)
    if not known or not by.sees(tenant):
        raise Refused(HTTPStatus.NOT_FOUND, _UNKNOWN)
    return scope, name, frozenset({tenant})


def _all_seen(by: Principal, tenants: Iterable[TenantName]) -> frozenset[TenantName]:
    """These tenants. Raises Refused where one of them is another's."""
    found = frozenset(tenants)
    if not all(map(by.sees, found)):
        words = "This agent has calls of others too: the operator diverts it."
        raise Refused(HTTPStatus.FORBIDDEN, words)
    return found


def destination_of(backend: Backend, tenants: Iterable[TenantName], name: str) -> DestinationName:
    """Where calls of these tenants are sent: all of them must have it. Without a name it is their
    common fallback. Raises Refused."""
    found = {backend.config.destination(tenant, name or None) for tenant in tenants}
    to = found.pop() if len(found) == 1 else None
    if to is None:
        words = "There is no such destination." if name else "There is no one fallback to use."
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, words)
    return to


def until_of(posted: Posted, now: float) -> float | None:
    """When the form's order ends. Raises Refused."""
    seconds = posted.text("for", most=10)
    if seconds not in _SECONDS:
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "There is no such time.")
    return now + float(seconds) if seconds else None


async def give(backend: Backend, by: Principal, order: Order, tenant: TenantName | None) -> None:
    """The order is in the audit, and in force. Raises Refused where either cannot be written."""
    action = "pause" if order.paused else "divert"
    await asking.audited(backend, by, _deed(action, order, tenant))
    try:
        await backend.config.give(order, by)
    except TooManyOrdersError:
        raise Refused(HTTPStatus.CONFLICT, _TOO_MANY) from None
    except StoreError:
        raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, _NOT_WRITTEN) from None


async def cancel(backend: Backend, by: Principal, order: Order, tenant: TenantName | None) -> bool:
    """It is in the audit that no such order is in force any more; False if none was. Raises Refused
    as `give`."""
    await asking.audited(backend, by, _deed("resume", order, tenant))
    try:
        return await backend.config.cancel(order, by)
    except StoreError:
        raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, _NOT_WRITTEN) from None


def _deed(action: str, order: Order, tenant: TenantName | None) -> Deed:
    """As the control API has it for a number; other scopes are named with it."""
    detail = {"code": order.code, "to": order.to, "until": order.until}
    known = {name: value for name, value in detail.items() if value is not None}
    if order.scope is Scope.NUMBER:
        return Deed(f"numbers.{action}", order.name, tenant, known or None)
    target = f"{order.scope} {order.name}".strip()
    return Deed(f"orders.{action}", target, tenant, known or None)
