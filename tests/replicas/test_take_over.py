"""Three replicas hold 60 calls that are all doing something; one is killed, stopped, cut off or
told to leave, or what they share goes away, and nobody notices. Short forms of E1 to E3, E5 and E6.

`make chaos` has more rounds, 600 calls and a rolling restart; tests/chaos says what is held true.
"""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.chaos.fleet_harness import fleet_chaos
from tests.chaos.strikes import (
    AWAY_6,
    CUT,
    EMPTIED_THEN_KILL,
    KILL,
    LEAVE,
    RECORDS_AWAY,
    STOP,
    Strike,
)
from tests.process.running import AGENTS, QUIET
from tests.replicas.fleet import fleet, servers
from tests.servers import Flavour, PostgresServer, RedisServer
from tests.waiting import eventually


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("flavour", "strikes"),
    [
        ("redis", (KILL, CUT, RECORDS_AWAY[0], LEAVE)),
        ("valkey", (STOP, AWAY_6, EMPTIED_THEN_KILL)),
    ],
    ids=["redis", "valkey"],
)
async def test_no_strike_loses_a_call_or_does_anything_twice(
    tmp_path: Path, flavour: Flavour, strikes: Sequence[Strike]
) -> None:
    async with fleet_chaos(tmp_path, seed=6, flavour=flavour) as chaos:
        for strike in strikes:
            await chaos.round(strike)
    print(chaos.figures.table())


async def test_a_call_is_ended_from_anywhere(tmp_path: Path) -> None:
    with servers() as (redis, postgres):
        await _ended_from_anywhere(tmp_path, redis, postgres)


async def _ended_from_anywhere(
    tmp_path: Path, redis: RedisServer, postgres: PostgresServer
) -> None:
    async with fleet(tmp_path, redis.url, postgres.url, AGENTS, replicas=2) as made:
        first, _ = made.alive
        ended, polite, other = await made.place(3, QUIET, first)
        for call_id in (ended, polite, other):
            await made.simulator.until(call_id, lambda call: call.attachments == 1, timeout=30)
        assert await made.command("hang-up", ended) == (0, f"{ended} is being ended")
        await made.simulator.until(ended, lambda call: call.ended, timeout=30)
        said = await made.command("hang-up", "--goodbye", polite)
        assert said == (0, f"{polite} is being ended")
        await made.simulator.until(polite, lambda call: call.ended, timeout=30)
        (goodbye,) = made.simulator.call(polite).transcript
        assert goodbye["who"] == "agent"
        assert not made.simulator.call(other).ended
        twice = ["completed.operator_hung_up"] * 2
        await eventually(lambda: made.replicas[first].outcomes() == twice)
        code, told = await made.command("hang-up", "rtc_nobody")
        assert (code, told) == (1, "nobody holds rtc_nobody")
