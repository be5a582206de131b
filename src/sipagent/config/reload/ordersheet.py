"""The operator's orders as they are written down, wherever they are kept. Pure.

Numbers stand in them as the operator gave them.
"""

import json
from dataclasses import asdict, replace
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from sipagent.config.words import dotted
from sipagent.errors import StoreError
from sipagent.model import DestinationName
from sipagent.routing.controls import Order, Scope

_FORMAT: Final = 1
_DEFAULTS: Final = {**asdict(Order(Scope.ALL)), "scope": ""}
_LARGEST: Final = 4 * 1024 * 1024

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

    @model_validator(mode="after")
    def _fits(self) -> "_Written":
        if (self.scope is Scope.ALL) != (self.name == ""):
            raise ValueError("`all` has no name, every other scope has one")
        if self.code is not None and self.to is not None:
            raise ValueError("an order has a code or a destination, not both")
        if self.live is not None and self.to is None:
            raise ValueError("held calls need a destination")
        return self

    def order(self) -> Order:
        to = None if self.to is None else DestinationName(self.to)
        return Order(
            self.scope,
            self.name,
            self.code,
            to,
            self.until,
            self.paused,
            self.live,
            self.by_tenant,
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


def verify(order: Order, place: str) -> None:
    """What could not be read again is not written. Raises StoreError."""
    try:
        _WRITTEN.validate_python(asdict(order))
    except ValidationError as error:
        raise StoreError(place, f"cannot hold this order: {_sentence(error)}") from None


def live_at(orders: Orders, at: float) -> Orders:
    """The orders that have not expired."""
    return tuple(order for order in orders if order.until is None or order.until > at)


def with_order(orders: Orders, order: Order) -> Orders:
    """These, with the order as the newest; the same one stands once, whenever it was given."""
    same = replace(order, live=None)
    return (*(one for one in orders if replace(one, live=None) != same), order)


def is_meant(
    order: Order, scope: Scope, name: str, paused: bool | None, by_tenant: bool | None
) -> bool:
    """Whether an order is of this scope and name; where `paused` says so, a pause, or none; where
    `by_tenant` does, one of the tenant's own people, or none."""
    fits = paused is None or order.paused is paused
    whose = by_tenant is None or order.by_tenant is by_tenant
    return fits and whose and (order.scope, order.name) == (scope, name)


def plain(order: Order) -> dict[str, Any]:
    """The order without what is left at its default."""
    plain = {**asdict(order), "scope": order.scope.value}
    return {key: value for key, value in plain.items() if value != _DEFAULTS[key]}


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
