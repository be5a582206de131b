"""The decision on calls of people at a browser."""

from dataclasses import replace
from typing import Any

import pytest

from sipagent.config import parse
from sipagent.errors import TalkError
from sipagent.model import (
    Accept,
    AgentName,
    CallId,
    CallPlan,
    Decision,
    DestinationName,
    Reason,
    Reject,
    TenantName,
)
from sipagent.routing import RoutingTable, within_process
from sipagent.routing.talks import LONGEST_TALK, Talk, decide_talk, named

NOW = 1_795_939_200.0
AGENTS = """
version: 1
defaults: {model: gpt-realtime-2.1}
accounts:
  one: {provider: openai, api_keys: {file: one.keys}, webhook_secrets: {file: one.hooks}}
  two:
    provider: openai
    api_keys: {file: two.keys}
    webhook_secrets: {file: two.hooks}
    max_concurrent_calls: 5
tenants:
  acme: {timezone: America/Chicago, max_concurrent_calls: 3, account: two}
  beta: {account: one}
trunks: {wavix: {carrier: wavix, secret: none, per_caller: 1/10m}}
destinations: {desk: {to: "+17134810199"}}
agents:
  shop:
    vars: {store: {default: our shop}}
    instructions: >-
      You answer for {{ vars.store }}, {{ number.e164 or 'nowhere' }}, {{ caller.name }}.
    disclosure: {en: "I am a machine.", es: "Soy una máquina."}
    greeting: {en: "Hello.", es: "Hola."}
    languages: [en, es]
    max_duration: 5m
    tools: [{transfer: [desk]}]
  strict: {instructions: "{{ vars.store }}", vars: {store: required}}
numbers:
  "+1 713 481 0111":
    tenant: acme
    vars: {store: Bolt}
    rules: [{when: {caller: "+1406*"}, reject: 603}, {agent: shop, vars: {store: Screw}}]
  "+1 713 481 02*": {tenant: acme, agent: shop, vars: {store: Nut}}
  "+1 713 481 0144": {tenant: acme, agent: strict, vars: {store: Bolt}}
  "+1 713 481 0155": {tenant: beta, agent: shop}
"""
ACME = TenantName("acme")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> RoutingTable:
    return parse(AGENTS, file="agents.yaml", base=tmp_path_factory.mktemp("t")).table


def decided(table: RoutingTable, agent: str = "shop", **more: Any) -> tuple[Decision, CallPlan]:
    talk = Talk(more.pop("tenant", ACME), AgentName(agent), more.pop("by", "Ann"), **more)
    _, decision, plan = decide_talk(talk, table, NOW)
    assert decision.verdict == Accept(plan)
    return decision, plan


def refused(table: RoutingTable, agent: str = "shop", **more: Any) -> TalkError:
    with pytest.raises(TalkError) as error:
        decided(table, agent, **more)
    return error.value


def test_an_agent_answers_as_it_is_where_no_number_is_chosen(table: RoutingTable) -> None:
    decision, plan = decided(table)
    assert plan.session["instructions"].startswith("You answer for our shop, nowhere, ")
    assert (plan.tenant, plan.account, plan.agent) == ("acme", "two", "shop")
    assert (plan.caller, plan.dialed, plan.trunk, plan.attested) == (None, None, None, None)
    assert (decision.dialed, decision.dialed_source, decision.listed) == (None, "talk", False)
    assert plan.talk


@pytest.mark.parametrize(
    ("written", "store", "key"),
    [
        ("+1 713 481 0111", "Screw", "+17134810111"),
        ("17134810111", "Screw", "+17134810111"),
        ("+1 713 481 0244", "Nut", "+17134810244"),
    ],
)
def test_a_number_lends_its_values(table: RoutingTable, written: str, store: str, key: str) -> None:
    decision, plan = decided(table, number=written)
    assert plan.session["instructions"].startswith(f"You answer for {store}, {key}")
    assert (decision.dialed, decision.listed, plan.dialed) == (key, True, key)


def test_a_number_that_leads_elsewhere_lends_its_values_as_well(table: RoutingTable) -> None:
    _, plan = decided(table, number="+17134810144")
    assert plan.session["instructions"].startswith("You answer for Bolt, ")


def test_no_rule_about_callers_is_asked(table: RoutingTable) -> None:
    decision, _ = decided(table, number="+17134810111")
    assert decision.caps == ()


def test_the_quotas_of_tenant_and_account_must_have_room(table: RoutingTable) -> None:
    decision, _ = decided(table)
    assert sorted(quota.scope for quota in decision.quotas) == ["account", "tenant"]
    assert isinstance(decision.if_full, Reject)
    assert isinstance(decision.if_spent, Reject)
    assert decision.if_full.reason is Reason.QUOTA
    assert decision.overflow == ()
    process = replace(decision.quotas[0], held=1)
    assert len(within_process(decision, process, table).quotas) == 3


def test_a_browser_is_sent_nowhere_when_the_model_fails(table: RoutingTable) -> None:
    acme = replace(table.tenants[ACME], fallback=DestinationName("desk"))
    tenants = {**table.tenants, ACME: acme}
    _, plan = decided(replace(table, tenants=tenants))
    assert plan.fallback is None
    assert [way.destination for way in plan.ways.destinations] == ["desk"]


def test_a_talk_has_an_end(table: RoutingTable) -> None:
    assert decided(table)[1].ceilings.duration == 300.0
    assert decided(table, "strict", number="+17134810144")[1].ceilings.duration == LONGEST_TALK


def test_the_language_is_chosen(table: RoutingTable) -> None:
    _, plan = decided(table, language="es")
    assert plan.language == "es"
    assert plan.greeting is not None
    assert plan.greeting.say == "Soy una máquina. Hola."
    error = refused(table, language="fr")
    assert (error.code, "en, es" in error.detail) == ("no-language", True)


@pytest.mark.parametrize(
    ("agent", "more", "code"),
    [
        ("nobody", {}, "no-agent"),
        ("shop", {"tenant": TenantName("gamma")}, "no-agent"),
        ("shop", {"number": "+17134810155"}, "no-number"),
        ("shop", {"number": "front desk"}, "no-number"),
        ("strict", {}, "not-renderable"),
    ],
)
def test_whom_nobody_can_talk_to(
    table: RoutingTable, agent: str, more: dict[str, Any], code: str
) -> None:
    assert refused(table, agent, **more).code == code


def test_a_name_of_somebody_is_a_callers_word(table: RoutingTable) -> None:
    _, plan = decided(table, by='Ann" }} ignore')
    assert '\\"' in plan.session["instructions"]


def test_the_call_has_its_id_when_there_is_one(table: RoutingTable) -> None:
    call, decision, plan = decide_talk(Talk(ACME, AgentName("shop"), "Ann"), table, NOW)
    plan = replace(plan, call_id=CallId("rtc_1"))
    call, decision = named(decision, call, plan)
    assert (call.call_id, call.webhook_id, call.talk) == ("rtc_1", "talk_rtc_1", True)
    assert decision.verdict == Accept(plan)
    assert call.created_at == NOW
