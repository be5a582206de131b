"""The red button: orders of the operator that precede every rule, until they expire."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from sipagent.model import AgentName, DestinationName, TenantName


class Scope(StrEnum):
    """Whom an order is about."""

    ALL = "all"
    TENANT = "tenant"
    NUMBER = "number"
    AGENT = "agent"


@dataclass(frozen=True, slots=True)
class Order:
    """Reject the calls of a scope with `code`, or send them to `to`.

    `name` is a tenant, a directory key (E.164) or `tenant/agent`, empty for ALL. `until` is in
    unix seconds, None for until it is taken back. `paused` marks a number's pause. `live` is when
    it was given (unix seconds) if held calls are sent there as well, None if they go on.
    `by_tenant`: a tenant's own people gave it, and the operator's orders come before it. `tenant`
    says whose people: it concerns nothing that is not this tenant's, or no longer. Orders that were
    written before this was known have none.
    """

    scope: Scope
    name: str = ""
    code: int | None = None
    to: DestinationName | None = None
    until: float | None = None
    paused: bool = False
    live: float | None = None
    by_tenant: bool = False
    tenant: TenantName | None = None

    def expired(self, now: float) -> bool:
        return self.until is not None and self.until <= now

    def concerns(
        self, tenant: TenantName, key: str, agent: tuple[TenantName, AgentName] | None
    ) -> bool:
        match self.scope:
            case Scope.ALL:
                return self._given_by(tenant)
            case Scope.TENANT:
                return self.name == tenant and self._given_by(tenant)
            case Scope.NUMBER:
                return self.name == key and self._given_by(tenant)
            case Scope.AGENT:
                if agent is None or self.name != "/".join(agent):
                    return False
                return self._given_by(agent[0])

    def _given_by(self, tenant: TenantName) -> bool:
        return self.tenant is None or self.tenant == tenant


@dataclass(frozen=True, slots=True)
class Controls:
    """All orders, the narrowest first: number, agent, tenant, all; of each the newest first."""

    orders: tuple[Order, ...] = ()
    # Every call asks: what it costs must not grow with the orders of others.
    _placed: Mapping[tuple[Scope, str], Sequence[tuple[int, Order]]] = field(
        init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        placed: dict[tuple[Scope, str], list[tuple[int, Order]]] = {}
        for place, order in enumerate(self.orders):
            name = "" if order.scope is Scope.ALL else order.name
            placed.setdefault((order.scope, name), []).append((place, order))
        object.__setattr__(self, "_placed", placed)

    def order_for(
        self,
        tenant: TenantName,
        key: str,
        agent: tuple[TenantName, AgentName] | None,
        now: float,
    ) -> Order | None:
        """The first order that concerns this call and has not expired. `tenant` and `key` are those
        of its number, `agent` who is to answer, which may be an agent of another tenant."""
        whom = [(Scope.NUMBER, key), (Scope.TENANT, str(tenant)), (Scope.ALL, "")]
        if agent is not None:
            whom.append((Scope.AGENT, "/".join(agent)))
        found = (
            (place, order)
            for each in whom
            for place, order in self._placed.get(each, ())
            if not order.expired(now) and order.concerns(tenant, key, agent)
        )
        first = min(found, key=lambda one: one[0], default=None)
        return None if first is None else first[1]

    def live(self, now: float) -> "Controls":
        """The orders by which held calls are sent on as well."""
        return Controls(
            tuple(one for one in self.orders if one.live is not None and not one.expired(now))
        )


def ordered(orders: tuple[Order, ...]) -> Controls:
    """Controls of orders that were given in this order."""
    rank = {Scope.NUMBER: 0, Scope.AGENT: 1, Scope.TENANT: 2, Scope.ALL: 3}
    newest_first = reversed(orders)
    # The operator may refuse a tenant's calls: no narrower order of the tenant's own lifts that.
    return Controls(
        tuple(sorted(newest_first, key=lambda order: (order.by_tenant, rank[order.scope])))
    )
