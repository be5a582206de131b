"""Where log lines are written: at once, or some of them a moment later and together.

A line that is made among everything else that a call does costs ten times as much as one that is
made right after another. So the two lines that every call has wait for those of other calls, for at
most a tenth of a second; whatever else is logged is written at once, after all that wait.
"""

import asyncio
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
    """The lines of one stream, in the order in which they were told, whole, from any thread."""

    def __init__(self, stream: TextIO, clock: Callable[[], int]) -> None:
        """`clock` tells the nanoseconds since 1970."""
        self._stream = stream
        self._clock = clock
        self._lock = threading.RLock()
        self._waiting: list[_Waiting] = []
        self._together: list[str] | None = None
        self._moment: int | None = None
        self.patient = False

    @property
    def now(self) -> int:
        """The nanoseconds since 1970 of the line that is being made."""
        return self._clock() if self._moment is None else self._moment

    def write(self, line: str) -> None:
        """The line stands in the stream, after all that were told before."""
        with self._lock:
            if self._together is not None:
                self._together.append(line)
                return
            self.flush()
            self._stream.write(line + "\n")
            self._stream.flush()

    def later(self, tell: Callable[[], None]) -> None:
        """Have `tell`, which logs lines, called within a tenth of a second, as if it were now; at
        once where nobody has said that lines may wait."""
        if not self.patient:
            tell()
            return
        with self._lock:
            self._waiting.append(_Waiting(self._clock(), copy_context(), tell))
            waiting = len(self._waiting)
        if waiting == 1:
            asyncio.get_running_loop().call_later(WITHIN, self.flush)
        elif waiting >= _MOST:
            self.flush()

    def flush(self) -> None:
        """All lines that waited stand in the stream."""
        with self._lock:
            if not self._waiting or self._together is not None:
                return
            waiting, self._waiting = self._waiting, []
            together = self._together = []
            for one in waiting:
                self._moment = one.at
                try:
                    one.context.run(one.tell)
                except Exception as error:  # noqa: BLE001  # the others' lines are written
                    # Its text may hold what a caller said.
                    logging.getLogger(__name__).error("line not made: %s", type(error).__name__)  # noqa: TRY400
            self._together = self._moment = None
            self._stream.write("".join(f"{line}\n" for line in together))
            self._stream.flush()


class LineLogger:
    """What structlog hands a finished line to, whatever its level."""

    def __init__(self, lines: Lines) -> None:
        self.debug = self.info = self.warning = self.error = self.critical = lines.write
        self.warn = self.exception = self.fatal = self.msg = self.log = lines.write
