"""The engine of the records' database, and what is true of each of its connections.

Importing this module takes a fifth of a second: commands that keep no records do without it.
"""

import os
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import asyncpg  # type: ignore[import-untyped]  # ships no types
from sqlalchemy import Connection, event
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from sipagent.errors import StoreError
from sipagent.store.location import Location

CONNECT_WITHIN: Final = 5.0
COMMAND_WITHIN: Final = 30.0
BUSY_MILLISECONDS: Final = 5000

IMMEDIATE: Final = "sipagent_immediate"
"""The execution option of a transaction that means to write: on SQLite it waits for its turn at
its beginning, where waiting helps, and not at its first write, where it may not."""

PRAGMAS: Final = (
    f"PRAGMA busy_timeout={BUSY_MILLISECONDS}",
    "PRAGMA synchronous=NORMAL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA secure_delete=ON",
)

_FILE_MODE: Final = 0o600
_FOLDER_MODE: Final = 0o700


def open_engine(location: Location) -> AsyncEngine:
    """An engine for the location; nothing is connected yet. It must be disposed of.

    A SQLite file exists afterwards, readable by this user only. Raises StoreError.
    """
    if location.file is not None:
        make_private(location.file)
        return _sqlite(location.file)
    assert location.dsn is not None
    return _postgresql(location.dsn)


def make_private(file: Path) -> None:
    """The file and its folder exist; a file or folder that is made is this user's only.

    Raises StoreError.
    """
    try:
        file.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _FILE_MODE))
        file.chmod(_FILE_MODE)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise StoreError(str(file), f"cannot be used: {reason}") from error


def reason_of(error: BaseException) -> str:
    """A few words for why the database failed, without statements, values or credentials."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        return reason_of(error.orig.__cause__ or error.orig)
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if type(error) is asyncpg.InterfaceError:
        return "the connection was lost"
    if isinstance(error, ssl.SSLError):
        return "TLS failed"
    if isinstance(error, OSError):
        return os.strerror(error.errno).lower() if error.errno else _words(type(error).__name__)
    name = getattr(error, "sqlite_errorname", None)
    if name is None:
        return _words(type(error).__name__)
    # The extended names of one cause begin with its own, as in SQLITE_IOERR_WRITE.
    cause = "_".join(name.split("_")[:2])
    return _CAUSES.get(cause, _words(name))


_CAUSES: Final = {
    "SQLITE_NOTADB": "it is not a database",
    "SQLITE_CORRUPT": "it is damaged",
    "SQLITE_FULL": "the disk is full",
    "SQLITE_READONLY": "it is read-only",
    "SQLITE_CANTOPEN": "it cannot be opened",
    "SQLITE_BUSY": "another process has locked it",
    "SQLITE_IOERR": "the disk failed",
}

DATABASE_ERRORS: Final = (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError)
"""What a database that is away, full or refusing raises. A TimeoutError is an OSError."""


def _words(name: str) -> str:
    """`SQLITE_FULL` and `InvalidPasswordError` in lower-case words."""
    if name.isupper():
        return name.lower().replace("_", " ")
    parts = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name)
    return parts.strip().removesuffix(" error")


def _sqlite(file: Path) -> AsyncEngine:
    engine = create_async_engine(
        URL.create("sqlite+aiosqlite", database=str(file)),
        pool_size=4,
        max_overflow=4,
        pool_timeout=CONNECT_WITHIN,
        connect_args={"timeout": BUSY_MILLISECONDS / 1000},
        hide_parameters=True,
    )
    event.listen(engine.sync_engine, "connect", _prepare)
    event.listen(engine.sync_engine, "begin", _begin)
    return engine


def _prepare(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    """The connection has our pragmas, and transactions begin where we say, not where the driver
    guesses."""
    connection.isolation_level = None
    run_pragmas(connection.cursor(), PRAGMAS)


def run_pragmas(cursor: Any, pragmas: Sequence[str]) -> None:
    for pragma in pragmas:
        cursor.execute(pragma)
    cursor.close()


def _begin(connection: Connection) -> None:
    immediate = connection.get_execution_options().get(IMMEDIATE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def _postgresql(dsn: str) -> AsyncEngine:
    async def connect() -> Any:
        return await asyncpg.connect(dsn, timeout=CONNECT_WITHIN, command_timeout=COMMAND_WITHIN)

    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        pool_size=5,
        max_overflow=5,
        pool_timeout=CONNECT_WITHIN,
        pool_pre_ping=False,
        pool_recycle=1800,
        hide_parameters=True,
    )
