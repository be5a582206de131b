"""The runbook describes every alert, every reason of readiness and every warning that replicas add,
and no other; the rules ask for metrics that there are."""

import ast
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from sipagent.cli import app
from sipagent.config.reload.stored import Origin
from sipagent.standing import Tally
from tests.metrics_shown import labels_by_name

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "sipagent"
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text("utf-8")
ALERTS = (ROOT / "docs" / "alerts.md").read_text("utf-8")
RULES = yaml.safe_load(ALERTS.partition("## Rules for Prometheus\n")[2].split("```")[1])
ALERT_RULES = [rule for group in RULES["groups"] for rule in group["rules"]]

REPLICAS = (
    *sorted((SOURCE / "engine" / "redis").glob("*.py")),
    SOURCE / "config" / "reload" / "following.py",
    SOURCE / "cli" / "serve.py",
)
"""Where it is logged what only several replicas come to."""

LEVELS = {"warning": "warning", "error": "error", "exception": "error"}
REASONS = ("UnreadyReason", "Defect", "Trouble")
HEALTH = SOURCE / "providers" / "openai" / "health.py"


def calls_in(*files: Path) -> Iterator[tuple[str, ast.Call]]:
    """Every call in these files, with the last part of what is called."""
    for file in files:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                yield ast.unparse(node.func).rpartition(".")[2], node


def events(*levels: str) -> set[tuple[str, str]]:
    """What is logged for replicas, with its level."""
    return {
        (ast.literal_eval(call.args[0]), LEVELS.get(name, name))
        for name, call in calls_in(*REPLICAS)
        if ast.unparse(call.func) == f"log.{name}" and name in levels
    }


def codes() -> set[str]:
    """All codes of readiness: they stand as texts where a reason is made, or where an engine or an
    account says what is wrong with it."""
    found = {f"serving-{origin}" for origin in Origin if origin is not Origin.FILES}
    files = [file for file in SOURCE.rglob("*.py") if file != HEALTH]
    for name, call in calls_in(*files):
        if name in REASONS:
            found |= texts(call.args[1:2])
    for name, call in calls_in(HEALTH):
        if name in ("Trouble", "_ill"):  # of an account, whose trouble has no part
            found |= texts(call.args[:1])
    for file in (SOURCE / "engineroom.py", SOURCE / "engine" / "redis" / "room.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name == "defects":
                for pair in ast.walk(node):
                    found |= texts(pair.elts[:1]) if isinstance(pair, ast.Tuple) else set()
    return found


def texts(nodes: Sequence[ast.expr]) -> set[str]:
    """Those of these that are written out."""
    found = {one.value for one in nodes if isinstance(one, ast.Constant)}
    return {one for one in found if isinstance(one, str)}


def rows(heading: str) -> list[list[str]]:
    """The cells of all tables in a section."""
    section = RUNBOOK.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_reason_of_readiness_is_described_and_no_other() -> None:
    table = [row for row in rows("What `/readyz` says") if row[0] != "`part`"]
    described = [code for row in table for code in quoted(row[1])]
    assert set(described) == codes()
    assert {row[2][:3] for row in table} == {"200", "503"}


def test_every_warning_of_replicas_is_described_and_no_other() -> None:
    table = [row for row in rows("What the log says") if len(row) == 3 and row[0] != "`event`"]
    described = {(quoted(row[0])[0], row[1]) for row in table}
    assert len(described) == len(table)
    assert described == events(*LEVELS)


def test_lines_that_say_that_it_is_over_are_logged() -> None:
    table = [row for row in rows("What the log says") if len(row) == 2]
    assert table[0][0] == "`event`, level `info`"
    described = {quoted(row[0])[0] for row in table[1:]}
    files = (*REPLICAS, SOURCE / "storehouse.py")
    logged = {
        str(ast.literal_eval(call.args[0])) for name, call in calls_in(*files) if name == "info"
    }
    assert described
    assert described <= logged


def test_every_alert_is_described_and_no_other() -> None:
    section = RUNBOOK.partition("\n## Alerts\n")[2].partition("\n## ")[0]
    described = re.findall(r"^### (\S+)$", section, re.MULTILINE)
    assert len(described) == len(set(described))
    assert set(described) == {rule["alert"] for rule in ALERT_RULES}


@pytest.mark.parametrize("rule", ALERT_RULES, ids=lambda rule: rule["alert"])
def test_every_rule_asks_for_a_metric_that_there_is(rule: dict[str, str]) -> None:
    labels = labels_by_name()
    for name, selected in re.findall(r"\b(sipagent_\w+)(?:\{([^}]*)\})?", rule["expr"]):
        assert name in labels, name
        for label, value in re.findall(r'(\w+)[=!~]+"([^"]*)"', selected):
            assert label in labels[name], f"{name}{{{label}}}"
            if label == "change":
                assert value in Tally().changes()


def shown_commands() -> list[str]:
    """Every `sipagent ...` that stands in a sentence."""
    sentences = re.sub(r"```.*?```", "", RUNBOOK, flags=re.DOTALL).replace("\n", " ")
    return [one for one in quoted(sentences) if re.search(r"\bsipagent [a-z]", one)]


@pytest.mark.parametrize("line", shown_commands())
def test_every_command_in_a_sentence_exists(line: str) -> None:
    words, command = shlex.split(line.rpartition("sipagent ")[2]), get_command(app)
    while words and hasattr(command, "commands"):
        assert words[0] in command.commands, line
        command = command.commands[words.pop(0)]
    known = {name for parameter in command.params for name in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_every_place_in_the_runbook_and_the_alerts_is_there(page: Path) -> None:
    own = page.read_text("utf-8")
    for name, mark in re.findall(r"\]\((runbook\.md|alerts\.md)?#([^)]+)\)", own):
        text = {"runbook.md": RUNBOOK, "alerts.md": ALERTS}.get(name, own)
        assert mark in {anchor(one) for one in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}


def anchor(heading: str) -> str:
    """How a heading is linked to, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
