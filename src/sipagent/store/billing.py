"""Monthly statements of tenants: what their calls took and what it cost, to the micro-dollar.

A month is that of the tenant's zone. A bill counts by the time at which it came, a call by its
beginning. A month can be closed two days after its end, and is never changed afterwards; bills of
it that are recorded later stand in the next month's statement as an adjustment.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import TypeAdapter
from sqlalchemy import case, func, select, union_all
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sipagent.errors import NotClosableError
from sipagent.model import TenantName
from sipagent.model.privacy import DAY
from sipagent.routing.moment import day_and_month, month_after, month_span
from sipagent.store.database import IMMEDIATE
from sipagent.store.tables import calls, deleted_calls, statements, usage
from sipagent.store.tenants import recorded_tenants

CLOSABLE_AFTER: Final = 2 * DAY
"""Seconds after its end in which bills of a month may still be recorded."""

FORMER_AFTER: Final = 7 * DAY
"""Seconds after its end in which a month is left to a service that has the tenant in its
configuration, by one that has not."""

_RECORDED: Final = (
    (usage.c.tenant, usage.c.at),
    (calls.c.tenant, calls.c.began_at),
    (deleted_calls.c.tenant, deleted_calls.c.began_at),
)
"""Whose a record is that a statement counts, and its time."""

_TOKENS: Final = (
    *("text_in", "audio_in", "image_in"),
    *("text_cached", "audio_cached", "image_cached"),
    *("text_out", "audio_out"),
)


@dataclass(frozen=True, slots=True)
class Line:
    """The bills of one model. `cost` is the sum of those that are known; `unknown` of them have no
    price. Cached tokens are part of the input."""

    model: str
    kind: str
    bills: int
    unknown: int
    cost: int
    text_in: int = 0
    audio_in: int = 0
    image_in: int = 0
    text_cached: int = 0
    audio_cached: int = 0
    image_cached: int = 0
    text_out: int = 0
    audio_out: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Adjustment:
    """Bills of an earlier month that were recorded after it had been closed."""

    month: str
    bills: int
    cost: int


@dataclass(frozen=True, slots=True)
class Statement:
    """One month of one tenant. Money is in micro-dollars, times are unix seconds; `closed_at` is
    None while the month is open. Of `incomplete` calls some usage was lost: they cost more than is
    known."""

    tenant: TenantName
    month: str
    zone: str
    begins_at: float
    ends_at: float
    calls: int
    answered: int
    incomplete: int
    seconds: int
    lines: tuple[Line, ...]
    adjustments: tuple[Adjustment, ...] = ()
    closed_at: float | None = None

    @property
    def cost(self) -> int:
        """All that is known to have been billed, adjustments included."""
        late = sum(adjustment.cost for adjustment in self.adjustments)
        return late + sum(line.cost for line in self.lines)

    @property
    def unknown(self) -> int:
        """Bills whose cost nobody knows."""
        return sum(line.unknown for line in self.lines)

    @property
    def minutes(self) -> float:
        return round(self.seconds / 60, 2)


_BODY: Final = TypeAdapter(Statement)


async def statement_of(
    engine: AsyncEngine, tenant: TenantName, month: str, zone: str | None
) -> Statement:
    """The month's statement: the closed one if it is closed, else what is recorded so far.

    Raises ValueError for what is no month, and what the database raises.
    """
    month_span(month, zone)
    async with engine.connect() as connection:
        return await _closed(connection, tenant, month) or await _made(
            connection, tenant, month, zone
        )


async def closed_statement(engine: AsyncEngine, tenant: TenantName, month: str) -> Statement | None:
    """The month's statement if the month is closed."""
    async with engine.connect() as connection:
        return await _closed(connection, tenant, month)


async def zone_on_record(engine: AsyncEngine, tenant: TenantName) -> str | None:
    """The zone in which months of a tenant begin that the configuration has no more: that of its
    latest closed statement, else UTC. None for a tenant of whom nothing is recorded."""
    latest = (
        select(statements.c.zone)
        .where(statements.c.tenant == tenant)
        .order_by(statements.c.month.desc())
        .limit(1)
    )
    async with engine.connect() as connection:
        zone = await connection.scalar(latest)
        if zone is not None or await _span(connection, tenant) is None:
            return zone
    return "UTC"


async def close(
    engine: AsyncEngine, tenant: TenantName, month: str, zone: str | None, now: float
) -> Statement:
    """The month is closed, by this or by an earlier call; returns its statement.

    Raises NotClosableError where it is too early and for a month before the tenant's first record,
    ValueError for what is no month.
    """
    _, ends = month_span(month, zone)
    if now < ends + CLOSABLE_AFTER:
        raise NotClosableError(month, ends + CLOSABLE_AFTER)
    # The sums are made before the transaction that writes: those of calls must not wait for it.
    async with engine.connect() as connection:
        closed = await _closed(connection, tenant, month)
        if closed is not None:
            return closed
        span = await _span(connection, tenant)
        if span is None or span[0] >= ends:
            raise NotClosableError(month, None)
        made = await _made(connection, tenant, month, zone, closed_at=now)
    values = {
        "tenant": tenant,
        "month": month,
        "zone": made.zone,
        "body": _BODY.dump_json(made).decode(),
        "closed_at": now,
    }
    make = sqlite.insert if engine.dialect.name == "sqlite" else postgresql.insert
    async with engine.execution_options(**{IMMEDIATE: True}).begin() as connection:
        await connection.execute(make(statements).values(values).on_conflict_do_nothing())
        return await _closed(connection, tenant, month) or made


async def close_due(
    engine: AsyncEngine, zones: Mapping[TenantName, str | None], now: float
) -> list[Statement]:
    """Every month that can be closed is closed; returns those that were not.

    These are the tenants of the configuration with their zones. One that is recorded only has its
    last statement for the month after its last record.
    """
    done: list[Statement] = []
    former = [each for each in await recorded_tenants(engine) if each not in zones]
    for tenant in (*zones, *former):
        there = tenant in zones
        zone = zones[tenant] if there else await zone_on_record(engine, tenant)
        async with engine.connect() as connection:
            due = await _due(connection, tenant, zone, now, former=not there)
        done += [await close(engine, tenant, month, zone, now) for month in due]
    return done


async def closed_months(engine: AsyncEngine, tenant: TenantName | None = None) -> list[Statement]:
    """All closed statements, of one tenant or of all, the newest first."""
    query = select(statements.c.body).order_by(statements.c.month.desc(), statements.c.tenant)
    if tenant is not None:
        query = query.where(statements.c.tenant == tenant)
    async with engine.connect() as connection:
        return [_BODY.validate_json(body) for body in (await connection.scalars(query)).all()]


async def _closed(connection: AsyncConnection, tenant: TenantName, month: str) -> Statement | None:
    query = select(statements.c.body).where(
        statements.c.tenant == tenant, statements.c.month == month
    )
    body = await connection.scalar(query)
    return None if body is None else _BODY.validate_json(body)


async def _due(
    connection: AsyncConnection, tenant: TenantName, zone: str | None, now: float, *, former: bool
) -> list[str]:
    """The months since the tenant's first record that are over, without the closed ones; those of a
    former tenant up to the one after its last record, in which late bills stand."""
    span = await _span(connection, tenant)
    if span is None:
        return []
    known = set(
        await connection.scalars(select(statements.c.month).where(statements.c.tenant == tenant))
    )
    month, last = (day_and_month(at, zone)[1] for at in span)
    due, after = [], FORMER_AFTER if former else CLOSABLE_AFTER
    while month_span(month, zone)[1] + after <= now:
        if former and month > month_after(last):
            break
        if month not in known:
            due.append(month)
        month = month_after(month)
    return due


async def _span(connection: AsyncConnection, tenant: TenantName) -> tuple[float, float] | None:
    """The times of the tenant's first and last record that a statement counts."""
    ends = [
        await connection.scalar(select(end(at)).where(whose == tenant))
        for whose, at in _RECORDED
        for end in (func.min, func.max)
    ]
    times = [at for at in ends if at is not None]
    return (min(times), max(times)) if times else None


async def _made(
    connection: AsyncConnection,
    tenant: TenantName,
    month: str,
    zone: str | None,
    *,
    closed_at: float | None = None,
) -> Statement:
    begins, ends = month_span(month, zone)
    before = await _closed(connection, tenant, month_after(month, -1))
    late = None if before is None else await _late(connection, before)
    return Statement(
        tenant,
        month,
        zone or "UTC",
        begins,
        ends,
        *await _calls(connection, tenant, begins, ends),
        lines=await _lines(connection, tenant, begins, ends),
        adjustments=() if late is None else (late,),
        closed_at=closed_at,
    )


async def _late(connection: AsyncConnection, closed: Statement) -> Adjustment | None:
    """What has been recorded of a month since it was closed; nothing where less is left of it than
    there was."""
    lines = await _lines(connection, closed.tenant, closed.begins_at, closed.ends_at)
    bills = sum(line.bills for line in lines) - sum(line.bills for line in closed.lines)
    cost = sum(line.cost for line in lines) - sum(line.cost for line in closed.lines)
    return Adjustment(closed.month, bills, cost) if bills > 0 and cost >= 0 else None


async def _calls(
    connection: AsyncConnection, tenant: TenantName, begins: float, ends: float
) -> tuple[int, int, int, int]:
    """Calls, answered ones, those of incomplete usage, and the seconds of all; calls that have been
    deleted count as they did before."""
    counted = [
        select(table.c.answered_at, table.c.ended_at, table.c.usage_complete).where(
            table.c.tenant == tenant, table.c.began_at >= begins, table.c.began_at < ends
        )
        for table in (calls, deleted_calls)
    ]
    again = select(calls.c.call_id).where(calls.c.call_id == deleted_calls.c.call_id)
    each = union_all(counted[0], counted[1].where(~again.exists())).subquery()
    incomplete: Any = case((each.c.usage_complete.is_(False), 1))
    query = select(
        func.count(),
        func.count(each.c.answered_at),
        func.count(incomplete),
        func.sum(each.c.ended_at - each.c.answered_at),
    ).select_from(each)
    row = (await connection.execute(query)).one()
    return row[0], row[1], row[2], round(row[3] or 0)


async def _lines(
    connection: AsyncConnection, tenant: TenantName, begins: float, ends: float
) -> tuple[Line, ...]:
    model = func.coalesce(usage.c.model, "")
    query = (
        select(
            model.label("model"),
            usage.c.kind,
            func.count().label("bills"),
            (func.count() - func.count(usage.c.cost)).label("unknown"),
            func.coalesce(func.sum(usage.c.cost), 0).label("cost"),
            *(func.sum(usage.c[name]).label(name) for name in _TOKENS),
            func.coalesce(func.sum(usage.c.seconds), 0.0).label("seconds"),
        )
        .where(usage.c.tenant == tenant, usage.c.at >= begins, usage.c.at < ends)
        .group_by(model, usage.c.kind)
        .order_by(model, usage.c.kind)
    )
    rows = (await connection.execute(query)).mappings()
    return tuple(_line(row) for row in rows)


def _line(row: Mapping[Any, Any]) -> Line:
    whole = {name: int(row[name]) for name in ("bills", "unknown", "cost", *_TOKENS)}
    return Line(row["model"], row["kind"], **whole, seconds=round(float(row["seconds"]), 3))
