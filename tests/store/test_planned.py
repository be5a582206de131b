"""What of a plan is kept: every field is decided about, and nothing that was rendered for tools."""

import json
from dataclasses import fields, replace
from typing import Any

import pytest

from sipagent.model import (
    AgentName,
    CallPlan,
    Colleague,
    DestinationName,
    HttpRequest,
    McpServer,
    Reachable,
    Requirement,
    Returned,
    SecretName,
    Silence,
    Skills,
    Tongue,
    ToolName,
    TransferTo,
    Ways,
)
from sipagent.store.numbers import StoredNumbers
from sipagent.store.planned import KEPT, LEFT_OUT, kept, tool_names, without_credentials
from sipagent.store.rows import PlainNumbers, Writing, call_row, session_of
from tests.store.forgetting import KEY
from tests.store.nouns import DIALED, a_call, a_tool, accepted, planned

NUMBER = "4065558877"
SECRET = "rendered for this caller only"
DESK = DestinationName("desk")


def an_http_tool(name: str) -> Any:
    does = HttpRequest(
        "POST",
        f"https://api.example/{SECRET}",
        headers={"x-caller": SECRET},
        secret=SecretName("crm_token"),
        bind={"caller": f"+1{NUMBER}", "store": SECRET},
        digits={"pin": ToolName("ask_pin")},
        body={"text": SECRET, "caller": f"+1{NUMBER}"},
        response={"status": "/status"},
    )
    requires = Requirement("A", pin=SECRET)
    return replace(a_tool(name), does=does, requires=requires, description=SECRET)


SKILLS = Skills(
    tools=(
        an_http_tool("order_status"),
        replace(a_tool("transfer"), does=TransferTo((DESK,))),
    ),
    silence=Silence(20.0, say=SECRET),
    tongues=(Tongue("es", {"instructions": SECRET}, asks=SECRET),),
    keys={"0": DESK},
    servers=(McpServer("docs", ("search",)),),
)
PLAN: CallPlan = replace(
    planned(),
    skills=SKILLS,
    colleagues=(
        Colleague(
            AgentName("b"), {"instructions": SECRET}, Skills(tools=(an_http_tool("refund"),))
        ),
    ),
    ways=Ways((Reachable(DESK, f"tel:+1{NUMBER}", on_failure=("resume",)),)),
    caller=f"+1{NUMBER}",
    dialed=f"+1{NUMBER}",
    attested="A",
    returned=Returned(60.0, DESK),
    disclosure="This call is transcribed.",
)


def stored(plan: CallPlan, writing: Writing) -> str:
    """The plan as its row has it."""
    sessions = session_of(plan.session, plan.tenant, writing), None
    row = call_row(a_call(), accepted(plan), 0.0, writing, sessions)
    text: str = row[20]
    assert json.loads(text)["call_id"] == plan.call_id
    return text


def test_every_field_of_a_plan_is_decided_about() -> None:
    """Whoever adds a field says here whether and how it is kept: it may hold words or numbers."""
    assert KEPT.keys() | LEFT_OUT == {each.name for each in fields(CallPlan)}
    assert KEPT.keys().isdisjoint(LEFT_OUT)


@pytest.mark.parametrize("hidden", [True, False], ids=["hmac", "plain"])
def test_nothing_that_was_rendered_for_tools_is_kept(hidden: bool) -> None:
    numbers = StoredNumbers(KEY, lambda _: hidden) if hidden else PlainNumbers()
    text = stored(PLAN, Writing("0", "r", numbers))

    assert SECRET not in text
    assert "crm_token" not in text
    assert NUMBER not in text


def test_no_number_of_the_plan_is_in_the_clear_where_numbers_are_hidden() -> None:
    loud = replace(
        PLAN,
        refer_to=f"tel:+1{NUMBER}",
        disclosure=f"You called {DIALED} from +1{NUMBER}.",
    )
    text = stored(loud, Writing("0", "r", StoredNumbers(KEY, lambda _: True)))

    assert NUMBER not in text
    assert DIALED.lstrip("+") not in text
    assert NUMBER in stored(loud, Writing("0", "r"))


def test_names_and_figures_are_kept() -> None:
    found = kept(PLAN)

    order_status, transfer = found["skills"]["tools"]
    assert order_status == {
        "name": "order_status",
        "kind": "http",
        "effects": "idempotent",
        "timeout": 10.0,
        "finish": False,
        "attestation": "A",
        "pin": True,
    }
    assert (transfer["kind"], transfer["destinations"]) == ("transfer", (DESK,))
    assert found["skills"]["silence"] == {"after": 20.0, "hang_up_after": 2}
    assert (found["skills"]["languages"], found["skills"]["servers"]) == (["es"], ["docs"])
    assert found["skills"]["keys"] == {"0": DESK}
    assert [one["agent"] for one in found["colleagues"]] == ["b"]
    assert found["ways"] == {
        "destinations": [{"destination": DESK, "on_failure": ("resume",)}],
        "watch": 45.0,
    }
    assert found["returned"] == Returned(60.0, DESK)
    assert found["disclosure"] == "This call is transcribed."


def test_the_tools_of_all_agents_of_a_call_are_known() -> None:
    assert tool_names(PLAN) == {"order_status", "transfer", "refund"}


def test_a_stored_session_lets_nobody_into_an_mcp_server() -> None:
    server = {"type": "mcp", "server_label": "docs", "server_url": "https://mcp.example"}
    function = {"type": "function", "name": "headers"}
    open_ = {"tools": [{**server, "headers": {"x": "k1"}, "authorization": "k2"}, function]}

    assert without_credentials(open_) == {"tools": [server, function]}
    assert session_of(open_, planned().tenant, Writing("0", "r")).body.count("k1") == 0
    assert open_["tools"][0]["authorization"] == "k2"
    plain = {"tools": [function]}
    assert without_credentials(plain) is plain
