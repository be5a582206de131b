"""Records in the log and in metrics: no words, no numbers."""

from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from sipagent.metrics import Metrics
from sipagent.model import (
    AgentName,
    Bill,
    CallPlan,
    DestinationName,
    Happening,
    Message,
    Skills,
    Tokens,
    Transfer,
    TransferEnd,
    Usage,
    UsageKind,
)
from sipagent.store.fanout import EachOf
from sipagent.store.log import LogRecords
from sipagent.testing import MemoryRecords
from tests.store.nouns import a_call, a_tool, accepted, billed, ending, planned, said, used


def test_tokens_and_costs_are_counted() -> None:
    metrics = Metrics()
    records = LogRecords(metrics)
    records.used(planned(), billed("resp_1", cost=7))
    records.used(planned(), billed("resp_2", cost=None))
    seconds = Usage("item_1", UsageKind.TRANSCRIPTION, "whisper-1", Bill(Tokens(), 3.5), 350, "1")
    records.used(planned(), seconds)
    value = metrics.registry.get_sample_value

    assert value("sipagent_tokens_total", {"kind": "audio_out"}) == 180
    assert value("sipagent_tokens_total", {"kind": "text_cached"}) == 100
    assert value("sipagent_tokens_total", {"kind": "image_in"}) == 0
    labels = {"tenant": "default", "agent": "reception"}
    assert value("sipagent_cost_microdollars_total", labels) == 357


WORTH_A_LINE = {
    Happening.DROPPED: "call dropped its socket",
    Happening.REATTACHED: "call reattached",
    Happening.RETRIED: "call retried",
    Happening.FELL_BACK: "call fell back",
    Happening.WOUND_DOWN: "call wound down",
    Happening.NOT_DISCLOSED: "call without its disclosure",
}


@pytest.mark.parametrize("what", Happening)
def test_what_went_wrong_in_a_call_is_a_line_and_counted(what: Happening) -> None:
    metrics = Metrics()
    with capture_logs() as lines:
        LogRecords(metrics).happened(planned(), what, "1006")

    told = WORTH_A_LINE.get(what)
    counted = metrics.registry.get_sample_value("sipagent_call_steps_total", {"step": what.value})
    assert counted == (None if told is None else 1)
    assert [line["event"] for line in lines] == ([] if told is None else [told])
    assert all(line["detail"] == "1006" for line in lines)


def test_a_transfer_is_told_without_its_number() -> None:
    with capture_logs() as lines:
        LogRecords(Metrics()).transfer(
            planned(), Transfer(1, DestinationName("desk"), "tel:+17135550100", "done")
        )

    (line,) = lines
    assert (line["event"], line["destination"], line["answer"]) == ("call referred", "desk", "done")
    assert "7135550100" not in str(line)


def test_the_end_of_a_transfer_is_a_line_of_its_own() -> None:
    desk, end = DestinationName("desk"), TransferEnd.NOT_TAKEN
    metrics = Metrics()
    with capture_logs() as lines:
        LogRecords(metrics).transfer(planned(), Transfer(1, desk, "tel:+1", "done"))
        LogRecords(metrics).transfer(planned(), Transfer(1, desk, "tel:+1", "done", end))

    assert [line["event"] for line in lines] == ["call referred", "transfer ended"]
    assert lines[1]["outcome"] == "not_taken"
    assert 'sipagent_transfers_total{outcome="not_taken"} 1.0' in metrics.exposition().decode()


def test_a_tool_is_told_without_what_it_was_given_and_gave() -> None:
    plan = replace(planned(), skills=Skills((a_tool("order_status"),)))
    with capture_logs() as lines:
        LogRecords(Metrics()).tool(
            plan, used(arguments="my secret", output="another secret", detail="HTTP 200")
        )
        LogRecords(Metrics()).tool(plan, used(name="call +17135550100", agent=AgentName("b")))

    known, unknown = lines
    assert (known["event"], known["tool"], known["status"]) == ("tool used", "order_status", "done")
    assert known["detail"] == "HTTP 200"
    assert (known["ms"], known["agent"]) == (400, "reception")
    assert (unknown["tool"], unknown["agent"]) == ("unknown", "b")
    assert "secret" not in str(lines)
    assert "7135550100" not in str(lines)


async def test_a_message_is_told_and_counted_without_its_words() -> None:
    metrics = Metrics()
    with capture_logs() as lines:
        await LogRecords(metrics).message(planned(), Message("call_2", {"message": "my secret"}))

    assert [line["event"] for line in lines] == ["message taken"]
    assert "secret" not in str(lines)
    assert metrics.registry.get_sample_value("sipagent_messages_total") == 1


async def test_a_message_that_is_not_kept_is_not_told() -> None:
    class Full(MemoryRecords):
        async def message(self, plan: CallPlan, message: Message) -> None:
            raise OSError("full")

    with capture_logs() as lines, pytest.raises(OSError, match="full"):
        await EachOf(Full(), LogRecords(Metrics())).message(planned(), Message("call_2", {}))

    assert lines == []


def test_tools_are_counted_by_kind_and_timed_by_name() -> None:
    metrics = Metrics()
    metrics.tools.observe("http", "done", 0.2)
    metrics.tools.observe("http", "timed_out", 10.0)
    records, plan = (
        LogRecords(metrics),
        replace(planned(), skills=Skills((a_tool("order_status"),))),
    )
    records.tool(plan, used())
    records.tool(plan, used(name="call +17135550100"))
    value = metrics.registry.get_sample_value

    assert value("sipagent_tool_calls_total", {"kind": "http", "status": "timed_out"}) == 1
    known = {"tool": "order_status", "status": "done"}
    assert value("sipagent_tool_seconds_count", known) == 1
    assert value("sipagent_tool_seconds_bucket", {**known, "le": "0.5"}) == 1
    assert value("sipagent_tool_seconds_count", {**known, "tool": "unknown"}) == 1
    assert "7135550100" not in metrics.exposition().decode()


async def test_each_of_several_records_gets_everything() -> None:
    first, second = MemoryRecords(), MemoryRecords()
    records = EachOf(first, second)
    plan = planned()
    records.decided(a_call(), accepted(plan))
    records.happened(plan, Happening.ANSWERED)
    records.turn(plan, said(0))
    records.used(plan, billed("resp_1"))
    records.transfer(plan, Transfer(1, None, "tel:+17135550100", "done"))
    records.tool(plan, used())
    await records.message(plan, Message("call_2", {"message": "Call me."}))
    records.fault(plan, "rate_limit", "slow_down")
    records.ended(ending())

    assert vars(first).keys() == vars(second).keys()
    for name in ("decisions", "turns", "tools", "messages", "faults", "outcomes"):
        assert len(getattr(first, name)) == 1
        assert getattr(first, name) == getattr(second, name)
