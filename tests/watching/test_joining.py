"""From what is recorded to what happens: each thing once, in order, whoever comes when."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sipagent.model import DEFAULT_TENANT, Happening, TenantName
from sipagent.model.live import LiveKind
from sipagent.watching import board, joining, reading
from sipagent.watching.reading import Archive
from tests.store.nouns import a_call, accepted, ending, planned
from tests.watching.watched import (
    Watched,
    a_whole_call,
    call_id,
    turn,
    until,
    viewing,
    watching,
)


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The records are looked at again without delay, and heartbeats come often."""
    monkeypatch.setattr(joining, "LOOKS", (0.05, 0.1, 0.4, 1.0, 2.0, 5.0, 10.0, 20.0))
    monkeypatch.setattr(joining, "HEARTBEAT", 0.3)


async def test_who_comes_in_the_middle_gets_all_of_the_call_once(
    records_url: str, tmp_path: Path
) -> None:
    async with watching(records_url, tmp_path / "data") as watched:
        plan = watched.begin()
        for number in range(5):
            turn(plan, watched.records, number)
        async with viewing(watched.watch.call(plan.call_id)) as viewer:
            numbers = iter(range(5, 10_000))
            while not viewer.events:  # while the records are read
                turn(plan, watched.records, next(numbers))
                await asyncio.sleep(0.001)
            last = next(numbers)
            turn(plan, watched.records, last)
            await until(lambda: f"turn.{last}" in viewer.whats)
            watched.end(plan)
            await until(lambda: viewer.over)
        turns = [what for what in viewer.whats if what.startswith("turn")]
        assert turns == [f"turn.{number}" for number in range(last + 1)]
        assert viewer.whats[0] == "decided"
        assert viewer.whats[-1] == "ended"
        assert len(viewer.ids) == len(set(viewer.ids))


async def test_how_far_a_call_has_come_is_known_before_the_records_know(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with watching(sqlite_url, tmp_path / "data") as watched:
        plan = watched.begin()
        async with viewing(watched.watch.call(plan.call_id)) as viewer:
            await until(lambda: viewer.events)
        assert viewer.whats == ["decided", "answered", "attached", "heard"]
        await watched.kept.writer.flushed()


async def test_who_comes_back_goes_on_behind_what_they_have_seen(
    records_url: str, tmp_path: Path
) -> None:
    async with watching(records_url, tmp_path / "data") as watched:
        a_whole_call(watched)
        await watched.kept.writer.flushed()
        async with viewing(watched.watch.call(call_id())) as first:
            await until(lambda: first.over)
        for place, seen in enumerate(first.ids):
            async with viewing(watched.watch.call(call_id(), seen)) as viewer:
                await until(lambda: viewer.over)  # of this turn
            again = [one for one in viewer.ids if one in first.ids[: place + 1]]
            assert set(first.ids[place + 1 :]) <= set(viewer.ids)
            assert seen not in viewer.ids
            assert {one.split(".")[0] for one in again} <= {"turn", "tool"}
        for unknown in ("turn.77@rtc_1", "nonsense", "ended@rtc_2"):
            async with viewing(watched.watch.call(call_id(), unknown)) as viewer:
                await until(lambda: viewer.over)
            assert viewer.ids == first.ids


async def test_calls_that_came_and_went_while_nobody_watched_are_told(
    records_url: str, tmp_path: Path
) -> None:
    async with watching(records_url, tmp_path / "data") as watched:
        async with viewing(watched.watch.lifecycle(DEFAULT_TENANT)) as first:
            plan = watched.begin("rtc_0")
            watched.end(plan)
            await until(lambda: "ended" in first.whats)
        watched.end(watched.begin("rtc_1"), answered_at=None, heard_at=None, attached_at=None)
        held = watched.begin("rtc_2")
        await watched.kept.writer.flushed()
        async with viewing(watched.watch.lifecycle(DEFAULT_TENANT, first.ids[-1])) as viewer:
            await until(lambda: "heard@rtc_2" in viewer.ids)
            watched.end(held)
            await until(lambda: "ended@rtc_2" in viewer.ids)
        missed = [one for one in viewer.ids if not one.endswith("@rtc_0")]
        assert first.ids[-1] not in viewer.ids
        assert missed[0] == "decided@rtc_1"
        assert {"ended@rtc_1", "decided@rtc_2", "answered@rtc_2", "heard@rtc_2"} <= set(missed)
        assert len(viewer.ids) == len(set(viewer.ids))
        assert LiveKind.GAP not in {one.kind for one in viewer.events}


async def test_an_event_of_anothers_call_is_as_one_that_never_was(
    records_url: str, tmp_path: Path
) -> None:
    """Else whoever names it would learn that there was such a call, and when."""
    async with watching(records_url, tmp_path / "data") as watched:
        watched.end(watched.begin("rtc_1"))
        await watched.kept.writer.flushed()
        told = []
        for tenant, named in (
            (TenantName("beta"), "ended@rtc_1"),
            (TenantName("beta"), "ended@rtc_9"),
            (DEFAULT_TENANT, "ended@rtc_9"),
            (DEFAULT_TENANT, "ended@rtc_1"),
        ):
            async with viewing(watched.watch.lifecycle(tenant, named)) as viewer:
                await until(lambda: viewer.events)
            told.append(viewer.events[0])
        assert [one.data.get("why") for one in told] == ["unknown_id"] * 3 + [None]
        await watched.kept.writer.flushed()


async def test_whoever_waits_for_a_turn_at_the_records_does_not_wait_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reading, "READ_WITHIN", 0.1)
    monkeypatch.setattr(reading, "TURN_WITHIN", 0.1)

    class Hung:
        async def __aenter__(self) -> None:
            await asyncio.sleep(3600)

        async def __aexit__(self, *_: Any) -> None:
            """Never there."""

        def connect(self) -> "Hung":
            return self

    async def nothing(_: int) -> None:
        """Nothing waits to be stored."""

    archive = Archive(lambda: Hung(), nothing)  # type: ignore[arg-type, return-value]
    began = asyncio.get_running_loop().time()
    asked = [archive.whose(call_id()) for _ in range(40)]
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert {type(one) for one in found} == {TimeoutError}
    assert asyncio.get_running_loop().time() - began < 1.0


@pytest.mark.usefixtures("soon")
async def test_what_others_store_a_moment_later_is_told(records_url: str, tmp_path: Path) -> None:
    """Another replica's call, of which nothing is told here, and whose rows come late."""
    async with watching(records_url, tmp_path / "data") as watched:
        seen = watched.begin("rtc_0")
        await watched.kept.writer.flushed()
        after = f"decided@{seen.call_id}"
        async with (
            viewing(watched.watch.lifecycle(None, after)) as all_calls,
            viewing(watched.watch.call(call_id("rtc_9"))) as one_call,
        ):
            await until(lambda: all_calls.events)
            elsewhere(watched, "rtc_9")
            await until(lambda: "decided@rtc_9" in all_calls.ids)
            await until(lambda: "turn.1@rtc_9" in one_call.ids)
        assert len(all_calls.ids) == len(set(all_calls.ids))
        assert len(one_call.ids) == len(set(one_call.ids))


@pytest.mark.usefixtures("soon")
async def test_the_end_of_a_call_whose_holder_is_gone_is_told_all_the_same(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joining, "LOOKS", ())
    async with watching(sqlite_url, tmp_path / "data") as watched:
        async with viewing(watched.watch.call(call_id("rtc_9"))) as viewer:
            elsewhere(watched, "rtc_9")
            await until(lambda: "decided" in viewer.whats)
            await until(lambda: viewer.heartbeats > 1)
            watched.kept.records.ended(ending("rtc_9"))
            await until(lambda: viewer.over)
        assert viewer.whats[-1] == "ended"


def elsewhere(watched: Watched, name: str) -> None:
    """A call of another replica's: only the records know of it."""
    plan = planned(name)
    watched.kept.records.decided(a_call(name), accepted(plan))
    turn(plan, watched.kept.records, 1)


async def test_a_slow_viewer_of_a_call_gets_a_gap_and_every_turn(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board, "MOST_OF_CALL", 8)
    async with watching(sqlite_url, tmp_path / "data") as watched:
        plan = watched.begin()
        async with watched.watch.call(plan.call_id) as batches:
            first = await anext(batches)
            for number in range(40):  # which the viewer does not read
                turn(plan, watched.records, number)
                watched.say(plan, "word ")
            await watched.kept.writer.flushed()
            events = [*first, *await anext(batches)]
        kinds = [one.kind for one in events]
        assert kinds.count(LiveKind.GAP) == 1
        gap = events[kinds.index(LiveKind.GAP)]
        assert gap.data == {"why": "viewer_too_slow", "missed": 72}
        turns = {one.id for one in events if one.kind is LiveKind.TURN}
        assert len(turns) == kinds.count(LiveKind.TURN) == 40
        assert watched.hub.board.dropped == 72


async def test_a_slow_viewer_of_all_calls_gets_a_gap(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board, "MOST_OF_ALL", 8)
    async with watching(sqlite_url, tmp_path / "data") as watched:
        async with watched.watch.lifecycle(None) as batches:
            calls = [watched.begin(f"rtc_{number}") for number in range(5)]
            batch = await anext(batches)
        assert [one.kind for one in batch].count(LiveKind.GAP) == 1
        assert batch[0].data == {"why": "viewer_too_slow", "missed": 12}
        assert len(batch) == 9
        for plan in calls:
            watched.end(plan)
        await watched.kept.writer.flushed()


@pytest.mark.usefixtures("soon")
async def test_records_that_are_away_make_a_gap_and_what_happens_is_told(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any) -> None:
        raise ConnectionRefusedError

    for name in ("story", "since", "at"):
        monkeypatch.setattr(Archive, name, away)
    async with watching(sqlite_url, tmp_path / "data") as watched:
        async with (
            viewing(watched.watch.call(call_id())) as one,
            viewing(watched.watch.lifecycle(None, "decided@rtc_0")) as every,
        ):
            plan = watched.begin()
            turn(plan, watched.records, 1)
            watched.end(plan)
            await until(lambda: one.over and "ended@rtc_1" in every.ids)
        for viewer in (one, every):
            assert viewer.events[0].kind is LiveKind.GAP
            assert viewer.events[0].data["why"] == "records_away"
        assert "turn.1@rtc_1" in one.ids
        await watched.kept.writer.flushed()


@pytest.mark.usefixtures("soon")
async def test_silence_is_told_as_a_heartbeat(sqlite_url: str, tmp_path: Path) -> None:
    async with watching(sqlite_url, tmp_path / "data") as watched:
        async with viewing(watched.watch.lifecycle(None)) as viewer:
            await until(lambda: viewer.heartbeats > 2)
        assert not viewer.events


@pytest.mark.parametrize("when", ["before", "while"])
async def test_all_streams_end_when_the_service_closes(
    sqlite_url: str, tmp_path: Path, when: str
) -> None:
    async with watching(sqlite_url, tmp_path / "data") as watched:
        plan = watched.begin()
        if when == "before":
            watched.hub.board.close()
        async with (
            viewing(watched.watch.lifecycle(None)) as every,
            viewing(watched.watch.call(plan.call_id)) as one,
        ):
            if when == "while":
                await until(lambda: one.events)
                watched.hub.board.close()
            await until(lambda: every.over and one.over, within=1.5)
        await watched.kept.writer.flushed()


async def test_nothing_is_left_of_those_who_have_gone(sqlite_url: str, tmp_path: Path) -> None:
    async with watching(sqlite_url, tmp_path / "data") as watched:
        plan = watched.begin()
        for _ in range(3):
            async with (
                viewing(watched.watch.call(plan.call_id)) as one,
                viewing(watched.watch.lifecycle(None)),
            ):
                await until(lambda: one.events)  # of this turn
                assert watched.hub.board.viewers == 2
            assert watched.hub.board.viewers == 0
            assert not watched.hub.watched(plan.call_id)
            assert not watched.hub.board.everything
        watched.records.happened(plan, Happening.RETRIED)
        await watched.kept.writer.flushed()
