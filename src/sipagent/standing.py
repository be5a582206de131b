"""How a replica stands with the engine that it shares with others, as numbers to look at."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


@dataclass(slots=True)
class Tally:
    """How many calls this replica has `taken_over` from others, `handed_over` to them, and `lost`
    to those who took them over; how many it has `registered` that the engine did not know, and
    taken `alone`, without it."""

    taken_over: int = 0
    handed_over: int = 0
    lost: int = 0
    registered: int = 0
    alone: int = 0

    def changes(self) -> Mapping[str, int]:
        """Each number by its name."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Standing:
    """`answers`: the engine did when it was asked last. `passive`: nothing is done for calls, as
    their leases may be over. `renewed` seconds ago the last renewal was sent that was confirmed;
    `steps` wait for the engine; `changes` are those of a tally."""

    answers: bool
    passive: bool
    renewed: float
    steps: int
    changes: Mapping[str, int]


class StandingMetrics(Collector):
    """The standing, read whenever metrics are asked for; nothing where no engine is shared."""

    def __init__(self, standing: Callable[[], Standing | None]) -> None:
        self._standing = standing

    def collect(self) -> Iterable[Metric]:
        standing = self._standing()
        if standing is None:
            return
        yield GaugeMetricFamily(
            "sipagent_engine_answers",
            "Whether the engine answered when it was asked last.",
            float(standing.answers),
        )
        yield GaugeMetricFamily(
            "sipagent_engine_renewed_seconds",
            "Seconds since the last renewal of leases was sent that the engine has confirmed.",
            standing.renewed,
        )
        yield GaugeMetricFamily(
            "sipagent_engine_steps_waiting",
            "Steps that the engine has not taken yet.",
            float(standing.steps),
        )
        yield GaugeMetricFamily(
            "sipagent_replica_passive",
            "Whether nothing is done for held calls, as another replica may take them over.",
            float(standing.passive),
        )
        changes = CounterMetricFamily(
            "sipagent_replica_calls",
            "Calls that have changed hands, or that the engine did not know.",
            labels=["change"],
        )
        for change, calls in standing.changes.items():
            changes.add_metric([change], calls)
        yield changes
