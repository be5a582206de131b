"""`sipagent calls`: what is kept of calls, for people and programs."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from sipagent.cli.records import as_json
from sipagent.cli.tail import told_calls
from sipagent.model import Reason, TenantName
from sipagent.store import tables
from sipagent.store.numbers import installation_key
from sipagent.store.reading import CallFilter
from tests.cli.kept import keep, printable
from tests.cli.support import Place
from tests.store.kept import (
    BEGAN,
    CALLER,
    DIALED,
    HOSTILE,
    a_bill,
    a_call,
    a_live,
    a_step,
    a_turn,
    an_alias,
    failed,
    put,
    rejected,
)
from tests.store.support import opened

ACME = TenantName("acme")


@pytest.fixture(autouse=True)
def _no_other_records(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SIPAGENT_DATABASE_URL", "DATABASE_URL", "SIPAGENT_PRIVACY_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def kept(place: Place) -> Place:
    keep(
        place,
        a_call("rtc_1"),
        failed("rtc_2", at=10, usage_complete=False),
        a_live("rtc_3", at=20),
        a_call("rtc_4", at=30, tenant="beta", caller=None, cost=None),
    )
    return place


def test_a_list_is_columns_with_masked_numbers(kept: Place) -> None:
    lines = kept.run("calls", "list").stdout.splitlines()
    assert [line.split() for line in lines[:1]] == [
        ["began", "call", "agent", "from", "to", "outcome", "length", "cost"]
    ]
    assert [line.split("  ")[1] for line in lines[1:]] == ["rtc_4", "rtc_3", "rtc_2", "rtc_1"]
    assert lines[1].split()[3:] == [
        *("rtc_4", "beta/store", "withheld", "+17*******11", "completed.line_closed"),
        *("1", "min", "00", "s"),
    ]
    assert lines[2].split()[-1] == "live"
    assert lines[3].endswith(">= 0.0213 USD")
    assert lines[4].endswith("  0.0213 USD")
    assert CALLER not in kept.run("calls", "list").stdout
    assert CALLER in kept.run("calls", "list", "--numbers").stdout


def ids(place: Place, *words: str) -> list[str]:
    return [call["call_id"] for call in place.json("calls", "list", *words)["calls"]]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("--tenant", "acme"), ["rtc_3", "rtc_2", "rtc_1"]),
        (("--agent", "beta/store"), ["rtc_4"]),
        (("--agent", "night"), []),
        (("--outcome", "failed"), ["rtc_2"]),
        (("--outcome", "failed.accept_refused"), []),
        (("--live",), ["rtc_3"]),
        (("--since", "2026-09-22T13:53:31"), ["rtc_4", "rtc_3"]),
        (("--until", "2026-09-22T08:53:25-05:00"), ["rtc_1"]),
        (("--since", "1h"), []),
        (("--dialed", "+1 (713) 481-0111", "--limit", "1"), ["rtc_4"]),
        (("--caller", "14065550100"), ["rtc_3", "rtc_2", "rtc_1"]),
        (("--trunk", "wavix-eu"), []),
        (("--account", "us-1", "--tenant", "beta"), ["rtc_4"]),
    ],
    ids=" ".join,
)
def test_a_list_holds_what_is_asked_for(
    kept: Place, words: tuple[str, ...], found: list[str]
) -> None:
    assert ids(kept, *words) == found


def test_pages_follow_each_other(kept: Place) -> None:
    page = kept.json("calls", "list", "--limit", "3")
    assert ids(kept, "--limit", "3", "--after", page["next"]) == ["rtc_1"]
    told = kept.run("calls", "list", "--limit", "3").stderr
    assert told == f"there are more: --after {page['next']}\n"


def test_a_caller_is_found_where_numbers_are_stored_hidden(place: Place) -> None:
    place.data.mkdir()
    key = installation_key(None, place.data)
    hidden = key.stored(ACME, key.fingerprint(CALLER))
    keep(place, a_call("rtc_1", caller=hidden), a_call("rtc_2", caller="h:other"))
    assert ids(place, "--tenant", "acme", "--caller", CALLER) == ["rtc_1"]
    assert ids(place, "--tenant", "beta", "--caller", CALLER) == []


def test_a_list_makes_no_key_and_no_file(kept: Place) -> None:
    before = sorted(path.name for path in kept.data.iterdir())
    assert ids(kept, "--tenant", "acme", "--caller", CALLER) == ["rtc_3", "rtc_2", "rtc_1"]
    after = {path.name for path in kept.data.iterdir()}
    assert after - set(before) <= {"records.sqlite-wal", "records.sqlite-shm"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("list", "--outcome", "faild"), ('"faild" is no outcome', "did you mean failed?")),
        (("list", "--since", "yesterday"), ('"yesterday" is no time', "2h", "--since")),
        (("list", "--after", "garbage"), ("is no cursor", "--after")),
        (("list", "--limit", "0"), ("--limit",)),
        (("list", "--caller", " "), ("write a number", "--caller")),
        (("list", "--tenant", "beta", "--agent", "acme/store"), ("is not of tenant beta",)),
        (("search", "word"), ("--tenant",)),
        (("search", " ", "--tenant", "acme"), ("write what to search for",)),
        (("search", "a", "--tenant", "acme", "--since", "40d"), ("at most 31 days",)),
        (("unrouted", "--since", "1h", "--until", "2h"), ("--since is not before --until",)),
        (("show", " "), ("write a call's id",)),
        (("show",), ("CALL",)),
        (("tail", "--since", "1x"), ("is no time",)),
    ],
    ids=lambda value: " ".join(value),
)
def test_a_word_that_is_not_understood_is_told_plainly(
    kept: Place, words: tuple[str, ...], told: tuple[str, ...]
) -> None:
    result = kept.run("calls", *words)
    assert result.exit_code == 2
    text = " ".join(result.stderr.replace("│", " ").split())
    assert [part for part in told if part not in text] == []


def test_everything_of_one_call(kept: Place) -> None:
    keep(kept, an_alias("rtc_2", "CA0123"), table=tables.aliases)
    keep(kept, a_step("rtc_2", 1, "answered"), table=tables.happenings)
    keep(kept, a_bill("rtc_2", "resp_1"), table=tables.usage)
    words = (a_turn("rtc_2", 0, f"Call {CALLER}."), a_turn("rtc_2", 1, None, interrupted=True))
    keep(kept, *words, table=tables.turns)
    for name in ("rtc_2", "wh_rtc_2", "CA0123"):
        result = kept.run("calls", "show", name)
        assert result.exit_code == 0
        assert result.stdout.startswith("call        rtc_2\n")
    text = result.stdout
    assert "carrier     CA0123 (x-twilio-callsid)" in text
    assert "at least 0.0213 USD (470 tokens)" in text
    assert "2 turns were spoken: --transcript shows them" in text
    assert "Call" not in text
    said = kept.run("calls", "show", "rtc_2", "--transcript").stdout
    assert "agent: Call +14*******00." in said
    assert "caller: (not understood) (interrupted)" in said
    assert f"agent: Call {CALLER}." in (
        kept.run("calls", "show", "rtc_2", "--transcript", "--numbers").stdout
    )


def test_a_transfer_is_a_step_with_what_came_of_it(kept: Place) -> None:
    sent = {"call_id": "rtc_2", "number": 1, "tenant": "acme", "at": BEGAN + 1.5}
    sent |= {"destination": "desk", "target": f"tel:{CALLER}", "answer": "done"}
    keep(kept, sent | {"outcome": "not_taken"}, table=tables.transfers)
    steps = (a_step("rtc_2", 1, "answered"), a_step("rtc_2", 2, "not_transferred"))
    keep(kept, *steps, table=tables.happenings)
    text = kept.run("calls", "show", "rtc_2").stdout
    places = [text.index(word) for word in ("answered\n", "transfer 1", "not_transferred")]
    assert places == sorted(places)
    assert "transfer 1 to desk: done, not_taken\n" in text


def test_a_call_as_data(kept: Place) -> None:
    keep(kept, a_turn("rtc_1"), table=tables.turns)
    silent = kept.json("calls", "show", "rtc_1")
    assert "transcript" not in silent
    assert silent["dialed"] == "+17*******11"
    assert "caller_name" not in silent
    assert silent["began_at"] == "2026-09-22T13:53:20.000+00:00"
    assert CALLER not in json.dumps(silent)
    assert DIALED not in json.dumps(silent)
    whole = kept.json("calls", "show", "rtc_1", "--numbers", "--transcript")
    assert (whole["dialed"], whole["caller"]) == (DIALED, CALLER)
    assert [turn["text"] for turn in whole["transcript"]] == ["Hello."]


def test_a_call_of_another_tenant_is_not_there(kept: Place) -> None:
    result = kept.run("calls", "show", "rtc_1", "--tenant", "beta")
    assert (result.exit_code, result.stdout) == (1, "")
    assert 'there is no call "rtc_1" of tenant "beta"' in result.stderr
    assert kept.run("calls", "show", "\x1b[2J").exit_code == 1
    assert printable(kept.run("calls", "show", "\x1b[2J").stderr)


def test_one_name_of_several_calls_shows_the_newest(kept: Place) -> None:
    keep(kept, *(an_alias(f"rtc_{at}", "CA0123") for at in (1, 2)), table=tables.aliases)
    result = kept.run("calls", "show", "CA0123")
    assert result.stdout.startswith("call        rtc_2\n")
    assert result.stderr == "the newest of several; the others: rtc_1\n"


@pytest.mark.parametrize("form", ["text", "json"])
def test_nothing_hostile_reaches_the_terminal(place: Place, form: str) -> None:
    names = (
        "dialed",
        "dialed_source",
        "caller",
        "caller_name",
        "forwarded_from",
        "detail",
        "model",
    )
    trace = json.dumps(
        [{"source": HOSTILE, "considered": HOSTILE, "held": True, "because": HOSTILE}]
    )
    now = {"began_at": time.time() - 60, "ended_at": time.time()}
    hostile = dict.fromkeys(names, HOSTILE)
    keep(place, a_call("rtc_1", **hostile, trace=trace, **now))
    refused = rejected("rtc_2", dialed=HOSTILE, dialed_source=HOSTILE)
    keep(place, refused | now)
    keep(place, a_turn("rtc_1", text=HOSTILE, at=time.time()), table=tables.turns)
    keep(place, a_step("rtc_1", 1, "fault", detail=HOSTILE), table=tables.happenings)
    keep(place, a_bill("rtc_1", HOSTILE, model=HOSTILE), table=tables.usage)
    keep(place, an_alias("rtc_1", HOSTILE, HOSTILE), table=tables.aliases)
    for words in (
        ("calls", "list"),
        ("calls", "show", "rtc_1", "--transcript"),
        ("calls", "search", "end", "--tenant", "acme"),
        ("calls", "unrouted"),
        ("calls", "tail", "--once", "--since", "1h"),
        ("why", "rtc_1"),
        ("why", "rtc_2"),
        ("why", "--since", "1h"),
    ):
        for more in ((), ("--numbers",)) if words[1] != "unrouted" else ((),):
            if words[:2] == ("why", "--since"):
                more = ()
            result = place.run(*words, *more, "--format", form)
            assert result.exit_code in (0, 1), result.output
            assert len(result.stdout) > 20
            assert printable(result.stdout), words


@pytest.mark.parametrize("text", [HOSTILE, "é\x7f\x9b\u2028", "plain", "\U000e0041 \ud83d"])
def test_json_that_moves_no_cursor_is_the_same_value(text: str) -> None:
    written = as_json({"text": text})
    assert printable(written)
    assert json.loads(written) == {"text": text}


def test_words_are_found_within_their_tenant(kept: Place) -> None:
    now = time.time()
    keep(
        kept,
        a_turn("rtc_1", 0, f"Your invoice, {CALLER}.", at=now),
        a_turn("rtc_4", 0, "An invoice.", at=now, tenant="beta"),
        table=tables.turns,
    )
    (line,) = kept.run("calls", "search", "INVOICE", "--tenant", "acme").stdout.splitlines()
    assert line.endswith("  rtc_1  agent: Your invoice, +14*******00.")
    (hit,) = kept.json("calls", "search", "invoice", "--tenant", "beta")
    assert (hit["call_id"], hit["speaker"], hit["text"]) == ("rtc_4", "agent", "An invoice.")
    nothing = kept.run("calls", "search", "refund", "--tenant", "acme")
    assert (nothing.exit_code, nothing.stderr) == (1, "nothing was found\n")


def test_numbers_that_lead_nowhere(kept: Place) -> None:
    assert kept.run("calls", "unrouted").stdout == "every number that was dialed leads somewhere\n"
    now = time.time() - 60
    for at in range(3):
        row = rejected(f"rtc_9{at}", dialed="+17134810199", dialed_source="x-number")
        keep(kept, row | {"began_at": now + at})
    keep(kept, rejected("rtc_80", Reason.RULE) | {"began_at": now})
    result = kept.run("calls", "unrouted", "--agent", "store")
    assert result.exit_code == 1
    told, line = result.stdout.splitlines()
    assert told.startswith("+17134810199 leads nowhere (header x-number): 3 calls by trunk")
    assert line == '  "+17134810199": store'
    (data,) = kept.json("calls", "unrouted")
    assert (data["calls"], data["header"], data["line"]) == (
        3,
        "x-number",
        '"+17134810199": AGENT',
    )


def test_a_tail_tells_what_there_is_and_ends(kept: Place) -> None:
    result = kept.run("calls", "tail", "--once", "--since", "2026-09-22T13:00")
    assert [line.split("  ")[1] for line in result.stdout.splitlines()] == [
        *("rtc_3", "rtc_1", "rtc_2", "rtc_4")
    ]
    assert "rtc_3  acme/store  accept: +14*******00 to +17*******11" in result.stdout
    assert "rtc_2  acme/store  failed.provider_error after 1 min 00 s" in result.stdout
    lines = kept.run(
        *("calls", "tail", "--once", "--since", "2026-09-22T13:00", "--format", "json"),
        *("--tenant", "beta"),
    ).stdout.splitlines()
    assert [json.loads(line)["call_id"] for line in lines] == ["rtc_4"]


async def test_a_tail_follows_what_is_written(tmp_path: Path) -> None:
    async with opened(f"sqlite:///{tmp_path}/records.sqlite") as engine:
        assert await followed(engine) == [
            *(("rtc_1", None), ("rtc_2", None), ("rtc_1", "completed.line_closed")),
            ("rtc_3", "completed.line_closed"),
        ]


async def followed(engine: AsyncEngine) -> list[tuple[str, str | None]]:
    """What a tail tells while calls begin and end."""
    seen: list[tuple[str, str | None]] = []
    steps: list[list[dict[str, Any]]] = [
        [a_live("rtc_1")],
        [a_live("rtc_2", at=300, tenant="acme")],
        [a_live("rtc_9", at=301, tenant="beta")],
    ]
    await put(engine, *steps.pop(0))
    calls = told_calls(engine, ACME, CallFilter(), BEGAN, once=False, pause=0.0)
    async for call in calls:
        seen.append((call.call_id, call.outcome))
        if steps:
            for rows in steps:
                await put(engine, *rows)
            steps = []
        elif len(seen) == 2:
            ended = tables.calls.update().where(tables.calls.c.call_id == "rtc_1")
            async with engine.begin() as connection:
                how = {"ended_at": BEGAN + 310, "outcome": "completed.line_closed"}
                await connection.execute(ended.values(how))
        elif len(seen) == 3:
            await put(engine, a_call("rtc_3", at=302))
        elif len(seen) == 4:
            break
    await calls.aclose()
    return seen


def test_records_that_are_not_there(place: Place) -> None:
    result = place.run("calls", "list")
    assert result.exit_code == 78
    assert f"{place.data}/records.sqlite: is not there" in result.stderr
    assert "--data-dir" in result.stderr


def test_records_that_cannot_be_read(place: Place) -> None:
    place.data.mkdir()
    file = place.data / "records.sqlite"
    file.write_bytes(b"this is no database at all" * 100)
    result = place.run("calls", "list")
    assert result.exit_code == 78
    assert f"{file}: cannot be" in result.stderr
    file.unlink()
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE other (x)")
    connection.close()
    result = place.run("calls", "list")
    assert result.exit_code == 78
    assert "run `sipagent db upgrade`" in result.stderr


@pytest.mark.parametrize(
    ("url", "code", "told"),
    [
        ("mysql://root@host/x", 78, "SIPAGENT_DATABASE_URL: names neither SQLite nor PostgreSQL"),
        ("postgresql://u:secret@127.0.0.1:1/x", 3, "PostgreSQL x at 127.0.0.1:1: cannot be"),
    ],
)
def test_a_database_that_is_not_reached(
    place: Place, monkeypatch: pytest.MonkeyPatch, url: str, code: int, told: str
) -> None:
    monkeypatch.setenv("SIPAGENT_DATABASE_URL", url)
    result = place.run("calls", "list")
    assert result.exit_code == code, result.output
    assert told in result.stderr
    assert "secret" not in result.stderr


def test_records_are_read_while_a_service_writes_them(kept: Place) -> None:
    writer = sqlite3.connect(kept.data / "records.sqlite", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("DELETE FROM calls")
    assert ids(kept, "--tenant", "beta") == ["rtc_4"]
    writer.execute("ROLLBACK")
    writer.close()


@pytest.mark.parametrize("name", ["a b", "a%20b", "a?b#c", "é"])
def test_a_folder_may_have_any_name(place: Place, tmp_path: Path, name: str) -> None:
    place.data = tmp_path / name
    keep(place, a_call("rtc_1"))
    assert ids(place) == ["rtc_1"]


def test_a_tail_that_is_interrupted_ends_at_once(kept: Place) -> None:
    command = [Path(sys.executable).with_name("sipagent"), "calls", "tail", "--since"]
    environment = {**os.environ, "SIPAGENT_DATA_DIR": str(kept.data)}
    with subprocess.Popen(
        [*command, "2026-09-22T13:00"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(4)]
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=30)
    assert lines[-1].split("  ")[1] == "rtc_4"
    assert process.returncode == 130
    assert "Traceback" not in told
