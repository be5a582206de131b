"""The records opened for reading, also while a service writes them."""

import contextlib
from collections.abc import AsyncIterator
from urllib.parse import quote

from sqlalchemy import event
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from sipagent.errors import StoreError
from sipagent.store.database import BUSY_MILLISECONDS, DATABASE_ERRORS, open_engine, reason_of
from sipagent.store.location import NOT_THERE, Location
from sipagent.store.schema import require_known, status


def open_reader(location: Location) -> AsyncEngine:
    """An engine whose connections can only read; nothing is connected yet. It must be disposed of.

    Raises StoreError where there is no such file.
    """
    if location.file is None:
        return open_engine(location).execution_options(postgresql_readonly=True)
    if not location.file.is_file():
        raise StoreError(location.shown, NOT_THERE)
    file = f"file:{quote(str(location.file.absolute()))}"
    engine = create_async_engine(
        URL.create("sqlite+aiosqlite", database=file, query={"mode": "ro", "uri": "true"}),
        poolclass=NullPool,
        connect_args={"timeout": BUSY_MILLISECONDS / 1000},
        hide_parameters=True,
    )
    event.listen(engine.sync_engine, "connect", _read_only)
    return engine


@contextlib.asynccontextmanager
async def records(location: Location) -> AsyncIterator[AsyncEngine]:
    """An engine for reading as long as the block lasts. Raises StoreError, also for what goes wrong
    within the block and for a schema that this release cannot read."""
    engine = open_reader(location)
    try:
        yield engine
    except DATABASE_ERRORS as error:
        await _explain(engine, location)
        raise StoreError(location.shown, f"cannot be read: {reason_of(error)}") from error
    finally:
        await engine.dispose()


async def _explain(engine: AsyncEngine, location: Location) -> None:
    """Raises StoreError where it is the schema that does not fit."""
    found = await status(engine, location)
    require_known(found, location)
    if not found.usable:
        revision = "no tables" if found.revision is None else f"schema {found.revision}"
        reason = f"has {revision} and not {found.newest}: run `sipagent db upgrade`"
        raise StoreError(location.shown, reason)


def _read_only(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA query_only=ON")
    cursor.close()
