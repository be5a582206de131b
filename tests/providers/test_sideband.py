"""A call's socket against real WebSocket servers on loopback, well-behaved and not."""

import asyncio
import contextlib
import http
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import Request, Response, ServerConnection, serve

from sipagent.errors import AttachError
from sipagent.model import CallId, SecretName, TenantName
from sipagent.model.secret import secret_mark
from sipagent.providers.openai.route import Keepalive
from sipagent.providers.openai.server_events import Oddity
from sipagent.providers.openai.sideband import OpenAISideband
from sipagent.sessions.machine.commands import CreateResponse, UpdateSession
from sipagent.sessions.machine.events import (
    AgentText,
    Event,
    FaultKind,
    ProviderFault,
    SocketClosed,
    SocketOpened,
)
from tests.providers.keyed import an_account

CALL = CallId("rtc_1")
PATIENT = Keepalive()
LOOPBACK = Path(__file__).parent.parent / "data" / "loopback.pem"
TEXT = {"response_id": "r1", "item_id": "i1"}


def text(delta: str) -> str:
    return json.dumps({"type": "response.output_audio_transcript.delta", "delta": delta, **TEXT})


class Listener:
    """Takes what a socket delivers."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.oddities: list[Oddity] = []
        self._news = asyncio.Event()

    def deliver(self, event: Event) -> None:
        self.events.append(event)
        self._news.set()

    async def until(self, kind: type) -> Any:
        async with asyncio.timeout(10):
            while True:
                for event in self.events:
                    if isinstance(event, kind):
                        return event
                self._news.clear()
                await self._news.wait()


Handler = Callable[[ServerConnection], Awaitable[None]]
Gate = Callable[[ServerConnection, Request], Response | None]


@asynccontextmanager
async def provider(
    handler: Handler,
    gate: Gate | None = None,
    keepalive: Keepalive = PATIENT,
    keys: str = "sk-test",
) -> AsyncIterator[tuple[OpenAISideband, Listener]]:
    listener = Listener()
    async with serve(handler, "127.0.0.1", 0, process_request=gate) as server:
        port = server.sockets[0].getsockname()[1]
        account = an_account(f"http://127.0.0.1:{port}/v1", api_keys=keys)
        context = ssl.create_default_context()
        yield OpenAISideband(account, context, listener.oddities.append, keepalive), listener


async def stay(connection: ServerConnection) -> None:
    await connection.wait_closed()


async def test_a_socket_is_opened_for_the_call_with_the_accounts_key() -> None:
    seen: list[Request] = []

    def gate(_: ServerConnection, request: Request) -> None:
        seen.append(request)

    async with provider(stay, gate) as (sideband, listener):
        socket = await sideband.dial(CALL).attach(listener.deliver)
        await socket.close()
        await listener.until(SocketClosed)
    assert seen[0].path == "/v1/realtime?call_id=rtc_1"
    assert seen[0].headers["authorization"] == "Bearer sk-test"
    assert "sec-websocket-extensions" not in seen[0].headers
    assert isinstance(listener.events[0], SocketOpened)


async def test_a_connection_opened_ahead_is_the_one_that_is_upgraded() -> None:
    upgrades = 0
    connections = 0

    async def count(connection: ServerConnection) -> None:
        nonlocal upgrades
        upgrades += 1
        await connection.wait_closed()

    class Counting(ServerConnection):
        def connection_made(self, transport: Any) -> None:
            nonlocal connections
            connections += 1
            super().connection_made(transport)

    listener = Listener()
    trusting = ssl.create_default_context(cafile=LOOPBACK)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(LOOPBACK)
    async with serve(count, "127.0.0.1", 0, create_connection=Counting, ssl=serving) as server:
        port = server.sockets[0].getsockname()[1]
        account = an_account(f"https://127.0.0.1:{port}/v1")
        sideband = OpenAISideband(account, trusting, listener.oddities.append)
        dial = sideband.dial(CALL)
        await dial.warm()
        socket = await dial.attach(listener.deliver)
        await socket.close()
        unused = sideband.dial(CALL)
        await unused.warm()
        unused.abandon()
    assert (connections, upgrades) == (2, 1)


async def test_frames_that_come_with_the_upgrade_are_delivered_after_the_opening() -> None:
    async def talk(connection: ServerConnection) -> None:
        await connection.send(text("a"))
        await connection.send([text("b")[:20], text("b")[20:]])
        await connection.send(text("c").encode())

    async with provider(talk) as (sideband, listener):
        await sideband.dial(CALL).attach(listener.deliver)
        closed = await listener.until(SocketClosed)
    words = [AgentText("r1", "i1", delta) for delta in "abc"]
    assert listener.events == [SocketOpened(), *words, closed]
    assert closed == SocketClosed(1000)


async def test_requests_are_sent_and_a_closed_socket_says_so() -> None:
    got: list[Any] = []

    async def take_one(connection: ServerConnection) -> None:
        got.append(json.loads(await connection.recv()))

    async with provider(take_one) as (sideband, listener):
        socket = await sideband.dial(CALL).attach(listener.deliver)
        await socket.send(CreateResponse("q1", "greeting", "Hi"))
        await listener.until(SocketClosed)
        with pytest.raises(ConnectionError):
            await socket.send(CreateResponse("q2", "reply", None))
    assert got[0]["event_id"] == "q1"


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        (1000, "", SocketClosed(1000)),
        (1001, "going away", SocketClosed(1001)),
        (
            1001,
            "Your session hit the maximum duration of 60 minutes.",
            SocketClosed(1001, expired=True),
        ),
        (1011, "", SocketClosed(1011)),
    ],
)
async def test_how_a_socket_was_closed(code: int, reason: str, expected: SocketClosed) -> None:
    async def close(connection: ServerConnection) -> None:
        await connection.close(code, reason)

    async with provider(close) as (sideband, listener):
        await sideband.dial(CALL).attach(listener.deliver)
        assert await listener.until(SocketClosed) == expected
    assert len([event for event in listener.events if isinstance(event, SocketClosed)]) == 1


async def test_a_connection_that_breaks_is_told_as_1006() -> None:
    async def break_off(connection: ServerConnection) -> None:
        connection.transport.abort()

    async with provider(break_off) as (sideband, listener):
        await sideband.dial(CALL).attach(listener.deliver)
        assert await listener.until(SocketClosed) == SocketClosed(1006)


async def test_a_peer_that_says_goodbye_and_keeps_the_connection_is_gone_all_the_same() -> None:
    done = asyncio.Event()

    async def linger(connection: ServerConnection) -> None:
        connection.transport.write(b"\x88\x02\x03\xe8")  # a close frame by hand: 1000
        await done.wait()

    async with provider(linger) as (sideband, listener):
        await sideband.dial(CALL).attach(listener.deliver)
        assert await listener.until(SocketClosed) == SocketClosed(1000)
        done.set()


async def test_a_socket_that_has_gone_silent_is_given_up() -> None:
    done = asyncio.Event()

    async def fall_silent(connection: ServerConnection) -> None:
        connection.transport.pause_reading()
        await done.wait()
        connection.transport.abort()

    async with provider(fall_silent, keepalive=Keepalive(0.05, 0.1)) as (sideband, listener):
        await sideband.dial(CALL).attach(listener.deliver)
        assert await listener.until(SocketClosed) == SocketClosed(1006)
        done.set()


def test_silence_is_borne_for_less_than_twenty_seconds() -> None:
    assert Keepalive().every + Keepalive().within < 20


async def test_odd_frames_are_counted_and_the_socket_goes_on() -> None:
    async def babble(connection: ServerConnection) -> None:
        for frame in ("not json", '{"type":"never.heard.of"}', "[" * 100_000, b"\xff"):
            await connection.send(frame)
        await connection.send('{"type":"x","pad":"' + "x" * (16 * 2**20) + '"}')
        await connection.send(text("still here"))

    async with provider(babble) as (sideband, listener):
        await sideband.dial(CALL).attach(listener.deliver)
        assert (await listener.until(AgentText)).delta == "still here"
        await listener.until(SocketClosed)
    assert listener.oddities == [
        Oddity.MALFORMED,
        Oddity.UNKNOWN,
        Oddity.MALFORMED,
        Oddity.MALFORMED,
        Oddity.OVERSIZE,
    ]


async def test_an_error_as_the_first_frame_is_delivered() -> None:
    error = {"type": "error", "error": {"type": "x", "code": "call_id_not_found", "message": "m"}}

    async def refuse(connection: ServerConnection) -> None:
        await connection.send(json.dumps(error))
        await connection.wait_closed()

    async with provider(refuse) as (sideband, listener):
        socket = await sideband.dial(CALL).attach(listener.deliver)
        fault = await listener.until(ProviderFault)
        await socket.close()
        await socket.close()
    assert fault.kind is FaultKind.UNKNOWN_CALL


def refusing(*statuses: int) -> Gate:
    """Refuse the first upgrades with these statuses."""
    left = list(statuses)

    def gate(connection: ServerConnection, _: Request) -> Response | None:
        if not left:
            return None
        return connection.respond(http.HTTPStatus(left.pop(0)), "")

    return gate


@pytest.mark.parametrize("statuses", [(404,), (404, 404), (500, 404, 429), (503,)])
async def test_a_socket_that_is_not_there_yet_is_tried_again(statuses: tuple[int, ...]) -> None:
    async with provider(stay, refusing(*statuses)) as (sideband, listener):
        socket = await sideband.dial(CALL).attach(listener.deliver)
        await socket.close()
    assert isinstance(listener.events[0], SocketOpened)


@pytest.mark.parametrize("status", [400, 401, 403])
async def test_a_definite_refusal_is_not_tried_again(status: int) -> None:
    async with provider(stay, refusing(status)) as (sideband, listener):
        with pytest.raises(AttachError) as refused:
            await sideband.dial(CALL).attach(listener.deliver)
    assert refused.value.status == status
    assert listener.events == []


async def test_a_call_that_stays_unknown_is_given_up_after_two_seconds() -> None:
    async with provider(stay, refusing(*[404] * 100)) as (sideband, listener):
        with pytest.raises(AttachError) as refused:
            async with asyncio.timeout(20):
                await sideband.dial(CALL).attach(listener.deliver)
    assert refused.value.status == 404


async def test_nobody_there_is_an_attach_error() -> None:
    account = an_account("http://127.0.0.1:1/v1")
    sideband = OpenAISideband(account, ssl.create_default_context(), lambda oddity: None)
    dial = sideband.dial(CALL)
    await dial.warm()
    assert await dial.probe() is None
    with pytest.raises(AttachError) as refused:
        await dial.attach(lambda event: None)
    assert refused.value.status is None


@pytest.mark.parametrize(
    ("statuses", "alive"), [((404,), False), ((500,), None), ((), True)], ids=str
)
async def test_a_probe_tells_whether_the_call_lives(
    statuses: tuple[int, ...], alive: bool | None
) -> None:
    async with provider(stay, refusing(*statuses)) as (sideband, _):
        assert await sideband.dial(CALL).probe() is alive


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 404 " + b"x" * 10_000, b"HTTP/1.1 4_04 x\r\n", b"SSH-2.0 404 x\r\n", b"\r\n", b""],
    ids=["endless", "no number", "another protocol", "an empty line", "nothing"],
)
async def test_what_is_no_answer_to_a_probe_proves_nothing(answer: bytes) -> None:
    left = asyncio.Event()

    async def tell(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        if not answer:
            writer.close()
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()
        left.set()

    async with await asyncio.start_server(tell, "127.0.0.1", 0) as server:
        account = an_account(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
        sideband = OpenAISideband(account, ssl.create_default_context(), lambda oddity: None)
        assert await sideband.dial(CALL).probe() is None
        await left.wait()
        await asyncio.sleep(0)


async def test_an_upgrade_and_a_probe_go_on_with_the_next_key_when_one_is_refused() -> None:
    seen: list[str] = []

    def gate(connection: ServerConnection, request: Request) -> Response | None:
        seen.append(request.headers["authorization"])
        refused = request.headers["authorization"] == "Bearer sk-old"
        return connection.respond(http.HTTPStatus.UNAUTHORIZED, "") if refused else None

    async with provider(stay, gate, keys="sk-old\nsk-new") as (sideband, listener):
        socket = await sideband.dial(CALL).attach(listener.deliver)
        await socket.close()
    async with provider(stay, gate, keys="sk-old\nsk-new") as (sideband, listener):
        assert await sideband.dial(CALL).probe() is True
    assert seen == ["Bearer sk-old", "Bearer sk-new"] * 2


@pytest.mark.parametrize(
    "said",
    [b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", b"", b"nonsense\r\n\r\n"],
    ids=["refused", "closed", "nonsense"],
)
async def test_a_proxy_that_lets_nobody_through_proves_nothing(
    monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        writer.close()

    monkeypatch.setattr("sipagent.providers.openai.sideband.ATTACH_WITHIN", 0.1)
    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        context = ssl.create_default_context()
        sideband = OpenAISideband(an_account("https://api.test/v1"), context, lambda oddity: None)
        dial = sideband.dial(CALL)
        await dial.warm()
        assert await dial.probe() is None
        with pytest.raises(AttachError):
            await dial.attach(lambda event: None)


async def test_an_update_opens_the_secrets_that_its_session_names() -> None:
    frames: asyncio.Queue[str | bytes] = asyncio.Queue()

    async def keep(connection: ServerConnection) -> None:
        async for frame in connection:
            frames.put_nowait(frame)

    listener = Listener()
    mark = secret_mark(TenantName("acme"), SecretName("crm"))
    update = UpdateSession("u", {"type": "realtime", "tools": [{"authorization": mark}]})
    async with serve(keep, "127.0.0.1", 0) as server:
        account = an_account(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
        sideband = OpenAISideband(
            account,
            ssl.create_default_context(),
            listener.oddities.append,
            secrets=lambda tenant, name: f"{tenant}'s {name}",
        )
        socket = await sideband.dial(CALL).attach(listener.deliver)
        await socket.send(update)
        assert socket.put(update)
        sent = [json.loads(await frames.get()) for _ in range(2)]
        await socket.close()
    assert [each["session"]["tools"] for each in sent] == [[{"authorization": "acme's crm"}]] * 2
