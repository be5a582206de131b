"""What is made of values that many calls share, once for each of them."""

from collections.abc import Callable
from typing import Final, Generic, TypeVar

T = TypeVar("T")
V = TypeVar("V")

_MOST: Final = 256


class OfShared(Generic[T, V]):
    """A function of values that never change, whose results are kept by which value it is.

    A value that only one call has is made something of as without this. The last few hundred are
    kept alive by it.
    """

    __slots__ = ("_kept", "_make", "_most")

    def __init__(self, make: Callable[[T], V], most: int = _MOST) -> None:
        self._make = make
        self._most = most
        self._kept: dict[int, tuple[T, V]] = {}

    def __call__(self, value: T) -> V:
        kept = self._kept.get(id(value))
        if kept is not None:
            return kept[1]
        if len(self._kept) >= self._most:
            self._kept.clear()
        made = self._make(value)
        self._kept[id(value)] = (value, made)
        return made
