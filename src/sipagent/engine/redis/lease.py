"""For how long a replica may act for its calls, and take over those of others. Pure.

Times are seconds on a clock that only goes forward.
"""

from dataclasses import dataclass
from typing import Final

PASSIVE_AT: Final = 0.9
"""The share of a lease after which an owner that could not confirm it does nothing any more: before
anybody else may take the call over."""


@dataclass(slots=True)
class Lease:
    """What this replica knows of the leases of its calls.

    `confirmed_at` is when the last renewal that was confirmed had been sent: the engine counts from
    a later moment, so that ours ends first. After any failure of the engine nobody is taken over
    for the length of a lease: when it comes back, all calls look abandoned, and their owners are to
    be first.
    """

    seconds: float
    confirmed_at: float
    calm_from: float = 0.0

    def confirmed(self, sent_at: float) -> None:
        """A renewal that was sent then has been confirmed."""
        self.confirmed_at = max(self.confirmed_at, sent_at)

    def failed(self, now: float) -> None:
        """The engine has not answered, or not as it should."""
        self.calm_from = now + self.seconds

    @property
    def passive_at(self) -> float:
        """From when on nothing may be done for a call, unless a renewal is confirmed before."""
        return self.confirmed_at + PASSIVE_AT * self.seconds

    def active(self, now: float) -> bool:
        """Whether this replica may act for its calls."""
        return now < self.passive_at

    def active_since(self, sent_at: float, now: float) -> bool:
        """Whether it may act for a call whose claim was sent then, and may have been taken."""
        return now < sent_at + PASSIVE_AT * self.seconds

    def may_adopt(self, now: float) -> bool:
        """Whether it may take over calls whose owners have not renewed their leases."""
        return self.active(now) and now >= self.calm_from
