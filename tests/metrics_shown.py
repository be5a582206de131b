"""All metrics that a process can show, with their labels."""

from sipagent.metrics import Metrics
from sipagent.model import AccountName, AgentName, CallId, CallOutcome, Reason, TenantName
from sipagent.standing import Standing, Tally

STANDING = Standing(answers=True, passive=False, renewed=0.0, steps=0, changes=Tally().changes())
OUTCOME = CallOutcome(
    call_id=CallId("rtc_1"),
    account=AccountName("us-1"),
    tenant=TenantName("acme"),
    agent=AgentName("reception"),
    reason=Reason.LINE_CLOSED,
    began_at=1.0,
    ended_at=9.0,
    answered_at=2.0,
    attached_at=3.0,
    heard_at=4.0,
)


def everything() -> Metrics:
    """Metrics of which each has a sample."""
    metrics = Metrics()
    metrics.observe_replica(lambda: STANDING)
    metrics.observe_active(lambda: 0)
    metrics.observe_viewers(lambda: 0)
    metrics.observe_live_events(lambda: {"viewer": 0})
    metrics.observe_unstored(lambda: 0)
    metrics.observe_closings(lambda: {"header-timeout": 1})
    metrics.observe_accounts(lambda: {"us-1": True})
    metrics.observe_breakers(lambda: {"us-1": False})
    headroom = {AccountName("us-1"): {"tokens": 0.5}}
    metrics.observe_headroom(lambda: headroom, lambda: {"us-1": False})
    metrics.observe_arrivals(lambda: {("account", "us-1"): False})
    metrics.webhooks.requests.labels("accepted").inc()
    metrics.calls.ended(OUTCOME)
    metrics.calls.steps.labels("dropped").inc()
    metrics.budgets.crossed("tenant", "acme", "day", "80%")
    metrics.config.in_force("abc", "files", usable=True, stale=0)
    metrics.config.read(usable=True)
    metrics.records.tokens.labels("audio_in").inc()
    metrics.records.charge(TenantName("acme"), AgentName("reception"), 1)
    metrics.records.dropped.labels("turn").inc()
    metrics.outbox.waiting = [("acme", 1, 1, 0.0)]
    metrics.outbox.attempted("dead")
    metrics.tools.observe("http", "done", 0.1)
    metrics.tools.used("order_status", "done", 0.1)
    metrics.tools.transfers.labels("taken").inc()
    metrics.turns.labels("agent").inc()
    metrics.provider_errors.labels("other").inc()
    metrics.odd("unknown")
    metrics.trace_spans("exported", 1)
    return metrics


def labels_by_name() -> dict[str, set[str]]:
    """Every sample's name with its labels."""
    found: dict[str, set[str]] = {}
    for family in everything().registry.collect():
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found
