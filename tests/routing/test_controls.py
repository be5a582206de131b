"""The operator's orders: which of them concerns a call, and for how long."""

from dataclasses import replace

import pytest

from sipagent.model import AgentName, TenantName
from sipagent.routing.controls import Controls, Order, Scope, ordered

ACME, NORTH = TenantName("acme"), TenantName("north")
KEY = "+17134810111"
STORE = (ACME, AgentName("store"))
ALL = Order(Scope.ALL, code=503)
TENANT = Order(Scope.TENANT, "acme", code=480)
AGENT = Order(Scope.AGENT, "acme/store", code=486)
NUMBER = Order(Scope.NUMBER, KEY, code=603)


@pytest.mark.parametrize(
    ("order", "tenant", "key", "agent", "concerns"),
    [
        (ALL, ACME, KEY, STORE, True),
        (ALL, NORTH, "default", None, True),
        (TENANT, ACME, KEY, None, True),
        (TENANT, NORTH, KEY, None, False),
        (NUMBER, NORTH, KEY, None, True),
        (NUMBER, ACME, "+17134810122", STORE, False),
        (AGENT, ACME, KEY, STORE, True),
        (AGENT, ACME, KEY, (ACME, AgentName("other")), False),
        (AGENT, ACME, KEY, (NORTH, AgentName("store")), False),
        # The number is another tenant's; who answers is what counts.
        (AGENT, NORTH, KEY, STORE, True),
        (AGENT, ACME, KEY, None, False),
    ],
)
def test_whom_an_order_concerns(
    order: Order, tenant: TenantName, key: str, agent: object, concerns: bool
) -> None:
    assert order.concerns(tenant, key, agent) is concerns  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("orders", "expected"),
    [
        ((ALL, TENANT, AGENT, NUMBER), NUMBER),
        ((NUMBER, AGENT, TENANT, ALL), NUMBER),
        ((ALL, TENANT, AGENT), AGENT),
        ((ALL, TENANT), TENANT),
        ((ALL,), ALL),
        ((), None),
        ((TENANT, Order(Scope.TENANT, "acme", code=600)), Order(Scope.TENANT, "acme", code=600)),
        ((ALL, replace(NUMBER, by_tenant=True)), ALL),
        ((replace(AGENT, by_tenant=True),), replace(AGENT, by_tenant=True)),
    ],
)
def test_the_narrowest_order_counts_and_of_these_the_newest(
    orders: tuple[Order, ...], expected: Order | None
) -> None:
    """Those of tenants come after all of the operator's."""
    assert ordered(orders).order_for(ACME, KEY, STORE, 0.0) == expected


@pytest.mark.parametrize(("now", "code"), [(99.9, 603), (100.0, 503), (1e12, 503)])
def test_an_order_that_has_expired_gives_way_to_the_next(now: float, code: int) -> None:
    controls = ordered((ALL, Order(Scope.NUMBER, KEY, code=603, until=100.0)))
    order = controls.order_for(ACME, KEY, STORE, now)
    assert order is not None
    assert order.code == code


def test_no_orders_concern_nobody() -> None:
    assert Controls().order_for(ACME, KEY, STORE, 0.0) is None
