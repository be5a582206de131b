"""What tenants are told beside their calls: budgets that run out, files that cannot be used."""

import json
from dataclasses import replace
from typing import Any

import pytest

from sipagent.config.reload.live import Status
from sipagent.config.reload.stored import Origin
from sipagent.engine.purse import Crossing, Period
from sipagent.errors import Finding
from sipagent.model import DEFAULT_TENANT, QuotaScope, TenantName, Webhook
from sipagent.outbox.warnings import MOST_FINDINGS, tell_budget, tell_stale
from sipagent.routing import Route
from sipagent.store.announcing import Announcer
from sipagent.store.numbers import InstallationKey, StoredNumbers
from sipagent.store.rows import COLUMNS, Row, RowKind
from sipagent.testing.fakes import a_table

ACME = TenantName("acme")
NUMBER = "+17134810111"
KEY = InstallationKey(b"a key of this installation")
CROSSING = Crossing(
    "tenant:acme", QuotaScope.TENANT, "acme", Period.MONTH, "2026-11", 8000, 4_000_000_000
)
TABLE = a_table([Route(NUMBER, ACME, ())])


class Told:
    """An announcer, and the events that it has put."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        hook = Webhook("crm", "https://crm.example")
        self.announcer = Announcer(lambda _: {"crm": hook}, self.rows.append)

    def events(self) -> list[tuple[str, str, dict[str, Any]]]:
        names = COLUMNS[RowKind.EVENT]
        at = [names.index(name) for name in ("tenant", "type", "data")]
        found = ([row[one] for one in at] for row in self.rows)
        return [(tenant, type_, json.loads(data)) for tenant, type_, data in found]


def numbers(*, hashed: bool = False) -> StoredNumbers:
    return StoredNumbers(KEY, lambda _: hashed)


def test_a_tenant_is_told_of_its_budget_once_for_each_share() -> None:
    told = Told()
    for share in (8000, 8000, 10_000):
        crossing = replace(CROSSING, share=share)
        tell_budget(told.announcer, crossing, TABLE, numbers(), 1000.0)
    events = told.events()
    assert [(tenant, type_) for tenant, type_, _ in events] == [("acme", "budget.warning")] * 3
    assert events[0][2] == {
        "scope": "tenant",
        "name": "acme",
        "period": "month",
        "label": "2026-11",
        "share": 0.8,
        "limit": 4_000_000_000,
        "spent": False,
    }
    assert events[2][2]["spent"] is True
    ids = [row[0] for row in told.rows]
    assert ids[0] == ids[1] != ids[2]


@pytest.mark.parametrize("hashed", [False, True])
def test_a_number_s_budget_is_told_to_its_tenant_as_numbers_are_stored(hashed: bool) -> None:
    told, stored = Told(), numbers(hashed=hashed)
    crossing = replace(CROSSING, scope=QuotaScope.NUMBER, name=NUMBER)
    tell_budget(told.announcer, crossing, TABLE, stored, 1000.0)
    ((tenant, _, data),) = told.events()
    assert (tenant, data["name"]) == ("acme", stored.stored(ACME, NUMBER))
    assert (NUMBER in str(told.rows)) is not hashed


@pytest.mark.parametrize(
    ("scope", "name"),
    [(QuotaScope.ACCOUNT, "one"), (QuotaScope.PROCESS, ""), (QuotaScope.NUMBER, "+19990000000")],
)
def test_what_is_no_tenant_s_is_told_to_none(scope: QuotaScope, name: str) -> None:
    told = Told()
    crossing = replace(CROSSING, scope=scope, name=name)
    tell_budget(told.announcer, crossing, TABLE, numbers(), 1000.0)
    assert told.rows == []


def finding(message: str = "unknown key") -> Finding:
    return Finding("tenant.yaml", 7, 5, "agents.desk", message, tenant="acme")


def status(*found: Finding, own: tuple[Finding, ...] = ()) -> Status:
    stale = {ACME: found} if found else {}
    return Status("c65a4c01b87f", Origin.FILES, 1000.0, own, stale)


def test_a_tenant_is_told_what_is_wrong_with_its_file_when_that_changes() -> None:
    told = Told()
    steps = [
        status(finding()),
        status(finding()),
        status(),
        status(finding()),
        status(finding("call +1 713 481 0111 back")),
    ]
    before = None
    for at, now in enumerate(steps):
        tell_stale(told.announcer, before, now, float(at))
        before = now
    events = told.events()
    assert [(tenant, type_) for tenant, type_, _ in events] == [("acme", "config.stale")] * 3
    assert events[0][2]["findings"] == ["tenant.yaml:7:5: agents.desk: unknown key"]
    assert len({row[0] for row in told.rows}) == 3
    assert "481 0111" not in str(told.rows)


def test_the_default_tenant_is_told_of_the_main_file_and_of_so_much() -> None:
    told = Told()
    own = tuple(replace(finding(), line=line) for line in range(1, MOST_FINDINGS + 4))
    tell_stale(told.announcer, None, status(own=own), 1000.0)
    ((tenant, _, data),) = told.events()
    assert tenant == DEFAULT_TENANT
    assert (len(data["findings"]), data["more"]) == (MOST_FINDINGS, 3)
