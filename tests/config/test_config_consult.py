"""Rules that ask the tenant's own endpoint."""

from pathlib import Path

import pytest

from sipagent.config import Loaded
from sipagent.config.report.printing import printed, to_yaml
from sipagent.config.report.wording import rule_text
from sipagent.model import AgentName, Decision, DestinationName, SecretName, TenantName
from sipagent.routing import AnswerWith, ConsultWith, ForwardTo, RejectWith, Route
from tests.config.support import decided, loaded, told, write

NUMBER = "+17134810111"
URL = "https://api.acme.example/calls"
MAIN = """\
version: 1
include: [tenants/*/tenant.yaml]
defaults: {model: gpt-realtime-2.1}
tenants:
  acme:
    grants: {secrets: {hook: {file: hook}}, http_hosts: [api.acme.example]}
agents: {someone: {instructions: Be kind.}}
numbers:
  "+17134810111": {tenant: acme, rules: [store]}
  default: {reject: 404}
"""
TENANT = """\
tenant: acme
destinations: {{desk: "+17135550100"}}
agents:
  store: {{instructions: "Be {{{{ vars.mood }}}}.", vars: {{mood: {{default: kind}}}}}}
  vip: {{extends: store}}
  other: {{instructions: Be kind., vars: {{shop: required}}, greeting: "{{{{ vars.shop }}}}"}}
numbers:
  "+17134810111": {rule}
"""
ASKED = f"url: '{URL}', secret: {{secret: hook}}"


def files(rule: str) -> dict[str, str | bytes]:
    return {"agents.yaml": MAIN, "tenants/acme/tenant.yaml": TENANT.format(rule=rule)}


def configured(folder: Path, consult: str) -> Loaded:
    return loaded(folder, files(f"{{consult: {{{consult}}}}}"))


def wrong(folder: Path, consult: str) -> list[str]:
    return told(write(folder, files(f"{{consult: {{{consult}}}}}")))


def route_of(config: Loaded) -> Route:
    (directory,) = config.table.directories.values()
    return directory.exact[NUMBER]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("store", AnswerWith(AgentName("store"))),
        (
            "{agent: store, vars: {mood: quick}}",
            AnswerWith(AgentName("store"), vars=(("mood", "quick"),)),
        ),
        ("{reject: 480}", RejectWith(480)),
        ("{forward: desk}", ForwardTo(DestinationName("desk"))),
    ],
)
def test_what_follows_without_an_answer(tmp_path: Path, written: str, expected: object) -> None:
    config = configured(tmp_path, f"{ASKED}, agents: [vip], otherwise: {written}")
    (rule,) = route_of(config).rules
    assert rule.action == ConsultWith(
        URL,
        SecretName("hook"),
        0.8,
        expected,
        (AgentName("vip"),),  # type: ignore[arg-type]  # one of them
    )


def test_it_may_be_one_rule_of_several(tmp_path: Path) -> None:
    rules = (
        "[{when: {caller: '+44*'}, reject: 603},"
        f" {{when: {{dates: '2026-09-22'}}, consult: {{{ASKED}, timeout: 1s, otherwise: store}}}},"
        " vip]"
    )
    config = loaded(tmp_path, files(rules))
    texts = [rule_text(rule) for rule in route_of(config).rules]
    assert texts[1] == (
        "when dates: 2026-09-22: consult api.acme.example within 1 s, otherwise agent store"
    )
    decision: Decision = decided(config, NUMBER)
    assert decision.consult is not None
    assert (decision.consult.tenant, decision.consult.timeout) == (TenantName("acme"), 1.0)
    assert decided(config, NUMBER, at=1_790_270_000.0).consult is None


def test_it_is_printed_without_a_secret(tmp_path: Path) -> None:
    config = configured(tmp_path, f"{ASKED}, agents: [vip], otherwise: {{forward: desk}}")
    assert config.gathered is not None
    text = to_yaml(printed(config, config.gathered))
    assert "otherwise:\n          forward: desk" in text
    assert "timeout: 800ms" in text


def test_every_key_is_part_of_the_version(tmp_path: Path) -> None:
    said = [
        f"{ASKED}, otherwise: store",
        f"{ASKED}, otherwise: vip",
        f"{ASKED}, otherwise: {{reject: 480}}",
        f"{ASKED}, timeout: 1s, otherwise: store",
        f"{ASKED}, agents: [vip], otherwise: store",
        f"{ASKED}, otherwise: store".replace("/calls", "/others"),
    ]
    hashes = {configured(tmp_path, each).table.config_hash for each in said}
    assert len(hashes) == len(said)


@pytest.mark.parametrize(
    ("consult", "expected"),
    [
        (f"{ASKED}", "otherwise"),
        ("secret: {secret: hook}, otherwise: store", "url"),
        (f"url: '{URL}', otherwise: store", "secret"),
        (
            f"url: '{URL}', secret: {{secret: hok}}, otherwise: store",
            "the tenant has no secret of this name",
        ),
        (f"{ASKED}, otherwise: nobody", 'there is no agent "nobody"'),
        (f"{ASKED}, otherwise: {{forward: nowhere}}", 'there is no destination "nowhere"'),
        (f"{ASKED}, agents: [nobody], otherwise: store", 'there is no agent "nobody"'),
        (f"{ASKED}, agents: [], otherwise: store", "agents"),
        (f"{ASKED}, timeout: 10s, otherwise: store", "the caller hears ringing meanwhile"),
        (f"{ASKED}, timeout: 50ms, otherwise: store", "the caller hears ringing meanwhile"),
        (
            f"{ASKED}, otherwise: store".replace("https", "http"),
            "who calls would be sent there without encryption",
        ),
        (
            f"{ASKED}, otherwise: store".replace("api.acme", "evil"),
            'the tenant may not ask the host "evil.example"',
        ),
        (f"{ASKED}, otherwise: store".replace("https://", "ftp://"), "url"),
        (f"{ASKED}, otherwise: {{consult: {{}}}}", "otherwise"),
        (f"{ASKED}, otherwise: store, retry: 3", "unknown key"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, consult: str, expected: str) -> None:
    (finding,) = wrong(tmp_path, consult)
    assert expected in finding


@pytest.mark.parametrize("consult", ["agents: [other], otherwise: store", "otherwise: other"])
def test_every_agent_that_may_answer_has_all_its_values(tmp_path: Path, consult: str) -> None:
    (finding,) = wrong(tmp_path, f"{ASKED}, {consult}")
    assert "vars.shop: is missing" in finding


def test_a_value_that_no_agent_of_them_reads_is_told(tmp_path: Path) -> None:
    (finding,) = wrong(tmp_path, f"{ASKED}, otherwise: {{agent: store, vars: {{moode: x}}}}")
    assert 'no agent of this number declares "moode" (did you mean "mood"?)' in finding


def test_an_operators_endpoint_may_be_anywhere(tmp_path: Path) -> None:
    asked = "consult: {url: 'http://127.0.0.1:8080/x', secret: {secret: hook}, otherwise: store}"
    texts = {
        "agents.yaml": MAIN.replace("rules: [store]", asked),
        "tenants/acme/tenant.yaml": TENANT.format(rule="").partition("numbers:")[0],
    }
    (found,) = route_of(loaded(tmp_path, texts)).rules
    assert isinstance(found.action, ConsultWith)
    assert found.action.url == "http://127.0.0.1:8080/x"
