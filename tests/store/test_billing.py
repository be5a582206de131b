"""Monthly statements add up to the micro-dollar, and a closed month never changes."""

import asyncio
import json
import random
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import delete, insert
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner

from sipagent.cli import app
from sipagent.errors import NotClosableError
from sipagent.model import AccountName, CallId, Quota, QuotaScope, TenantName
from sipagent.routing import NumberDirectory, RejectWith, Route, RoutingTable, Rule, TenantProfile
from sipagent.store import tables
from sipagent.store.billing import (
    FORMER_AFTER,
    Adjustment,
    close,
    close_due,
    closed_months,
    statement_of,
    zone_on_record,
)
from sipagent.store.spending import Spent, costs_of, quotas_for, spent_so_far
from tests.store.forgetting import ACME, BETA, HASHED, Told, tell
from tests.store.support import opened

CHICAGO = "America/Chicago"
TOKENS = (
    *("text_in", "audio_in", "image_in", "text_cached", "audio_cached", "image_cached"),
    *("text_out", "audio_out"),
)


def at(text: str, zone: str = CHICAGO) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


AFTER = at("2026-12-03T00:00")
"""Two days after the end of November in Chicago."""


def bill(call: str, when: float, cost: int | None, **more: Any) -> dict[str, Any]:
    row = {
        "call_id": call,
        "source_id": f"r{random.random()}",  # any name will do
        "kind": "response",
        "tenant": ACME,
        "account": "us-1",
        "at": when,
        "model": "gpt-realtime-2.1",
        "seconds": None,
        "cost": cost,
        "price_version": "1",
    }
    return {**row, **dict.fromkeys(TOKENS, 0), **more}


async def billed(engine: AsyncEngine, bills: Iterable[dict[str, Any]]) -> None:
    async with engine.begin() as connection:
        await connection.execute(insert(tables.usage), list(bills))


async def called(engine: AsyncEngine, call: str, began: float, **values: Any) -> None:
    """A call that ended two minutes after its answer, without any bill of its own."""
    answered = {"began_at": began, "answered_at": began + 1, "ended_at": began + 121}
    tenant = values.pop("tenant", ACME)
    told = Told(call, tenant, values={"usage_complete": True, **answered, **values})
    await tell(engine, [told])
    async with engine.begin() as connection:
        await connection.execute(delete(tables.usage).where(tables.usage.c.source_id == "r1"))


async def test_a_statement_adds_up_by_model_and_kind_in_the_tenants_month(records_url: str) -> None:
    draw = random.Random(7)
    costs = [draw.randrange(100_000) for _ in range(500)]
    first, last = at("2026-11-01T00:00"), at("2026-11-30T23:59:59")
    async with opened(records_url) as engine:
        await called(engine, "c1", first)
        await called(engine, "c2", last, usage_complete=False)
        await called(engine, "c3", first - 1)
        await called(engine, "c4", last + 1)
        await called(engine, "other", first, tenant=BETA)
        await called(engine, "no", first, answered_at=None)
        times = [draw.uniform(first, last) for _ in costs]
        await billed(
            engine,
            (
                bill("c1", when, cost, audio_in=3, audio_cached=2)
                for when, cost in zip(times, costs, strict=True)
            ),
        )
        await billed(
            engine,
            [
                bill("c1", first, None, model=None),
                bill("c2", last, 6, kind="transcription", model="whisper-1", seconds=90.5),
                bill("c3", first - 1, 1_000_000),
                bill("c4", last + 1, 1_000_000),
                bill("other", first, 1_000_000, tenant=BETA),
            ],
        )
        found = await statement_of(engine, ACME, "2026-11", CHICAGO)
    assert (found.begins_at, found.ends_at) == (first, last + 1)
    assert (found.calls, found.answered, found.incomplete, found.seconds) == (3, 2, 1, 240)
    assert [(line.model, line.kind, line.bills) for line in found.lines] == [
        ("", "response", 1),
        ("gpt-realtime-2.1", "response", 500),
        ("whisper-1", "transcription", 1),
    ]
    assert found.cost == sum(costs) + 6
    assert found.unknown == 1
    assert (found.lines[1].audio_in, found.lines[1].audio_cached) == (1500, 1000)
    assert found.lines[2].seconds == pytest.approx(90.5)
    assert found.closed_at is None


async def test_a_month_is_closed_once_and_late_bills_stand_in_the_next_one(
    records_url: str,
) -> None:
    november, december = at("2026-11-12T12:00"), at("2026-12-12T12:00")
    async with opened(records_url) as engine:
        await billed(engine, [bill("a", november, 100), bill("b", december, 7)])
        with pytest.raises(NotClosableError) as early:
            await close(engine, ACME, "2026-11", CHICAGO, AFTER - 1)
        assert early.value.closable_at == AFTER
        closed = await close(engine, ACME, "2026-11", CHICAGO, AFTER)
        assert (closed.cost, closed.closed_at) == (100, AFTER)
        await billed(engine, [bill("c", november, 40)])
        assert await close(engine, ACME, "2026-11", "Asia/Tokyo", AFTER + 99) == closed
        assert await statement_of(engine, ACME, "2026-11", CHICAGO) == closed
        open_ = await statement_of(engine, ACME, "2026-12", CHICAGO)
        assert (open_.adjustments, open_.cost) == ((Adjustment("2026-11", 1, 40),), 47)
        async with engine.begin() as connection:
            await connection.execute(delete(tables.usage).where(tables.usage.c.call_id != "b"))
        assert (await statement_of(engine, ACME, "2026-12", CHICAGO)).adjustments == ()
        assert await closed_months(engine) == [closed]


async def test_all_months_that_are_over_are_closed_in_one_go(records_url: str) -> None:
    async with opened(records_url) as engine:
        times = ["2026-08-31T23:00", "2026-10-05T08:00", "2026-12-01T08:00"]
        await billed(engine, [bill(text, at(text), 5) for text in times])
        await close(engine, ACME, "2026-09", CHICAGO, AFTER)
        zones = {ACME: CHICAGO, BETA: None}
        done = await close_due(engine, zones, AFTER)
        assert [(each.month, each.cost) for each in done] == [
            ("2026-08", 5),
            ("2026-10", 5),
            ("2026-11", 0),
        ]
        assert await close_due(engine, zones, AFTER) == []
        months = [each.month for each in await closed_months(engine, ACME)]
        assert months == ["2026-11", "2026-10", "2026-09", "2026-08"]


async def test_no_month_is_closed_that_was_over_before_the_tenants_first_record(
    records_url: str,
) -> None:
    async with opened(records_url) as engine:
        await called(engine, "late in october", at("2026-10-31T23:59"))
        await billed(engine, [bill("later", at("2026-11-01T00:00"), 5)])
        for tenant, month in ((ACME, "2026-09"), (BETA, "2026-10")):
            with pytest.raises(NotClosableError) as never:
                await close(engine, tenant, month, CHICAGO, AFTER)
            assert never.value.closable_at is None
        done = await close_due(engine, {ACME: CHICAGO, BETA: CHICAGO}, AFTER)
        assert [(each.month, each.calls) for each in done] == [("2026-10", 1), ("2026-11", 0)]


async def test_a_former_tenants_months_are_closed_in_the_zone_of_its_latest_statement(
    records_url: str,
) -> None:
    tokyo, new = TenantName("tokyo"), TenantName("new")
    last = at("2026-10-31T23:30", "Asia/Tokyo")
    october = at("2026-11-01T00:00", "Asia/Tokyo")
    async with opened(records_url) as engine:
        await called(engine, "c1", at("2026-09-12T12:00", "Asia/Tokyo"), tenant=tokyo)
        await close(engine, tokyo, "2026-09", "Asia/Tokyo", october)
        await called(engine, "c2", last, tenant=tokyo)
        await billed(engine, [bill("b", at("2026-09-30T23:30", "UTC"), 3, tenant=new)])
        zones = [await zone_on_record(engine, each) for each in (tokyo, new, BETA)]
        assert zones == ["Asia/Tokyo", "UTC", None]
        # A service that has the tenants in its configuration comes first.
        early = await close_due(engine, {}, october + FORMER_AFTER - 1)
        assert [(each.tenant, each.month) for each in early] == [(new, "2026-09")]
        done = await close_due(engine, {ACME: CHICAGO}, october + 400 * 86_400)
        assert [(each.tenant, each.month, each.zone, each.calls) for each in done] == [
            (new, "2026-10", "UTC", 0),
            (tokyo, "2026-10", "Asia/Tokyo", 1),
            (tokyo, "2026-11", "Asia/Tokyo", 0),
        ]


NUMBER = "+17134810111"


def table_of(*quotas: Quota) -> RoutingTable:
    """A table with these budgets: of a number of BETA, whose numbers are hidden, and others."""
    of = {quota.scope: quota for quota in quotas}
    route = Route(NUMBER, BETA, (Rule(RejectWith(404)),), quota=of.get(QuotaScope.NUMBER))
    acme = TenantProfile(ACME, quota=of.get(QuotaScope.TENANT))
    account = AccountName("us-1")
    accounts = {account: of[QuotaScope.ACCOUNT]} if QuotaScope.ACCOUNT in of else {}
    directory = NumberDirectory.of([route])
    tenants = {ACME: acme, BETA: TenantProfile(BETA, quota=Quota(QuotaScope.TENANT, BETA))}
    return RoutingTable({account: directory}, {}, tenants, "hash", quotas=accounts)


async def test_what_was_spent_today_and_this_month_is_known_after_a_restart(
    records_url: str,
) -> None:
    now = at("2026-11-28T13:00")
    quotas = (
        Quota(QuotaScope.TENANT, ACME, day=1, month=1, zone=CHICAGO),
        Quota(QuotaScope.ACCOUNT, "us-1", month=1),
        Quota(QuotaScope.NUMBER, NUMBER, day=1, zone=CHICAGO),
    )
    async with opened(records_url) as engine:
        # Carriers write one number in several ways, and BETA's are stored as HMACs.
        for call, dialed in (("hidden", NUMBER), ("spelled", NUMBER[1:])):
            stored = HASHED.stored(BETA, dialed)
            await called(engine, call, now - 60, tenant=BETA, dialed=stored)
        await called(engine, "another", now - 60, tenant=BETA, dialed="+17134810122")
        await billed(
            engine,
            [
                bill("a", at("2026-10-31T23:59"), 1000),
                bill("a", at("2026-11-01T00:00"), 1),
                bill("a", at("2026-11-27T23:59"), 2),
                bill("a", at("2026-11-28T00:00"), 4),
                bill("a", now, None),
                bill("hidden", now, 8, tenant=BETA, account="eu-1"),
                bill("spelled", now, 16, tenant=BETA, account="eu-1"),
                bill("another", now, 32, tenant=BETA, account="eu-1"),
            ],
        )
        process = Quota(QuotaScope.PROCESS, month=1)
        asked = (engine, table_of(*quotas), HASHED, now + 1, (), process)
        by_key = {key: sums async for key, sums in spent_so_far(*asked)}
        assert [one async for one in spent_so_far(*asked[:4], set(by_key), process)] == []
    found = [one for sums in by_key.values() for one in sums]
    assert sorted(found, key=lambda each: (each.key, each.label)) == [
        Spent("account:us-1", "2026-11", 1007),
        Spent("account:us-1", "2026-11-28", 6),
        Spent(f"number:{NUMBER}", "2026-11", 24),
        Spent(f"number:{NUMBER}", "2026-11-28", 24),
        Spent("process:", "2026-11", 1063),
        Spent("process:", "2026-11-28", 62),
        Spent("tenant:acme", "2026-11", 7),
        Spent("tenant:acme", "2026-11-28", 4),
    ]


async def test_the_known_cost_of_calls_is_told(records_url: str) -> None:
    async with opened(records_url) as engine:
        bills = [bill("a", 1.0, 5), bill("a", 2.0, 7), bill("b", 1.0, None), bill("c", 1.0, 1)]
        await billed(engine, bills)
        names = [CallId(name) for name in ("a", "b", "gone", *(f"x{n}" for n in range(1_200)))]
        assert await costs_of(engine, names) == {"a": 12}


FILE = """\
version: 1
tenants: {acme: {timezone: America/Chicago}}
agents: {a: {model: gpt-realtime-2.1}}
numbers: {default: a}
"""


def commanded(folder: Path, bills: Iterable[dict[str, Any]]) -> Callable[..., str]:
    """What `sipagent statements` prints of records with these bills."""
    (folder / "agents.yaml").write_text(FILE)
    url = f"sqlite:///{folder}/records.sqlite"
    upgraded = CliRunner().invoke(app, ["db", "upgrade"], env={"SIPAGENT_DATABASE_URL": url})
    assert upgraded.exit_code == 0, upgraded.output

    async def written() -> None:
        async with opened(url, schema=False) as engine:
            await billed(engine, bills)

    asyncio.run(written())

    def run(*words: str, code: int = 0) -> str:
        result = CliRunner().invoke(app, ["statements", *words, "--data-dir", str(folder)])
        assert result.exit_code == code, result.output
        return result.output

    return run


def test_the_command_shows_lists_and_closes_statements(tmp_path: Path) -> None:
    where = ("--config", str(tmp_path / "agents.yaml"))
    november = at("2024-11-12T12:00")
    bills = [bill("a", november, 1_234_567), bill("a", november, None, model="=x")]
    run = commanded(tmp_path, bills)
    assert run("list") == "no statements\n"
    shown = json.loads(run("show", "acme", "2024-11", *where, "--format", "json"))
    assert (shown["usd"], shown["unknown"], shown["closed_at"]) == ("1.234567", 1, None)
    text = run("close", "acme", "2024-11", *where)
    assert "cost        1.234567 USD\n" in text
    assert "unknown     1 bill without a price: the sum is a lower bound\n" in text
    table = run("show", "acme", "2024-11", *where, "--format", "csv").splitlines()
    assert table[1].startswith("2024-11,'=x,response,1,")
    assert table[-1].endswith(",1,1234567")
    assert json.loads(run("list", "--format", "json"))[0]["usd"] == "1.234567"
    assert run("list", "--tenant", "beta", "--format", "csv").count("\n") == 1
    assert "2024-11" in run("list")
    assert "did you mean acme?" in run("show", "acne", "2024-11", *where, code=2)
    assert "is no month" in run("show", "acme", "11/2024", *where, code=2)
    assert "can be closed from" in run("close", "acme", "2999-01", *where, code=1)
    assert "nothing is recorded" in run("close", "acme", "2024-10", *where, code=1)


def test_the_command_shows_and_closes_months_of_a_former_tenant(tmp_path: Path) -> None:
    where = ("--config", str(tmp_path / "agents.yaml"))
    last = at("2024-11-30T23:30")
    run = commanded(tmp_path, [bill("a", last - 86_400 * day, 7) for day in (0, 31)])
    run("close", "acme", "2024-10", *where)
    (tmp_path / "agents.yaml").write_text(FILE.replace("acme", "other"))
    told = f'tenant "acme" is not in the configuration: its months begin in {CHICAGO}\n'
    for command in ("show", "close"):
        shown = run(command, "acme", "2024-11", *where)
        assert shown.startswith(f"{told}statement   acme, 2024-11 ({CHICAGO})\n")
        assert "cost        0.000007 USD\n" in shown
    (tmp_path / "agents.yaml").write_text("no agents file")
    for command in ("show", "close"):
        shown = run(command, "acme", "2024-11", *where)
        assert shown.startswith(f"statement   acme, 2024-11 ({CHICAGO})\n")
        run(command, "acme", "2024-12", *where, code=78)


@pytest.mark.parametrize(
    ("tenant", "account", "dialed", "keys"),
    [
        (ACME, "us-1", NUMBER, ["account:us-1", "process:", "tenant:acme"]),
        (BETA, "eu-1", HASHED.stored(BETA, NUMBER[1:]), ["number", "process:", "tenant:beta"]),
        (BETA, "eu-1", HASHED.stored(BETA, "+17134810122"), ["process:", "tenant:beta"]),
        (BETA, "us-1", None, ["account:us-1", "process:", "tenant:beta"]),
    ],
)
def test_a_late_bill_counts_for_all_that_its_call_counted_for(
    tenant: TenantName, account: str, dialed: str | None, keys: list[str]
) -> None:
    quotas = (
        Quota(QuotaScope.TENANT, ACME, day=1, zone=CHICAGO),
        Quota(QuotaScope.ACCOUNT, "us-1", month=1),
        Quota(QuotaScope.NUMBER, NUMBER, day=1, zone=CHICAGO),
    )
    process = Quota(QuotaScope.PROCESS, month=1)
    whose = {"account": account, "dialed": dialed}
    found = quotas_for(table_of(*quotas), process, HASHED, tenant=tenant, **whose)
    assert sorted(quota.key.partition("+")[0].rstrip(":") for quota in found) == [
        key.rstrip(":") for key in keys
    ]
