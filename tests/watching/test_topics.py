"""Bounded logs that are read at several paces, and who is woken when."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from sipagent.model import CallId, TenantName
from sipagent.model.live import LiveEvent, LiveKind
from sipagent.watching.topics import Pace, Reader, Topic


def event(number: int) -> LiveEvent:
    return LiveEvent(str(number), 0.0, LiveKind.STEP, CallId("rtc_1"), TenantName("acme"))


@given(st.lists(st.one_of(st.none(), st.integers(1, 12)), max_size=30), st.integers(1, 8))
def test_a_reader_gets_each_event_once_in_order_or_counts_it_as_missed(
    doings: list[int | None], most: int
) -> None:
    """A number puts so many events, None reads."""

    async def read() -> None:
        topic = Topic(Pace(), most)
        topic.put(event(-1))  # before the reader came
        reader, put, told = Reader(topic), 0, 0
        for doing in [*doings, None]:
            for _ in range(doing or 0):
                topic.put(event(put))
                put += 1
            if doing is None:
                found = await reader.read(0)
                told += found.missed
                assert [one.id for one in found.events] == [str(n) for n in range(told, put)]
                assert len(found.events) <= most
                told = put

    asyncio.run(read())


async def test_whoever_waits_is_woken_by_what_is_put() -> None:
    topic = Topic(Pace(), 8)
    reader = Reader(topic)
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(reader.read(30.0))
        await asyncio.sleep(0)
        topic.put(event(1))
        topic.put(event(2))
    assert [one.id for one in waiting.result().events] == ["1", "2"]


async def test_where_nothing_happens_a_reader_waits_no_longer_than_it_wants() -> None:
    topic = Topic(Pace(), 8)
    assert await Reader(topic).read(0.01) == await Reader(topic).read(0)
    assert not topic._waiting


async def test_a_closed_topic_is_read_to_its_end_and_wakes_everybody_at_once() -> None:
    topic = Topic(Pace(every=30.0), 8)
    reader = Reader(topic)
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(5):
        waiting = [tasks.create_task(Reader(topic).read(30.0)) for _ in range(100)]
        await asyncio.sleep(0)
        topic.put(event(1))
        topic.close()
    assert {len(one.result().events) for one in waiting} == {1}
    assert (await reader.read(30.0)).events
    assert (await reader.read(30.0)).closed


async def test_a_crowd_is_woken_a_few_at_a_time() -> None:
    topic = Topic(Pace(every=0.02, at_once=3), 8)
    woken: list[int] = []

    async def view() -> None:
        await Reader(topic).read(30.0)
        woken.append(1)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(9):
            tasks.create_task(view())
        await asyncio.sleep(0)
        topic.put(event(1))
        await asyncio.sleep(0.03)
        assert len(woken) == 3
    assert len(woken) == 9


async def test_who_has_gone_while_waiting_is_forgotten() -> None:
    topic = Topic(Pace(), 8)
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(Reader(topic).read(30.0))
        await asyncio.sleep(0)
        waiting.cancel()
    topic.put(event(1))
    assert not topic._waiting
