"""Words in what was said, within one tenant and 31 days."""

from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from sipagent.model import TenantName
from sipagent.store.tables import turns

LONGEST_SEARCH: Final = 31 * 86400.0
"""Seconds of calls that one search may look through."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A turn that holds the text. `at` is unix seconds."""

    call_id: str
    sequence: int
    at: float
    speaker: str
    text: str = field(repr=False)


async def search_turns(
    connection: AsyncConnection,
    tenant: TenantName,
    text: str,
    *,
    since: float,
    until: float,
    limit: int = 50,
) -> tuple[Hit, ...]:
    """The newest turns of the tenant that hold the text, whatever its case is; SQLite knows the
    case of A to Z only. Raises ValueError for an empty text or a span of more than 31 days."""
    if not text.strip():
        raise ValueError("there is nothing to search for")
    if not 0 <= until - since <= LONGEST_SEARCH:
        raise ValueError("a search spans at most 31 days")
    c = turns.c
    query = (
        select(c.call_id, c.sequence, c.at, c.speaker, c.text)
        .where(c.tenant == tenant, c.at >= since, c.at < until)
        .where(c.text.icontains(text, autoescape=True))
        .order_by(c.at.desc(), c.call_id, c.sequence)
        .limit(limit)
    )
    return tuple(Hit(*row) for row in await connection.execute(query))
