"""What comes of the REFERs of one call: plans, of which each is used up by one of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

ReferOutcome = Literal["transferred", "nothing", "refused", "error500"]


@dataclass(frozen=True, slots=True)
class ReferPlan:
    """What comes of a REFER, to this URI or to any: TRANSFERRED ends the call `after` seconds,
    NOTHING is relayed and no more is heard of it, REFUSED and ERROR500 are not relayed: the first
    for certain, the second for all that its sender can know."""

    outcome: ReferOutcome = "transferred"
    after: float = 0.2
    to: str | None = None


class Refers:
    """The plans that are left."""

    def __init__(self, plans: Iterable[ReferPlan]) -> None:
        self._left = list(plans)

    def take(self, uri: str) -> ReferPlan:
        """The first plan for this URI. It is used up, unless it is the last for it."""
        fitting = [plan for plan in self._left if plan.to in {None, uri}]
        if len(fitting) > 1:
            self._left.remove(fitting[0])
        return fitting[0] if fitting else ReferPlan()
