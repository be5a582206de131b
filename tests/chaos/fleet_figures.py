"""What the rounds among replicas came to, strike by strike."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from tests.chaos.promises import Counts


@dataclass(slots=True)
class Measured:
    """What one kind of strike came to. `taken_over` has for each call of a victim the seconds from
    the strike until another held it, `between` those for which nobody did."""

    rounds: int = 0
    calls: int = 0
    taken_over: list[float] = field(default_factory=list)
    between: list[float] = field(default_factory=list)
    twice: float = 0.0
    let_go: float = 0.0
    needless: int = 0
    stale: int = 0

    def row(self, name: str) -> list[str]:
        times = [*_middle_and_worst(self.taken_over), *_middle_and_worst(self.between)]
        return [
            name,
            str(self.rounds),
            str(self.calls),
            str(len(self.taken_over)),
            *times,
            f"{self.twice:.2f}",
            f"{self.let_go:.2f}" if self.let_go else "",
            str(self.needless),
            str(self.stale),
        ]


HEAD = [
    "strike",
    "rounds",
    "calls",
    "taken over",
    "after, s (median",
    "worst)",
    "held by nobody, s (median",
    "worst)",
    "held by two, s",
    "let go after return, s",
    "re-attached needlessly",
    "sent by who was no owner",
]


@dataclass(slots=True)
class FleetFigures(Counts):
    strikes: dict[str, Measured] = field(default_factory=dict)
    bookings: int = 0
    booked_twice: int = 0
    unknown_bookings: int = 0
    webhooks: int = 0
    failed_webhooks: int = 0
    slowest_webhook: float = 0.0
    left_in_redis: int = 0
    turns: int = 0

    def table(self) -> str:
        rows = (
            ("calls", f"{self.calls:,}"),
            ("calls with exactly one record and outcome", f"{self.recorded:,}"),
            ("second greetings", str(self.second_greetings)),
            ("second accepts", str(self.second_accepts)),
            ("accepts that crossed a strike", str(self.crossed_accepts)),
            ("second REFERs", str(self.second_refers)),
            ("bookings that must be made once", f"{self.bookings:,}"),
            ("bookings made twice", str(self.booked_twice)),
            ("bookings whose end is not known", str(self.unknown_bookings)),
            ("webhooks answered", f"{self.webhooks:,}"),
            ("webhooks answered 5xx", str(self.failed_webhooks)),
            ("slowest answer to a webhook, s", f"{self.slowest_webhook:.2f}"),
            ("calls whose usage must be the ledger's", f"{self.equal:,}"),
            ("their tokens in the records", f"{self.equal_tokens:,}"),
            ("difference to the ledger", str(self.difference)),
            ("bills of other calls that nobody heard", str(self.lost_bills)),
            ("turns that must be recorded, and are", f"{self.turns:,}"),
            ("left in Redis after the rounds", str(self.left_in_redis)),
            *((f"outcome {name}", f"{count:,}") for name, count in sorted(self.outcomes.items())),
        )
        strikes = [HEAD, *(one.row(name) for name, one in self.strikes.items())]
        lines = ["| " + " | ".join(cells) + " |" for cells in strikes]
        width = max(len(name) for name, _ in rows)
        return "\n".join([*lines, "", *(f"{name:<{width}}  {figure}" for name, figure in rows)])


def _middle_and_worst(seconds: Sequence[float]) -> list[str]:
    return [f"{median(seconds):.2f}", f"{max(seconds):.2f}"] if seconds else ["", ""]
