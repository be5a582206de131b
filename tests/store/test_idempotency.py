"""What was asked under a key is done once, whoever dies on the way."""

import asyncio

from sipagent.store.idempotency import (
    KEPT,
    WORKED_AT,
    Answer,
    IdempotencyKeys,
    Key,
    Known,
    prune,
)
from tests.store.support import opened
from tests.store.test_keys import HandClock

KEY = Key("tok1", "one", "f1")
ANSWER = Answer(200, "application/json", '{"answer":"done"}')


async def test_the_first_does_it_and_the_next_are_answered_alike(records_url: str) -> None:
    async with opened(records_url) as engine:
        keys = IdempotencyKeys(lambda: engine, HandClock())
        assert await keys.begin(KEY) is Known.NEW
        assert await keys.begin(KEY) is Known.BUSY
        await keys.end(KEY, ANSWER)
        assert await keys.begin(KEY) == ANSWER
        assert await keys.begin(Key("tok1", "one", "f2")) is Known.OTHER
        assert await keys.begin(Key("tok2", "one", "f2")) is Known.NEW


async def test_of_many_at_once_one_does_it(records_url: str) -> None:
    async with opened(records_url) as engine, opened(records_url, schema=False) as other:
        clock = HandClock()
        replicas = [IdempotencyKeys(lambda: engine, clock), IdempotencyKeys(lambda: other, clock)]
        found = await asyncio.gather(*(replicas[number % 2].begin(KEY) for number in range(10)))

        assert sorted(map(str, found)) == ["busy"] * 9 + ["new"]


async def test_what_was_dropped_is_done_by_the_next(records_url: str) -> None:
    async with opened(records_url) as engine:
        keys = IdempotencyKeys(lambda: engine, HandClock())
        await keys.begin(KEY)
        await keys.drop(KEY)
        assert await keys.begin(KEY) is Known.NEW
        await keys.end(KEY, ANSWER)
        await keys.drop(KEY)
        assert await keys.begin(KEY) == ANSWER


async def test_what_a_dead_process_had_begun_is_done_by_another(records_url: str) -> None:
    async with opened(records_url) as engine:
        clock = HandClock()
        keys = IdempotencyKeys(lambda: engine, clock)
        await keys.begin(KEY)
        clock.now += WORKED_AT
        assert await keys.begin(KEY) is Known.BUSY
        clock.now += 1
        assert await keys.begin(KEY) is Known.NEW


async def test_keys_are_forgotten_after_a_day(records_url: str) -> None:
    async with opened(records_url) as engine:
        clock = HandClock()
        keys = IdempotencyKeys(lambda: engine, clock)
        for number in range(250):
            await keys.begin(Key("tok1", str(number), "f"))
        await keys.begin(KEY)
        await keys.end(KEY, ANSWER)
        clock.now += KEPT
        assert await keys.begin(KEY) == ANSWER
        clock.now += 1
        assert await keys.begin(Key("tok1", "one", "other")) is Known.NEW
        assert await prune(engine, clock.now) == 250
        assert await prune(engine, clock.now) == 0
