"""What calls tell, beside what is recorded of them."""

from dataclasses import replace
from pathlib import Path

import pytest

from sipagent.model import (
    DEFAULT_TENANT,
    CallId,
    Decision,
    Happening,
    Reason,
    Reject,
    Speaker,
    TenantName,
)
from sipagent.model.live import LIFECYCLE, LiveEvent, LiveKind
from sipagent.model.plan import Redaction
from sipagent.sessions.machine.events import CallerText, CallerTextDone
from sipagent.sessions.ports import Words
from sipagent.sessions.viewing import Viewing
from sipagent.testing.fakes import a_plan
from tests.store.nouns import CALLER, DIALED, a_call, accepted, planned
from tests.watching.watched import a_whole_call, call_id, turn, until, viewing, watching

COME = {LiveKind.ANSWERED, LiveKind.ATTACHED, LiveKind.HEARD}


def comparable(events: list[LiveEvent]) -> dict[str, tuple[object, ...]]:
    """What is told, but for how long the call was: it is recorded a moment before it is told."""
    return {
        one.id: (one.kind, one.agent, {k: v for k, v in one.data.items() if k != "seconds"})
        for one in events
    }


async def test_what_is_told_as_it_happens_is_what_is_recorded(
    records_url: str, tmp_path: Path
) -> None:
    async with watching(records_url, tmp_path / "data") as watched:
        async with viewing(watched.watch.call(call_id())) as live:
            await until(lambda: watched.hub.watched(call_id()))
            a_whole_call(watched)
            await until(lambda: live.over)
        await watched.kept.writer.flushed()
        async with viewing(watched.watch.call(call_id())) as later:
            await until(lambda: later.over)
    told, recorded = comparable(live.events), comparable(later.events)
    made = f"transfer.1.made@{call_id()}"  # of which only the end is kept
    assert told.pop(made)[0] is LiveKind.TRANSFER
    assert told == recorded
    assert later.whats[0] == "decided"
    assert later.whats[-1] == "ended"
    assert {one.split(".")[0] for one in later.whats} == {
        *("decided", "answered", "attached", "heard", "turn", "tool", "transfer", "step", "ended")
    }
    everything = repr(live.events) + repr(later.events)
    for secret in (DIALED, CALLER, "713 481 0111", "+17134810199", "shipped", "order_no"):
        assert secret not in everything
    assert "made_up" not in everything  # a model's own word for a tool


async def test_an_unwatched_call_is_told_to_nobody(sqlite_url: str, tmp_path: Path) -> None:
    async with watching(sqlite_url, tmp_path / "data") as watched:
        a_whole_call(watched)
        assert not watched.hub.watched(call_id())
        assert watched.hub.board.viewers == 0
        assert not watched.hub.holds(call_id())
        assert watched.hub.board.dropped == 0


async def test_all_calls_of_a_tenant_are_told_to_it_and_those_of_all_to_the_operator(
    sqlite_url: str, tmp_path: Path
) -> None:
    other = TenantName("other")
    async with watching(sqlite_url, tmp_path / "data") as watched:
        async with (
            viewing(watched.watch.lifecycle(DEFAULT_TENANT)) as own,
            viewing(watched.watch.lifecycle(other)) as others,
            viewing(watched.watch.lifecycle(None)) as operator,
        ):
            a_whole_call(watched)
            watched.begin("rtc_2", replace(planned("rtc_2"), tenant=other))
            await until(lambda: len(operator.events) == 9)
            await until(lambda: len(own.events) == 5 and len(others.events) == 4)
        assert {one.kind for one in own.events} == LIFECYCLE
        assert {one.call_id for one in own.events} == {"rtc_1"}
        assert {one.tenant for one in others.events} == {other}
        assert not watched.hub.board.everything
        await watched.kept.writer.flushed()


async def test_calls_to_a_number_are_told_alone(sqlite_url: str, tmp_path: Path) -> None:
    async with watching(sqlite_url, tmp_path / "data") as watched:
        other = replace(accepted(planned("rtc_2")), dialed="+17134810122")
        async with viewing(watched.watch.lifecycle(None, number=DIALED)) as viewer:
            watched.records.decided(a_call("rtc_2"), other)
            a_whole_call(watched)
            await until(lambda: "ended" in viewer.whats)
        assert {one.call_id for one in viewer.events} == {"rtc_1"}
        assert len(viewer.events) == 5
        await watched.kept.writer.flushed()


async def test_a_call_without_a_place_left_for_it_is_told_as_rejected(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with watching(sqlite_url, tmp_path / "data") as watched:
        refused = Decision(Reject(486, Reason.BUSY, DEFAULT_TENANT), (), dialed=DIALED)
        async with viewing(watched.watch.lifecycle(DEFAULT_TENANT)) as viewer:
            watched.records.decided(a_call(), refused)
            await until(lambda: viewer.events)
        decided = viewer.events[0]
        assert (decided.data["verdict"], decided.agent) == ("reject", None)
        assert decided.data["dialed"] == "+17*******11"
        await watched.kept.writer.flushed()


async def test_hidden_numbers_are_told_as_they_are_stored(sqlite_url: str, tmp_path: Path) -> None:
    class Hidden:
        def stored(self, tenant: TenantName, number: str) -> str:
            return f"hmac:{hash(number)}"

    async with watching(sqlite_url, tmp_path / "data", Hidden()) as watched:
        async with viewing(watched.watch.lifecycle(None)) as viewer:
            watched.begin()
            await until(lambda: viewer.events)
        assert viewer.events[0].data["dialed"] == "************"
        await watched.kept.writer.flushed()


async def test_digits_spoken_in_pieces_never_come_to_whoever_watches(
    sqlite_url: str, tmp_path: Path
) -> None:
    plan = replace(a_plan(), redact=frozenset({Redaction.CARD}))
    async with watching(sqlite_url, tmp_path / "data") as watched:
        tap = Viewing(plan, watched.hub)
        async with viewing(watched.watch.call(plan.call_id)) as viewer:
            watched.begin(plan=plan)
            for piece in ("My card is 4111", " 1111 ", "11", "11 1111", ", and four one ", "one"):
                tap.spoken(CallerText("item_1", piece))
            tap.finished(CallerTextDone("item_1", ""))
            watched.say(plan, " and that is it")
            await until(lambda: "that is it" in viewer.words)
        assert "1111" not in viewer.words
        assert "[card]" in viewer.words
        await watched.kept.writer.flushed()


async def test_a_telephone_number_spoken_in_pieces_is_masked(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with watching(sqlite_url, tmp_path / "data") as watched:
        async with viewing(watched.watch.call(call_id())) as viewer:
            plan = watched.begin()
            for piece in ("Call me at +1 7", "13 481", " 0111", ", please"):
                watched.say(plan, piece)
            await until(lambda: "please" in viewer.words)
        assert viewer.words == "Call me at +17*******11, please"
        await watched.kept.writer.flushed()


async def test_a_viewer_that_cannot_be_told_harms_no_call(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with watching(sqlite_url, tmp_path / "data") as watched:
        async with viewing(watched.watch.call(call_id())):
            plan = watched.begin()
            dropped = watched.hub.board.dropped
            monkeypatch.setattr(watched.hub.board, "tell", None)
            turn(plan, watched.records, 1)
            watched.hub.publish(Words(plan.call_id, Speaker.CALLER, "item", "Hello there"))
            watched.records.happened(plan, Happening.RETRIED)
            watched.end(plan)
            assert watched.hub.board.dropped == dropped + 4
        await watched.kept.writer.flushed()


async def test_whose_a_call_is_is_known_before_it_is_recorded(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with watching(sqlite_url, tmp_path / "data") as watched:
        assert await watched.watch.whose(call_id()) is None
        plan = watched.begin()
        assert await watched.watch.whose(plan.call_id) == DEFAULT_TENANT
        watched.end(plan)
        await watched.kept.writer.flushed()
        assert await watched.watch.whose(CallId(plan.call_id)) == DEFAULT_TENANT
