"""What was asked under an `Idempotency-Key`: done once, and answered alike for 24 hours.

A key is its token's own. While the first request of a key is worked at, the row has no answer; one
that has had none for WORKED_AT is of a process that is gone, and the next attempt takes its place.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Row, and_, delete, or_, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sipagent.sessions.ports import Clock
from sipagent.store.purging import PAUSE, STEP, writing
from sipagent.store.tables import idempotency

KEPT: Final = 86_400.0
WORKED_AT: Final = 60.0
ASKED_WITHIN: Final = 5.0


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a token's, and what its request comes to."""

    token: str
    key: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered."""

    status: int
    media_type: str | None
    body: str = field(repr=False)


class Known(StrEnum):
    """NEW: nobody has asked, and whoever wants to know is to do it now. BUSY: it is being done.
    OTHER: the key stands for another request."""

    NEW = "new"
    BUSY = "busy"
    OTHER = "other"


class IdempotencyKeys:
    """The keys of the records' database. All of it may raise what a database raises."""

    def __init__(self, engine: Callable[[], AsyncEngine], clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    async def begin(self, key: Key) -> Known | Answer:
        """What is known of the request. Of two at once one gets NEW."""
        async with asyncio.timeout(ASKED_WITHIN), writing(self._engine()) as connection:
            now = self._clock.wall()
            await connection.execute(delete(idempotency).where(_is(key), _over(now)))
            make = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
            row = {"token": key.token, "key": key.key, "fingerprint": key.fingerprint, "at": now}
            first = await connection.execute(make(idempotency).values(row).on_conflict_do_nothing())
            if first.rowcount:
                return Known.NEW
            return _known(await _found(connection, key), key)

    async def end(self, key: Key, answer: Answer) -> None:
        """The request is answered so from now on."""
        told = {"status": answer.status, "media_type": answer.media_type, "body": answer.body}
        async with asyncio.timeout(ASKED_WITHIN), writing(self._engine()) as connection:
            here = update(idempotency).where(_is(key), idempotency.c.status.is_(None))
            await connection.execute(here.values(told))

    async def drop(self, key: Key) -> None:
        """As if nobody had asked: it was not done, or is to be done again."""
        async with asyncio.timeout(ASKED_WITHIN), writing(self._engine()) as connection:
            unanswered = idempotency.c.status.is_(None)
            await connection.execute(delete(idempotency).where(_is(key), unanswered))


async def prune(engine: AsyncEngine, now: float) -> int:
    """Keys that have been kept for long enough are gone; says how many."""
    pruned = 0
    key = (idempotency.c.token, idempotency.c.key)
    while True:
        async with writing(engine) as connection:
            some = select(*key).where(idempotency.c.at < now - KEPT).limit(STEP)
            gone = [tuple(row) for row in await connection.execute(some)]
            await connection.execute(delete(idempotency).where(tuple_(*key).in_(gone)))
        pruned += len(gone)
        if len(gone) < STEP:
            return pruned
        await asyncio.sleep(PAUSE)


async def _found(connection: AsyncConnection, key: Key) -> Row[Any] | None:
    return (await connection.execute(select(idempotency).where(_is(key)))).first()


def _known(row: Row[Any] | None, key: Key) -> Known | Answer:
    if row is None:  # taken away between two statements
        return Known.BUSY
    if row.fingerprint != key.fingerprint:
        return Known.OTHER
    if row.status is None:
        return Known.BUSY
    return Answer(row.status, row.media_type, row.body or "")


def _is(key: Key) -> Any:
    return and_(idempotency.c.token == key.token, idempotency.c.key == key.key)


def _over(now: float) -> Any:
    """Kept for long enough, or left by a process that is gone."""
    left = and_(idempotency.c.status.is_(None), idempotency.c.at < now - WORKED_AT)
    return or_(idempotency.c.at < now - KEPT, left)
