"""Numbers of calls to look at: what becomes of them, what agents do in them, what they may cost.

Labels never hold what a caller, a header or a model says.
"""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram

from sipagent.bounded import MOST_AGENTS, MOST_TOOLS, Bounded
from sipagent.model import CallOutcome

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_PAUSES = (0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
_TOOLS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_MINUTES = (5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600)


def histogram(
    registry: CollectorRegistry, name: str, what: str, *, buckets: Sequence[float] = SECONDS
) -> Histogram:
    """A histogram without labels."""
    return Histogram(f"sipagent_{name}", what, buckets=buckets, registry=registry)


class CallMetrics:
    """What becomes of calls."""

    def __init__(self, registry: CollectorRegistry, agents: Bounded) -> None:
        self._agents = agents
        self._total = Counter(
            "sipagent_calls_total",
            "Calls that have ended, by tenant, agent and outcome.",
            ["tenant", "agent", "outcome"],
            registry=registry,
        )
        self.steps = Counter(
            "sipagent_call_steps_total",
            "What went another way than usual in calls: sockets dropped, reattached, and others.",
            ["step"],
            registry=registry,
        )
        self.turn_latency = histogram(
            registry,
            "turn_latency_seconds",
            "From the end of what a caller says to the first sound of the answer.",
            buckets=_PAUSES,
        )
        self._accept = histogram(
            registry, "accept_seconds", "From the webhook to the provider's answer to the accept."
        )
        self._attach = histogram(
            registry, "attach_seconds", "From the answer to the accept to the open socket."
        )
        self._first_audio = histogram(
            registry, "first_audio_seconds", "From the webhook to the first sound that is heard."
        )
        self._duration = histogram(
            registry, "call_duration_seconds", "From the webhook to the end.", buckets=_MINUTES
        )

    def ended(self, outcome: CallOutcome) -> None:
        """Count a call's outcome, and how long it took to come how far."""
        tenant, agent = self._agents.of(outcome.tenant, outcome.agent or "")
        self._total.labels(tenant, agent, outcome.name).inc()
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
        self._names = Bounded(MOST_AGENTS)
        self._crossed = Counter(
            "sipagent_budget_crossed_total",
            "Shares of budgets that have been used up; 100% is all. No number is named.",
            ["scope", "name", "period", "share"],
            registry=registry,
        )

    def crossed(self, scope: str, name: str, period: str, share: str) -> None:
        """Count a share that was used up. `name` is a tenant, an account, or empty."""
        self._crossed.labels(scope, *self._names.of(name), period, share).inc()


class ToolMetrics:
    """What agents do beside talking."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._names = Bounded(MOST_TOOLS)
        self._total = Counter(
            "sipagent_tool_calls_total",
            "Tools that were run beyond the call, by their kind and what came of it.",
            ["kind", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "sipagent_tool_seconds",
            "Time that agents' tools took, by their name and what came of it.",
            ["tool", "status"],
            buckets=_TOOLS,
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
        """Count a tool that was run beyond the call; how long it took is told by its use."""
        self._total.labels(kind, status).inc()

    def used(self, name: str, status: str, seconds: float) -> None:
        """Count a tool that an agent has used, and how long it took."""
        (tool,) = self._names.of(name)
        self._seconds.labels(tool, status).observe(max(0.0, seconds))
