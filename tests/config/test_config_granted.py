"""Secrets that tenants are granted are read live, and stand in no plan."""

from pathlib import Path

import pytest

from sipagent.config.reload.live import LiveConfiguration
from sipagent.engine.claims import decision_to_json
from sipagent.errors import SecretError
from sipagent.model import SecretName, TenantName
from sipagent.model.secret import with_secrets
from tests.config.support import decided, loaded, plan, write

ACME, BRAVO = TenantName("acme"), TenantName("bravo")
CRM = SecretName("crm")
NUMBER = "+17134810111"
MAIN = f"""\
version: 1
include: tenants/*/tenant.yaml
defaults: {{model: gpt-realtime-2.1}}
tenants:
  acme: {{grants: {{secrets: {{crm: {{file: acme.key}}}}, http_hosts: [api.acme.example]}}}}
  bravo: {{grants: {{secrets: {{crm: {{file: bravo.key}}}}}}}}
numbers: {{"{NUMBER}": {{tenant: acme, agent: a}}, default: {{reject: 404}}}}
"""
OWN = """\
tenant: acme
agents:
  a:
    tools:
      - http: {name: x, url: "https://api.acme.example/x", auth: {bearer: {secret: crm}}}
      - mcp:
          server_label: orders
          server_url: "https://api.acme.example/mcp"
          auth: {bearer: {secret: crm}}
"""
FILES = {
    "agents.yaml": MAIN,
    "tenants/acme/tenant.yaml": OWN,
    "acme.key": "first-key\nnext-key\n",
    "bravo.key": "other-key\n",
}


def live(folder: Path) -> LiveConfiguration:
    return LiveConfiguration(write(folder, FILES), environment={})


def test_each_tenant_has_its_own(tmp_path: Path) -> None:
    held = live(tmp_path)
    assert held.secret(ACME, CRM) == "first-key"
    assert held.secret(BRAVO, CRM) == "other-key"
    for tenant, name in ((ACME, "crn"), (TenantName("default"), "crm")):
        with pytest.raises(SecretError) as caught:
            held.secret(tenant, SecretName(name))
        assert "key" not in str(caught.value)


async def test_a_new_one_is_read_without_another_version(tmp_path: Path) -> None:
    held = live(tmp_path)
    version = held.table.config_hash
    assert tmp_path / "acme.key" in held.watched_beside()
    (tmp_path / "acme.key").write_text("second-key\n")
    status = await held.refresh()
    assert held.secret(ACME, CRM) == "second-key"
    assert (held.table.config_hash, status.troubles) == (version, ())


async def test_one_that_cannot_be_read_any_more_stays(tmp_path: Path) -> None:
    held = live(tmp_path)
    (tmp_path / "acme.key").unlink()
    status = await held.refresh()
    assert held.secret(ACME, CRM) == "first-key"
    (trouble,) = status.troubles
    assert (trouble.part, trouble.code) == ("tenant:acme:crm", "stale-secrets")


def test_one_that_was_never_there_holds_up_nobody(tmp_path: Path) -> None:
    path = write(tmp_path, FILES)
    (tmp_path / "bravo.key").unlink()
    held = LiveConfiguration(path, environment={})
    assert held.secret(ACME, CRM) == "first-key"
    with pytest.raises(SecretError):
        held.secret(BRAVO, CRM)
    assert [trouble.part for trouble in held.status.troubles] == ["tenant:bravo:crm"]


def test_no_plan_holds_one(tmp_path: Path) -> None:
    config = loaded(tmp_path, FILES)
    written = decision_to_json(decided(config, NUMBER))
    assert b"$secret" in written
    assert b"-key" not in written
    session = plan(config, NUMBER).session
    assert session["tools"][1]["authorization"] == {"$secret": "crm", "tenant": "acme"}
    sent = with_secrets(session, live(tmp_path).secret)
    assert sent["tools"][1]["authorization"] == "first-key"
    assert sent["tools"][0] == session["tools"][0]
