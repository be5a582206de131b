"""Callers who want to be forgotten: everything of their calls goes, and goes again whenever an old
copy of the records is put back."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, Final

import structlog
from sqlalchemy import Row, Select, insert, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sipagent.model import TenantName
from sipagent.sessions.ports import Clock
from sipagent.store.holds import covered
from sipagent.store.ledger import Erasure, Ledger
from sipagent.store.numbers import PREFIX, InstallationKey
from sipagent.store.purging import (
    NEEDED,
    PAUSE,
    STEP,
    CallRow,
    forget_journal,
    purge,
    purge_words,
    writing,
)
from sipagent.store.tables import calls, erasures

log = structlog.get_logger(__name__)

LONGEST_CALL: Final = 86_400.0
"""Seconds after which a call without an outcome is held by nobody."""

_ID_BYTES: Final = 16
_CALLERS: Final = 1000


@dataclass(slots=True)
class Erased:
    """What an erasure led to. `held` calls are under a legal hold and stay; `live` ones have lost
    their words so far, and the rest when they end."""

    calls: int = 0
    held: list[str] = field(default_factory=list)
    live: list[str] = field(default_factory=list)


IsErased = Callable[[str, TenantName, float], bool]
"""Whether a caller's number, whose call it was, and the time of its end are those of an erasure."""


class Eraser:
    """Erases callers. Whatever ends it in between, the next replay does the rest. `forget` has what
    this process remembers besides be forgotten."""

    def __init__(
        self,
        engine: AsyncEngine,
        key: InstallationKey,
        ledger: Ledger,
        clock: Clock,
        forget: Callable[[IsErased], None] = lambda _: None,
    ) -> None:
        self._engine = engine
        self._forget = forget
        self._key = key
        self._ledger = ledger
        self._clock = clock

    async def erase(
        self, number: str, *, by: str, tenant: TenantName | None = None
    ) -> tuple[Erasure, Erased]:
        """The calls of this number up to now are gone. Raises StoreError."""
        erasure = Erasure(
            secrets.token_hex(_ID_BYTES),
            tenant,
            self._key.fingerprint(number),
            self._clock.wall(),
            by,
        )
        self._ledger.add(erasure)
        async with writing(self._engine) as connection:
            await connection.execute(insert(erasures).values(asdict(erasure) | {"calls": 0}))
        done = await self._apply([erasure])
        log.info(
            "caller erased",
            erasure=erasure.id,
            tenant=tenant,
            calls=done.calls,
            held=len(done.held),
            live=len(done.live),
        )
        return erasure, done

    async def replay(self, *, since: float = 0.0) -> Erased:
        """All erasures that were asked for since then have been carried out again, those of the
        ledger that the records had lost among them. Raises StoreError."""
        wanted = [each for each in await self._all() if each.requested_at >= since]
        done = await self._apply(wanted)
        if done.calls:
            log.info("callers erased again", erasures=len(wanted), calls=done.calls)
        return done

    async def heed(self, *, since: float = 0.0) -> None:
        """The ledger has all erasures, the records those of the ledger, and what this process
        remembers of callers is forgotten that was asked to be since then. From the records nobody
        is erased. Raises StoreError."""
        self._forget_all([each for each in await self._all() if each.requested_at >= since])

    async def _all(self) -> list[Erasure]:
        kept = {each.id: each for each in self._ledger.all()}
        async with self._engine.connect() as connection:
            rows = (await connection.execute(select(erasures))).all()
        stored = {row.id: _erasure(row) for row in rows}
        lost = [asdict(each) | {"calls": 0} for each in kept.values() if each.id not in stored]
        if lost:
            make = sqlite.insert if self._engine.dialect.name == "sqlite" else postgresql.insert
            async with writing(self._engine) as connection:
                # Another replica may put back the same ones.
                await connection.execute(make(erasures).on_conflict_do_nothing(), lost)
        for each in stored.values():
            if each.id not in kept:
                self._ledger.add(each)
        return list({**kept, **stored}.values())

    async def _apply(self, wanted: Sequence[Erasure]) -> Erased:
        done = Erased()
        if not wanted:
            return done
        self._forget_all(wanted)
        spellings = await self._spellings({each.caller for each in wanted})
        for erasure in wanted:
            before = done.calls
            for caller in spellings.get(erasure.caller, ()):
                await self._erase(erasure, caller, done)
            await self._count(erasure, done.calls - before)
        if done.calls or done.live:
            await forget_journal(self._engine)
        return done

    def _forget_all(self, wanted: Sequence[Erasure]) -> None:
        """What this process remembers besides is forgotten, as far as it is about these."""
        if wanted:
            newest = max(each.requested_at for each in wanted)
            self._forget(partial(self._is_erased, _by_caller(wanted), newest))

    def _is_erased(
        self,
        wanted: Mapping[str, Sequence[Erasure]],
        newest: float,
        caller: str,
        tenant: TenantName,
        ended_at: float,
    ) -> bool:
        """Whether one of these is about a call of this number that had ended by then. A number's
        fingerprint takes a while: what ended after the newest of them is not looked at."""
        return ended_at <= newest and any(
            each.tenant in (None, tenant) and ended_at <= each.requested_at
            for each in wanted.get(self._key.fingerprint(caller), ())
        )

    async def _count(self, erasure: Erasure, gone: int) -> None:
        if not gone:
            return
        named = erasures.c.id == erasure.id
        async with writing(self._engine) as connection:
            more = erasures.c.calls + gone
            await connection.execute(update(erasures).where(named).values(calls=more))

    async def _erase(self, erasure: Erasure, caller: str, done: Erased) -> None:
        """Calls of one spelling of the caller, in steps."""
        after: tuple[float, str] | None = None
        while True:
            async with writing(self._engine) as connection:
                rows = (await connection.execute(_calls_of(erasure, caller, after))).all()
                await self._purge(connection, rows, done)
            if len(rows) < STEP:
                return
            after = rows[-1].began_at, rows[-1].call_id
            await asyncio.sleep(PAUSE)

    async def _purge(
        self, connection: AsyncConnection, rows: Sequence[CallRow], done: Erased
    ) -> None:
        if not rows:
            return
        held = await covered(connection, self._key)
        oldest_live = self._clock.wall() - LONGEST_CALL
        gone: list[CallRow] = []
        live: list[str] = []
        for row in rows:
            if held.holds(row):
                done.held.append(row.call_id)
            elif row.outcome is None and row.began_at > oldest_live:
                live.append(row.call_id)
            else:
                gone.append(row)
        await purge(connection, gone)
        await purge_words(connection, live)
        done.calls += len(gone)
        done.live += live

    async def _spellings(self, wanted: set[str]) -> dict[str, list[str]]:
        """Each of these fingerprints' callers as they stand in the records of any tenant."""
        found: dict[str, list[str]] = {caller: [] for caller in wanted}
        async for tenant in self._tenants():
            hashed = {self._key.stored(tenant, caller): caller for caller in wanted}
            for stored in await self._known(list(hashed)):
                found[hashed[stored]].append(stored)
        async for number in self._plain_callers():
            fingerprint = self._key.fingerprint(number)
            if fingerprint in found:
                found[fingerprint].append(number)
        return found

    async def _known(self, callers: Sequence[str]) -> list[str]:
        """Those of the callers who have called."""
        known: list[str] = []
        for at in range(0, len(callers), _CALLERS):
            some = callers[at : at + _CALLERS]
            named = select(calls.c.caller).where(calls.c.caller.in_(some)).distinct()
            async with self._engine.connect() as connection:
                known += (await connection.execute(named)).scalars()
        return known

    async def _tenants(self) -> AsyncIterator[TenantName]:
        """Every tenant that has calls, one by one along the index."""
        last = ""
        while True:
            async with self._engine.connect() as connection:
                following = select(calls.c.tenant).where(calls.c.tenant > last)
                tenant = await connection.scalar(following.order_by(calls.c.tenant).limit(1))
            if tenant is None:
                return
            yield TenantName(tenant)
            last = tenant

    async def _plain_callers(self) -> AsyncIterator[str]:
        """Every caller whose number is stored as it is."""
        last = ""
        while True:
            async with self._engine.connect() as connection:
                following = (
                    select(calls.c.caller)
                    .where(calls.c.caller > last, calls.c.caller.not_like(f"{PREFIX}%"))
                    .distinct()
                    .order_by(calls.c.caller)
                    .limit(_CALLERS)
                )
                found = (await connection.execute(following)).scalars().all()
            for number in found:
                yield number
            if len(found) < _CALLERS:
                return
            last = found[-1]
            await asyncio.sleep(0)


def _by_caller(wanted: Sequence[Erasure]) -> dict[str, list[Erasure]]:
    found: dict[str, list[Erasure]] = {}
    for each in wanted:
        found.setdefault(each.caller, []).append(each)
    return found


def _erasure(row: Row[tuple[Any, ...]]) -> Erasure:
    return Erasure(row.id, row.tenant, row.caller, row.requested_at, row.requested_by)


def _calls_of(
    erasure: Erasure, caller: str, after: tuple[float, str] | None
) -> Select[tuple[Any, ...]]:
    wanted = select(*NEEDED).where(
        calls.c.caller == caller, calls.c.began_at <= erasure.requested_at
    )
    if erasure.tenant is not None:
        wanted = wanted.where(calls.c.tenant == erasure.tenant)
    if after is not None:
        wanted = wanted.where(tuple_(calls.c.began_at, calls.c.call_id) > after)
    return wanted.order_by(calls.c.began_at, calls.c.call_id).limit(STEP)
