"""`kill -9` while tenants are being told: each event arrives, and whatever is sent again has the id
that it had before."""

import asyncio
import sqlite3
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web
from standardwebhooks import Webhook

from sipagent.simulator import Simulator, running_simulator
from tests.process.running import RECEPTION, SECRET, environment, start

AGENTS = """
version: 1
defaults: {{model: gpt-realtime-2.1}}
tenants:
  default:
    webhooks: {{crm: {{url: "{url}", secret: {{file: hook}}, events: [call.started, call.ended]}}}}
agents: {{reception: {{instructions: Greet., greeting: Hello there.}}}}
numbers: {{"+17134810111": reception}}
"""
CALLS = 12
TAKES = 0.1
"""Seconds from an event's arrival to its answer: at the kill some are between the two."""


class Receiver:
    """An endpoint that verifies what it gets, and remembers each delivery."""

    def __init__(self) -> None:
        self.url = ""
        self.told: dict[tuple[str, str], list[str]] = defaultdict(list)
        """The ids of all deliveries, by what they tell: the type and the call."""
        self.open = 0
        self.ends: dict[str, dict[str, Any]] = {}
        self.news = asyncio.Condition()

    async def take(self, request: web.Request) -> web.Response:
        event = Webhook(SECRET).verify(await request.read(), dict(request.headers))
        data = event["data"]
        async with self.news:
            self.told[event["type"], data["call_id"]].append(request.headers["webhook-id"])
            if event["type"] == "call.ended":
                self.ends[data["call_id"]] = data
            self.open += 1
            self.news.notify_all()
        try:
            await asyncio.sleep(TAKES)
        finally:
            self.open -= 1
        return web.Response(status=204)

    async def until(self, enough: Any) -> None:
        async with asyncio.timeout(60), self.news:
            await self.news.wait_for(enough)

    def whole(self, calls: list[str]) -> bool:
        """Whether all that has to be told of these calls is."""
        answered = {call_id for call_id, end in self.ends.items() if end["answered_at"]}
        started = {call_id for type_, call_id in self.told if type_ == "call.started"}
        return set(calls) == set(self.ends) and answered <= started


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    application = web.Application()
    application.router.add_post("/", receiver.take)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    try:
        yield receiver
    finally:
        await runner.cleanup()


def leases_are_over(tmp_path: Path) -> None:
    """As if a minute had gone by: what was being sent is due."""
    with sqlite3.connect(tmp_path / "data" / "records.sqlite") as connection:
        connection.execute("UPDATE outbox SET next_at = 0 WHERE state = 'pending'")
    connection.close()


async def test_what_is_being_told_at_a_kill_is_told_again_under_its_id(tmp_path: Path) -> None:
    async with running_simulator(SECRET) as simulator, receiving() as receiver:
        (tmp_path / "agents.yaml").write_text(AGENTS.format(url=receiver.url))
        (tmp_path / "hook").write_text(SECRET)
        variables = environment(
            tmp_path, simulator.base_url, SIPAGENT_HTTP_TOOLS_ALLOW="127.0.0.0/8"
        )
        simulator.deliver_to = f"http://127.0.0.1:{variables['PORT']}/webhooks/openai"
        process = await start(tmp_path, variables)
        try:
            await process.ready()
            calls = await placed(simulator)
            await receiver.until(lambda: receiver.ends and receiver.open)
            await process.kill()
            before = {told: list(ids) for told, ids in receiver.told.items()}
            assert not receiver.whole(calls), "the process was killed when all had been told"
            leases_are_over(tmp_path)
            process = await start(tmp_path, variables)
            await process.ready()
            await receiver.until(lambda: receiver.whole(calls))
        finally:
            await process.kill()
    assert {len(set(ids)) for ids in receiver.told.values()} == {1}
    assert all(end["outcome"] for end in receiver.ends.values())
    again = [told for told, ids in before.items() if len(receiver.told[told]) > len(ids)]
    assert again, "nothing was between its delivery and its mark"


async def placed(simulator: Simulator) -> list[str]:
    return [await simulator.place_call(RECEPTION) for _ in range(CALLS)]
