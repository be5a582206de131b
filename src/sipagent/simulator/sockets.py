"""uvicorn's protocols, opened up so that a connection can be cut as a network would cut it.

Server events bypass ASGI: whatever a call puts out in one step goes to the transport in one
write, without a task or a queue, which is what makes thousands of held calls cheap.
"""

import asyncio
import logging
import socket
import struct
from collections.abc import Iterable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request
from websockets.protocol import State

CONNECTION = "simulator.connection"
_MAX_BACKLOG = 32 * 1024 * 1024
_LINGER_ZERO = struct.pack("ii", 1, 0)


def reset(transport: asyncio.Transport) -> None:
    """The peer sees a connection reset, whatever was still on its way."""
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
    transport.abort()


def text_frame(payload: bytes) -> bytes:
    """A whole unmasked text message, as a server sends it."""
    length = len(payload)
    if length < 126:
        return b"\x81" + length.to_bytes(1, "big") + payload
    if length < 65_536:
        return b"\x81\x7e" + length.to_bytes(2, "big") + payload
    return b"\x81\x7f" + length.to_bytes(8, "big") + payload


class HttpConnection(HttpToolsProtocol):
    """An HTTP connection that its request's handler can reset."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["state"][CONNECTION] = self.transport


class _NoFalseAlarm(logging.Filter):
    """Drops uvicorn 0.54's complaint about every upgrade that is refused with a response."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.msg != "ASGI callable returned without completing handshake."


_logger = logging.getLogger(__name__)
_logger.addFilter(_NoFalseAlarm())


class CallSocket(WebSocketsSansIOProtocol):
    """A WebSocket that can be written to from outside of its ASGI task."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.logger = _logger

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if self.response.status_code == 101:
            self.scope["state"][CONNECTION] = self

    @property
    def is_open(self) -> bool:
        return self.handshake_complete and not self.close_sent and not self.transport.is_closing()

    def write_frames(self, frames: Iterable[bytes]) -> None:
        if self.is_open:
            self.transport.write(b"".join(frames))
            if self.transport.get_write_buffer_size() > _MAX_BACKLOG:
                self.transport.abort()

    def send_close(self, code: int, reason: str = "") -> None:
        """Starts the closing handshake."""
        if not self.is_open or self.conn.state is not State.OPEN:
            return
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(self.close_timeout, self.transport.close)

    def drop(self) -> None:
        """The connection ends without a close frame, after what was written has gone out."""
        self.transport.close()

    def reset(self) -> None:
        self.handshake_complete = True
        reset(self.transport)

    def stop_reading(self) -> None:
        """A half-open connection: no ping is answered any more."""
        self.read_paused = False
        self.transport.pause_reading()
