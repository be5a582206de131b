"""Whether a server is worth asking. One that fails again and again is left alone for a while, so
that no caller waits in vain.

    closed --(so many failures without a success between them)--> open, for a while
    open   --(the while is over)--> one request is let through, as a trial
    trial  --(an answer)--> closed   --(a failure)--> open, for twice as long
           --(it shows nothing)--> the next request is the trial
"""

from dataclasses import dataclass, replace
from typing import Final

FAILURES: Final = 5
"""Failures in a row that open a circuit."""

SHORTEST_PAUSE: Final = 5.0
LONGEST_PAUSE: Final = 60.0
"""Seconds without any request, twice as many after each trial that fails."""


@dataclass(frozen=True, slots=True)
class Circuit:
    """What is known of a server. `open_until` is set while it is left alone, or tried."""

    failures: int = 0
    pause: float = SHORTEST_PAUSE
    open_until: float | None = None
    trying: bool = False

    def admits(self, now: float) -> bool:
        """Whether a request may be made now."""
        return self.open_until is None or (not self.trying and now >= self.open_until)

    def begun(self) -> "Circuit":
        """After a request has been admitted: the only one, if this is a trial."""
        return self if self.open_until is None else replace(self, trying=True)

    def worked(self) -> "Circuit":
        """After an answer."""
        return WORKING

    def showed_nothing(self, *, trial: bool) -> "Circuit":
        """After a request that proves neither."""
        return replace(self, trying=False) if trial else self

    def failed(self, now: float, *, trial: bool) -> "Circuit":
        """After a failure. What began before the circuit opened counts no more."""
        if self.open_until is not None:
            if not trial:
                return self
            longer = min(2 * self.pause, LONGEST_PAUSE)
            return Circuit(self.failures, longer, now + longer)
        failures = self.failures + 1
        opens = failures >= FAILURES
        return Circuit(failures, self.pause, now + self.pause if opens else None)


WORKING: Final = Circuit()
