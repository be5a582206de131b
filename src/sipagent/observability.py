"""Structured logs: JSON for machines, or one readable line for a terminal.

Every line of a call carries its `call_id`, `tenant` and `agent`, through context variables. No
line carries secrets, whole phone numbers, or words that were spoken.
"""

import json
import logging
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, TextIO

import msgspec
import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.types import EventDict, Processor

from sipagent.loglines import LineLogger, Lines
from sipagent.model.ids import is_call_id
from sipagent.model.trace import trace_id_of

_LOUD: Final = (
    "websockets",
    "httpx",
    "httpcore",
    "aiohttp",
    "hpack",
    "uvicorn.access",
    "asyncio",
    "watchfiles",
    "alembic",
    "urllib3",
    "aiosqlite",
    "sqlalchemy",
)
"""Libraries whose debug and info lines quote frames, headers, URLs or statements with caller data,
or tell nobody anything."""

_TRACEBACKS: Final = structlog.processors.ExceptionRenderer(
    ExceptionDictTransformer(show_locals=False)  # locals hold what callers say
)


_lines: Lines | None = None
_LEVELS: Final = {"warn": "warning", "exception": "error"}
_ENCODER: Final = msgspec.json.Encoder(enc_hook=repr)


def _to_json(event: object, **_: object) -> str:
    """JSON in an eighth of the standard library's time for a line."""
    try:
        return _ENCODER.encode(event).decode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return json.dumps(event, default=repr)


def configure_logging(
    *, level: str, json: bool, stream: TextIO | None = None, traced: bool = False
) -> None:
    """All logs of the process go to `stream` (standard error) in one format, from now on.

    `level` is a name of the standard library's levels. Libraries that would quote what callers
    say are heard only from WARNING on, whatever the level. `traced`: each line of a call has the
    id of its trace.
    """
    global _lines  # a process has one log
    _lines = lines = Lines(stream or sys.stderr, time.time_ns)
    shared: list[Processor] = [_Usual(lines, traced=traced)]
    renderer: list[Processor] = (
        [_TRACEBACKS, structlog.processors.JSONRenderer(_to_json)]
        if json
        else [structlog.processors.format_exc_info, _console]
    )
    handler = _Handler(lines)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _LOUD:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    # Our own lines are written at once: the way through `logging` costs three times as much.
    structlog.configure(
        processors=[*shared, *renderer],
        logger_factory=lambda *_: LineLogger(lines),
        wrapper_class=structlog.make_filtering_bound_logger(root.level),
        cache_logger_on_first_use=False,
    )


class _Usual:
    """What every line has: the context of its call, its level, and when it was written, in UTC.

    One step in place of three of the library's, and the date of a second is made once in it.
    """

    __slots__ = ("_lines", "_second", "_traced", "_written")

    def __init__(self, lines: Lines, *, traced: bool) -> None:
        self._lines = lines
        self._traced = traced
        self._second = 0
        self._written = ""

    def __call__(self, logger: object, method: str, event: EventDict) -> EventDict:
        event = structlog.contextvars.merge_contextvars(logger, method, event)
        event["level"] = _LEVELS.get(method, method)
        if self._traced and is_call_id(call_id := event.get("call_id")):
            event["trace_id"] = trace_id_of(call_id)
        second, nanoseconds = divmod(self._lines.now, 1_000_000_000)
        if second != self._second:
            moment = datetime.fromtimestamp(second, UTC)
            self._second, self._written = second, moment.strftime("%Y-%m-%dT%H:%M:%S")
        event["timestamp"] = f"{self._written}.{nanoseconds // 1000:06d}Z"
        return event


class _Handler(logging.Handler):
    """Libraries' lines, among ours."""

    def __init__(self, lines: Lines) -> None:
        super().__init__()
        self._lines = lines

    def createLock(self) -> None:  # noqa: N802  # the standard library's word
        """None: with the lines' own beside it two threads could wait for each other."""
        self.lock = None

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._lines.write(self.format(record))
        except Exception:  # noqa: BLE001  # as the standard library's handlers: told on stderr
            self.handleError(record)

    def flush(self) -> None:
        """Called when the process ends, by `logging`."""
        self._lines.flush()


def log_later(tell: Callable[[], None]) -> None:
    """Have `tell`, which logs lines, called within a tenth of a second, with the time and the
    context of now; at once unless `keep_loggers` was called."""
    if _lines is None:
        tell()
    else:
        _lines.later(tell)


def write_waiting_lines(within: float) -> None:
    """Lines that wait are written, unless the log is busy for so many seconds."""
    if _lines is not None:
        _lines.flush_if_free(within)


def keep_loggers() -> None:
    """From now on each logger is made once, as `configure_logging` said last: to make one anew is a
    fifth of what a line costs. What `log_later` is given waits for others."""
    structlog.configure(cache_logger_on_first_use=True)
    if _lines is not None:
        _lines.patient = True


def _console(_: object, __: str, event: EventDict) -> str:
    """`12:00:01 info  call ended  call_id=... outcome=...`, and a traceback below, if any."""
    moment = str(event.pop("timestamp", ""))[11:19]
    level = str(event.pop("level", ""))
    message = str(event.pop("event", ""))
    trace = event.pop("exception", None)
    pairs = " ".join(f"{key}={_plain(value)}" for key, value in event.items() if value is not None)
    line = f"{moment} {level:<7} {message:<24} {pairs}".rstrip()
    return f"{line}\n{trace}" if trace else line


def _plain(value: object) -> str:
    text = str(value)
    return text if text.isprintable() and " " not in text else repr(text)
