"""How a server ends: by a drain, by a second signal, or before it began."""

import asyncio
import signal
import socket
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.api.serving import PATIENCE, Serving, serving

ROOT = Path(__file__).parents[2]
LINUX_ONLY = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


async def status_of_ready(running: Serving) -> int:
    client = await running.connect()
    client.send(b"GET /ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    status, _ = await client.answer()
    await client.close()
    return status


async def test_listener_answers_while_draining_and_closes_after() -> None:
    async with serving() as running:
        assert await status_of_ready(running) == 200
        running.server.handle_exit(signal.SIGTERM, None)
        async with asyncio.timeout(PATIENCE):
            await running.doings.draining.wait()
        assert await status_of_ready(running) == 503
        assert running.server.servers[0].is_serving()
    assert running.server.exit_code == 0
    assert running.doings.aborts == 0
    with pytest.raises(ConnectionRefusedError):
        await running.connect()


async def test_open_answer_is_finished_after_the_drain() -> None:
    async with serving() as running:
        client = await running.connect()
        client.send(b"GET /stream?count=5&every=0.1 HTTP/1.1\r\nHost: x\r\n\r\n")
        await client.reader.readuntil(b"0\n\r\n")
        running.drained.set()
        running.server.should_exit = True
        assert (await client.until_closed()).endswith(b"4\n\r\n0\r\n\r\n")
    assert running.server.exit_code == 0


async def test_date_stays_true_while_draining(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving() as running:
        running.server.should_exit = True
        async with asyncio.timeout(PATIENCE):
            await running.doings.draining.wait()
            monkeypatch.setattr("uvicorn.server.time.time", lambda: 0.0)
            while running.server.server_state.default_headers != [
                (b"date", b"Thu, 01 Jan 1970 00:00:00 GMT")
            ]:
                await asyncio.sleep(0.01)


async def test_second_signal_cuts_the_drain_and_open_answers() -> None:
    async with serving() as running:
        client = await running.connect()
        client.send(b"GET /stream?count=1000&every=0.1 HTTP/1.1\r\nHost: x\r\n\r\n")
        await client.reader.readuntil(b"0\n\r\n")
        running.server.handle_exit(signal.SIGTERM, None)
        async with asyncio.timeout(PATIENCE):
            await running.doings.draining.wait()
        running.server.handle_exit(signal.SIGINT, None)
        running.server.handle_exit(signal.SIGTERM, None)
        assert not (await client.until_closed()).endswith(b"0\r\n\r\n")
        assert not running.drained.is_set()
    assert running.doings.aborts == 1
    assert running.server.exit_code == 128 + signal.SIGINT


@asynccontextmanager
async def process(*arguments: str) -> AsyncIterator[Process]:
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.api.serving", *arguments, cwd=ROOT, stdout=PIPE, stderr=PIPE
    )
    try:
        async with asyncio.timeout(60):
            yield server
            await server.communicate()
    finally:
        if server.returncode is None:
            server.kill()
            await server.communicate()


async def line_from(server: Process) -> str:
    assert server.stdout is not None
    return (await server.stdout.readline()).decode().strip()


async def port_of(server: Process) -> int:
    word, port = (await line_from(server)).split()
    assert word == "port"
    return int(port)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_clean_drain_exits_with_0(number: signal.Signals) -> None:
    async with process("at-once", "0") as server:
        await port_of(server)
        server.send_signal(number)
        assert await line_from(server) == "draining"
        assert await line_from(server) == "lifespan ended"
        assert await server.wait() == 0


async def test_failed_drain_still_ends_in_order_and_exits_with_1() -> None:
    async with process("crash", "0") as server:
        await port_of(server)
        server.send_signal(signal.SIGTERM)
        assert server.stdout is not None
        output = (await server.stdout.read()).decode()
        assert output.startswith("draining\n")
        assert output.endswith("lifespan ended\n")
        assert await server.wait() == 1


@pytest.mark.parametrize("drain", ["never", "deaf", "in-thread"])
async def test_second_signal_ends_the_process_within_two_seconds(drain: str) -> None:
    async with process(drain, "0") as server:
        await port_of(server)
        server.send_signal(signal.SIGTERM)
        assert await line_from(server) == "draining"
        began = time.monotonic()
        server.send_signal(signal.SIGTERM)
        assert await line_from(server) == "aborted"
        assert await server.wait() == 128 + signal.SIGTERM
        assert time.monotonic() - began < 2


async def test_failed_start_exits_with_3() -> None:
    async with process("at-once", "0", "fails") as server:
        assert await server.wait() == 3


async def test_taken_port_exits_with_3() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        async with process("at-once", str(taken.getsockname()[1])) as server:
            assert await line_from(server) == "lifespan ended"
            assert await server.wait() == 3


async def exchange(port: int, head: bytes, piece: bytes = b"", times: int = 0) -> bytes:
    """What comes back for `head` and that many pieces, or as many as the server bears."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = b""
    with suppress(ConnectionError):
        writer.write(head)
        for _ in range(times):
            writer.write(piece)
            await writer.drain()
        received = await reader.read()
    writer.close()
    return received


@LINUX_ONLY
async def test_300_megabytes_of_body_are_not_buffered() -> None:
    chunk = b"%x\r\n%b\r\n" % (1_000_000, bytes(1_000_000))
    start = b"POST /hook HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    announced = b"POST /hook HTTP/1.1\r\nHost: x\r\nContent-Length: 300000000\r\n\r\n"
    small = b"POST /hook HTTP/1.1\r\nContent-Length: 2\r\nConnection: close\r\n\r\nab"
    headers = b"POST /hook HTTP/1.1\r\n" + b"X-A: b\r\n" * 1000 + b"\r\n"
    async with process("at-once", "0") as server:
        port = await port_of(server)
        for _ in range(20):
            assert b"200 OK" in await exchange(port, small)
        before = psutil.Process(server.pid).memory_info().rss
        for _ in range(3):
            await exchange(port, start, chunk, 300)
            await exchange(port, announced, bytes(1_000_000), 300)
            await exchange(port, headers, headers, 100)
        grown = peak_of(server.pid) - before
        assert b"200 OK" in await exchange(port, small)
        server.send_signal(signal.SIGTERM)
    assert grown < 20_000_000


def peak_of(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024
