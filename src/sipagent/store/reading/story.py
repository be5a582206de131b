"""One call, found by any of its names, and everything that is kept of it."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Final, TypeVar

from sqlalchemy import ColumnElement, Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from sipagent.model import CallId, TenantName
from sipagent.store import tables
from sipagent.store.facts import (
    CallRow,
    StoredAlias,
    StoredHappening,
    StoredMessage,
    StoredSummary,
    StoredToolCall,
    StoredTransfer,
    StoredTurn,
    StoredUsage,
    Story,
)
from sipagent.store.reading.rows import CALL_COLUMNS, call_row, plan_of, trace_of

_MOST_NAMESAKES: Final = 20

Part = TypeVar(
    "Part",
    StoredTurn,
    StoredHappening,
    StoredUsage,
    StoredTransfer,
    StoredToolCall,
    StoredMessage,
    StoredSummary,
    StoredAlias,
)
_WORDS: Final = frozenset({"arguments", "output", "fields"})
"""Columns that are read with the words only."""


async def find_calls(
    connection: AsyncConnection, tenant: TenantName | None, name: str
) -> tuple[CallId, ...]:
    """The calls that have this id, this webhook id, or this name at a carrier: one, none, or the
    several that a carrier calls by one name, the newest first."""
    calls, aliases = tables.calls, tables.aliases
    by_id = [calls.c.call_id == name], [calls.c.webhook_id == name]
    for condition in by_id:
        if found := await _found(connection, tenant, condition):
            return found
    named = await connection.scalars(
        select(aliases.c.call_id).where(aliases.c.alias == name).limit(_MOST_NAMESAKES)
    )
    return await _found(connection, tenant, [calls.c.call_id.in_(named.all())])


async def _found(
    connection: AsyncConnection, tenant: TenantName | None, conditions: list[ColumnElement[bool]]
) -> tuple[CallId, ...]:
    """The tenant's calls of a few, the newest first. They are put in order here: asked for in
    order, a database may rather go through all calls of the tenant."""
    c = tables.calls.c
    query = select(c.call_id, c.began_at, c.account).where(*conditions)
    if tenant is not None:
        query = query.where(c.tenant == tenant)
    rows = sorted(await connection.execute(query), key=lambda row: -row.began_at)
    return tuple(CallId(row.call_id) for row in rows)


async def read_call(
    connection: AsyncConnection, tenant: TenantName | None, call_id: CallId
) -> CallRow | None:
    """The facts of a call; None where the tenant has no such call."""
    c = tables.calls.c
    query = select(*CALL_COLUMNS).where(c.call_id == call_id)
    if tenant is not None:
        query = query.where(c.tenant == tenant)
    row = (await connection.execute(query)).mappings().first()
    return None if row is None else call_row(row)


async def read_story(
    connection: AsyncConnection, tenant: TenantName | None, call_id: CallId, *, words: bool
) -> Story | None:
    """Everything that is kept of a call, its turns and the words of its tools and messages only
    with `words`; None where the tenant has no such call."""
    stories = await read_stories(connection, tenant, [call_id], words=words)
    return stories[0] if stories else None


async def read_stories(
    connection: AsyncConnection,
    tenant: TenantName | None,
    call_ids: Sequence[CallId],
    *,
    words: bool,
) -> tuple[Story, ...]:
    """The stories of those of the calls that the tenant has, in the order of their ids."""
    c = tables.calls.c
    query = select(*CALL_COLUMNS, c.trace, c.plan).where(c.call_id.in_(call_ids))
    if tenant is not None:
        query = query.where(c.tenant == tenant)
    rows = {row["call_id"]: row for row in (await connection.execute(query)).mappings()}
    ids = [call_id for call_id in call_ids if call_id in rows]
    if not ids:
        return ()
    turns = await _parts(connection, ids, tables.turns, StoredTurn) if words else {}
    happenings = await _parts(connection, ids, tables.happenings, StoredHappening)
    usage = await _parts(connection, ids, tables.usage, StoredUsage, by="at")
    transfers = await _parts(connection, ids, tables.transfers, StoredTransfer)
    aliases = await _parts(connection, ids, tables.aliases, StoredAlias)
    without = frozenset() if words else _WORDS
    tools = await _parts(
        connection, ids, tables.tool_calls, StoredToolCall, by="at", without=without
    )
    messages = await _parts(
        connection, ids, tables.messages, StoredMessage, by="at", without=without
    )
    made = await _parts(connection, ids, tables.summaries, StoredSummary) if words else {}
    return tuple(
        Story(
            call_row(rows[one]),
            trace_of(rows[one]["trace"]),
            plan_of(rows[one]["plan"]),
            turns.get(one, ()),
            happenings.get(one, ()),
            usage.get(one, ()),
            transfers.get(one, ()),
            aliases.get(one, ()),
            tools.get(one, ()),
            messages.get(one, ()),
            made.get(one, ()),
        )
        for one in ids
    )


async def _parts(
    connection: AsyncConnection,
    call_ids: Sequence[CallId],
    table: Table,
    form: type[Part],
    by: str | None = None,
    without: frozenset[str] = frozenset(),
) -> dict[CallId, tuple[Part, ...]]:
    """Each call's rows of a table, in the order of `by` or of its key; the columns that they are
    read `without` are the last of their form."""
    columns = [table.c[each.name] for each in fields(form) if each.name not in without]
    key: Any = table.primary_key.columns
    order = key if by is None else (table.c[by], *key)
    query = select(table.c.call_id, *columns).where(table.c.call_id.in_(call_ids)).order_by(*order)
    found: dict[CallId, list[Part]] = {}
    for call_id, *values in await connection.execute(query):
        found.setdefault(call_id, []).append(form(*values))
    return {call_id: tuple(parts) for call_id, parts in found.items()}
