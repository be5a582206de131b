"""A server that has no memory left refuses writes and throws nothing away: calls go on, and it
shows."""

from collections.abc import Iterator

import pytest
from redis import Redis

from sipagent.model import CallId
from sipagent.sessions.ports import Claim, Marked
from tests.engine.replicas import replica
from tests.engine.support import a_claim
from tests.servers import FLAVOURS, RedisServer

HELD, NEW = CallId("rtc_0"), CallId("rtc_1")


@pytest.fixture(scope="module", params=FLAVOURS)
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    with RedisServer(request.param, own=True) as running:
        yield running


@pytest.fixture
def fill(server: RedisServer) -> Iterator[Redis]:
    """The server is emptied; `config_set` fills it, and the end frees it again."""
    server.empty()
    with Redis.from_url(server.url) as client:
        yield client
        client.config_set("maxmemory", 0)


async def test_leases_are_renewed_and_taken_over_while_the_server_is_full(
    server: RedisServer, fill: Redis
) -> None:
    async with replica(server.url, "one") as one, replica(server.url, "two") as two:
        await one.engine.offer(*a_claim(HELD))
        fill.config_set("maxmemory", 1)
        assert await one.leases.renew()
        assert one.engine.active(HELD, 1)
        await one.abandon()
        assert await two.leases.adopt() == 1
        assert await one.leases.renew()
        assert one.heirs.lost == [HELD]


async def test_calls_are_taken_alone_while_the_server_is_full_and_registered_later(
    server: RedisServer, fill: Redis
) -> None:
    async with replica(server.url, "one") as one, replica(server.url, "two") as two:
        await one.engine.offer(*a_claim(HELD))
        fill.config_set("maxmemory", 1)
        assert (await one.engine.offer(*a_claim(NEW))).claim is Claim.OK
        assert await one.engine.mark(HELD, 1, "greeting") is Marked.DONE_NOW
        assert one.engine.tally.alone == 1
        # Its lease is confirmed all the same: only what is new cannot be written.
        assert not await one.leases.renew()
        assert one.leases.trouble in {"OOM", "OutOfMemoryError"}
        assert one.engine.active(HELD, 1)
        fill.config_set("maxmemory", 0)
        assert await one.leases.renew()
        await one.written()
        assert one.engine.tally.registered == 1
        assert (await two.engine.offer(*a_claim(NEW))).claim is Claim.DUPLICATE
