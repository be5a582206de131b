"""Calls that are held when the operator orders where calls go."""

from dataclasses import replace

import pytest

from sipagent.errors import TemplateError
from sipagent.model import (
    AgentName,
    CallFacts,
    CallPlan,
    Destination,
    DestinationName,
    Reachable,
    TenantName,
    TrunkName,
)
from sipagent.routing import (
    NumberDirectory,
    Route,
    RoutingTable,
    TenantProfile,
    Trunk,
)
from sipagent.routing.controls import Order, Scope, ordered
from sipagent.routing.held import sending
from sipagent.testing import a_plan
from tests.routing.support import ACCOUNT, NOW, NUMBER

ACME, NORTH = TenantName("acme"), TenantName("north")
STORE, OTHER = AgentName("store"), AgentName("other")
CENTRE, DESK = DestinationName("centre"), DestinationName("desk")
AT = NOW - 5
ALL = Order(Scope.ALL, to=CENTRE, live=AT)


class Branch:
    """A destination's template, which reads a variable of the number's."""

    def render(self, facts: CallFacts) -> str:
        if facts.caller.e164 is not None or facts.headers:
            raise TemplateError("a caller's word")
        return facts.vars["branch"]


def a_table(**destinations: object) -> RoutingTable:
    """Numbers of two tenants. Each has a centre, and those of the main file are everybody's."""
    profiles = {
        tenant: TenantProfile(
            tenant,
            ACCOUNT,
            destinations={CENTRE: Destination(CENTRE, tenant, f"+1713555{end}", None, ("desk",))},
        )
        for tenant, end in ((ACME, "0101"), (NORTH, "0102"))
    }
    routes = [
        Route(NUMBER, ACME, (), vars={"branch": "+17135550177"}),
        Route("+1713482*", NORTH, ()),
        Route("default", NORTH, ()),
    ]
    return RoutingTable(
        directories={ACCOUNT: NumberDirectory.of(routes)},
        agents={},
        tenants=profiles,
        config_hash="abc",
        trunks={TrunkName("pbx"): Trunk(TrunkName("pbx"), refer="sip:{e164}@pbx.example")},
        destinations={
            DestinationName(name): Destination(DestinationName(name), ACME, to)  # type: ignore[arg-type]
            for name, to in destinations.items()
        },
    )


def a_held(dialed: str | None = NUMBER, tenant: TenantName = ACME, **fields: object) -> CallPlan:
    return replace(a_plan(), tenant=tenant, dialed=dialed, **fields)  # type: ignore[arg-type]


def sent(plan: CallPlan, *orders: Order, agent: AgentName = STORE) -> str | None:
    """The destination, and whose it is, as the URI tells."""
    table, live = a_table(), ordered(orders).live(NOW)
    found = sending(plan, agent, table, live, NOW)
    return None if found is None else found.way(table, NOW).refer_to


@pytest.mark.parametrize(
    ("order", "plan", "agent", "uri"),
    [
        (ALL, a_held(), STORE, "tel:+17135550101"),
        (ALL, a_held("+17134820000", NORTH), STORE, "tel:+17135550102"),
        (ALL, a_held("+15550000000", NORTH), STORE, "tel:+17135550102"),
        (ALL, a_held(None, NORTH), STORE, "tel:+17135550102"),
        (ALL, a_held(trunk=TrunkName("pbx")), STORE, "sip:+17135550101@pbx.example"),
        (ALL, a_held(trunk=TrunkName("gone")), STORE, "tel:+17135550101"),
        (replace(ALL, scope=Scope.TENANT, name="acme"), a_held(), STORE, "tel:+17135550101"),
        (replace(ALL, scope=Scope.TENANT, name="north"), a_held(), STORE, None),
        (replace(ALL, scope=Scope.NUMBER, name=NUMBER), a_held(), STORE, "tel:+17135550101"),
        (replace(ALL, scope=Scope.NUMBER, name="+1713482*"), a_held(), STORE, None),
        (
            replace(ALL, scope=Scope.NUMBER, name="+1713482*"),
            a_held("+17134820000", NORTH),
            STORE,
            "tel:+17135550102",
        ),
        (replace(ALL, scope=Scope.AGENT, name="acme/store"), a_held(), STORE, "tel:+17135550101"),
        (replace(ALL, scope=Scope.AGENT, name="acme/store"), a_held(), OTHER, None),
        (replace(ALL, live=None), a_held(), STORE, None),
        (replace(ALL, until=NOW), a_held(), STORE, None),
        (replace(ALL, until=NOW + 1), a_held(), STORE, "tel:+17135550101"),
    ],
)
def test_whom_an_order_sends_where(
    order: Order, plan: CallPlan, agent: AgentName, uri: str | None
) -> None:
    assert sent(plan, order, agent=agent) == uri


def test_an_order_that_is_not_about_held_calls_keeps_none_from_being_sent_on() -> None:
    paused = Order(Scope.NUMBER, NUMBER, paused=True)
    assert sent(a_held(), paused, ALL) == "tel:+17135550101"


def test_the_narrowest_order_about_held_calls_counts() -> None:
    table = a_table(desk="sip:desk@main.example")
    narrow = Order(Scope.NUMBER, NUMBER, to=DESK, live=AT)
    live = ordered((narrow, ALL)).live(NOW)
    found = sending(a_held(), STORE, table, live, NOW)
    assert found is not None
    assert found.way(table, NOW) == Reachable(DESK, "sip:desk@main.example")


def test_a_destination_of_the_main_file_precedes_the_tenants() -> None:
    table = a_table(centre="sip:centre@main.example")
    found = sending(a_held(), STORE, table, ordered((ALL,)), NOW)
    assert found is not None
    assert found.way(table, NOW).refer_to == "sip:centre@main.example"


def test_what_follows_where_nobody_takes_the_call_is_the_destinations() -> None:
    table = a_table()
    found = sending(a_held(), STORE, table, ordered((ALL,)), NOW)
    assert found is not None
    assert found.way(table, NOW).on_failure == ("desk",)


def test_a_template_reads_the_number_and_nothing_of_the_caller() -> None:
    table = a_table(centre=Branch())
    found = sending(a_held(), STORE, table, ordered((ALL,)), NOW)
    assert found is not None
    assert found.way(table, NOW).refer_to == "tel:+17135550177"


def test_a_destination_that_the_tenant_does_not_have_is_told() -> None:
    table = a_table()
    order = Order(Scope.ALL, to=DESK, live=AT)
    found = sending(a_held(), STORE, table, ordered((order,)), NOW)
    assert found is not None
    with pytest.raises(LookupError):
        found.way(table, NOW)


def test_an_order_that_is_given_again_is_another_one() -> None:
    names = []
    for live in (AT, AT, AT + 0.25):
        found = sending(a_held(), STORE, a_table(), ordered((replace(ALL, live=live),)), NOW)
        assert found is not None
        names.append(found.name)
    assert names[0] == names[1] != names[2]


def test_a_call_of_an_account_without_numbers_stays() -> None:
    plan = replace(a_held(), account="other")  # type: ignore[arg-type]
    assert sending(plan, STORE, a_table(), ordered((ALL,)), NOW) is None
