"""What a process finds that another one has left in its data directory."""

from dataclasses import replace
from pathlib import Path

from sipagent.concurrency import SystemClock
from sipagent.config import parse
from sipagent.metrics import Metrics
from sipagent.model import CallId
from sipagent.routing.moment import day_and_month
from sipagent.settings import Settings
from sipagent.store.rows import RowKind, usage_row
from sipagent.store.spool import Spool
from sipagent.storehouse import Storehouse
from tests.store.nouns import billed, planned

AGENTS = """
version: 1
defaults: {model: gpt-realtime-2.1}
agents: {reception: {instructions: You answer the telephone.}}
tenants: {default: {budget: {day: 10 USD}}}
numbers: {"+17134810111": reception}
"""


async def test_bills_that_a_killed_process_could_not_store_count_as_spent(tmp_path: Path) -> None:
    settings = Settings.model_validate({"SIPAGENT_DATA_DIR": tmp_path})
    table = parse(AGENTS, file="agents.yaml", base=tmp_path).table
    plan, clock = planned(), SystemClock()
    spool = Spool(tmp_path)
    spool.add(RowKind.USAGE, usage_row(plan, billed("resp_1", cost=1_234), clock.wall()))
    spool.close()
    async with Storehouse(settings, lambda: table, Metrics(), clock) as house:
        await house.count()
        quota = table.tenants[plan.tenant].quota
        assert quota is not None
        day, _ = day_and_month(clock.wall(), quota.zone)
        assert house.counters.spent(quota.key, day) == 1_234


async def test_calls_that_were_taken_over_end_where_the_money_turns_out_to_be_spent(
    tmp_path: Path,
) -> None:
    settings = Settings.model_validate({"SIPAGENT_DATA_DIR": tmp_path})
    table = parse(AGENTS, file="agents.yaml", base=tmp_path).table
    plan, clock = planned(), SystemClock()
    quota = table.tenants[plan.tenant].quota
    assert quota is not None
    wound_down: list[CallId] = []
    async with Storehouse(settings, lambda: table, Metrics(), clock) as house:
        house.records.used(plan, billed("resp_1", cost=10_000_000))
        await house.writer.flushed()
    async with Storehouse(settings, lambda: table, Metrics(), clock) as house:
        house.counters.restore(plan.call_id, plan.tenant, (replace(quota, day=1),))
        house.counters.restore(CallId("rtc_other"), plan.tenant, ())
        await house.count(wound_down.extend)
        assert wound_down == [plan.call_id]
