"""docs/cli.md names every command and option, and its examples do what they show."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from sipagent.cli import app

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "cli.md").read_text("utf-8")
UNNAMED = {"--help"}


def commands(group: Any, path: str = "sipagent") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def sections() -> dict[str, str]:
    """The text below each heading of the third level, and the table of the other commands."""
    parts = re.split(r"^### (.*)$", PAGE, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def section_of(name: str) -> str:
    _, group, *rest = name.split()
    for heading, text in sections().items():
        if heading.startswith(f"`sipagent {group}") and all(word in heading for word in rest):
            return heading + text
    return "".join(line for line in PAGE.splitlines() if f"`{name}" in line)


@pytest.mark.parametrize(("name", "command"), list(commands(get_command(app))), ids=str)
def test_every_command_and_option_is_described(name: str, command: Any) -> None:
    text = section_of(name)
    assert text, name
    for parameter in command.params:
        if parameter.param_type_name == "option" and not parameter.hidden:
            names = [each for each in parameter.opts if each.startswith("--")]
            assert any(each in text for each in names) or set(names) <= UNNAMED, (name, names)


def test_every_option_that_is_described_exists() -> None:
    known = {each for _, one in commands(get_command(app)) for p in one.params for each in p.opts}
    known |= {"--help", "--install-completion", "--show-completion"}
    assert set(re.findall(r"(?<!-)--[a-z][a-z-]*", PAGE)) <= known


def examples() -> list[tuple[str, list[str]]]:
    """Each command line of a console block, with the lines that it prints there."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line.removeprefix("$ "), []))
            else:
                found[-1][1].append(line)
    return found


def normal(line: str) -> str:
    line = re.sub(r"\b[0-9a-f]{12}\b", "HASH", line)
    return re.sub(r"until 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC", "until TIME", line)


def pattern(shown: list[str]) -> str:
    """What is shown as a regular expression; a line `...` stands for any lines."""
    lines = (r"(?:.*\n)*" if line == "..." else re.escape(normal(line)) + r"\n" for line in shown)
    return "".join(lines)


def test_the_examples_do_what_they_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("SIPAGENT_CONFIG", raising=False)
    monkeypatch.setenv("SIPAGENT_DATA_DIR", str(tmp_path))
    lines = examples()
    assert len(lines) > 10
    for line, shown in lines:
        program, *words = shlex.split(line)
        assert program == "sipagent"
        result = CliRunner().invoke(app, words)
        assert result.exception is None or isinstance(result.exception, SystemExit), line
        printed = "".join(f"{normal(each)}\n" for each in result.stdout.splitlines())
        assert re.fullmatch(pattern(shown), printed), f"{line}\n{result.output}"
