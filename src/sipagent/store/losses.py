"""What is wrong with the records while calls go on, and rows that were given up."""

from collections import Counter
from typing import Final, NamedTuple

from sipagent.metrics import RecordMetrics
from sipagent.sessions.ports import Clock
from sipagent.store.rows import RowKind

SHOWN_FOR: Final = 600.0
"""Seconds for which readiness tells that rows were given up."""


class Defect(NamedTuple):
    """Something that is wrong with the records while calls go on."""

    part: str
    code: str
    detail: str


class Losses:
    """Counts rows that will never be stored."""

    def __init__(self, metrics: RecordMetrics, clock: Clock) -> None:
        self._metrics = metrics
        self._clock = clock
        self._dropped: Counter[RowKind] = Counter()
        self._at: float | None = None

    def __bool__(self) -> bool:
        """Whether there was any."""
        return self._at is not None

    def add(self, kind: RowKind) -> None:
        self._dropped[kind] += 1
        self._at = self._clock.monotonic()
        self._metrics.dropped.labels(kind.value).inc()

    def defect(self) -> Defect | None:
        """What readiness tells of it, if there was one lately."""
        if self._at is None or self._clock.monotonic() - self._at >= SHOWN_FOR:
            return None
        told = ", ".join(f"{count} {kind}" for kind, count in sorted(self._dropped.items()))
        return Defect("records", "rows-dropped", f"Rows that were given up: {told}.")
