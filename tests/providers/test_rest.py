"""Requests over real sockets."""

import asyncio
import contextlib
import re
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from sipagent.providers.openai.exchange import Addresses, Names
from sipagent.providers.openai.rest import Body, Rest, RestError, environment_proxy
from tests.listening import listening


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

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # The client may have what it wanted.
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await talk(reader, writer)

    async with listening(serve) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/x?a=%2F"


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


async def test_an_answer_may_be_announced_and_come_in_pieces() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            await request_of(reader)
            for piece in (
                b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200",
                b" OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r",
                b"\n1\r\n}\r\n0\r\n\r\n",
            ):
                writer.write(piece)
                await writer.drain()

    async with upstream(talk) as url, Rest() as rest:
        for _ in range(2):
            answer = await rest.post(url, (), Body(b"{}"))
            assert (answer.status, answer.body, answer.header(b"link")) == (200, b"{}", None)


async def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        writer.write(b"HTTP/1.1 500 Oh\r\n\r\nwords")

    async with upstream(talk) as url, Rest() as rest:
        for _ in range(2):
            answer = await rest.post(url, (), Body(b"{}"))
            assert (answer.status, answer.body) == (500, b"words")


async def test_a_connection_that_the_other_side_closes_is_not_used_again() -> None:
    connections = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await request_of(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")

    async with upstream(talk) as url, Rest() as rest:
        for _ in range(3):
            assert (await rest.post(url, (), Body(b"{}"))).status == 200
    assert connections == 3


async def test_what_nobody_asked_for_is_nobodys_answer() -> None:
    """A server's word on an idle connection (RFC 9110, 15.5.9) must not answer the next request."""
    asked: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await request_of(reader))[1])
        writer.write(ANSWER + b"HTTP/1.1 408 Too Late\r\nContent-Length: 0\r\n\r\n")
        await reader.read()

    async with upstream(talk) as url, Rest() as rest:
        for content in (b"1", b"2"):
            assert (await rest.post(url, (), Body(content))).status == 200
    assert asked == [b"1", b"2"]


async def test_requests_at_the_same_time_have_connections_of_their_own() -> None:
    together = asyncio.Barrier(5)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, body = await request_of(reader)
        await together.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    async with upstream(talk) as url, Rest() as rest:
        bodies = [b"x" * length for length in range(1, 6)]
        answers = await asyncio.gather(*(rest.post(url, (), Body(body)) for body in bodies))
    assert [answer.body for answer in answers] == bodies


async def test_an_answer_that_takes_too_long_may_have_taken_effect() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        await reader.read()

    async with upstream(talk) as url, Rest() as rest:
        with pytest.raises(RestError, match="no answer in time") as failed:
            await rest.post(url, (), Body(b"{}"), within=0.05)
    assert failed.value.sent


@pytest.mark.parametrize("url", ["ftp://api.test/x", "https:///x", "https://api.test:x/"])
async def test_a_url_that_leads_nowhere(url: str) -> None:
    async with Rest() as rest:
        with pytest.raises(ValueError, match=r"not a URL|[Pp]ort"):
            await rest.post(url, (), Body(b"{}"))


async def test_an_answer_that_another_one_begins_behind_is_the_last_of_its_connection() -> None:
    connections = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await request_of(reader)
        writer.write(ANSWER + b"HTTP/1.1 408 Request")
        await reader.read()

    async with upstream(talk) as url, Rest() as rest:
        for _ in range(2):
            assert (await rest.post(url, (), Body(b"{}"))).status == 200
    assert connections == 2


async def test_headers_without_end_are_no_answer() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"X-Thing: %b\r\n" % (b"x" * 1000))
            await writer.drain()

    async with upstream(talk) as url, Rest() as rest:
        with pytest.raises(RestError, match="unreadable answer"):
            await rest.post(url, (), Body(b"{}"))


async def test_a_trailer_does_not_pass_for_a_header() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        writer.write(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"
            b"Retry-After: 9\r\n\r\n"
        )

    async with upstream(talk) as url, Rest() as rest:
        answer = await rest.post(url, (), Body(b"{}"))
    assert (answer.body, answer.header(b"retry-after")) == (b"{}", None)


async def test_a_name_is_asked_for_once_by_all_that_come_together() -> None:
    asked: list[str] = []

    async def ask(host: str, port: int) -> Addresses | OSError:
        asked.append(host)
        await asyncio.sleep(0)
        return OSError(-2, "unknown") if host == "nobody" else [(host, port)]

    names = Names(ask)
    found = await asyncio.gather(*(names.found("api.test", 443) for _ in range(100)))
    assert found == [[("api.test", 443)]] * 100
    failed = await asyncio.gather(
        *(names.found("nobody", 443) for _ in range(100)), return_exceptions=True
    )
    assert all(isinstance(one, OSError) for one in failed)
    assert asked == ["api.test", "nobody"]
