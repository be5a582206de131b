"""Numbers to look at, for Prometheus. Labels never hold what a caller, a header or a model says."""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from sipagent import __version__
from sipagent.model import CallOutcome

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_MINUTES = (5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600)


class _Closings(Collector):
    """Counts that the server's connections keep themselves."""

    def __init__(self, closings: Callable[[], Mapping[str, int]]) -> None:
        self._closings = closings

    def collect(self) -> Iterable[Metric]:
        family = CounterMetricFamily(
            "sipagent_connections_closed",
            "Connections cut because the client was too slow or sent too much.",
            labels=["reason"],
        )
        for reason, count in self._closings().items():
            family.add_metric([reason], count)
        yield family


class Metrics:
    """All metrics of one process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.webhooks = Counter(
            "sipagent_webhook_requests_total",
            "Deliveries to the webhook, by what became of them.",
            ["result"],
            registry=self.registry,
        )
        self.webhook_seconds = Histogram(
            "sipagent_webhook_seconds",
            "Time to answer a delivery.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.calls = Counter(
            "sipagent_calls_total",
            "Calls that have ended, by agent and outcome.",
            ["agent", "outcome"],
            registry=self.registry,
        )
        self.accept_seconds = Histogram(
            "sipagent_accept_seconds",
            "From the webhook to the provider's answer to the accept.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.attach_seconds = Histogram(
            "sipagent_attach_seconds",
            "From the provider's answer to the accept to the open socket.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.first_audio_seconds = Histogram(
            "sipagent_first_audio_seconds",
            "From the webhook to the first sound that the caller hears.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.call_duration_seconds = Histogram(
            "sipagent_call_duration_seconds",
            "From the webhook to the end of an answered call.",
            buckets=_MINUTES,
            registry=self.registry,
        )
        self.turns = Counter(
            "sipagent_turns_total",
            "Finished turns, by who spoke.",
            ["speaker"],
            registry=self.registry,
        )
        self.provider_errors = Counter(
            "sipagent_provider_errors_total",
            "Errors that the provider reported on calls' sockets, by what they mean.",
            ["kind"],
            registry=self.registry,
        )
        self.odd_frames = Counter(
            "sipagent_odd_frames_total",
            "Frames of the provider that were ignored: unknown, malformed or too large.",
            ["oddity"],
            registry=self.registry,
        )
        build = Gauge(
            "sipagent_build_info", "The running release.", ["version"], registry=self.registry
        )
        build.labels(__version__).set(1)

    def observe_active(self, calls: Callable[[], int]) -> None:
        """Have the number of held calls read whenever metrics are asked for."""
        gauge = Gauge("sipagent_calls_active", "Calls held now.", registry=self.registry)
        gauge.set_function(lambda: float(calls()))

    def observe_closings(self, closings: Callable[[], Mapping[str, int]]) -> None:
        """Have the connections that were cut, by reason, read whenever metrics are asked for."""
        self.registry.register(_Closings(closings))

    def call_ended(self, outcome: CallOutcome) -> None:
        self.calls.labels(outcome.agent or "", outcome.name).inc()
        if outcome.answered_at is not None:
            self.accept_seconds.observe(max(0.0, outcome.answered_at - outcome.began_at))
            self.call_duration_seconds.observe(max(0.0, outcome.duration))
            if outcome.attached_at is not None:
                self.attach_seconds.observe(max(0.0, outcome.attached_at - outcome.answered_at))
        if outcome.heard_at is not None:
            self.first_audio_seconds.observe(max(0.0, outcome.heard_at - outcome.began_at))

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)
