"""Limits, budgets, ceilings, prices and fallbacks, from the file to the decision on a call."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sipagent.config import Loaded, load
from sipagent.config.pricing import packaged
from sipagent.config.report.difference import difference
from sipagent.model import (
    Accept,
    AccountName,
    Bill,
    CallPlan,
    Ceilings,
    Decision,
    Destination,
    DestinationName,
    FailureStep,
    Fallback,
    Forward,
    Prices,
    Quota,
    QuotaScope,
    Rate,
    Reason,
    Reject,
    TenantName,
    Tokens,
)
from sipagent.routing import Controls, Order, Scope, decide, within_process
from tests.config.support import NOON, decided, loaded, plan
from tests.routing.support import Broken, Rendered, a_call

NUMBER = "+17134810111"
ACME = TenantName("acme")
HEAD = "version: 1\n"
ACCOUNT = "{api_keys: {file: k}, webhook_secrets: {file: h}"
AZURE = (
    "{provider: azure, endpoint: 'https://x.openai.azure.com', api_keys: {file: k},"
    " webhook_secrets: {file: h}}"
)
MAIN = """\
version: 1
accounts:
  us-1:
    api_keys: {file: k}
    webhook_secrets: {file: h}
    max_concurrent_calls: 9
    budget: {day: 7 USD}
models:
  standard: {model: gpt-realtime-2.1, voice: marin, reasoning: high, fallback: economy}
  economy: {model: gpt-realtime-2.1-mini, reasoning: low, speed: 1.1}
defaults: {model: standard, max_duration: 20m, speed: 0.9}
tenants:
  acme:
    timezone: America/Chicago
    max_concurrent_calls: 6
    reserved_calls: 2
    call_rate: 30/1m
    when_full: fallback
    budget:
      month: 4000 USD
      day: 200.50 USD
      warn_at: [80%, 50%]
      when_spent: reject
      spent_code: 480
  beta: {reserved_calls: 3}
destinations:
  desk: "+17135550100"
fallback: desk
agents:
  a:
    instructions: "Hello {{ dialed }}"
    transcription: whisper-1
    max_cost: 2 USD
    on_failure: [fallback, hang_up]
  b: {voice: cedar, reasoning: minimal}
numbers:
  "+1 713 481 0111":
    agent: a
    tenant: acme
    max_concurrent_calls: 2
    call_rate: 3/10m
    budget: {day: 5 USD}
  "+1 713 481 0122": {forward: desk, tenant: acme}
  "+1 713 481 0133": {agent: b, tenant: beta}
  default: {reject: 404}
"""


@pytest.fixture
def config(tmp_path: Path) -> Loaded:
    return loaded(tmp_path, {"agents.yaml": MAIN})


def of(config: Loaded, number: str = NUMBER) -> Decision:
    return decided(config, number, account="us-1")


def accepted(decision: Decision) -> CallPlan:
    assert isinstance(decision.verdict, Accept)
    return decision.verdict.plan


def test_ceilings_and_steps_of_failure_are_in_the_plan(config: Loaded) -> None:
    first, second = accepted(of(config)), accepted(of(config, "+17134810133"))
    assert first.ceilings == Ceilings(1200.0, 2_000_000)
    assert first.on_failure == (FailureStep.FALLBACK, FailureStep.HANG_UP)
    assert second.ceilings == Ceilings(1200.0, None)
    assert second.on_failure == tuple(FailureStep)


def test_the_fallback_session_is_that_of_the_other_model_with_what_is_the_agents_own(
    config: Loaded,
) -> None:
    first, second = accepted(of(config)), accepted(of(config, "+17134810133"))
    assert first.fallback_session == {
        **first.session,
        "model": "gpt-realtime-2.1-mini",
        "reasoning": {"effort": "low"},
        "audio": {**first.session["audio"], "output": {"voice": "marin", "speed": 1.1}},
    }
    assert first.session["instructions"] == f"Hello {NUMBER}"
    assert second.fallback_session is not None
    assert second.fallback_session["reasoning"] == {"effort": "minimal"}
    assert second.fallback_session["audio"]["output"] == {"voice": "cedar", "speed": 1.1}


def test_a_model_without_a_fallback_has_no_second_session(tmp_path: Path) -> None:
    text = MAIN.replace(", fallback: economy", "")
    found = accepted(of(loaded(tmp_path, {"agents.yaml": text})))
    assert (found.fallback_session, found.fallback_prices) == (None, Prices())


def test_a_call_is_charged_by_its_models(config: Loaded) -> None:
    prices = packaged()
    first = accepted(of(config))
    assert first.prices == Prices(
        prices.version, prices.models["gpt-realtime-2.1"], prices.models["whisper-1"]
    )
    assert first.fallback_prices.session == prices.models["gpt-realtime-2.1-mini"]
    assert accepted(of(config, "+17134810133")).prices.transcription is None


def test_the_tenants_fallback_is_where_its_calls_go_when_nothing_else_is_left(
    config: Loaded,
) -> None:
    expected = Fallback(DestinationName("desk"), "tel:+17135550100")
    assert accepted(of(config)).fallback == expected


def test_a_fallback_that_cannot_be_made_for_a_call_is_left_out(config: Loaded) -> None:
    tenant = config.table.tenants[ACME]
    for to in (Broken(), Rendered(lambda facts: "nowhere")):
        desk = Destination(DestinationName("desk"), ACME, to)
        broken = replace(tenant, destinations={desk.name: desk})
        table = replace(config.table, tenants={**config.table.tenants, ACME: broken})
        found = decide(replace(a_call(to=NUMBER), account=AccountName("us-1")), table, NOON)
        assert accepted(found).fallback is None
        assert found.if_full == Reject(486, Reason.QUOTA, ACME)


def test_quotas_of_number_tenant_and_account(config: Loaded) -> None:
    number, tenant, account = of(config).quotas
    assert number == Quota(
        QuotaScope.NUMBER,
        NUMBER,
        held=2,
        rate=Rate(3, 600.0),
        day=5_000_000,
        zone="America/Chicago",
    )
    assert tenant == Quota(
        QuotaScope.TENANT,
        "acme",
        held=6,
        rate=Rate(30, 60.0),
        day=200_500_000,
        month=4_000_000_000,
        warn_at=(5000, 8000),
        zone="America/Chicago",
    )
    reserves = {ACME: 2, TenantName("beta"): 3}
    assert account == Quota(QuotaScope.ACCOUNT, "us-1", held=9, day=7_000_000, reserves=reserves)
    assert [quota.scope for quota in of(config, "+17134810133").quotas] == [
        QuotaScope.TENANT,
        QuotaScope.ACCOUNT,
    ]
    assert of(config, "+17134810199").quotas == ()


def test_the_process_keeps_what_is_reserved(config: Loaded) -> None:
    process = Quota(QuotaScope.PROCESS, held=12)
    whole = within_process(of(config), process, config.table)
    assert whole.quotas[-1] == replace(process, reserves={ACME: 2, TenantName("beta"): 3})
    refused = of(config, "+17134810199")
    assert within_process(refused, process, config.table) == refused


def test_what_follows_where_there_is_no_room_is_the_tenants_choice(config: Loaded) -> None:
    chosen = of(config)
    assert isinstance(chosen.if_full, Forward)
    sent_on = chosen.if_full.plan
    assert (sent_on.refer_to, sent_on.destination) == ("tel:+17135550100", "desk")
    assert (sent_on.agent, sent_on.greeting) == (None, None)
    assert sent_on.session["audio"]["input"]["turn_detection"] is None
    assert chosen.if_spent == Reject(480, Reason.QUOTA, ACME)
    assert (chosen.full_code, chosen.spent_code) == (486, 480)
    assert [cap.which for cap in chosen.overflow] == ["forwards"]
    plain = of(config, "+17134810133")
    beta = TenantName("beta")
    assert plain.if_full == Reject(486, Reason.QUOTA, beta)
    assert plain.if_spent == Reject(503, Reason.QUOTA, beta)
    assert plain.overflow == ()


def test_a_call_that_is_sent_on_costs_nothing_and_is_sent_on_also_when_all_is_spent(
    config: Loaded,
) -> None:
    found = of(config, "+17134810122")
    assert isinstance(found.verdict, Forward)
    assert found.if_spent == found.verdict == found.if_full
    assert found.verdict.plan.destination == "desk"
    assert [cap.which for cap in (*found.caps, *found.overflow)] == ["forwards", "forwards"]


def test_an_order_of_the_operators_is_held_to_the_account_alone(config: Loaded) -> None:
    order = Order(Scope.ALL, "", to=DestinationName("desk"))
    call = replace(a_call(to=NUMBER), account=AccountName("us-1"))
    found = decide(call, config.table, NOON, Controls((order,)))
    assert [quota.scope for quota in found.quotas] == [QuotaScope.ACCOUNT]
    assert found.if_spent == found.verdict


def test_a_tenant_that_has_no_fallback_is_told(tmp_path: Path) -> None:
    text = MAIN.replace("fallback: desk\n", "").replace(
        "when_spent: reject", "when_spent: fallback"
    )
    found = loaded(tmp_path, {"agents.yaml": text})
    told = [each for each in found.warnings if "no fallback" in each.message]
    assert [each.path for each in told] == [
        "tenants.acme.when_full",
        "tenants.acme.budget.when_spent",
    ]
    decision = of(found)
    assert decision.if_full == Reject(486, Reason.QUOTA, ACME)
    assert decision.if_spent == Reject(480, Reason.QUOTA, ACME)


def test_limits_in_a_table_of_numbers(tmp_path: Path) -> None:
    files = {
        "agents.yaml": HEAD
        + "agents: {a: {model: m}}\nnumbers: {table: n.csv, default: {reject: 404}}\n",
        "n.csv": "number,agent,max_concurrent_calls,call_rate,budget_day,budget_month\n"
        "+1 713 481 0111,a,2,3/10m,5 USD,70.25 USD\n+1 713 481 0122,a,,,,\n",
    }
    table = loaded(tmp_path, files).table
    routes = table.directory(AccountName("default")).exact
    assert routes[NUMBER].quota == Quota(
        QuotaScope.NUMBER, NUMBER, held=2, rate=Rate(3, 600.0), day=5_000_000, month=70_250_000
    )
    assert routes["+17134810122"].quota is None
    assert dict(routes["+17134810122"].vars) == {}


@pytest.mark.parametrize(
    ("account", "environment", "factor"),
    [
        (None, {}, 10),
        (None, {"OPENAI_BASE_URL": "https://eu.api.openai.com/v1"}, 11),
        (None, {"OPENAI_BASE_URL": "http://127.0.0.1:9000/v1"}, 10),
        (None, {"AZURE_OPENAI_ENDPOINT": "https://x.openai.azure.com"}, None),
        (ACCOUNT + "}", {"AZURE_OPENAI_ENDPOINT": "https://x.openai.azure.com"}, 10),
        (ACCOUNT + ", region: eu}", {}, 11),
        (AZURE, {}, None),
    ],
)
def test_whose_prices_hold_depends_on_the_account(
    account: str | None, environment: dict[str, str], factor: int | None, tmp_path: Path
) -> None:
    accounts = "" if account is None else f"accounts: {{x: {account}}}\n"
    text = (
        f"{HEAD}{accounts}agents: {{a: {{model: gpt-realtime-2.1, instructions: x}}}}\n"
        "numbers: {default: a}\n"
    )
    found = loaded(tmp_path, {"agents.yaml": text}, **environment)
    name = "default" if account is None else "x"
    price = plan(found, NUMBER, account=name).prices.session
    expected = None if factor is None else 4000 * factor // 10
    assert (None if price is None else price.text_in) == expected


OWN = "prices: {version: mine, models: {d: {text: {input: 0.001, output: 2}, audio: {input: 3}}}}\n"


@pytest.mark.parametrize("in_file", [True, False])
def test_the_operators_own_prices_precede_those_of_the_release(
    in_file: bool, tmp_path: Path
) -> None:
    files = {"agents.yaml": f"{HEAD}{OWN}agents: {{a: {{model: d}}}}\nnumbers: {{default: a}}\n"}
    if in_file:
        files["prices.yaml"] = "version: mine\nmodels:\n  d:\n    text: {input: 0.001, output: '2'}"
        files["prices.yaml"] += "\n    audio: {input: 3.0}\n"
        files["agents.yaml"] = files["agents.yaml"].replace(OWN, "prices: {file: prices.yaml}\n")
    found = loaded(tmp_path, files)
    prices = plan(found, NUMBER).prices
    assert prices.version == f"{packaged().version}+mine"
    price = prices.session
    assert price is not None
    assert (price.text_in, price.text_cached, price.text_out) == (1, 1, 2000)
    assert price.cost(Bill(Tokens(text_in=10_000, text_cached=5000, audio_in=7))) == 31
    assert price.cost(Bill(Tokens(audio_out=1))) is None, "what has no price has no cost"
    assert price.cost(Bill(seconds=3.0)) is None
    assert found.prices.models["whisper-1"] == packaged().models["whisper-1"]
    if in_file:
        assert tmp_path / "prices.yaml" in found.files


def test_the_prices_of_this_release() -> None:
    prices = packaged()
    assert prices.version == "2026-11"
    usage = Tokens(text_in=119, audio_in=13, text_cached=64, text_out=30, audio_out=91)
    # 55 x 4 + 64 x 0.40 + 30 x 24 + 13 x 32 + 91 x 64, in micro-dollars.
    assert prices.models["gpt-realtime-2.1"].cost(Bill(usage)) == 7206
    assert prices.resident["gpt-realtime-1.5"] == prices.models["gpt-realtime-1.5"]
    assert prices.models["gpt-live-transcribe"].cost(Bill(seconds=90.0)) == 25_500
    assert prices.resident["gpt-live-transcribe"].cost(Bill(seconds=60.0)) == 18_700


CHANGES: dict[str, tuple[str, str, str]] = {
    "a tenant's calls": (
        "max_concurrent_calls: 6",
        "max_concurrent_calls: 7",
        "  ~ acme: max_concurrent_calls 6 -> 7",
    ),
    "what is reserved": (
        "reserved_calls: 3",
        "reserved_calls: 1",
        "  ~ beta: reserved_calls 3 -> 1",
    ),
    "a budget": (
        "month: 4000 USD",
        "month: 3000 USD",
        '  ~ acme: budget.month "4000 USD" -> "3000 USD"',
    ),
    "when it warns": ("50%]", "60%]", '  ~ acme: budget.warn_at "50%, 80%" -> "60%, 80%"'),
    "when it is spent": ("spent_code: 480", "spent_code: 481", "  ~ acme: when_spent 480 -> 481"),
    "an account": (
        "max_concurrent_calls: 9",
        "max_concurrent_calls: 10",
        "  ~ us-1: max_concurrent_calls 9 -> 10",
    ),
    "a number": ("3/10m", "4/10m", f"  ~ {NUMBER}: call_rate 3/10m -> 4/10m"),
    "a ceiling": ("2 USD", "3 USD", 'max_cost "2 USD" -> "3 USD"'),
    "on_failure": (
        "[fallback, hang_up]",
        "[hang_up]",
        'on_failure "fallback, hang_up" -> hang_up',
    ),
    "the model's fallback": (
        "model: gpt-realtime-2.1-mini",
        "model: gpt-realtime-1.5",
        "fallback_model gpt-realtime-2.1-mini -> gpt-realtime-1.5",
    ),
    "prices": (
        "defaults:",
        "prices: {version: x, models: {whisper-1: {minute: 0.005}}}\ndefaults:",
        "  ~ whisper-1: minute 0.006 -> 0.005",
    ),
    "the fallback": ("fallback: desk\n", "", "fallback desk -> (none)"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_whatever_calls_could_notice_changes_the_hash_and_is_named(
    change: tuple[str, str, str], config: Loaded, tmp_path: Path
) -> None:
    before, after, told = change
    assert MAIN.count(before) >= 1
    other = tmp_path / "other"
    changed: Any = loaded(other, {"agents.yaml": MAIN.replace(before, after, 1)})
    assert changed.table.config_hash != config.table.config_hash
    report = difference(config, changed).report()
    assert [line for line in report if told in line], report
    assert load(tmp_path / "agents.yaml", environment={}).table.config_hash == (
        config.table.config_hash
    )
