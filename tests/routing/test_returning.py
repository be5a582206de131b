"""What an agent is told of a caller who is back."""

from dataclasses import replace

import pytest

from sipagent.model import (
    DEFAULT_TENANT,
    AgentName,
    CallPlan,
    Colleague,
    DestinationName,
    Returned,
    Skills,
    TenantName,
    Tongue,
)
from sipagent.routing import decide
from sipagent.routing.returning import note_of, noted
from sipagent.testing import a_plan, a_profile, a_table
from tests.routing.support import NOW, a_call, caller, route, rule
from tests.routing.test_plans import DESK, plan_of, tenant

BACK = Returned(240.0, DestinationName("front_desk"))


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        (BACK, "This caller called 4 minutes ago, was put through to front_desk"),
        (Returned(61.0), "This caller called a minute ago, and that call broke off"),
        (Returned(0.4), "This caller called less than a minute ago, and that call broke off"),
    ],
)
def test_what_the_agent_is_told(returned: Returned, expected: str) -> None:
    assert note_of(returned).startswith(expected)


def decided(returned: dict[TenantName, Returned], **session: object) -> CallPlan:
    table = a_table(
        [route(rule("reception"))],
        [a_profile("reception", **session)],
        tenants=[tenant(desk=DESK)],
    )
    call = a_call(caller("+14067704205"))
    return plan_of(decide(call, table, NOW, returned=returned))


def test_a_caller_who_is_back_is_told_behind_the_agents_own_instructions() -> None:
    plan = decided({DEFAULT_TENANT: BACK}, instructions="Be kind.")
    assert plan.returned == BACK
    assert plan.session["instructions"] == f"Be kind.\n\n{note_of(BACK)}"


def test_an_agent_without_instructions_has_these() -> None:
    assert decided({DEFAULT_TENANT: BACK}).session["instructions"] == note_of(BACK)


def test_whose_caller_it_was_is_whose_agent_is_told() -> None:
    plan = decided({TenantName("acme"): BACK}, instructions="Be kind.")
    assert (plan.returned, plan.session["instructions"]) == (None, "Be kind.")


def test_a_call_that_is_sent_on_has_nobody_to_be_told() -> None:
    table = a_table([route(rule(">desk"))], [a_profile()], tenants=[tenant(desk=DESK)])
    call = a_call(caller("+14067704205"))
    assert plan_of(decide(call, table, NOW, returned={DEFAULT_TENANT: BACK})).returned is None


def test_everybody_who_may_speak_in_the_call_is_told() -> None:
    own = {"type": "realtime", "instructions": "Be kind."}
    spanish = Tongue("es", {"instructions": "Sé amable."})
    german = Tongue("de", {"audio": {"input": {}}})
    skills = Skills(tongues=(spanish, german))
    plan = replace(
        a_plan(),
        session=own,
        fallback_session=own,
        skills=skills,
        colleagues=(Colleague(AgentName("billing"), own, skills),),
    )
    told, note = noted(plan, BACK), note_of(BACK)
    (colleague,) = told.colleagues
    sessions = [told.session, told.fallback_session or {}, colleague.session]
    assert [session["instructions"] for session in sessions] == [f"Be kind.\n\n{note}"] * 3
    for tongues in (told.skills.tongues, colleague.skills.tongues):
        assert tongues[0].session["instructions"] == f"Sé amable.\n\n{note}"
        assert tongues[1] == german
