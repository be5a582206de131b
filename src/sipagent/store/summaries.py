"""What is made of calls when they are over: what is wanted, and what a model made of it.

A row is put with the call's outcome, and stays `pending` until a model has answered or has been
asked often enough. What it made are words: they go when words go.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Row, and_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sipagent.model import AfterCall, CallPlan, Json, ModelPrice, Redaction, Usage
from sipagent.store.facts import StoredTurn
from sipagent.store.purging import writing
from sipagent.store.rows import COLUMNS, RowKind, clean, clipped
from sipagent.store.rows import Row as Values
from sipagent.store.sparing import in_each, spared
from sipagent.store.tables import calls, summaries, turns

LEASE: Final = 120.0
"""Seconds after which a call is read again whose reader has not come back."""

MOST_TURNS: Final = 2000


class SummaryState(StrEnum):
    """PENDING: a model is to be asked. DONE: it has answered. FAILED: it will not be asked."""

    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Job:
    """A call of which something is to be made, and what was said in it: `turns` of the `spoken`
    ones. `attempts` are those before this one."""

    call_id: str
    tenant: str
    account: str
    at: float
    attempts: int
    wanted: AfterCall
    turns: tuple[StoredTurn, ...] = field(repr=False)
    spoken: int = 0
    redact: tuple[Redaction, ...] = ()
    dialed: str | None = field(default=None, repr=False)

    @property
    def whole(self) -> bool:
        """Whether all that was said is stored: it may come after the call's end."""
        return len(self.turns) >= min(self.spoken, MOST_TURNS)


@dataclass(frozen=True, slots=True)
class Made:
    """What a model has made of a call; None where it was not asked to."""

    summary: str | None = field(default=None, repr=False)
    extracted: Any = field(default=None, repr=False)


def summary_row(plan: CallPlan, after: AfterCall, at: float) -> Values:
    """What is wanted of the call, which ended at `at`."""
    wanted = json.dumps({**asdict(after), "redact": plan.redact})
    return plan.call_id, plan.tenant, plan.account, at, wanted, SummaryState.PENDING.value, at, 0


def usage_row(job: Job, usage: Usage, at: float) -> Values:
    """What reading the call has cost."""
    tokens = usage.bill.tokens
    values = {
        "call_id": job.call_id,
        "source_id": clipped(usage.source_id, 128),
        "kind": usage.kind.value,
        "tenant": job.tenant,
        "account": job.account,
        "at": at,
        "model": None if usage.model is None else clean(usage.model),
        "seconds": None,
        "cost": usage.cost,
        "price_version": clipped(usage.price_version, 63),
    }
    names = COLUMNS[RowKind.USAGE]
    return tuple(values[name] if name in values else getattr(tokens, name) for name in names)


def made_by(job: Job, answer: Json) -> Made:
    """What the model's answer makes of the call, without what its tenant wants left out of words:
    a number that was read out in several turns may have come together in it."""

    def bare(text: str) -> str:
        return spared(text, job.redact)

    return Made(in_each(answer.get("summary"), bare), in_each(answer.get("extracted"), bare))


async def claim(engine: AsyncEngine, now: float, limit: int) -> list[Job]:
    """At most so many calls that are to be read now, each leased. The attempt counts from now on,
    whatever becomes of its reader."""
    c = summaries.c
    due = and_(c.state == SummaryState.PENDING.value, c.next_at <= now)
    wanted = (
        select(c.call_id, c.tenant, c.account, c.at, c.attempts, c.wanted)
        .where(due)
        .order_by(c.next_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    async with writing(engine) as connection:
        rows = (await connection.execute(wanted)).all()
        if rows:
            leased = update(summaries).where(c.call_id.in_([row.call_id for row in rows]))
            await connection.execute(leased.values(next_at=now + LEASE, attempts=c.attempts + 1))
    if not rows:
        return []
    async with engine.connect() as connection:
        return [await _job(connection, row) for row in rows]


async def conclude(
    engine: AsyncEngine,
    job: Job,
    state: SummaryState,
    now: float,
    *,
    made: Made | None = None,
    detail: str | None = None,
    next_at: float | None = None,
) -> None:
    """What has come of it is written down, unless the call is gone meanwhile."""
    found = made or Made()
    extracted = None if found.extracted is None else json.dumps(found.extracted)
    c = summaries.c
    async with writing(engine) as connection:
        await connection.execute(
            update(summaries)
            .where(c.call_id == job.call_id, c.state == SummaryState.PENDING.value)
            .values(
                state=state.value,
                next_at=now if next_at is None else next_at,
                ended_at=None if state is SummaryState.PENDING else now,
                detail=None if detail is None else clipped(detail, 64),
                summary=None if found.summary is None else clean(found.summary),
                extracted=None if extracted is None else clean(extracted),
            )
        )


async def made_of(connection: AsyncConnection, call_id: str) -> Made | None:
    """What was made of the call, None where nothing was or it is gone."""
    c = summaries.c
    done = and_(c.call_id == call_id, c.state == SummaryState.DONE.value)
    row = (await connection.execute(select(c.summary, c.extracted).where(done))).first()
    if row is None:
        return None
    return Made(row.summary, None if row.extracted is None else json.loads(row.extracted))


async def _job(connection: AsyncConnection, row: Row[*tuple[Any, ...]]) -> Job:
    plain: dict[str, Any] = json.loads(row.wanted)
    price, redact = plain.pop("price", None), plain.pop("redact", ())
    wanted = AfterCall(**_known(AfterCall, plain))
    if price is not None:
        wanted = replace(wanted, price=ModelPrice(**_known(ModelPrice, price)))
    of_call = select(calls.c.turns, calls.c.dialed).where(calls.c.call_id == row.call_id)
    call = (await connection.execute(of_call)).first()
    return Job(
        row.call_id,
        row.tenant,
        row.account,
        row.at,
        row.attempts,
        wanted,
        await _said(connection, row.call_id),
        0 if call is None else call.turns or 0,
        tuple(kind for kind in Redaction if kind in redact),
        None if call is None else call.dialed,
    )


def _known(kind: type[Any], plain: Mapping[str, Any]) -> dict[str, Any]:
    """What a later release has written besides is nothing to this one."""
    return {one.name: plain[one.name] for one in fields(kind) if one.name in plain}


async def _said(connection: AsyncConnection, call_id: str) -> tuple[StoredTurn, ...]:
    columns = (turns.c[name] for name in StoredTurn.__dataclass_fields__)
    wanted = select(*columns).where(turns.c.call_id == call_id).order_by(turns.c.sequence)
    rows = (await connection.execute(wanted.limit(MOST_TURNS))).mappings()
    return tuple(StoredTurn(**row) for row in rows)
