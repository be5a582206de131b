"""A secret that was written where none may stand is in no finding, no probe and no log line."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
import structlog

from sipagent.config.findings import masked
from sipagent.config.reload.live import Status
from sipagent.config.reload.reloader import tell
from sipagent.config.reload.stored import Origin, Trouble
from sipagent.errors import Finding, SettingsError
from sipagent.model import TenantName
from sipagent.upkeep import Upkeep
from tests.config.support import findings, write

ACME = TenantName("acme")
CANARY, DIGITS = "hunter2", "12345678901234567890123456789"
SHAPES = {
    "a text": CANARY,
    "a quoted text": f'"{CANARY}!"',
    "a list": f"[{CANARY}]",
    "a mapping": f"{{fil: {CANARY}}}",
    "a key": f"{{{CANARY}: }}",
    "a key beside the file": f"{{file: x, {CANARY}: y}}",
    "a list in a mapping": f"{{file: [{CANARY}]}}",
    "a mapping in a mapping": f"{{file: {{x: {CANARY}}}}}",
    "a value": f"{{header: X-Key, value: {CANARY}}}",
    "a number": DIGITS,
    "a short number": DIGITS[:9],
    "a number in a list": f"[{DIGITS}]",
    "an alias": f"*{CANARY}",
    "a tag": f"!{CANARY} x",
    "a default": f'"x${{K:-{CANARY}}}"',
}
HTTP = "defaults: {tools: [{http: {name: x, url: 'https://h.example', auth: "
AZURE = "accounts: {a: {provider: azure, endpoint: 'https://x.example', webhook_secrets: {file: x}"
FIELDS = {
    "api_keys": "accounts: {a: {api_keys: %s, webhook_secrets: {file: x}}}",
    "webhook_secrets": "accounts: {a: {webhook_secrets: %s, api_keys: {file: x}}}",
    "azure's api_keys": AZURE + ", api_keys: %s}}",
    "client_secret": AZURE + ", entra: {tenant_id: t, client_id: c, client_secret: %s}}}",
    "federated_token": AZURE + ", entra: {tenant_id: t, client_id: c, federated_token: %s}}}",
    "a trunk's secret": "trunks: {t: {secret: %s}}",
    "the value of a trunk's secret": "trunks: {t: {secret: {header: X-Key, value: %s}}}",
    "a granted secret": "tenants: {t: {grants: {secrets: {crm: %s}}}}",
    "auth": HTTP + "%s}}]}",
    "bearer": HTTP + "{bearer: %s}}}]}",
    "a bearer's secret": (
        "defaults: {tools: [{mcp: {server_label: x, server_url: 'https://h.example', "
        "auth: {bearer: {secret: %s}}}}]}"
    ),
}
ITSELF = "a secret itself must not stand in the file"


def told(folder: Path, field: str, shape: str) -> list[str]:
    text = FIELDS[field] % SHAPES[shape]
    agents = "agents: {a: {instructions: Be kind., model: m}}\nnumbers: {default: a}"
    path = write(folder, {"agents.yaml": f"version: 1\n{text}\n{agents}\n"})
    return [line for found in findings(path) for line in (f"{found!r}", f"{found}", masked(found))]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("field", FIELDS)
def test_no_finding_quotes_a_secret(field: str, shape: str, tmp_path: Path) -> None:
    for line in told(tmp_path, field, shape):
        assert CANARY not in line
        assert DIGITS[:9] not in line


@pytest.mark.parametrize("field", [field for field in FIELDS if "bearer's" not in field])
@pytest.mark.parametrize("shape", ["a text", "a list"])
def test_what_is_wrong_is_said(field: str, shape: str, tmp_path: Path) -> None:
    assert [line for line in told(tmp_path, field, shape) if ITSELF in line]


@pytest.mark.parametrize(
    ("path", "message", "expected"),
    [
        ('numbers."+1 713 481 0111"', "x", 'f:1:2: numbers."+17*******11": x'),
        ("numbers.17134810111", "x", "f:1:2: numbers.17*******11: x"),
        (
            "",
            'the same as "(713) 481-0111" in line 4',
            'f:1:2: the same as "(71******11" in line 4',
        ),
        ("a.speed", "must be at most 1.5", "f:1:2: a.speed: must be at most 1.5"),
        ("", "/data/versions/1790096400000-ab.json", "f:1:2: /data/versions/1790096400000-ab.json"),
    ],
)
def test_no_number_is_whole_in_logs_and_probes(path: str, message: str, expected: str) -> None:
    assert masked(Finding("f", 1, 2, path, message)) == expected


def test_the_log_and_the_probe_tell_no_whole_number(tmp_path: Path) -> None:
    text = "version: 1\ndefaults: {model: m}\nagents: {a: {instructions: x}}\nnumbers:\n"
    path = write(tmp_path, {"agents.yaml": text + '  "+1 713 481 0111": b\n'})
    found = findings(path)
    assert "+1 713 481 0111" in str(found[0])
    trouble = Trouble("data", "unusable", str(found[0]))
    good = Status("0" * 12, Origin.FILES, 0.0)
    status = replace(good, findings=found, stale={ACME: found}, troubles=(trouble,))
    with structlog.testing.capture_logs() as lines:
        tell(good, status)
    live: Any = SimpleNamespace(status=status, observe=Mock())
    upkeep = Upkeep(live, SettingsError(()), Mock(), Mock())
    shown = f"{lines} {upkeep.defects()}"
    assert shown.count("agents.yaml:5:22: ") == 5
    assert "713" not in shown
