"""What callers want to have told, the newest first."""

from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from sipagent.model import TenantName
from sipagent.store.facts import StoredMessage
from sipagent.store.tables import calls, messages

MOST_MESSAGES: Final = 1000
"""In one list."""


@dataclass(frozen=True, slots=True)
class MessageRow:
    """A message and whose it is; what follows it is None where nothing else is left of its call."""

    call_id: str
    tenant: str
    message: StoredMessage
    agent: str | None
    caller: str | None = field(repr=False)
    dialed: str | None = field(repr=False)


async def list_messages(
    connection: AsyncConnection,
    tenant: TenantName | None,
    *,
    since: float | None = None,
    until: float | None = None,
    limit: int = 50,
) -> tuple[MessageRow, ...]:
    """The newest messages of a tenant from `since` until before `until` (unix seconds); None is
    every tenant, for the operator."""
    conditions = []
    if since is not None:
        conditions.append(messages.c.at >= since)
    if until is not None:
        conditions.append(messages.c.at < until)
    return await _found(connection, tenant, conditions, limit)


async def find_messages(
    connection: AsyncConnection, tenant: TenantName | None, name: str
) -> tuple[MessageRow, ...]:
    """The message that has this id, or those of the call that has it, the newest first."""
    named = or_(messages.c.id == name, messages.c.call_id == name)
    return await _found(connection, tenant, [named], MOST_MESSAGES)


async def _found(
    connection: AsyncConnection,
    tenant: TenantName | None,
    conditions: list[ColumnElement[bool]],
    limit: int,
) -> tuple[MessageRow, ...]:
    c = messages.c
    if tenant is not None:
        conditions = [*conditions, c.tenant == tenant]
    query = (
        select(c.call_id, c.tenant, c.id, c.at, c.fields, calls.c.agent)
        .add_columns(calls.c.caller, calls.c.dialed)
        .select_from(messages.outerjoin(calls, calls.c.call_id == c.call_id))
        .where(*conditions)
        .order_by(c.at.desc(), c.call_id.desc(), c.id.desc())
        .limit(max(1, min(limit, MOST_MESSAGES)))
    )
    return tuple(
        MessageRow(call_id, owner, StoredMessage(id_, at, fields), *rest)
        for call_id, owner, id_, at, fields, *rest in await connection.execute(query)
    )
