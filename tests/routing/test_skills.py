"""What a plan says that its agent can do, and where it may send the call."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sipagent.engine.claims import decision_from_json, decision_to_json
from sipagent.errors import SecretError, TemplateError
from sipagent.model import (
    DEFAULT_TENANT,
    Accept,
    AgentName,
    AgentProfile,
    CallFacts,
    CallPlan,
    CollectDigits,
    Decision,
    Destination,
    DestinationName,
    Edition,
    HttpRequest,
    McpServer,
    Rate,
    Requirement,
    SecretName,
    Silence,
    SwitchAgent,
    TenantName,
    Tongue,
    Tool,
    ToolName,
    ToolTemplate,
    TransferTo,
    TrunkName,
)
from sipagent.model import builtin as built_in
from sipagent.model.secret import secret_mark, with_secrets
from sipagent.routing import Route, RoutingTable, TenantProfile, Trunk, decide
from sipagent.testing import a_profile, a_table
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
)

DESK, NIGHT, LATE = map(DestinationName, ("desk", "night", "late"))
OPEN = Trunk(TrunkName("open"), per_caller=Rate(3, 600.0))
SIGNED = Trunk(TrunkName("signed"), secret_header="x-key", refer="sip:{e164}@sip.example.com")


def place(name: DestinationName, to: Any = "+17135550100", **more: Any) -> Destination:
    return Destination(name, DEFAULT_TENANT, to, **more)


def house(*places: Destination, hours: dict[str, Any] | None = None, **more: Any) -> TenantProfile:
    found = {each.name: each for each in places}
    return TenantProfile(
        DEFAULT_TENANT, ACCOUNT, "America/Chicago", hours or {}, destinations=found, **more
    )


def able(*tools: Tool | ToolTemplate, name: str = "reception", **more: Any) -> AgentProfile:
    """An agent with these tools, as its session offers them."""
    templates = tuple(
        each if isinstance(each, ToolTemplate) else ToolTemplate(each) for each in tools
    )
    offers = [built_in.offer(each.tool) for each in templates]
    profile = a_profile(name, tools=offers) if offers else a_profile(name)
    return replace(profile, tools=templates, **more)


def sending(*names: DestinationName) -> Tool:
    return built_in.transfer(dict.fromkeys(names))


def switching(*names: str) -> Tool:
    return built_in.switch_agent(tuple(map(AgentName, names)))


def table_of(
    tenant: TenantProfile, *profiles: AgentProfile, numbers: Route | None = None
) -> RoutingTable:
    routes = [numbers or route(rule("reception"))]
    return a_table(routes, profiles, tenants=[tenant], trunks=[SIGNED, OPEN])


def planned(tenant: TenantProfile, *profiles: AgentProfile, **call: Any) -> CallPlan:
    numbers = call.pop("numbers", None)
    table = table_of(tenant, *profiles, numbers=numbers)
    return accepted(decide(a_call(caller("+12025550123"), **call), table, NOW))


def accepted(decision: Decision) -> CallPlan:
    assert isinstance(decision.verdict, Accept), decision
    return decision.verdict.plan


def offered(call: CallPlan) -> list[str]:
    return [tool.get("name", tool.get("server_label")) for tool in call.session.get("tools", ())]


class TestTools:
    def test_what_is_the_same_in_all_calls_is_passed_on(self) -> None:
        profile = able(built_in.hang_up(), sending(DESK), built_in.wait())
        call = planned(house(place(DESK)), profile)
        edition = profile.edition(None)
        assert call.session is edition.session
        assert all(
            mine is theirs.tool
            for mine, theirs in zip(call.skills.tools, profile.tools, strict=True)
        )

    def test_a_destination_that_cannot_be_made_is_not_offered(self) -> None:
        profile = able(built_in.hang_up(), sending(DESK, NIGHT))
        call = planned(house(place(DESK), place(NIGHT, Broken())), profile)
        tool = call.skills.tools[1]
        assert tool.does == TransferTo((DESK,))
        assert tool.parameters["properties"]["destination"]["enum"] == ["desk"]
        assert call.session["tools"][1]["parameters"] == tool.parameters
        assert [way.destination for way in call.ways.destinations] == [DESK]

    def test_a_transfer_to_nowhere_is_no_tool(self) -> None:
        profile = able(built_in.hang_up(), sending(NIGHT))
        profile = replace(
            profile,
            keys={"0": NIGHT},
            editions=(
                replace(
                    profile.edition(None), fallback_session=dict(profile.edition(None).session)
                ),
            ),
        )
        call = planned(house(place(NIGHT, Broken())), profile)
        assert [tool.name for tool in call.skills.tools] == ["hang_up"]
        assert offered(call) == ["hang_up"]
        assert call.fallback_session is not None
        assert call.fallback_session["tools"] == call.session["tools"]
        assert call.skills.keys == {}
        assert call.ways.destinations == ()

    def test_a_request_is_made_of_the_calls_facts(self) -> None:
        does = HttpRequest("POST", "https://a.example", {"A": "b"}, bind={"c": "d"})
        template = ToolTemplate(
            Tool(ToolName("x"), does, "x", {"type": "object"}),
            {"who": Rendered(lambda facts: str(facts.caller.e164 and facts.caller.e164.value))},
            {"X-Number": Rendered(lambda facts: f"{facts.dialed} {facts.caller.e164}")},
        )
        made = planned(house(), able(template)).skills.tools[0].does
        assert isinstance(made, HttpRequest)
        assert made.bind == {"c": "d", "who": "+12025550123"}
        # A header has nothing of a caller's, and the number is the one that is listed.
        assert made.headers == {"A": "b", "X-Number": f"{NUMBER} None"}

    @pytest.mark.parametrize("template", [Broken(), Rendered(lambda _: "a\r\nX: y")])
    def test_a_request_that_cannot_be_made_is_not_offered(self, template: Any) -> None:
        does = HttpRequest("POST", "https://a.example")
        tool = Tool(ToolName("x"), does, "x", {"type": "object"})
        profile = able(built_in.hang_up(), ToolTemplate(tool, headers={"A": template}))
        call = planned(house(), profile)
        assert offered(call) == ["hang_up"]
        assert [tool.name for tool in call.skills.tools] == ["hang_up"]

    @pytest.mark.parametrize(
        ("value", "pin"), [("1234", "1234"), ("12 34", "1234"), ("", None), ("१२३४", None)]
    )
    def test_a_pin_is_the_numbers(self, value: str, pin: str | None) -> None:
        tool = Tool(
            ToolName("x"),
            HttpRequest("POST", "https://a.example"),
            "x",
            {"type": "object"},
            requires=Requirement("B"),
        )
        numbers = route(rule("reception"), vars={"code": value})
        call = planned(house(), able(ToolTemplate(tool, pin="code")), numbers=numbers)
        found = [each.requires for each in call.skills.tools]
        assert found == ([] if pin is None else [Requirement("B", pin)])

    def test_servers_of_the_providers_stay_offered(self) -> None:
        profile = able(sending(NIGHT), servers=(McpServer("crm"),))
        session = dict(profile.edition(None).session)
        hosted = {"type": "mcp", "server_label": "crm", "server_url": "https://m.example"}
        session["tools"] = [*session["tools"], hosted]
        edition = replace(profile.edition(None), session=session)
        call = planned(house(place(NIGHT, Broken())), replace(profile, editions=(edition,)))
        assert call.session["tools"] == [hosted]
        assert call.skills.servers == (McpServer("crm"),)


class TestWays:
    def test_all_that_may_follow_is_there_once(self) -> None:
        tenant = house(
            place(DESK, on_failure=("night", "resume")),
            place(NIGHT, "+17135550101", on_failure=("late", "desk", "take_message")),
            place(LATE, "+17135550102"),
            place(DestinationName("other"), "+17135550103"),
        )
        call = planned(tenant, able(sending(DESK), keys={"#": LATE}))
        assert [way.destination for way in call.ways.destinations] == [DESK, LATE, NIGHT]
        assert call.ways.destinations[2].on_failure == ("late", "desk", "take_message")
        assert call.ways.cap is not None
        assert (call.ways.cap.which, call.ways.cap.rate) == ("forwards", tenant.forwards)

    def test_what_cannot_follow_is_left_out(self) -> None:
        tenant = house(place(DESK, on_failure=("night", "resume")), place(NIGHT, Broken()))
        (way,) = planned(tenant, able(sending(DESK))).ways.destinations
        assert way.on_failure == ("resume",)

    def test_an_agent_that_sends_nowhere_has_none(self) -> None:
        call = planned(house(place(DESK)), able(built_in.hang_up()))
        assert call.ways.destinations == ()
        assert call.ways.cap is None

    def test_a_number_has_the_form_of_the_calls_trunk(self) -> None:
        numbers = route(rule("reception"), trunk=SIGNED.name)
        call = planned(
            house(place(DESK)),
            able(sending(DESK)),
            numbers=numbers,
            trunk="signed",
            verified=True,
        )
        assert call.ways.destinations[0].refer_to == "sip:+17135550100@sip.example.com"

    @pytest.mark.parametrize(
        ("schedule", "spans"),
        [
            # The call comes at 8:53:20 in Chicago, and is looked ahead for 65 minutes.
            (FakeSchedule(8, 17), ((0.0, 3900.0),)),
            (FakeSchedule(9, 17), ((400.0, 3900.0),)),
            (FakeSchedule(11, 17), ()),
            (FakeSchedule(8, 9), ((0.0, 400.0),)),
            (FakeSchedule(9, 9), ()),
        ],
    )
    def test_hours_are_looked_up_once(self, schedule: Any, spans: Any) -> None:
        tenant = house(place(DESK, hours="office"), hours={"office": schedule})
        (way,) = planned(tenant, able(sending(DESK))).ways.destinations
        assert way.open == spans

    def test_hours_by_a_template(self) -> None:
        hours = Rendered(lambda facts: str(facts.number.hours))
        tenant = house(place(DESK, hours=hours), hours={"office": FakeSchedule(8, 9)})
        for name, expected in (("office", [DESK]), ("others", [])):
            numbers = route(rule("reception"), hours=name)
            call = planned(tenant, able(sending(DESK)), numbers=numbers)
            assert [way.destination for way in call.ways.destinations] == expected

    @pytest.mark.parametrize("number", ["+19005551234", "+881612345678", "sip:911@gw.example"])
    def test_no_template_leads_to_where_calls_cost(self, number: str) -> None:
        to = Rendered(lambda _: number)
        assert planned(house(place(DESK, to)), able(sending(DESK))).ways.destinations == ()
        call = planned(house(place(DESK, to, any_number=True)), able(sending(DESK)))
        assert [way.destination for way in call.ways.destinations] == [DESK]

    def test_a_caller_chooses_no_way(self) -> None:
        to = Rendered(lambda facts: f"{facts.caller.e164}{facts.headers}")
        assert planned(house(place(DESK, to)), able(sending(DESK))).ways.destinations == ()


class TestColleagues:
    def test_all_that_may_have_the_call(self) -> None:
        profiles = [
            able(switching("billing"), name="reception"),
            able(switching("orders", "reception"), sending(DESK), name="billing"),
            able(name="orders"),
            able(name="others"),
        ]
        call = planned(house(place(DESK)), *profiles)
        assert [each.agent for each in call.colleagues] == ["billing", "orders", "reception"]
        assert [way.destination for way in call.ways.destinations] == [DESK]
        assert [tool.name for tool in call.colleagues[0].skills.tools] == [
            "switch_agent",
            "transfer",
        ]

    def test_the_change_of_session_has_all_but_voice_and_model(self) -> None:
        other = able(name="billing")
        session = {
            **other.edition(None).session,
            "instructions": "Be exact.",
            "tracing": "auto",
            "audio": {"input": {"turn_detection": None}, "output": {"voice": "ash"}},
        }
        other = replace(other, editions=(replace(other.edition(None), session=session),))
        (colleague,) = planned(house(), able(switching("billing")), other).colleagues
        assert colleague.session == {
            "type": "realtime",
            "instructions": "Be exact.",
            "tools": [],
            "tool_choice": "auto",
            "audio": {
                "input": {"transcription": None, "noise_reduction": None, "turn_detection": None}
            },
        }

    def test_one_that_cannot_be_made_is_not_offered(self) -> None:
        broken = able(name="billing")
        edition = replace(broken.edition(None), instructions=Broken())
        profiles = [able(switching("billing", "orders")), able(name="orders")]
        call = planned(house(), *profiles, replace(broken, editions=(edition,)))
        assert [each.agent for each in call.colleagues] == ["orders"]
        assert call.skills.tools[0].does == SwitchAgent((AgentName("orders"),))
        assert call.session["tools"][0]["parameters"] == call.skills.tools[0].parameters

    def test_there_are_eight_at_most(self) -> None:
        ring = [
            able(switching(f"a{at + 1}"), name="reception" if at < 0 else f"a{at}")
            for at in range(-1, 20)
        ]
        assert len(planned(house(), *ring).colleagues) == 8


class TestSpeech:
    def test_what_is_asked_in_silence_is_the_calls(self) -> None:
        profile = able()
        edition = replace(
            profile.edition(None),
            silence=Silence(9.0),
            asks=Rendered(lambda facts: f" At {facts.vars['store']}?\n"),
        )
        profile = replace(profile, editions=(edition,), vars={"store": "Palm"})
        assert planned(house(), profile).skills.silence == Silence(9.0, "At Palm?")
        broken = replace(profile, editions=(replace(edition, asks=Broken()),))
        assert planned(house(), broken).skills.silence == Silence(9.0)

    def test_tongues_have_the_instructions_of_the_call(self) -> None:
        def edition(language: str, **more: Any) -> Edition:
            tongue = Tongue(language, {"type": "realtime"}, None)
            return Edition(language, {"type": "realtime", "model": "m"}, tongue=tongue, **more)

        def speaks(facts: Any) -> str:
            return f"{facts.language} at {facts.vars['store']}"

        profile = replace(
            able(),
            editions=(
                edition("en", instructions=Rendered(speaks)),
                edition("es", instructions=Rendered(speaks)),
                edition("fr", instructions=Broken()),
            ),
            vars={"store": "Palm"},
        )
        call = planned(house(), profile, numbers=route(rule("reception"), language="es"))
        assert call.session["instructions"] == "es at Palm"
        assert [(each.language, each.session["instructions"]) for each in call.skills.tongues] == [
            ("en", "en at Palm"),
            ("es", "es at Palm"),
        ]

    def test_what_must_have_been_said(self) -> None:
        edition = replace(a_profile().edition(None), disclosure=" I am\na machine. ")
        call = planned(house(), replace(able(), editions=(edition,)))
        assert call.disclosure == "I am a machine."
        assert call.greeting is not None
        assert call.greeting.say == "I am a machine. Hello."


PASSED = ("X-Att", "TN-Validation-Passed-A")


class TestAttestation:
    """S4: a carrier's word counts if it is read where that carrier writes it, and if the carrier
    has proven itself. What a caller says of itself never does."""

    @pytest.mark.parametrize(
        ("header", "where", "trunk", "verified", "of_number", "level"),
        [
            (PASSED, "x-att", "signed", True, "signed", "A"),
            (PASSED, "x-att", "signed", True, None, "A"),
            (("X-Att", "TN-Validation-Passed-B"), "x-att", "signed", True, "signed", "B"),
            (("X-Att", "TN-Validation-Passed-C"), "x-att", "signed", True, "signed", "C"),
            (PASSED, "x-att", "open", False, None, None),
            (PASSED, "x-att", "open", False, "open", None),
            (PASSED, "x-att", None, False, None, None),
            (PASSED, "x-other", "signed", True, "signed", None),
            (PASSED, "", "signed", True, "signed", None),
            (("X-Att", "TN-Validation-Failed-A"), "x-att", "signed", True, "signed", None),
            (("X-Att", "No-TN-Validation"), "x-att", "signed", True, "signed", None),
            (("X-Att", "A"), "x-att", "signed", True, "signed", "A"),
            (("X-Att", "nonsense"), "x-att", "signed", True, "signed", None),
        ],
    )
    def test_only_a_proven_verdict_counts(
        self,
        header: tuple[str, str],
        where: str,
        trunk: str | None,
        verified: bool,
        of_number: str | None,
        level: str | None,
    ) -> None:
        numbers = route(
            rule("reception"), trunk=None if of_number is None else TrunkName(of_number)
        )
        table = table_of(house(), able(), numbers=numbers)
        call = a_call(
            caller("+12025550123"),
            header,
            trunk=trunk,
            verified=verified,
            attestation_header=where,
        )
        found = accepted(decide(call, table, NOW))
        assert found.attested == level
        assert found.caller == "+12025550123"
        assert found.dialed == NUMBER


def read(tenant: TenantName, name: SecretName) -> str:
    if name != "crm":
        raise SecretError(name, "is not granted")
    return f"token of {tenant}"


def test_a_secret_is_opened_when_the_session_is_sent() -> None:
    function = built_in.offer(built_in.hang_up())
    known, unknown = (
        {
            "type": "mcp",
            "server_label": name,
            "authorization": secret_mark(DEFAULT_TENANT, SecretName(name)),
        }
        for name in ("crm", "gone")
    )
    open_ = {"type": "mcp", "server_label": "open"}
    session = {"type": "realtime", "tools": [function, known, unknown, open_]}
    sent = with_secrets(session, read)
    assert sent["tools"] == [function, {**known, "authorization": "token of default"}, open_]
    assert session["tools"][1] is known
    for plain in ({"type": "realtime"}, {"tools": []}, {"tools": [function, open_]}):
        assert with_secrets(plain, read) is plain


@pytest.mark.parametrize(
    ("choice", "tools", "expected"),
    [
        ("required", 1, "auto"),
        ("required", 2, "required"),
        ({"type": "mcp", "server_label": "gone"}, 2, "auto"),
        ({"type": "function", "name": "hang_up"}, 2, {"type": "function", "name": "hang_up"}),
        ("none", 1, "none"),
    ],
)
def test_a_model_need_not_use_a_server_whose_secret_cannot_be_read(
    choice: Any, tools: int, expected: Any
) -> None:
    mark = secret_mark(DEFAULT_TENANT, SecretName("gone"))
    gone = {"type": "mcp", "server_label": "gone", "authorization": mark}
    offered_ = [gone, built_in.offer(built_in.hang_up())][:tools]
    sent = with_secrets({"tools": offered_, "tool_choice": choice}, read)
    assert sent == {"tools": offered_[1:], "tool_choice": expected}


NAMES = st.text("abcdefghij_", min_size=1, max_size=12)
TOOLS = st.one_of(
    st.just(built_in.hang_up()),
    st.just(built_in.wait()),
    st.builds(built_in.take_message, st.lists(NAMES, min_size=1, unique=True).map(tuple)),
    st.builds(
        built_in.collect_digits,
        st.builds(
            CollectDigits,
            st.none() | st.integers(1, 64),
            st.sampled_from("#*"),
            st.floats(0.5, 60),
            st.integers(0, 5),
            st.booleans(),
        ),
    ),
    st.just(sending(DESK, NIGHT)),
    st.just(switching("reception")),
    st.builds(
        Tool,
        NAMES.map(ToolName),
        st.builds(
            HttpRequest,
            st.sampled_from(["GET", "POST"]),
            st.just("https://a.example/{x}"),
            st.dictionaries(NAMES, st.text(max_size=20)),
            st.none() | NAMES.map(SecretName),
            st.dictionaries(NAMES, st.text(max_size=20)),
            st.dictionaries(NAMES, NAMES.map(ToolName)),
            st.none() | st.dictionaries(NAMES, st.integers() | st.text() | st.none()),
            st.none() | st.dictionaries(NAMES, st.just("/a")),
        ),
        st.text(max_size=50),
        st.just({"type": "object", "properties": {}, "additionalProperties": False}),
        requires=st.none() | st.builds(Requirement, st.sampled_from(["A", "B", "C", None])),
        finish=st.booleans(),
    ),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(TOOLS, max_size=5), st.none() | st.builds(Silence, st.floats(1, 60)))
def test_a_plan_is_the_same_when_it_is_read_again(
    tools: list[Tool], silence: Silence | None
) -> None:
    profile = able(*tools, keys={"0": DESK}, servers=(McpServer("crm", ("a",)),))
    edition = replace(profile.edition(None), silence=silence)
    tenant = house(
        place(DESK, hours="office", on_failure=("night", "resume")),
        place(NIGHT, "+17135550101"),
        hours={"office": FakeSchedule(8, 9)},
    )
    table = table_of(tenant, replace(profile, editions=(edition,)))
    decision = decide(a_call(caller("+12025550123")), table, NOW)
    again = decision_from_json(decision_to_json(decision))
    assert again.verdict == decision.verdict
    assert msgspec.json.encode(again.verdict) == msgspec.json.encode(decision.verdict)


def test_a_broken_template_of_the_agent_is_the_calls_failure() -> None:
    with pytest.raises(TemplateError):
        Broken().render(None)  # type: ignore[arg-type]
    edition = replace(a_profile().edition(None), instructions=Broken())
    table = table_of(house(), replace(able(), editions=(edition,)))
    assert not isinstance(decide(a_call(), table, NOW).verdict, Accept)


def test_what_is_the_same_in_all_calls_is_made_once() -> None:
    table = table_of(house(place(DESK)), able(sending(DESK)))
    first, second = (accepted(decide(a_call(), table, now)) for now in (NOW, NOW + 60.0))
    assert first.skills is second.skills
    assert first.ways is second.ways


@pytest.mark.parametrize(
    "tenant",
    [
        house(place(DESK, hours="office"), hours={"office": FakeSchedule()}),
        house(place(DESK, Rendered(lambda _: "+17135550100"))),
        house(place(DESK, on_failure=("night",)), place(NIGHT, Rendered(lambda _: "+17135550101"))),
    ],
    ids=["hours", "template", "what follows"],
)
def test_what_depends_on_the_call_is_made_for_each(tenant: TenantProfile) -> None:
    table = table_of(tenant, able(sending(DESK)))
    first, second = (accepted(decide(a_call(), table, now)) for now in (NOW, NOW + 60.0))
    assert first.ways is not second.ways
    assert table.gear == {}


@pytest.mark.parametrize(
    "choice", ["required", {"type": "function", "name": "transfer"}], ids=["any", "this"]
)
def test_a_model_need_not_choose_what_a_call_does_without(choice: Any) -> None:
    profile = able(sending(DESK))
    (edition,) = profile.editions
    edition = replace(edition, session={**edition.session, "tool_choice": choice})
    call = planned(house(place(DESK, Rendered(fails))), replace(profile, editions=(edition,)))
    assert (call.session["tools"], call.session["tool_choice"]) == ([], "auto")


def fails(_: CallFacts) -> str:
    raise TemplateError("there is no such variable")
