"""The command as a whole: light to load, completed by shells, and never a traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SIPAGENT = Path(sys.executable).with_name("sipagent")
HEAVY = (
    "pydantic",
    "yaml",
    "jinja2",
    "fastapi",
    "httpx",
    "structlog",
    "phonenumbers",
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
