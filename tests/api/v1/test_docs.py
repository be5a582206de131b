"""Every command of docs/api.md is run as it stands there."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.api.v1.serving import served

PAGE = (Path(__file__).parents[3] / "docs" / "api.md").read_text("utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = [
    line.partition("    #")[0].rstrip()
    for block in BLOCKS
    for line in block.splitlines()
    if line.startswith("ask ")
]
OPERATORS = "config/"
ALIAS = next(line for block in BLOCKS for line in block.splitlines() if line.startswith("alias "))


@pytest.mark.timeout(240)
def test_every_command_of_the_page_is_answered(tmp_path: Path) -> None:
    assert len(COMMANDS) > 25
    with served(tmp_path) as api:
        for command in COMMANDS:
            token = api.token if OPERATORS in command else api.acme
            answer = _run(command, f"{api.url}/api/v1", token)
            assert answer.returncode == 0, (command, answer.stdout, answer.stderr)
            assert json.loads(answer.stdout), command


def _run(command: str, url: str, token: str) -> "subprocess.CompletedProcess[str]":
    environment = {
        "PATH": os.environ["PATH"],
        "API": url,
        "TOKEN": token,
        "CALL": "rtc_1",
        "LIVE": "rtc_live",
    }
    script = f"shopt -s expand_aliases\n{ALIAS}\n{command}\n"
    return subprocess.run(
        ["bash", "-c", script], env=environment, capture_output=True, text=True, timeout=30
    )


def test_every_code_of_the_api_is_in_the_page() -> None:
    source = Path(__file__).parents[3] / "src" / "sipagent" / "api" / "v1"
    for name in ("acting", "words", "base", "errors", "auth", "agents", "bounds"):
        text = (source / f"{name}.py").read_text("utf-8")
        for code in re.findall(r'[Pp]roblem\(\s*\d{3},\s*"([a-z-]+)"', text):
            assert f"`{code}`" in PAGE, code
