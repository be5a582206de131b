"""*Usage* sums up what is recorded, and of it only what the visitor may see."""

import random
import re
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path

import pytest

from sipagent.api.console.budgets import Budget
from sipagent.api.console.comparing import Split, splits
from sipagent.api.console.pictures import Measured, pictures
from sipagent.model import AgentName, TenantName
from sipagent.store import tables
from sipagent.store.reading import Day, Waits
from tests.api.console.house import House, Read, house
from tests.store.kept import BEGAN, a_bill, a_call, a_live, failed, put, rejected

ACME, BETA = TenantName("acme"), TenantName("beta")


@pytest.fixture
async def home(records_url: str, tmp_path: Path) -> AsyncIterator[House]:
    async with house(records_url, tmp_path) as made:
        yield made


async def test_days_are_summed_up_and_drawn(home: House) -> None:
    await put(
        home.engine,
        a_call("rtc_1"),
        a_call("rtc_2", at=-86400, cost=None),
        failed("rtc_3", at=60),
        a_live("rtc_4", at=90),
        a_call("rtc_5", tenant="beta", cost=9_000_000),
    )
    answer = await home.get("acme-read", "/console/usage")
    page = Read(answer.text)
    assert answer.status_code == 200
    assert page.faults() == []
    assert "4 calls 4 answered" in page.text
    assert "0.0427 USD cost at least" in page.text
    assert "9.0000" not in answer.text
    pictures_ = [one.attributes["class"] for one in page.all("svg") if "plot" in str(one)]
    assert [one.split()[1] for one in pictures_] == [
        "plot-stacked",
        "plot-bar",
        "plot-bar",
        "plot-line",
        "plot-line",
    ]
    assert len(page.all("title")) == 1 + len(pictures_)
    assert len(page.all("desc")) == len(pictures_)
    for caption in ("Calls by outcome", "Minutes", "Cost in USD", "From the webhook to the answer"):
        assert caption in page.text
    assert "2026-09-22" in page.text


async def test_an_operator_sees_all_tenants_the_dearest_first(home: House) -> None:
    await put(
        home.engine,
        a_call("rtc_1"),
        a_call("rtc_2", tenant="beta", cost=9_000_000),
    )
    page = Read((await home.get("operator", "/console/usage")).text)
    assert page.faults() == []
    rows = [one.attributes["href"] for one in page.all("a") if "usage?tenant" in str(one)]
    assert [re.findall(r"tenant=(\w+)", one)[0] for one in rows] == ["beta", "acme"]
    one = Read((await home.get("operator", rows[0])).text)
    assert "Usage of beta" in one.text
    assert "9.0000 USD" in one.text
    assert "acme" not in one.text.replace("acme2", "")


async def test_versions_stand_side_by_side(home: House) -> None:
    await put(
        home.engine,
        a_call("rtc_1"),
        failed("rtc_2", at=9),
        a_call("rtc_3", agent="store_next", outcome="completed.transferred", cost=100_000),
        a_call("rtc_4", agent="store", tenant="beta"),
    )
    page = Read((await home.get("acme", "/console/usage")).text)
    assert "Versions of acme/store" in page.text
    row = r"store 75 % 2 50 % 59 s 0 0.0213 USD 1.00 s 1.00 s 3.00 s 3.00 s"
    assert row in page.text
    assert "store_next 25 % 1 100 % 59 s 1 0.1000 USD" in page.text
    assert "Versions of" not in (await home.get("beta", "/console/usage")).text


async def test_budgets_show_how_far_they_are_used(home: House) -> None:
    await put(
        home.engine,
        a_bill("rtc_1", "a", cost=850_000),
        a_bill("rtc_2", "b", cost=3_000_000, at=BEGAN - 3 * 86400),
        a_bill("rtc_3", "c", cost=7_000_000, tenant="beta"),
        table=tables.usage,
    )
    page = Read((await home.get("acme", "/console/usage")).text)
    assert "2026-09-22 0.8500 USD 1.0000 USD 85 %" in page.text
    assert "2026-09 3.8500 USD 20.0000 USD 19 %" in page.text
    assert page.faults() == []
    assert "Budgets" not in Read((await home.get("beta", "/console/usage")).text).words


@pytest.mark.parametrize(
    ("limit", "spent", "look"), [(100, 79, "good"), (100, 80, "warn"), (100, 100, "wrong")]
)
def test_a_budget_looks_as_it_is_used(limit: int, spent: int, look: str) -> None:
    assert Budget(ACME, "2026-09", limit, spent).look == look


@pytest.mark.parametrize(
    ("who", "asked", "status"),
    [
        ("acme", {"first": "2026-09-01", "last": "2026-09-30"}, 200),
        ("acme", {"first": "2026-07-01", "last": "2026-09-30"}, 200),
        ("acme", {"first": "2026-06-30", "last": "2026-09-30"}, 422),
        ("operator", {"first": "2026-08-30", "last": "2026-09-30"}, 422),
        ("acme", {"first": "2026-09-02", "last": "2026-09-01"}, 422),
        ("acme", {"first": "today"}, 422),
        ("acme", {"last": "0001-01-01"}, 422),
        ("acme", {"last": "9999-12-31"}, 422),
        ("operator", {"tenant": "nobody"}, 200),
        ("operator", {"tenant": "\x00"}, 200),
    ],
    ids=str,
)
async def test_days_are_chosen_within_bounds(
    home: House, who: str, asked: dict[str, str], status: int
) -> None:
    answer = await home.get(who, "/console/usage", **asked)
    assert answer.status_code == status
    assert Read(answer.text).faults() == []


async def test_records_without_calls_show_that_there_are_none(home: House) -> None:
    for who in ("acme", "operator"):
        page = Read((await home.get(who, "/console/usage")).text)
        assert "No calls" in page.text
        assert page.all("svg") == [] or "plot" not in str(page.all("svg"))


async def test_no_sum_has_another_tenants_calls(home: House) -> None:
    """Whatever others' calls are, acme's page is the same, word by word."""
    await put(home.engine, *(a_call(f"rtc_{at}", at=-at * 9000) for at in range(20)))
    asked = [{}, {"tenant": "beta"}, {"first": "2026-09-01", "last": "2026-09-30"}]
    before = [(await home.get("acme", "/console/usage", **one)).text for one in asked]
    chance = random.Random(5)
    for at in range(150):
        tenant = chance.choice(["beta", "default", "acme2"])
        make = chance.choice([a_call, failed, rejected, a_live])
        agent = chance.choice(["store", "store_next"])
        await put(home.engine, make(f"rtc_x{at}", tenant=tenant, agent=agent, at=-at * 3000))
        bill = a_bill(f"rtc_x{at}", "a", tenant=tenant, cost=chance.randrange(10**6))
        await put(home.engine, bill, table=tables.usage)
    after = [(await home.get("acme", "/console/usage", **one)).text for one in asked]
    assert after == before


def test_a_day_of_several_tenants_is_one_bar() -> None:
    days = [date(2026, 9, 21), date(2026, 9, 22)]
    sums = [
        Day(ACME, days[0], 2, 2, 60.0, 0, 1_500_000, True, {"completed.line_closed": 2}),
        Day(ACME, days[1]),
        Day(BETA, days[0], 3, 1, 60.0, 0, 500_000, True, {"failed.x": 2, "live": 1}),
        Day(BETA, days[1]),
    ]
    found = pictures(Measured(days, sums, [Waits({20: 1}), Waits()], [Waits(), Waits()]))
    by = {chart.id: chart for chart in found}
    assert [one.name for one in by["outcomes"].series] == ["completed", "failed", "live"]
    assert by["outcomes"].rows() == [("2026-09-21", "2", "2", "1"), ("2026-09-22", "0", "0", "0")]
    assert by["minutes"].series[0].values == (2.0, 0.0)
    assert by["cost"].series[0].values == (2.0, 0.0)
    assert by["answer"].series[0].values == (0.2, None)
    assert by["sound"].empty


async def test_each_split_is_found_once(home: House) -> None:
    table = home.backend.config.table
    shares = ((AgentName("store"), 0.75), (AgentName("store_next"), 0.25))
    assert splits(table, None) == [Split(ACME, shares)]
    assert splits(table, BETA) == []
