"""What replicas share beside calls, in the records' database: documents by name, each with a
revision that rises when it changes, and the last good configurations.

Whoever changes a document holds its row, so that of two at once none is lost. All of it may raise
what a database raises.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sipagent.store.purging import writing
from sipagent.store.tables import config_versions, order_audit, shared

ORDERS: Final = "orders"
PIN: Final = "pin"
VERSIONS: Final = "versions"

_NEW: Final = 0


@dataclass(frozen=True, slots=True)
class Document:
    """One document as it stands; `body` is None where it is empty."""

    revision: int
    body: str | None


@dataclass(frozen=True, slots=True)
class Entry:
    """What the audit says of one change: who, when (unix seconds), and what, in JSON."""

    by: str
    at: float
    did: str


Changed = Callable[[str | None], tuple[str | None, Entry | None]]
"""Makes of a document's body the next one, and what the audit says of that, if anything."""


class Unchanged(Exception):  # noqa: N818  # no error: it ends a change that changes nothing
    """What was asked for is so already."""


async def revisions(engine: AsyncEngine) -> Mapping[str, int]:
    """The revision of each document that has been written; one row each, whatever is in them."""
    async with engine.connect() as connection:
        found = await connection.execute(select(shared.c.name, shared.c.revision))
        return {row.name: row.revision for row in found}


async def document(engine: AsyncEngine, name: str) -> Document | None:
    """The document; None where nobody has ever written it."""
    async with engine.connect() as connection:
        return await _document(connection, name)


async def change(engine: AsyncEngine, name: str, changed: Changed) -> None:
    """The document is what `changed` makes of the one before; its entry is in the audit.

    Where `changed` raises Unchanged, nothing is written, and nothing is told.
    """
    async with writing(engine) as connection:
        await _ensure(connection, name)
        before = await _document(connection, name, locked=True)
        assert before is not None
        try:
            body, entry = changed(before.body)
        except Unchanged:
            await connection.rollback()
            return
        revision = before.revision + 1
        here = update(shared).where(shared.c.name == name)
        await connection.execute(here.values(revision=revision, body=body))
        if entry is not None:
            told = {"revision": revision, "at": entry.at, "by": entry.by, "did": entry.did}
            await connection.execute(insert(order_audit).values(told))


async def begin(engine: AsyncEngine, name: str, body: str) -> None:
    """The document is this, if nobody has ever written it."""
    async with writing(engine) as connection:
        await _ensure(connection, name, body)


async def audited(engine: AsyncEngine) -> tuple[Entry, ...]:
    """All that the audit says, the oldest first."""
    asked = select(order_audit.c.by, order_audit.c.at, order_audit.c.did)
    async with engine.connect() as connection:
        found = await connection.execute(asked.order_by(order_audit.c.revision))
        return tuple(Entry(row.by, row.at, row.did) for row in found)


async def versions(engine: AsyncEngine) -> Mapping[str, float]:
    """When each version was kept, by its hash."""
    async with engine.connect() as connection:
        found = await connection.execute(select(config_versions.c.hash, config_versions.c.at))
        return {row.hash: row.at for row in found}


async def version(engine: AsyncEngine, hash_: str) -> str | None:
    """The texts of a version; None where there is no such one."""
    asked = select(config_versions.c.body).where(config_versions.c.hash == hash_)
    async with engine.connect() as connection:
        body: str | None = await connection.scalar(asked)
        return body


async def keep_versions(
    engine: AsyncEngine,
    kept: Mapping[str, tuple[float, str | None]],
    dropped: Collection[str] = (),
) -> None:
    """These versions are kept, each since then: those with texts anew, of the others the time is
    later. The `dropped` ones are gone."""
    if not kept and not dropped:
        return
    async with writing(engine) as connection:
        make = _insert(connection)
        for hash_, (at, body) in sorted(kept.items()):
            if body is None:
                here = update(config_versions).where(config_versions.c.hash == hash_)
                await connection.execute(here.where(config_versions.c.at < at).values(at=at))
                continue
            new = make(config_versions).values(hash=hash_, at=at, body=body)
            later = new.on_conflict_do_update(
                index_elements=[config_versions.c.hash],
                set_={"at": new.excluded.at},
                where=config_versions.c.at < new.excluded.at,
            )
            await connection.execute(later)
        if dropped:
            gone = delete(config_versions).where(config_versions.c.hash.in_(sorted(dropped)))
            await connection.execute(gone)
        await _ensure(connection, VERSIONS)
        here = update(shared).where(shared.c.name == VERSIONS)
        await connection.execute(here.values(revision=shared.c.revision + 1))


async def _document(
    connection: AsyncConnection, name: str, *, locked: bool = False
) -> Document | None:
    asked = select(shared.c.revision, shared.c.body).where(shared.c.name == name)
    if locked and connection.dialect.name != "sqlite":
        asked = asked.with_for_update()
    row = (await connection.execute(asked)).first()
    return None if row is None else Document(row.revision, row.body)


async def _ensure(connection: AsyncConnection, name: str, body: str | None = None) -> None:
    """The document's row is there; a new one has this body."""
    row = _insert(connection)(shared).values(name=name, revision=_NEW, body=body)
    await connection.execute(row.on_conflict_do_nothing())


def _insert(connection: AsyncConnection) -> Any:
    return sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
