"""Live events over real sockets: who gets what, and how streams go on and end."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from sipagent.api.connections import Closing
from sipagent.api.server import ConnectionLimits, ConnectionStats, GracefulServer, server_config
from sipagent.api.v1 import streaming, streams
from sipagent.model import CallPlan, TenantName
from sipagent.model.access import Scope
from sipagent.store import keys, tokens
from sipagent.store.audit import Author
from sipagent.watching import joining
from tests.api.v1.standing import ACME, BETA, Standing, standing
from tests.store.nouns import DIALED, planned
from tests.watching.watched import Watched, turn, until, watching


@dataclass
class Event:
    """One server-sent event."""

    kind: str = ""
    id: str = ""
    data: Any = None


@dataclass
class Stream:
    """What somebody reads of a stream."""

    status: int = 0
    headers: httpx.Headers = field(default_factory=httpx.Headers)
    events: list[Event] = field(default_factory=list)
    comments: int = 0
    retry: str = ""
    over: bool = False

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    @property
    def ids(self) -> list[str]:
        return [event.id for event in self.events if event.id]

    def heard(self, block: str) -> None:
        """One block of the wire, as HTML's server-sent events have it."""
        event = Event()
        for line in block.split("\n"):
            name, _, value = line.partition(": ")
            if line.startswith(":"):
                self.comments += 1
            elif name == "retry":
                self.retry = value
            elif name == "event":
                event.kind = value
            elif name == "id":
                event.id = value
            elif name == "data":
                event.data = json.loads(value)
        if event.data is not None:
            self.events.append(event)


@dataclass
class Served:
    """A control API behind a real server, and the calls that are watched there."""

    stand: Standing
    watched: Watched
    port: int
    server: GracefulServer
    stats: ConnectionStats

    def begin(self, name: str, tenant: TenantName) -> CallPlan:
        return self.watched.begin(name, replace(planned(name), tenant=tenant))

    @asynccontextmanager
    async def stream(
        self, path: str, tenant: TenantName | None, after: str | None = None
    ) -> AsyncIterator[Stream]:
        """Somebody reads in the background."""
        stream = Stream()
        headers = {"Authorization": f"Bearer {await self.stand.token(tenant, Scope.READ)}"}
        if after is not None:
            headers["Last-Event-ID"] = after

        async def read() -> None:
            async with (
                httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}") as client,
                client.stream("GET", path, headers=headers, timeout=30) as answer,
            ):
                stream.status, stream.headers = answer.status_code, answer.headers
                text = ""
                async for piece in answer.aiter_text():
                    *blocks, text = (text + piece).split("\n\n")
                    for block in blocks:
                        stream.heard(block)
            stream.over = True

        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(read())
            await until(lambda: stream.retry or stream.over)
            yield stream
            task.cancel()

    async def ask(self, path: str, tenant: TenantName | None, **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {await self.stand.token(tenant, Scope.READ)}"}
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}") as client:
            return await client.get(path, headers=headers | more.pop("headers", {}), **more)


Serve = Callable[..., Any]


@asynccontextmanager
async def serving(url: str, folder: Path, **limits: float) -> AsyncIterator[Served]:
    stats = ConnectionStats()
    async with AsyncExitStack() as stack:
        watched = await stack.enter_async_context(watching(url, folder / "kept"))
        stand = await stack.enter_async_context(standing(url, folder, watch=watched.watch))
        bounds = ConnectionLimits(**limits)  # type: ignore[arg-type]
        config = server_config(stand.app, "127.0.0.1", 0, limits=bounds, stats=stats)

        async def drain() -> None:
            watched.hub.board.close()

        server = GracefulServer(config, on_drain=drain, on_abort=lambda: None, kill_after=None)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(server.serve())
            await until(lambda: server.started)
            port = server.servers[0].sockets[0].getsockname()[1]
            yield Served(stand, watched, port, server, stats)
            server.should_exit = True
        await watched.kept.writer.flushed()


@pytest.fixture(params=["sqlite", "postgresql"])
async def both(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Served]:
    url: str = request.getfixturevalue(f"{request.param}_url")
    async with serving(url, tmp_path) as served:
        yield served


@pytest.fixture
async def served(sqlite_url: str, tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(sqlite_url, tmp_path) as served:
        yield served


async def test_calls_are_told_of_to_their_own_tenant(both: Served) -> None:
    async with (
        both.stream("/api/v1/events", ACME) as acme,
        both.stream("/api/v1/events", BETA) as beta,
        both.stream("/api/v1/events", None) as operator,
        both.stream("/api/v1/events?tenant=beta", None) as of_beta,
    ):
        plan = both.begin("rtc_1", ACME)
        both.watched.say(plan, "Nobody here is told this.")
        both.watched.end(plan, tenant=ACME)
        both.begin("rtc_2", BETA)
        await until(lambda: len(operator.events) == 9)
        await until(lambda: len(acme.events) == 5 and len(beta.events) == len(of_beta.events) == 4)
    assert acme.status == 200
    assert acme.headers["content-type"].startswith("text/event-stream")
    assert acme.headers["cache-control"] == "no-store"
    assert acme.headers["x-accel-buffering"] == "no"
    assert int(acme.retry) > 0
    assert acme.kinds == ["decided", "answered", "attached", "heard", "ended"]
    assert {one.data["tenant"] for one in beta.events + of_beta.events} == {BETA}
    decided = acme.events[0]
    assert decided.id == decided.data["id"] == "decided@rtc_1"
    assert decided.data["at"].endswith("+00:00")
    assert decided.data["data"]["dialed"] == "+17*******11"


async def test_calls_can_be_watched_of_an_agent_or_a_number(served: Served) -> None:
    async with (
        served.stream("/api/v1/events?agent=reception", ACME) as own,
        served.stream("/api/v1/events?agent=night", ACME) as others,
        served.stream(f"/api/v1/events?number={DIALED.replace('+', '%2B')}", ACME) as to,
        served.stream("/api/v1/events?number=%2B442079460018", ACME) as elsewhere,
    ):
        served.begin("rtc_1", ACME)
        await until(lambda: len(own.events) == len(to.events) == 4)
        assert not others.events
        assert not elsewhere.events
    refused = await served.ask("/api/v1/events?number=nonsense", ACME)
    assert (refused.status_code, refused.json()["code"]) == (422, "unusable")


async def test_a_call_is_watched_to_its_end_by_its_tenant(both: Served) -> None:
    plan = both.begin("rtc_1", ACME)
    async with both.stream("/api/v1/calls/rtc_1/events", ACME) as stream:
        await until(lambda: "decided" in stream.kinds)
        both.watched.say(plan, "Good morning.")
        turn(plan, both.watched.records, 1, "Good morning.")
        both.watched.end(plan, tenant=ACME)
        await until(lambda: stream.over)
    assert stream.kinds[-3:] == ["words", "turn", "ended"]
    assert stream.events[-3].data["data"]["text"] == "Good morning."
    assert stream.events[-3].id == ""
    (deed,) = await both.stand.audited("calls.watch")
    assert (deed.deed.target, deed.deed.tenant) == ("rtc_1", ACME)
    await both.watched.kept.writer.flushed()
    seen = {"headers": {"Last-Event-ID": stream.ids[-1]}}
    over = await both.ask("/api/v1/calls/rtc_1/events", ACME, **seen)
    assert over.status_code == 204  # a browser comes back no more


async def test_who_comes_back_to_a_call_goes_on_where_they_were(both: Served) -> None:
    plan = both.begin("rtc_1", ACME)
    async with both.stream("/api/v1/calls/rtc_1/events", ACME) as first:
        turn(plan, both.watched.records, 1)
        await until(lambda: "turn" in first.kinds)
    turn(plan, both.watched.records, 2)  # while nobody watches
    async with both.stream("/api/v1/calls/rtc_1/events", ACME, first.ids[-1]) as again:
        await until(lambda: "turn.2@rtc_1" in again.ids)
        turn(plan, both.watched.records, 3)
        both.watched.end(plan, tenant=ACME)
        await until(lambda: again.over)
    assert again.ids == ["turn.2@rtc_1", "turn.3@rtc_1", "ended@rtc_1"]


@pytest.mark.parametrize("path", ["/api/v1/calls/rtc_1/events", "/api/v1/calls/rtc_9/events"])
async def test_a_call_of_another_tenant_is_no_call(served: Served, path: str) -> None:
    served.begin("rtc_1", ACME)
    for _ in range(2):
        refused = await served.ask(path, BETA)
        assert (refused.status_code, refused.json()["code"]) == (404, "not-found")
        await served.watched.kept.writer.flushed()  # once it is recorded as well
    assert (await served.ask("/api/v1/events?tenant=acme", BETA)).status_code == 404
    assert not await served.stand.audited("calls.watch")


async def test_an_operator_gets_words_with_a_reason_only_and_the_tenant_sees_it(
    served: Served,
) -> None:
    plan = served.begin("rtc_1", ACME)
    async with (
        served.stream("/api/v1/calls/rtc_1/events", None) as deaf,
        served.stream("/api/v1/calls/rtc_1/events?reason=ticket+4711", None) as told,
    ):
        await until(lambda: "decided" in deaf.kinds and "decided" in told.kinds)
        served.watched.say(plan, "My name is Ann. ")
        turn(plan, served.watched.records, 1, "My name is Ann.")
        served.watched.end(plan, tenant=ACME)
        await until(lambda: deaf.over and told.over)
    assert "words" in told.kinds
    assert "words" not in deaf.kinds
    assert "Ann" in repr(told.events)
    assert "Ann" not in repr(deaf.events)
    assert [one.data["data"]["text"] for one in deaf.events if one.kind == "turn"] == [None]
    (deed,) = await served.stand.audited("calls.watch")
    assert (deed.deed.reason, deed.deed.tenant) == ("ticket 4711", ACME)


async def test_words_that_cannot_be_noted_are_not_told(served: Served) -> None:
    served.begin("rtc_1", ACME)
    await served.ask("/api/v1/me", ACME)  # the token is known
    with served.stand.records_away():
        refused = await served.ask("/api/v1/calls/rtc_1/events", ACME)
    assert refused.status_code == 503


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is soon asked again whether a token holds."""
    monkeypatch.setattr(joining, "HEARTBEAT", 0.05)
    monkeypatch.setattr(streams, "LOOK_EVERY", 0.1)
    monkeypatch.setattr(keys, "REMEMBERED", 0.1)
    monkeypatch.setattr(keys, "KNOWN_FOR", 0.2)


@pytest.mark.usefixtures("impatient")
async def test_a_stream_ends_when_its_token_is_revoked(served: Served) -> None:
    async with served.stream("/api/v1/events", ACME) as stream:
        await until(lambda: stream.comments > 4)
        engine, at = served.stand.kept.opened, served.stand.clock.now
        (token,) = await tokens.listed(engine)
        await tokens.revoke(engine, token.id, Author("root@here"), at=at)
        await until(lambda: stream.over)


@pytest.mark.usefixtures("impatient")
async def test_a_stream_ends_with_its_tokens_time_also_without_the_records(served: Served) -> None:
    served.stand.life = 60.0
    async with served.stream("/api/v1/events", ACME) as stream:
        await until(lambda: stream.comments > 1)
        with served.stand.records_away():
            seen = stream.comments
            await until(lambda: stream.comments > seen + 10)
            assert not stream.over, "nobody can say that it does not hold"
            served.stand.clock.now += 61.0
            await until(lambda: stream.over)


@pytest.mark.usefixtures("impatient")
async def test_silence_is_broken_by_comments(served: Served) -> None:
    async with served.stream("/api/v1/events", ACME) as stream:
        await until(lambda: stream.comments > 2)
    assert not stream.events


async def test_streams_are_bounded_by_token_and_in_all(served: Served) -> None:
    seats = served.stand.app.state.seats = streaming.Seats(most=3, most_of_token=2)
    async with (
        served.stream("/api/v1/events", ACME),
        served.stream("/api/v1/events", ACME),
    ):
        refused = await served.ask("/api/v1/events", ACME)
        assert (refused.status_code, refused.json()["code"]) == (429, "too-many-streams")
        assert refused.headers["retry-after"]
        async with served.stream("/api/v1/events", BETA):
            full = await served.ask("/api/v1/events", None)
            assert (full.status_code, full.json()["code"]) == (503, "too-many-viewers")
    await until(lambda: not seats._taken)
    assert not seats._of_tenant
    assert served.watched.hub.board.viewers == 0
    async with served.stream("/api/v1/events", ACME) as again:
        assert again.status == 200


async def test_a_viewer_who_vanishes_leaves_nothing_behind(served: Served) -> None:
    token = await served.stand.token(ACME, Scope.READ)
    for end in ("close", "reset"):
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(_request("/api/v1/events", token))
        await reader.readuntil(b"retry: 2000")
        assert served.watched.hub.board.viewers == 1
        if end == "reset":
            writer.transport.abort()
        writer.close()
        await until(lambda: served.watched.hub.board.viewers == 0)


async def test_a_viewer_who_reads_nothing_is_cut_and_holds_up_nobody(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with serving(sqlite_url, tmp_path, write_timeout=0.5) as served:
        plan = served.begin("rtc_1", ACME)
        async with (
            _stuck(served),
            served.stream("/api/v1/calls/rtc_1/events", ACME) as good,
        ):
            for number in range(400):
                served.watched.say(plan, f"{number % 10}" + "x" * 20_000)
                await asyncio.sleep(0.002)
                if served.stats.closings:
                    break
            await until(lambda: served.stats.closings)
            served.watched.say(plan, "the last words")
            await until(lambda: "the last words" in repr(good.events[-1].data))
        assert served.stats.closings == {Closing.WRITE_TIMEOUT: 1}
        await until(lambda: served.watched.hub.board.viewers == 0)


async def test_open_streams_do_not_hold_up_the_end(served: Served) -> None:
    plan = served.begin("rtc_1", ACME)
    async with _stuck(served), AsyncExitStack() as stack:
        streams = [
            await stack.enter_async_context(served.stream(path, ACME))
            for path in ("/api/v1/events", "/api/v1/calls/rtc_1/events") * 5
        ]
        for number in range(400):
            served.watched.say(plan, f"{number % 10}" + "x" * 20_000)
            await asyncio.sleep(0.001)
        began = time.monotonic()
        served.server.should_exit = True
        await until(lambda: all(stream.over for stream in streams), within=1.0)
        await until(lambda: not served.server.server_state.connections)
        assert time.monotonic() - began < 1.0


@asynccontextmanager
async def _stuck(served: Served) -> AsyncIterator[None]:
    """Somebody who asks for a call's events and reads none of them."""
    loop, token = asyncio.get_running_loop(), await served.stand.token(ACME, Scope.READ)
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        await loop.sock_connect(sock, ("127.0.0.1", served.port))
        await loop.sock_sendall(sock, _request("/api/v1/calls/rtc_1/events", token))
        await until(lambda: served.watched.hub.board.viewers)
        yield


def _request(path: str, token: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
