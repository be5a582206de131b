"""The audit: who did what, in one chain for the whole installation.

Each line's hash is over the hash of the line before and all of its own, and the end of the chain
stands beside it as well. So `verify` finds every line that was changed, taken out, put in or moved,
and an end that was cut off. It cannot find what somebody made who may write to the database and
computed all hashes anew from there on, or who cut off the end and set back what stands beside it:
that shows by a hash that was noted elsewhere, as each is in the log when its line is written.

No line is changed or deleted, by age or for a caller who is forgotten: there are neither words of
callers nor their numbers in it.
"""

import asyncio
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog
from sqlalchemy import Row, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sipagent.model import Json, TenantName
from sipagent.model.access import Deed, Principal
from sipagent.sessions.ports import Clock
from sipagent.store.purging import writing
from sipagent.store.tables import audit, shared

log = structlog.get_logger(__name__)

WRITTEN_WITHIN: Final = 5.0
MOST_LINES: Final = 200

_HEAD: Final = "audit"
_START: Final = "0" * 64
_AT_ONCE: Final = 500
_LONGEST_ACTION: Final = 48


@dataclass(frozen=True, slots=True)
class Author:
    """Whoever does something: by a token, or by a command on the machine, as the operator does."""

    name: str
    token: str | None = None
    operator: bool = True


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One line as it stands in the audit. `at` is unix seconds."""

    number: int
    at: float
    by: Author
    deed: Deed
    hash: str


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which lines are wanted: of one tenant's data, of one action, of one token, in a time."""

    tenant: TenantName | None = None
    action: str | None = None
    token: str | None = None
    since: float | None = None
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Verified:
    """What came of looking at the whole chain: how many lines hold, the last one's hash, and where
    and why it is broken, if it is."""

    lines: int
    head: str
    broken_at: int | None = None
    why: str | None = None


class AuditLog:
    """The audit of the records' database."""

    def __init__(self, engine: Callable[[], AsyncEngine], clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    async def write(self, by: Principal, deed: Deed) -> None:
        """The deed is in the audit. Raises what a database raises."""
        author = author_of(by)
        async with asyncio.timeout(WRITTEN_WITHIN), writing(self._engine()) as connection:
            line = await append(connection, author, deed, at=self._clock.wall())
        tell(line)


def tell(line: AuditLine) -> None:
    """Have the log witness a line that is written: its number and its hash."""
    log.info("audited", action=line.deed.action, line=line.number, hash=line.hash)


def author_of(by: Principal) -> Author:
    return Author(by.name, by.token_id, by.is_operator)


async def append(connection: AsyncConnection, by: Author, deed: Deed, *, at: float) -> AuditLine:
    """The deed is the audit's last line, once the transaction is through. It holds the end of the
    chain until then, so that nobody else writes a line with this number."""
    if len(deed.action) > _LONGEST_ACTION:
        raise ValueError(f"an action has at most {_LONGEST_ACTION} letters")
    number, before = await _head(connection)
    values: dict[str, Any] = {
        "number": number + 1,
        "at": at,
        "by": _clean(by.name),
        "token": by.token,
        "operator": by.operator,
        "action": deed.action,
        "target": _clean(deed.target),
        "tenant": deed.tenant,
        "detail": None if deed.detail is None else _canonical(deed.detail),
        "reason": None if deed.reason is None else _clean(deed.reason),
    }
    hash_ = _hash(before, values)
    await connection.execute(insert(audit).values(values | {"hash": hash_}))
    here = update(shared).where(shared.c.name == _HEAD)
    await connection.execute(here.values(revision=number + 1, body=hash_))
    return AuditLine(number + 1, at, by, deed, hash_)


async def lines(
    engine: AsyncEngine, wanted: AuditFilter, *, before: int | None = None, limit: int = 50
) -> Sequence[AuditLine]:
    """The newest lines that are wanted, the newest first; those before the line `before`."""
    asked = select(audit).order_by(audit.c.number.desc()).limit(min(limit, MOST_LINES))
    for column, value in (
        (audit.c.tenant, wanted.tenant),
        (audit.c.action, wanted.action),
        (audit.c.token, wanted.token),
    ):
        if value is not None:
            asked = asked.where(column == value)
    if wanted.since is not None:
        asked = asked.where(audit.c.at >= wanted.since)
    if wanted.until is not None:
        asked = asked.where(audit.c.at < wanted.until)
    if before is not None:
        asked = asked.where(audit.c.number < before)
    async with engine.connect() as connection:
        return [_line(row) for row in await connection.execute(asked)]


async def verify(engine: AsyncEngine, elsewhere: tuple[int, str] | None = None) -> Verified:
    """Look at every line, the oldest first, and at the end that is noted beside them; and at a line
    whose number and hash were noted `elsewhere`.

    Lines that are written meanwhile may be looked at or not.
    """
    async with engine.connect() as connection:
        found = await _verified(connection)
        if elsewhere is None or found.broken_at is not None:
            return found
        number, hash_ = elsewhere
        if number > found.lines:
            return Verified(found.lines, found.head, found.lines + 1, "the end is cut off")
        asked = select(audit.c.hash).where(audit.c.number == number)
        if number and await connection.scalar(asked) != hash_:
            return Verified(found.lines, found.head, number, "the line is another than was noted")
        return found


async def _verified(connection: AsyncConnection) -> Verified:
    noted, found = await _noted(connection), Verified(0, _START)
    while True:
        rows = await _next(connection, found.lines)
        for row in rows:
            found = _judged(found, row._asdict())
            if found.broken_at is not None:
                return found
        if len(rows) < _AT_ONCE:
            return await _ended(connection, found, noted)


def _judged(found: Verified, values: Mapping[str, Any]) -> Verified:
    """The chain with one line more, if that is the next of it."""
    number = found.lines + 1
    if values["number"] != number:
        return Verified(found.lines, found.head, number, "the line is missing")
    if _hash(found.head, values) != values["hash"]:
        return Verified(found.lines, found.head, number, "the line is not as it was written")
    return Verified(number, values["hash"])


async def _ended(connection: AsyncConnection, found: Verified, noted: tuple[int, str]) -> Verified:
    """The chain as a whole: it is at least as long as was noted before it was looked at."""
    lines_, head = noted
    if found.lines < lines_:
        return Verified(found.lines, found.head, found.lines + 1, "the end is cut off")
    asked = select(audit.c.hash).where(audit.c.number == lines_)
    there = await connection.scalar(asked) if lines_ else _START
    if there != head:
        return Verified(found.lines, found.head, lines_, "the end is not the one that is noted")
    if found.lines > lines_ and (await _noted(connection))[0] < found.lines:
        return Verified(found.lines, found.head, lines_ + 1, "the line is not noted as written")
    return found


async def _next(connection: AsyncConnection, after: int) -> Sequence[Row[Any]]:
    asked = select(audit).where(audit.c.number > after).order_by(audit.c.number).limit(_AT_ONCE)
    return (await connection.execute(asked)).all()


async def _noted(connection: AsyncConnection) -> tuple[int, str]:
    """The last line's number and hash, as they stand beside the chain."""
    asked = select(shared.c.revision, shared.c.body).where(shared.c.name == _HEAD)
    row = (await connection.execute(asked)).first()
    return (0, _START) if row is None else (row.revision, row.body)


async def _head(connection: AsyncConnection) -> tuple[int, str]:
    """The end of the chain, which is this transaction's until it is through."""
    make = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    first = make(shared).values(name=_HEAD, revision=0, body=_START)
    await connection.execute(first.on_conflict_do_nothing())
    asked = select(shared.c.revision, shared.c.body).where(shared.c.name == _HEAD)
    if connection.dialect.name != "sqlite":
        asked = asked.with_for_update()
    row = (await connection.execute(asked)).one()
    return row.revision, row.body


def _hash(before: str, values: Mapping[str, Any]) -> str:
    told = {name: value for name, value in values.items() if name != "hash"}
    return hashlib.sha256(f"{before}{_canonical(told)}".encode()).hexdigest()


def _canonical(value: Json) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _clean(text: str) -> str:
    """The text without what PostgreSQL stores in no text."""
    return text.replace("\x00", "").encode(errors="replace").decode()


def _line(row: Row[Any]) -> AuditLine:
    detail = None if row.detail is None else json.loads(row.detail)
    deed = Deed(row.action, row.target, row.tenant, detail, row.reason)
    return AuditLine(row.number, row.at, Author(row.by, row.token, row.operator), deed, row.hash)
