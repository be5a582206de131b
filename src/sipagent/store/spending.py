"""What has been spent in the running day and month, as the records have it.

A process that starts counts on from there: budgets outlive it.
"""

from collections.abc import AsyncGenerator, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, case, func, select, true
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sipagent.model import CallId, Quota, QuotaScope, TenantName
from sipagent.routing import RoutingTable
from sipagent.routing.moment import day_and_month, day_begins, month_span
from sipagent.sip import E164, is_e164, spellings
from sipagent.store.numbers import StoredNumbers
from sipagent.store.tables import calls, usage

_AT_ONCE: Final = 500
_LONGEST_CALL: Final = 7200.0
"""Seconds before its bill that a call may have begun."""


@dataclass(frozen=True, slots=True)
class Spent:
    """Micro-dollars of a quota's key in a day (`2026-11-28`) or a month (`2026-11`)."""

    key: str = field(repr=False)
    label: str
    micros: int


async def spent_so_far(
    engine: AsyncEngine,
    table: RoutingTable,
    numbers: StoredNumbers,
    now: float,
    known: Collection[str] = (),
    process: Quota | None = None,
) -> AsyncGenerator[tuple[str, list[Spent]]]:
    """What counts by now for each budget of the table and of the process whose key is not known,
    one key after the other: who is interrupted goes on with those that are left.

    Raises what the database raises.
    """
    async with engine.connect() as connection:
        for quota, tenant in quotas_of(table, process):
            if quota.key not in known and (quota.day is not None or quota.month is not None):
                scope = _scope(quota, tenant, numbers, now)
                yield quota.key, await _of(connection, quota, scope, now)


async def costs_of(engine: AsyncEngine, call_ids: Sequence[CallId]) -> dict[str, int]:
    """The known cost of each of these calls that has one. Raises what the database raises."""
    found: dict[str, int] = {}
    async with engine.connect() as connection:
        for at in range(0, len(call_ids), _AT_ONCE):
            rows = await connection.execute(
                select(usage.c.call_id, func.sum(usage.c.cost))
                .where(usage.c.call_id.in_(call_ids[at : at + _AT_ONCE]))
                .group_by(usage.c.call_id)
            )
            found |= {call_id: int(cost) for call_id, cost in rows if cost is not None}
    return found


def quotas_of(
    table: RoutingTable, process: Quota | None = None
) -> Iterator[tuple[Quota, TenantName | None]]:
    """All quotas of the table and of the process, each with its tenant if it is one's."""
    tenants: Iterable[tuple[Quota | None, TenantName | None]] = (
        (tenant.quota, tenant.name) for tenant in table.tenants.values()
    )
    routes = {
        route.key: (route.quota, route.tenant)
        for directory in table.directories.values()
        for route in directory.exact.values()
    }
    accounts = ((quota, None) for quota in table.quotas.values())
    for quota, tenant in ((process, None), *tenants, *accounts, *routes.values()):
        if quota is not None:
            yield quota, tenant


def quotas_for(
    table: RoutingTable,
    process: Quota | None,
    numbers: StoredNumbers,
    *,
    tenant: TenantName,
    account: str,
    dialed: str | None,
) -> Iterator[Quota]:
    """Those of all quotas for which bills of such a call count; `dialed` is as it is stored. Of
    numbers only those with a budget."""
    named = {QuotaScope.TENANT: tenant, QuotaScope.ACCOUNT: account}
    for quota, owner in quotas_of(table, process):
        if quota.scope is QuotaScope.NUMBER:
            paid = quota.day is not None or quota.month is not None
            if paid and owner == tenant and dialed in _stored(quota.name, tenant, numbers):
                yield quota
        elif quota.scope is QuotaScope.PROCESS or quota.name == named[quota.scope]:
            yield quota


def _scope(
    quota: Quota, tenant: TenantName | None, numbers: StoredNumbers, now: float
) -> ColumnElement[bool]:
    """Which bills count for the quota."""
    if quota.scope is QuotaScope.TENANT:
        return usage.c.tenant == quota.name
    if quota.scope is QuotaScope.ACCOUNT:
        return usage.c.account == quota.name
    if quota.scope is QuotaScope.PROCESS:
        return true()
    assert tenant is not None
    begins, _ = month_span(day_and_month(now, quota.zone)[1], quota.zone)
    of_number = select(calls.c.call_id).where(
        calls.c.dialed.in_(_stored(quota.name, tenant, numbers)),
        calls.c.tenant == tenant,
        calls.c.began_at >= begins - _LONGEST_CALL,
    )
    return usage.c.call_id.in_(of_number)


def _stored(number: str, tenant: TenantName, numbers: StoredNumbers) -> list[str]:
    """All forms in which the records may have a number of the directory."""
    written = [number, *(spellings(E164(number)) if is_e164(number) else ())]
    forms = (form for text in written for form in numbers.spellings(tenant, text))
    return list(dict.fromkeys(forms))


async def _of(
    connection: AsyncConnection, quota: Quota, scope: ColumnElement[bool], now: float
) -> list[Spent]:
    day, month = day_and_month(now, quota.zone)
    today, (begins, ends) = day_begins(day, quota.zone), month_span(month, quota.zone)
    of_day: Any = case((usage.c.at >= today, usage.c.cost), else_=0)
    sums = select(func.sum(of_day), func.sum(usage.c.cost)).where(
        and_(usage.c.at >= begins, usage.c.at < min(ends, now), scope)
    )
    row = (await connection.execute(sums)).one()
    spent = ((day, row[0]), (month, row[1]))
    return [Spent(quota.key, label, int(micros)) for label, micros in spent if micros]
