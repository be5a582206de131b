"""What an operator sees of replicas from outside: metrics, and readiness."""

import asyncio
import re
import signal
from pathlib import Path

from tests.process.running import AGENTS, QUIET, Process
from tests.replicas.fleet import fleet, servers
from tests.waiting import eventually


async def figures(process: Process) -> dict[str, float]:
    text = (await process.get("/metrics")).text
    shown = re.findall(r"^sipagent_((?:engine|replica)\S*) (\S+)$", text, re.MULTILINE)
    return {name: float(value) for name, value in shown}


async def until(process: Process, **wanted: float) -> dict[str, float]:
    """The metrics, once they say so. Raises TimeoutError after half a minute."""
    async with asyncio.timeout(30):
        while not wanted.items() <= (shown := await figures(process)).items():
            await asyncio.sleep(0.1)
    return shown


async def degraded(process: Process) -> set[tuple[str, str]]:
    answer = await process.get("/readyz")
    assert answer.status_code == 200
    return {(one["part"], one["code"]) for one in answer.json().get("degraded", ())}


async def test_a_hand_over_and_an_engine_that_is_away_are_seen_from_outside(
    tmp_path: Path,
) -> None:
    with servers() as (redis, postgres):
        async with fleet(tmp_path, redis.url, postgres.url, AGENTS, replicas=2) as made:
            first, second = made.alive
            calls = await made.place(4, QUIET, first)
            for call_id in calls:
                await made.simulator.until(call_id, lambda call: call.attachments == 1, timeout=30)
            assert await made.stop(first) == 0
            other = made.replicas[second]
            taken_over = {'replica_calls_total{change="taken_over"}': 4}
            shown = await until(other, engine_answers=1, replica_passive=0, **taken_over)
            assert shown["engine_renewed_seconds"] < 2.7
            assert await degraded(other) == set()
            redis.kill()
            await until(other, engine_answers=0, replica_passive=1)
            assert await degraded(other) == {("engine", "away")}
            redis.start()
            await until(other, engine_answers=1, replica_passive=0, engine_steps_waiting=0)
            assert await degraded(other) == set()
            assert other.running.returncode is None


async def test_a_replica_starts_without_the_engine_and_one_that_stops_waits_for_it(
    tmp_path: Path,
) -> None:
    with servers() as (redis, postgres):
        async with fleet(tmp_path, redis.url, postgres.url, AGENTS, replicas=1) as made:
            (first,) = made.alive
            calls = await made.place(3, QUIET, first)
            for call_id in calls:
                await made.simulator.until(call_id, lambda call: call.attachments == 1, timeout=30)
            redis.kill()
            second = await made.start()
            assert await degraded(made.replicas[second]) == {("engine", "away")}
            made.replicas[first].signal(signal.SIGTERM)
            answer = await made.replicas[first].ready(503)
            assert [one["code"] for one in answer.json()["reasons"]] == ["draining"]
            # All that a hand-over takes where the engine answers is over, and nobody has hung up.
            await eventually(lambda: made.logged("engine away: calls go on")[first])
            await until(made.replicas[first], replica_passive=1)
            told = [made.simulator.call(call_id) for call_id in calls]
            assert not any(call.ended for call in told)
            assert {call.attachments for call in told} == {1}
            redis.start()
            for call_id in calls:
                await made.simulator.until(call_id, lambda call: call.attachments == 2, timeout=30)
            assert await made.replicas[first].exit_code() == 0
            assert sum(line["calls"] for line in made.logged("calls handed over")[first]) == 3
            assert not any(call.ended for call in told)
