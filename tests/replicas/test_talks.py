"""Somebody at a browser talks to an agent: any replica holds the call, and the others act on it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.offers import an_offer
from tests.process.running import AGENTS
from tests.replicas.duty import asked, operator
from tests.replicas.fleet import Fleet, fleet, servers
from tests.waiting import eventually

SCRIPT = [{"agent": "We are closed on Sunday."}, {"agent": "From nine to six."}]
TALK = {"agent": "quiet", "sdp": an_offer("recvonly")}


@asynccontextmanager
async def house(folder: Path) -> AsyncIterator[Fleet]:
    """Two replicas whose callers from browsers type."""
    with servers() as (redis, postgres):
        async with fleet(folder, redis.url, postgres.url, AGENTS, replicas=2) as made:
            made.simulator.set_talks(script=SCRIPT)
            yield made


async def all_turns(client: httpx.AsyncClient, url: str, number: int) -> list[dict[str, Any]]:
    """What has been said, once the records have so many turns: they follow a call's end."""
    async with asyncio.timeout(30):
        while True:
            answer = await client.get(url, params={"reason": "a test"})
            turns: list[dict[str, Any]] = answer.json()["turns"]
            if len(turns) >= number:
                return turns
            await asyncio.sleep(0.1)


@pytest.mark.timeout(120)
async def test_a_talk_is_acted_on_from_elsewhere_and_goes_on_elsewhere(tmp_path: Path) -> None:
    async with house(tmp_path) as made, operator(made) as client:
        first, second = (made.replicas[name] for name in made.alive)
        once = {"Idempotency-Key": "once"}
        begun = await client.post(f"{first.url}/api/v1/talk", json=TALK, headers=once)
        assert begun.status_code == 201, begun.text
        again = await client.post(f"{second.url}/api/v1/talk", json=TALK, headers=once)
        assert again.json() == begun.json()
        call_id = begun.json()["call_id"]
        (call,) = made.simulator.calls
        await made.simulator.until(call_id, lambda call: call.attachments == 1, timeout=30)
        await asked(client, second.url, f"{call_id}/typed", text="Are you open on Sunday?")
        await made.simulator.until(call_id, lambda call: len(call.transcript) == 1, timeout=30)
        await asked(client, second.url, f"{call_id}/hold")
        await asked(client, second.url, f"{call_id}/typed", text="And when on Monday?")
        assert await made.stop(made.alive[0]) == 0
        # Whoever goes on with it knows that its agent is to say nothing.
        await made.simulator.until(call_id, lambda call: call.attachments == 2, timeout=30)
        assert len(call.transcript) == 1
        await asked(client, second.url, f"{call_id}/resume")
        await made.simulator.until(call_id, lambda call: len(call.transcript) == 2, timeout=30)
        await asked(client, second.url, f"{call_id}/hang-up")
        await eventually(lambda: second.outcomes() == ["completed.operator_hung_up"])
        told = (await client.get(f"{second.url}/api/v1/calls/{call_id}")).json()
        read = f"{second.url}/api/v1/calls/{call_id}/transcript"
        turns = await all_turns(client, read, 4)
    assert (call.accepts, len(call.creates), call.ended_by) == ([], 1, "hangup")
    assert told["dialed_source"] == "talk"
    assert [(one["speaker"], one["text"]) for one in turns] == [
        ("caller", "Are you open on Sunday?"),
        ("agent", "We are closed on Sunday."),
        ("caller", "And when on Monday?"),
        ("agent", "From nine to six."),
    ]


@pytest.mark.timeout(120)
async def test_a_talk_whose_replica_is_killed_goes_on_with_another(tmp_path: Path) -> None:
    async with house(tmp_path) as made, operator(made) as client:
        first, second = (made.replicas[name] for name in made.alive)
        begun = await client.post(f"{first.url}/api/v1/talk", json=TALK)
        call_id = begun.json()["call_id"]
        await made.simulator.until(call_id, lambda call: call.attachments == 1, timeout=30)
        await asked(client, second.url, f"{call_id}/message", text="They are known here.")
        await made.kill(made.alive[0])
        # Asked while nobody holds it: whoever takes it over does it.
        await asked(client, second.url, f"{call_id}/typed", text="Are you open on Sunday?")
        await made.simulator.until(call_id, lambda call: len(call.transcript) == 1, timeout=30)
        await asked(client, second.url, f"{call_id}/hang-up")
        await eventually(lambda: second.outcomes() == ["completed.operator_hung_up"])
    (call,) = made.simulator.calls
    assert (call.accepts, len(call.creates), call.attachments) == ([], 1, 2)
