"""Metrics: bounded however many tenants there are, and true."""

import asyncio
import time
from dataclasses import replace

from sipagent.bounded import MOST_AGENTS, MOST_TOOLS, OTHER, Bounded
from sipagent.metrics import Metrics
from sipagent.model import AgentName, TenantName
from sipagent.pulse import Pulse
from tests.metrics_shown import OUTCOME
from tests.waiting import eventually

MANY = 3 * MOST_AGENTS


def series(metrics: Metrics, name: str) -> list[dict[str, str]]:
    families = metrics.registry.collect()
    return [one.labels for family in families for one in family.samples if one.name == name]


def test_the_first_are_told_apart_and_stay_as_they_are() -> None:
    bounded = Bounded(2)
    assert [bounded.of("a", "x"), bounded.of("b", "x"), bounded.of("a", "y")] == [
        ("a", "x"),
        ("b", "x"),
        (OTHER, OTHER),
    ]
    assert bounded.of("b", "x") == ("b", "x")


def test_labels_are_bounded_and_nothing_is_left_out_of_sums() -> None:
    metrics = Metrics()
    for number in range(MANY):
        tenant, agent = TenantName(f"t{number}"), AgentName(f"a{number}")
        metrics.calls.ended(replace(OUTCOME, tenant=tenant, agent=agent))
        metrics.records.charge(tenant, agent, 5)
        metrics.budgets.crossed("tenant", tenant, "day", "80%")
        metrics.tools.used(f"tool_{number}", "done", 0.1)
    metrics.outbox.waiting = [(f"t{number}", 1, 2, 10.0 + number) for number in range(MANY)]
    for name, most in (
        ("sipagent_calls_total", MOST_AGENTS),
        ("sipagent_cost_microdollars_total", MOST_AGENTS),
        ("sipagent_budget_crossed_total", MOST_AGENTS),
        ("sipagent_tool_seconds_count", MOST_TOOLS),
        ("sipagent_outbox_pending", MOST_AGENTS),
        ("sipagent_outbox_oldest_seconds", MOST_AGENTS),
    ):
        assert len(series(metrics, name)) == most + 1, name
    value = metrics.registry.get_sample_value
    others = {"tenant": OTHER, "agent": OTHER}
    rest = MANY - MOST_AGENTS
    assert value("sipagent_cost_microdollars_total", others) == 5 * rest
    assert value("sipagent_outbox_pending", {"tenant": OTHER}) == rest
    assert value("sipagent_outbox_dead", {"tenant": OTHER}) == 2 * rest
    oldest = value("sipagent_outbox_oldest_seconds", {"tenant": OTHER})
    assert oldest is not None
    assert abs(time.time() - oldest - (10.0 + MOST_AGENTS)) < 60, "that of the oldest of them"


def test_an_agent_has_the_same_name_in_calls_and_in_cost() -> None:
    metrics = Metrics()
    for number in range(MANY):
        metrics.calls.ended(replace(OUTCOME, tenant=TenantName(f"t{number}")))
    for number in reversed(range(MANY)):
        metrics.records.charge(TenantName(f"t{number}"), OUTCOME.agent, 1)
    calls, cost = (
        {one["tenant"] for one in series(metrics, f"sipagent_{name}_total")}
        for name in ("calls", "cost_microdollars")
    )
    assert calls == cost


async def test_a_loop_that_is_held_up_is_seen() -> None:
    late: list[float] = []
    async with Pulse(late.append, every=0.01):
        await eventually(lambda: len(late) >= 2)
        time.sleep(0.2)  # what must never be done
        await eventually(lambda: max(late) > 0.15)
    seen = len(late)
    await asyncio.sleep(0.05)
    assert len(late) == seen, "nobody looks any more"
    assert min(late) >= 0
