"""The records opened by a command that changes them, also while a service writes them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncEngine

from sipagent.errors import StoreError
from sipagent.store.database import DATABASE_ERRORS, open_engine, reason_of
from sipagent.store.location import Location
from sipagent.store.schema import require_known, status


@asynccontextmanager
async def changed(location: Location) -> AsyncIterator[AsyncEngine]:
    """An engine for records that have this release's schema, as long as the block lasts.

    Raises StoreError, also for what the database raises within the block.
    """
    if location.file is not None and not location.file.is_file():
        raise StoreError(location.shown, "is not there: no service has kept records in it")
    engine = open_engine(location)
    try:
        found = await status(engine, location)
        require_known(found, location)
        if not found.usable:
            reason = f"has not the schema {found.newest}: run `sipagent db upgrade`"
            raise StoreError(location.shown, reason)
        yield engine
    except DATABASE_ERRORS as error:
        raise StoreError(location.shown, f"cannot be used: {reason_of(error)}") from error
    finally:
        await engine.dispose()
