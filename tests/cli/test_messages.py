"""`sipagent messages`, and where else the command line shows what agents did."""

import csv
import io
import json

import pytest

from sipagent.cli.demo import Terminal
from sipagent.model import Message, ToolStatus
from sipagent.store import tables
from tests.cli.kept import keep, printable
from tests.cli.support import Place
from tests.store.kept import BEGAN, CALLER, DIALED, HOSTILE, a_call, a_message, a_turn, a_use
from tests.store.nouns import planned, used


@pytest.fixture(autouse=True)
def _no_other_records(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SIPAGENT_DATABASE_URL", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def kept(place: Place) -> Place:
    keep(place, a_call("rtc_1"), a_call("rtc_2", at=20, tenant="beta", caller=None))
    keep(
        place,
        a_turn("rtc_1", 0, "Hello.", at=BEGAN + 3),
        a_turn("rtc_1", 1, "Where is it?", at=BEGAN + 5),
        a_turn("rtc_1", 2, "On its way.", at=BEGAN + 8),
        table=tables.turns,
    )
    keep(
        place,
        a_use("rtc_1", "call_1"),
        a_use("rtc_1", "call_3", "failed", at=BEGAN + 7, arguments=None, detail="http 503"),
        table=tables.tool_calls,
    )
    keep(
        place,
        a_message("rtc_1", "call_2"),
        a_message(
            "rtc_2", "call_4", tenant="beta", at=BEGAN + 30, fields=json.dumps({"m": HOSTILE})
        ),
        table=tables.messages,
    )
    return place


def test_a_list_is_columns_with_masked_numbers(kept: Place) -> None:
    heads, newest, oldest = kept.run("messages", "list").stdout.splitlines()

    assert heads.split() == ["taken", "message", "call", "agent", "from", "says"]
    assert newest.split()[3:7] == ["call_4", "rtc_2", "beta/store", "withheld"]
    assert "name: Ann; message: Call +14*******00." in oldest
    assert CALLER in kept.run("messages", "list", "--numbers").stdout
    assert printable(kept.run("messages", "list", "--numbers").stdout)


def test_a_list_is_of_a_tenant_and_a_time(kept: Place) -> None:
    def ids(*words: str) -> list[str]:
        return [one["id"] for one in kept.json("messages", "list", *words)]

    assert ids() == ["call_4", "call_2"]
    assert ids("--tenant", "acme") == ["call_2"]
    assert ids("--tenant", "nobody") == []
    assert ids("--limit", "1") == ["call_4"]
    assert ids("--since", "2026-09-22T13:53:40") == ["call_4"]
    assert ids("--until", "2026-09-22T13:53:40") == ["call_2"]
    assert kept.run("messages", "list", "--tenant", "nobody").stdout == "no messages\n"


def test_json_tells_whose_a_message_is(kept: Place) -> None:
    (one,) = kept.json("messages", "list", "--tenant", "acme", "--numbers")

    assert one == {
        "id": "call_2",
        "at": "2026-09-22T13:53:29.000+00:00",
        "fields": {"name": "Ann", "message": f"Call {CALLER}."},
        "call_id": "rtc_1",
        "tenant": "acme",
        "agent": "store",
        "caller": CALLER,
        "dialed": DIALED,
    }
    (masked,) = kept.json("messages", "list", "--tenant", "acme")
    assert CALLER not in str(masked)


def test_a_message_is_shown_by_its_id_and_its_calls(kept: Place) -> None:
    by_id = kept.run("messages", "show", "call_2").stdout
    by_call = kept.run("messages", "show", "rtc_1").stdout

    assert by_id == by_call
    assert by_id.splitlines()[-2:] == ["  name: Ann", "  message: Call +14*******00."]
    assert [one["id"] for one in kept.json("messages", "show", "rtc_2")] == ["call_4"]


def test_a_message_of_another_tenant_is_not_there(kept: Place) -> None:
    result = kept.run("messages", "show", "call_2", "--tenant", "beta")

    assert result.exit_code == 1
    assert 'there is no message "call_2" of tenant "beta"' in result.stderr


def test_a_call_is_shown_with_what_its_agent_did(kept: Place) -> None:
    bare = kept.run("calls", "show", "rtc_1").stdout
    whole = kept.run("calls", "show", "rtc_1", "--transcript").stdout

    assert "     6.0 s  tool order_status: done after 0.4 s\n" in bare
    assert "     7.0 s  tool order_status: failed after 0.4 s (http 503)\n" in bare
    assert "     9.0 s  message taken\n" in bare
    assert "order_no" not in bare
    assert "Ann" not in bare
    said = whole.partition("transcript")[2]
    assert [line.split("s  ", 1)[1] for line in said.splitlines()[1:]] == [
        "agent: Hello.",
        "caller: Where is it?",
        'tool order_status: given {"order_no": "7"}, gave {"call back": "+14*******00"}',
        'tool order_status: given (not kept), gave {"call back": "+14*******00"}',
        "agent: On its way.",
        "message: name: Ann; message: Call +14*******00.",
    ]


def test_why_flags_a_tool_that_failed(kept: Place) -> None:
    told = kept.run("why", "rtc_1").stdout
    span = kept.run("why", "--since", "2026-09-22T13:00", "--until", "2026-09-22T15:00").stdout

    assert "After 6.0 s the agent used order_status: done in 0.4 s." in told
    assert "Look at order_status" in told
    assert "order_no" not in told
    assert "What agents did\n  Tools were used 2 times; 1 of these came to nothing (50 %)." in span


def test_an_export_has_what_agents_did(kept: Place) -> None:
    def exported(*words: str) -> str:
        return kept.run("calls", "export", "--tenant", "acme", *words).stdout

    (bare,) = csv.DictReader(io.StringIO(exported("--format", "csv"), newline=""))
    (row,) = csv.DictReader(io.StringIO(exported("--format", "csv", "--transcript"), newline=""))
    (line,) = map(json.loads, exported("--transcript", "--numbers").splitlines())
    assert bare["tools"] == row["tools"] == "order_status: done\norder_status: failed"
    assert "messages" not in bare
    assert row["messages"] == "name: Ann\nmessage: Call +14*******00."
    assert [one["id"] for one in line["tool_calls"]] == ["call_1", "call_3"]
    assert line["messages"][0]["fields"]["message"] == f"Call {CALLER}."


async def test_the_demonstration_shows_tools_and_messages(
    capsys: pytest.CaptureFixture[str],
) -> None:
    terminal = Terminal()
    terminal.tool(planned(), used())
    terminal.tool(planned(), used(result=ToolStatus.FAILED, arguments=None))
    await terminal.message(planned(), Message("call_2", {"message": HOSTILE}))
    lines = capsys.readouterr().out.splitlines()

    assert lines[:2] == [
        '    tool  order_status {"order_no":"7"}: done after 0.4 s',
        "    tool  order_status: failed after 0.4 s",
    ]
    assert lines[2].startswith(" message  message: ")
    assert printable(lines[2])
