"""*Usage*: what calls took, cost and came to, day by day; how long callers waited; budgets; and
agents that share a number's calls, side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from sipagent.api.console import asking
from sipagent.api.console.budgets import Budget, budgets
from sipagent.api.console.comparing import Compared, compared
from sipagent.api.console.pictures import Measured, pictures, told_wait
from sipagent.api.console.refusals import Refused
from sipagent.api.console.shell import Shell, Visitor
from sipagent.api.v1.ports import Backend
from sipagent.model import TenantName
from sipagent.routing import RoutingTable
from sipagent.routing.moment import zone
from sipagent.store.reading import Day, Wait, daily, spans_of, tenants_of, waits

DAYS: Final = 14
MOST_DAYS: Final = 92
MOST_DAYS_OF_ALL: Final = 31
MOST_TENANTS: Final = 100
WITHIN: Final = 20.0
"""Seconds for all that the page asks of the records."""


@dataclass(frozen=True, slots=True)
class Period:
    """The days that are shown, first and last included."""

    first: date
    last: date

    @property
    def days(self) -> list[date]:
        return [self.first + timedelta(days=at) for at in range((self.last - self.first).days + 1)]


@dataclass(frozen=True, slots=True)
class Sums:
    """What the calls of one tenant took in the whole period."""

    tenant: TenantName
    calls: int
    answered: int
    minutes: float
    cost: int
    complete: bool


def router(backend: Backend, shell: Shell) -> APIRouter:
    routes = APIRouter()
    visits = Annotated[Visitor, Depends(shell.visitor)]

    @routes.get("/usage")
    async def usage(request: Request, visitor: visits) -> Response:
        fields = asking.clipped(request.query_params, ("tenant", "first", "last"))
        tenant = asking.whose(visitor, fields["tenant"])
        period = period_of(fields, backend.clock.wall(), all_tenants=tenant is None)
        shown = await _Reading(backend, tenant, period).read()
        return shell.page(
            request,
            visitor,
            "usage.html",
            tenant=tenant,
            tenants=asking.tenants_to_choose(backend, visitor),
            period=period,
            charts=pictures(shown.measured),
            sums=sums_of(shown.measured.days)[:MOST_TENANTS],
            total=total_of(shown.measured.days),
            budgets=shown.budgets,
            compared=shown.compared,
            told_wait=told_wait,
        )

    return routes


def period_of(fields: dict[str, str], now: float, *, all_tenants: bool) -> Period:
    """The days that the fields name, by default the last two weeks. Raises Refused."""
    today = datetime.fromtimestamp(now, UTC).date()
    last = _day(fields["last"]) or today
    first = _day(fields["first"]) or last - timedelta(days=DAYS - 1)
    most = MOST_DAYS_OF_ALL if all_tenants else MOST_DAYS
    if not 0 <= (last - first).days < most:
        words = f"From the first to the last day, at most {most} days."
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, words)
    return Period(first, last)


def _day(text: str) -> date | None:
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "This is no day.") from None
    if not 1971 <= day.year < 9000:
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "This is no day of any call.")
    return day


def zone_of(table: RoutingTable, tenant: TenantName | None) -> ZoneInfo:
    """In whose zone days begin: the tenant's; UTC for all of them, and for one without."""
    profile = None if tenant is None else table.tenants.get(tenant)
    return zone(None if profile is None else profile.timezone)


@dataclass(frozen=True, slots=True)
class _Shown:
    measured: Measured
    budgets: Sequence[Budget]
    compared: Sequence[Compared]


@dataclass(frozen=True, slots=True)
class _Reading:
    """What a page asks of the records, within one deadline."""

    backend: Backend
    tenant: TenantName | None
    period: Period

    async def read(self) -> _Shown:
        table, first, last = self.backend.config.table, self.period.first, self.period.last
        async with asking.records(self.backend, within=WITHIN) as connection:
            days = await self._days(connection)
            spans = spans_of(TenantName(""), zone_of(table, self.tenant), first, last)
            bounds = [(span.begins, span.ends) for span in spans]
            answers = await waits(connection, self.tenant, Wait.ANSWER, bounds)
            sounds = await waits(connection, self.tenant, Wait.SOUND, bounds)
            now, whole = self.backend.clock.wall(), (bounds[0][0], bounds[-1][1])
            used = await budgets(connection, table, self.tenant, now)
            side_by_side = await compared(connection, table, self.tenant, whole)
        measured = Measured(self.period.days, days, answers, sounds)
        return _Shown(measured, used, side_by_side)

    async def _days(self, connection: AsyncConnection) -> tuple[Day, ...]:
        """The sums of each day, in the zone of each tenant."""
        named = (self.tenant,) if self.tenant is not None else await tenants_of(connection)
        table, first, last = self.backend.config.table, self.period.first, self.period.last
        return await daily(
            connection,
            [span for one in named for span in spans_of(one, zone_of(table, one), first, last)],
        )


def sums_of(days: Sequence[Day]) -> list[Sums]:
    """The sums of each tenant that had calls, the dearest first."""
    by: dict[TenantName, list[Day]] = {}
    for day in days:
        if day.calls:
            by.setdefault(day.tenant, []).append(day)
    found = [_sum(tenant, some) for tenant, some in by.items()]
    return sorted(found, key=lambda one: (-one.cost, -one.calls, one.tenant))


def total_of(days: Sequence[Day]) -> Sums:
    """The sums of all of them."""
    return _sum(TenantName(""), days)


def _sum(tenant: TenantName, days: Sequence[Day]) -> Sums:
    return Sums(
        tenant,
        sum(day.calls for day in days),
        sum(day.answered for day in days),
        sum(day.minutes for day in days),
        sum(day.cost for day in days),
        all(day.complete for day in days),
    )
