"""Sums of days, each in its tenant's zone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, tzinfo
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Double,
    FromClause,
    Select,
    case,
    cast,
    column,
    func,
    literal,
    select,
    true,
    values,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from sipagent.model import TenantName
from sipagent.store.tables import calls

_AT_ONCE: Final = 100
"""Days in one query."""

Bounds = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Day:
    """One tenant's calls that began on one day.

    `seconds` are of answered calls, from the answer to the end. `cost` is in micro-dollars, and at
    least so much where `complete` is False: of some call usage was lost, or a price is not known.
    `outcomes` are counts by name, with the calls that are still held under `live`.
    """

    tenant: TenantName
    day: date
    calls: int = 0
    answered: int = 0
    seconds: float = 0.0
    tokens: int = 0
    cost: int = 0
    complete: bool = True
    outcomes: Mapping[str, int] = field(default_factory=dict)

    @property
    def minutes(self) -> float:
        return self.seconds / 60


@dataclass(frozen=True, slots=True)
class Span:
    """A day of a tenant's as unix seconds; `ends` is the next day's beginning."""

    tenant: TenantName
    day: date
    begins: float
    ends: float


def spans_of(tenant: TenantName, zone: tzinfo, first: date, last: date) -> tuple[Span, ...]:
    """The days from `first` to `last` in the zone, each as long as it is there: 23 to 25 hours."""
    days = [first + timedelta(days=number) for number in range((last - first).days + 2)]
    starts = [datetime(day.year, day.month, day.day, tzinfo=zone).timestamp() for day in days]
    return tuple(Span(tenant, day, starts[at], starts[at + 1]) for at, day in enumerate(days[:-1]))


async def tenants_of(connection: AsyncConnection) -> tuple[TenantName, ...]:
    """Every tenant that has calls, found by as many steps through an index."""
    first = select(func.min(calls.c.tenant).label("tenant")).cte("found", recursive=True)
    above = select(func.min(calls.c.tenant)).where(calls.c.tenant > first.c.tenant)
    found = first.union_all(
        select(above.scalar_subquery().label("tenant")).where(first.c.tenant.is_not(None))
    )
    rows = await connection.execute(select(found.c.tenant).where(found.c.tenant.is_not(None)))
    return tuple(TenantName(row.tenant) for row in rows)


async def daily(connection: AsyncConnection, spans: Sequence[Span]) -> tuple[Day, ...]:
    """The sums of these days, in their order. Days that are the same time for several tenants, as
    those of one zone are, are summed up by one query."""
    whose: dict[Bounds, list[TenantName]] = {}
    for tenant, bounds in _by_tenant(spans).items():
        whose.setdefault(bounds, []).append(tenant)
    rows: dict[tuple[str, float], list[Sequence[Any]]] = {}
    for bounds, tenants in whose.items():
        for begin in range(0, len(bounds), _AT_ONCE):
            some = bounds[begin : begin + _AT_ONCE]
            for row in await connection.execute(_sums(tenants, some)):
                rows.setdefault((row[0], row[1]), []).append(row)
    return tuple(_day(span, rows.get((span.tenant, span.begins), ())) for span in spans)


def _by_tenant(spans: Sequence[Span]) -> dict[TenantName, Bounds]:
    found: dict[TenantName, list[tuple[float, float]]] = {}
    for span in spans:
        found.setdefault(span.tenant, []).append((span.begins, span.ends))
    return {tenant: tuple(bounds) for tenant, bounds in found.items()}


def _sums(tenants: Sequence[TenantName], bounds: Bounds) -> Select[Any]:
    """The sums by tenant, beginning and outcome. SQLAlchemy keeps what it has made of the form for
    a single day, and makes the other anew for each list of days."""
    c = calls.c
    begins, ends, source = _single(*bounds[0]) if len(bounds) == 1 else _several(bounds)
    return (
        select(
            c.tenant,
            begins,
            c.outcome,
            func.count(),
            func.count(c.answered_at),
            func.sum(c.ended_at - c.answered_at),
            cast(func.sum(c.tokens), BigInteger),
            cast(func.sum(c.cost), BigInteger),
            func.sum(case(_INCOMPLETE, else_=0)),
        )
        .select_from(source)
        .where(c.tenant.in_(tenants), c.began_at >= begins, c.began_at < ends)
        .group_by(c.tenant, *([] if source is calls else [begins]), c.outcome)
    )


def _single(
    begins: float, ends: float
) -> tuple[ColumnElement[Any], ColumnElement[Any], FromClause]:
    return literal(begins, Double), literal(ends, Double), calls


def _several(bounds: Bounds) -> tuple[ColumnElement[Any], ColumnElement[Any], FromClause]:
    wanted = (
        values(column("begins", Double), column("ends", Double), name="wanted")
        .data(list(bounds))
        .cte("wanted")
    )
    return wanted.c.begins, wanted.c.ends, wanted.join(calls, true())


_INCOMPLETE: Final[tuple[Any, int]] = (
    calls.c.answered_at.is_not(None)
    & (calls.c.usage_complete.is_not(True) | calls.c.cost.is_(None)),
    1,
)


def _day(span: Span, rows: Sequence[Sequence[Any]]) -> Day:
    """The day whose sums by outcome these rows are."""
    if not rows:
        return Day(span.tenant, span.day)
    _, _, outcomes, counts, answered, seconds, tokens, cost, incomplete = zip(*rows, strict=True)
    return Day(
        span.tenant,
        span.day,
        sum(counts),
        sum(answered),
        sum(each or 0.0 for each in seconds),
        sum(each or 0 for each in tokens),
        sum(each or 0 for each in cost),
        not any(incomplete),
        {name or "live": count for name, count in zip(outcomes, counts, strict=True)},
    )
