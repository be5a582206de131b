"""What is made of values that many calls share, once for each of them."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar
from weakref import ref

T = TypeVar("T")
V = TypeVar("V")


class Lasting(dict[str, Any]):
    """A mapping that is made once and has many readers, so that `OfShared` can tell it again."""

    __slots__ = ("__weakref__",)


class OfShared(Generic[T, V]):
    """A function of values that never change, whose results are kept by which value it is.

    It keeps no value alive: what only one call has, and may hold words of its caller's, goes with
    that call, and its result with it. A result must not refer to its value.
    """

    __slots__ = ("_kept", "_make")

    def __init__(self, make: Callable[[T], V]) -> None:
        self._make = make
        self._kept: dict[int, tuple[ref[T], V]] = {}

    def __call__(self, value: T) -> V:
        key = id(value)
        kept = self._kept.get(key)
        if kept is not None and kept[0]() is value:
            return kept[1]
        made = self._make(value)
        self._kept[key] = (ref(value, lambda _: self._kept.pop(key, None)), made)
        return made
