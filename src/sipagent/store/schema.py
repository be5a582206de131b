"""The schema of the records: which revision a database has, and how it gets the newest one.

A revision adds to what there is, and says which releases' code can use the schema then (expand);
what no such code needs any more a later one takes away (contract). So a release runs on its own
schema and on the next one.
"""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sipagent.errors import StoreError
from sipagent.store.database import DATABASE_ERRORS, IMMEDIATE, open_engine, reason_of
from sipagent.store.location import Location
from sipagent.store.tables import usable_by

MIGRATIONS: Final = Path(__file__).parent / "migrations"
UPGRADE_WITHIN: Final = 600.0
STATUS_WITHIN: Final = 15.0

_LOCK_KEY: Final = 0x5349_5041  # "SIPA"
_PAUSE: Final = 0.05


class SchemaState(StrEnum):
    """CURRENT, OLDER (EMPTY has no table at all), or of a later release: AHEAD if that says that
    this one can use it as well, else NEWER."""

    CURRENT = "current"
    AHEAD = "ahead"
    OLDER = "older"
    EMPTY = "empty"
    NEWER = "newer"


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """The revision that a database has, and the one that this release brings."""

    revision: str | None
    newest: str
    state: SchemaState

    @property
    def usable(self) -> bool:
        """Whether this release can use the database as it is."""
        return self.state in (SchemaState.CURRENT, SchemaState.AHEAD)


async def status(engine: AsyncEngine, location: Location) -> SchemaStatus:
    """The state of the database's schema. Raises StoreError where it cannot be asked."""
    with _translated(location):
        async with asyncio.timeout(STATUS_WITHIN), engine.connect() as connection:
            return await connection.run_sync(_status)


async def upgrade(
    engine: AsyncEngine, location: Location, *, within: float = UPGRADE_WITHIN
) -> SchemaStatus:
    """The database has the newest schema, or one of a later release that this one can use; tells
    what it had before.

    Of several processes that ask at once one upgrades, and the others wait for it. It happens
    whole or not at all. Raises StoreError, also for a schema that this release cannot use.
    """
    with _translated(location):
        async with asyncio.timeout(within), _alone(engine, location) as connection:
            return await connection.run_sync(_upgrade, location)


async def check(location: Location) -> None:
    """Raises StoreError for records that a service could never use: a file that is none of records,
    or a schema of a newer release. A server that is away may come back."""
    engine = open_engine(location)
    try:
        found = await status(engine, location)
    except StoreError:
        if location.file is not None:
            raise
    else:
        require_known(found, location)
    finally:
        await engine.dispose()


def require_known(found: SchemaStatus, location: Location) -> None:
    """Raises StoreError for a schema of a release that we do not know."""
    if found.state is SchemaState.NEWER:
        reason = (
            f"has schema {found.revision}, which this release does not know (its own is "
            f"{found.newest}): run the release that made it, or a later one"
        )
        raise StoreError(location.shown, reason)


def without_any() -> SchemaStatus:
    """The state of a database that is not there yet."""
    return SchemaStatus(None, _newest(ScriptDirectory(MIGRATIONS)), SchemaState.EMPTY)


def alembic_config(connection: Connection) -> Config:
    """Alembic's configuration for commands on this connection."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def _status(connection: Connection) -> SchemaStatus:
    scripts = ScriptDirectory(MIGRATIONS)
    newest = _newest(scripts)
    revision = MigrationContext.configure(connection).get_current_revision()
    if revision is None:
        state = SchemaState.EMPTY
    elif revision == newest:
        state = SchemaState.CURRENT
    else:
        known = {script.revision for script in scripts.walk_revisions()}
        state = SchemaState.OLDER if revision in known else _later(connection, newest)
    return SchemaStatus(revision, newest, state)


def _later(connection: Connection, newest: str) -> SchemaState:
    """The state of a schema that a later release has made."""
    if not inspect(connection).has_table(usable_by.name):
        return SchemaState.NEWER
    named = select(usable_by.c.revision).where(usable_by.c.revision == newest)
    return SchemaState.NEWER if connection.scalar(named) is None else SchemaState.AHEAD


def _newest(scripts: ScriptDirectory) -> str:
    newest = scripts.get_current_head()
    assert newest is not None
    return newest


def _upgrade(connection: Connection, location: Location) -> SchemaStatus:
    found = _status(connection)
    require_known(found, location)
    if not found.usable:
        command.upgrade(alembic_config(connection), "head")
    return found


@contextlib.asynccontextmanager
async def _alone(engine: AsyncEngine, location: Location) -> AsyncIterator[AsyncConnection]:
    """A transaction in which no other process upgrades the same database."""
    if location.file is None:
        async with engine.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
            yield connection
        return
    async with _file_lock(location.file), engine.connect() as connection:
        await connection.exec_driver_sql("COMMIT")  # the journal's mode is changed outside of one
        await connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        await connection.rollback()
        await connection.execution_options(**{IMMEDIATE: True})
        async with connection.begin():
            yield connection


@contextlib.asynccontextmanager
async def _file_lock(file: Path) -> AsyncIterator[None]:
    lock = os.open(
        file.with_name(f"{file.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
    )
    try:
        while not _locked(lock):  # noqa: ASYNC110  # another process has no event for it
            await asyncio.sleep(_PAUSE)
        yield
    finally:
        os.close(lock)


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def _translated(location: Location) -> Iterator[None]:
    """A database's error becomes a StoreError."""
    try:
        yield
    except DATABASE_ERRORS as error:
        raise StoreError(location.shown, f"cannot be used: {reason_of(error)}") from error
