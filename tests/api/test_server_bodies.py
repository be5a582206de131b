"""Real sockets on loopback: how much of a body is read, and what becomes of the rest."""

import gzip
import itertools

import pytest

from sipagent.api.connections import Closing
from tests.api.serving import CHUNKED, chunk, eventually, post, serving

LIMIT = 64 * 1024


@pytest.mark.parametrize("size", [0, 1, LIMIT - 1, LIMIT])
async def test_body_within_the_limit_is_read(size: int) -> None:
    async with serving() as running:
        client = await running.connect()
        client.send(post(size) + b"a" * size)
        client.send(CHUNKED + (chunk(b"a" * size) if size else b"") + b"0\r\n\r\n")
        expected = (200, b'{"size":%d}' % size)
        assert [await client.answer(), await client.answer()] == [expected, expected]
        await client.close()


@pytest.mark.parametrize(
    "request_bytes",
    [
        post(LIMIT + 1) + b"a" * (LIMIT + 1),
        post("000000000000065537") + b"a" * (LIMIT + 1),
        CHUNKED + chunk(b"a" * (LIMIT + 1)) + b"0\r\n\r\n",
        CHUNKED + chunk(b"a" * 1000) * 66 + b"0\r\n\r\n",
        CHUNKED + chunk(b"a" * (LIMIT + 1)),
        post(LIMIT + 1),
        post(2**62),
        post(2**62, more="Expect: 100-continue\r\n"),
        post(900_000) + b"a" * 900_000,
        CHUNKED + chunk(b"a" * 900_000),
    ],
    ids=itertools.count(),
)
async def test_body_above_the_limit_is_answered_with_413_and_cut(request_bytes: bytes) -> None:
    async with serving(linger_timeout=0.3) as running:
        received = await running.exchange(request_bytes)
        assert received.startswith(b"HTTP/1.1 413 ")
        assert received.count(b"HTTP/1.1 ") == 1
        assert b"connection: close" in received
        assert running.doings.bodies == [None]
        assert not running.stats.closings
        await running.stays_usable()


async def test_client_that_goes_on_sending_after_413_is_cut_off() -> None:
    async with serving(linger_timeout=30, body_timeout=30) as running:
        client = await running.connect()
        client.send(CHUNKED)
        sent = await client.flood(chunk(b"a" * 100_000))
        assert sent < 30_000_000  # a megabyte, and what the kernel's buffers hold
        assert running.stats.closings == {Closing.UNREAD_BODY: 1}


async def test_client_that_does_not_close_after_413_is_closed() -> None:
    async with serving(linger_timeout=0.3) as running:
        client = await running.connect()
        client.send(post(LIMIT + 1))
        assert (await client.answer())[0] == 413
        assert await client.reader.read() == b""
        await eventually(lambda: not running.server.server_state.connections)
        await client.close()


async def test_body_that_breaks_under_its_answer_ends_the_connection() -> None:
    async with serving() as running:
        client = await running.connect()
        client.send(CHUNKED.replace(b"POST /hook", b"GET /stream?count=99&every=0.1"))
        await client.reader.readuntil(b"0\n\r\n")
        client.send(b"zz\r\n")
        assert b"HTTP/1.1" not in await client.until_closed()
        assert running.stats.closings == {Closing.MALFORMED: 1}


async def test_body_that_nobody_reads_is_bounded_too() -> None:
    async with serving(body_timeout=30) as running:
        client = await running.connect()
        client.send(post(2**62, "/ok"))
        assert (await client.answer())[0] == 200
        assert await client.flood(b"a" * 100_000) < 30_000_000
        assert running.stats.closings == {Closing.UNREAD_BODY: 1}


async def test_small_body_that_nobody_reads_does_no_harm() -> None:
    async with serving() as running:
        client = await running.connect()
        for _ in range(40):
            client.send(post(50_000, "/ok") + b"a" * 50_000)
            assert (await client.answer())[0] == 200
        await client.close()
        assert not running.stats.closings


async def test_compressed_body_stays_as_it_was_sent() -> None:
    bomb = gzip.compress(bytes(10_000_000))
    async with serving() as running:
        client = await running.connect()
        client.send(post(len(bomb), more="Content-Encoding: gzip\r\n") + bomb)
        assert (await client.answer())[0] == 200
        assert running.doings.bodies == [bomb]
        await client.close()


async def test_client_that_leaves_in_its_body_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as running:
        client = await running.connect()
        client.send(post(1000) + b"{}")
        await client.close()
        await eventually(lambda: running.doings.bodies == [None])
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
