"""However the bytes of a socket come in, the same messages are delivered in the same order."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from sipagent.providers.openai.connection import Connection
from sipagent.providers.openai.server_events import Oddity
from sipagent.sessions.machine.events import CallerStarted, Event, SocketClosed, SocketOpened


class Wire(asyncio.Transport):
    """A transport that only takes."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.unsent = 0
        self.closing = False

    def write(self, data: object) -> None:
        self.written += bytes(data)  # type: ignore[call-overload]  # bytes or like them

    def writelines(self, parts: object) -> None:
        for part in parts:  # type: ignore[attr-defined]
            self.write(part)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def is_closing(self) -> bool:
        return self.closing

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def abort(self) -> None:
        pass


class Line:
    """A connection whose upgrade has been asked for, and all that it delivers."""

    def __init__(self) -> None:
        self.wire = Wire()
        self.heard: list[Event] = []
        self.odd: list[Oddity] = []
        uri = parse_uri("ws://provider.example/v1/realtime?call_id=rtc_1")
        self.connection = Connection(ClientProtocol(uri), ping_interval=None)
        self.connection.connection_made(self.wire)
        request = self.connection.protocol.connect()
        self.connection.request = request
        self.connection.protocol.send_request(request)
        peer = ServerProtocol()
        peer.receive_data(b"".join(self.connection.protocol.data_to_send()))
        (asked,) = peer.events_received()
        peer.send_response(peer.accept(asked))  # type: ignore[arg-type]  # it is a request
        self.answer = b"".join(peer.data_to_send())

    def feed(self, chunks: Sequence[bytes]) -> None:
        for chunk in chunks:
            self.connection.data_received(chunk)
        self.connection.begin(self.heard.append, self.odd.append)

    @property
    def items(self) -> list[str]:
        return [event.item_id for event in self.heard if isinstance(event, CallerStarted)]


def message(item: str, length: int = 0) -> bytes:
    plain = {"type": "input_audio_buffer.speech_started", "item_id": item, "more": "x" * length}
    return json.dumps(plain).encode()


def text(payload: bytes) -> bytes:
    return Frame(Opcode.TEXT, payload).serialize(mask=False)


def parts(payload: bytes) -> bytes:
    """The message in three frames, with a ping between them."""
    third = len(payload) // 3
    return (
        Frame(Opcode.TEXT, payload[:third], fin=False).serialize(mask=False)
        + Frame(Opcode.CONT, payload[third : 2 * third], fin=False).serialize(mask=False)
        + Frame(Opcode.PING, b"?").serialize(mask=False)
        + Frame(Opcode.CONT, payload[2 * third :]).serialize(mask=False)
    )


def long_winded(payload: bytes) -> bytes:
    """A frame that says its length in eight bytes, as RFC 6455 5.2 forbids and libraries take."""
    return b"\x81\x7f" + len(payload).to_bytes(8) + payload


STREAM = (
    text(message("a")),
    Frame(Opcode.PING, b"still there?").serialize(mask=False),
    text(message("b", 200)),
    parts(message("c", 300)),
    text(message("d", 70_000)),
    Frame(Opcode.BINARY, message("e")).serialize(mask=False),
    Frame(Opcode.PONG, b"").serialize(mask=False),
    text(b"no JSON"),
    text(message("f", 125)),
    text(message("g")),
)
ITEMS = list("abcdefg")


def cut(data: bytes, places: Sequence[int]) -> Iterator[bytes]:
    for begin, end in pairwise(sorted({0, len(data), *(place % len(data) for place in places)})):
        yield data[begin:end]


@given(places=st.lists(st.integers(0, 100_000), max_size=60))
async def test_chunks_end_anywhere(places: list[int]) -> None:
    line = Line()
    line.feed(list(cut(line.answer + b"".join(STREAM), places)))
    assert isinstance(line.heard[0], SocketOpened)
    assert line.items == ITEMS
    assert line.odd == [Oddity.MALFORMED]
    assert line.wire.written.count(b"\x8a") >= 1  # the ping was answered


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 64, 1000])
async def test_chunks_of_one_size(size: int) -> None:
    line = Line()
    data = line.answer + b"".join(STREAM)
    line.feed([data[at : at + size] for at in range(0, len(data), size)])
    assert line.items == ITEMS


async def test_a_length_that_is_longer_than_it_must_be_loses_nothing() -> None:
    line = Line()
    frames = [text(message("a")), long_winded(message("b")), text(message("c")), text(message("d"))]
    line.feed([line.answer, *frames])
    assert line.items == ["a", "b", "c", "d"]


async def test_nothing_is_read_beyond_a_close() -> None:
    line = Line()
    close = Frame(Opcode.CLOSE, b"\x03\xe8done").serialize(mask=False)
    line.feed([line.answer, text(message("a")), close, text(message("b"))])
    assert line.items == ["a"]
    assert line.heard[-1] == SocketClosed(1000)
    assert line.connection.protocol.state is not State.OPEN


@pytest.mark.parametrize(
    "broken",
    [b"\x81\x85mask" + b"12345", b"\xc1\x02{}", b"\x83\x00", b"\x81\xfe\x00\x7emask"],
    ids=["masked", "compressed", "a reserved opcode", "masked and longer"],
)
async def test_what_breaks_the_protocol_is_left_to_the_library(broken: bytes) -> None:
    line = Line()
    line.feed([line.answer, text(message("a")) + broken + text(message("b"))])
    assert line.items == ["a"]
    assert line.connection.protocol.state is not State.OPEN


async def test_a_request_goes_out_at_once_where_it_need_not_wait() -> None:
    line = Line()
    assert not line.connection.put(b"early")
    line.feed([line.answer])
    peer = ServerProtocol(state=State.OPEN)
    assert line.connection.put(b"now")
    peer.receive_data(line.wire.written)
    (frame,) = peer.events_received()
    assert isinstance(frame, Frame)
    assert (frame.opcode, bytes(frame.data)) == (Opcode.TEXT, b"now")
    line.wire.unsent = 1
    assert not line.connection.put(b"behind others")
    line.wire.unsent, line.wire.closing = 0, True
    assert not line.connection.put(b"too late")
    line.wire.closing = False
    line.connection.data_received(Frame(Opcode.CLOSE, b"").serialize(mask=False))
    assert not line.connection.put(b"after the end")
