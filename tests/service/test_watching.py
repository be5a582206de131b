"""A call of the simulator's, watched over the control API of a whole service as it happens."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from sipagent.app import Service, build, serving
from sipagent.config.reload.live import LiveConfiguration
from sipagent.model import DEFAULT_TENANT
from sipagent.model.access import Scope
from sipagent.settings import Settings
from sipagent.simulator import Simulator, running_simulator
from sipagent.store import tokens
from sipagent.store.audit import Author
from sipagent.testing import MemoryRecords
from tests.service.conftest import SECRETS
from tests.waiting import eventually

NUMBER, CALLER = "+17134810111", "+14067704205"
AGENTS = """
version: 1
defaults: {model: gpt-realtime-2.1, transcription: gpt-live-transcribe}
tenants: {default: {privacy: {redact: [card]}}}
agents: {desk: {instructions: Be kind., greeting: Hello there.}}
numbers: {"+1 713 481 0111": desk}
"""
COME = {"decided", "answered", "attached", "heard"}
SAID = [
    {"caller": "My card is 4111 1111 1111 1111."},
    {"agent": "Thank you, I have written 4111 1111 1111 1111 down."},
    {"pause": 0.5},
]
SCRIPT = SAID * 40


@dataclass
class House:
    service: Service
    simulator: Simulator
    records: MemoryRecords
    client: httpx.AsyncClient
    operator: str
    heard: list[str]

    async def metrics(self) -> str:
        headers = {"Authorization": f"Bearer {self.operator}"}
        return (await self.client.get("/metrics", headers=headers)).text

    async def watch(self, path: str) -> None:
        async with self.client.stream("GET", path, timeout=30) as answer:
            assert answer.status_code == 200
            async for line in answer.aiter_lines():
                self.heard.append(line)
        self.heard.append(f"over {path}")


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with _house(tmp_path) as house:
        yield house


@asynccontextmanager
async def _house(folder: Path) -> AsyncIterator[House]:
    (folder / "agents.yaml").write_text(AGENTS)
    async with running_simulator(SECRETS[0]) as simulator:
        chosen = Settings.model_validate(
            {
                "OPENAI_API_KEY": "sk-test",
                "OPENAI_WEBHOOK_SECRET": SECRETS[0],
                "OPENAI_BASE_URL": simulator.base_url,
                "SIPAGENT_DRAIN_TIMEOUT": 0,
                "SIPAGENT_DATA_DIR": folder / "data",
            }
        )
        records = MemoryRecords()
        live = LiveConfiguration(folder / "agents.yaml")
        service = build(chosen, live, records=records, keep=True)
        async with serving(service) as url, httpx.AsyncClient(base_url=url) as client:
            simulator.deliver_to = f"{url}/webhooks/openai"
            assert service.house is not None
            engine = service.house.writer.engine
            operator = tokens.Wanted("operator", None, Scope.ADMIN, None)
            own = tokens.Wanted("ann", DEFAULT_TENANT, Scope.READ, None)
            all_ = await tokens.create(engine, operator, Author("root@here"), at=time.time())
            made = await tokens.create(engine, own, Author("root@here"), at=time.time())
            client.headers["Authorization"] = f"Bearer {made.text}"
            yield House(service, simulator, records, client, all_.text, [])


def kinds(house: House) -> list[str]:
    return [line.removeprefix("event: ") for line in house.heard if line.startswith("event: ")]


async def test_a_call_is_seen_as_it_comes_talks_and_goes_and_no_planted_digit_is(
    house: House,
) -> None:
    async with asyncio.TaskGroup() as tasks:
        calls = tasks.create_task(house.watch("/api/v1/events"))
        await eventually(lambda: house.heard)
        call_id = await house.simulator.place_call(NUMBER, CALLER, script=SCRIPT, stay=True)
        await eventually(lambda: "heard" in kinds(house))
        one = tasks.create_task(house.watch(f"/api/v1/calls/{call_id}/events"))
        await eventually(lambda: kinds(house).count("turn") >= 3 and "words" in kinds(house))
        assert "sipagent_viewers 2.0" in await house.metrics()
        house.simulator.hang_up(call_id)
        await eventually(one.done)
        await eventually(lambda: kinds(house).count("ended") == 2)
        calls.cancel()
    told = "\n".join(house.heard)
    assert {"decided", "answered", "attached", "heard", "words", "turn", "ended"} <= set(
        kinds(house)
    )
    assert "[card]" in told
    for planted in ("1111", "4111", NUMBER, CALLER):
        assert planted not in told


async def test_the_service_ends_within_a_second_while_it_is_watched(house: House) -> None:
    async with asyncio.TaskGroup() as tasks:
        watching = [tasks.create_task(house.watch("/api/v1/events")) for _ in range(20)]
        await eventually(lambda: len(house.heard) >= 20)
        began = time.monotonic()
        await house.service.drain()
        await eventually(lambda: all(task.done() for task in watching))
        assert time.monotonic() - began < 1.0
        refused = [line for line in house.heard if line.startswith("over")]
        assert len(refused) == 20
