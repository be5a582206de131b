"""The audit, read: who did what to whose data. A tenant sees what was done to its own."""

from typing import Annotated, Any

from fastapi import APIRouter
from fastapi import Query as QueryOf
from pydantic import BeforeValidator, Field

from sipagent.api.v1.base import (
    Behind,
    Model,
    Moment,
    Name,
    Query,
    Reader,
    TenantWanted,
    answered,
    seconds_of,
    whole,
    whose,
)
from sipagent.api.v1.errors import described
from sipagent.store.audit import MOST_LINES, AuditFilter, AuditLine, lines
from sipagent.store.shown import iso

router = APIRouter(prefix="/api/v1/audit", tags=["access"])


class AuditTold(Model):
    """One line of the audit. Each line's hash is over the hash of the line before."""

    number: int = Field(description="Counted from 1.", examples=[1203])
    at: str = Field(description="When.")
    by: str = Field(description="Who.", examples=["ana"])
    token: str | None = Field(description="By which token; null: by a command of the operator's.")
    operator: bool = Field(description="Whether the operator did it.")
    action: str = Field(description="What.", examples=["calls.transcript"])
    target: str = Field(description="To what.", examples=["rtc_u1_9c6574da"])
    tenant: str | None = Field(description="Of whose data; null: of nobody's in particular.")
    detail: dict[str, Any] | None = Field(description="What is known besides.")
    reason: str | None = Field(description="Why, in the operator's words.")
    hash: str = Field(description="SHA-256 of the chain up to here.")


class AuditPage(Model):
    """Some lines, the newest first."""

    lines: list[AuditTold]
    next: str | None = Field(description="Give this as `after` for the lines that follow.")


class AuditAsked(Query):
    """Which lines are wanted."""

    tenant: TenantWanted = None
    action: Name | None = Field(
        default=None, description="Of this kind.", examples=["calls.transcript"]
    )
    token: Name | None = Field(default=None, description="By this token.", examples=["tok_7k2p"])
    since: Moment | None = Field(default=None, description="From this time on.", examples=["7d"])
    until: Moment | None = Field(default=None, description="Until before.")
    limit: Annotated[
        int, Field(ge=1, le=MOST_LINES - 1, description="At most so many."), BeforeValidator(whole)
    ] = 50
    after: Annotated[str, Field(pattern="^[0-9]{1,9}$")] | None = Field(
        default=None,
        description="Go on after a page, with what its `next` said.",
        examples=["1203"],
    )


@router.get("", operation_id="list_audit", responses=described())
async def audit(by: Reader, behind: Behind, wanted: Annotated[AuditAsked, QueryOf()]) -> AuditPage:
    """List what was done, the newest first: who opened which call's words, and why."""
    tenant, now = whose(by, wanted.tenant), behind.clock.wall()
    filter_ = AuditFilter(
        tenant,
        wanted.action,
        wanted.token,
        None if wanted.since is None else seconds_of(wanted.since, now),
        None if wanted.until is None else seconds_of(wanted.until, now),
    )
    before = None if wanted.after is None else int(wanted.after)
    asked = lines(behind.records.engine, filter_, before=before, limit=wanted.limit + 1)
    found = list(await answered(asked))
    more, found = len(found) > wanted.limit, found[: wanted.limit]
    return AuditPage(
        lines=[_told(one) for one in found], next=str(found[-1].number) if more else None
    )


def _told(one: AuditLine) -> AuditTold:
    return AuditTold(
        number=one.number,
        at=str(iso(one.at)),
        by=one.by.name,
        token=one.by.token,
        operator=one.by.operator,
        action=one.deed.action,
        target=one.deed.target,
        tenant=one.deed.tenant,
        detail=None if one.deed.detail is None else dict(one.deed.detail),
        reason=one.deed.reason,
        hash=one.hash,
    )
