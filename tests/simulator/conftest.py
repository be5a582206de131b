from collections.abc import AsyncIterator

import httpx
import openai
import pytest

from sipagent.simulator import Simulator, running_simulator
from tests.simulator.support import SECRET, Receiver, receiving


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with running_simulator(SECRET) as simulator:
        yield simulator


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as served:
        yield served


@pytest.fixture
async def client(sim: Simulator) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        base_url=sim.base_url, api_key="x", webhook_secret=SECRET, max_retries=0
    ) as made:
        yield made


@pytest.fixture
async def http(sim: Simulator) -> AsyncIterator[httpx.AsyncClient]:
    """The simulator's own API."""
    async with httpx.AsyncClient(base_url=sim.url, trust_env=False) as made:
        yield made
