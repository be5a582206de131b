"""What a replica does so that it follows the orders that all of them share.

It looks at the database twice a second, by three numbers, and whenever it is told to look. What
has changed is written into its data directory, which is what it lives by: with the database away
the last known orders stay in force, also over a start. What the directory has and the database does
not (versions that were kept here, orders of the time before there were replicas) is put there.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import structlog
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncEngine

from sipagent.concurrency import TaskOwner
from sipagent.config.reload import disk
from sipagent.config.reload.orders import OrderFile
from sipagent.config.reload.versions import KEPT, Kept, VersionStore, read_pin
from sipagent.errors import StoreError
from sipagent.store import shared
from sipagent.store.database import DATABASE_ERRORS, open_engine, reason_of
from sipagent.store.location import Location

log = structlog.get_logger(__name__)

LOOK_EVERY: Final = 0.5
"""Seconds between two looks: an order holds on every replica within one second."""

ANSWER_WITHIN: Final = 2.0
"""Seconds for the database to answer one look."""

VERSIONS_WITHIN: Final = 30.0
"""Seconds for versions to come and go: twenty of a large configuration are many megabytes."""

OWN_EVERY: Final = 10
"""Looks between two at what this replica itself has kept."""

COPIED_WITHIN: Final = 3.0
"""Seconds that a start waits for the database: after that it goes on with its copies."""


class Copies:
    """The copies of one data directory, and how far they are true.

    Its methods say whether what calls live by has changed. They raise StoreError, or what a
    database raises: then the next look begins where this one ended.
    """

    def __init__(self, data_dir: Path) -> None:
        self._orders = OrderFile(data_dir)
        self._versions = VersionStore(data_dir)
        self._lock = data_dir / "controls.lock"
        self._seen: dict[str, int] = {}
        self._own: frozenset[Kept] = frozenset()

    async def renew_orders(self, engine: AsyncEngine) -> bool:
        """The orders are as the database has them."""
        return await self._renew(engine, await shared.revisions(engine), shared.ORDERS)

    async def renew_versions(self, engine: AsyncEngine, *, own: bool = True) -> bool:
        """The pin is as the database has it, and the versions are the newest of both. With `own`
        it is looked at what this directory has got meanwhile."""
        now = await shared.revisions(engine)
        if own or now.get(shared.VERSIONS) != self._seen.get(shared.VERSIONS):
            await self._share_versions(engine, now.get(shared.VERSIONS))
        return await self._renew(engine, now, shared.PIN)

    async def _renew(self, engine: AsyncEngine, now: Mapping[str, int], name: str) -> bool:
        if name in now and now[name] == self._seen.get(name):
            return False
        if name not in now and not await self._begin(engine, name):
            return False
        found = await shared.document(engine, name)
        if found is None:
            return False
        body = None if found.body is None else found.body.encode()
        changed = await asyncio.to_thread(self._copy, name, body)
        self._seen[name] = found.revision
        return changed

    async def _begin(self, engine: AsyncEngine, name: str) -> bool:
        """Nobody has ever written it there: what this directory has is what all follow. Says
        whether there is anything."""
        body = await asyncio.to_thread(self._content, name)
        if body is None:
            return False
        await shared.begin(engine, name, body.decode())
        log.info("shared with all replicas", what=name)
        return True

    def _content(self, name: str) -> bytes | None:
        if name == shared.ORDERS:
            return self._orders.content()
        return disk.read(self._versions.pin_path)

    def _copy(self, name: str, body: bytes | None) -> bool:
        with disk.locked(self._lock):
            if name == shared.ORDERS:
                return self._orders.copy(body)
            return self._versions.copy_pin(body)

    async def _share_versions(self, engine: AsyncEngine, revision: int | None) -> None:
        """Both have the newest twenty of either, and the pinned one."""
        listed = await asyncio.to_thread(self._versions.listed)
        if revision == self._seen.get(shared.VERSIONS) and self._own == frozenset(listed):
            return
        here, there = {one.hash: one.at for one in listed}, await shared.versions(engine)
        wanted = newest(here, there, await _pinned(engine))
        kept: dict[str, tuple[float, str | None]] = {}
        for hash_, at in wanted.items():
            if here.get(hash_, 0.0) < at:
                await self._fetch(engine, hash_, at, known=hash_ in here)
            elif hash_ in there and there[hash_] < at:
                kept[hash_] = (at, None)
            elif hash_ not in there and (texts := await self._texts(hash_)) is not None:
                kept[hash_] = (at, texts)
        await shared.keep_versions(engine, kept, there.keys() - wanted.keys())
        for hash_ in here.keys() - wanted.keys():
            await asyncio.to_thread(self._versions.drop, hash_)
        self._own = frozenset(await asyncio.to_thread(self._versions.listed))
        if revision is not None:
            self._seen[shared.VERSIONS] = revision

    async def _fetch(self, engine: AsyncEngine, hash_: str, at: float, *, known: bool) -> None:
        if known:
            await asyncio.to_thread(self._versions.again, hash_, at)
            return
        body = await shared.version(engine, hash_)
        try:
            if body is not None:
                await asyncio.to_thread(self._versions.copy, hash_, at, body.encode())
        except ValueError as error:
            log.warning("stored version skipped", version=hash_, reason=str(error))

    async def _texts(self, hash_: str) -> str | None:
        content = await asyncio.to_thread(self._versions.content, hash_)
        return None if content is None else content.decode()


@dataclass(slots=True)
class _Part:
    """One thing that is followed: how it is looked at, within how many seconds, and what is done
    when it has changed. `away` is why the last look came to nothing."""

    name: str
    renew: Callable[[AsyncEngine, int], Awaitable[bool]]
    within: float
    changed: Callable[[], Awaitable[Any]]
    told: asyncio.Event = field(default_factory=asyncio.Event)
    looks: int = 0
    away: str | None = None


class Following:
    """Keeps a replica's copies true. Used as `async with`.

    `ordered` is awaited when the orders have changed, `pinned` when the rollback has: they read the
    copies. Neither waits for the other, nor for versions on their way.
    """

    def __init__(
        self,
        engine: Callable[[], AsyncEngine],
        data_dir: Path,
        *,
        ordered: Callable[[], Awaitable[Any]],
        pinned: Callable[[], Awaitable[Any]],
    ) -> None:
        self._engine = engine
        copies = Copies(data_dir)
        self._parts = (
            _Part("orders", lambda e, _: copies.renew_orders(e), ANSWER_WITHIN, ordered),
            _Part(
                "versions",
                lambda e, looks: copies.renew_versions(e, own=looks % OWN_EVERY == 0),
                VERSIONS_WITHIN,
                pinned,
            ),
        )
        self._tasks = TaskOwner(_crashed, apart=True)

    async def __aenter__(self) -> "Following":
        for part in self._parts:
            self._tasks.start(self._follow(part), name=f"follow {part.name}")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._tasks.cancel(1.0)

    @property
    def away(self) -> str | None:
        """Why the last known orders are in force, and not surely those of all replicas."""
        return self._parts[0].away

    @property
    def looked(self) -> bool:
        """Whether everything has been looked at."""
        return all(part.looks for part in self._parts)

    def look(self) -> None:
        """Look at once: somebody says that something has changed."""
        for part in self._parts:
            part.told.set()

    async def _follow(self, part: _Part) -> None:
        while True:
            part.told.clear()
            await self._look(part)
            part.looks += 1
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY):
                    await part.told.wait()

    async def _look(self, part: _Part) -> None:
        try:
            async with asyncio.timeout(part.within):
                changed = await part.renew(self._engine(), part.looks)
            if changed:
                await part.changed()
        except (StoreError, *DATABASE_ERRORS) as error:
            _missed(part, str(error) if isinstance(error, StoreError) else reason_of(error))
        except Exception as error:  # the crash boundary of one look: the next one may do
            log.exception("not followed", what=part.name, error=type(error).__name__)
            _missed(part, f"internal error ({type(error).__name__})")
        else:
            if part.away is not None:
                log.info("followed again", what=part.name)
            part.away = None


def _missed(part: _Part, reason: str) -> None:
    if part.away is None:
        log.warning("the last known ones stay in force", what=part.name, reason=reason)
    part.away = reason


async def copied(location: Location, data_dir: Path) -> str | None:
    """The copies of the data directory are as the database has it; else why they stay as they
    are. For a start, before the configuration is read."""
    engine = open_engine(location)
    try:
        async with asyncio.timeout(COPIED_WITHIN):
            copies = Copies(data_dir)
            await copies.renew_orders(engine)
            await copies.renew_versions(engine)
    except ProgrammingError:
        return None  # it has no such tables yet: nobody has shared anything
    except StoreError as error:
        return str(error)
    except DATABASE_ERRORS as error:
        return reason_of(error)
    finally:
        await engine.dispose()
    return None


async def _pinned(engine: AsyncEngine) -> str | None:
    found = await shared.document(engine, shared.PIN)
    pin = None if found is None or found.body is None else read_pin(found.body.encode())
    return None if pin is None else pin.hash


def newest(
    here: Mapping[str, float], there: Mapping[str, float], pinned: str | None
) -> dict[str, float]:
    """What of both is kept, each with its later time."""
    both = {one: max(here.get(one, 0.0), there.get(one, 0.0)) for one in {*here, *there}}
    newest = sorted(both, key=lambda one: (one == pinned, both[one], one), reverse=True)
    return {one: both[one] for one in newest[:KEPT]}


def _crashed(name: str, crash: BaseException) -> None:
    log.error("task crashed", task=name, error=type(crash).__name__, exc_info=crash)
