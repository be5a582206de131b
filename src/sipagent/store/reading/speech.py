"""When each side of a call spoke, without its words; and the last words of calls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from sipagent.model import CallId, Happening, TenantName
from sipagent.store.facts import StoredTurn
from sipagent.store.tables import calls, happenings, turns

MOST_SPEECH: Final = 2000
"""Turns of one call."""

LONGEST_SAID: Final = 160
"""Characters of the last words of a call."""


@dataclass(frozen=True, slots=True)
class Speech:
    """One turn without its words: `length` is how many characters they have, None where they were
    not understood. `at` is unix seconds."""

    sequence: int
    at: float
    speaker: str
    length: int | None
    interrupted: bool


@dataclass(frozen=True, slots=True)
class HeldCount:
    """How many calls of a tenant are held on an account."""

    tenant: str
    account: str
    calls: int


@dataclass(frozen=True, slots=True)
class Said:
    """The end of what was said last."""

    speaker: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reached:
    """Of calls that are held those whose socket has been open, and those in which anything has been
    said. Their own rows have the times of it when they are over."""

    attached: frozenset[str] = frozenset()
    spoken: frozenset[str] = frozenset()


async def reached(connection: AsyncConnection, call_ids: Sequence[CallId]) -> Reached:
    """How far these calls have come."""
    if not call_ids:
        return Reached()
    step, turn = happenings.c, turns.c
    attached = await connection.scalars(
        select(step.call_id)
        .where(step.call_id.in_(call_ids), step.what == Happening.ATTACHED.value)
        .distinct()
    )
    spoken = await connection.scalars(
        select(turn.call_id).where(turn.call_id.in_(call_ids)).distinct()
    )
    return Reached(frozenset(attached), frozenset(spoken))


async def speech(
    connection: AsyncConnection, tenant: TenantName | None, call_id: CallId
) -> tuple[Speech, ...]:
    """The turns of a tenant's call in their order; None is every tenant, for the operator."""
    c = turns.c
    mine = [] if tenant is None else [c.tenant == tenant]
    rows = await connection.execute(
        select(c.sequence, c.at, c.speaker, func.length(c.text), c.interrupted)
        .where(c.call_id == call_id, *mine)
        .order_by(c.sequence)
        .limit(MOST_SPEECH)
    )
    return tuple(Speech(*row) for row in rows)


async def last_words(
    connection: AsyncConnection, tenant: TenantName, call_ids: Sequence[CallId]
) -> Mapping[str, Said]:
    """What was said last in each of a tenant's calls in which anything was understood."""
    if not call_ids:
        return {}
    c = turns.c
    newest = (
        select(c.call_id, func.max(c.sequence).label("sequence"))
        .where(c.call_id.in_(call_ids), c.tenant == tenant, c.text.is_not(None))
        .group_by(c.call_id)
        .subquery()
    )
    query = select(c.call_id, c.speaker, c.text).join(
        newest, (newest.c.call_id == c.call_id) & (newest.c.sequence == c.sequence)
    )
    return {
        call_id: Said(speaker, text[-LONGEST_SAID:])
        for call_id, speaker, text in await connection.execute(query)
    }


async def held_counts(
    connection: AsyncConnection, tenant: TenantName | None, *, since: float
) -> tuple[HeldCount, ...]:
    """How many calls that began at or after `since` are held, by tenant and account."""
    c = calls.c
    mine: list[Any] = [] if tenant is None else [c.tenant == tenant]
    rows = await connection.execute(
        select(c.tenant, c.account, func.count())
        .where(*mine, c.ended_at.is_(None), c.began_at >= since)
        .group_by(c.tenant, c.account)
        .order_by(c.tenant, c.account)
    )
    return tuple(HeldCount(*row) for row in rows)


async def turns_since(
    connection: AsyncConnection, tenant: TenantName | None, call_id: CallId, sequence: int
) -> tuple[StoredTurn, ...]:
    """The turns of a tenant's call from this one on, with their words."""
    c = turns.c
    mine: list[Any] = [] if tenant is None else [c.tenant == tenant]
    rows = await connection.execute(
        select(c.sequence, c.at, c.speaker, c.text, c.interrupted)
        .where(c.call_id == call_id, c.sequence >= sequence, *mine)
        .order_by(c.sequence)
        .limit(MOST_SPEECH)
    )
    return tuple(StoredTurn(*row) for row in rows)
