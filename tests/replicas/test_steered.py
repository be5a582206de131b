"""A call that another replica holds is ended and sent on over the control API: once for each key,
answered alike, and soon also if whoever holds it has just been killed."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.replicas.duty import operator, until
from tests.replicas.fleet import Fleet, fleet, servers
from tests.servers import PostgresServer, RedisServer

Servers = tuple[RedisServer, PostgresServer]
DESK, OFFICE = "+17134810111", "tel:+17135550100"
AGENTS = f"""
version: 1
defaults: {{model: gpt-realtime-2.1}}
agents:
  desk: {{instructions: You wait., tools: [transfer: [office, shop]]}}
destinations: {{office: "+17135550100", shop: "+17135550101"}}
numbers: {{"{DESK}": desk}}
"""
TAKEN: dict[str, Any] = {"refer": {"after": 0.3}}
SOON = 5.0
"""Seconds within which whoever asks has an answer."""

DEEDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "hang-up": ({}, {"goodbye": True}),
    "transfer": ({"destination": "office"}, {"destination": "shop"}),
}
"""What is asked, and another body."""


@pytest.fixture(scope="module")
def running() -> Iterator[Servers]:
    with servers() as both:
        yield both


@asynccontextmanager
async def house(folder: Path, running: Servers) -> AsyncIterator[tuple[Fleet, httpx.AsyncClient]]:
    """Two replicas, and somebody on duty."""
    redis, postgres = running
    redis.empty()
    async with (
        fleet(folder, redis.url, postgres.url, AGENTS, replicas=2) as made,
        operator(made) as client,
    ):
        yield made, client


async def held(made: Fleet, client: httpx.AsyncClient, holder: str) -> str:
    """A call that this replica holds, and that the records know."""
    (call_id,) = await made.place(1, DESK, holder, **TAKEN)
    await made.simulator.until(call_id, lambda call: call.attachments == 1, timeout=30)
    await until(client, "GET", address(made, holder, call_id), 200)
    return call_id


def address(made: Fleet, replica: str, *steps: str) -> str:
    return "/".join((made.replicas[replica].url, "api/v1/calls", *steps))


def effects(made: Fleet, call_id: str, deed: str) -> int:
    """How often the provider was asked for it. A call that is over was asked for nothing else."""
    call = made.simulator.call(call_id)
    assert not (call.refers if deed == "hang-up" else call.hangups)
    if deed == "hang-up":
        return len(call.hangups)
    assert {body["target_uri"] for body in call.refers} <= {OFFICE}
    return len(call.refers)


async def over(made: Fleet, call_id: str) -> None:
    await made.simulator.until(call_id, lambda call: call.ended, timeout=30)


@pytest.mark.timeout(120)
async def test_the_same_key_is_one_deed_and_one_answer_wherever_it_comes(
    tmp_path: Path, running: Servers
) -> None:
    async with house(tmp_path, running) as (made, client):
        holder, other = made.alive
        for deed, (body, another) in DEEDS.items():
            call_id = await held(made, client, holder)
            key = {"Idempotency-Key": f"one {deed}".replace(" ", "-")}
            began = time.monotonic()
            first = await client.post(address(made, other, call_id, deed), json=body, headers=key)
            took = time.monotonic() - began
            assert (first.status_code, first.json()["status"]) == (202, "done"), first.text
            assert took < 1.0
            for replica in (other, holder, other):
                url = address(made, replica, call_id, deed)
                again = await client.post(url, json=body, headers=key)
                assert (again.status_code, again.json()) == (202, first.json())
                assert again.headers["Idempotency-Replayed"] == "true"
                refused = await client.post(url, json=another, headers=key)
                assert (refused.status_code, refused.json()["code"]) == (409, "key-reused")
            await over(made, call_id)
            late = await client.post(address(made, holder, call_id, deed), json=body, headers=key)
            assert late.json() == first.json(), "also when the call is over"
            assert effects(made, call_id, deed) == 1


@pytest.mark.timeout(120)
async def test_asked_of_both_replicas_at_once_it_is_done_once(
    tmp_path: Path, running: Servers
) -> None:
    async with house(tmp_path, running) as (made, client):
        holder, other = made.alive
        for deed, (body, _) in DEEDS.items():
            call_id = await held(made, client, holder)
            key = {"Idempotency-Key": f"both-{deed}"}
            answers = await asyncio.gather(
                *(
                    client.post(address(made, replica, call_id, deed), json=body, headers=key)
                    for replica in (holder, other) * 5
                )
            )
            told = {(one.status_code, one.json().get("code", "done")) for one in answers}
            assert (202, "done") in told
            assert told <= {(202, "done"), (409, "in-progress")}
            await over(made, call_id)
            assert effects(made, call_id, deed) == 1


@pytest.mark.timeout(120)
@pytest.mark.parametrize("deed", list(DEEDS))
async def test_a_call_whose_holder_was_killed_right_before_is_acted_on_within_five_seconds(
    tmp_path: Path, running: Servers, deed: str
) -> None:
    body, another = DEEDS[deed]
    async with house(tmp_path, running) as (made, client):
        holder, other = made.alive
        call_id = await held(made, client, holder)
        url, key = address(made, other, call_id, deed), {"Idempotency-Key": "after-the-kill"}
        made.replicas[holder].running.kill()
        began = time.monotonic()
        answer = await client.post(url, json=body, headers=key)
        took = time.monotonic() - began
        assert (answer.status_code, answer.json()["status"]) == (202, "done"), answer.text
        assert took < SOON
        again = await client.post(url, json=body, headers=key)
        assert (again.json(), again.headers["Idempotency-Replayed"]) == (answer.json(), "true")
        refused = await client.post(url, json=another, headers=key)
        assert (refused.status_code, refused.json()["code"]) == (409, "key-reused")
        await over(made, call_id)
        assert effects(made, call_id, deed) == 1
    print(f"{deed} answered {took:.2f} s after the kill of whoever held the call")
