"""Where tenants are told of their calls: as the operator writes it, and as their own files may."""

from pathlib import Path
from typing import get_args

import pytest

from sipagent.config import Loaded
from sipagent.config.report.difference import difference
from sipagent.config.schema.webhooks import EventName
from sipagent.model import EventType, TenantName, Webhook
from sipagent.providers.secrets import SecretSource
from tests.config.support import loaded, told, write

ACME, BETA = TenantName("acme"), TenantName("beta")
MAIN = """\
version: 1
include: [tenants/*/tenant.yaml]
defaults: {{model: gpt-realtime-2.1}}
tenants:
  acme:
    grants:
      secrets: {{hook: {{file: secrets/hook}}}}
      http_hosts: [api.acme.example]
    webhooks: {webhooks}
  beta: {{}}
agents: {{a: {{instructions: Be kind.}}}}
numbers: {{"+17134810111": {{tenant: beta, agent: a}}, default: {{reject: 404}}}}
"""
TENANT = """\
tenant: acme
agents: {{a: {{instructions: Be kind.}}}}
webhooks: {webhooks}
"""
CRM = "{url: 'https://api.acme.example/events', secret: {file: secrets/crm}, events: [call.ended]}"
OWN = "{url: 'https://api.acme.example/own', secret: {secret: hook}, include: [transcript]}"


def files(operators: str = "{}", own: str = "{}") -> dict[str, str | bytes]:
    return {
        "agents.yaml": MAIN.format(webhooks=operators),
        "tenants/acme/tenant.yaml": TENANT.format(webhooks=own),
    }


def configured(folder: Path, operators: str = "{}", own: str = "{}") -> Loaded:
    return loaded(folder, files(operators, own))


def test_the_operator_s_and_the_tenant_s_webhooks_are_compiled(tmp_path: Path) -> None:
    config = configured(tmp_path, f"{{crm: {CRM}}}", f"{{own: {OWN}}}")
    assert config.table.tenants[ACME].webhooks == {
        "crm": Webhook("crm", "https://api.acme.example/events", frozenset({EventType.CALL_ENDED})),
        "own": Webhook("own", "https://api.acme.example/own", transcript=True),
    }
    assert config.table.tenants[BETA].webhooks == {}
    assert config.webhook_secrets == {
        (ACME, "crm"): SecretSource(file=tmp_path / "secrets" / "crm"),
        (ACME, "own"): SecretSource(file=tmp_path / "secrets" / "hook"),
    }


def test_every_event_can_be_asked_for() -> None:
    assert set(get_args(EventName)) == set(EventType)


def test_a_webhook_changes_the_version_and_is_told_as_a_difference(tmp_path: Path) -> None:
    without = configured(tmp_path)
    versions = [
        configured(tmp_path, f"{{crm: {CRM}}}"),
        configured(tmp_path, f"{{crm: {CRM.replace('/events', '/other')}}}"),
        configured(tmp_path, f"{{crm: {CRM.replace('call.ended', 'call.started')}}}"),
        configured(tmp_path, f"{{crm: {CRM.replace('secrets/crm', 'secrets/next')}}}"),
    ]
    hashes = {each.table.config_hash for each in (without, *versions)}
    assert len(hashes) == 5
    lines = "\n".join(difference(without, versions[0]).lines())
    assert "webhooks.crm.url" in lines
    assert "webhooks.crm.secret" in lines


@pytest.mark.parametrize(
    ("operators", "own", "message"),
    [
        (
            "{}",
            "{own: {url: 'https://evil.example/x', secret: {secret: hook}}}",
            'webhooks.own.url: the tenant may not ask the host "evil.example"',
        ),
        (
            "{}",
            "{own: {url: 'http://api.acme.example/x', secret: {secret: hook}}}",
            "webhooks.own.url: what is told there would not be encrypted",
        ),
        (
            "{}",
            "{own: {url: 'https://api.acme.example/x', secret: {secret: other}}}",
            "webhooks.own.secret.secret: the tenant has no secret of this name",
        ),
        (
            "{}",
            "{own: {url: 'https://me:you@api.acme.example/x', secret: {secret: hook}}}",
            "webhooks.own.url: the URL has credentials",
        ),
        (
            "{}",
            "{own: {url: 'https://api.acme.example/x#y', secret: {secret: hook}}}",
            "webhooks.own.url: it is no http:// or https:// URL without a fragment",
        ),
        (
            "{}",
            "{own: {url: 'https://api.acme.example/{x}', secret: {secret: hook}}}",
            "webhooks.own.url: the URL has a character that has to be percent-encoded",
        ),
        (
            "{}",
            "{own: {url: 'https://api.acme.example/x', secret: {file: /etc/shadow}}}",
            "webhooks.own.secret",
        ),
        (
            "{crm: {url: 'ftp://api.acme.example/x', secret: {file: s}}}",
            "{}",
            "tenants.acme.webhooks.crm.url: it is no http:// or https:// URL without a fragment",
        ),
        (
            "{crm: {url: 'https://a.example', secret: {file: s}, events: [call.lost]}}",
            "{}",
            "tenants.acme.webhooks.crm.events",
        ),
        (f"{{crm: {CRM}}}", f"{{crm: {OWN}}}", "webhooks.crm: the operator has a webhook of this"),
    ],
)
def test_what_is_refused(operators: str, own: str, message: str, tmp_path: Path) -> None:
    found = told(write(tmp_path, files(operators, own)))
    assert message in found[0]
    assert all(each.split(": ")[1].startswith(message.split(": ")[0]) for each in found)


def test_a_secret_that_is_written_out_is_refused_and_never_told(tmp_path: Path) -> None:
    written = "{crm: {url: 'https://a.example', secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}}"
    (found,) = told(write(tmp_path, files(written)))
    assert "tenants.acme.webhooks.crm.secret" in found
    assert "MfKQ9" not in found
