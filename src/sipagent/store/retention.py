"""What has been kept as long as its tenant wishes is deleted, by one task of one replica and in
small steps."""

import asyncio
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Self

import structlog
from sqlalchemy import (
    ColumnElement,
    Delete,
    Select,
    Table,
    Update,
    delete,
    or_,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncEngine

from sipagent.concurrency import TaskOwner
from sipagent.errors import StoreError
from sipagent.jobs import JobName, Jobs, Ours
from sipagent.model import Privacy, TenantName
from sipagent.model.privacy import DAY
from sipagent.sessions.ports import Clock
from sipagent.store.database import DATABASE_ERRORS, reason_of
from sipagent.store.erasure import LONGEST_CALL, Eraser
from sipagent.store.holds import covered
from sipagent.store.idempotency import prune as prune_keys
from sipagent.store.numbers import InstallationKey
from sipagent.store.outbox import prune as prune_outbox
from sipagent.store.purging import (
    NEEDED,
    PAUSE,
    SILENCED,
    STEP,
    CallRow,
    forget_journal,
    purge,
    writing,
)
from sipagent.store.tables import (
    calls,
    deleted_calls,
    messages,
    summaries,
    tool_calls,
    turns,
    usage,
)
from sipagent.store.tenants import recorded_tenants

log = structlog.get_logger(__name__)

EVERY: Final = 300.0
"""Seconds between two rounds."""

MONEY_KEPT: Final = 70 * DAY
"""How long usage, and what statements count of a call, outlive the call, so that the statement of
its month can be closed."""

_END_WITHIN: Final = 5.0

PrivacyOf = Callable[[TenantName], Privacy]
"""A tenant's privacy as the configuration in force has it, also of one that it has no more."""

Place = tuple[Any, ...] | None
"""Where in an order the next step begins."""


@dataclass(slots=True)
class Pruned:
    """What one round has deleted: turns of speech and messages whose time had come, what tools
    were given and gave, and whole calls."""

    turns: int = 0
    messages: int = 0
    summaries: int = 0
    tools: int = 0
    calls: int = 0


@dataclass(frozen=True, slots=True)
class _Words:
    """A table with words, the column that with the call's id is its key, and what makes it forget
    those that are `there`."""

    table: Table
    key: str
    forget: Delete | Update
    there: ColumnElement[bool] = field(default_factory=true)


_TURNS: Final = _Words(turns, "sequence", delete(turns))
_MESSAGES: Final = _Words(messages, "id", delete(messages))
_SUMMARIES: Final = _Words(summaries, "state", delete(summaries))
_TOOLS: Final = _Words(
    tool_calls,
    "id",
    update(tool_calls).values(SILENCED),
    or_(tool_calls.c.arguments.is_not(None), tool_calls.c.output.is_not(None)),
)


class Pruner:
    """Deletes by age. Calls under a legal hold stay as they are."""

    def __init__(
        self, engine: AsyncEngine, key: InstallationKey, privacy: PrivacyOf, clock: Clock
    ) -> None:
        self._engine = engine
        self._key = key
        self._privacy = privacy
        self._clock = clock

    async def prune(self) -> Pruned:
        """One round over all tenants. Raises what the database raises."""
        done, now = Pruned(), self._clock.wall()
        for tenant in await recorded_tenants(self._engine):
            privacy = self._privacy(tenant)
            before = now - privacy.transcripts
            done.turns += await self._words(_TURNS, tenant, before)
            done.messages += await self._words(_MESSAGES, tenant, before)
            done.summaries += await self._words(_SUMMARIES, tenant, before)
            done.tools += await self._words(_TOOLS, tenant, before)
            if privacy.records is not None:
                done.calls += await self._records(tenant, now - privacy.records)
                await self._money(tenant, now - max(privacy.records, MONEY_KEPT))
        if any(asdict(done).values()):
            log.info("records pruned", **asdict(done))
        await prune_outbox(self._engine, now)
        await prune_keys(self._engine, now)
        await forget_journal(self._engine)
        return done

    async def _words(self, words: _Words, tenant: TenantName, before: float) -> int:
        """How many there were that are gone now."""
        pruned, place = 0, None
        while True:
            async with writing(self._engine) as connection:
                rows = (await connection.execute(_old(words, tenant, before, place))).all()
                held = await covered(connection, self._key)
                gone = {row.call_id for row in rows if not held.holds(row)}
                c = words.table.c
                forgotten = words.forget.where(c.call_id.in_(gone), c.at < before, words.there)
                changed = await connection.execute(forgotten)
            pruned += changed.rowcount
            if len(rows) < STEP:
                return pruned
            place = tuple(rows[-1][:3])
            await asyncio.sleep(PAUSE)

    async def _records(self, tenant: TenantName, before: float) -> int:
        pruned, place = 0, None
        alive_since = self._clock.wall() - LONGEST_CALL
        while True:
            async with writing(self._engine) as connection:
                rows = (await connection.execute(_old_calls(tenant, before, place))).all()
                held = await covered(connection, self._key)
                gone: list[CallRow] = [
                    row
                    for row in rows
                    if not held.holds(row)
                    and (row.outcome is not None or row.began_at < alive_since)
                ]
                await purge(connection, gone)
            pruned += len(gone)
            if len(rows) < STEP:
                return pruned
            place = rows[-1].began_at, rows[-1].call_id
            await asyncio.sleep(PAUSE)

    async def _money(self, tenant: TenantName, before: float) -> None:
        """Usage of calls that are gone and what statements count of them, when no statement needs
        it any more."""
        of_call = select(calls.c.call_id).where(calls.c.call_id == usage.c.call_id)
        billed = (
            select(usage.c.call_id)
            .where(usage.c.tenant == tenant, usage.c.at < before, ~of_call.exists())
            .distinct()
        )
        await self._steps(usage, billed)
        began = deleted_calls.c.began_at < before
        old = select(deleted_calls.c.call_id).where(deleted_calls.c.tenant == tenant, began)
        await self._steps(deleted_calls, old)

    async def _steps(self, table: Table, old: Select[tuple[str]]) -> None:
        """The table has nothing of these calls any more."""
        while True:
            async with writing(self._engine) as connection:
                gone = (await connection.execute(old.limit(STEP))).scalars().all()
                await connection.execute(delete(table).where(table.c.call_id.in_(gone)))
            if len(gone) < STEP:
                return
            await asyncio.sleep(PAUSE)


class Retention:
    """The task that prunes, and that keeps erased callers erased: all of them once when it starts,
    as the records may be an old copy, and lately erased ones in every round, as their calls may
    have ended since.

    Of several replicas one does so. Each has its own list of erasures and its own memory of calls:
    these are kept by each of them.
    """

    def __init__(
        self,
        pruner: Pruner,
        eraser: Eraser,
        clock: Clock,
        *,
        every: float = EVERY,
        jobs: Jobs | None = None,
    ) -> None:
        self._pruner = pruner
        self._eraser = eraser
        self._clock = clock
        self._every = every
        self._jobs = jobs or Ours()
        self._tasks = TaskOwner(_crashed, apart=True)
        self.rounds = 0
        """Rounds that came to their end, whether or not the database was there."""

    async def __aenter__(self) -> Self:
        self._tasks.start(self.run(), name="retention")
        self._tasks.start(self._heed(), name="erasures")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._tasks.cancel(_END_WITHIN)

    async def run(self) -> None:
        """Rounds as long as the job is ours, until it is cancelled; what was under way when it was,
        or when another got the job, is whole or not begun."""
        since = 0.0
        while True:
            async with self._jobs.turn(JobName.RETENTION):
                while self._jobs.mine(JobName.RETENTION):
                    since = await self._round(since)
                    self.rounds += 1
                    await asyncio.sleep(self._every)

    async def _heed(self) -> None:
        """Erasures that were asked for by others are heeded here, while the job is another's."""
        since = 0.0
        while True:
            recent = self._clock.wall() - LONGEST_CALL
            if not self._jobs.mine(JobName.RETENTION):
                try:
                    await self._eraser.heed(since=since)
                    since = recent
                except StoreError as error:
                    log.warning("erasures not heeded", reason=error.reason)
                except DATABASE_ERRORS as error:
                    log.warning("erasures not heeded", reason=reason_of(error))
            await asyncio.sleep(self._every)

    async def _round(self, since: float) -> float:
        """The time from which on erasures are to be repeated in the next round."""
        recent = self._clock.wall() - LONGEST_CALL
        try:
            await self._eraser.replay(since=since)
            await self._pruner.prune()
        except StoreError as error:
            log.warning("retention failed", reason=error.reason)
        except DATABASE_ERRORS as error:
            log.warning("retention failed", reason=reason_of(error))
        else:
            return recent
        return since


def _old(words: _Words, tenant: TenantName, before: float, place: Place) -> Select[tuple[Any, ...]]:
    """Words that are too old, each with what of its call says whether it is held."""
    table, c = words.table, words.table.c
    order = c.at, c.call_id, c[words.key]
    wanted = (
        select(
            *order,
            c.tenant,
            calls.c.caller,
            calls.c.hold,
        )
        .select_from(table.outerjoin(calls, calls.c.call_id == c.call_id))
        .where(c.tenant == tenant, c.at < before, words.there)
    )
    if place is not None:
        wanted = wanted.where(tuple_(*order) > place)
    return wanted.order_by(*order).limit(STEP)


def _old_calls(tenant: TenantName, before: float, place: Place) -> Select[tuple[Any, ...]]:
    order = calls.c.began_at, calls.c.call_id
    wanted = select(*NEEDED).where(calls.c.tenant == tenant, calls.c.began_at < before)
    if place is not None:
        wanted = wanted.where(tuple_(*order) > place)
    return wanted.order_by(*order).limit(STEP)


def _crashed(name: str, error: BaseException) -> None:
    log.error("task crashed", task=name, error=type(error).__name__, exc_info=error)
