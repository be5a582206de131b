"""Limits and budgets as they are written, as quotas of calls."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Protocol

from sipagent.config.findings import Complaint, Steps
from sipagent.config.gathering import Gathered
from sipagent.config.ruling import rate_of
from sipagent.config.schema import Budget, Limited, Spending
from sipagent.config.schema.base import CONVERT, NOT_DOLLARS, given, micros
from sipagent.config.spaces import Space
from sipagent.config.words import quoted
from sipagent.model import AccountName, Otherwise, Quota, QuotaScope, TenantName
from sipagent.model.limit import BUSY, UNAVAILABLE
from sipagent.routing import TenantProfile

_HUNDREDTHS: Final = 100


class Complain(Protocol):
    """Tells what is wrong with limits, at the steps below their owner."""

    def __call__(self, steps: Steps, message: str, hint: str | None = None) -> None: ...


def quota_of(
    entry: Limited,
    scope: QuotaScope,
    name: str,
    zone: str | None,
    complain: Complain,
    reserves: Mapping[TenantName, int] | None = None,
) -> Quota:
    """What the calls of a number, tenant or account may take. What cannot be used is told."""
    rate = given(entry.call_rate)
    budget: Spending | None = given(getattr(entry, "budget", None))
    if budget is None:
        sums: dict[str, Any] = {}
    else:
        sums = _sums(budget, complain)
    return Quota(
        scope,
        name,
        held=given(entry.max_concurrent_calls),
        rate=None if rate is None else rate_of(rate),
        reserves=reserves or {},
        zone=zone,
        **sums,
    )


def _sums(budget: Spending, complain: Complain) -> dict[str, Any]:
    sums: dict[str, Any] = {}
    for period in ("day", "month"):
        money: str | None = given(getattr(budget, period))
        sums[period] = None if money is None else micros(money)
        if money is not None and sums[period] is None:
            complain(("budget", period), NOT_DOLLARS, CONVERT)
    written = budget.model_fields_set
    if written.isdisjoint({"day", "month", "when_spent", "spent_code"}):
        complain(("budget",), "needs day or month", "as in {month: 4000 USD}")
    elif "warn_at" in written and written.isdisjoint({"day", "month"}):
        complain(("budget", "warn_at"), "there is no sum of which this would be a share")
    return {**sums, "warn_at": shares_of(given(budget.warn_at) or ())}


def shares_of(written: Iterable[str]) -> tuple[int, ...]:
    """Shares in hundredths of a percent, the smallest first."""
    return tuple(sorted(int(Decimal(share[:-1]) * _HUNDREDTHS) for share in written))


def when_full(entry: Any) -> Otherwise:
    """What callers get for whom the tenant has no room."""
    chosen = None if entry is None else given(entry.when_full)
    if chosen is None or isinstance(chosen, int):
        return Otherwise(chosen or BUSY)
    return Otherwise(BUSY, fallback=True)


def when_spent(entry: Any) -> Otherwise:
    """What callers get when the money is spent."""
    budget: Budget | None = None if entry is None else given(entry.budget)
    if budget is None:
        return Otherwise(UNAVAILABLE)
    return Otherwise(budget.spent_code, fallback=budget.when_spent == "fallback")


@dataclass(frozen=True, slots=True)
class Limits:
    """The quotas of tenants and accounts of the main file."""

    gathered: Gathered
    spaces: Mapping[TenantName, Space]

    def reserves(self) -> dict[TenantName, int]:
        """The calls that are kept for each tenant."""
        return {name: kept for name, space in self.spaces.items() if (kept := _reserved(space))}

    def tenant(self, space: Space, zone: str | None) -> Quota:
        steps: Steps = ("tenants", space.tenant)
        if space.entry is None:
            return Quota(QuotaScope.TENANT, space.tenant, zone=zone)
        return quota_of(space.entry, QuotaScope.TENANT, space.tenant, zone, self._complainer(steps))

    def accounts(self, names: Sequence[AccountName]) -> dict[AccountName, Quota]:
        """The quota of each account, with what is kept of it for its tenants."""
        return {name: self._account(name, len(names) == 1) for name in names}

    def _account(self, name: AccountName, only: bool) -> Quota:
        entry = self.gathered.main.draft.file.accounts.get(name)
        kept = {
            tenant: reserved
            for tenant, reserved in self.reserves().items()
            if self._is_at(self.spaces[tenant], name, only=only)
        }
        if entry is None:
            return Quota(QuotaScope.ACCOUNT, name, reserves=kept)
        steps: Steps = ("accounts", name)
        most = given(entry.max_concurrent_calls)
        if most is not None and sum(kept.values()) > most:
            message = f"{sum(kept.values())} calls are reserved for its tenants"
            self._complainer(steps)(("max_concurrent_calls",), message, "reserve fewer")
        return quota_of(entry, QuotaScope.ACCOUNT, name, None, self._complainer(steps), kept)

    def _is_at(self, space: Space, account: AccountName, *, only: bool) -> bool:
        named = None if space.entry is None else given(space.entry.account)
        return only if named is None else named == account

    def verify_ways_out(self, tenants: Mapping[TenantName, TenantProfile]) -> Iterator[Complaint]:
        """Tenants whose callers are to be sent to a fallback that there is not."""
        for tenant, space in self.spaces.items():
            if space.entry is None or tenants[tenant].fallback is not None:
                continue
            steps: Steps = ("tenants", tenant)
            hint = "its file, or the main file for a tenant without one, names it: fallback: NAME"
            for chosen, below in (
                (when_full(space.entry), ("when_full",)),
                (when_spent(space.entry), ("budget", "when_spent")),
            ):
                if chosen.fallback:
                    message = f"the tenant {quoted(tenant)} has no fallback: calls are rejected"
                    yield Complaint((*steps, *below), message, hint)

    def _complainer(self, owner: Steps) -> Complain:
        def complain(steps: Steps, message: str, hint: str | None = None) -> None:
            self.gathered.main.complain(Complaint((*owner, *steps), message, hint))

        return complain


def _reserved(space: Space) -> int:
    return (given(space.entry.reserved_calls) or 0) if space.entry is not None else 0
