"""What follows from the rules: answers, forwards, orders, fall-backs, and everything rendered."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from sipagent.model import (
    DEFAULT_TENANT,
    Accept,
    AgentName,
    AgentProfile,
    CallFacts,
    CallPlan,
    Decision,
    Destination,
    DestinationName,
    Edition,
    Forward,
    Greeting,
    Rate,
    Reason,
    Reject,
    TenantName,
    Text,
    TrunkName,
)
from sipagent.routing import (
    AnswerWith,
    Controls,
    DuringHours,
    FromCaller,
    Order,
    Route,
    RoutingTable,
    Scope,
    TenantProfile,
    Trunk,
    decide,
)
from sipagent.routing.controls import ordered
from sipagent.testing import SILENT, a_profile, a_table
from tests.routing.support import (
    ACCOUNT,
    NOW,
    NUMBER,
    Broken,
    FakeSchedule,
    Rendered,
    a_call,
    caller,
    route,
    rule,
    told,
)

ACME = TenantName("acme")
DESK = "+17135550100"
TELNYX = Trunk(TrunkName("telnyx"), refer="sip:{e164}@sip.telnyx.com", expose=("x-store",))


def tenant(
    name: TenantName = DEFAULT_TENANT, *, hours: dict[str, Any] | None = None, **to: Text
) -> TenantProfile:
    destinations = {
        DestinationName(key): Destination(DestinationName(key), name, value)
        for key, value in to.items()
    }
    return TenantProfile(
        name,
        ACCOUNT,
        timezone="America/Chicago",
        hours=hours or {},
        destinations=destinations,
        silent={**SILENT, "model": f"model-of-{name}"},
        forwards=Rate(60, 3600.0),
    )


def a_house(*routes: Route, profiles: tuple[AgentProfile, ...] = (), **more: Any) -> RoutingTable:
    more.setdefault("tenants", [tenant(desk=DESK)])
    names = ("reception", "night", "billing")
    return a_table(routes, profiles or [a_profile(name) for name in names], **more)


def short(decision: Decision) -> str:
    match decision.verdict:
        case Accept(plan):
            return str(plan.agent)
        case Forward(plan):
            return str(plan.refer_to)
        case Reject(code, reason):
            return f"{code} {reason}"


def plan_of(decision: Decision) -> CallPlan:
    assert not isinstance(decision.verdict, Reject)
    return decision.verdict.plan


def closed() -> DuringHours:
    return DuringHours("office", FakeSchedule(opens=9, closes=9))


class TestRules:
    @pytest.mark.parametrize(
        ("rules", "default", "expected"),
        [
            ([rule("reception"), rule("night")], None, "reception"),
            ([rule("reception", closed()), rule("night")], None, "night"),
            ([rule("reception", closed()), rule(486)], None, "486 rule"),
            ([rule("reception", closed()), rule(">desk")], None, f"tel:{DESK}"),
            ([rule("reception", closed())], None, "404 rule"),
            ([rule("reception", closed())], [rule("night")], "night"),
            ([rule("reception", closed())], [rule(">desk")], f"tel:{DESK}"),
            ([rule("reception", closed())], [rule("night", closed())], "404 rule"),
            ([rule("reception", closed())], [rule(480)], "480 rule"),
            ([], [rule("night")], "night"),
            ([], None, "404 rule"),
        ],
    )
    def test_the_first_rule_that_holds_else_those_of_default(
        self, rules: list[Any], default: list[Any] | None, expected: str
    ) -> None:
        routes = [route(*rules)]
        if default is not None:
            routes.append(route(*default, key="default"))
        assert short(decide(a_call(), a_house(*routes), NOW)) == expected

    def test_default_answers_for_what_is_not_listed(self) -> None:
        table = a_house(route(rule(480, FromCaller(("*",))), rule("night"), key="default"))
        assert short(decide(a_call(), table, NOW)) == "night"
        decision = decide(a_call(caller("+14067704205")), table, NOW)
        assert short(decision) == "480 unknown_number"

    def test_every_rule_tried_is_told(self) -> None:
        table = a_house(
            route(rule("reception", closed()), rule("night", FromCaller(("+1406*",)))),
            route(rule("billing", FromCaller(("anonymous",))), rule("night"), key="default"),
        )
        assert told(decide(a_call(), table, NOW).trace)[2:] == [
            (f"numbers.{NUMBER}", False, "office is closed"),
            (f"numbers.{NUMBER}", False, "the caller is not listed"),
            ("numbers.default", True, "the caller is listed"),
        ]

    def test_the_numbers_own_zone_counts_before_the_tenants(self) -> None:
        schedule = FakeSchedule()
        rules = (rule("reception", DuringHours("office", schedule)), rule("night"))
        assert short(decide(a_call(), a_house(route(*rules)), NOW)) == "night"
        east = route(*rules, timezone="America/New_York")
        assert short(decide(a_call(), a_house(east), NOW)) == "reception"
        assert [at.hour for at in schedule.asked] == [8, 9]

    def test_a_split_is_decided_by_the_call(self) -> None:
        split = AnswerWith(AgentName("reception"), ((AgentName("night"), 0.5),))
        table = a_house(route(rule(split)))
        agents = {short(decide(a_call(call_id=f"rtc_{n}"), table, NOW)) for n in range(40)}
        assert agents == {"reception", "night"}
        assert len({short(decide(a_call(call_id="rtc_7"), table, NOW)) for _ in range(9)}) == 1


class TestOrders:
    RULES = (rule("reception"),)

    @pytest.mark.parametrize(
        ("orders", "expected"),
        [
            ([Order(Scope.ALL, code=503)], "503 rule"),
            ([Order(Scope.ALL)], "503 rule"),
            ([Order(Scope.TENANT, "default", code=480)], "480 rule"),
            ([Order(Scope.TENANT, "acme", code=480)], "reception"),
            ([Order(Scope.NUMBER, NUMBER, code=480)], "480 rule"),
            ([Order(Scope.NUMBER, "+1", code=480)], "reception"),
            ([Order(Scope.AGENT, "default/reception", code=480)], "480 rule"),
            ([Order(Scope.AGENT, "default/night", code=480)], "reception"),
            ([Order(Scope.ALL, to=DestinationName("desk"))], f"tel:{DESK}"),
            ([Order(Scope.ALL, to=DestinationName("nowhere"))], "503 internal_error"),
            (
                [Order(Scope.ALL, code=600), Order(Scope.NUMBER, NUMBER, code=480)],
                "480 rule",
            ),
            (
                [Order(Scope.ALL, code=600), Order(Scope.TENANT, "default", code=480)],
                "480 rule",
            ),
            ([Order(Scope.ALL, code=503, until=NOW)], "reception"),
            ([Order(Scope.ALL, code=503, until=NOW + 1)], "503 rule"),
        ],
    )
    def test_an_order_precedes_every_rule(self, orders: list[Order], expected: str) -> None:
        table = a_house(route(*self.RULES))
        assert short(decide(a_call(), table, NOW, ordered(tuple(orders)))) == expected

    def test_an_order_takes_calls_that_no_rule_would_take(self) -> None:
        controls = ordered((Order(Scope.ALL, to=DestinationName("desk")),))
        for rules in ((), (rule(486),), (rule("reception", closed()),)):
            assert short(decide(a_call(), a_house(route(*rules)), NOW, controls)) == f"tel:{DESK}"

    def test_only_an_order_that_sends_calls_on_costs_nothing(self) -> None:
        for order, free in (
            (Order(Scope.ALL, to=DestinationName("desk")), True),
            (Order(Scope.ALL, code=503), False),
        ):
            table = a_house(route(*self.RULES))
            assert decide(a_call(), table, NOW, ordered((order,))).free is free

    @pytest.mark.parametrize(
        ("paused", "because"), [(True, "paused"), (False, "an order of the operator's")]
    )
    def test_an_order_is_told(self, paused: bool, because: str) -> None:
        order = Order(Scope.NUMBER, NUMBER, code=480, paused=paused)
        decision = decide(a_call(), a_house(route(*self.RULES)), NOW, Controls((order,)))
        assert told(decision.trace)[-1] == ("controls", True, because)
        assert "713481" not in repr(decision)

    def test_an_order_for_an_agent_means_that_tenants_agent(self) -> None:
        table = a_house(
            route(rule("reception", closed()), tenant=ACME),
            route(rule("night"), key="default"),
            tenants=[tenant(), tenant(ACME)],
        )
        for name, expected in (("default/night", "480 rule"), ("acme/night", "night")):
            controls = Controls((Order(Scope.AGENT, name, code=480),))
            assert short(decide(a_call(), table, NOW, controls)) == expected


class TestForward:
    @pytest.mark.parametrize(
        ("to", "trunk", "expected"),
        [
            (DESK, None, f"tel:{DESK}"),
            ("+1 (713) 555-0100", None, f"tel:{DESK}"),
            (DESK, "telnyx", f"sip:{DESK}@sip.telnyx.com"),
            (f"tel:{DESK}", "telnyx", f"tel:{DESK}"),
            ("sip:desk@pbx.example", "telnyx", "sip:desk@pbx.example"),
            ("SIPS:desk@pbx.example:5061;transport=tls", None, None),
            ("sip:%23desk@[2001:db8::1]:5060;user=phone", None, None),
            (Rendered(lambda facts: facts.vars["phone"]), None, "tel:+17135550199"),
            (
                Rendered(lambda facts: f"sip:{facts.vars['phone']}@pbx"),
                None,
                "sip:+17135550199@pbx",
            ),
        ],
    )
    def test_a_number_takes_the_form_of_the_calls_line_and_a_uri_stays(
        self, to: Text, trunk: str | None, expected: str | None
    ) -> None:
        forwarding = route(rule(">desk"), vars={"phone": "+1 713 555 0199"}, trunk=trunk)
        if isinstance(to, Rendered):
            forwarding = route(rule(">desk"), vars={"phone": "+17135550199"})
        table = a_house(forwarding, tenants=[tenant(desk=to)], trunks=[TELNYX])
        assert short(decide(a_call(), table, NOW)) == (expected or to)

    @pytest.mark.parametrize(
        "to",
        [
            "",
            "desk",
            "0199",
            "tel:",
            "tel:0199",
            "tel:+17135550199;phone-context=+1",
            "sip:desk",
            "sip:desk@pbx?Replaces=x",
            "sip:desk@pbx;method=BYE",
            "sip:desk@pbx;METHOD=INVITE",
            "sip:desk@pbx\r\nX: y",
            "sip:desk@pbx\n",
            "sip:a@b@c",
            "sip:a%40b@c",
            "sip:a%0d%0ab@c",
            'sip:"a"@c',
            "sip:a@c, sip:b@c",
            "<sip:a@c>",
            "https://pbx.example",
            "sip:a b@c",
        ],
    )
    def test_what_is_no_number_and_no_plain_uri_is_sent_nowhere(self, to: str) -> None:
        table = a_house(route(rule(">desk")), tenants=[tenant(desk=Rendered(lambda _: to))])
        decision = decide(a_call(), table, NOW)
        assert short(decision) == "503 internal_error"
        source, held, because = told(decision.trace)[-1]
        assert (source, held) == ("destinations", False)
        assert "no telephone number" in because

    def test_the_plan_of_a_forward_is_silent(self) -> None:
        table = a_house(route(rule(">desk"), trunk=TELNYX.name), trunks=[TELNYX])
        decision = decide(a_call(), table, NOW)
        plan = plan_of(decision)
        assert plan.session == {**SILENT, "model": "model-of-default"}
        assert (plan.agent, plan.greeting, plan.trunk) == (None, None, "telnyx")
        assert isinstance(decision.verdict, Forward)
        assert decision.verdict.destination == "desk"
        (cap,) = decision.caps
        assert (cap.which, cap.key, cap.rate) == ("forwards", "forwards:default", Rate(60, 3600.0))
        assert "713555" not in repr(decision)

    def test_a_forward_by_a_line_that_cannot_sign_has_both_caps(self) -> None:
        wavix = Trunk(TrunkName("wavix"), per_caller=Rate(3, 600.0))
        table = a_house(route(rule(">desk")), trunks=[wavix])
        caps = decide(a_call(caller("+14067704205"), trunk="wavix"), table, NOW).caps
        assert [cap.which for cap in caps] == ["per_caller", "forwards"]

    def test_the_destination_of_defaults_rule_is_that_of_its_tenant(self) -> None:
        table = a_house(
            route(rule("reception", closed()), tenant=ACME),
            route(rule(">desk"), key="default"),
            tenants=[tenant(desk=DESK), tenant(ACME, desk="+17135550999")],
        )
        decision = decide(a_call(), table, NOW)
        assert short(decision) == f"tel:{DESK}"
        assert plan_of(decision).tenant == DEFAULT_TENANT
        assert decision.caps[0].key == "forwards:default"

    def test_no_caller_chooses_where_a_call_is_sent(self) -> None:
        seen: list[CallFacts] = []

        def look(facts: CallFacts) -> str:
            seen.append(facts)
            return DESK

        table = a_house(
            route(rule(">desk"), key="+1713*", trunk=TELNYX.name, vars={"store": "7"}),
            tenants=[tenant(desk=Rendered(look))],
            trunks=[TELNYX],
        )
        call = a_call(caller("+14067704205"), ("X-Store", "+19005550000"), trunk="telnyx")
        assert short(decide(call, table, NOW)) == f"sip:{DESK}@sip.telnyx.com"
        (facts,) = seen
        assert (facts.caller.e164, facts.caller.name, dict(facts.headers)) == (None, None, {})
        # Behind a prefix the caller chooses the number.
        assert (facts.dialed, facts.number.e164) == (None, None)
        assert facts.vars == {"store": "7"}


class TestRendering:
    @staticmethod
    def plan(edition: Edition, *more: Edition, call: Any = None, **route_more: Any) -> CallPlan:
        profile = AgentProfile(
            AgentName("reception"),
            DEFAULT_TENANT,
            (edition, *more),
            {"store": "Acme", "city": "Houston"},
        )
        action = AnswerWith(AgentName("reception"), vars=(("offer", "rule's"),))
        table = a_house(route(rule(action), **route_more), profiles=(profile,), trunks=[TELNYX])
        return plan_of(decide(call or a_call(), table, NOW))

    @staticmethod
    def text(what: Callable[[CallFacts], str]) -> Rendered:
        return Rendered(what)

    def test_a_plain_edition_is_taken_as_it_is(self) -> None:
        plan = self.plan(Edition(None, SILENT))
        assert plan.session is SILENT
        assert (plan.greeting, plan.language, plan.tenant) == (None, None, DEFAULT_TENANT)

    def test_instructions_are_rendered_for_the_call(self) -> None:
        edition = Edition("en", SILENT, self.text(lambda facts: f"You are {facts.vars['store']}."))
        plan = self.plan(edition)
        assert plan.session == {**SILENT, "instructions": "You are Acme."}
        assert "instructions" not in SILENT

    def test_the_numbers_values_come_before_the_agents_and_the_rules_before_all(self) -> None:
        edition = Edition(
            None, SILENT, greeting=self.text(lambda facts: " ".join(facts.vars.values()))
        )
        plan = self.plan(edition, vars={"city": "Dallas", "offer": "number's"})
        assert plan.greeting == Greeting("Acme Dallas rule's")

    @pytest.mark.parametrize(
        ("language", "said"),
        [(None, "Hello."), ("en", "Hello."), ("es", "Hola."), ("fr", "Hello.")],
    )
    def test_the_numbers_language_chooses_the_edition(
        self, language: str | None, said: str
    ) -> None:
        english = Edition("en", SILENT, greeting="Hello.")
        spanish = Edition("es", SILENT, greeting="Hola.")
        plan = self.plan(english, spanish, language=language)
        assert plan.greeting == Greeting(said)
        assert plan.language == ("es" if said == "Hola." else "en")

    @pytest.mark.parametrize(
        ("disclosure", "greeting", "interruptible", "expected"),
        [
            (None, "Hello.", True, Greeting("Hello.", interruptible=True)),
            (None, "Hello.", False, Greeting("Hello.", interruptible=False)),
            ("A machine speaks.", "Hello.", True, Greeting("A machine speaks. Hello.", False)),
            ("A machine speaks.", None, True, Greeting("A machine speaks.", False)),
            (
                Rendered(lambda facts: f" {facts.vars['store']}'s machine. "),
                "Hello.",
                True,
                Greeting("Acme's machine. Hello.", False),
            ),
            (None, Rendered(lambda _: " "), True, None),
            (None, None, True, None),
        ],
    )
    def test_the_disclosure_comes_first_and_is_heard_to_its_end(
        self,
        disclosure: Text | None,
        greeting: Text | None,
        interruptible: bool,
        expected: Greeting | None,
    ) -> None:
        edition = Edition(
            None,
            SILENT,
            greeting=greeting,
            interruptible=interruptible,
            disclosure=disclosure,
        )
        assert self.plan(edition).greeting == expected

    def test_a_template_reads_the_call_and_only_the_exposed_headers(self) -> None:
        seen: list[CallFacts] = []

        def look(facts: CallFacts) -> str:
            seen.append(facts)
            return "Hello."

        call = a_call(
            ("From", '"Ann" <sip:+14067704205@x>'),
            ("X-Store", "7"),
            ("X-Store", "8"),
            ("X-Other", "hidden"),
            trunk="telnyx",
        )
        self.plan(Edition("en", SILENT, greeting=self.text(look)), call=call, hours="office")
        (facts,) = seen
        assert facts.caller.e164 is not None
        assert (facts.caller.e164.value, facts.dialed) == ("+14067704205", NUMBER)
        assert not facts.caller.anonymous
        assert facts.caller.name is not None
        assert {name: value.value for name, value in facts.headers.items()} == {"x-store": "7"}
        assert (facts.agent, facts.tenant, facts.language) == ("reception", "default", "en")
        assert (facts.number.timezone, facts.number.hours) == ("America/Chicago", "office")
        assert facts.now.hour == 8
        assert "4067704205" not in repr(facts)

    def test_hours_are_read_when_a_template_asks(self) -> None:
        schedule = FakeSchedule()
        profile = AgentProfile(
            AgentName("reception"),
            DEFAULT_TENANT,
            (
                Edition(
                    None,
                    SILENT,
                    greeting=Rendered(
                        lambda facts: (
                            f"{facts.hours['office'].open} {facts.hours['office'].opens:%H:%M}"
                            f" {facts.hours['office'].closes:%H:%M}"
                        )
                    ),
                ),
            ),
        )
        table = a_house(
            route(rule("reception")),
            profiles=(profile,),
            tenants=[tenant(hours={"office": schedule})],
        )
        assert plan_of(decide(a_call(), table, NOW)).greeting == Greeting("False 09:00 08:53")

    @pytest.mark.parametrize("where", ["instructions", "greeting", "disclosure"])
    def test_a_text_that_cannot_be_rendered_rejects_the_call(self, where: str) -> None:
        edition = dataclasses.replace(Edition(None, SILENT), **{where: Broken()})
        profile = AgentProfile(AgentName("reception"), DEFAULT_TENANT, (edition,))
        decision = decide(a_call(), a_house(route(rule("reception")), profiles=(profile,)), NOW)
        assert short(decision) == "503 internal_error"
        assert told(decision.trace)[-1] == ("agents", False, "vars.store is undefined")

    def test_a_destination_that_cannot_be_rendered_rejects_the_call(self) -> None:
        table = a_house(route(rule(">desk")), tenants=[tenant(desk=Broken())])
        assert short(decide(a_call(), table, NOW)) == "503 internal_error"

    def test_an_agent_of_defaults_rule_answers_as_its_own_tenant(self) -> None:
        table = a_house(
            route(rule("reception", closed()), tenant=ACME),
            route(rule("night"), key="default"),
            tenants=[tenant(), tenant(ACME)],
        )
        assert plan_of(decide(a_call(), table, NOW)).tenant == DEFAULT_TENANT


def test_an_account_that_is_not_in_the_file_has_no_numbers() -> None:
    table = a_house(route(rule("reception")))
    call = dataclasses.replace(a_call(), account="elsewhere")
    assert decide(call, table, NOW).verdict == Reject(404, Reason.UNKNOWN_NUMBER, DEFAULT_TENANT)


def test_a_number_of_a_tenant_without_a_zone_is_read_in_utc() -> None:
    schedule = FakeSchedule()
    rules = (rule(480, DuringHours("office", schedule)), rule(486))
    table = a_table([route(*rules, tenant=TenantName("unknown"))])
    assert short(decide(a_call(), table, NOW)) == "480 rule"
    assert schedule.asked[0].hour == 13


class TestUnprovenTrunks:
    A = Trunk(TrunkName("a"), attestation_header="x-verstat", per_caller=Rate(9, 60.0))
    B = Trunk(TrunkName("b"), per_caller=Rate(3, 600.0))
    SIGNED = Trunk(TrunkName("s"), secret_header="x-key", per_caller=Rate(1, 600.0))

    def test_a_call_by_none_of_them_has_the_strictest_cap(self) -> None:
        table = a_house(route(rule("reception")), trunks=[self.SIGNED, self.A, self.B])
        (cap,) = decide(a_call(caller("+14067704205")), table, NOW).caps
        assert (cap.key, cap.rate) == ("b:+14067704205", Rate(3, 600.0))

    def test_trunks_that_can_sign_cap_no_call_of_another(self) -> None:
        table = a_house(route(rule("reception")), trunks=[self.SIGNED])
        assert decide(a_call(), table, NOW).caps == ()

    @pytest.mark.parametrize(
        ("arrived", "expected", "attested"),
        [("a", None, True), ("a", "a", True), ("a", "b", False), (None, "a", False)],
    )
    def test_an_attestation_counts_by_the_numbers_own_trunk(
        self, arrived: str | None, expected: str | None, attested: bool
    ) -> None:
        seen: list[CallFacts] = []
        profile = a_profile("reception", greeting=Rendered(lambda f: seen.append(f) or "Hi"))
        of = None if expected is None else TrunkName(expected)
        table = a_house(
            route(rule("reception"), trunk=of), profiles=(profile,), trunks=[self.A, self.B]
        )
        verstat = ("x-verstat", "TN-Validation-Passed-A")
        decide(a_call(verstat, trunk=arrived, attestation_header="x-verstat"), table, NOW)
        assert (seen[0].caller.attestation is not None) is attested
