"""Label values of metrics that are as many as tenants have things: only so many are told apart."""

from typing import Final

OTHER: Final = "other"
"""Stands for all that came when there was no room any more."""

MOST_AGENTS: Final = 100
"""Agents that the metrics of a process tell apart, and tenants."""

MOST_TOOLS: Final = 50


class Bounded:
    """The first `most` sets of values that are asked for stay as they are; of all others each value
    is OTHER. It holds for as long as the process lives, so that no series goes on as another's."""

    __slots__ = ("_known", "_most")

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: set[tuple[str, ...]] = set()

    def of(self, *values: str) -> tuple[str, ...]:
        """The values as labels have them."""
        if values in self._known:
            return values
        if len(self._known) < self._most:
            self._known.add(values)
            return values
        return (OTHER,) * len(values)
