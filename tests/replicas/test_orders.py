"""The operator's orders and rollbacks on several replicas: given once, they hold on all of them
within a second, whatever becomes of Redis, PostgreSQL and the replicas."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.process.running import Process
from tests.replicas.fleet import Fleet, fleet, servers
from tests.servers import PostgresServer, RedisServer
from tests.store.support import outage
from tests.waiting import eventually

Servers = tuple[RedisServer, PostgresServer]
DESK, NIGHT = "+17134810111", "tel:+17135550100"
AGENTS = f"""
version: 1
defaults: {{model: gpt-realtime-2.1}}
agents:
  desk: {{instructions: You are the old desk.}}
destinations: {{night: "+17135550100"}}
numbers: {{"{DESK}": desk}}
"""
TAKEN: dict[str, Any] = {"refer": {"after": 0.3}}
NOBODY: dict[str, Any] = {"refer": {"outcome": "nothing"}}


@pytest.fixture(scope="module")
def running() -> Iterator[Servers]:
    with servers() as both:
        yield both


async def verdict(made: Fleet, name: str) -> int | str:
    """What becomes of a new call at this replica: a SIP status, or who it is answered by."""
    (call_id,) = await made.place(1, DESK, name)
    call = await made.simulator.until(call_id, lambda call: call.attachments or call.ended)
    made.simulator.hang_up(call_id)
    if call.rejects:
        return int(call.rejects[0]["status_code"])
    return "desk" if "old desk" in str(call.accepts) else "nobody"


async def everywhere(made: Fleet, wanted: int | str) -> float:
    """Seconds until new calls at every replica come to this."""
    began = time.monotonic()

    async def comes(name: str) -> None:
        async with asyncio.timeout(20):
            while await verdict(made, name) != wanted:
                await asyncio.sleep(0.01)

    await asyncio.gather(*(comes(name) for name in made.alive))
    return time.monotonic() - began


async def ordered(made: Fleet, *words: str) -> str:
    code, told = await made.command(*words)
    assert code == 0, told
    return told


def refers(made: Fleet, calls: list[str]) -> list[list[str]]:
    return [
        [body["target_uri"] for body in made.simulator.call(call_id).refers] for call_id in calls
    ]


async def attached(made: Fleet, calls: list[str]) -> None:
    for call_id in calls:
        await made.simulator.until(call_id, lambda call: call.attachments == 1)


async def test_an_order_holds_on_all_replicas_within_a_second(
    tmp_path: Path, running: Servers
) -> None:
    redis, postgres = running
    redis.empty()
    async with fleet(tmp_path, redis.url, postgres.url, AGENTS) as made:
        before = await made.place(3, DESK)
        await attached(made, before)
        assert "reject 603" in await ordered(made, "reject", "all", "--code", "603")
        took = await everywhere(made, 603)
        assert [made.simulator.call(call_id).ended for call_id in before] == [False] * 3
        told = json.loads(await ordered(made, "orders", "list", "--format", "json"))
        assert [(one["scope"], one["code"]) for one in told] == [("all", 603)]

        redis.empty()
        await made.kill(made.alive[0])
        late = await made.start()
        assert await verdict(made, late) == 603, "it holds for whoever begins later"
        await ordered(made, "orders", "cancel", "all")
        took = max(took, await everywhere(made, "desk"))
    assert took < 1.0
    print(f"held on 3 replicas {took:.2f} s after the command")


async def test_with_the_database_away_the_last_orders_stay_in_force(
    tmp_path: Path, running: Servers
) -> None:
    redis, postgres = running
    redis.empty()
    async with fleet(tmp_path, redis.url, postgres.url, AGENTS, replicas=2) as made:
        await ordered(made, "reject", "all", "--code", "603")
        await everywhere(made, 603)
        with outage(made.variables["SIPAGENT_DATABASE_URL"]):
            code, told = await made.command("orders", "list")
            assert (code, "cannot be used" in told) == (3, True)
            for process in made.replicas.values():
                await degraded(process, ("orders", "not-shared"))
            assert [await verdict(made, name) for name in made.alive] == [603, 603]
        await ordered(made, "orders", "cancel", "all")
        await everywhere(made, "desk")


async def degraded(process: Process, part: tuple[str, str]) -> None:
    async with asyncio.timeout(20):
        while True:
            told = (await process.get("/readyz")).json().get("degraded", [])
            if part in [(one["part"], one["code"]) for one in told]:
                return


async def test_held_calls_of_all_replicas_are_sent_on_once(
    tmp_path: Path, running: Servers
) -> None:
    redis, postgres = running
    redis.empty()
    async with fleet(tmp_path, redis.url, postgres.url, AGENTS) as made:
        calls = await made.place(30, DESK, **TAKEN)
        await attached(made, calls)
        told = await ordered(made, "divert", "all", "--to", "night", "--live")
        assert told.startswith("all: divert to night, held calls too, until cancelled")
        for call_id in calls:
            await made.simulator.until(call_id, lambda call: call.ended, timeout=40)
        assert refers(made, calls) == [[NIGHT]] * 30
        assert {made.simulator.call(call_id).ended_by for call_id in calls} == {"refer"}

        def outcomes() -> list[str]:
            lines = [line for told in made.logged("call ended").values() for line in told]
            return [line["outcome"] for line in lines if line["call_id"] in calls]

        await eventually(lambda: len(outcomes()) == 30)
        assert set(outcomes()) == {"completed.transferred"}


async def test_a_replica_that_takes_a_call_over_sends_it_on(
    tmp_path: Path, running: Servers
) -> None:
    redis, postgres = running
    redis.empty()
    async with fleet(tmp_path, redis.url, postgres.url, AGENTS) as made:
        calls = await made.place(30, DESK, **NOBODY)
        await attached(made, calls)
        victim = made.alive[0]
        made.replicas[victim].running.kill()
        await ordered(made, "divert", "all", "--to", "night", "--live")
        for call_id in calls:
            await made.simulator.until(call_id, lambda call: call.refers, timeout=40)
        assert refers(made, calls) == [[NIGHT]] * 30
        second = made.alive[0]
        await made.kill(second)
        theirs = set(made.taken[second]) - set(made.taken[victim])
        for call_id in theirs:
            await made.simulator.until(call_id, lambda call: call.attachments >= 2, timeout=30)
        assert refers(made, calls) == [[NIGHT]] * 30, "nobody is sent on twice"


async def test_a_rollback_holds_on_all_replicas(tmp_path: Path, running: Servers) -> None:
    redis, postgres = running
    redis.empty()
    async with fleet(tmp_path, redis.url, postgres.url, AGENTS, replicas=2) as made:
        assert await everywhere(made, "desk") < 20
        new = AGENTS.replace("old desk", "new one")
        for folder in (tmp_path, *(tmp_path / name for name in made.replicas)):
            (folder / "agents.yaml").write_text(new)
        await everywhere(made, "nobody")

        async def versions() -> list[dict[str, Any]]:
            told = await ordered(made, "versions", "--format", "json")
            return list(json.loads(told))

        async with asyncio.timeout(20):
            while len(known := await versions()) < 2:
                await asyncio.sleep(0.1)
        assert [one["marks"] for one in known] == [["files"], []]
        await ordered(made, "rollback", known[1]["hash"])
        took = await everywhere(made, "desk")
        await ordered(made, "rollback", "--cancel")
        took = max(took, await everywhere(made, "nobody"))
    assert took < 1.5
    print(f"rolled back on 2 replicas {took:.2f} s after the command")
