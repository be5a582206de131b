"""Real sockets on loopback: what a guarded connection bears, and what ends it."""

import asyncio
import itertools
import time
from collections.abc import Iterable

import pytest

from sipagent.api.connections import Closing
from tests.api.serving import CHUNKED, GET, Serving, chunk, eventually, post, serving

SHORT = {"header_timeout": 0.3, "body_timeout": 0.3, "linger_timeout": 0.3}


def status_of(received: bytes) -> int:
    return int(received.split()[1])


async def test_two_hundred_half_open_requests_are_closed_and_good_ones_answered() -> None:
    async with serving(**SHORT) as running:
        clients = [await running.connect() for _ in range(200)]
        for client in clients:
            client.send(b"POST /hook HTTP/1.1\r\nHost: x\r\nX-Half: ")
        async with asyncio.TaskGroup() as group:
            ends = [group.create_task(client.until_closed()) for client in clients]
            for _ in range(50):
                await running.stays_usable()
        assert {end.result() for end in ends} == {b""}
        assert running.stats.closings == {Closing.HEADER_TIMEOUT: 200}


async def test_silent_connection_is_closed() -> None:
    async with serving(**SHORT) as running:
        assert await running.exchange(b"") == b""
        assert running.stats.closings == {Closing.HEADER_TIMEOUT: 1}


async def drip(running: Serving, start: bytes, drops: Iterable[bytes]) -> bytes:
    client = await running.connect()
    client.send(start)
    async with asyncio.TaskGroup() as group:
        end = group.create_task(client.until_closed())
        for drop in drops:
            if end.done():
                break
            client.send(drop)
            await asyncio.sleep(0.02)
    return end.result()


@pytest.mark.parametrize("drop", [b"a", b"\r\nX-A: b"], ids=["letter", "header"])
async def test_dripping_headers_do_not_move_the_deadline(drop: bytes) -> None:
    async with serving(**SHORT) as running:
        started = asyncio.get_running_loop().time()
        await drip(running, b"GET /ok HTTP/1.1\r\nX: y", itertools.repeat(drop))
        assert asyncio.get_running_loop().time() - started < 5
        assert running.stats.closings == {Closing.HEADER_TIMEOUT: 1}


async def test_endless_blank_lines_are_no_request() -> None:
    async with serving(**SHORT) as running:
        await drip(running, b"", itertools.repeat(b"\r\n"))
        assert running.stats.closings == {Closing.HEADER_TIMEOUT: 1}


@pytest.mark.parametrize(
    ("start", "drop"),
    [(post(1000), b"a"), (CHUNKED, chunk(b"a")), (CHUNKED, b"1;e=f\r\na\r\n"), (post(1000), b"")],
    ids=["length", "chunks", "chunk extensions", "nothing"],
)
async def test_slow_body_is_closed_and_its_reader_told(start: bytes, drop: bytes) -> None:
    async with serving(**SHORT) as running:
        assert await drip(running, start, itertools.repeat(drop)) == b""
        await eventually(lambda: running.doings.bodies == [None])
        assert running.stats.closings == {Closing.BODY_TIMEOUT: 1}
        await running.stays_usable()


async def test_half_of_the_next_request_is_closed() -> None:
    async with serving(**SHORT) as running:
        client = await running.connect()
        client.send(GET)
        assert (await client.answer())[0] == 200
        await asyncio.sleep(0.1)  # its time begins with its first byte
        client.send(GET[:10])
        assert await client.until_closed() == b""
        assert running.stats.closings == {Closing.HEADER_TIMEOUT: 1}


async def test_idle_kept_alive_connection_is_not_hurried() -> None:
    async with serving(**SHORT) as running:
        client = await running.connect()
        for _ in range(3):
            client.send(GET)
            assert (await client.answer())[0] == 200
            await asyncio.sleep(0.5)  # longer than every time-out of receiving
        await client.close()
        assert not running.stats.closings


async def test_request_that_arrived_while_we_stood_still_is_not_late() -> None:
    async with serving(**SHORT) as running:
        client = await running.connect()
        client.send(GET[:10])
        await asyncio.sleep(0.05)
        client.send(GET[10:])
        time.sleep(1.0)  # the loop stands still, and finds timer and bytes at once
        assert (await client.answer())[0] == 200
        await client.close()


async def test_idle_connection_ends_with_keep_alive() -> None:
    async with serving(keep_alive=1) as running:
        client = await running.connect()
        client.send(GET)
        assert (await client.answer())[0] == 200
        assert await client.until_closed() == b""
        assert not running.stats.closings


async def test_long_answer_is_not_cut() -> None:
    async with serving(**SHORT) as running:
        request = b"GET /stream?count=4&every=0.2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        received = await running.exchange(request)
        assert received.endswith(chunk(b"3\n") + b"0\r\n\r\n")


async def test_time_in_which_we_do_not_read_is_not_the_clients() -> None:
    async with serving(**SHORT) as running:
        client = await running.connect()
        client.send(post(4_000_000, "/late") + bytes(4_000_000))
        await running.doings.entered.wait()
        await asyncio.sleep(0.8)  # the application lets the client wait
        running.doings.release.set()
        assert await client.answer() == (200, b'{"size":4000000}')
        await client.close()


async def test_client_that_waits_for_100_continue_is_not_hurried() -> None:
    async with serving(**SHORT) as running:
        client = await running.connect()
        client.send(post(3, "/late", "Expect: 100-continue\r\n"))
        await running.doings.entered.wait()
        await asyncio.sleep(0.8)  # the application lets the client wait
        running.doings.release.set()
        assert await client.answer() == (100, b"")
        client.send(b"abc")
        assert await client.answer() == (200, b'{"size":3}')
        await client.close()


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with serving(**SHORT) as running:
        client = await running.connect()
        numbered = [f"POST /ok?n={n} HTTP/1.1\r\nContent-Length: 2\r\n\r\nab" for n in range(12)]
        client.send("".join(numbered).encode())
        for number in range(12):
            assert await client.answer() == (200, f"ok {number}".encode())
        client.send(GET)
        assert (await client.answer())[0] == 200
        await client.close()
        assert not running.stats.closings


async def test_too_many_pipelined_requests_end_the_connection() -> None:
    async with serving() as running:
        client = await running.connect()
        client.send(post(0, "/late") + GET * 100)
        assert await client.until_closed() == b""
        assert running.stats.closings == {Closing.PIPELINED: 1}


async def test_a_leaving_client_is_noticed_behind_pipelined_requests() -> None:
    async with serving() as running:
        client = await running.connect()
        client.send(b"GET /disconnect HTTP/1.1\r\nHost: x\r\n\r\n" + GET)
        await running.doings.entered.wait()
        client.writer.transport.abort()
        async with asyncio.timeout(10):
            await running.doings.disconnected.wait()


@pytest.mark.parametrize("protocol", ["h2c", "websocket"])
async def test_upgrade_is_ignored_and_the_connection_goes_on(protocol: str) -> None:
    async with serving() as running:
        client = await running.connect()
        asked = f"GET /ok HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n"
        for request in (asked.encode(), GET):
            client.send(request)
            assert (await client.answer())[0] == 200
        await client.close()


def with_headers(count: int, size: int = 1, end: bytes = b"\r\n") -> bytes:
    lines = b"".join(b"x-%d: %b\r\n" % (number, b"v" * size) for number in range(count))
    return b"GET /ok HTTP/1.1\r\n" + lines + end


@pytest.mark.parametrize(
    ("request_bytes", "closing"),
    [
        (with_headers(201), Closing.TOO_MANY_HEADERS),
        (with_headers(1000), Closing.TOO_MANY_HEADERS),
        (with_headers(1, 33_000), Closing.HEADERS_TOO_LARGE),
        (with_headers(100, 330), Closing.HEADERS_TOO_LARGE),
        (with_headers(1, 33_000, b""), Closing.HEADERS_TOO_LARGE),
        (b"GET /ok?" + b"a" * 33_000, Closing.HEADERS_TOO_LARGE),
        (b"GET /ok?" + b"a" * 33_000 + b" HTTP/1.1\r\n\r\n", Closing.HEADERS_TOO_LARGE),
        (b"GET /ok HTTP/1.1\r\n" + b"a" * 33_000, Closing.HEADERS_TOO_LARGE),
        (b"\r\n" * 17_000, Closing.HEADERS_TOO_LARGE),
        (CHUNKED + b"0\r\nX-T: " + b"t" * 33_000 + b"\r\n\r\n", Closing.HEADERS_TOO_LARGE),
    ],
    ids=itertools.count(),
)
async def test_too_large_headers_are_answered_with_431(
    request_bytes: bytes, closing: Closing
) -> None:
    async with serving() as running:
        received = await running.exchange(request_bytes)
        assert status_of(received) == 431
        assert b"connection: close" in received
        assert running.stats.closings == {closing: 1}
        assert running.doings.bodies in ([], [None])
        await running.stays_usable()


@pytest.mark.parametrize("start", [b"0\r\nX-T: ", b"1;"], ids=["trailer", "chunk extension"])
async def test_endless_line_in_a_body_ends_the_connection(start: bytes) -> None:
    async with serving(linger_timeout=30, body_timeout=30) as running:
        client = await running.connect()
        client.send(CHUNKED + chunk(b"a") + start)
        assert await client.flood(b"e" * 50_000) < 30_000_000
        assert running.stats.closings[Closing.HEADERS_TOO_LARGE] == 1
        assert running.doings.bodies == [None]


@pytest.mark.parametrize("request_bytes", [with_headers(200), with_headers(1, 32_000)])
async def test_large_headers_within_the_bounds_are_served(request_bytes: bytes) -> None:
    async with serving() as running:
        client = await running.connect()
        for byte in (request_bytes[:100], request_bytes[100:], request_bytes):
            client.send(byte)
        assert (await client.answer())[0] == 200
        assert (await client.answer())[0] == 200
        await client.close()


async def test_trailers_do_not_become_headers() -> None:
    async with serving() as running:
        client = await running.connect()
        client.send(CHUNKED + chunk(b"body") + b"0\r\nwebhook-id: late\r\nhost: y\r\n\r\n")
        assert await client.answer() == (200, b'{"size":4}')
        assert running.doings.headers == [{"host": "x", "transfer-encoding": "chunked"}]
        await client.close()


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
async def test_garbage_is_answered_with_400(garbage: bytes) -> None:
    async with serving() as running:
        received = await running.exchange(garbage)
        assert status_of(received) == 400
        assert running.stats.closings == {Closing.MALFORMED: 1}


@pytest.mark.parametrize("body", [b"zz\r\n", b"5\r\nhelloworld\r\n", b"-1\r\n"])
async def test_broken_body_is_answered_with_400_and_its_reader_told(body: bytes) -> None:
    async with serving() as running:
        assert status_of(await running.exchange(CHUNKED + body)) == 400
        await eventually(lambda: running.doings.bodies == [None])


async def test_more_than_content_length_says_leaves_the_answer_whole() -> None:
    async with serving() as running:
        received = await running.exchange(post(4) + b"bodyand\x00\x01 more of it" * 100)
        assert received.count(b"HTTP/1.1 ") == 1
        assert received.endswith(b'{"size":4}')
        assert running.stats.closings == {Closing.MALFORMED: 1}


async def test_less_than_content_length_says_is_a_slow_body() -> None:
    async with serving(**SHORT) as running:
        assert await running.exchange(post(1000) + b"{}") == b""
        assert running.stats.closings == {Closing.BODY_TIMEOUT: 1}
