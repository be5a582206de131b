"""The operator's orders: which of them concerns a call, and for how long."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sipagent.model import AgentName, TenantName
from sipagent.routing.controls import Controls, Order, Scope, ordered

ACME, NORTH = TenantName("acme"), TenantName("north")
KEY = "+17134810111"
STORE = (ACME, AgentName("store"))
ALL = Order(Scope.ALL, code=503)
TENANT = Order(Scope.TENANT, "acme", code=480)
AGENT = Order(Scope.AGENT, "acme/store", code=486)
NUMBER = Order(Scope.NUMBER, KEY, code=603)


def of_tenant(order: Order, tenant: TenantName = ACME) -> Order:
    """As the tenant's own people gave it."""
    return replace(order, by_tenant=True, tenant=tenant)


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
        (of_tenant(NUMBER), ACME, KEY, STORE, True),
        # The number has become another tenant's.
        (of_tenant(NUMBER), NORTH, KEY, STORE, False),
        (replace(NUMBER, by_tenant=True), NORTH, KEY, STORE, True),
        (of_tenant(TENANT), ACME, KEY, None, True),
        (of_tenant(AGENT), NORTH, KEY, STORE, True),
        (of_tenant(AGENT, NORTH), NORTH, KEY, STORE, False),
        (of_tenant(ALL), NORTH, KEY, STORE, False),
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
        ((of_tenant(NUMBER), TENANT), TENANT),
        ((of_tenant(ALL), of_tenant(TENANT), of_tenant(AGENT)), of_tenant(AGENT)),
        ((of_tenant(NUMBER, NORTH), of_tenant(AGENT)), of_tenant(AGENT)),
        ((of_tenant(NUMBER), of_tenant(NUMBER, NORTH)), of_tenant(NUMBER)),
        (
            (of_tenant(NUMBER), replace(of_tenant(NUMBER), code=486)),
            of_tenant(replace(NUMBER, code=486)),
        ),
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


ORDERS = st.builds(
    Order,
    st.sampled_from(Scope),
    st.sampled_from(["acme", "north", KEY, "default", "acme/store", "north/store"]),
    code=st.integers(400, 403),
    until=st.sampled_from([None, 50.0, 150.0]),
    by_tenant=st.booleans(),
    tenant=st.sampled_from([None, ACME, NORTH]),
)


@settings(max_examples=200, deadline=None)
@given(
    orders=st.lists(ORDERS, max_size=12).map(tuple),
    sort=st.booleans(),
    tenant=st.sampled_from([ACME, NORTH]),
    key=st.sampled_from([KEY, "default"]),
    agent=st.sampled_from([None, STORE, (NORTH, AgentName("store"))]),
)
def test_the_order_that_is_found_is_the_first_that_concerns_the_call(
    orders: tuple[Order, ...],
    sort: bool,
    tenant: TenantName,
    key: str,
    agent: tuple[TenantName, AgentName] | None,
) -> None:
    controls = ordered(orders) if sort else Controls(orders)
    concern = (one for one in controls.orders if one.concerns(tenant, key, agent))
    first = next((one for one in concern if not one.expired(100.0)), None)
    assert controls.order_for(tenant, key, agent, 100.0) is first


def test_orders_of_others_cost_a_call_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    many = tuple(Order(Scope.NUMBER, f"+1713482{one:04}") for one in range(1000))
    controls = ordered((*many, TENANT))
    looked: list[Order] = []
    concerns = Order.concerns

    def counted(order: Order, *call: object) -> bool:
        looked.append(order)
        return concerns(order, *call)  # type: ignore[arg-type]

    monkeypatch.setattr(Order, "concerns", counted)
    assert controls.order_for(ACME, KEY, STORE, 0.0) == TENANT
    assert looked == [TENANT]
