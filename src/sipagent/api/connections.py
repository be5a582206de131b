"""Connections that keep to bounds: what a client may send, and how long it may take.

uvicorn 0.54 waits for ever for headers and bodies, and takes headers of any size. A *guarded*
connection has a deadline whenever the client *owes* us something. What is wrong with a request is
a *fault*; a *closing* is the end of a connection for such a reason.
"""

import asyncio
import socket
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf
from typing import Any, ClassVar, Final, NamedTuple

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.server import ServerState

_ROUNDING: Final = 0.005
"""Timers of uvloop may fire up to a millisecond early."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What one connection may ask of us. Times in seconds. For `write_timeout` a client may read
    more slowly than is written to it, for `silence_timeout` its system may confirm nothing; all
    others concern receiving."""

    header_timeout: float = 5.0
    body_timeout: float = 5.0
    linger_timeout: float = 1.0
    write_timeout: float = 20.0
    silence_timeout: float = 60.0
    keep_alive: int = 75
    max_header_bytes: int = 32 * 1024
    max_headers: int = 200
    max_pipelined: int = 16
    max_discarded: int = 1024 * 1024


@dataclass(slots=True)
class ConnectionStats:
    """Connections that were closed for a reason of their own, by that reason."""

    closings: Counter[str] = field(default_factory=Counter)


class Closing(StrEnum):
    """Why a connection was closed."""

    HEADER_TIMEOUT = "header-timeout"
    BODY_TIMEOUT = "body-timeout"
    HEADERS_TOO_LARGE = "headers-too-large"
    TOO_MANY_HEADERS = "too-many-headers"
    MALFORMED = "malformed"
    PIPELINED = "pipelined"
    UNREAD_BODY = "unread-body"
    WRITE_TIMEOUT = "write-timeout"


class _Owed(StrEnum):
    """What the client has begun or is due, and has not completed."""

    NOTHING = "nothing"
    HEADERS = "headers"
    BODY = "body"
    GOODBYE = "goodbye"
    """The last answer is written; it may read it and close."""


class _Fault(NamedTuple):
    closing: Closing
    status: int | None
    """None where no answer would be read, or could be told apart."""


class _RefusedError(Exception):
    """Stops httptools in the middle of what it was fed; never leaves this module."""


class GuardedProtocol(HttpToolsProtocol):
    """A connection that is closed when the client is too slow or sends too much.

    Every request's headers must be complete within `header_timeout` of the connection's opening
    or of their first byte, its body within `body_timeout` of its headers. Time that passes while
    we do not read, or have not asked for the body, does not count. Too large headers are answered
    with 431, malformed requests with 400. `limits` and `stats` belong to the class:
    `server_config` makes one for each server.
    """

    limits: ClassVar[ConnectionLimits] = ConnectionLimits()
    stats: ClassVar[ConnectionStats] = ConnectionStats()

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._owed = _Owed.HEADERS
        self._deadline = inf
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = inf
        self._unparsed = 0
        self._header_bytes = 0
        self._discarded = 0
        self._fault: _Fault | None = None
        self._deaf = False
        self._answers: _AnswerTransport | None = None
        self._stuck: asyncio.TimerHandle | None = None
        self._active: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        _bound_silence(transport, self.limits.silence_timeout)
        self._answers = _AnswerTransport(self)
        self._expect(_Owed.HEADERS, self.limits.header_timeout)

    def connection_lost(self, exc: Exception | None) -> None:
        self._deadline = inf
        if self._timer is not None:
            self._timer.cancel()
        self._unstick()
        self._give_up(self._active)  # uvicorn tells only the newest of pipelined requests
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client reads more slowly than is written to it: it has so long to catch up."""
        super().pause_writing()
        self._stuck = self.loop.call_later(
            self.limits.write_timeout, self._abort, Closing.WRITE_TIMEOUT
        )

    def resume_writing(self) -> None:
        self._unstick()
        super().resume_writing()

    def cut_if_stuck(self) -> None:
        """Whoever reads nothing is waited for no longer."""
        if self._stuck is not None:
            self._abort(Closing.WRITE_TIMEOUT)

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            self._discard(len(data))
            return
        self._unset_keepalive_if_required()
        if self._owed is _Owed.NOTHING:
            self._expect(_Owed.HEADERS, self.limits.header_timeout)
        self._unparsed += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return  # answered as if it had not been asked for (RFC 9110, 7.8)
        except httptools.HttpParserError:
            self._refuse(self._fault or _Fault(Closing.MALFORMED, 400))
            return
        if self._unparsed > self.limits.max_header_bytes:
            self._refuse(_Fault(Closing.HEADERS_TOO_LARGE, 431))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._header_bytes = 0
        if self._owed is _Owed.NOTHING:  # pipelined behind a request of the same packet
            self._expect(_Owed.HEADERS, self.limits.header_timeout)

    def on_url(self, url: bytes) -> None:
        self._count_header(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count_header(len(name) + len(value) + 4)
        if self._owed is _Owed.BODY:
            return  # a trailer: nobody here wants one, and it must not pass for a header
        super().on_header(name, value)
        if len(self.headers) > self.limits.max_headers:
            self._stop(Closing.TOO_MANY_HEADERS, 431)

    def on_headers_complete(self) -> None:
        if len(self.pipeline) >= self.limits.max_pipelined:
            self._stop(Closing.PIPELINED, None)
        super().on_headers_complete()
        assert self._answers is not None
        self.cycle.transport = self._answers
        self._unparsed = self._discarded = 0
        self._expect(_Owed.BODY, self.limits.body_timeout)

    def on_body(self, body: bytes) -> None:
        self._unparsed = 0
        if self.cycle.response_complete:
            self._discarded += len(body)
            if self._discarded > self.limits.max_discarded:
                self._stop(Closing.UNREAD_BODY, None)
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._unparsed = 0
        self._owed, self._deadline = _Owed.NOTHING, inf

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._active = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        if self._owed is _Owed.GOODBYE:
            self.server_state.total_requests += 1
        else:
            super().on_response_complete()

    def finish(self) -> None:
        """Close after the answer: at once if all was read, else when the client had a moment.

        To close a socket with unread bytes resets the connection, which may destroy the answer
        before the client has read it (RFC 9112, 9.6).
        """
        if (self._owed is _Owed.NOTHING and not self._deaf) or not self.transport.can_write_eof():
            self.transport.close()
            return
        self._deaf = True
        self.pipeline.clear()
        self._unset_keepalive_if_required()
        self.flow.resume_reading()
        self.transport.write_eof()
        self._expect(_Owed.GOODBYE, self.limits.linger_timeout)

    @property
    def finished(self) -> bool:
        return self._owed is _Owed.GOODBYE or self.transport.is_closing()

    def _count_header(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > self.limits.max_header_bytes:
            self._stop(Closing.HEADERS_TOO_LARGE, 431)

    def _stop(self, closing: Closing, status: int | None) -> None:
        """Leave the parser, whose caller then refuses the request."""
        self._fault = _Fault(closing, status)
        raise _RefusedError

    def _refuse(self, fault: _Fault) -> None:
        """Read no further, and say why where the client can tell which request is meant."""
        self.stats.closings[fault.closing] += 1
        self._deaf, self._deadline = True, inf
        waiting = self._active is not None and not self._active.response_complete
        if fault.status is None:
            self.transport.abort()
        elif self._owed is not _Owed.BODY and waiting:
            self.cycle.keep_alive = False  # what precedes is whole, and still gets its answer
        elif self._owed is not _Owed.BODY or (waiting and self._is_unanswered(self.cycle)):
            self._give_up(self._active)
            self._answer(fault.status)
            self.finish()
        else:
            self.transport.abort()

    def _is_unanswered(self, cycle: RequestResponseCycle) -> bool:
        return cycle is self._active and not cycle.response_started

    def _answer(self, status: int) -> None:
        text = STATUS_LINE[status].split(b" ", 2)[2]
        lines = [b"%b: %b\r\n" % pair for pair in self.server_state.default_headers]
        self.transport.write(
            b"%bcontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n%b"
            b"connection: close\r\n\r\n%b" % (STATUS_LINE[status], len(text), b"".join(lines), text)
        )

    def _give_up(self, cycle: RequestResponseCycle | None) -> None:
        """Whoever works at this request learns that its client has gone."""
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()

    def _unstick(self) -> None:
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._discarded > self.limits.max_discarded:
            self._abort(Closing.UNREAD_BODY)

    def _abort(self, closing: Closing) -> None:
        self.stats.closings[closing] += 1
        self._deaf, self._deadline = True, inf
        self.transport.abort()

    def _expect(self, owed: _Owed, within: float) -> None:
        self._owed = owed
        self._deadline = self.loop.time() + within
        self._arm()

    def _arm(self) -> None:
        """One timer for each connection. A later deadline lets it fire, and is found then."""
        if self._timer is not None:
            if self._timer_at <= self._deadline:
                return
            self._timer.cancel()
        self._timer_at = self._deadline
        self._timer = self.loop.call_at(self._deadline, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self.loop.time() < self._deadline - _ROUNDING:
            if self._deadline < inf:
                self._arm()
        elif self._owed is _Owed.GOODBYE:
            self.transport.abort()
        elif self._owed is _Owed.HEADERS:
            self._abort(Closing.HEADER_TIMEOUT)
        elif self.flow.read_paused or self.cycle.waiting_for_100_continue:
            self._expect(_Owed.BODY, self.limits.body_timeout)
        else:
            self._abort(Closing.BODY_TIMEOUT)


def _bound_silence(transport: asyncio.Transport, seconds: float) -> None:
    """Have the system cut a connection whose other end has vanished without a word, once what was
    sent has not been taken for so long: else it takes a quarter of an hour."""
    sock = transport.get_extra_info("socket")
    option = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux has it
    if sock is not None and option is not None and sock.family in _INTERNET:
        sock.setsockopt(socket.IPPROTO_TCP, option, round(seconds * 1000))


_INTERNET: Final = (socket.AF_INET, socket.AF_INET6)


class _AnswerTransport(asyncio.Transport):
    """What a request's cycle has of the connection: enough to answer."""

    def __init__(self, protocol: GuardedProtocol) -> None:
        super().__init__()
        self._protocol = protocol

    def write(self, data: Any) -> None:
        if not self._protocol.finished:
            self._protocol.transport.write(data)

    def is_closing(self) -> bool:
        return self._protocol.finished

    def close(self) -> None:
        if not self._protocol.finished:
            self._protocol.finish()
