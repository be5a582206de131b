"""Three replicas under 60 calls: one is killed, stopped, cut off or told to leave, or what they
share goes away. Nothing is lost, and nothing is done twice.

`make chaos` runs rounds of all of it and prints what they came to; `SEED` chooses others, and
`STRIKES="kill -9,emptied"` those whose names have one of these words.
"""

import asyncio
import os
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from sipagent.model import DEFAULT_TENANT, Quota, QuotaScope
from sipagent.sessions.ports import Claim
from tests.chaos.fleet_callers import MANY
from tests.chaos.fleet_harness import fleet_chaos
from tests.chaos.shared_books import SharedBooks
from tests.chaos.soak import soaked
from tests.chaos.strikes import KILL, RECORDS_AWAY, STRIKES, of_many
from tests.engine.replicas import replica
from tests.engine.support import a_claim, an_outcome
from tests.servers import RedisServer

ROUNDS = int(os.environ.get("ROUNDS", "3"))
SEED = int(os.environ.get("SEED", "4"))
ONLY = os.environ.get("STRIKES", "").split(",")


@pytest.mark.timeout(60 + 300 * ROUNDS)
async def test_no_strike_on_replicas_loses_a_call_or_does_anything_twice(tmp_path: Path) -> None:
    async with fleet_chaos(tmp_path, SEED) as chaos:
        try:
            for number in range(ROUNDS):
                for strike in (*STRIKES, RECORDS_AWAY[number % len(RECORDS_AWAY)]):
                    if any(part in strike.name for part in ONLY):
                        await chaos.round(strike)
        finally:
            print(f"\nseed {SEED}\n{chaos.figures.table()}")


@pytest.mark.timeout(180)
async def test_six_hundred_calls_are_taken_over(tmp_path: Path) -> None:
    async with fleet_chaos(tmp_path, SEED, linked=False) as chaos:
        try:
            await chaos.round(of_many(KILL), MANY)
        finally:
            print(f"\nseed {SEED}\n{chaos.figures.table()}")


@pytest.mark.timeout(180)
async def test_a_rolling_restart_under_calls_loses_none_and_refuses_none(tmp_path: Path) -> None:
    async with fleet_chaos(tmp_path, SEED, linked=False) as chaos:
        try:
            await chaos.roll(rate=20.0)
        finally:
            print(f"\nseed {SEED}\n{chaos.figures.table()}")


@pytest.mark.timeout(300)
async def test_a_stream_of_calls_is_answered_soon_and_leaves_nothing(tmp_path: Path) -> None:
    """L2, and a short form of L3."""
    async with fleet_chaos(tmp_path, SEED, linked=False) as chaos:
        found = await soaked(chaos, rate=20.0, seconds=60.0)
    print(f"\n{found.table()}")
    assert found.to_accept < 200
    assert found.to_socket < 500
    assert found.files <= 0


async def test_ten_thousand_calls_leave_no_place_taken() -> None:
    """E4, on the engine alone: each is claimed by one of three, ends, and is settled."""
    limit = Quota(QuotaScope.TENANT, str(DEFAULT_TENANT), held=10_000)
    async with AsyncExitStack() as stack:
        server = stack.enter_context(RedisServer(own=True))
        replicas = [
            await stack.enter_async_context(replica(server.url, name)) for name in ("a", "b", "c")
        ]
        for start in range(0, 10_000, 100):
            claims = [
                (replicas[number % 3].engine, *a_claim(f"rtc_{number}", quotas=[limit]))
                for number in range(start, start + 100)
            ]
            offers = await asyncio.gather(*(one.offer(*claim) for one, *claim in claims))
            assert {offer.claim for offer in offers} == {Claim.OK}
            for engine, call, _ in claims:
                engine.finish(an_outcome(call), 1)
                engine.settled(call.call_id)
        for one in replicas:
            await one.written()
        assert await SharedBooks("", server.url).left() == []
