"""Numbers that were dialed and lead nowhere."""

from typing import Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from sipagent.model import Reason, TenantName
from sipagent.store.facts import Unrouted
from sipagent.store.tables import calls

_UNKNOWN: Final = f"{Reason.UNKNOWN_NUMBER.kind}.{Reason.UNKNOWN_NUMBER}"


async def unrouted_numbers(
    connection: AsyncConnection,
    tenant: TenantName | None,
    *,
    since: float,
    until: float | None = None,
    limit: int = 50,
) -> tuple[Unrouted, ...]:
    """The numbers that were refused as unknown since then, the most dialed first."""
    c = calls.c
    count = func.count()
    query = (
        select(
            c.dialed,
            c.dialed_source,
            c.account,
            c.trunk,
            count,
            func.min(c.began_at),
            func.max(c.began_at),
        )
        .where(c.outcome == _UNKNOWN, c.began_at >= since)
        .group_by(c.dialed, c.dialed_source, c.account, c.trunk)
        .order_by(count.desc(), func.max(c.began_at).desc())
        .limit(limit)
    )
    if tenant is not None:
        query = query.where(c.tenant == tenant)
    if until is not None:
        query = query.where(c.began_at < until)
    return tuple(Unrouted(*row) for row in await connection.execute(query))
