"""What the embedded engine remembers across a restart: one SQLite file of this process.

A commit is a few writes to the system's memory of files, some fifty microseconds, and is made where
it is asked for: a thread would cost more than the writing. What makes the disk busy, moving commits
from the log into the file, is left to a thread of its own.

A commit survives the death of the process at any instant. With `synchronous=NORMAL` a loss of power
may take the last of them, never the file.
"""

import asyncio
import contextlib
import fcntl
import math
import os
import sqlite3
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final

import structlog

from sipagent.errors import StoreError

log = structlog.get_logger(__name__)

_FILE: Final = "engine.sqlite"

SOON: Final = 0.25
"""Seconds for which a statement that nobody waits for may stay unwritten."""

_BUSY: Final = 0.05
"""Seconds for which a commit waits for the thread that moves others; it comes with the next."""

_MOST_WAITING: Final = 200_000
"""Statements that are kept while the disk takes none. A call needs about six."""

_AT_ONCE: Final = 100
"""Statements of one commit where many wait, so that a disk that takes none is asked in vain for
little."""

_BACKLOG_WITHIN: Final = 0.05
"""Seconds for which those that have waited hold up everything else; the rest comes soon after."""

_MOVED_EVERY: Final = 30.0
"""Seconds between two moves. The first commit after one has the log begun anew, which waits for the
disk: rarely is better, and the log of half a minute is small."""

_EMPTIED_EVERY: Final = 300.0
"""Seconds after which the log beside the file is emptied: till then it may hold deleted rows."""

_FORMAT: Final = 2
_PRAGMAS: Final = (
    "journal_mode=WAL",
    "synchronous=NORMAL",
    "secure_delete=ON",
    "wal_autocheckpoint=0",
)
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS claims (
  id INTEGER PRIMARY KEY, call_id TEXT NOT NULL, webhook_id TEXT NOT NULL, claimed_at REAL NOT NULL,
  epoch INTEGER NOT NULL, call BLOB, decision BLOB);
CREATE TABLE IF NOT EXISTS marks (
  id INTEGER NOT NULL, key TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (id, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outcomes (id INTEGER PRIMARY KEY, outcome BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS parts (id INTEGER PRIMARY KEY, json BLOB NOT NULL);
"""

Statement = tuple[str, Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Written:
    """One claim as it stands in the file; `call` and `decision` are gone once it is settled."""

    id: int
    call_id: str
    webhook_id: str
    claimed_at: float
    epoch: int
    call: bytes | None
    decision: bytes | None
    marks: dict[str, float]
    outcome: bytes | None


class Memory:
    """The file of one data directory, open from `open` to `close`. All of it is for one thread."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / _FILE
        self._lock = data_dir / "engine.lock"
        self._locked: IO[bytes] | None = None
        self._connection: sqlite3.Connection | None = None
        self._waiting: dict[int, list[Statement]] = {}
        self._pressing: dict[int, None] = {}
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None
        self._mover: _Mover | None = None
        self.fault: str | None = None

    def open(self) -> None:
        """The file is there and ours. Raises StoreError: it cannot be used, is of a newer release,
        or another process holds it."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._locked = self._hold()
            self._connection = self._connect()
        except (OSError, sqlite3.Error) as error:
            self.close()
            reason = getattr(error, "strerror", None) or str(error)
            raise StoreError(str(self._path), f"cannot be used: {reason}") from error
        except StoreError:
            self.close()
            raise

    def read(self) -> list[Written]:
        """All claims in their order. Raises StoreError."""
        assert self._connection is not None
        try:
            marks: dict[int, dict[str, float]] = {}
            for number, key, at in self._connection.execute("SELECT id, key, at FROM marks"):
                marks.setdefault(number, {})[key] = at
            rows = self._connection.execute(
                "SELECT id, call_id, webhook_id, claimed_at, epoch, call, decision, outcome"
                " FROM claims LEFT JOIN outcomes USING (id) ORDER BY id"
            )
            return [
                Written(
                    number,
                    call_id,
                    webhook_id,
                    at,
                    epoch,
                    call,
                    decision,
                    marks.get(number, {}),
                    end,
                )
                for number, call_id, webhook_id, at, epoch, call, decision, end in rows
            ]
        except sqlite3.Error as error:
            raise StoreError(str(self._path), f"cannot be read: {error}") from error

    def parts(self) -> dict[int, bytes]:
        """What claims name by a number. Raises StoreError."""
        assert self._connection is not None
        try:
            return dict(self._connection.execute("SELECT id, json FROM parts").fetchall())
        except sqlite3.Error as error:
            raise StoreError(str(self._path), f"cannot be read: {error}") from error

    def start(self) -> None:
        """Have commits moved into the file from now on."""
        self._mover = _Mover(self._path)
        self._mover.start()

    def put(self, number: int, *statements: Statement, pressing: bool = False) -> None:
        """Have these of one claim written within a quarter of a second, after all that were put
        before for the same; if `pressing`, with the next that are written at once."""
        self._waiting.setdefault(number, []).extend(statements)
        self._count += len(statements)
        if pressing:
            self._pressing[number] = None
        if self._timer is None:
            self._again_in(SOON)

    def take(self, number: int) -> list[Statement]:
        """What waits for this claim: it is not written, unless it is put again."""
        taken = self._waiting.pop(number, [])
        self._pressing.pop(number, None)
        self._count -= len(taken)
        return taken

    def write(self, number: int, *statements: Statement) -> bool:
        """These of one claim, all that were put before for the same, and all that press outlive the
        process. False if the disk does not take them: then they are tried again with all others
        that wait."""
        self._waiting.setdefault(number, []).extend(statements)
        self._count += len(statements)
        # While the disk takes none, no claim waits for the others as well.
        most = _AT_ONCE if self.fault is None else 0
        pressing = [one for one in islice(self._pressing, most) if one != number]
        if self._connection is None:
            return False
        written = self._write(self._connection, [*pressing, number])
        if not written and pressing:
            # It may be another's statement that the disk does not take.
            written = self._write(self._connection, [number])
        if written and self.fault is not None:
            self.flush()
        return written

    def flush(self, within: float = _BACKLOG_WITHIN) -> bool:
        """All that were put outlive the process. False if the disk does not take them, or not so
        many `within` these seconds: then they are tried again soon."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._connection is None:
            return not self._waiting
        until = time.monotonic() + within
        while self._waiting:
            if not self._write(self._connection, self._oldest()):
                return False
            if self._waiting and time.monotonic() > until:
                self._again_in(SOON)
                return False
        return True

    def close(self) -> None:
        """All that was put is in the file, if the disk takes it, and the file is anybody's."""
        self.flush(within=math.inf)
        if self._timer is not None:
            self._timer.cancel()
        if self._mover is not None:
            self._mover.stop()
            self._mover = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._locked is not None:
            self._locked.close()
            self._locked = None

    def _oldest(self) -> list[int]:
        """The claims that have waited longest, with some hundred statements."""
        numbers: list[int] = []
        count = 0
        for number, statements in self._waiting.items():
            numbers.append(number)
            count += len(statements)
            if count >= _AT_ONCE:
                break
        return numbers

    def _write(self, connection: sqlite3.Connection, numbers: Sequence[int]) -> bool:
        """All that waits for these claims is in the file, or waits on."""
        try:
            _commit(connection, [one for number in numbers for one in self._waiting[number]])
        except sqlite3.Error as error:
            self._failed(connection, str(error))
            for number in numbers:  # what cannot be written stands in nobody's way
                if (statements := self._waiting.pop(number, None)) is not None:
                    self._waiting[number] = statements
            return False
        for number in numbers:
            self.take(number)
        if self.fault is not None and not self._waiting:
            log.info("engine memory written again", file=str(self._path))
            self.fault = None
            self._wait_for_others(connection, _BUSY)
        return True

    def _failed(self, connection: sqlite3.Connection, reason: str) -> None:
        if self.fault is None:
            log.error("engine memory not written", file=str(self._path), reason=reason)
            # One statement has waited long enough for all that come before the next success.
            self._wait_for_others(connection, 0.0)
        self.fault = reason
        while self._count > _MOST_WAITING:
            self.take(next(iter(self._waiting)))
        self._again_in(1.0)

    def _again_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        with contextlib.suppress(RuntimeError):  # no loop: the process ends
            self._timer = asyncio.get_running_loop().call_later(seconds, self.flush)

    def _wait_for_others(self, connection: sqlite3.Connection, seconds: float) -> None:
        with contextlib.suppress(sqlite3.Error):
            connection.execute(f"PRAGMA busy_timeout={seconds * 1000:.0f}")

    def _hold(self) -> IO[bytes]:
        handle = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        locked = os.fdopen(handle, "r+b")
        try:
            fcntl.flock(locked, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            locked.close()
            reason = "another `sipagent serve` uses this data directory: set SIPAGENT_DATA_DIR"
            raise StoreError(str(self._lock), reason) from None
        return locked

    def _connect(self) -> sqlite3.Connection:
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.close(handle)
        connection = sqlite3.connect(self._path, isolation_level=None, timeout=_BUSY)
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > _FORMAT:
            connection.close()
            reason = f"is of a newer release (format {version}): go on with that release"
            raise StoreError(str(self._path), reason)
        connection.executescript(_SCHEMA)
        connection.execute(f"PRAGMA user_version={_FORMAT}")
        return connection


def forget_deleted(data_dir: Path) -> None:
    """What has been deleted from the file is not in the log beside it either, as far as a process
    that uses it lets it be emptied."""
    path = data_dir / _FILE
    if not path.exists():
        return
    # Who waits here for readers holds up the commits of calls.
    with (
        contextlib.suppress(sqlite3.Error),
        contextlib.closing(sqlite3.connect(path, timeout=_BUSY)) as file,
    ):
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)")


_MOST_ROWS: Final = 16


def _merged(batch: Sequence[Statement]) -> list[Statement]:
    """The same, where those that put rows into one table one after the other are one statement."""
    merged: list[Statement] = []
    rows = 1
    for sql, values in batch:
        if merged and rows < _MOST_ROWS and merged[-1][0].startswith(sql) and _puts(sql):
            before, given = merged[-1]
            _, _, row = sql.rpartition(" VALUES ")
            merged[-1] = (f"{before}, {row}", (*given, *values))
            rows += 1
        else:
            merged.append((sql, values))
            rows = 1
    return merged


def _puts(sql: str) -> bool:
    return sql.startswith("INSERT")


def _commit(connection: sqlite3.Connection, batch: Sequence[Statement]) -> None:
    """All of them are in the file, or none. Raises sqlite3.Error."""
    batch = _merged(batch)
    if len(batch) == 1:  # a transaction by itself: no statement begins and none ends it
        connection.execute(*batch[0])
        return
    try:
        connection.execute("BEGIN IMMEDIATE")
        for sql, values in batch:
            connection.execute(sql, values)
        connection.execute("COMMIT")
    except sqlite3.Error:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


class _Mover:
    """A thread that moves commits from the log into the file, and empties the log now and then."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="engine memory", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(5.0)

    def _run(self) -> None:
        connection: sqlite3.Connection | None = None
        emptied_at = time.monotonic()
        while not self._stopped.wait(_MOVED_EVERY):
            due = time.monotonic() - emptied_at > _EMPTIED_EVERY
            try:
                connection = connection or sqlite3.connect(self._path, isolation_level=None)
                connection.execute(f"PRAGMA wal_checkpoint({'TRUNCATE' if due else 'PASSIVE'})")
            except sqlite3.Error as error:
                log.warning("engine memory not tidied", file=str(self._path), reason=str(error))
            if due:
                emptied_at = time.monotonic()
        if connection is not None:
            connection.close()
