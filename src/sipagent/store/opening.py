"""The records opened by a command that changes them, also while a service writes them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from sqlalchemy import inspect
from sqlalchemy.ext.asyncio import AsyncEngine

from sipagent.errors import StoreError
from sipagent.store.database import DATABASE_ERRORS, open_engine, reason_of
from sipagent.store.location import NOT_THERE, Location
from sipagent.store.schema import require_known, status
from sipagent.store.tables import tokens
from sipagent.store.tokens import operators

ANSWERED_WITHIN: Final = 10.0


async def operator_known(location: Location) -> bool | None:
    """Whether the operator has a token; None where the records do not say."""
    engine = open_engine(location)
    try:
        async with asyncio.timeout(ANSWERED_WITHIN):
            async with engine.connect() as connection:
                there = await connection.run_sync(lambda sync: inspect(sync).has_table(tokens.name))
            return there and await operators(engine)
    except DATABASE_ERRORS:
        return None
    finally:
        await engine.dispose()


@asynccontextmanager
async def changed(location: Location) -> AsyncIterator[AsyncEngine]:
    """An engine for records that have this release's schema, as long as the block lasts.

    Raises StoreError, also for what the database raises within the block.
    """
    if location.file is not None and not location.file.is_file():
        raise StoreError(location.shown, NOT_THERE)
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
