"""Tenants of the records, those that the configuration has no more among them."""

from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from sipagent.model import TenantName
from sipagent.store.tables import calls, deleted_calls, messages, tool_calls, turns, usage

_TABLES: Final = (calls, turns, tool_calls, messages, usage, deleted_calls)


async def recorded_tenants(engine: AsyncEngine) -> list[TenantName]:
    """Every tenant of whom anything is kept, found along the indexes."""
    found: set[str] = set()
    for table in _TABLES:
        column = table.c.tenant
        last: str | None = ""
        while last is not None:
            following = select(column).where(column > last).order_by(column).limit(1)
            async with engine.connect() as connection:
                last = await connection.scalar(following)
            if last is not None:
                found.add(last)
    return [TenantName(tenant) for tenant in sorted(found)]
