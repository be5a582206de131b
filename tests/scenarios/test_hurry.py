"""The stage's event loop: time that hurries, and a network that leads nowhere else."""

import asyncio
import socket
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest

from sipagent.scenarios.hurry import HurriedLoop, StageClock

T = TypeVar("T")
PLACES = [("127.0.0.1", 9), ("1.1.1.1", 443), ("10.0.0.1", 80)]


def run(work: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=HurriedLoop) as runner:
        return runner.run(work)


def hurried() -> HurriedLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, HurriedLoop)
    return loop


def test_an_hour_of_waiting_takes_a_moment() -> None:
    async def waiting() -> tuple[float, float]:
        clock = StageClock(asyncio.get_running_loop(), 1000.0)
        before = clock.monotonic()
        await asyncio.sleep(3600)
        return clock.monotonic() - before, clock.wall()

    began = time.monotonic()
    passed, wall = run(waiting())
    assert time.monotonic() - began < 5
    assert passed == pytest.approx(3600, abs=5)
    assert wall == pytest.approx(4600, abs=5)


def test_timers_go_off_in_their_order() -> None:
    async def waiting() -> list[int]:
        fired: list[int] = []
        loop = asyncio.get_running_loop()
        for seconds in (30, 10, 20):
            loop.call_later(seconds, fired.append, seconds)
        await asyncio.sleep(40)
        return fired

    assert run(waiting()) == [10, 20, 30]


def test_a_thread_is_waited_for_as_it_would_be() -> None:
    async def waiting() -> str:
        async with asyncio.timeout(20):
            await asyncio.get_running_loop().run_in_executor(None, time.sleep, 0.1)
        return "in time"

    assert run(waiting()) == "in time"


def test_a_peer_in_the_process_answers_before_the_time_is_over() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(4))
        writer.close()

    async def asking() -> bytes:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        hurried().own = {port}
        async with server, asyncio.timeout(1):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"ping")
            heard = await reader.read()
            writer.close()
        return heard

    assert run(asking()) == b"ping"


@pytest.mark.parametrize("place", PLACES)
def test_nothing_is_connected_to_without_a_detour(place: tuple[str, int]) -> None:
    async def connecting() -> None:
        await asyncio.open_connection(*place)

    with pytest.raises(ConnectionRefusedError):
        run(connecting())


@pytest.mark.parametrize("place", PLACES)
def test_a_detour_leads_elsewhere(place: tuple[str, int]) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"here")
        writer.close()

    async def connecting() -> tuple[bytes, list[int]]:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        asked: list[int] = []
        hurried().detour = lambda wanted: (asked.append(wanted), port)[1]
        async with server:
            reader, writer = await asyncio.open_connection(*place)
            heard = await reader.read()
            writer.close()
        return heard, asked

    assert run(connecting()) == (b"here", [place[1]])


def test_no_name_has_an_address() -> None:
    async def resolving() -> None:
        await asyncio.get_running_loop().getaddrinfo("api.bright.example", 443)

    with pytest.raises(socket.gaierror):
        run(resolving())
