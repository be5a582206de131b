"""Where log lines are written: at once, or some of them a moment later and together.

A line that is made among everything else that a call does costs ten times as much as one that is
made right after another. So the two lines that every call has wait for those of other calls, for at
most a tenth of a second; whatever else is logged is written at once, after all that wait.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from contextvars import Context, copy_context
from dataclasses import dataclass
from typing import Final, TextIO

WITHIN: Final = 0.1
"""Seconds after which a line that waits is written; a process that is killed loses it."""

_MOST: Final = 500
"""Lines that wait at most."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    at: int
    context: Context
    tell: Callable[[], None]


class Lines:
    """The lines of one stream, in the order in which they were told, whole, from any thread. What
    the stream does not take is lost: there is nobody to tell it to."""

    def __init__(self, stream: TextIO, clock: Callable[[], int]) -> None:
        """`clock` tells the nanoseconds since 1970."""
        self._stream = stream
        self._clock = clock
        self._lock = threading.RLock()
        self._waiting: list[_Waiting] = []
        self._timer: asyncio.TimerHandle | None = None
        self._together: list[str] | None = None
        self._moment: tuple[int, int] = (0, 0)
        self.patient = False

    @property
    def now(self) -> int:
        """The nanoseconds since 1970 of the line that is being made."""
        teller, at = self._moment
        return at if teller == threading.get_ident() else self._clock()

    def write(self, line: str) -> None:
        """The line stands in the stream, after all that were told before."""
        with self._lock:
            if self._together is not None:
                self._together.append(line)
                return
            self.flush()
            self._put(line + "\n")

    def later(self, tell: Callable[[], None]) -> None:
        """Have `tell`, which logs lines, called within a tenth of a second, as if it were now; at
        once where nobody has said that lines may wait."""
        if not self.patient:
            tell()
            return
        with self._lock:
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(WITHIN, self._time_is_up)
            self._waiting.append(_Waiting(self._clock(), copy_context(), tell))
            if len(self._waiting) >= _MOST:
                self.flush()

    def flush(self) -> None:
        """All lines that waited stand in the stream."""
        with self._lock:
            if not self._waiting or self._together is not None:
                return
            waiting, self._waiting = self._waiting, []
            together = self._together = []
            try:
                for one in waiting:
                    self._moment = (threading.get_ident(), one.at)
                    self._tell(one)
            finally:
                self._together, self._moment = None, (0, 0)
                self._put("".join(f"{line}\n" for line in together))

    def flush_if_free(self, within: float) -> None:
        """As `flush`, unless another thread writes for longer than so many seconds."""
        if self._lock.acquire(timeout=within):
            try:
                self.flush()
            finally:
                self._lock.release()

    def _time_is_up(self) -> None:
        self._timer = None
        self.flush()

    def _tell(self, one: _Waiting) -> None:
        try:
            one.context.run(one.tell)
        except Exception as error:  # noqa: BLE001  # the others' lines are written
            # Its text may hold what a caller said.
            logging.getLogger(__name__).error("line not made: %s", type(error).__name__)  # noqa: TRY400

    def _put(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
            self._stream.flush()


class LineLogger:
    """What structlog hands a finished line to, whatever its level."""

    def __init__(self, lines: Lines) -> None:
        self.debug = self.info = self.warning = self.error = self.critical = lines.write
        self.warn = self.exception = self.fatal = self.msg = self.log = lines.write
