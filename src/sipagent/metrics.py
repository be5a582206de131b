"""Numbers to look at, for Prometheus. Labels never hold what a caller, a header or a model says."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sipagent import __version__
from sipagent.model import AccountName, CallOutcome
from sipagent.standing import Standing, StandingMetrics

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


Labels = TypeVar("Labels", bound=Sequence[str])

Samples = Iterable[tuple[Sequence[str], float]]
"""Values, each with its labels' values in order."""


class _Gauges(Collector):
    """What is true at the moment, read whenever metrics are asked for."""

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


class BudgetMetrics:
    """How far budgets are used up."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._crossed = Counter(
            "sipagent_budget_crossed_total",
            "Shares of budgets that have been used up; 100% is all. No number is named.",
            ["scope", "name", "period", "share"],
            registry=registry,
        )

    def crossed(self, scope: str, name: str, period: str, share: str) -> None:
        """Count a share that was used up. `name` is a tenant, an account, or empty."""
        self._crossed.labels(scope, name, period, share).inc()


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


class RecordMetrics:
    """What becomes of records, and what they say is used."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.tokens = Counter(
            "sipagent_tokens_total",
            "Tokens that the provider bills, by kind; cached ones are part of the input.",
            ["kind"],
            registry=registry,
        )
        self.cost = Counter(
            "sipagent_cost_microdollars_total",
            "What calls have cost, as far as prices are known.",
            registry=registry,
        )
        self.dropped = Counter(
            "sipagent_records_dropped_total",
            "Rows that will never be stored, by what they say.",
            ["kind"],
            registry=registry,
        )
        self.failures = Counter(
            "sipagent_records_failures_total",
            "Attempts to store rows that failed; the rows are tried again.",
            registry=registry,
        )


class ToolMetrics:
    """What agents do beside talking."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._total = Counter(
            "sipagent_tool_calls_total",
            "Tools that were run, by their kind and what came of it.",
            ["kind", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "sipagent_tool_seconds",
            "Time that tools took, by their kind.",
            ["kind"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.messages = Counter(
            "sipagent_messages_total", "Messages that callers have left.", registry=registry
        )
        self.transfers = Counter(
            "sipagent_transfers_total",
            "Attempts of agents to send a caller to somebody, by what came of them.",
            ["outcome"],
            registry=registry,
        )

    def observe(self, kind: str, status: str, seconds: float) -> None:
        """Count a tool that was run, and how long it took."""
        self._total.labels(kind, status).inc()
        self._seconds.labels(kind).observe(max(0.0, seconds))


class OutboxMetrics:
    """What tenants are told. `waiting` has for each tenant how many events wait, how many were
    given up, and the unix seconds since which the oldest waits."""

    def __init__(self, registry: CollectorRegistry, wall: Callable[[], float] = time.time) -> None:
        self.waiting: Sequence[tuple[str, int, int, float | None]] = ()
        self._attempts = Counter(
            "sipagent_events_total",
            "Attempts to tell a tenant's webhook of an event, by what became of the event.",
            ["state"],
            registry=registry,
        )
        readings: Sequence[tuple[str, str, Callable[[], Samples]]] = (
            ("outbox_pending", "Events that wait to be told.", self._pending),
            ("outbox_dead", "Events that were given up and can be replayed.", self._dead),
            ("outbox_oldest_seconds", "How long the oldest event has waited.", self._oldest),
        )
        for name, what, read in readings:
            registry.register(_Gauges(name, what, ["tenant"], read))
        self._wall = wall

    def attempted(self, state: str) -> None:
        """Count an attempt: delivered, pending or dead is what became of the event."""
        self._attempts.labels(state).inc()

    def _pending(self) -> Samples:
        return [((tenant,), float(count)) for tenant, count, _, _ in self.waiting]

    def _dead(self) -> Samples:
        return [((tenant,), float(count)) for tenant, _, count, _ in self.waiting]

    def _oldest(self) -> Samples:
        now = self._wall()
        return [
            ((tenant,), max(0.0, now - since))
            for tenant, _, _, since in self.waiting
            if since is not None
        ]


class Metrics:
    """All metrics of one process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.webhooks = WebhookMetrics(self.registry)
        self.calls = CallMetrics(self.registry)
        self.config = ConfigMetrics(self.registry)
        self.budgets = BudgetMetrics(self.registry)
        self.records = RecordMetrics(self.registry)
        self.outbox = OutboxMetrics(self.registry)
        self.tools = ToolMetrics(self.registry)
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

    def observe_unstored(self, rows: Callable[[], int]) -> None:
        """Have the number of rows that wait to be stored read whenever metrics are asked for."""
        gauge = Gauge("sipagent_records_waiting", "Rows not stored yet.", registry=self.registry)
        gauge.set_function(lambda: float(rows()))

    def observe_closings(self, closings: Callable[[], Mapping[str, int]]) -> None:
        """Have the connections that were cut, by reason, read whenever metrics are asked for."""
        self.registry.register(_Closings(closings))

    def observe_accounts(self, healthy: Callable[[], Mapping[str, bool]]) -> None:
        """Have the accounts' health read whenever metrics are asked for."""
        self._observe(
            "account_healthy",
            "Whether the provider takes the account's credentials.",
            ["account"],
            lambda: (((account,), float(is_well)) for account, is_well in healthy().items()),
        )

    def observe_breakers(self, are_open: Callable[[], Mapping[str, bool]]) -> None:
        """Have the accounts' breakers read whenever metrics are asked for."""
        self._observe(
            "breaker_open",
            "Whether new calls of the account are refused because its calls fail.",
            ["account"],
            lambda: (((account,), float(is_open)) for account, is_open in are_open().items()),
        )

    def observe_headroom(
        self,
        shares: Callable[[], Mapping[AccountName, Mapping[str, float]]],
        lowered: Callable[[], Mapping[str, bool]],
    ) -> None:
        """Have what is left of the accounts' limits read whenever metrics are asked for."""
        self._observe(
            "account_headroom",
            "The share that is left of a limit of the account, as the provider told last.",
            ["account", "limit"],
            lambda: (
                ((account, limit), share)
                for account, limits in shares().items()
                for limit, share in limits.items()
            ),
        )
        self._observe(
            "account_lowered",
            "Whether new calls of the account are refused because its limits are used up.",
            ["account"],
            lambda: (((account,), float(is_low)) for account, is_low in lowered().items()),
        )

    def observe_arrivals(self, few: Callable[[], Mapping[Labels, bool]]) -> None:
        """Have the trunks and accounts that get unusually few calls, by kind and name, read
        whenever metrics are asked for."""
        self._observe(
            "arrivals_unusually_few",
            "Whether far fewer calls come in than at this time of earlier weeks.",
            ["kind", "name"],
            lambda: ((series, float(is_few)) for series, is_few in few().items()),
        )

    def observe_replica(self, standing: Callable[[], Standing | None]) -> None:
        """Have how this replica stands with its engine read whenever metrics are asked for."""
        self.registry.register(StandingMetrics(standing))

    def odd(self, oddity: str) -> None:
        """Count a frame that was ignored."""
        self._odd_frames.labels(oddity).inc()

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def _observe(
        self, name: str, what: str, labels: Sequence[str], read: Callable[[], Samples]
    ) -> None:
        self.registry.register(_Gauges(name, what, labels, read))

    def _counter(self, name: str, what: str, label: str) -> Counter:
        return Counter(f"sipagent_{name}", what, [label], registry=self.registry)


def _histogram(
    registry: CollectorRegistry, name: str, what: str, *, buckets: Sequence[float] = _SECONDS
) -> Histogram:
    return Histogram(f"sipagent_{name}", what, buckets=buckets, registry=registry)
