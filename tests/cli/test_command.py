"""The command as a whole: light to load, completed by shells, and never a traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sipagent.cli import app

SIPAGENT = Path(sys.executable).with_name("sipagent")
HEAVY = (
    "pydantic",
    "yaml",
    "jinja2",
    "fastapi",
    "httpx",
    "structlog",
    "phonenumbers",
    "redis",
    "asyncpg",
    "sipagent.config",
)


def test_help_imports_nothing_heavy() -> None:
    code = "import sys, sipagent.cli; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    loaded = set(modules.stdout.split())
    assert [name for name in HEAVY if name in loaded] == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands(shell: str) -> None:
    words = {
        "COMP_WORDS": "sipagent pri",
        "COMP_CWORD": "1",
        "_TYPER_COMPLETE_ARGS": "sipagent pri",
    }
    environment = {**os.environ, **words, "_SIPAGENT_COMPLETE": f"complete_{shell}"}
    if shell == "fish":
        environment["_TYPER_COMPLETE_FISH_ACTION"] = "get-args"
    found = subprocess.run([SIPAGENT], env=environment, capture_output=True, text=True)
    assert "print-config" in found.stdout
    shown = subprocess.run(
        [SIPAGENT, "--show-completion"],
        env={**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
        capture_output=True,
        text=True,
    )
    assert "Traceback" not in shown.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("divert", "nmber", "1"), ("SCOPE", '"nmber" is none of all', "did you mean number?")),
        (("schema", "foo"), ("KIND", '"foo" is none of agents, tenant, namespace')),
        (("route", "1", "--at", "garbage"), ("--at", '"garbage" is no time', "ISO 8601")),
    ],
)
def test_a_word_that_is_not_understood_is_told_plainly(
    words: tuple[str, ...], told: tuple[str, ...]
) -> None:
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    text = " ".join(result.stderr.replace("│", " ").split())
    assert [part for part in told if part not in text] == []
    assert "Value error" not in text
