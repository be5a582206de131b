"""The last call of each of many numbers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from sipagent.model import TenantName
from sipagent.store.tables import calls

MOST_NUMBERS: Final = 200
"""In one query. SQLite joins at most 500 selects."""


@dataclass(frozen=True, slots=True)
class LastCall:
    """The newest call to a number of a tenant, and the header in which the number was found."""

    tenant: str
    dialed: str = field(repr=False)
    call_id: str
    began_at: float
    header: str | None
    outcome: str | None


async def last_calls(
    connection: AsyncConnection, numbers: Sequence[tuple[TenantName, str]]
) -> tuple[LastCall, ...]:
    """The last call of each of these numbers, as they are stored, that has had one."""
    found: list[LastCall] = []
    asked = list(dict.fromkeys(numbers))
    c = calls.c
    for at in range(0, len(asked), MOST_NUMBERS):
        each = [
            select(c.tenant, c.dialed, c.call_id, c.began_at, c.dialed_source, c.outcome)
            .where(c.dialed == dialed, c.tenant == tenant)
            .order_by(c.began_at.desc(), c.call_id.desc())
            .limit(1)
            .subquery()
            for tenant, dialed in asked[at : at + MOST_NUMBERS]
        ]
        rows = await connection.execute(union_all(*(select(one) for one in each)))
        found += (LastCall(*row) for row in rows)
    return tuple(found)
