"""Ending a call while the records are away: somebody on duty must be able to."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from sipagent.app import Service, build, serving
from sipagent.config.reload.live import LiveConfiguration
from sipagent.model import TenantName
from sipagent.model.access import Scope
from sipagent.settings import Settings
from sipagent.simulator import Simulator, running_simulator
from sipagent.store import owed, tokens
from sipagent.store.audit import AuditFilter, Author, lines, verify
from sipagent.store.database import DATABASE_ERRORS
from tests.service.conftest import SECRETS
from tests.service.test_control import AGENTS, NUMBER
from tests.store.support import outage, postgresql_database, postgresql_server


@pytest.fixture(scope="module")
def server_url() -> Iterator[str]:
    with postgresql_server() as url:
        yield url


@pytest.fixture
def database_url(server_url: str) -> Iterator[str]:
    with postgresql_database(server_url) as url:
        yield url


@pytest.fixture
async def house(tmp_path: Path, database_url: str) -> AsyncIterator[tuple[Service, Simulator, str]]:
    main = tmp_path / "agents.yaml"
    main.write_text(AGENTS)
    async with running_simulator(SECRETS[0]) as simulator:
        values = {
            "OPENAI_API_KEY": "sk-test",
            "OPENAI_WEBHOOK_SECRET": SECRETS[0],
            "OPENAI_BASE_URL": simulator.base_url,
            "SIPAGENT_DRAIN_TIMEOUT": 0,
            "SIPAGENT_DATA_DIR": tmp_path / "data",
            "SIPAGENT_DATABASE_URL": database_url,
        }
        service = build(Settings.model_validate(values), LiveConfiguration(main), keep=True)
        async with serving(service) as url:
            simulator.deliver_to = f"{url}/webhooks/openai"
            yield service, simulator, url


async def token(service: Service, tenant: str | None) -> dict[str, str]:
    assert service.house is not None
    whose = None if tenant is None else TenantName(tenant)
    wanted = tokens.Wanted(f"{tenant}", whose, Scope.CONTROL, None)
    made = await tokens.create(service.house.writer.engine, wanted, Author("root@here"), at=1.0)
    return {"Authorization": f"Bearer {made.text}"}


async def test_calls_are_ended_while_the_database_is_away(
    house: tuple[Service, Simulator, str], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owed, "EVERY", 0.1)
    service, simulator, url = house
    who = {name: await token(service, name) for name in ("acme", "beta")}
    who["operator"] = await token(service, None)
    async with httpx.AsyncClient(base_url=url, timeout=30) as client:
        for headers in who.values():
            assert (await client.get("/api/v1/me", headers=headers)).status_code == 200
        calls = [await simulator.place_call(NUMBER, stay=True, script=[]) for _ in range(2)]
        for call_id in calls:
            await simulator.until(call_id, lambda call: call.answered)
        with outage(database_url):

            async def hang_up(name: str, call_id: str) -> int:
                path = f"/api/v1/calls/{call_id}/hang-up"
                key = {"Idempotency-Key": f"{name}-{call_id}"}
                return (await client.post(path, headers=who[name] | key)).status_code

            assert await hang_up("beta", calls[0]) == 404
            assert await hang_up("acme", calls[0]) == 202
            assert await hang_up("operator", calls[1]) == 202
            for call_id in calls:
                await simulator.until(call_id, lambda call: bool(call.hangups))
        assert service.house is not None
        async with asyncio.timeout(20):
            while True:
                wanted = AuditFilter(tenant=TenantName("acme"), action="calls.hang_up")
                try:
                    found = await lines(service.house.writer.engine, wanted)
                except DATABASE_ERRORS:
                    found = ()
                if len(found) == 2:
                    break
                await asyncio.sleep(0.1)
    assert {one.deed.target for one in found} == set(calls)
    assert (await verify(service.house.writer.engine)).broken_at is None
