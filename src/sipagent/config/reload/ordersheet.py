"""The operator's orders as they are written down, wherever they are kept. Pure.

Numbers stand in them as the operator gave them.
"""

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from sipagent.config.words import dotted
from sipagent.errors import StoreError, TooManyOrdersError
from sipagent.model import DestinationName, TenantName
from sipagent.routing.controls import Order, Scope

_FORMAT: Final = 1
_DEFAULTS: Final = {**asdict(Order(Scope.ALL)), "scope": ""}
_LARGEST: Final = 4 * 1024 * 1024
_LARGEST_BY_TENANTS: Final = _LARGEST // 2
"""Up to here tenants' people may add orders: there is always room for the operator's."""

MOST: Final = 16
"""The orders of one scope and name that the operator, or a tenant's people, may have given."""

Orders = tuple[Order, ...]


class _Written(BaseModel):
    """One order as it is written."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    scope: Annotated[Scope, Field(strict=False)]
    name: Annotated[str, Field(max_length=256)] = ""
    code: Annotated[int, Field(ge=300, le=699)] | None = None
    to: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    until: Annotated[float, Field(allow_inf_nan=False)] | None = None
    paused: bool = False
    live: Annotated[float, Field(allow_inf_nan=False)] | None = None
    by_tenant: bool = False
    tenant: Annotated[str, Field(min_length=1, max_length=256)] | None = None

    @model_validator(mode="after")
    def _fits(self) -> "_Written":
        if (self.scope is Scope.ALL) != (self.name == ""):
            raise ValueError("`all` has no name, every other scope has one")
        if self.code is not None and self.to is not None:
            raise ValueError("an order has a code or a destination, not both")
        if self.live is not None and self.to is None:
            raise ValueError("held calls need a destination")
        if self.tenant is not None and not self.by_tenant:
            raise ValueError("the operator's orders are no tenant's")
        return self

    def order(self) -> Order:
        to = None if self.to is None else DestinationName(self.to)
        tenant = None if self.tenant is None else TenantName(self.tenant)
        return Order(
            self.scope,
            self.name,
            self.code,
            to,
            self.until,
            self.paused,
            self.live,
            self.by_tenant,
            tenant,
        )


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    version: Annotated[int, Field(ge=_FORMAT, le=_FORMAT)]
    orders: tuple[_Written, ...] = ()


_WRITTEN: Final = TypeAdapter(_Written)


def read_orders(raw: bytes | None, place: str) -> Orders:
    """The orders that are written there; none where nothing is. Raises StoreError, which names the
    `place` of what is wrong."""
    if raw is None:
        return ()
    if len(raw) > _LARGEST:
        raise StoreError(place, f"is larger than {_LARGEST // 1024:,} KiB")
    try:
        file = _File.model_validate(_parsed(raw, place))
    except ValidationError as error:
        raise StoreError(place, _sentence(error)) from None
    return tuple(written.order() for written in file.orders)


def written_orders(orders: Orders) -> bytes:
    """The orders as they are written."""
    content = {"version": _FORMAT, "orders": [plain(order) for order in orders]}
    return json.dumps(content, indent=1).encode() + b"\n"


def changed_sheet(
    raw: bytes | None,
    change: Callable[[Orders], Orders],
    at: float,
    place: str,
    *,
    by_tenant: bool = False,
) -> bytes | None:
    """What is to be written where `raw` was, without what has expired; None where the change
    changes nothing. Raises StoreError for what cannot be read, and TooManyOrdersError where the
    new one could not be read again, or where a tenant's people (`by_tenant`) would take the room
    that the operator needs."""
    before = live_at(read_orders(raw, place), at)
    after = change(before)
    if after == before:
        return None
    new = written_orders(after)
    tighter = by_tenant and len(after) > len(before)  # one that replaces another is always possible
    if len(new) > (_LARGEST_BY_TENANTS if tighter else _LARGEST):
        raise TooManyOrdersError(place, "has no room for more orders: take some back first")
    return new


def verify(order: Order, place: str) -> None:
    """What could not be read again is not written. Raises StoreError."""
    try:
        _WRITTEN.validate_python(asdict(order))
    except ValidationError as error:
        raise StoreError(place, f"cannot hold this order: {_sentence(error)}") from None


def live_at(orders: Orders, at: float) -> Orders:
    """The orders that have not expired."""
    return tuple(order for order in orders if order.until is None or order.until > at)


def with_order(orders: Orders, order: Order, place: str) -> Orders:
    """These, with the order as the newest. It takes the place of those that do the same, whenever
    they end: one that is shortened does not come back. Raises TooManyOrdersError."""
    others = tuple(one for one in orders if not _replaced(one, order))
    beside = sum(_alike(one, order) for one in others)
    if len(others) == len(orders) and beside >= MOST:
        whom = "all calls" if order.scope is Scope.ALL else f"this {order.scope}"
        reason = f"has {beside} orders on {whom} already: take them back first"
        raise TooManyOrdersError(place, reason)
    return (*others, order)


def is_meant(
    order: Order, scope: Scope, name: str, paused: bool | None, tenant: TenantName | None
) -> bool:
    """Whether an order is of this scope and name; where `paused` says so, a pause, or none; where
    a tenant is named, one that its own people gave."""
    fits = paused is None or order.paused is paused
    whose = tenant is None or (order.by_tenant and order.tenant in (None, tenant))
    return fits and whose and (order.scope, order.name) == (scope, name)


def plain(order: Order) -> dict[str, Any]:
    """The order without what is left at its default."""
    plain = {**asdict(order), "scope": order.scope.value}
    return {key: value for key, value in plain.items() if value != _DEFAULTS[key]}


def _alike(old: Order, new: Order) -> bool:
    """Whether both are of one scope and name, and given by the operator, or one tenant's people."""
    whose = old.by_tenant is new.by_tenant and old.tenant in (None, new.tenant)
    return whose and (old.scope, old.name) == (new.scope, new.name)


def _replaced(old: Order, new: Order) -> bool:
    """Whether the new one does what the old one did: pauses, with whatever status, or refuses or
    diverts alike."""
    if not _alike(old, new) or old.paused is not new.paused:
        return False
    return new.paused or (old.code, old.to) == (new.code, new.to)


def _parsed(raw: bytes, place: str) -> Any:
    try:
        return json.loads(raw.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        reason = f"is not JSON: {error.msg.lower()}"
        raise StoreError(place, reason, error.lineno, error.colno) from None
    except (UnicodeDecodeError, RecursionError):
        raise StoreError(place, "is not JSON: no UTF-8 text, or too deep") from None


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = dotted(first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message
