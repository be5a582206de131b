"""The operator's orders and the last good versions where replicas share them: in the database of
their records.

Commands change them here. Replicas look here twice a second (`following`), and live by the copies
in their data directories, so that they need no database to go on, nor to start.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncEngine

from sipagent.config.reload.orders import Taken, told_added
from sipagent.config.reload.ordersheet import (
    Orders,
    changed_sheet,
    read_orders,
    verify,
    with_order,
)
from sipagent.config.reload.versions import Kept, Pin, read_pin, written_pin
from sipagent.config.sources import Bundle
from sipagent.errors import StoreError
from sipagent.model import TenantName
from sipagent.routing.controls import Controls, Order, Scope, ordered
from sipagent.store import shared
from sipagent.store.location import Location
from sipagent.store.opening import changed

Result = TypeVar("Result")


class _Shared:
    """One database of records, reached anew by each method, in an event loop of its own."""

    def __init__(self, location: Location) -> None:
        self._location = location

    def _asked(self, work: Callable[[AsyncEngine], Awaitable[Result]]) -> Result:
        """What the work makes of the database. Raises StoreError."""

        async def ask() -> Result:
            async with changed(self._location) as engine:
                return await work(engine)

        return asyncio.run(ask())


class SharedOrders(_Shared):
    """The orders that all replicas follow: an `OrderStore` on their database."""

    def read(self) -> Controls:
        found = self._asked(lambda engine: shared.document(engine, shared.ORDERS))
        return ordered(self._orders(None if found is None else found.body))

    def add(self, order: Order, *, by: str, at: float) -> None:
        place = self._location.shown
        verify(order, place)
        self._change(
            lambda orders: with_order(orders, order, place),
            told_added(order),
            by=by,
            at=at,
            by_tenant=order.by_tenant,
        )

    def remove(
        self,
        scope: Scope,
        name: str = "",
        *,
        by: str,
        at: float,
        paused: bool | None = None,
        tenant: TenantName | None = None,
    ) -> Orders:
        taken = Taken(scope, name, paused, tenant)
        self._change(taken, taken.told, by=by, at=at)
        return tuple(taken.removed)

    def _change(
        self,
        change: Callable[[Orders], Orders],
        did: dict[str, Any],
        *,
        by: str,
        at: float,
        by_tenant: bool = False,
    ) -> None:
        entry = shared.Entry(by, at, json.dumps(did))

        def made(body: str | None) -> tuple[str, shared.Entry]:
            raw = None if body is None else body.encode()
            new = changed_sheet(raw, change, at, self._location.shown, by_tenant=by_tenant)
            if new is None:
                raise shared.Unchanged
            return new.decode(), entry

        self._asked(lambda engine: shared.change(engine, shared.ORDERS, made))

    def _orders(self, body: str | None) -> Orders:
        return read_orders(None if body is None else body.encode(), self._location.shown)


class SharedVersions(_Shared):
    """The last good versions of all replicas, and their one rollback: a `VersionShelf`. What it has
    read it remembers: it is for one command."""

    def __init__(
        self,
        location: Location,
        *,
        now: Callable[[], float] = time.time,
        on_damage: Callable[[str, str], None] = lambda _, __: None,
    ) -> None:
        super().__init__(location)
        self._now = now
        self._on_damage = on_damage
        self._known: tuple[Kept, ...] | None = None
        self._bundles: dict[str, Bundle | None] = {}

    def keep(self, hash_: str, bundle: Bundle) -> None:
        at = round(self._now(), 3)  # as in the names of files
        kept = {hash_: (at, bundle.to_json().decode())}
        self._asked(lambda engine: shared.keep_versions(engine, kept))
        self._known = None

    def last(self) -> tuple[str, Bundle] | None:
        found = ((kept.hash, self._bundle(kept.hash)) for kept in self._listed())
        return next(((hash_, bundle) for hash_, bundle in found if bundle is not None), None)

    def get(self, hash_prefix: str) -> tuple[str, Bundle] | None:
        meant = [kept.hash for kept in self._listed() if kept.hash.startswith(hash_prefix)]
        if len(meant) > 1:
            raise StoreError(hash_prefix, f"begins several versions: {', '.join(sorted(meant))}")
        bundle = self._bundle(meant[0]) if meant else None
        return None if bundle is None else (meant[0], bundle)

    def all(self) -> tuple[Kept, ...]:
        return self._listed()

    def pin(self, hash_: str, overrides: str) -> None:
        if all(kept.hash != hash_ for kept in self._listed()):
            raise StoreError(self._location.shown, f"has no version {hash_}")
        self._write(written_pin(Pin(hash_, overrides, self._now())).decode())

    def pinned(self) -> Pin | None:
        found = self._asked(lambda engine: shared.document(engine, shared.PIN))
        if found is None or found.body is None:
            return None
        pin = read_pin(found.body.encode())
        if pin is None:
            self._on_damage(self._location.shown, "has a pin that cannot be read")
        return pin

    def unpin(self) -> None:
        self._write(None)

    def _write(self, body: str | None) -> None:
        self._asked(lambda engine: shared.change(engine, shared.PIN, lambda _: (body, None)))

    def _listed(self) -> tuple[Kept, ...]:
        if self._known is None:
            found = self._asked(shared.versions)
            kept = (Kept(hash_, at) for hash_, at in found.items())
            self._known = tuple(sorted(kept, key=lambda one: one.at, reverse=True))
        return self._known

    def _bundle(self, hash_: str) -> Bundle | None:
        if hash_ not in self._bundles:
            body = self._asked(lambda engine: shared.version(engine, hash_))
            self._bundles[hash_] = None if body is None else self._read(hash_, body)
        return self._bundles[hash_]

    def _read(self, hash_: str, body: str) -> Bundle | None:
        try:
            return Bundle.from_json(body.encode())
        except ValueError as error:
            self._on_damage(f"{self._location.shown}, version {hash_}", str(error))
            return None
