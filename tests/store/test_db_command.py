"""`sipagent db upgrade` and `sipagent db status`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sipagent.cli import app
from sipagent.store.schema import without_any
from tests.store.support import EXPANDED, NEWER, execute, run_apart

SECRET = "hunter2"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SIPAGENT_DATA_DIR", str(tmp_path / "data"))
    for name in ("SIPAGENT_DATABASE_URL", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"{name}_FILE", raising=False)


def run(*words: str, url: str | None = None) -> Result:
    return CliRunner().invoke(app, ["db", *words], env={"SIPAGENT_DATABASE_URL": url})


def test_a_database_is_upgraded_once(records_url: str) -> None:
    before, first, second, after = (
        run(*words, url=records_url)
        for words in (("status",), ("upgrade",), ("upgrade",), ("status",))
    )

    assert [each.exit_code for each in (before, first, second, after)] == [1, 0, 0, 0]
    assert "has no schema" in before.stdout
    assert f": from nothing to {without_any().newest}" in first.stdout
    assert f"has the newest schema, {without_any().newest}" in second.stdout
    assert second.stdout == after.stdout


def test_the_status_of_no_database_makes_none(tmp_path: Path) -> None:
    result = run("status", "--format", "json")

    assert result.exit_code == 1
    assert json.loads(result.stdout)["state"] == "empty"
    assert not (tmp_path / "data").exists()


def test_a_schema_of_a_later_release_is_refused(postgresql_url: str) -> None:
    assert run("upgrade", url=postgresql_url).exit_code == 0
    for statement in NEWER:
        run_apart(execute(postgresql_url, statement))
    upgraded, shown = run("upgrade", url=postgresql_url), run("status", url=postgresql_url)

    assert (upgraded.exit_code, shown.exit_code) == (78, 78)
    assert "has schema 9999, which this release does not know" in upgraded.stderr
    assert upgraded.stderr == shown.stdout


def test_the_schema_of_the_next_release_is_left_as_it_is(postgresql_url: str) -> None:
    assert run("upgrade", url=postgresql_url).exit_code == 0
    for statement in EXPANDED:
        run_apart(execute(postgresql_url, statement))
    upgraded, shown = run("upgrade", url=postgresql_url), run("status", url=postgresql_url)

    assert (upgraded.exit_code, shown.exit_code) == (0, 0)
    assert "has schema 9998 of a later release, which this one can use" in shown.stdout
    assert upgraded.stdout == shown.stdout


@pytest.mark.parametrize(
    ("url", "code"),
    [
        (f"postgresql://u:{SECRET}@127.0.0.1:1/calls", 3),
        (f"mysql://u:{SECRET}@127.0.0.1/calls", 78),
        (f"sqlite:////proc/{SECRET}/records.sqlite", 78),
    ],
    ids=["server away", "another database", "no folder"],
)
def test_what_cannot_be_used_is_told(url: str, code: int) -> None:
    result = run("upgrade", url=url)

    assert result.exit_code == code
    assert result.stdout == ""
    assert (SECRET in result.stderr) == url.startswith("sqlite")


@pytest.mark.parametrize("name", ["DATABASE_URL", "SIPAGENT_DATABASE_URL"])
@pytest.mark.parametrize("in_file", [False, True], ids=["variable", "file"])
def test_where_records_are_is_told_by_either_variable(
    name: str, in_file: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/elsewhere.sqlite"
    if in_file:
        (tmp_path / "url").write_text(f"{url}\n")
        monkeypatch.setenv(f"{name}_FILE", str(tmp_path / "url"))
    else:
        monkeypatch.setenv(name, url)
    result = CliRunner().invoke(app, ["db", "upgrade"])

    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "elsewhere.sqlite").exists()


def test_our_variable_comes_before_the_platforms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "sqlite:////nonexistent/x.sqlite")
    monkeypatch.setenv("SIPAGENT_DATABASE_URL", f"sqlite:///{tmp_path}/ours.sqlite")

    assert CliRunner().invoke(app, ["db", "upgrade"]).exit_code == 0
    assert (tmp_path / "ours.sqlite").exists()


def test_help_imports_no_database() -> None:
    code = "import sys, sipagent.cli; print('sqlalchemy' in sys.modules, 'alembic' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert ran.stdout.split() == ["False", "False"]
