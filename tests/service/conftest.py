"""The service and the simulator, served on loopback, as they are in production but for the wire."""

import base64
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from sipagent.app import Service, build, serving
from sipagent.config import parse
from sipagent.model import CallOutcome
from sipagent.routing import RoutingTable
from sipagent.settings import Settings
from sipagent.simulator import Simulator, running_simulator
from sipagent.testing import FakeTap, MemoryRecords

SECRETS = tuple("whsec_" + base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))

AGENTS = """
version: 1
defaults: {model: gpt-realtime-2.1, transcription: gpt-live-transcribe}
agents:
  reception:
    instructions: You answer the telephone of Acme.
    greeting: Thank you for calling Acme.
    voice: marin
    turn_detection: {type: semantic_vad, eagerness: low}
  quiet: {instructions: You wait for the caller.}
numbers:
  "+1 713 481 0111": reception
  "+1 713 481 0122": quiet
  "+1 713 481 0133": {reject: 486}
"""
RECEPTION, QUIET, BUSY, UNKNOWN = (f"+171348101{end}" for end in ("11", "22", "33", "99"))


@dataclass(frozen=True, slots=True)
class House:
    """A running service beside a running simulator."""

    service: Service
    table: RoutingTable
    simulator: Simulator
    records: MemoryRecords
    tap: FakeTap
    url: str
    client: httpx.AsyncClient

    async def outcomes(self, count: int = 1) -> list[CallOutcome]:
        """Wait until so many calls have ended, and return their outcomes."""
        await self.records.ended_until(count)
        return self.records.outcomes


Open = Callable[..., AbstractAsyncContextManager[House]]


@pytest.fixture
def house() -> Open:
    """Opens a house: `agents` is the text of agents.yaml, whose table is `shaped`, the rest are
    settings by their names."""

    @asynccontextmanager
    async def opened(
        agents: str = AGENTS,
        shaped: Callable[[RoutingTable], RoutingTable] = lambda table: table,
        **settings: Any,
    ) -> AsyncIterator[House]:
        async with running_simulator(SECRETS[0]) as simulator:
            values = {
                "OPENAI_API_KEY": "sk-test",
                "OPENAI_WEBHOOK_SECRET": " ".join(SECRETS),
                "OPENAI_BASE_URL": simulator.base_url,
                "SIPAGENT_DRAIN_TIMEOUT": 0,
                **settings,
            }
            table = shaped(parse(agents, file="agents.yaml", base=Path.cwd()).table)
            records, tap = MemoryRecords(), FakeTap()
            service = build(Settings.model_validate(values), table, records=records, tap=tap)
            async with serving(service) as url, httpx.AsyncClient(base_url=url) as client:
                simulator.deliver_to = f"{url}/webhooks/openai"
                yield House(service, table, simulator, records, tap, url, client)

    return opened
