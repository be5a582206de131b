"""What an answer may cost: time, bytes, connections; and what becomes of a server that fails."""

import asyncio
import contextlib
import gzip
import socket
import ssl
import zlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from sipagent.errors import EgressError, EgressTrouble
from sipagent.testing import VirtualClock
from sipagent.tools.addresses import Allow
from sipagent.tools.circuit import FAILURES, LONGEST_PAUSE, SHORTEST_PAUSE, Circuit
from sipagent.tools.egress import CONNECT_WITHIN, LARGEST_ANSWER, MOST_AT_ONCE, Ask, Egress
from tests.listening import listening
from tests.tools.support import Names, Seen, Wire, loopback_egress, ok, reply
from tests.waiting import eventually

LOOPBACK = Path(__file__).parent.parent / "data" / "loopback.pem"


async def failed(egress: Egress, ask: Ask) -> EgressError:
    with pytest.raises(EgressError) as raised:
        await egress.request(ask)
    return raised.value


class Watch:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now


async def test_an_answer_has_its_status_headers_and_body() -> None:
    async def created(seen: Seen) -> bytes:
        return reply(201, b"hello", "X-Order: 7", "Set-Cookie: a=b")

    async with Wire(created) as wire, loopback_egress() as egress:
        ask = Ask(
            "POST", f"http://api.test:{wire.port}/a%2Fb/../?q=%20", {"X-A": "\u00fc"}, b"body"
        )
        for _ in range(2):
            answer = await egress.request(ask)
        assert (answer.status, answer.body, answer.headers["x-order"]) == (201, b"hello", "7")
        seen = wire.seen[1]
        assert (seen.method, seen.target, seen.body) == ("POST", "/a%2Fb/../?q=%20", b"body")
        assert seen.header("host") == f"api.test:{wire.port}"
        assert seen.header("cookie") is None
        assert {name.lower() for name, _ in seen.headers} == {
            *("host", "user-agent", "x-a", "accept-encoding", "content-length")
        }
        assert wire.connections == 1


async def test_a_tool_may_say_who_asks() -> None:
    async with Wire() as wire, loopback_egress() as egress:
        ask = Ask("GET", f"http://127.0.0.1:{wire.port}/", {"user-agent": "acme/1"})
        await egress.request(ask)
        assert wire.seen[0].header("user-agent") == "acme/1"


async def test_tls_is_for_the_name_and_not_for_the_address() -> None:
    told: list[str | None] = []
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(LOOPBACK)
    server.sni_callback = lambda link, name, context: told.append(name)
    client = ssl.create_default_context(cafile=LOOPBACK)
    async with Wire(ssl=server) as wire, loopback_egress(context=client) as egress:
        answer = await egress.request(Ask("GET", f"https://localhost:{wire.port}/"))
        assert (answer.status, told) == (200, ["localhost"])
        error = await failed(egress, Ask("GET", f"https://api.test:{wire.port}/"))
        assert error.kind is EgressTrouble.UNREACHABLE
        assert (error.detail, error.sent) == ("ClientConnectorCertificateError", False)
        assert told == ["localhost", "api.test"]
        assert len(wire.seen) == 1


@pytest.mark.parametrize("size", [LARGEST_ANSWER - 1, LARGEST_ANSWER])
async def test_an_answer_of_the_largest_size_is_read(size: int) -> None:
    async def long(seen: Seen) -> bytes:
        return ok(b"a" * size)

    async with Wire(long) as wire, loopback_egress() as egress:
        answer = await egress.request(Ask("GET", f"http://127.0.0.1:{wire.port}/"))
        assert len(answer.body) == size


def chunked(body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n"


TOO_LARGE = {
    "announced": ok(b"a" * (LARGEST_ANSWER + 1)),
    "chunked": chunked(b"a" * (LARGEST_ANSWER + 1)),
    "endless": b"HTTP/1.1 200 OK\r\n\r\n" + b"a" * (4 * LARGEST_ANSWER),
    "a bomb": reply(200, gzip.compress(bytes(64 * 1024 * 1024)), "Content-Encoding: gzip"),
    "one byte more": reply(
        200, gzip.compress(bytes(LARGEST_ANSWER + 1)), "Content-Encoding: x-gzip"
    ),
}


@pytest.mark.parametrize("what", TOO_LARGE)
async def test_a_longer_answer_is_given_up(what: str) -> None:
    async def long(seen: Seen) -> bytes:
        return TOO_LARGE[what]

    async with Wire(long) as wire, loopback_egress() as egress:
        ask = Ask("GET", f"http://127.0.0.1:{wire.port}/")
        error = await failed(egress, ask)
        assert (error.kind, error.sent) == (EgressTrouble.TOO_LARGE, True)
        smaller = await failed(egress, Ask("GET", ask.url, most_bytes=10))
        assert smaller.kind is EgressTrouble.TOO_LARGE


async def test_a_packed_answer_is_unpacked() -> None:
    async def packed(seen: Seen) -> bytes:
        assert seen.header("accept-encoding") == "gzip"
        return reply(200, gzip.compress(bytes(LARGEST_ANSWER)), "Content-Encoding: GZIP")

    async with Wire(packed) as wire, loopback_egress() as egress:
        answer = await egress.request(Ask("GET", f"http://127.0.0.1:{wire.port}/"))
        assert answer.body == bytes(LARGEST_ANSWER)


UNREADABLE = {
    "no HTTP": b"220 mail.test ESMTP\r\n\r\n",
    "cut": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
    "packed wrongly": reply(200, b"abc", "Content-Encoding: gzip"),
    "cut within": reply(200, gzip.compress(b"hello world")[:-9], "Content-Encoding: gzip"),
    "another packing": reply(200, zlib.compress(b"abc"), "Content-Encoding: br"),
    "a header without end": b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 100_000,
    "a thousand headers": reply(200, b"", *[f"X-{at}: a" for at in range(1000)]),
    "nothing": b"",
}


@pytest.mark.parametrize("what", UNREADABLE)
async def test_an_answer_that_cannot_be_read_is_none(what: str) -> None:
    async def odd(seen: Seen) -> bytes:
        return UNREADABLE[what]

    async with Wire(odd) as wire, loopback_egress() as egress:
        ask = Ask("DELETE", f"http://127.0.0.1:{wire.port}/", within=0.2)
        error = await failed(egress, ask)
        assert error.kind in (EgressTrouble.UNREACHABLE, EgressTrouble.TIMED_OUT)
        assert error.sent
        # Nothing is sent a second time, not even what HTTP calls idempotent.
        assert len(wire.seen) == 1


async def test_a_broken_connection_repeats_nothing() -> None:
    async def broken(seen: Seen) -> None:
        return None

    async with Wire(broken) as wire, loopback_egress() as egress:
        for method in ("GET", "PUT", "DELETE", "POST"):
            error = await failed(egress, Ask(method, f"http://127.0.0.1:{wire.port}/"))
            assert (error.kind, error.sent) == (EgressTrouble.UNREACHABLE, True)
        assert [seen.method for seen in wire.seen] == ["GET", "PUT", "DELETE", "POST"]


async def test_nobody_there_is_told_as_not_sent() -> None:
    async with Wire() as wire:
        pass
    async with loopback_egress() as egress:
        error = await failed(egress, Ask("POST", f"http://127.0.0.1:{wire.port}/"))
        assert (error.kind, error.sent) == (EgressTrouble.UNREACHABLE, False)
        unknown = await failed(egress, Ask("POST", "https://unknown.test/"))
        assert (unknown.kind, unknown.sent) == (EgressTrouble.UNREACHABLE, False)
    async with Egress(lookup=Names({"empty.test": [[]]})) as egress:
        empty = await failed(egress, Ask("POST", "https://empty.test/"))
        assert (empty.kind, empty.sent) == (EgressTrouble.UNREACHABLE, False)


async def test_a_body_has_a_largest_size() -> None:
    async with Wire() as wire, loopback_egress() as egress:
        url = f"http://127.0.0.1:{wire.port}/"
        await egress.request(Ask("POST", url, body=bytes(1024 * 1024)))
        error = await failed(egress, Ask("POST", url, body=bytes(1024 * 1024 + 1)))
        assert (error.kind, error.detail) == (EgressTrouble.REFUSED, "body")


@pytest.mark.virtual_time
async def test_a_name_server_that_does_not_answer_is_given_two_seconds() -> None:
    async def never(host: str) -> Sequence[str]:
        await asyncio.Event().wait()
        raise AssertionError

    loop = asyncio.get_running_loop()
    async with Egress(lookup=never, clock=VirtualClock()) as egress:
        error = await failed(egress, Ask("POST", "https://api.test/"))
        assert (error.kind, error.sent) == (EgressTrouble.UNREACHABLE, False)
        assert loop.time() == pytest.approx(CONNECT_WITHIN)


@pytest.mark.virtual_time
async def test_a_connection_is_given_two_seconds() -> None:
    """The kernel answers no handshake at a listener whose queue is full."""
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        first.connect(("127.0.0.1", port))
        second.setblocking(False)
        second.connect_ex(("127.0.0.1", port))
        loop = asyncio.get_running_loop()
        async with loopback_egress(clock=VirtualClock()) as egress:
            error = await failed(egress, Ask("POST", f"http://127.0.0.1:{port}/", within=60.0))
        assert (error.kind, error.sent) == (EgressTrouble.UNREACHABLE, False)
        assert loop.time() == pytest.approx(CONNECT_WITHIN)


async def test_the_whole_time_bounds_a_server_that_hangs_or_drips() -> None:
    async def hangs(seen: Seen) -> bytes:
        await asyncio.Event().wait()
        raise AssertionError

    async with Wire(hangs) as wire, loopback_egress() as egress:
        error = await failed(egress, Ask("GET", f"http://127.0.0.1:{wire.port}/", within=0.05))
        assert (error.kind, error.sent) == (EgressTrouble.TIMED_OUT, True)

    ended = asyncio.Event()

    async def drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(b"a")
                await writer.drain()
                await asyncio.sleep(0.005)
        ended.set()

    async with listening(drips) as server, loopback_egress() as egress:
        port = server.sockets[0].getsockname()[1]
        error = await failed(egress, Ask("GET", f"http://127.0.0.1:{port}/", within=0.2))
        assert (error.kind, error.sent) == (EgressTrouble.TIMED_OUT, True)
        await ended.wait()


async def test_fifty_servers_that_hang_delay_no_other() -> None:
    release = asyncio.Event()

    async def hangs(seen: Seen) -> bytes:
        await release.wait()
        return ok()

    async with Wire(hangs) as hanging, Wire() as quick, loopback_egress() as egress:
        slow = f"http://127.0.0.1:{hanging.port}/"
        async with asyncio.TaskGroup() as tasks:
            waiting = [
                tasks.create_task(egress.request(Ask("GET", slow, tenant=f"t{at % 3}")))
                for at in range(50)
            ]
            for _ in range(20):
                answer = await egress.request(Ask("GET", f"http://127.0.0.1:{quick.port}/"))
                assert answer.status == 200
            assert not any(task.done() for task in waiting)
            release.set()
        assert [task.result().status for task in waiting] == [200] * 50


async def test_one_server_is_asked_so_many_things_at_once() -> None:
    release, at_once, most = asyncio.Event(), 0, 0

    async def hangs(seen: Seen) -> bytes:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        if at_once == MOST_AT_ONCE:
            release.set()
        await release.wait()
        at_once -= 1
        return ok()

    async with Wire(hangs) as wire, Wire() as other, loopback_egress() as egress:
        url = f"http://127.0.0.1:{wire.port}/"
        late = await asyncio.gather(
            *[egress.request(Ask("GET", url)) for _ in range(MOST_AT_ONCE + 20)],
            egress.request(Ask("GET", f"http://127.0.0.1:{other.port}/")),
        )
        assert {answer.status for answer in late} == {200}
        assert most == MOST_AT_ONCE


async def test_what_waits_for_room_until_all_is_closed_opens_nothing() -> None:
    async def hangs(seen: Seen) -> bytes:
        await asyncio.Event().wait()
        raise AssertionError

    async with Wire(hangs) as wire, loopback_egress() as egress:
        ask = Ask("GET", f"http://127.0.0.1:{wire.port}/")
        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(failed(egress, ask)) for _ in range(MOST_AT_ONCE + 1)]
            await eventually(lambda: len(wire.seen) == MOST_AT_ONCE)
            await egress.close()
        last = asked[-1].result()
    assert (last.kind, last.detail) == (EgressTrouble.REFUSED, "closed")
    assert egress._session is None


async def test_waiting_for_room_is_no_failure_of_the_server() -> None:
    full, release = asyncio.Event(), asyncio.Event()

    async def hangs(seen: Seen) -> bytes:
        if len(wire.seen) == MOST_AT_ONCE:
            full.set()
        await release.wait()
        return ok()

    async with Wire(hangs) as wire, loopback_egress() as egress:
        url = f"http://127.0.0.1:{wire.port}/"
        async with asyncio.TaskGroup() as tasks:
            for _ in range(MOST_AT_ONCE):
                tasks.create_task(egress.request(Ask("GET", url)))
            await full.wait()
            for _ in range(FAILURES + 1):
                error = await failed(egress, Ask("GET", url, within=0.01))
                assert (error.kind, error.sent) == (EgressTrouble.TIMED_OUT, False)
            # Another tenant has room of its own, on the same server.
            tasks.create_task(egress.request(Ask("GET", url, tenant="other")))
            release.set()


async def test_a_server_that_fails_again_and_again_is_left_alone_for_a_while() -> None:
    failing, watch = True, Watch()

    async def sometimes(seen: Seen) -> bytes:
        return reply(503, b"") if failing else ok()

    async with Wire(sometimes) as wire, loopback_egress(clock=watch) as egress:
        ask = Ask("GET", f"http://127.0.0.1:{wire.port}/", tenant="acme")
        for _ in range(FAILURES):
            assert (await egress.request(ask)).status == 503
        error = await failed(egress, ask)
        assert (error.kind, error.sent) == (EgressTrouble.CIRCUIT_OPEN, False)
        assert len(wire.seen) == FAILURES
        # It is another tenant's server all the same.
        assert (await egress.request(Ask("GET", ask.url, tenant="other"))).status == 503
        watch.now += SHORTEST_PAUSE
        assert (await egress.request(ask)).status == 503  # the trial
        assert (await failed(egress, ask)).kind is EgressTrouble.CIRCUIT_OPEN
        watch.now += SHORTEST_PAUSE
        assert (await failed(egress, ask)).kind is EgressTrouble.CIRCUIT_OPEN
        failing = False
        watch.now += SHORTEST_PAUSE
        for _ in range(2 * FAILURES):
            assert (await egress.request(ask)).status == 200


async def test_one_trial_at_a_time_and_one_that_is_cancelled_shows_nothing() -> None:
    watch, arrived, hang = Watch(), asyncio.Event(), False

    async def away(seen: Seen) -> bytes:
        if hang:
            arrived.set()
            await asyncio.Event().wait()
        return reply(502, b"")

    async with Wire(away) as wire, loopback_egress(clock=watch) as egress:
        ask = Ask("GET", f"http://127.0.0.1:{wire.port}/")
        for _ in range(FAILURES):
            await egress.request(ask)
        watch.now += SHORTEST_PAUSE
        hang = True
        async with asyncio.TaskGroup() as tasks:
            trial = tasks.create_task(egress.request(ask))
            await arrived.wait()
            assert (await failed(egress, ask)).kind is EgressTrouble.CIRCUIT_OPEN
            trial.cancel()
        hang = False
        assert (await egress.request(ask)).status == 502


async def test_a_callers_own_bound_does_not_hide_a_server_that_hangs() -> None:
    arrived, watch = asyncio.Event(), Watch()

    async def hangs(seen: Seen) -> bytes:
        arrived.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with Wire(hangs) as wire, loopback_egress(clock=watch) as egress:
        ask = Ask("GET", f"http://127.0.0.1:{wire.port}/", within=10.0)
        for waits in [1.0] * FAILURES + [9.5] * FAILURES:
            arrived.clear()
            task = asyncio.get_running_loop().create_task(egress.request(ask))
            await arrived.wait()
            watch.now += waits
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
        assert len(wire.seen) == 2 * FAILURES
        assert (await failed(egress, ask)).kind is EgressTrouble.CIRCUIT_OPEN


async def test_answers_that_one_request_can_bring_about_open_no_circuit() -> None:
    async def wrong(seen: Seen) -> bytes:
        return reply(500 if len(wire.seen) % 2 else 404, b"")

    async with Wire(wrong) as wire, loopback_egress() as egress:
        for _ in range(3 * FAILURES):
            await egress.request(Ask("GET", f"http://127.0.0.1:{wire.port}/"))


async def test_what_is_refused_says_nothing_of_the_server() -> None:
    names = Names({"inside.test": [["10.0.0.1"]]})
    async with Egress(lookup=names) as egress:
        for _ in range(2 * FAILURES):
            error = await failed(egress, Ask("GET", "https://inside.test/"))
            assert error.kind is EgressTrouble.REFUSED


def test_a_circuit_is_closed_by_one_success_between_failures() -> None:
    circuit = Circuit()
    for _ in range(10):
        for _ in range(FAILURES - 1):
            circuit = circuit.failed(0.0, trial=False)
        assert circuit.admits(0.0)
        circuit = circuit.worked()


def test_a_circuit_waits_longer_and_longer() -> None:
    circuit, now, pauses = Circuit(), 0.0, []
    for _ in range(FAILURES):
        circuit = circuit.failed(now, trial=False)
    for _ in range(7):
        assert circuit.open_until is not None
        assert not circuit.admits(circuit.open_until - 0.01)
        pauses.append(circuit.open_until - now)
        now = circuit.open_until
        assert circuit.admits(now)
        circuit = circuit.begun().failed(now, trial=True)
    assert pauses == [5, 10, 20, 40, 60, 60, LONGEST_PAUSE]


def test_a_failure_of_before_does_not_move_an_open_circuit() -> None:
    circuit = Circuit()
    for _ in range(FAILURES):
        circuit = circuit.failed(0.0, trial=False)
    assert circuit.failed(1.0, trial=False) == circuit


async def test_the_machines_resolver_serves_many_at_once() -> None:
    async with Wire() as wire, Egress(Allow.parse("localhost")) as egress:
        url = f"http://localhost:{wire.port}/"
        answers = await asyncio.gather(*[egress.request(Ask("GET", url)) for _ in range(20)])
        assert {answer.status for answer in answers} == {200}


async def test_nothing_of_a_request_shows_in_its_repr_or_its_error() -> None:
    ask = Ask("GET", "https://10.0.0.1/canary-1", {"X-A": "canary-2"}, b"canary-3")
    async with Wire() as wire:
        pass
    async with loopback_egress() as egress:
        gone = Ask("GET", f"http://127.0.0.1:{wire.port}/canary-1", {"X-A": "canary-2"})
        texts = [repr(ask), repr(gone)]
        for one in (ask, gone):
            error = await failed(egress, one)
            texts += [repr(error), str(error)]
            # What the client says has the URL in it, and would be in a traceback.
            assert error.__cause__ is None
            assert error.__context__ is None or error.__suppress_context__
    assert not any("canary" in text for text in texts)
