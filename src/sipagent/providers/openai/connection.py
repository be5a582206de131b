"""The library's connection, which delivers each message as it is read.

The library upgrades, pings and closes, and reads all frames but whole text messages. Messages do
not wait in its queue for a task of ours: each is decoded and delivered at once, which costs half of
a task switch's time.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from websockets.asyncio.client import ClientConnection
from websockets.frames import DATA_OPCODES, Frame
from websockets.protocol import OPEN
from websockets.protocol import Event as ProtocolEvent

from sipagent.providers.openai.server_events import Oddity, decode
from sipagent.sessions.machine.events import Event, SocketClosed, SocketOpened

_NO_CODE: Final = 1006
_GOING_AWAY: Final = 1001

# RFC 6455 5.2: a frame's first bytes.
_WHOLE_TEXT: Final = 0x81
_TWO_BYTES: Final = 126
_SHORTEST_HEAD: Final = 2
_LONGER_HEAD: Final = 4

_LONGEST_ANSWER: Final = 65_536
"""Bytes of an answer to an upgrade. Providers' have less than a thousand."""

Note = Callable[[Oddity], None]


class Connection(ClientConnection):
    """The library's connection, which delivers messages as they are read. `_behind` is how many
    bytes the library has beyond the last whole frame, None until the upgrade is answered."""

    _deliver: Callable[[Event], None] | None = None
    _note: Note | None = None
    _early: list[bytes]
    _parts: list[bytes]
    _ended = False
    _behind: int | None = None
    _head = b""

    def begin(self, deliver: Callable[[Event], None], note: Note) -> None:
        """Deliver from now on: first that the socket is open, then what has come meanwhile."""
        self._deliver, self._note = deliver, note
        deliver(SocketOpened())
        early, self._early = self._early, []
        for frame in early:
            self._receive(frame)
        if self._ended:
            self._tell_end()

    def put(self, text: bytes) -> bool:
        """Send a message at once; False where that could wait, or the socket is not open. The
        library's own way waits in any case, and prepares for much that does not happen here."""
        if self.protocol.state is not OPEN or self.transport.is_closing():
            return False
        if self.transport.get_write_buffer_size():
            return False
        self.protocol.send_text(text)
        self.send_data()
        return True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._early, self._parts = [], []
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Whole messages are read here, where the library's parser is between two frames; all else
        is the library's. Its way to a frame costs as much as the rest of an event's way through
        the machine."""
        if self._behind == 0 and not self._parts and self.protocol.state is OPEN:
            data = self._read_messages(data)
            if not data:
                return
        if self._behind is None:
            self._read_head(data)
        else:
            self._behind += len(data)
        super().data_received(data)

    def process_event(self, event: ProtocolEvent) -> None:
        if self.response is None or not isinstance(event, Frame):
            super().process_event(event)
            return
        if self._behind is not None:
            self._behind -= _size_of(event)
        if event.opcode not in DATA_OPCODES:
            super().process_event(event)
            if self.protocol.close_rcvd is not None:
                self._peer_closed()
        elif event.fin and not self._parts:
            self._receive(bytes(event.data))
        else:
            self._parts.append(bytes(event.data))
            if event.fin:
                whole, self._parts = b"".join(self._parts), []
                self._receive(whole)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._end()

    def _read_messages(self, data: bytes) -> bytes:
        """Take the whole text messages that the data begins with; gives back the rest of it."""
        at, end = 0, len(data)
        while end - at >= _SHORTEST_HEAD and data[at] == _WHOLE_TEXT:
            begin, length = at + 2, data[at + 1]
            if length == _TWO_BYTES and end - at >= _LONGER_HEAD:
                begin, length = at + 4, data[at + 2] << 8 | data[at + 3]
            elif length >= _TWO_BYTES:
                break  # longer still, or masked, which no server may do: the library knows
            if begin + length > end:
                break
            at = begin + length
            self._receive(data[begin:at])
        return data[at:] if at else data

    def _read_head(self, data: bytes) -> None:
        """Find where the answer to the upgrade ends (RFC 9112 2.1); what follows are frames."""
        self._head += data
        end = self._head.find(b"\r\n\r\n")
        if end >= 0:
            self._behind, self._head = len(self._head) - end - 4, b""
        elif len(self._head) > _LONGEST_ANSWER:
            # Whatever this is, the library reads all that comes.
            self._behind, self._head = _LONGEST_ANSWER, b""

    def _receive(self, frame: bytes) -> None:
        if self._deliver is None or self._note is None:
            self._early.append(frame)
            return
        event = decode(frame)
        if event is None:
            return
        if isinstance(event, Oddity):
            self._note(event)
        else:
            self._deliver(event)

    def _peer_closed(self) -> None:
        """The peer has said goodbye: nothing more comes, even if it keeps the TCP connection."""
        self._end()
        self.loop.call_later(1.0, self.transport.abort)

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            if self._deliver is not None:
                self._tell_end()

    def _tell_end(self) -> None:
        received = self.protocol.close_rcvd
        code = received.code if received is not None else _NO_CODE
        reason = received.reason if received is not None else ""
        # OpenAI ends a session at its longest duration by 1001 and a sentence that says so.
        expired = code == _GOING_AWAY and "maximum duration" in reason
        deliver, self._deliver = self._deliver, None
        if deliver is not None:
            deliver(SocketClosed(code, expired=expired))
        # No cycle with the runner outlives the socket: memory of ended calls goes at once.
        self._note = None


def _size_of(frame: Frame) -> int:
    """How many bytes the frame was, if its length was written as short as it must be (RFC 6455
    5.2). If it was not, the library reads all that follows."""
    length = len(frame.data)
    return length + (2 if length < _TWO_BYTES else 4 if length < 2**16 else 10)
