"""Events that tenants are told, in the database: which are due, what they tell, what came of it.

An event that is being sent is leased: it is due again when the lease is over, so that a process
which dies between sending and writing that down has it sent a second time, and never not at all.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Select, and_, case, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sipagent.model import EventType, TenantName
from sipagent.model.privacy import DAY
from sipagent.store.facts import CallRow, StoredTurn
from sipagent.store.purging import PAUSE, STEP, writing
from sipagent.store.reading.rows import CALL_COLUMNS, call_row
from sipagent.store.summaries import Made, made_of
from sipagent.store.tables import calls, messages, outbox, transfers, turns

DELIVERED_KEPT: Final = 7 * DAY
DEAD_KEPT: Final = 30 * DAY
"""How long it can be seen what was told, and what could not be."""

LEASE: Final = 60.0
"""Seconds after which an event that was being sent is due again, whatever became of its sender."""

CHANGED_AT_ONCE: Final = 1000
"""Events that change in one transaction: some ten milliseconds on SQLite."""

MOST_TURNS: Final = 1000
_ANSWER_LENGTH: Final = 64

Endpoint = tuple[TenantName, str]
"""A tenant, and the name of one of its webhooks."""


class EventState(StrEnum):
    """PENDING: it is to be sent, again or for the first time. DELIVERED: the endpoint took it.
    DEAD: it will not be sent any more, unless somebody wants it to be."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class OutboxEvent:
    """One event for one webhook, as it stands in the outbox. Times are unix seconds; `answer` is
    what came of the last attempt in a few words."""

    id: str
    endpoint: str
    tenant: str
    type: str
    call_id: str | None
    subject: str | None
    at: float
    state: str
    since: float
    next_at: float
    attempts: int
    tried_at: float | None
    ended_at: float | None
    answer: str | None
    data: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Material:
    """An event that is due, and all that it can tell. Of a call that is not there `call` is None,
    and `fields` of a message that is not."""

    event: OutboxEvent
    call: CallRow | None = None
    fields: Mapping[str, str] | None = field(default=None, repr=False)
    destination: str | None = None
    made: Made | None = field(default=None, repr=False)
    turns: tuple[StoredTurn, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Ended:
    """What has come of an attempt; it is due again at `next_at` if it is still pending."""

    event: OutboxEvent
    state: EventState
    answer: str
    next_at: float


class Backlog(NamedTuple):
    """How many events of a tenant have not been told, and since when the oldest of them waits."""

    tenant: str
    pending: int = 0
    dead: int = 0
    oldest: float | None = None


_COLUMNS: Final = tuple(outbox.c[name] for name in OutboxEvent.__dataclass_fields__)


async def pending(engine: AsyncEngine) -> list[Endpoint]:
    """The webhooks for which something waits, due or not."""
    wanted = (
        select(outbox.c.tenant, outbox.c.endpoint)
        .where(_is(EventState.PENDING))
        .group_by(outbox.c.tenant, outbox.c.endpoint)
    )
    async with engine.connect() as connection:
        found = (await connection.execute(wanted)).all()
    return [(TenantName(row.tenant), row.endpoint) for row in found]


async def next_due(engine: AsyncEngine, endpoint: Endpoint) -> float | None:
    """When the next event of the webhook is due; None if none waits."""
    wanted = select(func.min(outbox.c.next_at)).where(_is(EventState.PENDING), _of(endpoint))
    async with engine.connect() as connection:
        found: float | None = await connection.scalar(wanted)
    return found


async def claim(
    engine: AsyncEngine,
    endpoint: Endpoint,
    now: float,
    limit: int,
    *,
    words: bool = False,
    late: float = 0.0,
) -> list[Material]:
    """At most so many events of the webhook that are due, and have been for `late` seconds, those
    due longest first, leased from now on. With `words` the end of a call comes with what was
    said."""
    wanted = (
        select(*_COLUMNS)
        .where(_is(EventState.PENDING), _of(endpoint), outbox.c.next_at <= now - late)
        .order_by(outbox.c.next_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    async with writing(engine) as connection:
        rows = (await connection.execute(wanted)).mappings().all()
        due = [OutboxEvent(**row) for row in rows]
        if due:
            leased = update(outbox).where(_named(endpoint[1], rows))
            await connection.execute(leased.values(next_at=now + LEASE))
    if not due:
        return []
    async with engine.connect() as connection:
        return [await _material(connection, event, words=words) for event in due]


async def conclude(engine: AsyncEngine, ends: Sequence[Ended], now: float) -> None:
    """What has come of the attempts is written down."""
    async with writing(engine) as connection:
        for end in ends:
            over = None if end.state is EventState.PENDING else now
            await connection.execute(
                update(outbox)
                .where(
                    outbox.c.id == end.event.id,
                    outbox.c.endpoint == end.event.endpoint,
                    _unsettled(),
                )
                .values(
                    state=end.state.value,
                    answer=end.answer[:_ANSWER_LENGTH],
                    attempts=outbox.c.attempts + 1,
                    next_at=end.next_at,
                    tried_at=now,
                    ended_at=over,
                )
            )


async def hasten(engine: AsyncEngine, endpoint: Endpoint, now: float) -> None:
    """Events that wait for another attempt at the webhook are due: it takes events again."""
    await _changed(engine, endpoint, outbox.c.next_at > now + LEASE, next_at=_in_turn(now))


async def give_up(
    engine: AsyncEngine, endpoint: Endpoint, now: float, since: float, answer: str
) -> int:
    """Events that have waited for the webhook since then or longer are dead; says how many there
    were."""
    dead = {"state": EventState.DEAD.value, "answer": answer, "ended_at": now}
    return await _changed(engine, endpoint, outbox.c.since <= since, **dead)


async def _changed(
    engine: AsyncEngine, endpoint: Endpoint, which: ColumnElement[bool], **values: Any
) -> int:
    """How many events that wait for the webhook have these values now, which takes them out of
    `which`. In steps: nobody else who writes is held up."""
    some = select(outbox.c.id).where(_is(EventState.PENDING), _of(endpoint), which)
    some = some.limit(CHANGED_AT_ONCE)
    many = 0
    while True:
        async with engine.connect() as connection:
            found = (await connection.execute(some)).mappings().all()
        if found:
            waiting = update(outbox).where(_named(endpoint[1], found), _unsettled(), which)
            async with writing(engine) as connection:
                many += (await connection.execute(waiting.values(values))).rowcount
        if len(found) < CHANGED_AT_ONCE:
            return many
        await asyncio.sleep(PAUSE)


async def listed(
    engine: AsyncEngine,
    *,
    tenant: TenantName | None = None,
    endpoint: str | None = None,
    state: EventState | None = None,
    limit: int = 50,
) -> list[OutboxEvent]:
    """The newest events in the outbox, of one tenant or of all, for one webhook or for any, in one
    state or in any."""
    wanted: Select[Any] = select(*_COLUMNS)
    if tenant is not None:
        wanted = wanted.where(outbox.c.tenant == tenant)
    if endpoint is not None:
        wanted = wanted.where(outbox.c.endpoint == endpoint)
    if state is not None:
        wanted = wanted.where(_is(state))
    newest = outbox.c.at.desc(), outbox.c.id.desc(), outbox.c.endpoint
    async with engine.connect() as connection:
        rows = (await connection.execute(wanted.order_by(*newest).limit(limit))).mappings()
        return [OutboxEvent(**row) for row in rows]


async def replay(
    engine: AsyncEngine,
    now: float,
    *,
    id_: str | None = None,
    tenant: TenantName | None = None,
    endpoint: str | None = None,
) -> int:
    """Have events sent again: the one of this id whatever became of it, else all that are dead.
    Says how many there are; each keeps its id."""
    which: list[ColumnElement[bool]] = [_is(EventState.DEAD) if id_ is None else outbox.c.id == id_]
    if tenant is not None:
        which.append(outbox.c.tenant == tenant)
    if endpoint is not None:
        which.append(outbox.c.endpoint == endpoint)
    again = update(outbox).where(and_(*which))
    async with writing(engine) as connection:
        done = await connection.execute(
            again.values(
                state=EventState.PENDING.value,
                since=now,
                next_at=_in_turn(now),
                attempts=0,
                ended_at=None,
            )
        )
    return done.rowcount


async def backlogs(engine: AsyncEngine) -> list[Backlog]:
    """What has not been told, tenant by tenant."""
    open_ = or_(_is(EventState.PENDING), _is(EventState.DEAD))
    wanted = (
        select(
            outbox.c.tenant, outbox.c.state, func.count().label("many"), func.min(outbox.c.since)
        )
        .where(open_)
        .group_by(outbox.c.tenant, outbox.c.state)
    )
    async with engine.connect() as connection:
        rows = (await connection.execute(wanted)).all()
    found: dict[str, dict[str, Any]] = {}
    for tenant, state, many, oldest in rows:
        facts = found.setdefault(tenant, {})
        facts[state] = many
        if state == EventState.PENDING:
            facts["oldest"] = oldest
    return [Backlog(tenant, **facts) for tenant, facts in sorted(found.items())]


async def prune(engine: AsyncEngine, now: float) -> int:
    """What has been told for long enough, and what could not be, is gone; says how many events."""
    pruned = 0
    old = or_(
        and_(_is(EventState.DELIVERED), outbox.c.ended_at < now - DELIVERED_KEPT),
        and_(_is(EventState.DEAD), outbox.c.ended_at < now - DEAD_KEPT),
    )
    while True:
        async with writing(engine) as connection:
            some = select(outbox.c.id, outbox.c.endpoint).where(old).limit(STEP)
            gone = (await connection.execute(some)).mappings().all()
            for endpoint in {row["endpoint"] for row in gone}:
                of_it = [row for row in gone if row["endpoint"] == endpoint]
                # One that is to be told again has not ended any more.
                ended = delete(outbox).where(
                    _named(endpoint, of_it), outbox.c.ended_at.is_not(None)
                )
                pruned += (await connection.execute(ended)).rowcount
        if len(gone) < STEP:
            return pruned
        await asyncio.sleep(PAUSE)


def _in_turn(now: float) -> ColumnElement[float]:
    """When events are due that are all due now: the oldest is first, and none has to be sorted."""
    return case((outbox.c.at < now, outbox.c.at), else_=now)


def _is(state: EventState) -> ColumnElement[bool]:
    return outbox.c.state == state.value


def _unsettled() -> ColumnElement[bool]:
    """Pending, said of rows that are named: SQLite would else look through all that is."""
    return outbox.c.state.not_in([EventState.DELIVERED.value, EventState.DEAD.value])


def _of(endpoint: Endpoint) -> ColumnElement[bool]:
    return and_(outbox.c.tenant == endpoint[0], outbox.c.endpoint == endpoint[1])


def _named(endpoint: str, rows: Sequence[Mapping[Any, Any]]) -> ColumnElement[bool]:
    """These events of one webhook, found by their key."""
    return and_(outbox.c.id.in_([row["id"] for row in rows]), outbox.c.endpoint == endpoint)


async def _material(connection: AsyncConnection, event: OutboxEvent, *, words: bool) -> Material:
    if event.call_id is None:
        return Material(event)
    of_call = calls.c.call_id == event.call_id
    found = (await connection.execute(select(*CALL_COLUMNS).where(of_call))).mappings().first()
    call = None if found is None else call_row(found)
    if event.type == EventType.MESSAGE_TAKEN:
        return Material(event, call, fields=await _fields(connection, event))
    if event.type == EventType.CALL_TRANSFERRED:
        last = transfers.c.number.desc()
        to = select(transfers.c.destination).where(transfers.c.call_id == event.call_id)
        name: str | None = await connection.scalar(to.order_by(last).limit(1))
        return Material(event, call, destination=name)
    if event.type == EventType.CALL_SUMMARISED:
        return Material(event, call, made=await made_of(connection, event.call_id))
    if words and event.type == EventType.CALL_ENDED:
        return Material(event, call, turns=await _turns(connection, event.call_id))
    return Material(event, call)


async def _fields(connection: AsyncConnection, event: OutboxEvent) -> Mapping[str, str] | None:
    named = and_(messages.c.call_id == event.call_id, messages.c.id == event.subject)
    text: str | None = await connection.scalar(select(messages.c.fields).where(named))
    if text is None:
        return None
    fields: Mapping[str, str] = json.loads(text)
    return fields


async def _turns(connection: AsyncConnection, call_id: str) -> tuple[StoredTurn, ...]:
    columns = (turns.c[name] for name in StoredTurn.__dataclass_fields__)
    wanted = select(*columns).where(turns.c.call_id == call_id).order_by(turns.c.sequence)
    rows = (await connection.execute(wanted.limit(MOST_TURNS))).mappings()
    return tuple(StoredTurn(**row) for row in rows)
