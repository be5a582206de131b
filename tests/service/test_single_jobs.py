"""Three replicas tell a tenant of what happens, each event from one of them, whoever stored it."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from sipagent.app import Fixed, build, serving
from sipagent.jobs import JobName
from sipagent.model import EventType
from sipagent.settings import Settings
from sipagent.storehouse import Storehouse
from sipagent.testing import FakeTap, MemoryRecords
from tests.servers import RedisServer
from tests.service.conftest import SECRETS
from tests.store.couriers import CRM, hooks
from tests.store.forgetting import ACME
from tests.store.support import postgresql_database, postgresql_server
from tests.waiting import eventually

OUTBOX = JobName.OUTBOX
LEASE, HEARTBEAT = 1.0, 0.2
SOON = 5.0
"""Seconds: much less than the fifteen after which the outbox is looked through anyway."""


class Receiver:
    """The tenant's endpoint."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        self.ids.append(request.headers["webhook-id"])
        return web.Response(status=204)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    found, application = Receiver(), web.Application()
    application.router.add_post("/", found.take)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    try:
        yield found
    finally:
        await runner.cleanup()


@asynccontextmanager
async def replica(folder: Path, redis: str, records: str, url: str) -> AsyncIterator[Storehouse]:
    known = hooks(CRM, url=url)
    settings = Settings.model_validate(
        {
            "OPENAI_API_KEY": "sk-test",
            "OPENAI_WEBHOOK_SECRET": SECRETS[0],
            "SIPAGENT_DATA_DIR": folder,
            "SIPAGENT_ENGINE": redis,
            "SIPAGENT_DATABASE_URL": records,
            "SIPAGENT_LEASE": LEASE,
            "SIPAGENT_HEARTBEAT": HEARTBEAT,
            "SIPAGENT_HTTP_TOOLS_ALLOW": "127.0.0.0/8",
            "SIPAGENT_PRIVACY_KEY": "a key of this installation, the same for all of its replicas",
        }
    )
    configuration = Fixed(known.table, webhook_secrets=known.webhook_secrets)
    service = build(settings, configuration, records=MemoryRecords(), tap=FakeTap(), keep=True)
    async with serving(service):
        assert service.house is not None
        yield service.house


def tell(house: Storehouse, subject: str) -> None:
    """Something has happened that this replica stores."""
    house.records.announcer.tell(
        ACME, EventType.BUDGET_WARNING, time.time(), subject=subject, data={"share": 0.8}
    )


async def test_events_of_any_replica_are_told_once_by_the_one_that_carries(
    tmp_path: Path, receiver: Receiver
) -> None:
    with (
        RedisServer() as redis,
        postgresql_server() as server,
        postgresql_database(server) as records,
    ):
        houses: list[Storehouse] = []
        async with AsyncExitStack() as stack:
            closers: list[AsyncExitStack] = []
            for name in ("one", "two", "three"):
                closer = await stack.enter_async_context(AsyncExitStack())
                made = replica(tmp_path / name, redis.url, records, receiver.url)
                houses.append(await closer.enter_async_context(made))
                closers.append(closer)

            def carrying() -> list[int]:
                return [at for at, each in enumerate(houses) if each.room.jobs.mine(OUTBOX)]

            await eventually(carrying, SOON)
            for round_ in range(20):
                for at, house in enumerate(houses):
                    tell(house, f"{round_} of {at}")
            await eventually(lambda: len(receiver.ids) >= 60, SOON)
            (first,) = carrying()
            await closers[first].aclose()
            left = next(house for at, house in enumerate(houses) if at != first)
            tell(left, "after it has gone")
            await eventually(lambda: len(receiver.ids) >= 61, SOON)
            assert carrying() != [first]
            await asyncio.sleep(2 * HEARTBEAT)
        assert set(Counter(receiver.ids).values()) == {1}
        assert len(receiver.ids) == 61
