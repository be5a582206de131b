"""The number directory as pages look at it: every line of it, and what is a visitor's own."""

from collections.abc import Iterator
from http import HTTPStatus

from sipagent.api.console.refusals import Refused
from sipagent.api.console.shell import Visitor
from sipagent.api.v1.ports import Backend
from sipagent.model import TenantName
from sipagent.routing import AgentKey, Route, RoutingTable


def routes_of(table: RoutingTable) -> dict[str, Route]:
    """Every line of all directories by its key, in the order of keys, `default` last."""
    found: dict[str, Route] = {}
    for directory in table.directories.values():
        found |= {route.key: route for route in (*directory.exact.values(), *directory.prefixes)}
        if directory.default is not None:
            found[directory.default.key] = directory.default
    return dict(sorted(found.items(), key=lambda item: (item[0] == "default", item[0])))


def trunks_of(table: RoutingTable, tenant: TenantName | None) -> list[str]:
    """The trunks that a page may name: for a tenant's people those of its own numbers."""
    if tenant is None:
        return sorted(table.trunks)
    routes = routes_of(table).values()
    return sorted({route.trunk for route in routes if route.tenant == tenant and route.trunk})


def route_meant(backend: Backend, visitor: Visitor, number: str) -> Route:
    """The line of the directory for a number that the visitor sees. Raises Refused: another
    tenant's number is not there."""
    routes = routes_of(backend.config.table)
    route = routes.get(number) or routes.get(backend.config.key_of(number) or "")
    if route is None or not visitor.principal.sees(route.tenant):
        raise Refused(HTTPStatus.NOT_FOUND, "There is no such number.")
    return route


def tenants_of_agent(backend: Backend, agent: AgentKey) -> Iterator[TenantName]:
    """Whose calls the agent may have: its own tenant's; and where it answers for `default`, those
    of every number of which no rule may hold."""
    yield agent[0]
    for directory in backend.config.table.directories.values():
        default = directory.default
        if default is None or agent not in backend.config.answering(default):
            continue
        for route in (*directory.exact.values(), *directory.prefixes):
            if all(rule.conditions for rule in route.rules):
                yield route.tenant
