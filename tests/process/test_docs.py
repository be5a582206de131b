"""What the documents say of settings, outcomes and metrics is what there is."""

import re
import shlex
from pathlib import Path

import pytest

from sipagent.metrics import Metrics
from sipagent.model import Reason
from sipagent.settings import Settings
from sipagent.standing import Standing
from sipagent.testing import a_plan

ROOT = Path(__file__).parent.parent.parent
SETTINGS = (ROOT / "docs" / "settings.md").read_text("utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("field", list(Settings.model_fields.values()), ids=str)
def test_every_setting_is_described(field: object) -> None:
    name = str(field.validation_alias)  # type: ignore[attr-defined]
    assert f"`{name}`" in SETTINGS


def test_every_outcome_is_described_and_no_other() -> None:
    log = SETTINGS.partition("## Log\n")[2].partition("\n## ")[0]
    described = set(re.findall(r"`([a-z]+\.[a-z_]+)`", log))
    assert described == {f"{reason.kind}.{reason}" for reason in Reason}


def test_every_metric_is_described_and_no_other() -> None:
    metrics = Metrics()
    metrics.observe_active(lambda: 0)
    metrics.observe_closings(lambda: {"header-timeout": 1})
    metrics.observe_accounts(lambda: {"default": True})
    metrics.observe_unstored(lambda: 0)
    metrics.observe_breakers(lambda: {"default": False})
    metrics.observe_headroom(lambda: {"default": {"tokens": 0.5}}, lambda: {"default": False})
    metrics.observe_arrivals(lambda: {("account", "default"): False})
    standing = Standing(answers=True, passive=False, renewed=0.0, steps=0, changes={"lost": 0})
    metrics.observe_replica(lambda: standing)
    exposed = {
        line.split()[2]
        for line in metrics.exposition().decode().splitlines()
        if line.startswith("# TYPE") and not line.split()[2].endswith("_created")
    }
    described = set(re.findall(r"`(sipagent_[a-z_]+)", SETTINGS))
    assert described == exposed


def commands() -> list[str]:
    """Every `sipagent ...` that a page shows in a block of shell."""
    found = []
    for page in PAGES:
        for block in re.findall(r"```sh\n(.*?)```", page.read_text("utf-8"), re.DOTALL):
            found += [line for line in block.splitlines() if re.search(r"(^|\s)sipagent ", line)]
    return found


@pytest.mark.parametrize("line", commands())
def test_every_command_that_is_shown_exists(line: str) -> None:
    from typer.main import get_command

    from sipagent.cli import app

    words = shlex.split(line, comments=True)
    words = words[words.index("sipagent") + 1 :]
    command = get_command(app)
    while words and hasattr(command, "commands") and words[0] in command.commands:
        command = command.commands[words.pop(0)]
    assert not hasattr(command, "commands"), line
    known = {name for parameter in command.params for name in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text("utf-8")):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def test_a_plan_holds_no_credential() -> None:
    assert not [name for name in type(a_plan()).__slots__ if "key" in name or "secret" in name]
