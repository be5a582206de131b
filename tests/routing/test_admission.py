"""Who gets through to a number: lists, withheld numbers, what the carrier says, and how often."""

from dataclasses import replace
from typing import Any

import pytest

from sipagent.model import (
    DEFAULT_TENANT,
    Accept,
    AgentName,
    AttestationRule,
    Decision,
    Forward,
    IncomingCall,
    Quota,
    QuotaScope,
    Rate,
    Reject,
    TraceStep,
    TrunkName,
)
from sipagent.routing import (
    CallerList,
    Callers,
    Order,
    Route,
    RoutingTable,
    Scope,
    Trunk,
    decide,
)
from sipagent.routing.controls import ordered
from sipagent.testing import a_profile, a_table
from tests.routing.support import NOW, NUMBER, a_call, caller, route, rule
from tests.routing.test_plans import DESK, short, tenant

MONTANA = "+14067704205"
TEXAS = "+17135550199"
WITHHELD = ("From", '"Anonymous" <sip:anonymous@anonymous.invalid>')
SCREENER = AgentName("screener")


TWILIO = Trunk(
    TrunkName("twilio"),
    secret_header="x-key",
    attestation_header="x-twilio-verstat",
)


def listed(*patterns: str) -> CallerList:
    return CallerList.of(patterns)


def callers(name: str = "numbers", **more: Any) -> Callers:
    return Callers(name, **more)


def a_house(
    *own: Callers,
    everywhere: Callers | None = None,
    tenants: Callers | None = None,
    action: Any = "reception",
    attestation: AttestationRule | None = None,
    screeners: AttestationRule | None = None,
    **more: Any,
) -> RoutingTable:
    profiles = [
        replace(a_profile("reception"), attestation=attestation),
        replace(a_profile("screener"), attestation=screeners),
    ]
    line = route(rule(action), callers=own, **more)
    table = a_table(
        [line], profiles, tenants=[replace(tenant(desk=DESK), callers=tenants)], trunks=[TWILIO]
    )
    return replace(table, callers=everywhere)


def decided(table: RoutingTable, *headers: tuple[str, str], **more: Any) -> Decision:
    return decide(a_call(*headers, **more), table, NOW)


def said(decision: Decision) -> list[tuple[str, bool, str]]:
    return [
        (step.considered, step.held, step.because)
        for step in decision.trace
        if step.source == "callers"
    ]


class TestLists:
    @pytest.mark.parametrize(
        ("patterns", "number", "expected"),
        [
            ((MONTANA,), MONTANA, True),
            ((MONTANA,), TEXAS, False),
            (("+1406*",), MONTANA, True),
            (("+1406*", "+44*"), "+442079460000", True),
            (("+1406*",), "+14", False),
            (("*",), TEXAS, True),
            (("anonymous",), None, True),
            (("+1406*", MONTANA, "*"), None, False),
            (("anonymous",), MONTANA, False),
            ((), MONTANA, False),
        ],
    )
    def test_who_is_in_a_list(
        self, patterns: tuple[str, ...], number: str | None, expected: bool
    ) -> None:
        assert listed(*patterns).has(number) is expected

    def test_a_list_is_named_by_what_is_in_it(self) -> None:
        assert listed(MONTANA, "+44*").digest == listed("+44*", MONTANA).digest
        assert listed(MONTANA).digest != listed(MONTANA + "*").digest
        assert len(listed(MONTANA, "+44*", "anonymous")) == 3

    def test_no_number_of_a_list_is_printed(self) -> None:
        assert "406770" not in repr(listed(MONTANA))

    def test_a_long_list_asks_no_more_of_a_call_than_a_short_one(self) -> None:
        """Counted in look-ups, which no machine's load changes."""
        looked: list[object] = []

        class Counting(frozenset[str]):
            def __contains__(self, item: object) -> bool:
                looked.append(item)
                return super().__contains__(item)

        many = listed(*(f"+1{number}" for number in range(2_000_000_000, 2_000_050_000)), "+44*")
        counted = replace(many, numbers=Counting(many.numbers), prefixes=Counting(many.prefixes))
        assert not counted.has(MONTANA)
        assert len(looked) == 2


class TestRefusals:
    @pytest.mark.parametrize(
        ("policy", "number", "expected"),
        [
            ({"deny": listed("+1406*")}, MONTANA, "603 rule"),
            ({"deny": listed("+1406*")}, TEXAS, "reception"),
            ({"deny": listed("+1406*"), "code": 607}, MONTANA, "607 rule"),
            ({"allow": listed("+1406*")}, MONTANA, "reception"),
            ({"allow": listed("+1406*")}, TEXAS, "603 rule"),
            ({"allow": listed("+1*"), "deny": listed("+1406*")}, MONTANA, "603 rule"),
            ({"allow": listed("+1*"), "deny": listed("+1406*")}, TEXAS, "reception"),
            ({"withheld": 433}, MONTANA, "reception"),
            ({"withheld": 433}, None, "433 rule"),
            ({"deny": listed("anonymous")}, None, "603 rule"),
            ({"deny": listed("+1*")}, None, "reception"),
            ({"allow": listed("+1*")}, None, "603 rule"),
            ({"allow": listed("+1*", "anonymous")}, None, "reception"),
            ({}, None, "reception"),
        ],
    )
    def test_what_a_caller_gets(
        self, policy: dict[str, Any], number: str | None, expected: str
    ) -> None:
        table = a_house(callers(**policy))
        header = WITHHELD if number is None else caller(number)
        assert short(decided(table, header)) == expected

    @pytest.mark.parametrize("place", ["everywhere", "tenants", "own"])
    def test_no_narrower_place_lifts_what_a_wider_one_refuses(self, place: str) -> None:
        refusing = callers(place, deny=listed(MONTANA))
        letting = callers("letting", allow=listed(MONTANA))
        table = {
            "everywhere": a_house(letting, everywhere=refusing, tenants=letting),
            "tenants": a_house(letting, everywhere=letting, tenants=refusing),
            "own": a_house(letting, refusing, everywhere=letting, tenants=letting),
        }[place]
        decision = decided(table, caller(MONTANA))
        assert short(decision) == "603 rule"
        assert said(decision)[-1] == (place, True, "the caller is one of deny")

    def test_each_place_is_told(self) -> None:
        table = a_house(
            callers("number", deny=listed(TEXAS)),
            everywhere=callers("everywhere", deny=listed("+44*")),
        )
        assert said(decided(table, caller(MONTANA))) == [
            ("everywhere", False, "the caller is not refused"),
            ("number", False, "the caller is not refused"),
        ]

    def test_a_call_that_is_sent_on_must_get_through_as_well(self) -> None:
        table = a_house(callers(deny=listed(MONTANA)), action=">desk")
        assert short(decided(table, caller(MONTANA))) == "603 rule"
        assert short(decided(table, caller(TEXAS))) == f"tel:{DESK}"

    def test_a_number_that_rejects_its_calls_says_so_itself(self) -> None:
        table = a_house(callers(deny=listed(MONTANA)), action=486)
        decision = decided(table, caller(MONTANA))
        assert (short(decision), said(decision)) == ("486 rule", [])

    def test_an_order_of_the_operators_takes_every_call(self) -> None:
        table = a_house(callers(deny=listed(MONTANA)))
        controls = ordered((Order(Scope.ALL, to="desk"),))  # type: ignore[arg-type]  # a name
        assert short(decide(a_call(caller(MONTANA)), table, NOW, controls)) == f"tel:{DESK}"

    def test_nothing_is_rendered_for_a_caller_who_is_refused(self) -> None:
        table = a_house(callers(deny=listed(MONTANA)))
        broken = replace(table, agents={})
        assert short(decided(broken, caller(MONTANA))) == "603 rule"

    def test_nothing_is_told_where_nothing_is_configured(self) -> None:
        decision = decided(a_house(), caller(MONTANA))
        assert (short(decision), said(decision)) == ("reception", [])

    def test_a_trace_holds_no_caller(self) -> None:
        table = a_house(callers(deny=listed(MONTANA)))
        assert not any(MONTANA in step.because for step in decided(table, caller(MONTANA)).trace)


VERSTATS = {
    "TN-Validation-Passed-A": 3,
    "TN-Validation-Passed-B": 2,
    "TN-Validation-Passed-C": 1,
    "TN-Validation-Failed-A": 0,
    "TN-Validation-Failed": 0,
    "No-TN-Validation": 0,
    "No-TN-Validation-A": 0,
    "": 0,
}
WORTH = {"A": 3, "B": 2, "C": 1}


def a_signed_call(verstat: str, *, proven: bool = True, trunk: str = "twilio") -> IncomingCall:
    headers = [("X-Twilio-VerStat", verstat)] if verstat else []
    return a_call(
        caller(MONTANA),
        *headers,
        trunk=trunk,
        verified=proven,
        attestation_header="x-twilio-verstat",
    )


class TestAttestation:
    @pytest.mark.parametrize("least", ["A", "B", "C"])
    @pytest.mark.parametrize("verstat", VERSTATS)
    def test_the_level_that_is_wanted(self, least: Any, verstat: str) -> None:
        table = a_house(callers(attestation=AttestationRule(least)))
        good = VERSTATS[verstat] >= WORTH[least]
        call = a_signed_call(verstat)
        assert short(decide(call, table, NOW)) == ("reception" if good else "603 rule")

    @pytest.mark.parametrize("proven", [True, False])
    def test_only_a_trunk_that_is_proven_vouches_for_anybody(self, proven: bool) -> None:
        table = a_house(attestation=AttestationRule("C"))
        if not proven:
            table = replace(table, trunks={TWILIO.name: replace(TWILIO, secret_header=None)})
        decision = decide(a_signed_call("TN-Validation-Passed-A", proven=proven), table, NOW)
        assert short(decision) == ("reception" if proven else "603 rule")

    def test_a_trunk_that_is_not_the_numbers_vouches_for_nobody(self) -> None:
        table = a_house(attestation=AttestationRule("C"), trunk="wavix")
        call = a_signed_call("TN-Validation-Passed-A")
        assert short(decide(call, table, NOW)) == "603 rule"

    @pytest.mark.parametrize(
        ("header", "value", "least", "expected"),
        [
            ("x-plivo-stir-verification", "Verified", "C", "reception"),
            ("x-plivo-stir-verification", "Verified", "B", "603 rule"),
            ("x-plivo-stir-verification", "Not Verified", "C", "603 rule"),
            ("x-plivo-stir-verification", "Not Applicable", "C", "603 rule"),
            ("p-attestation-indicator", "B", "B", "reception"),
            ("p-attestation-indicator", "C", "B", "603 rule"),
        ],
    )
    def test_each_carriers_own_words(
        self, header: str, value: str, least: Any, expected: str
    ) -> None:
        table = a_house(attestation=AttestationRule(least))
        call = a_call((header, value), trunk="twilio", verified=True, attestation_header=header)
        assert short(decide(call, table, NOW)) == expected

    @pytest.mark.parametrize(
        ("parameter", "expected"),
        [
            ("TN-Validation-Passed", "reception"),
            ("TN-Validation-Passed-B", "603 rule"),
            ("TN-Validation-Passed-C", "603 rule"),
            ("TN-Validation-Failed", "603 rule"),
            ("No-TN-Validation", "603 rule"),
        ],
    )
    def test_telnyx_writes_it_beside_the_number(self, parameter: str, expected: str) -> None:
        table = a_house(attestation=AttestationRule("A"))
        value = f"<sip:{MONTANA}@sip.telnyx.com;verstat={parameter}>"
        call = a_call(
            ("P-Asserted-Identity", value),
            trunk="twilio",
            verified=True,
            attestation_header="p-asserted-identity",
        )
        assert short(decide(call, table, NOW)) == expected

    def test_another_header_than_the_trunks_says_nothing(self) -> None:
        table = a_house(attestation=AttestationRule("C"))
        call = a_call(
            ("P-Attestation-Indicator", "A"),
            ("From", f"<sip:{MONTANA};verstat=TN-Validation-Passed-A@x>"),
            trunk="twilio",
            verified=True,
            attestation_header="x-twilio-verstat",
        )
        assert short(decide(call, table, NOW)) == "603 rule"

    def test_a_flagged_caller_is_answered_and_the_trace_says_it(self) -> None:
        table = a_house(attestation=AttestationRule("A", otherwise="flag"))
        decision = decide(a_signed_call("TN-Validation-Passed-C"), table, NOW)
        assert short(decision) == "reception"
        assert said(decision) == [
            (
                "default/reception: attestation",
                False,
                "the number is attested C, A is wanted: flagged",
            )
        ]

    @pytest.mark.parametrize("place", ["tenants", "own", "agent"])
    def test_somebody_else_answers_a_caller_of_whom_too_little_is_said(self, place: str) -> None:
        wanted = AttestationRule("A", agent=SCREENER)
        table = {
            "tenants": a_house(tenants=callers(attestation=wanted)),
            "own": a_house(callers(attestation=wanted)),
            "agent": a_house(attestation=wanted),
        }[place]
        assert short(decide(a_signed_call("TN-Validation-Passed-A"), table, NOW)) == "reception"
        assert short(decide(a_signed_call("TN-Validation-Passed-B"), table, NOW)) == "screener"

    def test_who_answers_instead_has_a_rule_of_its_own(self) -> None:
        table = a_house(
            callers(attestation=AttestationRule("A", agent=SCREENER)),
            screeners=AttestationRule("C", code=607),
        )
        assert short(decide(a_signed_call("TN-Validation-Passed-B"), table, NOW)) == "screener"
        assert short(decide(a_signed_call("No-TN-Validation"), table, NOW)) == "607 rule"

    def test_agents_that_name_each_other_answer_nobody(self) -> None:
        table = a_house(
            attestation=AttestationRule("A", agent=SCREENER),
            screeners=AttestationRule("A", agent=AgentName("reception")),
        )
        decision = decide(a_signed_call("No-TN-Validation"), table, NOW)
        assert short(decision) == "603 rule"
        assert said(decision)[-1] == ("default/reception", True, "the agents name each other")

    def test_an_order_about_who_answers_instead_is_followed(self) -> None:
        table = a_house(attestation=AttestationRule("A", agent=SCREENER))
        controls = ordered((Order(Scope.AGENT, "default/screener", code=480),))
        call = a_signed_call("No-TN-Validation")
        assert short(decide(call, table, NOW, controls)) == "480 rule"

    def test_a_caller_list_comes_first(self) -> None:
        table = a_house(
            callers(deny=listed(MONTANA), attestation=AttestationRule("A", otherwise="flag"))
        )
        assert short(decide(a_signed_call("TN-Validation-Passed-A"), table, NOW)) == "603 rule"


class TestCaps:
    def test_each_place_counts_a_caller_for_itself(self) -> None:
        table = a_house(
            callers("numbers.a", per_caller=Rate(3, 600.0)),
            everywhere=callers("defaults", per_caller=Rate(30, 3600.0)),
            tenants=callers("tenants.default", per_caller=Rate(5, 60.0)),
        )
        caps = decided(table, caller(MONTANA)).caps
        assert [(cap.which, cap.key, cap.rate.count) for cap in caps] == [
            ("per_caller", f"defaults:{MONTANA}", 30),
            ("per_caller", f"tenants.default:{MONTANA}", 5),
            ("per_caller", f"numbers.a:{MONTANA}", 3),
        ]
        assert decided(table, WITHHELD).caps[-1].key == "numbers.a:anonymous"

    def test_a_caller_who_is_refused_counts_for_nothing(self) -> None:
        table = a_house(callers(per_caller=Rate(3, 600.0), deny=listed(MONTANA)))
        assert decided(table, caller(MONTANA)).caps == ()

    def test_letting_a_caller_through_lifts_no_limit(self) -> None:
        """From is forged freely: who gets through is held to the same quotas as anybody."""
        quota = Quota(QuotaScope.NUMBER, NUMBER, held=2)
        letting = callers(allow=listed(MONTANA), per_caller=Rate(99, 1.0))
        open_, closed = a_house(quota=quota), a_house(letting, quota=quota)
        for header in (caller(MONTANA), caller(TEXAS)):
            before, after = decided(open_, header), decided(closed, header)
            if isinstance(after.verdict, Accept):
                assert after.quotas == before.quotas == (quota,)
                assert (after.full_code, after.spent_code) == (before.full_code, before.spent_code)
                assert set(before.caps) < set(after.caps)

    def test_an_order_of_the_operators_counts_no_caller(self) -> None:
        table = a_house(callers(per_caller=Rate(3, 600.0)))
        controls = ordered((Order(Scope.ALL, to="desk"),))  # type: ignore[arg-type]  # a name
        decision = decide(a_call(caller(MONTANA)), table, NOW, controls)
        assert isinstance(decision.verdict, Forward)
        assert decision.caps == ()


def test_who_gets_through_is_asked_where_the_number_stands_and_not_where_the_rule_does() -> None:
    """The rules of `default` decide about a number that has none; its callers are its own."""
    line = Route(NUMBER, DEFAULT_TENANT, (), callers=(callers(deny=listed(MONTANA)),))
    default = Route("default", DEFAULT_TENANT, (rule("reception"),))
    table = a_table([line, default], [a_profile("reception")], tenants=[tenant()])
    decision = decided(table, caller(MONTANA))
    assert isinstance(decision.verdict, Reject)
    assert TraceStep("callers", "numbers", True, "the caller is one of deny") in decision.trace
