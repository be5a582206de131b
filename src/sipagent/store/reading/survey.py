"""What the calls of a span have in common: counts by their traits, and those that went wrong."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, Final

from sqlalchemy import ColumnElement, case, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from sipagent.model import Fault, Happening, Kind, Reason, TenantName
from sipagent.store.facts import Failure, Group, Survey, ToolCount, Traits
from sipagent.store.reading.moments import LONGEST_CALL, moments
from sipagent.store.tables import calls, happenings, messages, tool_calls

_MOST_FAILURES: Final = 10_000
_BAD: Final = (Kind.FAILED, Kind.LOST)
_SENT_ON: Final = f"{Reason.TRANSFERRED.kind}.{Reason.TRANSFERRED}"
_TRAITS: Final = tuple(calls.c[each.name] for each in fields(Traits))
_FAILURE: Final = tuple(calls.c[each.name] for each in fields(Failure))


async def survey(
    connection: AsyncConnection, tenant: TenantName | None, *, since: float, until: float
) -> Survey:
    """What the calls that ended from `since` until before `until` (unix seconds) looked like.

    Moments are looked for only where the calls of all tenants are.
    """
    c = calls.c
    mine = [] if tenant is None else [c.tenant == tenant]
    within = [*mine, c.ended_at >= since, c.ended_at < until]
    bad = or_(*(c.outcome.startswith(f"{kind}.") for kind in _BAD))
    refused = c.outcome.startswith(f"{Kind.REJECTED}.")
    rows = await connection.execute(
        select(*_TRAITS, func.count(), _sum(bad), _sum(refused)).where(*within).group_by(*_TRAITS)
    )
    ended, rejected, groups = 0, 0, []
    for *common, count, wrong, not_taken in rows:
        ended, rejected = ended + count, rejected + not_taken
        if count > not_taken:
            groups.append(Group(Traits(*common), wrong, count - wrong - not_taken))
    held = await connection.scalar(select(func.count()).where(*mine, c.ended_at.is_(None)))
    failed = await connection.execute(
        select(*_FAILURE).where(*within, bad).order_by(c.ended_at.desc()).limit(_MOST_FAILURES)
    )
    fell_back = await _fell_back(
        connection, [*within, c.began_at >= since - LONGEST_CALL, c.began_at < until]
    )
    failures = [*(Failure(*row) for row in failed), *(failure for failure, _ in fell_back)]
    failures.sort(key=lambda one: (one.ended_at, one.call_id))
    return Survey(
        ended,
        rejected,
        held or 0,
        _moved(groups, Counter(traits for _, traits in fell_back)),
        tuple(failures[-_MOST_FAILURES:]),
        len(fell_back),
        await moments(connection, since=since, until=until) if tenant is None else (),
        await _tools(connection, tenant, since, until),
        await _messages(connection, tenant, since, until),
    )


async def _tools(
    connection: AsyncConnection, tenant: TenantName | None, since: float, until: float
) -> tuple[ToolCount, ...]:
    """How often each tool was used in this time, by what came of it."""
    c = tool_calls.c
    mine = [] if tenant is None else [c.tenant == tenant]
    rows = await connection.execute(
        select(c.tenant, c.name, c.status, func.count())
        .where(*mine, c.at >= since, c.at < until)
        .group_by(c.tenant, c.name, c.status)
        .order_by(c.tenant, c.name, c.status)
    )
    return tuple(ToolCount(*row) for row in rows)


async def _messages(
    connection: AsyncConnection, tenant: TenantName | None, since: float, until: float
) -> int:
    c = messages.c
    mine = [] if tenant is None else [c.tenant == tenant]
    taken = select(func.count()).where(*mine, c.at >= since, c.at < until)
    return await connection.scalar(taken) or 0


async def _fell_back(
    connection: AsyncConnection, within: Sequence[ColumnElement[bool]]
) -> list[tuple[Failure, Traits]]:
    """The newest 10,000 calls that were sent on because the model had failed."""
    c, step = calls.c, happenings.c
    fell = select(1).where(step.call_id == c.call_id, step.what == Happening.FELL_BACK).exists()
    rows = await connection.execute(
        select(*_FAILURE, *_TRAITS)
        .where(*within, c.outcome == _SENT_ON, fell)
        .order_by(c.ended_at.desc())
        .limit(_MOST_FAILURES)
    )
    width, found = len(_FAILURE), []
    for row in rows:
        failure = replace(Failure(*row[:width]), at_fault=Fault.PROVIDER.value)
        found.append((failure, Traits(*row[width:])))
    return found


def _moved(groups: Sequence[Group], wrong: Counter[Traits]) -> tuple[Group, ...]:
    """The groups, with so many of their calls among those that went wrong."""
    moving = ((one, min(wrong[one.traits], one.good)) for one in groups)
    return tuple(replace(one, bad=one.bad + many, good=one.good - many) for one, many in moving)


def _sum(condition: ColumnElement[bool]) -> ColumnElement[Any]:
    return func.sum(case((condition, 1), else_=0))
