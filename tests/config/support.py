"""Files in a folder, and calls to what they compile to."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from sipagent.config import Loaded, load
from sipagent.errors import ConfigError, Finding
from sipagent.model import (
    Accept,
    AccountName,
    CallId,
    CallPlan,
    Decision,
    Forward,
    IncomingCall,
    TrunkName,
    WebhookId,
)
from sipagent.routing import decide
from sipagent.sip import Headers, read_invite

NOON = 1_790_096_400.0
"""Tuesday, 22 September 2026, 12:00 in Chicago."""


def write(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """The folder with these files; returns its agents.yaml."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder / "agents.yaml"


def loaded(folder: Path, files: Mapping[str, str | bytes], **environment: str) -> Loaded:
    return load(write(folder, files), environment=environment)


def findings(path: Path, **environment: str) -> tuple[Finding, ...]:
    with pytest.raises(ConfigError) as caught:
        load(path, environment=environment)
    return caught.value.findings


def told(path: Path, **environment: str) -> list[str]:
    """What is wrong, each without the folder."""
    return [str(each).replace(f"{path.parent}/", "") for each in findings(path, **environment)]


def decided(
    config: Loaded,
    number: str,
    *,
    at: float = NOON,
    call_id: str = "rtc_1",
    account: str = "default",
    caller: str = "+12025550123",
    trunk: str | None = None,
) -> Decision:
    """What happens to a call to this number."""
    raw = [
        {"name": "To", "value": f"<sip:{number}@x>"},
        {"name": "From", "value": f"<sip:{caller}@x>"},
    ]
    headers = Headers.from_json(raw)
    call = IncomingCall(
        CallId(call_id),
        WebhookId("wh_1"),
        AccountName(account),
        read_invite(headers),
        headers=headers,
        trunk=None if trunk is None else TrunkName(trunk),
        verified=trunk is not None,
    )
    return decide(call, config.table, at)


def plan(config: Loaded, number: str, *, at: float = NOON, account: str = "default") -> CallPlan:
    """The plan of a call that is taken."""
    verdict = decided(config, number, at=at, account=account).verdict
    assert isinstance(verdict, Accept | Forward), verdict
    return verdict.plan
