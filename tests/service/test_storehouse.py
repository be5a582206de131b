"""A service that keeps: what one process has counted and recorded is there for the next."""

import socket
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog

from sipagent.app import Service, build, serving
from sipagent.concurrency import SystemClock
from sipagent.config import parse
from sipagent.metrics import Metrics
from sipagent.model import DEFAULT_TENANT
from sipagent.routing.moment import day_and_month
from sipagent.settings import Settings
from sipagent.simulator import Simulator, running_simulator
from sipagent.storehouse import Storehouse
from sipagent.testing import FakeTap, MemoryRecords
from tests.service.conftest import SECRETS
from tests.store.nouns import billed, planned

NUMBER = "+17134810111"
AGENTS = """
version: 1
defaults: {{model: gpt-realtime-2.1, transcription: gpt-live-transcribe}}
tenants: {{acme: {{timezone: America/Chicago, {tenant}}}}}
agents: {{desk: {{instructions: Be kind., greeting: Hello there., {agent}}}}}
numbers: {{"+1 713 481 0111": {{agent: desk, tenant: acme}}}}
"""


LONG = [
    line
    for _ in range(12)
    for line in ({"caller": "And what about next Sunday?"}, {"agent": "On Sunday we are closed."})
]


class House:
    """A service with a data directory, that can be opened again and again."""

    def __init__(self, data: Path, simulator: Simulator) -> None:
        self.data = data
        self.simulator = simulator
        self.records = MemoryRecords()

    @asynccontextmanager
    async def open(
        self, tenant: str = "", agent: str = "", **settings: Any
    ) -> AsyncIterator[Service]:
        values = {
            "OPENAI_API_KEY": "sk-test",
            "OPENAI_WEBHOOK_SECRET": SECRETS[0],
            "OPENAI_BASE_URL": self.simulator.base_url,
            "SIPAGENT_DRAIN_TIMEOUT": 0,
            "SIPAGENT_DATA_DIR": self.data,
            **settings,
        }
        text = AGENTS.format(tenant=tenant, agent=agent)
        table = parse(text, file="agents.yaml", base=Path.cwd()).table
        self.records = MemoryRecords()
        chosen = Settings.model_validate(values)
        service = build(chosen, table, records=self.records, tap=FakeTap(), keep=True)
        async with serving(service) as url, httpx.AsyncClient(base_url=url) as client:
            self.simulator.deliver_to = f"{url}/webhooks/openai"
            self.client = client
            yield service

    async def call(self, script: Any = None) -> str:
        """Place one call and wait for its outcome; returns the outcome's name."""
        before = len(self.records.outcomes)
        extra = {} if script is None else {"script": script, "stay": True}
        await self.simulator.place_call(NUMBER, "+14067704205", **extra)
        await self.records.ended_until(before + 1)
        return self.records.outcomes[-1].name

    def rows(self, sql: str) -> list[Any]:
        with sqlite3.connect(self.data / "records.sqlite") as connection:
            rows = connection.execute(sql).fetchall()
        connection.close()
        return rows


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with running_simulator(SECRETS[0]) as simulator:
        yield House(tmp_path / "data", simulator)


async def test_a_budget_that_is_spent_stays_spent_after_a_restart(house: House) -> None:
    budget = "budget: {day: 0.01 USD, warn_at: [50%]}"
    with structlog.testing.capture_logs() as lines:
        async with house.open(budget):
            assert await house.call(LONG) == "completed.budget"
            assert await house.call() == "rejected.quota"
            metrics = (await house.client.get("/metrics")).text
    told = [(line["event"], line["share"]) for line in lines if line["event"].startswith("budget")]
    assert told == [("budget is being spent", "50%"), ("budget spent", "100%")]
    assert (
        'sipagent_budget_crossed_total{name="acme",period="day",scope="tenant",share="100%"} 1.0'
        in metrics
    )
    async with house.open(budget):
        assert await house.call() == "rejected.quota"
    rows = house.rows("SELECT outcome, sip_code, cost > 10000 FROM calls ORDER BY began_at")
    assert rows == [
        ("completed.budget", None, 1),
        ("rejected.quota", 503, 0),
        ("rejected.quota", 503, 0),
    ]


async def test_the_process_takes_so_many_calls_at_once_and_no_more(house: House) -> None:
    async with house.open(SIPAGENT_MAX_CALLS=2) as service:
        held = [await house.simulator.place_call(NUMBER, stay=True, script=[]) for _ in range(2)]
        for call_id in held:
            await house.simulator.until(call_id, lambda call: call.attachments == 1)
        assert await house.call() == "rejected.quota"
        house.simulator.hang_up(held[0])
        await house.records.ended_until(2)
        assert await house.call() == "completed.line_closed"
        assert service.supervisor.live == 1


async def test_the_budget_of_the_process_outlives_it(house: House) -> None:
    async with house.open(SIPAGENT_BUDGET_DAY="0.01 USD"):
        assert await house.call(LONG) == "completed.budget"
        assert await house.call() == "rejected.quota"
    async with house.open(SIPAGENT_BUDGET_DAY="0.01 USD"):
        assert await house.call() == "rejected.quota"
    async with house.open(SIPAGENT_BUDGET_DAY="100 USD"):
        assert await house.call() == "completed.line_closed"


async def test_a_call_that_has_cost_its_ceiling_says_goodbye(house: House) -> None:
    async with house.open(agent="max_cost: 0.01 USD"):
        assert await house.call(LONG) == "completed.budget"
    ((tokens, cost, complete),) = house.rows("SELECT tokens, cost, usage_complete FROM calls")
    assert (tokens > 0, cost >= 10_000, complete) == (True, True, 1)


async def test_a_data_directory_has_one_service(house: House) -> None:
    async with house.open():
        with pytest.raises(Exception, match="another `sipagent serve` uses this data directory"):
            async with house.open():
                raise AssertionError("two services share a data directory")


async def test_what_is_counted_is_not_counted_again_by_a_reload(house: House) -> None:
    budget = "budget: {month: 100 USD}"
    async with house.open(budget):
        await house.call()
    async with house.open(budget) as service:
        await house.call()
        assert service.house is not None
        counters, month = service.house.counters, time.strftime("%Y-%m", time.gmtime())
        # The tenant's zone may be in another month for some hours.
        spent = {label: counters.spent("tenant:acme", label) for label in months_around(month)}
        await service.house.writer.flushed()
        await service.house.seed()
        assert spent == {label: counters.spent("tenant:acme", label) for label in spent}
    ((cost,),) = house.rows("SELECT sum(cost) FROM usage")
    assert sum(spent.values()) == cost


def months_around(month: str) -> list[str]:
    year, number = int(month[:4]), int(month[5:])
    before = f"{year - 1}-12" if number == 1 else f"{year}-{number - 1:02}"
    return [before, month]


async def test_a_budget_that_comes_later_counts_each_bill_once(tmp_path: Path) -> None:
    settings, clock = Settings.model_validate({"SIPAGENT_DATA_DIR": tmp_path}), SystemClock()
    text = AGENTS.format(tenant="{}", agent="").replace("acme", "default")
    limits = ("max_concurrent_calls: 5", "budget: {month: 100 USD}")
    tables = [
        parse(text.replace("{}", limit), file="agents.yaml", base=tmp_path).table
        for limit in limits
    ]
    before, after = (table.tenants[DEFAULT_TENANT].quota for table in tables)
    assert before is not None
    assert after is not None
    plan, (_, month) = planned(), day_and_month(clock.wall(), after.zone)
    async with Storehouse(settings, lambda: tables[0], Metrics(), clock) as store:
        store.counters.restore(plan.call_id, plan.tenant, (before,))
        store.counters.spend(plan.call_id, 1_234, clock.wall())
        store.records.used(plan, billed("resp_1", cost=1_234))
        await store.count()
        await store.writer.flushed()
        tables.pop(0)
        await store.seed()
        assert store.counters.spent(after.key, month) == 1_234


async def test_a_database_that_does_not_answer_is_waited_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sipagent.store.database.CONNECT_WITHIN", 0.5)
    table = parse(AGENTS.format(tenant="budget: {day: 1 USD}", agent=""), file="", base=tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://u:p@127.0.0.1:{silent.getsockname()[1]}/x"
        settings = Settings.model_validate(
            {"SIPAGENT_DATA_DIR": tmp_path, "SIPAGENT_DATABASE_URL": url}
        )
        began = time.monotonic()
        async with Storehouse(settings, lambda: table.table, Metrics(), SystemClock()):
            assert time.monotonic() - began < 0.9
