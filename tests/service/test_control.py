"""The control API of a served process: nothing without an operator's token, and calls that are real
but for the carrier."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from sipagent.app import Service, build, serving
from sipagent.config.reload.live import LiveConfiguration
from sipagent.config.reload.orders import OrderFile
from sipagent.model import TenantName
from sipagent.model.access import Scope
from sipagent.settings import Settings
from sipagent.simulator import Simulator, running_simulator
from sipagent.store import tokens
from sipagent.store.audit import Author
from sipagent.testing import MemoryRecords
from tests.service.conftest import SECRETS

NUMBER = "+17134810111"
AGENTS = f"""
version: 1
defaults: {{model: gpt-realtime-2.1, transcription: gpt-live-transcribe}}
tenants: {{acme: {{}}, beta: {{}}}}
agents: {{desk: {{instructions: Be kind., greeting: Hello there.}}}}
numbers: {{"{NUMBER}": {{agent: desk, tenant: acme}}}}
"""


@dataclass
class Served:
    """A service with a control API, and its simulator."""

    service: Service
    simulator: Simulator
    records: MemoryRecords
    url: str

    async def client(self, tenant: str | None, scope: Scope) -> httpx.AsyncClient:
        assert self.service.house is not None
        whose = None if tenant is None else TenantName(tenant)
        wanted = tokens.Wanted(f"{tenant} {scope}", whose, scope, None)
        engine = self.service.house.writer.engine
        made = await tokens.create(engine, wanted, Author("root@here"), at=1.0)
        headers = {"Authorization": f"Bearer {made.text}"}
        return httpx.AsyncClient(base_url=self.url, headers=headers)


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[Served]:
    main, data = folder / "agents.yaml", folder / "data"
    main.write_text(AGENTS)
    (data / "orders").mkdir(parents=True)
    async with running_simulator(SECRETS[0]) as simulator:
        values = {
            "OPENAI_API_KEY": "sk-test",
            "OPENAI_WEBHOOK_SECRET": SECRETS[0],
            "OPENAI_BASE_URL": simulator.base_url,
            "SIPAGENT_DRAIN_TIMEOUT": 0,
            "SIPAGENT_DATA_DIR": data,
        }
        live = LiveConfiguration(main, orders=OrderFile(data))
        records = MemoryRecords()
        service = build(Settings.model_validate(values), live, records=records, keep=True)
        async with serving(service) as url:
            simulator.deliver_to = f"{url}/webhooks/openai"
            yield Served(service, simulator, records, url)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path) as house:
        yield house


async def test_without_an_operators_token_nobody_sees_that_there_is_an_api(house: Served) -> None:
    async with httpx.AsyncClient(base_url=house.url) as nobody:
        for path in ("/api/v1/me", "/openapi.json", "/docs", "/console"):
            assert (await nobody.get(path)).status_code == 404
        assert (await nobody.get("/healthz")).status_code == 200


async def test_a_held_call_is_seen_and_hung_up_by_its_tenant_alone(house: Served) -> None:
    async with (
        await house.client(None, Scope.ADMIN),
        await house.client("acme", Scope.CONTROL) as acme,
        await house.client("beta", Scope.ADMIN) as beta,
    ):
        call_id = await house.simulator.place_call(NUMBER, "+14067704205", script=[], stay=True)
        await house.simulator.until(call_id, lambda call: call.answered)
        assert house.service.house is not None
        await house.service.house.writer.flushed()
        own = (await acme.get("/api/v1/calls?live=true")).json()["calls"]
        assert [call["call_id"] for call in own] == [call_id]
        assert (await beta.get("/api/v1/calls")).json()["calls"] == []
        others = await beta.post(f"/api/v1/calls/{call_id}/hang-up")
        assert others.status_code == 404
        assert not house.records.outcomes
        answer = await acme.post(f"/api/v1/calls/{call_id}/hang-up")
        assert (answer.status_code, answer.json()["status"]) == (202, "done")
        await house.records.ended_until(1)
        assert house.simulator.call(call_id).hangups


async def test_a_pause_turns_the_next_call_away(house: Served) -> None:
    async with (
        await house.client(None, Scope.ADMIN),
        await house.client("acme", Scope.CONTROL) as acme,
    ):
        answer = await acme.post(f"/api/v1/numbers/%2B{NUMBER[1:]}/pause", json={"code": 480})
        assert answer.json()["order"]["kind"] == "paused"
        await house.simulator.place_call(NUMBER, "+14067704205")
        await house.records.ended_until(1)
        assert house.records.outcomes[-1].name.startswith("rejected.")
        answer = await acme.post(f"/api/v1/numbers/%2B{NUMBER[1:]}/resume")
        assert answer.json()["order"] is None
