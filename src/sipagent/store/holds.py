"""Legal holds: what they cover is neither erased nor deleted by age until they are released."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Row, false, insert, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sipagent.model import CallId, TenantName
from sipagent.store.numbers import InstallationKey, is_hashed
from sipagent.store.purging import writing
from sipagent.store.tables import calls, holds

_ID_BYTES: Final = 6


@dataclass(frozen=True, slots=True)
class Subject:
    """What a hold covers: one call, or all of a caller's or a tenant's, or of the caller's with
    that tenant. `caller` is a fingerprint."""

    tenant: TenantName | None = None
    caller: str | None = field(default=None, repr=False)
    call_id: CallId | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """A hold as it stands in the records. Times are unix seconds."""

    id: str
    subject: Subject
    reason: str
    placed_at: float
    placed_by: str
    released_at: float | None = None


@dataclass(frozen=True, slots=True)
class Covered:
    """All that is held at one moment."""

    key: InstallationKey = field(repr=False)
    tenants: frozenset[str] = frozenset()
    callers: frozenset[tuple[str | None, str]] = field(default=frozenset(), repr=False)

    def holds(self, call: Row[tuple[object, ...]]) -> bool:
        """Whether a call's row, with its `hold`, `tenant` and `caller`, is held."""
        if call.hold or call.tenant in self.tenants:
            return True
        return call.caller is not None and any(
            tenant in (None, call.tenant) and self._is_of(call, caller)
            for tenant, caller in self.callers
        )

    def _is_of(self, call: Row[tuple[object, ...]], fingerprint: str) -> bool:
        if is_hashed(call.caller):
            return bool(self.key.stored(TenantName(call.tenant), fingerprint) == call.caller)
        return self.key.fingerprint(call.caller) == fingerprint


async def covered(connection: AsyncConnection, key: InstallationKey) -> Covered:
    """What is held now, apart from single calls, which their rows tell."""
    found = await connection.execute(
        select(holds.c.tenant, holds.c.caller).where(
            holds.c.released_at.is_(None), holds.c.call_id.is_(None)
        )
    )
    rows = found.all()
    return Covered(
        key,
        frozenset(row.tenant for row in rows if row.caller is None),
        frozenset((row.tenant, row.caller) for row in rows if row.caller is not None),
    )


async def place(
    engine: AsyncEngine, subject: Subject, *, reason: str, by: str, at: float
) -> Hold | None:
    """The hold is in force; None where there is no such call."""
    hold = Hold(secrets.token_hex(_ID_BYTES), subject, reason, at, by)
    async with writing(engine) as connection:
        if subject.call_id is not None:
            named = calls.c.call_id == subject.call_id
            changed = await connection.execute(update(calls).where(named).values(hold=true()))
            if changed.rowcount == 0:
                return None
        values = {
            "id": hold.id,
            "tenant": subject.tenant,
            "caller": subject.caller,
            "call_id": subject.call_id,
            "reason": reason,
            "placed_at": at,
            "placed_by": by,
        }
        await connection.execute(insert(holds).values(values))
    return hold


async def release(engine: AsyncEngine, hold_id: str, *, at: float) -> Hold | None:
    """The hold is in force no more; None where none of this id was."""
    async with writing(engine) as connection:
        named = (holds.c.id == hold_id, holds.c.released_at.is_(None))
        row = (await connection.execute(select(holds).where(*named))).one_or_none()
        if row is None:
            return None
        await connection.execute(update(holds).where(*named).values(released_at=at))
        if row.call_id is not None:
            others = select(holds.c.id).where(
                holds.c.call_id == row.call_id, holds.c.released_at.is_(None)
            )
            await connection.execute(
                update(calls)
                .where(calls.c.call_id == row.call_id, ~others.exists())
                .values(hold=false())
            )
    return _hold(row)


async def listed(engine: AsyncEngine, *, released: bool = False) -> list[Hold]:
    """The holds in force, the oldest first; with `released` also those that were."""
    wanted = select(holds).order_by(holds.c.placed_at, holds.c.id)
    if not released:
        wanted = wanted.where(holds.c.released_at.is_(None))
    async with engine.connect() as connection:
        return _holds(await connection.execute(wanted))


def _holds(rows: Iterable[Row[tuple[object, ...]]]) -> list[Hold]:
    return [_hold(row) for row in rows]


def _hold(row: Row[tuple[object, ...]]) -> Hold:
    subject = Subject(row.tenant, row.caller, row.call_id)
    return Hold(row.id, subject, row.reason, row.placed_at, row.placed_by, row.released_at)
