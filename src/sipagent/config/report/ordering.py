"""The operator's orders before they are given: whom they concern, and whether they can be followed.

What cannot be meant is told as a ValueError, with the word that probably was.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from sipagent.config.findings import Complaint
from sipagent.config.loader import Loaded
from sipagent.config.numbers import directory_key
from sipagent.config.report.wording import agents_of, answering, routes_of, some
from sipagent.config.spaces import spaces_of
from sipagent.config.words import closest, quoted
from sipagent.model import AgentName, DestinationName, TenantName
from sipagent.routing import Controls, Order, Route, RoutingTable, Scope


def name_in(table: RoutingTable, scope: Scope, name: str | None) -> str:
    """How an order names what the operator names. Raises ValueError."""
    if scope is Scope.ALL:
        if name:
            raise ValueError(f"`all` takes no name, and there is {quoted(name)}")
        return ""
    if not name:
        raise ValueError(f"name the {scope}")
    match scope:
        case Scope.TENANT:
            return _known("tenant", name, table.tenants)
        case Scope.AGENT:
            return _agent(table, name)
        case Scope.NUMBER:
            return number_in(table, name)


def number_in(table: RoutingTable, text: str) -> str:
    """The directory's key of a number in any spelling. Raises ValueError."""
    routes = routes_of(table)
    key = directory_key(text, table.region)
    if isinstance(key, Complaint):
        hint = f" ({key.hint})" if key.hint else ""
        raise ValueError(f"{quoted(text)}: {key.message}{hint}")  # noqa: TRY004  # no type error
    if key in routes:
        return key
    for directory in table.directories.values():
        covering = directory.covering(key)
        if covering is not None:
            raise ValueError(f"{key} is not listed itself: the prefix {covering.key} covers it")
    raise ValueError(f"there is no number {key}{_did_you_mean(key, routes)}")


def spelled(text: str, region: str | None) -> str:
    """The key that was meant, whether it is listed or not."""
    key = directory_key(text, region)
    return text if isinstance(key, Complaint) else key


def tenants_of(table: RoutingTable, scope: Scope, name: str) -> frozenset[TenantName]:
    """Whose numbers an order concerns: a call is sent to a destination of its number's tenant."""
    routes = routes_of(table)
    match scope:
        case Scope.ALL:
            return frozenset(route.tenant for route in routes.values())
        case Scope.TENANT:
            return frozenset({TenantName(name)})
        case Scope.NUMBER:
            return frozenset({routes[name].tenant})
        case Scope.AGENT:
            tenant, _, agent = name.partition("/")
            return frozenset(_tenants_of_agent(table, (TenantName(tenant), AgentName(agent))))


def destination_in(
    loaded: Loaded, tenants: frozenset[TenantName], to: str | None
) -> DestinationName:
    """The destination to send calls of these tenants to, their common `fallback` if none is named.

    Raises ValueError where a tenant does not have it.
    """
    if to is None:
        fallbacks = {_fallback(loaded, tenant) for tenant in tenants}
        to = fallbacks.pop() if len(fallbacks) == 1 else None
        if to is None:
            raise ValueError("name a destination with --to: there is no one fallback")
    profiles = {tenant: loaded.table.tenants[tenant] for tenant in sorted(tenants)}
    shared = loaded.table.destinations
    lacking = [tenant for tenant, profile in profiles.items() if to not in profile.destinations]
    if to not in shared and lacking:
        known = {name for tenant in lacking for name in profiles[tenant].destinations} | {*shared}
        message = f"there is no destination {quoted(to)} for the tenant {some(lacking)}"
        advice = "; one of the main file is every tenant's" if len(tenants) > 1 else ""
        raise ValueError(message + _did_you_mean(to, known) + advice)
    return DestinationName(to)


def order_text(order: Order) -> str:
    """An order in words, without when it ends."""
    who = f"{order.scope} {order.name}".strip()
    if order.paused:
        return f"{who}: paused"
    if order.to is not None:
        return f"{who}: divert to {order.to}" + (", held calls too" if order.live else "")
    return f"{who}: reject {order.code or 503}"


def until_text(order: Order) -> str:
    """When the order ends, in UTC."""
    if order.until is None:
        return "until cancelled"
    return f"until {datetime.fromtimestamp(order.until, UTC):%Y-%m-%d %H:%M:%S} UTC"


def in_force_at(controls: Controls, now: float) -> Iterator[Order]:
    """The orders that have not expired, the narrowest first."""
    return (order for order in controls.orders if order.until is None or order.until > now)


def state_of(controls: Controls, route: Route, now: float) -> str:
    """What an order does to this number's calls, whoever would answer them; "" if none does."""
    order = controls.order_for(route.tenant, route.key, None, now)
    return "" if order is None else order_text(order)


def _agent(table: RoutingTable, name: str) -> str:
    """`tenant/agent`; a name alone is that of the only tenant whose numbers it answers."""
    known = {f"{tenant}/{agent}" for tenant, agent in table.agents}
    if name in known:
        return name
    meant = sorted(f"{tenant}/{agent}" for tenant, agent in answering(table) if agent == name)
    if len(meant) > 1:
        raise ValueError(f"several tenants have an agent {quoted(name)}: {some(meant, 8)}")
    return meant[0] if meant else _known("agent", name, known)


def _tenants_of_agent(
    table: RoutingTable, agent: tuple[TenantName, AgentName]
) -> Iterator[TenantName]:
    yield agent[0]
    for directory in table.directories.values():
        default = directory.default
        if default is None or agent not in agents_of(default):
            continue
        # Where no rule of a number holds, its calls come to the default's agent.
        for route in (*directory.exact.values(), *directory.prefixes):
            if all(rule.conditions for rule in route.rules):
                yield route.tenant


def _fallback(loaded: Loaded, tenant: TenantName) -> str | None:
    if loaded.gathered is None:
        return None
    own = spaces_of(loaded.gathered)[tenant].own.draft.file
    return getattr(own, "fallback", None)


def _known(what: str, name: str, names: Iterable[str]) -> str:
    names = [*names]
    if name not in names:
        raise ValueError(f"there is no {what} {quoted(name)}{_did_you_mean(name, names)}")
    return name


def _did_you_mean(word: str, words: Iterable[str]) -> str:
    meant = closest(word, sorted(words))
    return "" if meant is None else f" (did you mean {quoted(meant)}?)"
