"""A caller who is back, in a service that keeps its records, and one who wants to be forgotten."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sipagent.app import Service, build, serving
from sipagent.concurrency import SystemClock
from sipagent.config import parse
from sipagent.model import Accept, DestinationName
from sipagent.settings import Settings
from sipagent.simulator import Simulator, running_simulator
from sipagent.store.erasure import Eraser
from sipagent.store.ledger import Ledger
from sipagent.store.numbers import installation_key
from sipagent.testing import MemoryRecords
from tests.service.conftest import SECRETS

AGENT, DESK = "+17134810111", "+17134810122"
CALLER, OTHER = "+14067704205", "+17135550199"
AGENTS = f"""
version: 1
defaults: {{model: gpt-realtime-2.1}}
agents: {{reception: {{instructions: Be kind., greeting: Hello.}}}}
destinations: {{front_desk: "+17134810199"}}
numbers:
  "{AGENT}": reception
  "{DESK}": {{forward: front_desk}}
"""
SENT_ON: dict[str, Any] = {"stay": True, "script": [], "refer": {"after": 0.1}}


class Home:
    def __init__(self, service: Service, simulator: Simulator, records: MemoryRecords) -> None:
        self.service, self.simulator, self.records = service, simulator, records

    async def call(self, number: str, caller: str | None = CALLER, **more: Any) -> str:
        """One call from its beginning to its end; what its agent is told."""
        before = len(self.records.outcomes)
        call_id = await self.simulator.place_call(number, caller, **more)
        await self.records.ended_until(before + 1)
        return str(self.simulator.call(call_id).accepts[0].get("instructions"))

    @property
    def last(self) -> Accept:
        verdict = self.records.decisions[-1][1].verdict
        assert isinstance(verdict, Accept)
        return verdict


@asynccontextmanager
async def home(folder: Path) -> AsyncIterator[Home]:
    async with running_simulator(SECRETS[0]) as simulator:
        values = {
            "OPENAI_API_KEY": "sk-test",
            "OPENAI_WEBHOOK_SECRET": SECRETS[0],
            "OPENAI_BASE_URL": simulator.base_url,
            "SIPAGENT_DRAIN_TIMEOUT": 0,
            "SIPAGENT_DATA_DIR": folder,
        }
        table = parse(AGENTS, file="agents.yaml", base=Path.cwd()).table
        records = MemoryRecords()
        service = build(Settings.model_validate(values), table, records=records, keep=True)
        async with serving(service) as url:
            simulator.deliver_to = f"{url}/webhooks/openai"
            yield Home(service, simulator, records)


async def test_the_agent_knows_the_outcome_of_the_call_before_and_nothing_else(
    tmp_path: Path,
) -> None:
    async with home(tmp_path) as at:
        assert await at.call(AGENT) == "Be kind."
        assert await at.call(AGENT) == "Be kind."  # who has just hung up is not returned
        await at.call(DESK, **SENT_ON)
        told = await at.call(AGENT)
        returned = at.last.plan.returned
        assert await at.call(AGENT, OTHER) == "Be kind."
        assert await at.call(AGENT, "anonymous") == "Be kind."
    assert told.startswith("Be kind.\n\nThis caller called less than a minute ago, was put through")
    assert returned is not None
    assert returned.destination == DestinationName("front_desk")
    assert CALLER not in told


@pytest.mark.parametrize("erased", [CALLER, OTHER])
async def test_a_caller_who_is_erased_is_not_known_any_more(tmp_path: Path, erased: str) -> None:
    """The wish is another process's; this one finds it in its next round."""
    async with home(tmp_path) as at:
        house = at.service.house
        assert house is not None
        await at.call(DESK, **SENT_ON)
        key = installation_key(None, tmp_path, file=True)
        eraser = Eraser(house.writer.engine, key, Ledger(tmp_path), SystemClock())
        await house.writer.flushed()
        await eraser.erase(erased, by="another")
        await house._retention()._round(0.0)
        told = await at.call(AGENT)
    assert (told == "Be kind.") is (erased == CALLER)
