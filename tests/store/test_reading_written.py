"""What the service writes of a call is what is read and told of it."""

from pathlib import Path

from sipagent.model import CallId, Happening, Reason, TenantName, Transfer
from sipagent.store.reading import find_calls, read_story
from sipagent.store.reading.opening import records
from sipagent.store.shown import shown_story
from sipagent.store.why import tell
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
from tests.store.support import located


async def test_a_call_from_its_decision_to_its_end(records_url: str, tmp_path: Path) -> None:
    plan = planned()
    async with keeping(records_url, tmp_path) as kept:
        write = kept.records
        write.decided(a_call(), accepted(plan))
        write.happened(plan, Happening.ANSWERED)
        write.happened(plan, Happening.FAULT, "server_error")
        write.turn(plan, said(0, "Good day."))
        write.turn(plan, said(1, None))
        write.used(plan, billed("resp_1"))
        write.used(plan, billed("resp_1"))
        write.transfer(plan, Transfer(1, None, "tel:+18005550100", "done"))
        write.ended(ending(reason=Reason.PROVIDER_ERROR, usage_complete=False))
    async with records(located(records_url)) as engine, engine.connect() as connection:
        tenant = TenantName(plan.tenant)
        for name in ("rtc_1", "wh_rtc_1", "CA0123", "abc@203.0.113.1"):
            assert await find_calls(connection, tenant, name) == ("rtc_1",), name
        story = await read_story(connection, tenant, CallId("rtc_1"), words=True)
    assert story is not None
    assert (story.call.dialed, story.call.caller, story.call.caller_name) == (DIALED, CALLER, "Ann")
    assert [turn.text for turn in story.turns] == ["Good day.", None]
    told = tell(story, numbers=False)
    assert told.decided[2] == "What decided: numbers: +17*******11: is listed."
    assert {line.split(" s ", 1)[-1] for line in told.happened} >= {
        "the provider answered the call.",
        "the caller began to hear the agent.",
        "the provider or the model reported a fault (server_error).",
    }
    assert told.ended[0].endswith(" as failed.provider_error.")
    assert told.cost[0].startswith("It cost at least 0.0012 USD: 410 tokens in 1 bill")
    shown = shown_story(story, numbers=False, words=False)
    assert "Ann" not in str(shown)
    assert [number for number in (CALLER, DIALED, "8005550100") if number in str(shown)] == []
    assert shown["transfers"][0]["answer"] == "done"
