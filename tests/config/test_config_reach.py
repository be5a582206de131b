"""Where calls may be sent: what a tenant's file reaches for beyond its grants is refused."""

from pathlib import Path

import pytest

from sipagent.config.report.ordering import destination_in
from sipagent.model import Forward, Reject, TenantName
from sipagent.routing import Controls, Order, Scope, decide
from tests.config.support import NOON, decided, loaded, plan, told, write
from tests.routing.support import a_call

MAIN = """\
version: 1
include: [common/agents.yaml, tenants/*/tenant.yaml]
defaults: {model: gpt-realtime-2.1}
tenants: {acme: {grants: {transfer_countries: [US, GB], sip_hosts: [pbx.acme.example]}}, bravo: {}}
destinations: {boss: {to: "+8821234567890", allow_any_number: true}, late: "{{ vars.late }}"}
numbers:
  "+1 713 481 0111": {tenant: acme, forward: desk}
  "+1 713 481 0122": {tenant: bravo, forward: desk}
  "+1 713*": {tenant: acme, forward: desk}
  default: {reject: 404}
"""
COMMON = """\
namespace: common
destinations: {night: {to: "+8821234567890", allow_any_number: true}, own: "{{ vars.desk }}"}
"""
GOOD = {
    "agents.yaml": MAIN,
    "common/agents.yaml": COMMON,
    "tenants/acme/tenant.yaml": 'tenant: acme\ndestinations: {desk: "+1 713 555 0100"}\n',
    "tenants/bravo/tenant.yaml": 'tenant: bravo\ndestinations: {desk: "+49 30 901820"}\n',
}
ABROAD = "calls of this tenant may only be sent to US, GB"
ELSEWHERE = "calls of this tenant may only be sent to pbx.acme.example"


def acme(text: str) -> dict[str, str]:
    return {**GOOD, "tenants/acme/tenant.yaml": f"tenant: acme\n{text}\n"}


REFUSED = {
    "a number": ('destinations: {desk: "+8821234567890"}', ABROAD),
    "a tel URI": ('destinations: {desk: "tel:+882-1234567890"}', ABROAD),
    "a tel URI of nobody": ('destinations: {desk: "tel:+-882"}', ABROAD),
    "a number in a SIP URI": (
        'destinations: {desk: "sip:+8821234567890@pbx.acme.example"}',
        ABROAD,
    ),
    "an escaped number": ('destinations: {desk: "sip:%2B8821234567890@pbx.acme.example"}', ABROAD),
    "digits as they are dialed": (
        'destinations: {desk: "sip:0118821234567890@pbx.acme.example"}',
        ABROAD,
    ),
    "a host": ('destinations: {desk: "sip:+17135550100@evil.example"}', ELSEWHERE),
    "another host": (
        'destinations: {desk: "sip:101@pbx.acme.example;maddr=evil.example"}',
        ELSEWHERE,
    ),
    "a variable": ('vars: {d: "+8821234567890"}\ndestinations: {desk: "{{ vars.d }}"}', ABROAD),
    "a variable with a host": (
        'vars: {d: evil.example}\ndestinations: {desk: "sip:+17135550100@{{ vars.d }}"}',
        ELSEWHERE,
    ),
    "a number's variable": (
        (
            'destinations: {desk: "{{ vars.d }}"}\nvars: {d: "+17135550100"}\nnumbers:\n'
            '  "+1 713 481 0111": {rules: [{forward: desk}], vars: {d: "+8821234567890"}}'
        ),
        ABROAD,
    ),
    "the namespace's template": (
        'vars: {desk: "+8821234567890"}\ndestinations: {desk: "+1 713 555 0100"}',
        ABROAD,
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_tenants_destination_that_is_not_granted_is_refused(what: str, tmp_path: Path) -> None:
    text, expected = REFUSED[what]
    lines = told(write(tmp_path, acme(text)))
    assert [line for line in lines if expected in line], lines


@pytest.mark.parametrize("root", ["now.hour", "hours.office.open", "tenant", "language", "agent"])
def test_what_changes_from_call_to_call_chooses_no_destination(root: str, tmp_path: Path) -> None:
    text = (
        "hours: {office: {mon: '09:00-17:00'}}\n"
        f"destinations: {{desk: '{{% if {root} %}}+8821234567890{{% else %}}+17135550100"
        "{% endif %}'}"
    )
    (line,) = told(write(tmp_path, acme(text)))
    assert f"destinations.desk: {root.partition('.')[0]} cannot choose where a call goes" in line


@pytest.mark.parametrize(
    "to",
    ["+44 20 7946 0133", "sip:+17135550100@pbx.acme.example", "sip:101@PBX.acme.example:5061"],
)
def test_what_is_granted_is_usable(to: str, tmp_path: Path) -> None:
    config = loaded(tmp_path, acme(f'destinations: {{desk: "{to}"}}'))
    assert isinstance(decided(config, "+17134810111").verdict, Forward)


def test_a_sip_host_needs_a_grant_of_its_own_and_countries_none(tmp_path: Path) -> None:
    config = loaded(tmp_path, GOOD)
    assert isinstance(decided(config, "+17134810122").verdict, Forward)
    own = 'tenant: bravo\ndestinations: {desk: "sip:desk@pbx.bravo.example"}\n'
    (line,) = told(write(tmp_path, {**GOOD, "tenants/bravo/tenant.yaml": own}))
    assert "tenants/bravo/tenant.yaml:2:22: destinations.desk: " in line
    assert "may only be sent to no SIP host (the operator grants" in line


def test_the_operators_own_destinations_are_not_restricted(tmp_path: Path) -> None:
    main = MAIN.replace(
        '0111": {tenant: acme, forward: desk}', '0111": {tenant: acme, forward: common/night}'
    )
    config = loaded(tmp_path, {**GOOD, "agents.yaml": main})
    assert isinstance(decided(config, "+17134810111").verdict, Forward)


def test_a_template_is_judged_again_when_a_call_is_sent(tmp_path: Path) -> None:
    number = '  "+1 713 481 0111": {tenant: acme, forward: desk}'
    own = number[:-1].replace("forward: desk", "agent: a, vars: {late: '+8821234567890'}}")
    agent = "agents: {a: {instructions: x, vars: {late: required}}}\n"
    files = acme(f'{agent}destinations: {{desk: "+1 713 555 0100"}}')
    config = loaded(tmp_path, {**files, "agents.yaml": MAIN.replace(number, own)})
    controls = Controls((Order(Scope.ALL, to=destination_in(config, frozenset(), "late")),))
    decision = decide(a_call(), config.table, NOON, controls)
    assert isinstance(decision.verdict, Reject)
    assert decision.verdict.code == 503
    assert decision.trace[-1].because == ABROAD
    assert "882" not in str(decision.trace)


def test_an_order_leads_to_the_operators_destination_and_has_no_quota(tmp_path: Path) -> None:
    own = 'destinations: {desk: "+1 713 555 0100", boss: "+1 713 555 0166"}'
    config = loaded(tmp_path, acme(own))
    to = destination_in(config, frozenset({TenantName("acme")}), "boss")
    decision = decide(a_call(), config.table, NOON, Controls((Order(Scope.ALL, to=to),)))
    assert isinstance(decision.verdict, Forward)
    assert decision.verdict.plan.refer_to == "tel:+8821234567890"
    assert decision.caps == ()
    usual = decided(config, "+17134810111")
    assert [cap.which for cap in usual.caps] == ["forwards"]


@pytest.mark.parametrize("user", ["+17134810111", "17134810111"])
def test_a_sip_uri_with_a_number_of_the_directory_is_a_loop(user: str, tmp_path: Path) -> None:
    to = f"sip:{user}@pbx.acme.example"
    (line,) = told(write(tmp_path, acme(f'destinations: {{desk: "{to}"}}')))
    assert "this is a number of this directory" in line
    config = loaded(
        tmp_path, acme(f'destinations: {{desk: {{to: "{to}", allow_own_number: true}}}}')
    )
    assert isinstance(decided(config, "+17134810111").verdict, Forward)
    text = f'vars: {{d: "{to}"}}\ndestinations: {{desk: "{{{{ vars.d }}}}"}}'
    assert "is a number of this directory" in told(write(tmp_path, acme(text)))[0]


def test_a_namespaces_destination_follows_where_nobody_answers(tmp_path: Path) -> None:
    files = {
        "agents.yaml": (
            "version: 1\ninclude: [common/agents.yaml, tenants/*/tenant.yaml]\n"
            "defaults: {model: gpt-realtime-2.1}\ntenants: {acme: {}}\n"
            'numbers: {"+17134810111": {tenant: acme, agent: a}}\n'
        ),
        "common/agents.yaml": (
            "namespace: common\ndestinations:\n"
            "  desk: {to: '+17135550100', on_failure: common/boss}\n"
            "  boss: '+17135550101'\n"
        ),
        "tenants/acme/tenant.yaml": (
            "tenant: acme\nfallback: common/boss\n"
            "destinations: {desk: {to: '+17135550102', on_failure: [common/desk, resume]}}\n"
            "agents: {a: {tools: [{transfer: [desk]}]}}\n"
        ),
    }
    call = plan(loaded(tmp_path, files), "+17134810111")
    ways = {way.destination: way.on_failure for way in call.ways.destinations}
    assert ways == {
        "desk": ("common/desk", "resume"),
        "common/desk": ("common/boss",),
        "common/boss": (),
    }
    assert call.fallback is not None
    assert call.fallback.refer_to == "tel:+17135550101"
