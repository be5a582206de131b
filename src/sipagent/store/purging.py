"""How calls leave the records: with everything of them, in steps that hold up nobody."""

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from sqlalchemy import Row, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sipagent.store.database import BUSY_MILLISECONDS, IMMEDIATE
from sipagent.store.tables import (
    aliases,
    calls,
    deleted_calls,
    happenings,
    messages,
    outbox,
    sessions,
    summaries,
    tool_calls,
    transfers,
    turns,
)

STEP: Final = 100
"""Calls that go in one transaction: some thirty milliseconds on SQLite, with forty turns each."""

PAUSE: Final = 0.02
"""Seconds between two of them, in which rows of calls are written."""

_OF_CALLS: Final = (happenings, transfers, tool_calls, aliases, outbox)
_CHECKPOINT_MILLISECONDS: Final = 100

SILENCED: Final = {"arguments": None, "output": None}
"""A tool call without words."""

NEEDED: Final = (
    calls.c.call_id,
    calls.c.tenant,
    calls.c.caller,
    calls.c.hold,
    calls.c.began_at,
    calls.c.outcome,
    calls.c.session,
    calls.c.plan,
)
"""The columns by which a call is judged and purged."""

CallRow = Row[tuple[Any, ...]]


@asynccontextmanager
async def writing(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A transaction that waits for its turn to write at its beginning."""
    async with engine.connect() as connection:
        await connection.execution_options(**{IMMEDIATE: True})
        async with connection.begin():
            yield connection


async def purge(connection: AsyncConnection, gone: Sequence[CallRow]) -> None:
    """Nothing of these calls is left but their usage and what statements count of them, which hold
    neither words nor numbers.

    Sessions that no other call began with are gone with them, as they may hold what a template has
    read of the caller.
    """
    ids = [row.call_id for row in gone]
    await purge_words(connection, ids)
    for table in _OF_CALLS:
        await connection.execute(delete(table).where(table.c.call_id.in_(ids)))
    await _count_as_deleted(connection, ids)
    await connection.execute(delete(calls).where(calls.c.call_id.in_(ids)))
    await _purge_sessions(connection, gone)


async def purge_words(connection: AsyncConnection, ids: Sequence[str]) -> None:
    """No word of these calls is left: neither what was said, nor what was made of it, nor what
    callers want to have told, nor what tools were given and gave."""
    for table in (turns, messages, summaries):
        await connection.execute(delete(table).where(table.c.call_id.in_(ids)))
    named = tool_calls.c.call_id.in_(ids)
    await connection.execute(update(tool_calls).where(named).values(SILENCED))


async def _count_as_deleted(connection: AsyncConnection, ids: Sequence[str]) -> None:
    """What statements count of these calls is kept, also what was not known of one of them when it
    was deleted before."""
    columns = [calls.c[column.name] for column in deleted_calls.c]
    make = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    kept = make(deleted_calls).from_select(
        [column.name for column in columns], select(*columns).where(calls.c.call_id.in_(ids))
    )
    known = {
        name: func.coalesce(kept.excluded[name], deleted_calls.c[name])
        for name in ("answered_at", "ended_at", "usage_complete")
    }
    await connection.execute(
        kept.on_conflict_do_update(index_elements=[deleted_calls.c.call_id], set_=known)
    )


async def _purge_sessions(connection: AsyncConnection, gone: Iterable[CallRow]) -> None:
    began = {row.session: row for row in gone if row.session is not None}
    for used in await _in_use(connection, began):
        del began[used]
    if not began:
        return
    spare = {hash_ for row in began.values() if (hash_ := _fallback(row.plan)) is not None}
    spare -= await _in_use(connection, spare)
    await connection.execute(delete(sessions).where(sessions.c.hash.in_({*began, *spare})))


async def _in_use(connection: AsyncConnection, hashes: Iterable[str]) -> set[str]:
    """Those of the sessions that a call began with."""
    of_calls = select(calls.c.session).where(calls.c.session.in_(set(hashes))).distinct()
    return set((await connection.execute(of_calls)).scalars())


def _fallback(plan: str | None) -> str | None:
    """The hash of the session of the plan's other model."""
    found = None if plan is None else json.loads(plan).get("fallback_session")
    return found if isinstance(found, str) else None


async def forget_journal(engine: AsyncEngine) -> bool:
    """What has been deleted is not in SQLite's write-ahead log either; False where readers have
    kept it from being emptied, so that it is to be tried again."""
    if engine.dialect.name != "sqlite":
        return True
    async with engine.connect() as connection:
        driver: Any = (await connection.get_raw_connection()).driver_connection
        # Who waits here holds up whoever writes.
        await driver.execute(f"PRAGMA busy_timeout={_CHECKPOINT_MILLISECONDS}")
        try:
            cursor = await driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            busy, *_ = await cursor.fetchone()
            await cursor.close()
        finally:
            await driver.execute(f"PRAGMA busy_timeout={BUSY_MILLISECONDS}")
    return not busy
