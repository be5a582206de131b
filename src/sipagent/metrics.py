"""Numbers to look at, for Prometheus. Labels never hold what a caller, a header or a model says."""

import time
from collections import Counter as Sums
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    ProcessCollector,
    generate_latest,
)

from sipagent import __version__
from sipagent.bounded import MOST_AGENTS, Bounded
from sipagent.callmetrics import BudgetMetrics, CallMetrics, ToolMetrics, histogram
from sipagent.collectors import Counts, Gauges, Samples
from sipagent.model import AccountName, AgentName, TenantName
from sipagent.standing import Standing, StandingMetrics

_LAGS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


Labels = TypeVar("Labels", bound=Sequence[str])


class WebhookMetrics:
    """What comes to the webhook."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "sipagent_webhook_requests_total",
            "Deliveries to the webhook, by what became of them.",
            ["result"],
            registry=registry,
        )
        self.seconds = histogram(registry, "webhook_seconds", "Time to answer a delivery.")


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

    def __init__(self, registry: CollectorRegistry, agents: Bounded) -> None:
        self._agents = agents
        self.tokens = Counter(
            "sipagent_tokens_total",
            "Tokens that the provider bills, by kind; cached ones are part of the input.",
            ["kind"],
            registry=registry,
        )
        self._cost = Counter(
            "sipagent_cost_microdollars_total",
            "What calls have cost, as far as prices are known, by tenant and agent.",
            ["tenant", "agent"],
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

    def charge(self, tenant: TenantName, agent: AgentName | None, cost: int) -> None:
        """Count so many micro-dollars of an agent's call."""
        self._cost.labels(*self._agents.of(tenant, agent or "")).inc(cost)


class OutboxMetrics:
    """What tenants are told. `waiting` has for each tenant how many events wait, how many were
    given up, and the unix seconds since which the oldest waits."""

    def __init__(self, registry: CollectorRegistry, wall: Callable[[], float] = time.time) -> None:
        self.waiting: Sequence[tuple[str, int, int, float | None]] = ()
        self._tenants = Bounded(MOST_AGENTS)
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
            registry.register(Gauges(name, what, ["tenant"], read))
        self._wall = wall

    def attempted(self, state: str) -> None:
        """Count an attempt: delivered, pending or dead is what became of the event."""
        self._attempts.labels(state).inc()

    def _pending(self) -> Samples:
        return self._sums((tenant, count) for tenant, count, _, _ in self.waiting)

    def _dead(self) -> Samples:
        return self._sums((tenant, count) for tenant, _, count, _ in self.waiting)

    def _sums(self, counts: Iterable[tuple[str, int]]) -> Samples:
        sums: Sums[tuple[str, ...]] = Sums()
        for tenant, count in counts:
            sums[self._tenants.of(tenant)] += count
        return [(labels, float(count)) for labels, count in sums.items()]

    def _oldest(self) -> Samples:
        now, longest = self._wall(), dict[tuple[str, ...], float]()
        for tenant, _, _, since in self.waiting:
            if since is not None:
                labels = self._tenants.of(tenant)
                longest[labels] = max(longest.get(labels, 0.0), now - since)
        return longest.items()


class Metrics:
    """All metrics of one process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        agents = Bounded(MOST_AGENTS)
        self.webhooks = WebhookMetrics(self.registry)
        self.calls = CallMetrics(self.registry, agents)
        self.config = ConfigMetrics(self.registry)
        self.budgets = BudgetMetrics(self.registry)
        self.records = RecordMetrics(self.registry, agents)
        self.outbox = OutboxMetrics(self.registry)
        self.tools = ToolMetrics(self.registry)
        self.turns = self._counter("turns_total", "Finished turns, by who spoke.", "speaker")
        self.provider_errors = self._counter(
            "provider_errors_total", "Errors that the provider reported, by meaning.", "kind"
        )
        self._odd_frames = self._counter(
            "odd_frames_total", "Frames ignored: unknown, malformed or too large.", "oddity"
        )
        self._spans = self._counter(
            "trace_spans_total", "Spans of traces, by what became of them.", "result"
        )
        self.loop_lag = histogram(
            self.registry,
            "event_loop_lag_seconds",
            "By how much the event loop is late, looked at four times a second.",
            buckets=_LAGS,
        )
        build = Gauge(
            "sipagent_build_info", "The running release.", ["version"], registry=self.registry
        )
        build.labels(__version__).set(1)

    def observe_active(self, calls: Callable[[], int]) -> None:
        """Have the number of held calls read whenever metrics are asked for."""
        gauge = Gauge("sipagent_calls_active", "Calls held now.", registry=self.registry)
        gauge.set_function(lambda: float(calls()))

    def observe_viewers(self, viewers: Callable[[], int]) -> None:
        """Have the number of open streams of live events read whenever metrics are asked for."""
        gauge = Gauge("sipagent_viewers", "Open streams of live events.", registry=self.registry)
        gauge.set_function(lambda: float(viewers()))

    def observe_unstored(self, rows: Callable[[], int]) -> None:
        """Have the number of rows that wait to be stored read whenever metrics are asked for."""
        gauge = Gauge("sipagent_records_waiting", "Rows not stored yet.", registry=self.registry)
        gauge.set_function(lambda: float(rows()))

    def observe_closings(self, closings: Callable[[], Mapping[str, int]]) -> None:
        """Have the connections that were cut, by reason, read whenever metrics are asked for."""
        self.registry.register(
            Counts(
                "connections_closed",
                "Connections cut because the client was too slow or sent too much.",
                "reason",
                closings,
            )
        )

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

    def observe_live_events(self, dropped: Callable[[], Mapping[str, int]]) -> None:
        """Have the live events that were not told read whenever metrics are asked for."""
        self.registry.register(
            Counts(
                "live_events_dropped",
                "Live events that were not told, as a viewer or another replica was too slow.",
                "to",
                dropped,
            )
        )

    def trace_spans(self, result: str, many: int) -> None:
        """Count spans that were exported, failed to be, or were dropped. From any thread."""
        self._spans.labels(result).inc(many)

    def odd(self, oddity: str) -> None:
        """Count a frame that was ignored."""
        self._odd_frames.labels(oddity).inc()

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def _observe(
        self, name: str, what: str, labels: Sequence[str], read: Callable[[], Samples]
    ) -> None:
        self.registry.register(Gauges(name, what, labels, read))

    def _counter(self, name: str, what: str, label: str) -> Counter:
        return Counter(f"sipagent_{name}", what, [label], registry=self.registry)
