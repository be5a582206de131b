"""What is said of calls stands in the tables, once, whatever is said twice or out of order."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sipagent.model import (
    Bill,
    Decision,
    DestinationName,
    Fallback,
    Happening,
    Reason,
    Reject,
    Tokens,
    Transfer,
    TransferEnd,
    Usage,
    UsageKind,
)
from sipagent.store import tables
from sipagent.store.records import StoreRecords
from tests.store.nouns import (
    CALLER,
    DIALED,
    a_call,
    accepted,
    billed,
    ending,
    keeping,
    planned,
    said,
)

TOTAL = 100 + 200 + 20 + 90


def tell(records: StoreRecords, name: str = "rtc_1") -> None:
    """A whole call."""
    plan = planned(name)
    records.decided(a_call(name), accepted(plan))
    for what in (Happening.ANSWERED, Happening.ATTACHED, Happening.GREETED, Happening.HEARD):
        records.happened(plan, what)
    records.turn(plan, said(0))
    records.turn(plan, said(1, None))
    records.used(plan, billed("resp_1"))
    records.used(plan, billed("resp_2"))
    records.transfer(plan, Transfer(1, DestinationName("desk"), "tel:+17135550100", "done"))
    records.fault(plan, "rate_limit", "slow_down")
    records.ended(ending(name))


async def test_what_came_of_a_transfer_is_stored_with_its_attempt(
    records_url: str, tmp_path: Path
) -> None:
    plan, desk = planned(), DestinationName("desk")
    going = Transfer(1, desk, "tel:+17135550100", "done")
    async with keeping(records_url, tmp_path) as kept:
        kept.records.decided(a_call(plan.call_id), accepted(plan))
        kept.records.transfer(plan, going)
        kept.records.transfer(plan, replace(going, outcome=TransferEnd.NOT_TAKEN))
        kept.records.transfer(plan, replace(going, number=2))
        await kept.writer.flushed()
        stored = await kept.rows(tables.transfers)

    found = {row["number"]: (row["answer"], row["outcome"]) for row in stored}
    assert found == {1: ("done", "not_taken"), 2: ("done", None)}


async def test_a_whole_call_is_stored(records_url: str, tmp_path: Path) -> None:
    async with keeping(records_url, tmp_path) as kept:
        tell(kept.records)
        await kept.writer.flushed()
        (call,) = await kept.rows(tables.calls)
        (session,) = await kept.rows(tables.sessions)
        turns = await kept.rows(tables.turns)
        happenings = await kept.rows(tables.happenings)
        (transfer,) = await kept.rows(tables.transfers)
        aliases = await kept.rows(tables.aliases)

    plan = planned()
    assert (call["call_id"], call["webhook_id"]) == ("rtc_1", "wh_rtc_1")
    assert (call["dialed"], call["caller"], call["caller_name"]) == (DIALED, CALLER, "Ann")
    assert (call["trunk"], call["trunk_proven"], call["verdict"]) == ("twilio", True, "accept")
    assert (call["outcome"], call["at_fault"], call["ended_at"]) == (
        "completed.line_closed",
        "nobody",
        1060.0,
    )
    assert (call["tokens"], call["cost"], call["turns"]) == (2 * TOTAL, 2468, 2)
    assert (call["usage_complete"], call["hold"]) == (True, False)
    assert (call["release"], call["replica"], call["model"]) == (
        "0.4.0",
        "replica-1",
        "gpt-realtime-2.1",
    )
    assert json.loads(call["trace"]) == [
        {"source": "numbers", "considered": DIALED, "held": True, "because": "is listed"}
    ]
    assert call["session"] == session["hash"]
    assert json.loads(session["body"]) == plan.session
    assert "session" not in json.loads(call["plan"])
    assert [(turn["sequence"], turn["text"]) for turn in turns] == [(0, "Hello."), (1, None)]
    assert turns[1]["at"] == pytest.approx(call["began_at"] + 1.0)
    assert [(one["what"], one["detail"]) for one in happenings] == [
        ("attached", None),
        ("fault", "rate_limit slow_down"),
    ]
    assert (call["answered_at"], call["attached_at"], call["heard_at"]) == (1001.0, 1002.0, 1003.0)
    assert (transfer["target"], transfer["answer"]) == ("tel:+17135550100", "done")
    assert {(alias["alias"], alias["header"]) for alias in aliases} == {
        ("abc@203.0.113.1", "call-id"),
        ("CA0123", "x-twilio-callsid"),
    }


async def test_what_is_told_again_is_stored_once(records_url: str, tmp_path: Path) -> None:
    async with keeping(records_url, tmp_path) as kept:
        tell(kept.records)
        await kept.writer.flushed()
        before = [await kept.rows(table) for table in (tables.calls, tables.usage, tables.turns)]
        tell(kept.records)
        await kept.writer.flushed()
        after = [await kept.rows(table) for table in (tables.calls, tables.usage, tables.turns)]

    assert after == before


async def test_the_first_outcome_wins(records_url: str, tmp_path: Path) -> None:
    async with keeping(records_url, tmp_path) as kept:
        tell(kept.records)
        kept.records.ended(ending(reason=Reason.CONNECTION_LOST, ended_at=2000.0))
        await kept.writer.flushed()
        kept.records.ended(ending(reason=Reason.INTERNAL_ERROR, ended_at=3000.0))
        await kept.writer.flushed()
        (call,) = await kept.rows(tables.calls)

    assert (call["outcome"], call["ended_at"]) == ("completed.line_closed", 1060.0)


async def test_an_outcome_without_its_decision_is_a_call(records_url: str, tmp_path: Path) -> None:
    async with keeping(records_url, tmp_path) as kept:
        kept.records.used(planned(), billed("resp_1"))
        kept.records.ended(ending())
        await kept.writer.flushed()
        (call,) = await kept.rows(tables.calls)

    assert (call["outcome"], call["began_at"]) == ("completed.line_closed", 1000.0)
    assert (call["tokens"], call["dialed"], call["trace"]) == (TOTAL, None, "[]")


async def test_a_call_whose_decision_got_lost_is_stored_when_it_is_adopted(
    records_url: str, tmp_path: Path
) -> None:
    plan = planned()
    async with keeping(records_url, tmp_path) as kept:
        kept.records.adopted(a_call(), accepted(plan), 1000.0)
        kept.records.turn(plan, said(7, "after"))
        await kept.writer.flushed()
        (call,) = await kept.rows(tables.calls)
        (turn,) = await kept.rows(tables.turns)
        (step,) = await kept.rows(tables.happenings)

    assert (call["began_at"], call["agent"], call["outcome"]) == (1000.0, "reception", None)
    assert (turn["sequence"], turn["at"], step["what"]) == (7, 1007.0, "adopted")


async def test_a_call_that_is_stored_is_left_as_it_is_when_it_is_adopted(
    records_url: str, tmp_path: Path
) -> None:
    plan = planned()
    async with keeping(records_url, tmp_path) as kept:
        kept.records.decided(a_call(), accepted(plan))
        await kept.writer.flushed()
        (call,) = await kept.rows(tables.calls)
    async with keeping(records_url, tmp_path) as kept:
        kept.records.adopted(a_call(), accepted(plan), 1.0)
        await kept.writer.flushed()
        assert await kept.rows(tables.calls) == [call]


async def test_usage_after_the_end_counts(records_url: str, tmp_path: Path) -> None:
    async with keeping(records_url, tmp_path) as kept:
        tell(kept.records)
        await kept.writer.flushed()
        kept.records.used(planned(), billed("late"))
        await kept.writer.flushed()
        (call,) = await kept.rows(tables.calls)

    assert (call["tokens"], call["cost"]) == (3 * TOTAL, 3 * 1234)


@pytest.mark.parametrize(
    ("costs", "expected"),
    [((), 0), ((5, 7), 12), ((5, None), None), ((None,), None)],
    ids=["nothing used", "all known", "one unknown", "unknown"],
)
async def test_a_cost_is_unknown_where_a_part_of_it_is(
    records_url: str, tmp_path: Path, costs: tuple[int | None, ...], expected: int | None
) -> None:
    async with keeping(records_url, tmp_path) as kept:
        kept.records.decided(a_call(), accepted(planned()))
        for number, cost in enumerate(costs):
            kept.records.used(planned(), billed(f"resp_{number}", cost=cost))
        kept.records.ended(ending())
        await kept.writer.flushed()
        (call,) = await kept.rows(tables.calls)

    assert (call["cost"], call["tokens"]) == (expected, len(costs) * TOTAL)


async def test_a_rejected_call_is_stored_without_a_plan(records_url: str, tmp_path: Path) -> None:
    verdict = Reject(404, Reason.UNKNOWN_NUMBER, planned().tenant)
    async with keeping(records_url, tmp_path) as kept:
        kept.records.decided(a_call(), Decision(verdict, ()))
        kept.records.ended(ending(reason=Reason.UNKNOWN_NUMBER, sip_code=404, answered_at=None))
        await kept.writer.flushed()
        (call,) = await kept.rows(tables.calls)
        sessions = await kept.rows(tables.sessions)

    assert (call["verdict"], call["outcome"], call["sip_code"]) == (
        "reject",
        "rejected.unknown_number",
        404,
    )
    assert (call["plan"], call["session"], call["tokens"], sessions) == (None, None, 0, [])


async def test_a_session_is_stored_once_for_all_its_calls(records_url: str, tmp_path: Path) -> None:
    one = planned()
    fallback = {"type": "realtime", "model": "gpt-realtime-2.1-mini"}
    async with keeping(records_url, tmp_path) as kept:
        for number in range(20):
            plan = replace(one, call_id=f"rtc_{number}", fallback_session=fallback)
            kept.records.decided(a_call(f"rtc_{number}"), accepted(plan))
        await kept.writer.flushed()
        sessions = await kept.rows(tables.sessions)
        calls = await kept.rows(tables.calls)

    assert {json.loads(session["body"])["model"] for session in sessions} == {
        "gpt-realtime-2.1",
        "gpt-realtime-2.1-mini",
    }
    hashes = {call["session"] for call in calls}
    hashes |= {json.loads(call["plan"])["fallback_session"] for call in calls}
    assert hashes == {session["hash"] for session in sessions}


async def test_hostile_text_is_stored(records_url: str, tmp_path: Path) -> None:
    """NUL and lone surrogates, which databases refuse in text, and ids that are too long."""
    hostile = "a\0b\ud800c" * 3
    plan = planned()
    async with keeping(records_url, tmp_path) as kept:
        kept.records.decided(a_call(), accepted(plan))
        kept.records.turn(plan, said(0, hostile))
        kept.records.happened(plan, Happening.FAULT, hostile)
        kept.records.used(plan, billed("x" * 500 + hostile))
        kept.records.ended(ending(detail=hostile))
        await kept.writer.flushed()
        (turn,) = await kept.rows(tables.turns)
        (usage,) = await kept.rows(tables.usage)

        assert kept.writer.defects() == []
    assert turn["text"] == "ab\ufffd\ufffd\ufffdc" * 3
    assert usage["source_id"] == "x" * 128


async def test_a_row_that_no_database_takes_harms_no_other(
    records_url: str, tmp_path: Path
) -> None:
    plan = planned()
    endless = Usage("endless", UsageKind.RESPONSE, None, Bill(Tokens(text_in=2**70)), None, "")
    async with keeping(records_url, tmp_path) as kept:
        kept.records.decided(a_call(), accepted(plan))
        kept.records.used(plan, billed("before"))
        kept.records.used(plan, endless)
        kept.records.used(plan, billed("after"))
        kept.records.ended(ending())
        await kept.writer.flushed()
        usage = await kept.rows(tables.usage)
        (call,) = await kept.rows(tables.calls)
        (defect,) = kept.writer.defects()

        assert kept.counted("sipagent_records_dropped_total", kind="usage") == 1
    assert [row["source_id"] for row in usage] == ["after", "before"]
    assert call["tokens"] == 2 * TOTAL
    assert (defect.code, defect.detail) == ("rows-dropped", "Rows that were given up: 1 usage.")


class Hidden:
    """Numbers of one tenant that nobody can read."""

    def stored(self, tenant: str, number: str) -> str:
        return f"hidden-{len(number)}"


async def test_numbers_are_stored_as_the_policy_says(records_url: str, tmp_path: Path) -> None:
    """Also those in a trace, in a plan, in a session and in a transfer's target."""
    plan = replace(
        planned(),
        session={**planned().session, "instructions": f"The caller is {CALLER}."},
        fallback=Fallback(DestinationName("desk"), "tel:+17135550100"),
    )
    async with keeping(records_url, tmp_path, numbers=Hidden()) as kept:
        kept.records.decided(a_call(), accepted(plan))
        kept.records.transfer(plan, Transfer(1, None, "tel:+17135550100", "done"))
        kept.records.ended(ending())
        await kept.writer.flushed()
        everything = [
            await kept.rows(table)
            for table in (tables.calls, tables.sessions, tables.transfers, tables.aliases)
        ]

    told = str(everything)
    assert "hidden-12" in told
    assert not [number for number in (CALLER, DIALED, "7135550100") if number[1:] in told]
    assert json.loads(everything[0][0]["plan"])["fallback"]["refer_to"] == "tel:hidden-12"


async def test_the_outcome_is_settled_when_it_is_stored(records_url: str, tmp_path: Path) -> None:
    async with keeping(records_url, tmp_path) as kept:
        kept.records.decided(a_call(), accepted(planned()))
        await kept.writer.flushed()
        assert kept.settled == []
        kept.records.ended(ending())
        assert kept.settled == []
        await kept.writer.flushed()

        assert kept.settled == ["rtc_1"]


async def test_turns_are_those_of_all_owners(records_url: str, tmp_path: Path) -> None:
    async with keeping(records_url, tmp_path) as kept:
        plan = planned()
        kept.records.decided(a_call(), accepted(plan))
        for sequence in (0, 1, 1_000_000):
            kept.records.turn(plan, said(sequence))
        kept.records.ended(ending(turns=1))
        await kept.writer.flushed()
        (call,) = await kept.rows(tables.calls)

    assert call["turns"] == 3
