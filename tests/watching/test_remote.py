"""Replicas that watch each other's calls by a real Redis."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sipagent.concurrency import SystemClock
from sipagent.engine.redis.link import Link
from sipagent.engine.redis.notices import Notices, channel_of
from sipagent.model import DEFAULT_TENANT
from sipagent.model.live import LiveKind
from sipagent.watching import joining, remote, standin
from sipagent.watching.reading import Archive
from sipagent.watching.remote import LARGEST, Outbound, Remote
from sipagent.watching.standin import StandIn
from tests.servers import FLAVOURS, RedisServer
from tests.store.nouns import DIALED, a_call, accepted, planned
from tests.watching.test_topics import event
from tests.watching.watched import Watched, call_id, turn, until, viewing, watching


@pytest.fixture(scope="module", params=FLAVOURS)
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    with RedisServer(request.param) as running:
        yield running


@dataclass
class Replica:
    watched: Watched
    remote: Remote
    notices: Notices
    link: Link


@asynccontextmanager
async def replica(redis: str, records: str, folder: Path, name: str) -> AsyncIterator[Replica]:
    link = Link(redis)
    notices = Notices(link, name)
    async with watching(records, folder / name, replica=name) as watched:
        one = Remote(watched.hub, notices, name, SystemClock())
        archive = Archive(lambda: watched.kept.writer.engine, watched.kept.writer.flushed)
        stand_in = StandIn(watched.hub, one, archive, SystemClock())
        async with link, notices:
            await asyncio.wait_for(notices.listening.wait(), 30)
            async with one, stand_in:
                yield Replica(watched, one, notices, link)
        await watched.kept.writer.flushed()


@pytest.fixture
async def two(
    server: RedisServer, sqlite_url: str, tmp_path: Path
) -> AsyncIterator[tuple[Replica, Replica]]:
    server.empty()
    async with (
        replica(server.url, sqlite_url, tmp_path, "one") as one,
        replica(server.url, sqlite_url, tmp_path, "two") as other,
    ):
        yield one, other


async def test_a_call_is_watched_at_a_replica_that_does_not_hold_it(
    two: tuple[Replica, Replica],
) -> None:
    here, there = two
    async with viewing(here.watched.watch.call(call_id())) as viewer:
        await until(lambda: there.watched.hub.watched(call_id()))
        plan = there.watched.begin()
        there.watched.say(plan, "Good morning.")
        turn(plan, there.watched.records, 1, "Good morning.")
        there.watched.end(plan)
        await until(lambda: viewer.over)
    assert viewer.words == "Good morning."
    assert viewer.whats == ["decided", "answered", "attached", "heard", "words", "turn.1", "ended"]
    await until(lambda: not there.watched.hub.watched(call_id()))


async def test_a_call_that_changes_hands_is_told_on(two: tuple[Replica, Replica]) -> None:
    here, there = two
    async with viewing(here.watched.watch.call(call_id())) as viewer:
        await until(lambda: there.watched.hub.watched(call_id()))
        plan = there.watched.begin()
        there.watched.say(plan, "Before. ")
        await until(lambda: viewer.words)
        there.watched.records.left(plan)
        here.watched.records.adopted(a_call(), accepted(plan), 1000.0)
        here.watched.say(plan, "Here. ")
        await until(lambda: "Here." in viewer.words)
        here.watched.records.left(plan)
        there.watched.records.adopted(a_call(), accepted(plan), 1000.0)
        there.watched.say(plan, "There again. ")
        there.watched.end(plan)
        await until(lambda: viewer.over)
    assert viewer.words == "Before. Here. There again. "
    assert sum("step.adopted" in what for what in viewer.whats) == 2
    assert LiveKind.GAP not in {one.kind for one in viewer.events}


async def test_all_calls_are_told_of_while_somebody_watches_and_nothing_is_sent_otherwise(
    two: tuple[Replica, Replica],
) -> None:
    here, there = two
    heard: list[Any] = []
    async with there.link.listener() as listener:
        await listener.subscribe(channel_of("one"))
        unwatched = there.watched.begin("rtc_0")
        there.watched.say(unwatched, "Nobody hears this.")
        async with viewing(here.watched.watch.lifecycle(DEFAULT_TENANT, number=DIALED)) as viewer:
            await until(lambda: there.watched.hub.board.everything)
            plan = there.watched.begin("rtc_1")
            there.watched.say(plan, "Nor this.")
            turn(plan, there.watched.records, 1)
            there.watched.end(plan)
            await until(lambda: "ended" in viewer.whats)
            assert await here.watched.watch.whose(plan.call_id) == DEFAULT_TENANT
        await until(lambda: not there.watched.hub.board.everything)
        there.watched.end(unwatched)
        while (message := await listener.get_message(timeout=0.3)) is not None:
            heard += [message["data"]] if message["type"] == "message" else []
    assert viewer.whats == ["decided", "answered", "attached", "heard", "ended"]
    told = b"".join(heard)
    assert b"rtc_1" in told
    assert b"rtc_0" not in told
    for words in (b"Nobody hears", b"Nor this", b"Hello."):
        assert words not in told


async def test_a_wish_lapses_if_nobody_renews_it(
    two: tuple[Replica, Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = two
    monkeypatch.setattr(remote, "LEASE", 0.2)
    monkeypatch.setattr(remote, "WISHED_EVERY", 0.1)
    here.remote._wishing.set()
    there.remote._wishing.set()  # from now on they look ten times a second
    async with viewing(here.watched.watch.call(call_id())):
        await until(lambda: there.watched.hub.watched(call_id()))
        await here.remote.__aexit__()  # as if it had died
        await until(lambda: not there.watched.hub.watched(call_id()))


@pytest.mark.parametrize("stops", ["kill", "pause"])
async def test_with_redis_away_the_records_are_told_and_a_gap(
    server: RedisServer,
    two: tuple[Replica, Replica],
    monkeypatch: pytest.MonkeyPatch,
    stops: str,
) -> None:
    here, there = two
    monkeypatch.setattr(standin, "LOOKED_EVERY", 0.1)
    monkeypatch.setattr(remote, "WISHED_EVERY", 0.2)
    monkeypatch.setattr(joining, "LOOKS", ())
    here.remote._wishing.set()
    there.remote._wishing.set()
    async with (
        viewing(here.watched.watch.call(call_id())) as one,
        viewing(here.watched.watch.lifecycle(None)) as every,
    ):
        await until(lambda: there.watched.hub.watched(call_id()))
        plan = there.watched.begin()
        await until(lambda: "heard" in one.whats and "heard" in every.whats)
        server.kill() if stops == "kill" else server.pause()
        try:
            await until(lambda: here.remote.away)
            there.watched.say(plan, "Lost words.")
            turn(plan, there.watched.records, 1, "Kept words.")
            there.watched.end(there.watched.begin("rtc_2"))
            await until(lambda: "turn.1" in one.whats and "ended@rtc_2" in every.ids)
            for viewer in (one, every):
                gaps = [told.data["why"] for told in viewer.events if told.kind is LiveKind.GAP]
                assert "engine_away" in gaps
        finally:
            server.restart() if stops == "kill" else server.resume()
        await until(lambda: not here.remote.away and not there.remote.away)
        async with asyncio.timeout(30):
            while "Back again." not in one.words:  # a connection of before may be tried first
                there.watched.say(plan, "Back again. ")
                await asyncio.sleep(0.1)
        there.watched.end(plan)
        await until(lambda: one.over and "ended@rtc_1" in every.ids)
    for viewer in (one, every):
        assert len(viewer.ids) == len(set(viewer.ids))


def test_what_waits_for_a_replica_is_bounded_and_sent_in_pieces_that_are_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(remote, "MOST_WAITING", 500)
    outbound = Outbound("one", lambda _: None)
    for number in range(600):
        outbound.put(event(number))
    outbound.put(msgspec.structs.replace(event(600), data={"text": "x" * 2 * LARGEST}))
    outbound.put(msgspec.structs.replace(event(601), data={"text": "x" * (LARGEST - 4000)}))
    pieces = list(outbound.pieces())
    assert sum(count for count, _ in pieces) == 499
    assert outbound.missed == 103
    assert all(len(msgspec.json.encode(events)) < 60_000 for _, events in pieces)
    ids = [told["event"]["id"] for _, events in pieces for told in events]
    assert ids == [str(number) for number in range(102, 602) if number != 600]


async def test_a_notice_of_another_release_that_makes_no_sense_harms_nobody(
    two: tuple[Replica, Replica],
) -> None:
    here, there = two
    for nonsense in (
        {"do": "told", "events": [{"event": {}}]},
        {"do": "told"},
        {"do": "watch", "from": "one"},
        {"do": "watch", "from": "one", "calls": ["../x", 1, None], "lifecycle": False},
    ):
        await there.link.publish(channel_of("one"), msgspec.json.encode(nonsense))
        await there.notices.tell("two", nonsense)
    async with viewing(here.watched.watch.call(call_id())) as viewer:
        await until(lambda: there.watched.hub.watched(call_id()))
        there.watched.begin("rtc_1", planned())
        await until(lambda: "heard" in viewer.whats)
