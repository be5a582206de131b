"""Metrics that are read whenever they are asked for: nobody keeps them up to date."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

Samples = Iterable[tuple[Sequence[str], float]]
"""Values, each with its labels' values in order."""


class Counts(Collector):
    """Counts that somebody else keeps, by one label."""

    def __init__(self, name: str, what: str, label: str, read: Callable[[], Mapping[str, int]]):
        self._name = name
        self._what = what
        self._label = label
        self._read = read

    def collect(self) -> Iterable[Metric]:
        family = CounterMetricFamily(f"sipagent_{self._name}", self._what, labels=[self._label])
        for value, count in self._read().items():
            family.add_metric([value], count)
        yield family


class Gauges(Collector):
    """What is true at the moment."""

    def __init__(
        self, name: str, what: str, labels: Sequence[str], read: Callable[[], Samples]
    ) -> None:
        self._name = name
        self._what = what
        self._labels = labels
        self._read = read

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily(f"sipagent_{self._name}", self._what, labels=self._labels)
        for labels, value in self._read():
            family.add_metric(labels, value)
        yield family
