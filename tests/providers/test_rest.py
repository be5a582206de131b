"""Requests over real sockets."""

import asyncio
import contextlib
import re
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from sipagent.providers.openai.rest import Body, Rest, RestError, environment_proxy


@pytest.mark.parametrize("by_proxy", [False, True])
async def test_whether_a_request_that_ran_out_of_time_was_sent(by_proxy: bool) -> None:
    body = Body(b"{}")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        # A proxy that does not answer has not even connected us.
        proxy, target = (url, "https://api.test/x") if by_proxy else (None, f"{url}/x")
        async with Rest(ssl.create_default_context(), proxy) as rest:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await rest.post(target, (), body)
    assert body.begun is not by_proxy


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "http://:1", "http://h:70000"])
def test_a_proxy_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(ValueError, match=r"proxies|[Pp]ort"):
        environment_proxy("https://api.test/v1")


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Thing: a\r\n\r\n{}"


@asynccontextmanager
async def upstream(talk: Talk) -> AsyncIterator[str]:
    """A server whose connections are talked to so; the URL of something on it."""

    talking: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talking.add(asyncio.current_task())
        try:
            await talk(reader, writer)
        except (ConnectionError, asyncio.CancelledError, asyncio.IncompleteReadError):
            pass  # the client has what it wanted
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/x?a=%2F"
    for task in filter(None, talking):
        task.cancel()
    await asyncio.gather(*filter(None, talking))


async def request_of(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    return head, await reader.readexactly(int(length[1])) if length else b""


async def test_what_is_sent_and_what_comes_back() -> None:
    seen: list[tuple[bytes, bytes]] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            seen.append(await request_of(reader))
            writer.write(ANSWER)

    async with upstream(talk) as url, Rest() as rest:
        for content in (b'{"a":1}', b""):
            body = Body(content)
            answer = await rest.post(url, [(b"Authorization", b"Bearer sk-1")], body)
            assert (answer.status, answer.body, answer.header(b"x-thing")) == (200, b"{}", "a")
            assert not body.begun
    # Both by one connection.
    assert [body for _, body in seen] == [b'{"a":1}', b""]
    head = seen[0][0].decode().lower()
    assert head.startswith("post /v1/x?a=%2f http/1.1\r\n")
    assert "authorization: bearer sk-1\r\n" in head
    assert "content-type: application/json\r\n" in head
    assert "user-agent: sipagent/" in head
    assert "cookie" not in head
    assert "transfer-encoding" not in head


async def test_a_redirect_is_not_followed_and_no_cookie_is_kept() -> None:
    heads: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            heads.append((await request_of(reader))[0])
            writer.write(
                b"HTTP/1.1 307 Go\r\nLocation: /elsewhere\r\nSet-Cookie: a=b\r\n"
                b"Content-Length: 0\r\n\r\n"
            )

    async with upstream(talk) as url, Rest() as rest:
        for _ in range(2):
            assert (await rest.post(url, (), Body(b"{}"))).status == 307
    assert not [head for head in heads if b"ookie" in head or b"elsewhere" in head]


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", b"\x00\n"]
)
async def test_an_answer_that_breaks_off_may_have_taken_effect(answer: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        writer.write(answer)

    async with upstream(talk) as url, Rest() as rest:
        with pytest.raises(RestError) as failed:
            await rest.post(url, (), Body(b"{}"))
    assert failed.value.sent


async def test_a_request_that_found_nobody_was_not_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        url = f"http://127.0.0.1:{gone.getsockname()[1]}/x"
    async with Rest() as rest:
        with pytest.raises(RestError) as failed:
            await rest.post(url, (), Body(b"{}"))
    assert not failed.value.sent


async def test_a_request_is_sent_once_although_its_connection_had_been_closed() -> None:
    """A connection that the other side closed while it was idle is not tried again by itself."""
    requests = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        await request_of(reader)
        requests += 1
        writer.write(ANSWER)

    async with upstream(talk) as url, Rest() as rest:
        for _ in range(20):
            with contextlib.suppress(RestError):
                await rest.post(url, (), Body(b"{}"))
    assert requests <= 20


async def test_a_long_answer_is_read_as_far_as_it_is_of_use() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        writer.write(b"HTTP/1.1 400 No\r\nContent-Length: 100000000\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    async with upstream(talk) as url, Rest() as rest:
        answer = await rest.post(url, (), Body(b"{}"))
    assert answer.status == 400
    assert len(answer.body) <= 64 * 1024
