"""`sipagent privacy` and `sipagent backup`, on records that a writer has left."""

import asyncio
import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy import select, update

from sipagent.model import TenantName
from sipagent.store import tables
from sipagent.store.location import location_of
from sipagent.store.numbers import installation_key
from sipagent.store.opening import changed
from tests.cli.support import Place
from tests.store.nouns import CALLER, keeping
from tests.store.test_traces import NUMBER, SENTENCE, tell

DAY = 86_400.0
NOTHING = "deleted: 0 turns of speech, 0 messages, the words of 0 tool calls, 0 whole calls\n"


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    """A command logs to its own standard error, which ends with it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def place(place: Place) -> Place:
    """With two ended calls of one caller to the default tenant."""

    async def told() -> None:
        async with keeping(f"sqlite:///{place.data}/records.sqlite", place.data) as kept:
            tell(kept, "rtc_1")
            tell(kept, "rtc_2")
            await kept.writer.flushed()

    asyncio.run(told())
    return place


def calls(place: Place) -> list[str]:
    return asyncio.run(_of(place, select(tables.calls.c.call_id).order_by("call_id")))


def turns(place: Place) -> list[str]:
    return asyncio.run(_of(place, select(tables.turns.c.text)))


async def _of(place: Place, wanted: Any) -> list[Any]:
    async with changed(location_of(None, place.data)) as engine, engine.begin() as connection:
        result = await connection.execute(wanted)
        return list(result.scalars()) if result.returns_rows else []


def audited(place: Place) -> list[dict[str, Any]]:
    lines = (place.data / "audit.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines if line]


def test_a_caller_is_erased_and_it_is_audited(place: Place) -> None:
    result = place.run("privacy", "erase", f"+{NUMBER}")
    assert (result.exit_code, result.stdout) == (0, "erased: 2 calls\n")
    assert calls(place) == turns(place) == []
    event = json.loads(result.stderr)
    assert (event["event"], event["calls"]) == ("caller erased", 2)
    (line,) = audited(place)
    assert (line["did"], line["calls"], line["held"]) == ("erase caller", 2, 0)
    assert line["erasure"] == event["erasure"]
    for trace in (result.output, json.dumps(line), (place.data / "erasures.jsonl").read_text()):
        assert NUMBER not in trace


@pytest.mark.parametrize("words", [["--tenant", "acme"], []], ids=["tenant", "number"])
def test_nothing_else_is_erased(words: list[str], place: Place) -> None:
    number = f"+{NUMBER}" if words else CALLER
    result = place.run("privacy", "erase", number, *words)
    assert (result.exit_code, result.stdout) == (0, "erased: 0 calls\n")
    assert calls(place) == ["rtc_1", "rtc_2"]


def test_what_is_held_is_named_and_kept(place: Place) -> None:
    held = place.run("privacy", "hold", "--call", "rtc_2", "--reason", "case 7")
    hold = held.stdout.split()[-1]
    listed = place.json("privacy", "holds")
    assert [(one["id"], one["call_id"], one["reason"]) for one in listed] == [
        (hold, "rtc_2", "case 7")
    ]
    result = place.run("privacy", "erase", f"+{NUMBER}")
    assert (result.exit_code, result.stdout) == (1, "erased: 1 call\n")
    assert "kept, under a legal hold: 1 call\n  rtc_2\n" in result.stderr
    assert calls(place) == ["rtc_2"]

    assert place.run("privacy", "release", hold).stdout == f"released: {hold}\n"
    assert place.run("privacy", "holds").stdout == "no holds\n"
    assert hold in place.run("privacy", "holds", "--all").stdout
    assert place.run("privacy", "replay").stdout == "erased: 1 call\n"
    assert calls(place) == []
    assert [line["did"] for line in audited(place)] == [
        *("hold", "erase caller", "release", "replay erasures"),
    ]


def test_a_hold_on_a_caller_shows_no_number(place: Place) -> None:
    place.run("privacy", "hold", "--caller", f"+{NUMBER}", "--tenant", "acme", "--reason", "case")
    shown = place.run("privacy", "holds").stdout
    assert "tenant acme" in shown
    assert NUMBER not in shown + (place.data / "audit.jsonl").read_text()


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["erase", "nobody"], 2, "that is no telephone number"),
        (["hold", "--reason", "x"], 2, "name a --call, or a --caller"),
        (["hold", "--call", "a", "--tenant", "b", "--reason", "x"], 2, "name a --call, or"),
        (["hold", "--call", "rtc_1", "--reason", " "], 2, "--reason is empty"),
        (["hold", "--call", "rtc_9", "--reason", "x"], 1, "there is no such call"),
        (["release", "ffff"], 1, "there is no such hold in force"),
        (["erase", "713 481 0111"], 2, "that names no country"),
        (["erase", f"+{NUMBER}", "--tenant", "acmee"], 2, "(did you mean acme?)"),
        (["hold", "--tenant", "acmee", "--reason", "x"], 2, 'there is no tenant "acmee"'),
    ],
)
def test_what_cannot_be_done_is_told(words: list[str], code: int, told: str, place: Place) -> None:
    result = place.run("privacy", *words)
    assert result.exit_code == code
    assert told in result.stderr


def test_words_are_pruned_as_the_tenant_wishes(place: Place) -> None:
    place.change("tenants:\n", "tenants:\n  default: {account: us-1, privacy: {transcripts: 7d}}\n")
    assert place.run("privacy", "prune").stdout == NOTHING
    old = update(tables.turns).values(at=time.time() - 8 * DAY)
    asyncio.run(_of(place, old))
    assert place.run("privacy", "prune").stdout == NOTHING.replace("0 turns", "12 turns")
    assert turns(place) == []
    assert calls(place) == ["rtc_1", "rtc_2"]


def test_a_misspelt_tenant_leaves_no_trace(place: Place) -> None:
    place.run("privacy", "erase", f"+{NUMBER}", "--tenant", "acmee")
    place.run("privacy", "hold", "--tenant", "acmee", "--reason", "x")
    assert not (place.data / "erasures.jsonl").exists()
    assert place.run("privacy", "holds").stdout == "no holds\n"


def test_a_tenant_of_the_records_only_can_be_named(place: Place) -> None:
    asyncio.run(_of(place, update(tables.calls).values(tenant="former")))
    result = place.run("privacy", "erase", f"+{NUMBER}", "--tenant", "former")
    assert (result.exit_code, result.stdout) == (0, "erased: 2 calls\n")


@pytest.mark.parametrize("command", ["erase", "replay", "prune", "holds"])
def test_without_records_nothing_is_made(command: str, tmp_path: Path, place: Place) -> None:
    (place.data / "records.sqlite").unlink()
    words = ["privacy", command, *([f"+{NUMBER}"] if command == "erase" else [])]
    result = place.run(*words)
    assert result.exit_code == 78
    assert "records.sqlite: is not there" in result.stderr
    assert not (place.data / "records.sqlite").exists()


def test_a_shared_database_needs_a_key_of_the_settings(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIPAGENT_DATABASE_URL", "postgresql://127.0.0.1:1/calls")
    result = place.run("privacy", "erase", f"+{NUMBER}")
    assert result.exit_code == 78
    assert "SIPAGENT_PRIVACY_KEY: is not set" in result.stderr
    monkeypatch.setenv("SIPAGENT_PRIVACY_KEY", "0123456789abcdef")
    assert place.run("privacy", "erase", f"+{NUMBER}").exit_code == 3


def test_the_key_is_made_once(place: Place) -> None:
    place.run("privacy", "replay")
    first = installation_key(None, place.data)
    place.run("privacy", "replay")
    assert installation_key(None, place.data) == first
    assert first.stored(TenantName("a"), first.fingerprint(NUMBER)).startswith("h:")


def test_a_restored_backup_loses_erased_callers_again(place: Place, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    made = place.run("backup", str(copy))
    assert (made.exit_code, "records.sqlite" in made.stdout) == (0, True)
    place.run("privacy", "erase", f"+{NUMBER}")
    for path in place.data.glob("records.sqlite*"):
        path.unlink()
    (copy / "records.sqlite").rename(place.data / "records.sqlite")
    assert any(SENTENCE in text for text in turns(place))
    assert place.run("privacy", "replay").stdout == "erased: 2 calls\n"
    assert turns(place) == []


def test_a_backup_of_a_shared_database_tells_the_command(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIPAGENT_DATABASE_URL", "postgresql://me:secret@db.example/calls")
    result = place.run("backup", str(tmp_path / "copy"))
    assert result.exit_code == 0
    assert "--file=records.dump postgresql://me@db.example/calls" in result.stdout
    assert "secret" not in result.output
    assert place.run("backup", str(tmp_path / "copy")).exit_code == 1
