"""A courier for tests: endpoints that answer as they are told, and a clock that is moved."""

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from sipagent.jobs import Jobs
from sipagent.metrics import Metrics
from sipagent.model import EventType, TenantName, Webhook
from sipagent.outbox.courier import Courier
from sipagent.outbox.schedule import Posted
from sipagent.providers.secrets import SecretSource
from sipagent.routing import RoutingTable, TenantProfile
from sipagent.store import tables
from sipagent.testing.fakes import a_table
from tests.store.forgetting import ACME, BETA, NOW, At

SECRETS = tuple("whsec_" + base64.b64encode(bytes([n]) * 32).decode() for n in (3, 4))
CRM = (ACME, "crm")
OTHER = (BETA, "crm")


@dataclass(frozen=True)
class Sent:
    whose: str
    headers: Mapping[str, str]
    body: bytes
    at: float

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


class Endpoints:
    """Everybody's endpoints, by URL: `answers` are given in turn, the last one again and again."""

    def __init__(self, clock: At) -> None:
        self.answers: dict[str, list[Posted | None]] = {}
        self.sent: list[Sent] = []
        self.at_once = 0
        self.most_at_once = 0
        self.slow: asyncio.Event | None = None
        self._clock = clock
        self._news = asyncio.Condition()

    async def __call__(
        self, whose: str, url: str, headers: Mapping[str, str], body: bytes, within: float
    ) -> Posted:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        async with self._news:
            self.sent.append(Sent(whose, dict(headers), body, self._clock.now))
            self._news.notify_all()
        try:
            await asyncio.sleep(0)
            if self.slow is not None:
                await self.slow.wait()
            answers = self.answers.get(url, [Posted(200)])
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            if answer is None:  # nobody ever answers
                await asyncio.get_running_loop().create_future()
            return answer or Posted(None, "timed_out")
        finally:
            self.at_once -= 1

    async def until(self, count: int) -> None:
        async with self._news:
            await self._news.wait_for(lambda: len(self.sent) >= count)


@dataclass
class Hooks:
    """The webhooks in force."""

    table: RoutingTable
    webhook_secrets: dict[tuple[TenantName, str], SecretSource] = field(default_factory=dict)


def url_of(endpoint: tuple[TenantName, str]) -> str:
    return f"https://{endpoint[1]}.{endpoint[0]}.example/events"


def hooks(*endpoints: tuple[TenantName, str], **changes: Any) -> Hooks:
    tenants: dict[TenantName, TenantProfile] = {}
    for tenant, name in endpoints:
        profile = tenants.setdefault(tenant, TenantProfile(tenant))
        hook = replace(Webhook(name, url_of((tenant, name))), **changes)
        tenants[tenant] = replace(profile, webhooks={**profile.webhooks, name: hook})
    secrets = {each: SecretSource(literal="\n".join(SECRETS)) for each in endpoints}
    return Hooks(a_table(tenants=tenants.values()), secrets)


@dataclass
class Carrying:
    """A courier, and what a test looks at."""

    courier: Courier
    endpoints: Endpoints
    clock: At
    metrics: Metrics
    hooks: Hooks

    def ids(self) -> list[str]:
        return [sent.id for sent in self.endpoints.sent]


def carrying(
    engine: AsyncEngine, directory: Hooks | None = None, jobs: Jobs | None = None
) -> Carrying:
    clock, metrics = At(NOW), Metrics()
    endpoints, known = Endpoints(clock), directory or hooks(CRM, OTHER)
    courier = Courier(
        lambda: engine, known, endpoints, clock, metrics.outbox, chance=lambda: 0.5, jobs=jobs
    )
    return Carrying(courier, endpoints, clock, metrics, known)


async def put(engine: AsyncEngine, *names: str, **changes: Any) -> None:
    """Events of these ids are due."""
    row = {
        "endpoint": CRM[1],
        "tenant": CRM[0],
        "type": EventType.BUDGET_WARNING.value,
        "at": NOW,
        "data": '{"share":0.8}',
        "state": "pending",
        "since": NOW,
        "next_at": NOW,
        "attempts": 0,
    }
    async with engine.begin() as connection:
        rows = [row | {"id": name} | changes for name in names]
        await connection.execute(insert(tables.outbox), rows)
