"""The proxy: each fault does what it says, to connections that live and to new ones, and heals."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis

from tests.faults import Proxy, threaded_proxy
from tests.listening import listening
from tests.servers import RedisServer, steady_port
from tests.toxics import (
    EIGHT,
    Bandwidth,
    BlackHole,
    Down,
    Fault,
    Latency,
    LimitData,
    ResetPeer,
    Slicer,
    SlowClose,
    Way,
)
from tests.waiting import eventually

ONLY_UP = frozenset({Way.UP})


class Client:
    """A connection by way of the proxy to a server that says everything back."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def echo(self, text: bytes) -> bytes:
        self.writer.write(text)
        return await self.reader.readexactly(len(text))

    async def hears_nothing(self) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await self.reader.read(1)


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(65_536):
            writer.write(chunk)
            await writer.drain()
    except OSError:
        pass


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    async with listening(_echo) as server:
        async with Proxy(server.sockets[0].getsockname()) as running:
            yield running
        await eventually(lambda: len(asyncio.all_tasks()) <= 2)


@asynccontextmanager
async def connected(proxy: Proxy) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
    try:
        yield Client(reader, writer)
    finally:
        writer.transport.abort()


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_it_passes_on_and_counts(proxy: Proxy) -> None:
    assert (proxy.connections, proxy.open) == (0, 0)
    async with connected(proxy) as one, connected(proxy) as two:
        assert await one.echo(b"one") == b"one"
        assert await two.echo(b"second") == b"second"
        assert (proxy.connections, proxy.open) == (2, 2)
    await eventually(lambda: proxy.open == 0)
    assert proxy.connections == 2
    assert proxy.passed == {Way.UP: 9, Way.DOWN: 9}


async def test_a_megabyte_comes_through_in_order(proxy: Proxy) -> None:
    sent = bytes(range(256)) * 4096
    async with connected(proxy) as client:
        assert await client.echo(sent) == sent
        client.writer.write_eof()
        assert await client.reader.read() == b""


@pytest.mark.parametrize("fault", EIGHT.values(), ids=EIGHT)
async def test_healed_a_new_connection_works_as_before(proxy: Proxy, fault: Fault) -> None:
    async with connected(proxy) as client:
        assert await client.echo(b"before") == b"before"
        async with proxy.under(fault):
            assert proxy.fault is fault
        assert proxy.fault is None
    async with connected(proxy) as client:
        assert await client.echo(b"x" * 5_000) == b"x" * 5_000


async def test_latency_delays_each_way_and_not_one_after_the_other(proxy: Proxy) -> None:
    async with connected(proxy) as client, proxy.under(Latency(0.1)):
        began = now()
        for _ in range(20):
            client.writer.write(b"a")
            await asyncio.sleep(0.002)
        await client.reader.readexactly(20)
        assert 0.19 <= now() - began < 20 * 0.2


async def test_latency_that_jitters_keeps_the_order(proxy: Proxy) -> None:
    async with connected(proxy) as client, proxy.under(Latency(0.01, jitter=0.01)):
        sent = b"".join(b"%03d" % number for number in range(50))
        for at in range(0, len(sent), 3):
            client.writer.write(sent[at : at + 3])
            await asyncio.sleep(0.0005)
        assert await client.reader.readexactly(len(sent)) == sent


async def test_latency_healed_lets_go_of_what_waits(proxy: Proxy) -> None:
    async with connected(proxy) as client:
        async with proxy.under(Latency(60)):
            client.writer.write(b"late")
            await client.hears_nothing()
        assert await client.reader.readexactly(4) == b"late"


async def test_down_ends_connections_and_refuses_new_ones(proxy: Proxy) -> None:
    async with connected(proxy) as client:
        await client.echo(b"a")
        async with proxy.under(Down()):
            assert await client.reader.read() == b""
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(proxy.host, proxy.port)
        async with connected(proxy) as again:
            assert await again.echo(b"b") == b"b"


async def test_bandwidth_is_limited_each_way(proxy: Proxy) -> None:
    async with connected(proxy) as client, proxy.under(Bandwidth(20_000, ways=ONLY_UP)):
        began = now()
        await client.echo(b"x" * 4_000)
        assert now() - began >= 0.17


async def test_a_slow_close_comes_late_and_the_bytes_do_not(proxy: Proxy) -> None:
    async with connected(proxy) as client, proxy.under(SlowClose(0.1, ways=ONLY_UP)):
        began = now()
        assert await client.echo(b"last words") == b"last words"
        client.writer.write_eof()
        assert await client.reader.read() == b""
        assert now() - began >= 0.1


async def test_a_black_hole_tells_nobody_and_delivers_when_healed(proxy: Proxy) -> None:
    async with connected(proxy) as client:
        async with proxy.under(BlackHole()):
            client.writer.write(b"a")
            await client.hears_nothing()
            async with connected(proxy) as new:
                new.writer.write(b"b")
                await new.hears_nothing()
            assert proxy.passed == {Way.UP: 0, Way.DOWN: 0}
        assert await client.reader.readexactly(1) == b"a"


async def test_a_black_hole_of_one_way_lets_the_other_through(proxy: Proxy) -> None:
    async with connected(proxy) as client:
        async with proxy.under(BlackHole(ways=frozenset({Way.DOWN}))):
            client.writer.write(b"a")
            await client.hears_nothing()
            assert proxy.passed == {Way.UP: 1, Way.DOWN: 0}
        assert await client.reader.readexactly(1) == b"a"


async def test_a_black_hole_that_closes_does_so_in_its_time(proxy: Proxy) -> None:
    async with connected(proxy) as client:
        await client.echo(b"a")
        began = now()
        async with proxy.under(BlackHole(closes=0.05)):
            assert await client.reader.read() == b""
            assert now() - began >= 0.05


async def test_a_reset_is_one_for_live_and_for_new_connections(proxy: Proxy) -> None:
    async with connected(proxy) as client:
        await client.echo(b"a")
        async with proxy.under(ResetPeer()):
            with pytest.raises(ConnectionResetError):
                await client.reader.read()
            with pytest.raises(ConnectionResetError):
                async with connected(proxy) as new:
                    await new.reader.read()


async def test_a_reset_may_come_later(proxy: Proxy) -> None:
    async with proxy.under(ResetPeer(0.1)), connected(proxy) as client:
        began = now()
        with pytest.raises(ConnectionResetError):
            await client.reader.read()
        assert now() - began >= 0.09


async def test_slices_are_small_and_whole_in_the_end(proxy: Proxy) -> None:
    async with connected(proxy) as client:
        async with proxy.under(Slicer(3, 60, ways=frozenset({Way.DOWN}))):
            client.writer.write(b"abcdefghij")
            assert await client.reader.read(100) == b"abc"
            await client.hears_nothing()
        assert await client.reader.readexactly(7) == b"defghij"


async def test_the_next_slice_comes_after_a_pause(proxy: Proxy) -> None:
    async with connected(proxy) as client, proxy.under(Slicer(5, 0.05, ways=ONLY_UP)):
        began = now()
        assert await client.echo(b"x" * 11) == b"x" * 11
        assert now() - began >= 0.09


async def test_limited_data_ends_the_connection_at_that_byte(proxy: Proxy) -> None:
    async with proxy.under(LimitData(10, ways=frozenset({Way.DOWN}))), connected(proxy) as client:
        assert await client.echo(b"1234") == b"1234"
        client.writer.write(b"567890abc")
        assert await client.reader.read() == b"567890"


async def test_limited_data_counts_what_went_before(proxy: Proxy) -> None:
    async with connected(proxy) as client:
        await client.echo(b"0123456789")
        async with proxy.under(LimitData(10)):
            client.writer.write(b"more")
            assert await client.reader.read() == b""


async def test_a_fault_takes_the_place_of_another(proxy: Proxy) -> None:
    async with connected(proxy) as client:
        await proxy.inflict(BlackHole())
        client.writer.write(b"abcdef")
        await client.hears_nothing()
        await proxy.inflict(Slicer(2, 0.0))
        assert await client.reader.readexactly(6) == b"abcdef"
        await proxy.inflict(Down())
        assert await client.reader.read() == b""
        await proxy.inflict(Latency(0.01))
    async with connected(proxy) as client:
        assert await client.echo(b"up again") == b"up again"
    await proxy.heal()


async def test_a_server_that_refuses_resets_the_client_and_may_come_back() -> None:
    port = steady_port()
    async with Proxy(("127.0.0.1", port)) as proxy:
        async with connected(proxy) as client:
            with pytest.raises(ConnectionResetError):
                await client.reader.read()
        async with listening(_echo, port=port), connected(proxy) as client:
            assert await client.echo(b"back") == b"back"
            client.writer.close()
            await eventually(lambda: proxy.open == 0)


async def test_a_client_that_ends_ends_the_connection_to_the_server(proxy: Proxy) -> None:
    async with connected(proxy) as client:
        await client.echo(b"a")
        client.writer.close()
        await eventually(lambda: proxy.open == 0)


async def test_at_the_end_of_its_block_nothing_lives_on(proxy: Proxy) -> None:
    async with connected(proxy) as outside:
        async with Proxy((proxy.host, proxy.port)) as second, connected(second) as client:
            await client.echo(b"a")
            await second.inflict(BlackHole())
            client.writer.write(b"x" * 100_000)
            port = second.port
        assert await outside.echo(b"b") == b"b"
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        await eventually(lambda: proxy.open == 1)


@pytest.mark.parametrize(
    ("url", "through"),
    [
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:7/0"),
        (
            "rediss://user:pa%40ss@redis.example:6380/2?x=1",
            "rediss://user:pa%40ss@127.0.0.1:7/2?x=1",
        ),
        ("postgresql://postgres@127.0.0.1:5432/a", "postgresql://postgres@127.0.0.1:7/a"),
        ("http://localhost/v1", "http://127.0.0.1:7/v1"),
    ],
)
def test_a_url_leads_through_it(url: str, through: str) -> None:
    proxy = Proxy(("127.0.0.1", 1))
    proxy.port = 7
    assert proxy.through(url) == through


def test_in_a_thread_it_stands_before_a_real_server() -> None:
    with RedisServer(own=True) as server, threaded_proxy(server.address) as faults:
        url = faults.proxy.through(server.url)
        with redis.Redis.from_url(url, socket_timeout=5, retry=None) as client:
            client.set("a", 1)
            faults.inflict(BlackHole())
            hasty = redis.Redis.from_url(url, socket_timeout=0.1, retry=None)
            with hasty, pytest.raises(redis.TimeoutError):
                hasty.get("a")
            faults.inflict(Down())
            with pytest.raises(redis.ConnectionError):
                client.get("a")
            faults.heal()
            assert client.get("a") == b"1"


async def test_in_a_thread_it_serves_while_this_loop_is_busy() -> None:
    with RedisServer(unix=True, own=True) as server, threaded_proxy(server.address) as faults:
        assert isinstance(faults.proxy.upstream, Path)
        with socket.create_connection((faults.proxy.host, faults.proxy.port), timeout=5) as asking:
            asking.sendall(b"PING\r\n")
            assert asking.recv(100) == b"+PONG\r\n"
