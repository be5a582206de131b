"""Whether the database takes rows now, as far as the writer knows."""

from typing import Final

from sipagent.sessions.ports import Clock
from sipagent.store.losses import Defect

LATE: Final = 3.0
"""Seconds after which a database that has not answered counts as away."""


class Outage:
    """`reason` is why the last attempt to store has failed, None where it has not."""

    def __init__(self, shown: str, clock: Clock) -> None:
        """`shown` is how the database is named to people."""
        self.reason: str | None = None
        self._shown = shown
        self._clock = clock
        self._asked_at: float | None = None

    def asked(self) -> None:
        """An attempt to store begins."""
        self._asked_at = self._clock.monotonic()

    def told(self) -> None:
        """The attempt has come to its end, well or not."""
        self._asked_at = None

    @property
    def lasts(self) -> bool:
        """Whether the database is away: the last attempt has failed, or the one that is under way
        has had no answer for too long."""
        return self.reason is not None or self._is_late

    @property
    def _is_late(self) -> bool:
        return self._asked_at is not None and self._clock.monotonic() - self._asked_at > LATE

    def defect(self, waiting: int) -> Defect | None:
        """What readiness says of it, with how many rows wait."""
        if not self.lasts:
            return None
        why = self.reason or f"{self._shown}: has not answered for {LATE:g} seconds"
        return Defect("records", "away", f"{why}; {waiting} rows wait in memory.")
