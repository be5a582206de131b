"""The operator's orders on the disk: `orders/controls.json` in the data directory, and its audit.

Whoever changes them holds a lock, so that of two at once none is lost. What was done is written to
`audit.jsonl` before it is done. Numbers stand in both as the operator gave them.
"""

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from sipagent.config.reload import disk
from sipagent.config.words import dotted
from sipagent.errors import StoreError
from sipagent.model import DestinationName
from sipagent.routing.controls import Controls, Order, Scope, ordered

_FORMAT: Final = 1
_DEFAULTS: Final = {**asdict(Order(Scope.ALL)), "scope": ""}
_LARGEST: Final = 4 * 1024 * 1024

Orders = tuple[Order, ...]


class _Written(BaseModel):
    """One order as it stands in the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    scope: Annotated[Scope, Field(strict=False)]
    name: Annotated[str, Field(max_length=256)] = ""
    code: Annotated[int, Field(ge=300, le=699)] | None = None
    to: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    until: Annotated[float, Field(allow_inf_nan=False)] | None = None
    paused: bool = False

    @model_validator(mode="after")
    def _fits(self) -> "_Written":
        if (self.scope is Scope.ALL) != (self.name == ""):
            raise ValueError("`all` has no name, every other scope has one")
        if self.code is not None and self.to is not None:
            raise ValueError("an order has a code or a destination, not both")
        return self

    def order(self) -> Order:
        to = None if self.to is None else DestinationName(self.to)
        return Order(self.scope, self.name, self.code, to, self.until, self.paused)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    version: Annotated[int, Field(ge=_FORMAT, le=_FORMAT)]
    orders: tuple[_Written, ...] = ()


_WRITTEN: Final = TypeAdapter(_Written)


class OrderFile:
    """The orders of one data directory. Its methods raise StoreError, which names the place of
    what is wrong with the file; they may wait for another process, so call them from a thread."""

    def __init__(self, data_dir: Path) -> None:
        # A folder of its own, because the service watches it: beside it records are written all
        # the time.
        self.path = data_dir / "orders" / "controls.json"
        self.audit = data_dir / "audit.jsonl"
        self._lock = data_dir / "controls.lock"

    def read(self) -> Controls:
        """The orders that stand in the file; none where there is no file."""
        return ordered(self._orders())

    def add(self, order: Order, *, by: str, at: float) -> None:
        """The order is in force, as the newest of its scope. Expired ones are gone."""
        self._verify(order)
        self._change(
            lambda orders: (*(one for one in orders if one != order), order),
            {"did": "add", "order": _plain(order)},
            by=by,
            at=at,
        )

    def remove(
        self, scope: Scope, name: str = "", *, by: str, at: float, paused: bool | None = None
    ) -> Orders:
        """No order of this scope and name is in force; says which were. Expired ones are gone.

        `paused` takes back pauses only (True), or everything but pauses (False).
        """

        def meant(order: Order) -> bool:
            fits = paused is None or order.paused is paused
            return fits and (order.scope, order.name) == (scope, name)

        removed: list[Order] = []

        def without(orders: Orders) -> Orders:
            removed.extend(filter(meant, orders))
            return tuple(order for order in orders if not meant(order))

        did = {"did": "remove", "scope": scope.value, "name": name, "paused": paused}
        self._change(without, did, by=by, at=at)
        return tuple(removed)

    def _change(
        self, change: Callable[[Orders], Orders], did: dict[str, Any], *, by: str, at: float
    ) -> None:
        with disk.locked(self._lock):
            live = tuple(o for o in self._orders() if o.until is None or o.until > at)
            orders = change(live)
            if orders == live:
                return  # nothing is done, so nothing is told of it
            time = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
            line = {"time": time, "by": by, **did}
            disk.append_line(self.audit, json.dumps(line).encode())
            content = {"version": _FORMAT, "orders": [_plain(order) for order in orders]}
            disk.replace(self.path, json.dumps(content, indent=1).encode() + b"\n")
            disk.remove_abandoned(self.path.parent)

    def _orders(self) -> Orders:
        raw = disk.read(self.path)
        if raw is None:
            return ()
        if len(raw) > _LARGEST:
            raise StoreError(str(self.path), f"is larger than {_LARGEST // 1024:,} KiB")
        try:
            file = _File.model_validate(self._parsed(raw))
        except ValidationError as error:
            raise StoreError(str(self.path), _sentence(error)) from None
        return tuple(written.order() for written in file.orders)

    def _parsed(self, raw: bytes) -> Any:
        try:
            return json.loads(raw.decode("utf-8-sig"))
        except json.JSONDecodeError as error:
            reason = f"is not JSON: {error.msg.lower()}"
            raise StoreError(str(self.path), reason, error.lineno, error.colno) from None
        except (UnicodeDecodeError, RecursionError):
            raise StoreError(str(self.path), "is not JSON: no UTF-8 text, or too deep") from None

    def _verify(self, order: Order) -> None:
        """What could not be read again is not written."""
        try:
            _WRITTEN.validate_python(asdict(order))
        except ValidationError as error:
            raise StoreError(
                str(self.path), f"cannot hold this order: {_sentence(error)}"
            ) from None


def _plain(order: Order) -> dict[str, Any]:
    """The order without what is left at its default."""
    plain = {**asdict(order), "scope": order.scope.value}
    return {key: value for key, value in plain.items() if value != _DEFAULTS[key]}


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = dotted(first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message
