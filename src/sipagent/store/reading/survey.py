"""What the calls of a span have in common: counts by their traits, and those that failed."""

from dataclasses import fields
from typing import Any, Final

from sqlalchemy import ColumnElement, case, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from sipagent.model import Kind, TenantName
from sipagent.store.facts import Failure, Group, Survey, Traits
from sipagent.store.tables import calls

_MOST_FAILURES: Final = 10_000
_BAD: Final = (Kind.FAILED, Kind.LOST)


async def survey(
    connection: AsyncConnection, tenant: TenantName | None, *, since: float, until: float
) -> Survey:
    """What the calls that ended from `since` until before `until` (unix seconds) looked like."""
    c = calls.c
    mine = [] if tenant is None else [c.tenant == tenant]
    within = [*mine, c.ended_at >= since, c.ended_at < until]
    traits = [c[each.name] for each in fields(Traits)]
    bad = or_(*(c.outcome.startswith(f"{kind}.") for kind in _BAD))
    refused = c.outcome.startswith(f"{Kind.REJECTED}.")
    rows = await connection.execute(
        select(*traits, func.count(), _sum(bad), _sum(refused)).where(*within).group_by(*traits)
    )
    ended, rejected, groups = 0, 0, []
    for *common, count, wrong, not_taken in rows:
        ended, rejected = ended + count, rejected + not_taken
        if count > not_taken:
            groups.append(Group(Traits(*common), wrong, count - wrong - not_taken))
    held = await connection.scalar(select(func.count()).where(*mine, c.ended_at.is_(None)))
    failed = await connection.execute(
        select(*(c[each.name] for each in fields(Failure)))
        .where(*within, bad)
        .order_by(c.ended_at.desc())
        .limit(_MOST_FAILURES)
    )
    failures = tuple(Failure(*row) for row in failed)[::-1]
    return Survey(ended, rejected, held or 0, tuple(groups), failures)


def _sum(condition: ColumnElement[bool]) -> ColumnElement[Any]:
    return func.sum(case((condition, 1), else_=0))
