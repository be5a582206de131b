"""What has been billed to a tenant in a time."""

from sqlalchemy import BigInteger, cast, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from sipagent.model import TenantName
from sipagent.store.tables import usage


async def spent_in(
    connection: AsyncConnection, tenant: TenantName, *, since: float, until: float
) -> int:
    """Micro-dollars of the tenant's bills that came from `since` until before `until` (unix
    seconds), as far as they have a price."""
    c = usage.c
    asked = select(cast(func.coalesce(func.sum(c.cost), 0), BigInteger)).where(
        c.tenant == tenant, c.at >= since, c.at < until
    )
    return int(await connection.scalar(asked) or 0)
