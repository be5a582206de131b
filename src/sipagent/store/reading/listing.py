"""Lists of calls, the newest first, and what is new in them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import (
    Column,
    ColumnElement,
    Select,
    Subquery,
    func,
    literal,
    or_,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from sipagent.model import Kind, Reason, TenantName
from sipagent.store.facts import CallRow
from sipagent.store.reading.rows import CALL_COLUMNS, call_row
from sipagent.store.tables import calls

MOST_CALLS: Final = 1000
"""In one page."""

MOST_NEW: Final = 500
"""In one answer to what is new."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in a list: after this call."""

    began_at: float
    call_id: str

    def __str__(self) -> str:
        return f"{self.began_at!r}~{self.call_id}"

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """The cursor that its text writes. Raises ValueError."""
        began_at, tilde, call_id = text.partition("~")
        if not tilde or not call_id:
            raise ValueError("is no cursor of a list of calls")
        return cls(float(began_at), call_id)


@dataclass(frozen=True, slots=True)
class CallFilter:
    """Which calls are meant; what is None or empty leaves nothing out.

    `since` and `until` are unix seconds of the calls' beginnings, `until` itself not among them.
    `outcomes` are whole names as in `failed.accept_refused`. `dialed` and `caller` are the forms
    in which a number may be stored: plain, and as tenants that keep HMACs have it.
    """

    agent: str | None = None
    outcomes: tuple[str, ...] = ()
    since: float | None = None
    until: float | None = None
    dialed: tuple[str, ...] = field(default=(), repr=False)
    caller: tuple[str, ...] = field(default=(), repr=False)
    trunk: str | None = None
    account: str | None = None
    live: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """Some calls of a list. `next` is None where there are no more."""

    calls: tuple[CallRow, ...]
    next: Cursor | None


def outcomes_of(word: str) -> tuple[str, ...]:
    """The outcomes that `failed` or `failed.accept_refused` means. Raises ValueError."""
    named = {f"{reason.kind}.{reason}" for reason in Reason}
    if word in named:
        return (word,)
    if word in set(Kind):
        return tuple(sorted(name for name in named if name.startswith(f"{word}.")))
    raise ValueError(f"{word!r} is no outcome")


async def list_calls(
    connection: AsyncConnection,
    tenant: TenantName | None,
    wanted: CallFilter,
    *,
    limit: int = 50,
    after: Cursor | None = None,
) -> Page:
    """The newest calls of a tenant that the filter leaves, at most `limit` of them; None is every
    tenant, for the operator."""
    limit = max(1, min(limit, MOST_CALLS))
    conditions = _conditions(tenant, wanted, after)
    found = await connection.execute(_newest(conditions, wanted.outcomes, limit + 1))
    rows = tuple(call_row(row) for row in found.mappings())
    if len(rows) <= limit:
        return Page(rows, None)
    last = rows[limit - 1]
    return Page(rows[:limit], Cursor(last.began_at, last.call_id))


async def count_calls(
    connection: AsyncConnection, tenant: TenantName | None, wanted: CallFilter, *, most: int
) -> int:
    """How many calls the filter leaves; more than `most` are not counted on."""
    outcomes = [calls.c.outcome.in_(wanted.outcomes)] if wanted.outcomes else []
    found = (
        select(calls.c.call_id).where(*_conditions(tenant, wanted, None), *outcomes).limit(most + 1)
    ).subquery()
    return await connection.scalar(select(func.count()).select_from(found)) or 0


async def decided_since(
    connection: AsyncConnection, tenant: TenantName | None, wanted: CallFilter, since: float
) -> tuple[CallRow, ...]:
    """The first 500 calls that began at or after `since`, the oldest first."""
    return await _first(connection, tenant, wanted, calls.c.began_at, since)


async def ended_since(
    connection: AsyncConnection, tenant: TenantName | None, wanted: CallFilter, since: float
) -> tuple[CallRow, ...]:
    """The first 500 calls that ended at or after `since`, the first to end first."""
    return await _first(connection, tenant, wanted, calls.c.ended_at, since)


async def _first(
    connection: AsyncConnection,
    tenant: TenantName | None,
    wanted: CallFilter,
    column: Column[float],
    since: float,
) -> tuple[CallRow, ...]:
    outcomes = [calls.c.outcome.in_(wanted.outcomes)] if wanted.outcomes else []
    query = (
        select(*CALL_COLUMNS)
        .where(*_conditions(tenant, wanted, None), *outcomes, column >= since)
        .order_by(column, calls.c.call_id)
        .limit(MOST_NEW)
    )
    return tuple(call_row(row) for row in (await connection.execute(query)).mappings())


def _conditions(
    tenant: TenantName | None, wanted: CallFilter, after: Cursor | None
) -> list[ColumnElement[bool]]:
    c = calls.c
    equal = (
        (c.tenant, tenant),
        (c.agent, wanted.agent),
        (c.trunk, wanted.trunk),
        (c.account, wanted.account),
    )
    conditions: list[ColumnElement[bool]] = [
        column == value for column, value in equal if value is not None
    ]
    for column, values in ((c.dialed, wanted.dialed), (c.caller, wanted.caller)):
        if values:
            conditions.append(_one_of(column, values))
    if wanted.since is not None:
        conditions.append(c.began_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(c.began_at < wanted.until)
    if wanted.live:
        conditions.append(c.ended_at.is_(None))
    if after is not None:
        place = tuple_(literal(after.began_at), literal(after.call_id))
        conditions.append(tuple_(c.began_at, c.call_id) < place)
    return conditions


def _one_of(column: ColumnElement[Any], values: Sequence[str]) -> ColumnElement[bool]:
    return column == values[0] if len(values) == 1 else or_(*(column == one for one in values))


def _newest(
    conditions: Sequence[ColumnElement[bool]], outcomes: Sequence[str], limit: int
) -> Select[Any]:
    """The newest calls. Each outcome is looked up by itself, so that an index gives its newest
    ones in their order, however rare or common it is."""
    if len(outcomes) < 2:
        by_outcome = [calls.c.outcome == one for one in outcomes]
        return _ordered(select(*CALL_COLUMNS).where(*conditions, *by_outcome), calls.c, limit)
    parts: list[Subquery] = [
        _ordered(
            select(calls.c.call_id, calls.c.began_at).where(*conditions, calls.c.outcome == one),
            calls.c,
            limit,
        ).subquery()
        for one in outcomes
    ]
    every = union_all(*(select(part.c.call_id, part.c.began_at) for part in parts)).subquery()
    newest = _ordered(select(every.c.call_id), every.c, limit).subquery()
    chosen = select(*CALL_COLUMNS).join(newest, newest.c.call_id == calls.c.call_id)
    return _ordered(chosen, calls.c, limit)


def _ordered(query: Select[Any], columns: Any, limit: int) -> Select[Any]:
    return query.order_by(columns.began_at.desc(), columns.call_id.desc()).limit(limit)
