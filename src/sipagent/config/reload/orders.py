"""The operator's orders: where they are kept, and their audit.

`OrderStore` is what changes them. On one machine they are a file, `orders/controls.json` in the
data directory; replicas share them in the database of their records (`shared`), and each keeps the
file as its copy.

Of two that change them at once none is lost. What was done is written to the audit with it.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from sipagent.config.reload import disk
from sipagent.config.reload.ordersheet import (
    Orders,
    changed_sheet,
    is_meant,
    plain,
    read_orders,
    verify,
    with_order,
    written_orders,
)
from sipagent.model import TenantName
from sipagent.routing.controls import Controls, Order, Scope, ordered


class OrderStore(Protocol):
    """The operator's orders. Its methods raise StoreError, which names the place of what is wrong;
    they may wait for another process, or for a server, so call them from a thread."""

    def read(self) -> Controls:
        """The orders that stand there; none where nobody has given one."""

    def add(self, order: Order, *, by: str, at: float) -> None:
        """The order is in force, as the newest of its scope, in place of those that do the same.
        Expired ones are gone. Raises TooManyOrdersError where some have to be taken back first."""

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
        """No order of this scope and name is in force; says which were. Expired ones are gone.

        `paused` takes back pauses only (True), or everything but pauses (False); `tenant` what
        its own people gave only.
        """


class OrderFile:
    """The orders of one data directory."""

    def __init__(self, data_dir: Path) -> None:
        # A folder of its own, because the service watches it: beside it records are written all
        # the time.
        self.path = data_dir / "orders" / "controls.json"
        self.audit = data_dir / "audit.jsonl"
        self._lock = data_dir / "controls.lock"

    def read(self) -> Controls:
        return ordered(self._orders())

    def add(self, order: Order, *, by: str, at: float) -> None:
        place = str(self.path)
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

    def copy(self, content: bytes | None) -> bool:
        """The file holds what the replicas' database does; says whether it held something else."""
        new = written_orders(read_orders(content, str(self.path)))
        if disk.read(self.path) == new:
            return False
        disk.replace(self.path, new)
        disk.remove_abandoned(self.path.parent)
        return True

    def content(self) -> bytes | None:
        """What is written in the file, None if there is none. Raises StoreError where that cannot
        be used."""
        self._orders()
        return disk.read(self.path)

    def _change(
        self,
        change: Callable[[Orders], Orders],
        did: dict[str, Any],
        *,
        by: str,
        at: float,
        by_tenant: bool = False,
    ) -> None:
        with disk.locked(self._lock):
            raw = disk.read(self.path)
            new = changed_sheet(raw, change, at, str(self.path), by_tenant=by_tenant)
            if new is None:
                return  # nothing is done, so nothing is told of it
            time = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
            disk.append_line(self.audit, json.dumps({"time": time, "by": by, **did}).encode())
            disk.replace(self.path, new)
            disk.remove_abandoned(self.path.parent)

    def _orders(self) -> Orders:
        return read_orders(disk.read(self.path), str(self.path))


class Taken:
    """Takes orders back, as a change of all of them, and remembers which."""

    def __init__(
        self, scope: Scope, name: str, paused: bool | None, tenant: TenantName | None = None
    ) -> None:
        self._meant = (scope, name, paused, tenant)
        self.told = {"did": "remove", "scope": scope.value, "name": name, "paused": paused}
        self.removed: list[Order] = []

    def __call__(self, orders: Orders) -> Orders:
        self.removed = [order for order in orders if is_meant(order, *self._meant)]
        return tuple(order for order in orders if not is_meant(order, *self._meant))


def told_added(order: Order) -> dict[str, Any]:
    """What the audit says of an order that was given."""
    return {"did": "add", "order": plain(order)}
