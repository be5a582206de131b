"""Records in the log and in metrics: no words, no numbers."""

import pytest
from structlog.testing import capture_logs

from sipagent.metrics import Metrics
from sipagent.model import (
    Bill,
    DestinationName,
    Happening,
    Tokens,
    Transfer,
    Usage,
    UsageKind,
)
from sipagent.store.fanout import EachOf
from sipagent.store.log import LogRecords
from sipagent.testing import MemoryRecords
from tests.store.nouns import a_call, accepted, billed, ending, planned, said


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
    assert value("sipagent_cost_microdollars_total") == 357


WORTH_A_LINE = {
    Happening.DROPPED: "call dropped its socket",
    Happening.REATTACHED: "call reattached",
    Happening.RETRIED: "call retried",
    Happening.FELL_BACK: "call fell back",
    Happening.WOUND_DOWN: "call wound down",
}


@pytest.mark.parametrize("what", Happening)
def test_what_went_wrong_in_a_call_is_a_line(what: Happening) -> None:
    with capture_logs() as lines:
        LogRecords(Metrics()).happened(planned(), what, "1006")

    told = WORTH_A_LINE.get(what)
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


def test_each_of_several_records_gets_everything() -> None:
    first, second = MemoryRecords(), MemoryRecords()
    records = EachOf(first, second)
    plan = planned()
    records.decided(a_call(), accepted(plan))
    records.happened(plan, Happening.ANSWERED)
    records.turn(plan, said(0))
    records.used(plan, billed("resp_1"))
    records.transfer(plan, Transfer(1, None, "tel:+17135550100", "done"))
    records.fault(plan, "rate_limit", "slow_down")
    records.ended(ending())

    assert vars(first).keys() == vars(second).keys()
    for name in ("decisions", "turns", "faults", "outcomes"):
        assert len(getattr(first, name)) == 1
        assert getattr(first, name) == getattr(second, name)
