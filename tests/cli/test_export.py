"""`sipagent calls export`: every call of a tenant, and nothing that a spreadsheet runs."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sipagent.store import tables
from sipagent.store.cells import cell
from tests.cli.kept import keep, printable
from tests.cli.support import Place
from tests.store.kept import CALLER, DIALED, HOSTILE, a_call, a_turn, failed


@pytest.fixture(autouse=True)
def _no_other_records(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SIPAGENT_DATABASE_URL", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def kept(place: Place) -> Place:
    keep(
        place,
        a_call("rtc_1", caller_name="=HYPERLINK(1)"),
        failed("rtc_2", at=10, detail='say "hi", twice', caller_name=HOSTILE),
        a_call("rtc_3", at=20, tenant="beta"),
    )
    keep(place, a_turn("rtc_1", 0, "@Hello,\nyou"), a_turn("rtc_1", 1), table=tables.turns)
    return place


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_whoever_reads_no_further_ends_it_quietly(kept: Place) -> None:
    words = ("calls", "export", "--tenant", "acme", "--data-dir", str(kept.data))
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = (sys.executable, "-m", "sipagent", *words)
    ended = subprocess.run(
        command, stdout=write_end, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(write_end)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_json_lines_hold_everything_of_a_tenant(kept: Place) -> None:
    result = kept.run("calls", "export", "--tenant", "acme")
    assert (result.exit_code, result.stderr) == (0, "2 calls exported\n")
    two, one = objects(result.stdout)
    assert (two["call_id"], two["detail"]) == ("rtc_2", 'say "hi", twice')
    assert (one["caller"], "caller_name" in one, "transcript" in one) == (
        "+14*******00",
        False,
        False,
    )
    whole = objects(
        kept.run(
            *("calls", "export", "--tenant", "acme", "--numbers", "--transcript", "--until"),
            "2026-09-22T13:53:25",
        ).stdout
    )
    assert [each["caller"] for each in whole] == [CALLER]
    assert [turn["text"] for turn in whole[0]["transcript"]] == ["@Hello,\nyou", "Hello."]


def test_a_csv_is_whole_and_harmless(kept: Place) -> None:
    words = ("calls", "export", "--tenant", "acme", "--format", "csv", "--numbers", "--transcript")
    text = kept.run(*words).stdout
    two, one = rows(text)
    assert one["caller_name"] == "'=HYPERLINK(1)"
    assert (one["caller"], one["dialed"]) == (f"'{CALLER}", f"'{DIALED}")
    assert one["transcript"] == "agent: @Hello,\nyou\ncaller: Hello."
    assert two["detail"] == 'say "hi", twice'
    assert (two["outcome"], two["cost"], two["hold"]) == ("failed.provider_error", "21345", "false")
    assert printable(text.replace("\r\n", "\n"))
    masked = kept.run(*words[:6])
    assert CALLER not in masked.stdout
    assert "caller_name" not in masked.stdout


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, ""),
        (True, "true"),
        (21_345, "21345"),
        (-1, "-1"),
        ("plain", "plain"),
        ("=1+1", "'=1+1"),
        ("+17134810111", "'+17134810111"),
        ("-2", "'-2"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'=1"),
        ("\r=1", "'=1"),
        ("\u200b=1", "'=1"),
        ("\x1b[2Jx", "[2Jx"),
        (["a", "b"], "a b"),
    ],
)
def test_a_cell_is_no_formula(value: Any, written: str) -> None:
    assert cell(value) == written


def test_a_file_is_whole_private_and_never_overwritten(kept: Place, tmp_path: Path) -> None:
    out = tmp_path / "calls.jsonl"
    words = ("calls", "export", "--tenant", "acme", "--out", str(out))
    assert kept.run(*words).exit_code == 0
    assert len(objects(out.read_text())) == 2
    assert out.stat().st_mode & 0o777 == 0o600
    assert not list(tmp_path.glob("*.part"))
    again = kept.run(*words)
    assert (again.exit_code, again.stderr) == (2, f"{out}: is there already\n")
    nowhere = kept.run(*words[:-1], str(tmp_path / "none" / "calls.jsonl"))
    assert nowhere.exit_code == 2
    assert "cannot be written: No such file" in nowhere.stderr


def test_a_failed_export_leaves_no_file(place: Place, tmp_path: Path) -> None:
    out = tmp_path / "calls.csv"
    result = place.run("calls", "export", "--tenant", "acme", "--out", str(out))
    assert result.exit_code == 78
    assert not list(tmp_path.glob("calls*"))


def test_many_pages_are_one_export(place: Place) -> None:
    keep(place, *(a_call(f"rtc_{at:03}", at=at // 7) for at in range(450)))
    found = objects(place.run("calls", "export", "--tenant", "acme").stdout)
    names = [each["call_id"] for each in found]
    assert names == [f"rtc_{at:03}" for at in reversed(range(450))]
