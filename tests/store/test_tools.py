"""Tool calls and messages on their way into the tables, on both databases."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import delete

from sipagent.model import AgentName, CallPlan, Message, Redaction, Skills, ToolStatus
from sipagent.sessions.machine.toolcalls import LONGEST_RECORD
from sipagent.store import tables
from sipagent.store.buffer import MOST_SPARE
from sipagent.store.numbers import StoredNumbers
from sipagent.store.rows import RowKind, Writing
from sipagent.store.schema import upgrade
from sipagent.store.toolrows import (
    CUT,
    MOST_FIELDS,
    MOST_OF_FIELD,
    MOST_SAID,
    message_row,
    tool_row,
)
from sipagent.store.unmade import WITHIN, Unmade
from tests.store.forgetting import KEY, Told, call_ids, tell
from tests.store.nouns import a_call, a_tool, accepted, keeping, planned, said, used
from tests.store.support import located, opened, outage

CARD, MASKED = "4111 1111 1111 1111", "[card]"
PLAIN = Writing("0", "r")
HASHING = Writing("0", "r", StoredNumbers(KEY, lambda _: True))


def a_plan_with(*names: str, name: str = "rtc_1") -> CallPlan:
    skills = Skills(tuple(a_tool(each) for each in names))
    return replace(planned(name), skills=skills, redact=tuple(Redaction))


PLAN = a_plan_with("order_status")


async def test_a_tool_call_is_stored(records_url: str, tmp_path: Path) -> None:
    async with keeping(records_url, tmp_path) as kept:
        kept.records.decided(a_call(), accepted(PLAN))
        kept.records.tool(PLAN, used())
        kept.records.tool(PLAN, used("call_2", result=ToolStatus.REFUSED, agent=AgentName("b")))
        await kept.writer.flushed()
        one, two = await kept.rows(tables.tool_calls)
        (call,) = await kept.rows(tables.calls)

    assert one == {
        "call_id": "rtc_1",
        "id": "call_1",
        "tenant": "default",
        "at": call["began_at"] + 4.0,
        "agent": "reception",
        "name": "order_status",
        "status": "done",
        "detail": None,
        "began": 4.0,
        "ended": 4.4,
        "arguments": '{"order_no": "7"}',
        "output": '{"status": "shipped"}',
    }
    assert (two["status"], two["agent"]) == ("refused", "b")


async def test_whatever_is_told_twice_is_stored_once(records_url: str, tmp_path: Path) -> None:
    first, second = Message("call_2", {"message": "One."}), Message("call_2", {"message": "Two."})
    async with keeping(records_url, tmp_path) as kept:
        for result in (ToolStatus.DONE, ToolStatus.UNKNOWN):
            kept.records.tool(PLAN, used(result=result))
        for message in (first, second):
            await kept.records.message(PLAN, message)
        await kept.records.message(a_plan_with(name="rtc_2"), second)
        await kept.writer.flushed()
        tools, messages = await kept.rows(tables.tool_calls), await kept.rows(tables.messages)

    assert [one["status"] for one in tools] == ["done"]
    assert [(one["call_id"], json.loads(one["fields"])) for one in messages] == [
        ("rtc_1", {"message": "One."}),
        ("rtc_2", {"message": "Two."}),
    ]


async def test_a_message_is_in_the_spool_when_it_has_been_taken(
    records_url: str, tmp_path: Path
) -> None:
    async with keeping(records_url, tmp_path) as kept:
        await kept.records.message(PLAN, Message("call_2", {"message": "Call me."}))
        spooled = b"".join(path.read_bytes() for path in tmp_path.glob("records.spool.*"))
        await kept.writer.flushed()
        left = b"".join(path.read_bytes() for path in tmp_path.glob("records.spool.*"))

    assert b"Call me." in spooled
    assert left == b""


async def test_without_the_spool_a_message_is_taken_when_it_is_stored(
    postgresql_url: str, tmp_path: Path
) -> None:
    async with keeping(postgresql_url, tmp_path) as kept:
        with outage("sqlite:///the disk"):
            await kept.records.message(PLAN, Message("call_2", {"message": "x" * 2000}))
            stored = await kept.rows(tables.messages)

    assert [one["id"] for one in stored] == ["call_2"]


async def test_a_message_that_nothing_takes_is_an_error(sqlite_url: str, tmp_path: Path) -> None:
    async with keeping(sqlite_url, tmp_path) as kept:
        with outage(sqlite_url), pytest.raises(OSError, match="neither"):
            await kept.records.message(PLAN, Message("call_2", {"message": "x" * 2000}))
    with pytest.raises(OSError, match="neither"):
        await kept.records.message(PLAN, Message("call_3", {"message": "too late"}))


async def test_tool_calls_are_given_up_before_messages_while_the_database_is_away(
    records_url: str, tmp_path: Path
) -> None:
    async with keeping(records_url, tmp_path, migrate=False) as kept:
        await kept.records.message(PLAN, Message("call_2", {"message": "Call me."}))
        for number in range(MOST_SPARE + 1):
            kept.writer.put(RowKind.TOOL, tool_row(PLAN, used(f"call_{number}"), 0.0, PLAIN))
        assert kept.counted("sipagent_records_dropped_total", kind="tool") == 1
        assert kept.counted("sipagent_records_dropped_total", kind="message") == 0


async def test_an_older_release_that_erases_a_call_takes_what_it_does_not_know(
    records_url: str,
) -> None:
    async with opened(records_url, schema=False) as engine:
        await upgrade(engine, located(records_url))
        await tell(engine, [Told("gone"), Told("kept")])
        async with engine.begin() as connection:
            await connection.execute(delete(tables.calls).where(tables.calls.c.call_id == "gone"))
        for table in (tables.tool_calls, tables.messages):
            assert await call_ids(engine, table) == {"kept"}


def shown(text: str | None, writing: Writing = PLAIN) -> str | None:
    """What is kept of a tool's output, as of its arguments."""
    row = tool_row(PLAN, used(arguments=text, output=text), 0.0, writing)
    assert row[-1] == row[-2]
    shown: str | None = row[-1]
    return shown


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (None, None),
        ("", ""),
        ("plain", "plain"),
        (f"card {CARD}.", f"card {MASKED}."),
        (json.dumps({"card": CARD}), json.dumps({"card": MASKED})),
        (json.dumps({"card": "".join(CARD.split())}), json.dumps({"card": MASKED})),
        (json.dumps([4111111111111111, 7, 2.5, True, None]), '["[card]", 7, 2.5, true, null]'),
        (json.dumps({CARD: [{"a": CARD}]}), json.dumps({MASKED: [{"a": MASKED}]})),
        ("".join(f"\\u00{ord(one):02x}" for one in CARD).join('""'), json.dumps(MASKED)),
        ('{"a": "\\ud800"}', '{"a": "\ufffd\ufffd\ufffd"}'),
        ("a\0b", "ab"),
        ("[" * 4000, "[" * 4000),
        ("9" * 401, json.dumps("#" * 401)),
    ],
)
def test_what_is_not_to_be_kept_of_words_is_left_out(text: str | None, kept: str | None) -> None:
    assert shown(text) == kept


@pytest.mark.parametrize("before", [0, MOST_SAID - 60, MOST_SAID - 9, MOST_SAID - 1, MOST_SAID])
@pytest.mark.parametrize(
    "card", [CARD, "four" + " one" * 15, "\\u0034" + "\\u0031" * 15], ids=range(3)
)
@pytest.mark.parametrize("fill", ["a", f"{CARD}, "])
def test_nothing_of_a_card_that_a_cut_halves_is_kept(before: int, card: str, fill: str) -> None:
    text = (fill * MOST_SAID)[:before] + f" {card.strip()} " + "b" * 20_000
    for given in (text, text[:LONGEST_RECORD]):
        kept = shown(given)
        assert kept is not None
        assert len(kept) <= MOST_SAID
        assert kept.endswith(CUT)
        assert "411" not in kept.replace(" ", "")
        assert "one one" not in kept


def test_what_the_call_hands_over_is_more_than_what_is_kept() -> None:
    assert LONGEST_RECORD > 2 * MOST_SAID


@pytest.mark.parametrize(
    "number",
    [
        "+14065550100",
        "14065550100",
        "4065550100",
        "406-555-0100",
        "(406) 555-0100",
        "1-406-555-0100",
        "406.555.0100",
        "406 555 0100",
        "+1 (406) 555-0100",
        "+44 (0)20 7946 0958",
        "06 12 34 56 78",
    ],
)
def test_a_number_is_hidden_however_it_is_written(number: str) -> None:
    text = shown(json.dumps({"phone": number, "say": f"Call {number} at 9."}), HASHING)
    assert text is not None
    kept = json.loads(text)
    assert kept["phone"].startswith("h:")
    assert (kept["say"][:7], kept["say"][-6:]) == ("Call h:", " at 9.")
    assert number not in str(kept)


@pytest.mark.parametrize(
    "text",
    ["2026-11-28 18:00", "2026-11-28T09:30", "9.00-17.00", "1,234.50 USD", "A-123456"],
)
def test_dates_times_and_prices_are_no_numbers(text: str) -> None:
    assert shown(text, HASHING) == text


def test_numbers_stand_in_what_tools_are_given_as_the_tenants_numbers_do() -> None:
    text = json.dumps({"phone": "+14065558877", "id": 14065558877, "order": "12345"})
    kept = shown(text, HASHING)

    assert kept is not None
    assert "4065558877" not in kept
    assert json.loads(kept)["phone"].startswith("h:")
    assert json.loads(kept)["order"] == "12345"
    assert shown("call +14065558877", PLAIN) == "call +14065558877"


def test_a_name_that_is_no_tools_is_not_kept() -> None:
    row = tool_row(PLAN, used(name="call +14065558877 now"), 0.0, PLAIN)

    assert row[5] == "unknown"
    assert tool_row(PLAN, used(), 0.0, PLAIN)[5] == "order_status"


def told(**fields: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(message_row(PLAN, Message("call_2", fields), 0.0)[-1])
    return found


def test_a_message_is_kept_as_it_was_given_but_for_what_is_not_to_be_kept() -> None:
    assert told(number="+14065558877", message=f"Card {CARD}\0!") == {
        "number": "+14065558877",
        "message": f"Card {MASKED}!",
    }


def test_a_message_is_bounded_and_says_where_it_is_cut() -> None:
    fields = told(**{f"f{number}": "y" for number in range(100)})
    long = told(message="x" * 100_000)["message"]

    assert len(fields) == MOST_FIELDS
    assert long == "x" * (MOST_OF_FIELD - 1) + CUT


async def test_a_hundred_huge_tool_calls_are_stored_beside_what_is_said(
    records_url: str, tmp_path: Path
) -> None:
    async with keeping(records_url, tmp_path) as kept:
        huge = "4 1 1 1 " * (LONGEST_RECORD // 8)
        for number in range(100):
            kept.records.tool(PLAN, used(f"call_{number}", arguments=huge, output=huge))
        kept.records.turn(PLAN, said(1))
        await kept.writer.flushed()
        assert len(await kept.rows(tables.tool_calls)) == 100
        assert len(await kept.rows(tables.turns)) == 1


async def test_rows_that_take_long_to_make_leave_others_their_turn() -> None:
    loop, order, unmade = asyncio.get_running_loop(), list[str](), Unmade()

    def make() -> None:
        done_at = loop.time() + WITHIN
        while loop.time() < done_at:
            pass
        order.append("row")

    async def other() -> None:
        while unmade:
            order.append("other")
            await asyncio.sleep(0)

    for _ in range(3):
        unmade.add(make)
    await asyncio.gather(unmade.make(), other())
    assert order == ["row", "other", "row", "other", "row"]


async def test_a_message_full_of_numbers_leaves_others_their_turn(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with keeping(sqlite_url, tmp_path) as kept:
        said = {f"field_{n}": "four two " * 200 for n in range(8)}
        taking = asyncio.ensure_future(kept.records.message(PLAN, Message("call_1", said)))  # noqa: TID251
        turns = 0
        while not taking.done():
            await asyncio.sleep(0)
            turns += 1
        await taking
        await kept.writer.flushed()
        assert len(await kept.rows(tables.messages)) == 1
    assert turns > 5
