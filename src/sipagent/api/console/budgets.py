"""Budgets of tenants, and how far they are used."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from sipagent.model import Quota, TenantName
from sipagent.routing import RoutingTable
from sipagent.routing.moment import day_and_month, day_begins, month_span
from sipagent.store.reading import spent_in

MOST_BUDGETS: Final = 50


@dataclass(frozen=True, slots=True)
class Budget:
    """One budget in its running day or month; money in micro-dollars."""

    tenant: TenantName
    period: str
    limit: int
    spent: int

    @property
    def look(self) -> str:
        """`wrong` where it is used up, `warn` from four fifths on."""
        if self.spent >= self.limit:
            return "wrong"
        return "warn" if self.spent * 5 >= self.limit * 4 else "good"


async def budgets(
    connection: AsyncConnection, table: RoutingTable, tenant: TenantName | None, now: float
) -> list[Budget]:
    """The budgets of a tenant, or of all (the first 50), with what is recorded as spent by now
    (unix seconds)."""
    found = []
    for name, period, limit, begins in list(_limits(table, tenant, now))[:MOST_BUDGETS]:
        spent = await spent_in(connection, name, since=begins, until=now)
        found.append(Budget(name, period, limit, spent))
    return found


def _limits(
    table: RoutingTable, tenant: TenantName | None, now: float
) -> Iterator[tuple[TenantName, str, int, float]]:
    """Each budget: whose it is, which day or month runs, its limit, and when that began."""
    for name, profile in sorted(table.tenants.items()):
        quota = profile.quota
        if quota is None or tenant not in (None, name):
            continue
        for period, limit, begins in _running(quota, now):
            yield name, period, limit, begins


def _running(quota: Quota, now: float) -> Iterator[tuple[str, int, float]]:
    day, month = day_and_month(now, quota.zone)
    if quota.day is not None:
        yield day, quota.day, day_begins(day, quota.zone)
    if quota.month is not None:
        yield month, quota.month, month_span(month, quota.zone)[0]
