"""What the documents say of settings, outcomes and metrics is what there is."""

import re
import shlex
from pathlib import Path

import pytest

from sipagent.model import Reason
from sipagent.settings import Settings
from sipagent.testing import a_plan
from tests.metrics_shown import everything, labels_by_name

ROOT = Path(__file__).parent.parent.parent
SETTINGS = (ROOT / "docs" / "settings.md").read_text("utf-8")
METRICS = (ROOT / "docs" / "metrics.md").read_text("utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("field", list(Settings.model_fields.values()), ids=str)
def test_every_setting_is_described(field: object) -> None:
    name = str(field.validation_alias)  # type: ignore[attr-defined]
    assert f"`{name}`" in SETTINGS


def test_every_outcome_is_described_and_no_other() -> None:
    log = SETTINGS.partition("## Log\n")[2].partition("\n## ")[0]
    described = set(re.findall(r"`([a-z]+\.[a-z_]+)`", log))
    assert described == {f"{reason.kind}.{reason}" for reason in Reason}


def exposed() -> dict[str, tuple[str, set[str]]]:
    """Every metric with its type and labels, as Prometheus reads them."""
    found = {}
    for family in everything().registry.collect():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels}
        found[name] = (family.type, labels - {"le"})
    return found


def test_every_metric_is_described_and_no_other() -> None:
    rows = [re.split(r"\s*\|\s*", line)[1:5] for line in METRICS.splitlines() if line[:3] == "| `"]
    described = {
        quoted(name)[0]: (kind.strip(), set(quoted(labels))) for name, kind, labels, _ in rows
    }
    assert len(described) == len(rows)
    assert described == exposed()


def test_no_other_page_names_a_metric_that_there_is_not() -> None:
    names = labels_by_name().keys() | exposed().keys()
    for page in PAGES:
        for found in re.findall(r"`(sipagent_[a-z_]*[a-z])[`{]", page.read_text("utf-8")):
            assert found in names, f"{found} in {page.name}"


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


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
