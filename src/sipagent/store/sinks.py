"""How a batch of rows gets into a database, in one transaction.

SQLite is written by a thread of its own, one hop for a batch: eight times less of the event loop's
time than a hop for each statement.
"""

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, Protocol

import asyncpg  # type: ignore[import-untyped]  # ships no types
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from sipagent.store.buffer import Entry
from sipagent.store.database import BUSY_MILLISECONDS, PRAGMAS, run_pragmas
from sipagent.store.location import Location
from sipagent.store.rows import COLUMNS, Row, RowKind
from sipagent.store.statements import TABLES, statements

Batch = Mapping[RowKind, Sequence[Row]]
"""Rows by their kind, in the order in which they are written."""

_IN_ORDER: Final = tuple(RowKind)
_BILLING: Final = frozenset((RowKind.OUTCOME, RowKind.USAGE))
_CONFLICT: Final = "40"
"""The SQLSTATE class of what was given up because another replica wrote the same rows."""

_ATTEMPTS: Final = 3
_LOCK: Final = """
SELECT 1 FROM calls WHERE call_id = ANY(CAST($1 AS varchar[])) ORDER BY call_id FOR NO KEY UPDATE
"""
_REFUSED_VALUE: Final = ("22", "23")
"""SQLSTATE classes of a value that no database will ever take: data exceptions, constraints."""


def batch_of(entries: Sequence[Entry]) -> Batch:
    """The rows by their kind; calls that ended or were billed get their totals."""
    batch: dict[RowKind, list[Row]] = {kind: [] for kind in _IN_ORDER}
    for kind, row in entries:
        batch[kind].append(row)
    billed = dict.fromkeys(row[0] for kind in _BILLING for row in batch[kind])
    batch[RowKind.TOTALS] = [(call_id,) for call_id in billed]
    return batch


class Sink(Protocol):
    """Where batches go."""

    async def write(self, batch: Batch) -> None:
        """The whole batch is stored, or nothing of it is. Raises what the database raises.

        Cancelled, it may be either.
        """

    async def close(self) -> None: ...


def sink_for(location: Location, engine: AsyncEngine) -> Sink:
    """The sink of a database that the engine reads."""
    if location.file is not None:
        return SqliteSink(location.file)
    return PostgresqlSink(engine)


def is_refusal(error: BaseException) -> bool:
    """Whether a row itself is why it was not stored, so that trying again cannot help."""
    error = _cause(error)
    if isinstance(error, asyncpg.PostgresError):
        return str(error.sqlstate or "")[:2] in _REFUSED_VALUE
    return isinstance(
        error,
        asyncpg.DataError
        | sqlite3.IntegrityError
        | sqlite3.DataError
        | sqlite3.ProgrammingError
        | OverflowError
        | ValueError
        | TypeError,
    )


def is_conflict(error: BaseException) -> bool:
    """Whether two replicas were in each other's way, so that trying again at once helps."""
    error = _cause(error)
    return isinstance(error, asyncpg.PostgresError) and str(error.sqlstate)[:2] == _CONFLICT


def _cause(error: BaseException) -> BaseException:
    """What the database's driver has raised."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        return error.orig.__cause__ or error.orig
    return error


class PostgresqlSink:
    """Batches over a connection of the engine's pool.

    Other replicas may write of the same calls at the same time. What is written of one call waits
    for its turn from the first row on, so that its totals are those of all bills that are stored;
    and rows are written in the order of their keys, so that no two wait for each other.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._sql = statements("postgresql")

    async def write(self, batch: Batch) -> None:
        for left in reversed(range(_ATTEMPTS)):
            try:
                await self._write(batch)
            except DBAPIError as error:
                if not left or not is_conflict(error):
                    raise
            else:
                return

    async def _write(self, batch: Batch) -> None:
        async with self._engine.begin() as connection:
            if calls := _calls_of(batch):
                await connection.exec_driver_sql(_LOCK, (calls,))
            for kind, rows in batch.items():
                if rows:
                    ordered = sorted(rows, key=_KEYS[kind])
                    await connection.exec_driver_sql(self._sql[kind], ordered)

    async def close(self) -> None:
        """The engine's connections are not this sink's to close."""


def _calls_of(batch: Batch) -> list[str]:
    """The calls whose own rows are to be written."""
    kinds = (RowKind.CALL, RowKind.OUTCOME, RowKind.TOTALS)
    return sorted({row[0] for kind in kinds for row in batch.get(kind, ())})


def _key_of(kind: RowKind) -> Callable[[Row], Any]:
    """What tells a row of the kind from others."""
    columns = (
        ("call_id",) if kind is RowKind.TOTALS else (one.name for one in TABLES[kind].primary_key)
    )
    return itemgetter(*(COLUMNS[kind].index(name) for name in columns))


_KEYS: Final = {kind: _key_of(kind) for kind in RowKind}


class SqliteSink:
    """Batches by a thread that has the only connection that writes."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._sql = statements("sqlite")
        self._connection: sqlite3.Connection | None = None
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._running: asyncio.Future[None] | None = None

    async def write(self, batch: Batch) -> None:
        if self._running is not None:
            await self._given_up()
        await self._in_thread(lambda: self._write(batch))

    async def close(self) -> None:
        if self._thread is None:
            return
        if self._running is not None:
            await self._given_up()
        await self._in_thread(self._disconnect)
        self._jobs.put(None)
        self._thread = None

    async def _given_up(self) -> None:
        """The batch that nobody waited for any more has come to its end."""
        if self._connection is not None:
            self._connection.interrupt()
        if self._running is not None:
            await asyncio.wait((self._running,))
            self._running.exception()
        self._running = None

    async def _in_thread(self, work: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        self._running = ended = loop.create_future()

        def job() -> None:
            failure: BaseException | None = None
            try:
                work()
            except BaseException as error:  # noqa: BLE001  # handed over to who waits for it
                failure = error
            with contextlib.suppress(RuntimeError):  # the loop has been closed meanwhile
                loop.call_soon_threadsafe(_tell, ended, failure)

        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="records", daemon=True)
            self._thread.start()
        self._jobs.put(job)
        try:
            await asyncio.shield(ended)
        finally:
            if ended.done():
                self._running = None

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()

    def _write(self, batch: Batch) -> None:
        connection = self._connected()
        try:
            connection.execute("BEGIN IMMEDIATE")
            for kind, rows in batch.items():
                if rows:
                    connection.executemany(self._sql[kind], rows)
            connection.execute("COMMIT")
        except BaseException:
            self._disconnect()
            raise

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = sqlite3.connect(
                f"{self._file.absolute().as_uri()}?mode=rw",
                uri=True,
                isolation_level=None,
                check_same_thread=False,
                timeout=BUSY_MILLISECONDS / 1000,
            )
            # A backup that was put back has no write-ahead log, and readers would hold up writing.
            run_pragmas(self._connection.cursor(), (*PRAGMAS, "PRAGMA journal_mode=WAL"))
        return self._connection

    def _disconnect(self) -> None:
        """What is not committed is rolled back; the next batch finds a new connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _tell(ended: asyncio.Future[None], failure: BaseException | None) -> None:
    if ended.done():
        return
    if failure is None:
        ended.set_result(None)
    else:
        ended.set_exception(failure)
