"""Finished spans on their way to a collector, in a thread of their own: no call waits for one."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from sipagent.tracing.span import Span

log = structlog.get_logger(__name__)

MOST_WAITING: Final = 2_048
"""Spans that wait at most; further ones are dropped."""

AT_ONCE: Final = 512
EVERY: Final = 5.0
"""Seconds after which what waits is sent, however little it is."""

Send = Callable[[Sequence[Span]], bool]
"""Sends spans, blocking, within a time of its own; whether they were taken."""

Count = Callable[[str, int], None]
"""Told of what became of so many spans: exported, failed or dropped."""


class Outgoing:
    """Holds what is to be sent. `put` and `close` may be called from any thread, `send` is called
    from one. What a collector does not take is not sent again."""

    def __init__(self, send: Send, count: Count, *, every: float = EVERY, to: str = "") -> None:
        """`to` is what log lines call the collector."""
        self._send = send
        self._to = to
        self._count = count
        self._every = every
        self._waiting: deque[Span] = deque()
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._closing = False
        self._failing = False
        self._thread: threading.Thread | None = None

    def put(self, spans: Sequence[Span]) -> None:
        """Have these sent soon. Never waits: without room they are dropped, and counted."""
        with self._lock:
            room = 0 if self._closing else max(0, MOST_WAITING - len(self._waiting))
            self._waiting.extend(spans[:room])
            if self._thread is None and not self._closing:
                self._thread = threading.Thread(target=self._run, name="traces", daemon=True)
                self._thread.start()
            if len(self._waiting) >= AT_ONCE:
                self._news.set()
        if lost := len(spans[room:]):
            self._count("dropped", lost)

    def close(self, within: float) -> None:
        """What waits has been sent, or dropped after so many seconds. Blocks meanwhile."""
        with self._lock:
            self._closing = True
            self._news.set()
        if self._thread is not None:
            self._thread.join(within)
        with self._lock:
            lost = len(self._waiting)
            self._waiting.clear()
        if lost:
            self._count("dropped", lost)
            log.warning("traces not exported at the end", spans=lost)

    def _run(self) -> None:
        while True:
            self._news.wait(self._every)
            self._news.clear()  # before `_closing` is read: what is said later is heard then
            closing = self._closing
            while batch := self._next():
                self._export(batch)
            if closing:
                return

    def _next(self) -> list[Span]:
        with self._lock:
            return [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]

    def _export(self, batch: Sequence[Span]) -> None:
        reason = "not taken"
        try:
            taken = self._send(batch)
        except Exception as error:  # noqa: BLE001  # a span that cannot be sent stops no other
            taken, reason = False, type(error).__name__
        self._count("exported" if taken else "failed", len(batch))
        if taken is self._failing:
            self._failing = not taken
            if taken:
                log.info("traces exported again")
            else:
                log.warning("traces cannot be exported", reason=reason, to=self._to)
