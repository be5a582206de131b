"""Tenants of the records, those that the configuration has no more among them."""

from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from sipagent.model import TenantName
from sipagent.store.tables import calls, deleted_calls, turns, usage

_COLUMNS: Final = (calls.c.tenant, turns.c.tenant, usage.c.tenant, deleted_calls.c.tenant)


async def recorded_tenants(engine: AsyncEngine) -> list[TenantName]:
    """Every tenant of whom anything is kept, found along the indexes."""
    found: set[str] = set()
    for column in _COLUMNS:
        last: str | None = ""
        while last is not None:
            following = select(column).where(column > last).order_by(column).limit(1)
            async with engine.connect() as connection:
                last = await connection.scalar(following)
            if last is not None:
                found.add(last)
    return [TenantName(tenant) for tenant in sorted(found)]
