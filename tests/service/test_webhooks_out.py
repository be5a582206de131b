"""A tenant is told of its calls: signed requests from the real service to a real endpoint."""

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web
from standardwebhooks import Webhook

from sipagent.app import Fixed, build, serving
from sipagent.config import load
from sipagent.config.reload.live import LiveConfiguration
from sipagent.engine.counters import Counters
from sipagent.engine.purse import labels
from sipagent.settings import Settings
from sipagent.simulator import Simulator, running_simulator
from sipagent.testing import FakeTap, MemoryRecords
from tests.service.conftest import SECRETS

NUMBER, CALLER = "+17134810111", "+14067704205"
MAIN = """
version: 1
include: [tenants/*/tenant.yaml]
defaults: {{model: gpt-realtime-2.1, transcription: gpt-live-transcribe}}
prices: {{version: ours, models: {{gpt-5-mini: {{text: {{input: 0.25, output: 2}}}}}}}}
tenants:
  acme:
    budget: {{day: {budget}, warn_at: [50%]}}
    privacy: {{numbers_at_rest: {numbers}}}
    webhooks:
      live: {{url: "{url}/live", secret: {{file: hook}}, include: [transcript]}}
      dead: {{url: "{url}/dead", secret: {{file: hook}}, events: [call.ended]}}
numbers: {{"+1 713 481 0111": {{agent: desk, tenant: acme}}}}
"""
TENANT = """
tenant: acme
agents:
  desk: {{instructions: Be kind., greeting: Hello there., after_call: {after}, tools: {tools}}}
destinations: {{centre: {{to: "+17134810199", on_failure: resume}}}}
"""
TOOLS = "[{take_message: {fields: [name, message]}}, {transfer: [centre]}]"
ACTS: list[Any] = [
    {"caller": "Tell Bob that Ann called."},
    {"tool": {"name": "take_message", "arguments": {"name": "Ann", "message": "Call me: 4711."}}},
    {"agent": "I will."},
    {"caller": "A person, please."},
    {"tool": {"name": "transfer", "arguments": {"destination": "centre"}}, "say": "One moment."},
    {"agent": "Nobody is there."},
    {"caller": "Goodbye."},
]
LONG = [
    line
    for _ in range(12)
    for line in ({"caller": "And what about next Sunday?"}, {"agent": "On Sunday we are closed."})
]


@dataclass
class Receiver:
    """A tenant's endpoint: it verifies, keeps what it got, and answers at `/live` only."""

    url: str = ""
    events: dict[str, dict[str, Any]] = field(default_factory=dict)
    deliveries: list[str] = field(default_factory=list)
    traces: set[str | None] = field(default_factory=set)
    refused: int = 0
    status: int = 204
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def live(self, request: web.Request) -> web.Response:
        event = Webhook(SECRETS[0]).verify(await request.read(), dict(request.headers))
        async with self.news:
            self.deliveries.append(request.headers["webhook-id"])
            self.traces.add(request.headers.get("traceparent"))
            if self.status < 300:
                self.events[request.headers["webhook-id"]] = event
            self.news.notify_all()
        return web.Response(status=self.status)

    async def dead(self, _: web.Request) -> web.Response:
        async with self.news:
            self.refused += 1
            self.news.notify_all()
        return web.Response(status=503)

    def types(self) -> list[str]:
        return sorted(event["type"] for event in self.events.values())

    def data(self, type_: str) -> dict[str, Any]:
        (found,) = [event["data"] for event in self.events.values() if event["type"] == type_]
        return dict(found)

    async def until(self, *types: str) -> None:
        async with self.news:
            await self.news.wait_for(lambda: set(types) <= set(self.types()))


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    found = Receiver()
    application = web.Application()
    application.router.add_post("/live", found.live)
    application.router.add_post("/dead", found.dead)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield found
    finally:
        await runner.cleanup()


class House:
    """A service on files, with a data directory, that can be opened again and again."""

    def __init__(self, folder: Path, simulator: Simulator, receiver: Receiver) -> None:
        self.folder = folder
        self.simulator = simulator
        self.records = MemoryRecords()
        self.receiver = receiver
        self.spent: dict[str, int] = {}
        self.write()

    def write(
        self,
        *,
        numbers: str = "plain",
        budget: str = "10 USD",
        after: str = "null",
        tools: str = "[]",
    ) -> None:
        files = {
            "agents.yaml": MAIN.format(url=self.receiver.url, numbers=numbers, budget=budget),
            "tenants/acme/tenant.yaml": TENANT.format(after=after, tools=tools),
            "hook": f"{SECRETS[0]}\n{SECRETS[1]}\n",
        }
        for name, text in files.items():
            path = self.folder / "config" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")

    @asynccontextmanager
    async def open(self, *, live: bool = False) -> AsyncIterator[httpx.AsyncClient]:
        values = {
            "OPENAI_API_KEY": "sk-test",
            "OPENAI_WEBHOOK_SECRET": SECRETS[0],
            "OPENAI_BASE_URL": self.simulator.base_url,
            "SIPAGENT_DRAIN_TIMEOUT": 0,
            "SIPAGENT_DATA_DIR": self.folder / "data",
            "SIPAGENT_HTTP_TOOLS_ALLOW": "127.0.0.0/8",
        }
        main = self.folder / "config" / "agents.yaml"
        configuration: Fixed | LiveConfiguration
        if live:
            configuration = LiveConfiguration(main)
        else:
            loaded = load(main)
            configuration = Fixed(loaded.table, webhook_secrets=loaded.webhook_secrets)
        self.records = MemoryRecords()
        chosen = Settings.model_validate(values)
        service = build(chosen, configuration, records=self.records, tap=FakeTap(), keep=True)
        async with serving(service) as url, httpx.AsyncClient(base_url=url) as client:
            self.simulator.deliver_to = f"{url}/webhooks/openai"
            yield client
            counters = service.house.counters if service.house else Counters()
            self.spent = {
                period.value: counters.spent("tenant:acme", label)
                for period, label in labels(time.time(), None).items()
            }

    async def call(self, script: Any = None, **extra: Any) -> str:
        before = len(self.records.outcomes)
        if script is not None:
            extra = {"script": script, "stay": True, **extra}
        call_id = await self.simulator.place_call(NUMBER, CALLER, **extra)
        await self.records.ended_until(before + 1)
        return call_id

    def rows(self, sql: str) -> list[Any]:
        with sqlite3.connect(self.folder / "data" / "records.sqlite") as connection:
            rows = connection.execute(sql).fetchall()
        connection.close()
        return rows


@pytest.fixture
async def house(tmp_path: Path, receiver: Receiver) -> AsyncIterator[House]:
    async with running_simulator(SECRETS[0]) as simulator:
        yield House(tmp_path, simulator, receiver)


async def test_a_call_is_told_while_another_endpoint_is_dead(
    house: House, receiver: Receiver
) -> None:
    async with house.open() as client:
        call_id = await house.call()
        await receiver.until("call.started", "call.ended")
        async with receiver.news:
            await receiver.news.wait_for(lambda: receiver.refused)
        while "sipagent_events_total" not in (text := (await client.get("/metrics")).text):
            await asyncio.sleep(0.01)
        assert 'sipagent_events_total{state="delivered"}' in text
    assert receiver.types() == ["call.ended", "call.started"]
    started, ended = receiver.data("call.started"), receiver.data("call.ended")
    assert (started["call_id"], started["agent"], started["caller"]) == (call_id, "desk", CALLER)
    assert (ended["outcome"], ended["dialed"]) == ("completed.line_closed", NUMBER)
    assert ended["cost"] > 0
    assert ended["usage_complete"] is True
    assert "Hello there." in [turn["text"] for turn in ended["transcript"]]
    dead = house.rows("SELECT state, attempts, answer FROM outbox WHERE endpoint = 'dead'")
    assert [(state, answer) for state, _, answer in dead] == [("pending", "503")]


async def test_what_an_agent_does_is_told(house: House, receiver: Receiver) -> None:
    house.write(tools=TOOLS)
    async with house.open():
        call_id = await house.call(ACTS, stay=False, pace=30, refer={"outcome": "refused"})
        await receiver.until("call.ended", "message.taken", "transfer.failed")
        async with receiver.news:
            await receiver.news.wait_for(lambda: receiver.types().count("tool.called") == 2)
    message, failed = receiver.data("message.taken"), receiver.data("transfer.failed")
    assert (message["call_id"], message["caller"]) == (call_id, CALLER)
    assert message["message"]["fields"] == {"name": "Ann", "message": "Call me: 4711."}
    assert failed["transfer"]["destination"] == "centre"
    assert (failed["transfer"]["number"], failed["transfer"]["outcome"]) == (1, "refused")
    uses = [event["data"]["tool"] for event in receiver.events.values() if "tool" in event["data"]]
    told = sorted((use["name"], use["status"]) for use in uses)
    assert told == [("take_message", "done"), ("transfer", "failed")]
    assert "4711" not in json.dumps(uses)
    assert "Nobody is there." in [
        turn["text"] for turn in receiver.data("call.ended")["transcript"]
    ]


async def test_a_transfer_is_told(house: House, receiver: Receiver) -> None:
    house.write(tools=TOOLS)
    async with house.open():
        await house.call(ACTS[3:5], pace=30, refer={"after": 0.1})
        await receiver.until("call.ended", "call.transferred")
    assert receiver.data("call.transferred")["destination"] == "centre"
    assert receiver.data("call.ended")["outcome"] == "completed.transferred"
    assert "transfer.failed" not in receiver.types()


async def test_what_is_not_taken_is_told_by_the_next_process_under_the_same_id(
    house: House, receiver: Receiver
) -> None:
    receiver.status = 500
    async with house.open():
        await house.call()
        async with receiver.news:
            await receiver.news.wait_for(lambda: len(set(receiver.deliveries)) == 2)
        assert receiver.events == {}
    first = set(receiver.deliveries)
    receiver.status = 200
    with sqlite3.connect(house.folder / "data" / "records.sqlite") as connection:
        connection.execute("UPDATE outbox SET next_at = 0")  # as if the pause were over
    connection.close()
    async with house.open():
        await receiver.until("call.started", "call.ended")
    assert set(receiver.events) == first


async def test_numbers_are_told_as_they_are_stored(house: House, receiver: Receiver) -> None:
    house.write(numbers="hmac")
    async with house.open():
        await house.call()
        await receiver.until("call.ended")
    text = json.dumps(receiver.events)
    assert CALLER not in text
    assert NUMBER not in text
    (stored,) = house.rows("SELECT DISTINCT caller FROM calls")
    assert receiver.data("call.ended")["caller"] == stored[0]


async def test_a_budget_that_is_being_spent_is_told(house: House, receiver: Receiver) -> None:
    house.write(budget="0.01 USD")
    async with house.open():
        await house.call(LONG)
        async with receiver.news:
            await receiver.news.wait_for(lambda: receiver.types().count("budget.warning") == 2)
    shares: list[Mapping[str, Any]] = [
        event["data"] for event in receiver.events.values() if event["type"] == "budget.warning"
    ]
    told = sorted((one["share"], one["spent"], one["name"], one["limit"]) for one in shares)
    assert told == [(0.5, False, "acme", 10_000), (1.0, True, "acme", 10_000)]


async def test_a_tenant_whose_file_cannot_be_used_is_told(house: House, receiver: Receiver) -> None:
    async with house.open(live=True):
        path = house.folder / "config" / "tenants" / "acme" / "tenant.yaml"
        usable = path.read_text("utf-8")
        path.write_text(usable.replace("instructions", "instruction"), "utf-8")
        await receiver.until("config.stale")
        data = receiver.data("config.stale")
        assert data["tenant"] == "acme"
        assert "unknown key" in data["findings"][0]
        await house.call()
        await receiver.until("call.ended")


AFTER = "{model: gpt-5-mini, extract: {type: object, properties: {urgent: {type: boolean}}}}"


async def test_what_a_model_makes_of_a_call_is_told(house: House, receiver: Receiver) -> None:
    house.write(after=AFTER)
    async with house.open():
        call_id = await house.call()
        await receiver.until("call.summarised")
    data = receiver.data("call.summarised")
    assert data["call_id"] == call_id
    assert (data["summary"], data["extracted"]) == ("simulated", {"urgent": True})
    (cost,) = house.rows("SELECT SUM(cost) FROM usage")[0]
    (reading,) = house.rows("SELECT cost FROM usage WHERE kind = 'summary'")[0]
    assert 0 < reading < cost
    assert house.spent == {"day": cost, "month": cost}
    (asked,) = house.simulator.reading.asked
    assert 'agent: "Hello there."' in asked["input"]
    assert asked["store"] is False
    usage = house.rows("SELECT model, text_in > 0, text_out > 0 FROM usage WHERE kind = 'summary'")
    assert usage == [("gpt-5-mini", 1, 1)]


async def test_a_model_that_makes_nothing_of_a_call_harms_nothing(
    house: House, receiver: Receiver
) -> None:
    house.write(after=AFTER)
    house.simulator.reading.failures = [400]
    async with house.open() as client:
        await house.call()
        await receiver.until("call.started", "call.ended")
        while house.rows("SELECT state FROM summaries") != [("failed",)]:
            await asyncio.sleep(0.01)
        assert (await client.get("/readyz")).status_code == 200
    assert house.rows("SELECT detail FROM summaries") == [("400",)]
    assert receiver.types() == ["call.ended", "call.started"]
