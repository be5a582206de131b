"""What calls came to: sums by tenant and day, and how long callers wait."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from fastapi import APIRouter
from fastapi import Query as QueryOf
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from sipagent.api.v1.base import (
    Behind,
    Day,
    Model,
    Name,
    Query,
    Reader,
    TenantWanted,
    day_of,
    records,
    whose,
)
from sipagent.api.v1.errors import Unusable, described
from sipagent.api.v1.ports import Backend
from sipagent.model import TenantName
from sipagent.store.reading import Day as Sums
from sipagent.store.reading import Span, daily, spans_of, tenants_of
from sipagent.store.reading.waits import Wait, Waits, waits

router = APIRouter(prefix="/api/v1/usage", tags=["usage"])

MOST_DAYS: Final = 92
_USUAL_DAYS: Final = 7
_FIRST: Final = date(1971, 1, 1)
_LAST: Final = date(2999, 1, 1)


class DayTold(Model):
    """One tenant's calls that began on one day, in the tenant's zone."""

    tenant: str = Field(description="Whose.", examples=["acme"])
    day: str = Field(description="The day.", examples=["2026-11-29"])
    calls: int = Field(description="Calls that began.", examples=[412])
    answered: int = Field(description="Calls that were answered.", examples=[407])
    minutes: float = Field(description="From the answer to the end.", examples=[811.4])
    tokens: int = Field(description="Tokens that were billed.", examples=[1_903_221])
    cost: int = Field(description="Micro-dollars.", examples=[9_120_400])
    complete: bool = Field(description="False: the cost is at least this.")
    outcomes: dict[str, int] = Field(
        description="How they ended; `live`: not yet.",
        examples=[{"completed.caller_hung_up": 398, "live": 3}],
    )


class Usage(Model):
    """Sums, by tenant and day. Days without calls are left out."""

    days: list[DayTold]


class UsageAsked(Query):
    """Which days are wanted."""

    tenant: TenantWanted = None
    from_: Day | None = Field(
        default=None,
        alias="from",
        description="The first day; else seven days up to `to`.",
        examples=["2026-11-23"],
    )
    to: Day | None = Field(
        default=None, description="The last day; else today.", examples=["2026-11-29"]
    )


class LatencyAsked(UsageAsked):
    """Whose waiting is wanted."""

    agent: Name | None = Field(default=None, description="Of this agent.", examples=["reception"])


class Percentiles(Model):
    """Seconds within which so many callers in a hundred had it; null without calls."""

    calls: int = Field(description="Calls that were looked at, the newest 20,000.")
    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None


class Latency(Model):
    """How long callers wait, from the webhook on."""

    answered: Percentiles = Field(description="To the answer.")
    first_sound: Percentiles = Field(description="To the agent's first sound.")


@router.get("", operation_id="get_usage", responses=described())
async def usage(by: Reader, behind: Behind, wanted: Annotated[UsageAsked, QueryOf()]) -> Usage:
    """Tell calls, minutes, tokens, cost and outcomes, by tenant and day."""
    tenant = whose(by, wanted.tenant)
    first, last = _days(behind, wanted)
    async with records(behind) as connection:
        spans = await _spans(behind, connection, tenant, first, last)
        found = [one for one in await daily(connection, spans) if one.calls]
    return Usage(days=[_told(one) for one in found])


@router.get("/latency", operation_id="get_latency", responses=described())
async def latency(
    by: Reader, behind: Behind, wanted: Annotated[LatencyAsked, QueryOf()]
) -> Latency:
    """Tell how long callers waited for an answer, and for the first sound. Days are UTC's, or the
    tenant's."""
    tenant = whose(by, wanted.tenant)
    first, last = _days(behind, wanted)
    zone = _zones(behind).get(tenant, UTC) if tenant is not None else UTC
    days = spans_of(tenant or TenantName(""), zone, first, last)
    bounds = [(days[0].begins, days[-1].ends)]
    async with records(behind) as connection:
        answer, sound = [
            (await waits(connection, tenant, which, bounds, agent=wanted.agent))[0]
            for which in (Wait.ANSWER, Wait.SOUND)
        ]
    return Latency(answered=_percentiles(answer), first_sound=_percentiles(sound))


def _days(behind: Backend, wanted: UsageAsked) -> tuple[date, date]:
    """The first and the last day. Raises Unusable."""
    today = datetime.fromtimestamp(behind.clock.wall(), UTC).date()
    last = today if wanted.to is None else day_of(wanted.to)
    if not _FIRST <= last <= _LAST:
        raise Unusable("?to", "This is no day of any call.")
    first = last - timedelta(days=_USUAL_DAYS - 1)
    if wanted.from_ is not None:
        first = day_of(wanted.from_)
    if not timedelta(0) <= last - first < timedelta(days=MOST_DAYS):
        raise Unusable("?from", f"From 1 to {MOST_DAYS} days may be asked for.")
    return first, last


async def _spans(
    behind: Backend,
    connection: AsyncConnection,
    tenant: TenantName | None,
    first: date,
    last: date,
) -> list[Span]:
    """The days of the tenant, or of all that have calls, each in its own zone."""
    zones = _zones(behind)
    tenants = await tenants_of(connection) if tenant is None else (tenant,)
    return [span for one in tenants for span in spans_of(one, zones.get(one, UTC), first, last)]


def _zones(behind: Backend) -> Mapping[TenantName, tzinfo]:
    tenants = behind.config.table.tenants
    return {
        name: UTC if one.timezone is None else ZoneInfo(one.timezone)
        for name, one in tenants.items()
    }


def _told(one: Sums) -> DayTold:
    return DayTold(
        tenant=one.tenant,
        day=one.day.isoformat(),
        calls=one.calls,
        answered=one.answered,
        minutes=round(one.minutes, 2),
        tokens=one.tokens,
        cost=one.cost,
        complete=one.complete,
        outcomes=dict(one.outcomes),
    )


def _percentiles(found: Waits) -> Percentiles:
    shares = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
    return Percentiles(
        calls=found.calls, **{name: found.percentile(share) for name, share in shares.items()}
    )
