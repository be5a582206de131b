"""Numbers to look at, for Prometheus. Labels never hold what a caller, a header or a model says."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
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


class _Healthy(Collector):
    """Which accounts work, read whenever metrics are asked for: accounts come and go."""

    def __init__(self, healthy: Callable[[], Mapping[str, bool]]) -> None:
        self._healthy = healthy

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily(
            "sipagent_account_healthy",
            "Whether the provider takes the account's credentials.",
            labels=["account"],
        )
        for account, healthy in self._healthy().items():
            family.add_metric([account], float(healthy))
        yield family


class WebhookMetrics:
    """What comes to the webhook."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "sipagent_webhook_requests_total",
            "Deliveries to the webhook, by what became of them.",
            ["result"],
            registry=registry,
        )
        self.seconds = _histogram(registry, "webhook_seconds", "Time to answer a delivery.")


class CallMetrics:
    """What becomes of calls."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._total = Counter(
            "sipagent_calls_total",
            "Calls that have ended, by agent and outcome.",
            ["agent", "outcome"],
            registry=registry,
        )
        self._accept = _histogram(
            registry, "accept_seconds", "From the webhook to the provider's answer to the accept."
        )
        self._attach = _histogram(
            registry, "attach_seconds", "From the answer to the accept to the open socket."
        )
        self._first_audio = _histogram(
            registry, "first_audio_seconds", "From the webhook to the first sound that is heard."
        )
        self._duration = _histogram(
            registry, "call_duration_seconds", "From the webhook to the end.", buckets=_MINUTES
        )

    def ended(self, outcome: CallOutcome) -> None:
        """Count a call's outcome, and how long it took to come how far."""
        self._total.labels(outcome.agent or "", outcome.name).inc()
        if outcome.answered_at is not None:
            self._accept.observe(max(0.0, outcome.answered_at - outcome.began_at))
            self._duration.observe(max(0.0, outcome.duration))
            if outcome.attached_at is not None:
                self._attach.observe(max(0.0, outcome.attached_at - outcome.answered_at))
        if outcome.heard_at is not None:
            self._first_audio.observe(max(0.0, outcome.heard_at - outcome.began_at))


class ConfigMetrics:
    """What is in force, and whether the files are."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._successful = Gauge(
            "sipagent_config_last_reload_successful",
            "Whether the files are usable as they were read last: 1 or 0.",
            registry=registry,
        )
        self._stale = Gauge(
            "sipagent_config_stale_tenants",
            "Tenants whose own files are wrong and that go on with their last good ones.",
            registry=registry,
        )
        self._info = Gauge(
            "sipagent_config_info",
            "The configuration in force.",
            ["hash", "origin"],
            registry=registry,
        )
        self._reloads = Counter(
            "sipagent_config_reloads_total",
            "Readings of the files after the start, by what became of them.",
            ["result"],
            registry=registry,
        )

    def in_force(self, config_hash: str, origin: str, *, usable: bool, stale: int) -> None:
        """Show what is in force."""
        self._successful.set(1 if usable else 0)
        self._stale.set(stale)
        self._info.clear()
        self._info.labels(config_hash, origin).set(1)

    def read(self, *, usable: bool) -> None:
        """Count one reading."""
        self._reloads.labels("usable" if usable else "refused").inc()


class Metrics:
    """All metrics of one process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.webhooks = WebhookMetrics(self.registry)
        self.calls = CallMetrics(self.registry)
        self.config = ConfigMetrics(self.registry)
        self.turns = self._counter("turns_total", "Finished turns, by who spoke.", "speaker")
        self.provider_errors = self._counter(
            "provider_errors_total", "Errors that the provider reported, by meaning.", "kind"
        )
        self._odd_frames = self._counter(
            "odd_frames_total", "Frames ignored: unknown, malformed or too large.", "oddity"
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

    def observe_accounts(self, healthy: Callable[[], Mapping[str, bool]]) -> None:
        """Have the accounts' health read whenever metrics are asked for."""
        self.registry.register(_Healthy(healthy))

    def odd(self, oddity: str) -> None:
        """Count a frame that was ignored."""
        self._odd_frames.labels(oddity).inc()

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def _counter(self, name: str, what: str, label: str) -> Counter:
        return Counter(f"sipagent_{name}", what, [label], registry=self.registry)


def _histogram(
    registry: CollectorRegistry, name: str, what: str, *, buckets: Sequence[float] = _SECONDS
) -> Histogram:
    return Histogram(f"sipagent_{name}", what, buckets=buckets, registry=registry)
