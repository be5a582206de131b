"""What tenants are told beside their calls: budgets that run out, files that cannot be used."""

from typing import Final

from sipagent.config.findings import masked
from sipagent.config.reload.live import Status
from sipagent.engine.purse import Crossing
from sipagent.errors import Finding
from sipagent.model import DEFAULT_TENANT, EventType, QuotaScope, TenantName
from sipagent.routing import RoutingTable
from sipagent.store.announcing import Announcer
from sipagent.store.numbers import StoredNumbers

MOST_FINDINGS: Final = 20
"""Findings that are told one by one; the others are counted."""


def tell_budget(
    announcer: Announcer, crossing: Crossing, table: RoutingTable, numbers: StoredNumbers, at: float
) -> None:
    """A share of a budget of the tenant's, or of one of its numbers, is used up. Budgets of
    accounts and of the process are no tenant's."""
    if crossing.scope is QuotaScope.TENANT:
        tenant, name = TenantName(crossing.name), crossing.name
    elif crossing.scope is QuotaScope.NUMBER:
        owner = _owner(table, crossing.name)
        if owner is None:
            return
        tenant, name = owner, numbers.stored(owner, crossing.name)
    else:
        return
    data = {
        "scope": crossing.scope,
        "name": name,
        "period": crossing.period,
        "label": crossing.label,
        "share": crossing.share / 10_000,
        "limit": crossing.limit,
        "spent": crossing.spent,
    }
    subject = f"{crossing.scope} {name} {crossing.label} {crossing.share} {crossing.limit}"
    announcer.tell(tenant, EventType.BUDGET_WARNING, at, subject=subject, data=data)


def tell_stale(announcer: Announcer, before: Status | None, now: Status, at: float) -> None:
    """Files of a tenant's cannot be used, in another way than when it was told last: its last good
    ones stay. The main file is the default tenant's."""
    found = _stale(now)
    known = {} if before is None else _stale(before)
    for tenant, findings in found.items():
        if known.get(tenant) == findings:
            continue
        told = [masked(finding) for finding in findings[:MOST_FINDINGS]]
        data = {
            "config_hash": now.config_hash,
            "findings": told,
            "more": len(findings) - len(told),
        }
        announcer.tell(tenant, EventType.CONFIG_STALE, at, subject=f"{at!r}", data=data)


def _stale(status: Status) -> dict[TenantName, tuple[Finding, ...]]:
    found = dict(status.stale)
    if status.findings:
        found[DEFAULT_TENANT] = status.findings
    return found


def _owner(table: RoutingTable, key: str) -> TenantName | None:
    """Whose number it is."""
    found = (directory.listed(key) for directory in table.directories.values())
    return next((route.tenant for route in found if route is not None), None)
