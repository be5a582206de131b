"""The red button: orders that are checked before they are written, listed and taken back."""

import json
import time
from typing import Any

import pytest

from sipagent.config.loader import load
from sipagent.config.reload.orders import OrderFile
from sipagent.config.reload.versions import VersionStore
from sipagent.config.sources import DiskSource
from sipagent.routing import Order, Scope
from tests.cli.support import Place


def orders(place: Place) -> tuple[Order, ...]:
    return OrderFile(place.data).read().orders


def refused(place: Place, *words: str) -> str:
    result = place.run(*words)
    assert result.exit_code == 2, result.output
    assert orders(place) == ()
    return result.stderr.strip()


def test_a_pause_and_its_end(place: Place) -> None:
    before = time.time()
    result = place.run("numbers", "pause", "+1 (713) 481-0111", "--for", "2h")
    assert result.exit_code == 0, result.output
    (order,) = orders(place)
    assert (order.scope, order.name, order.paused) == (Scope.NUMBER, "+17134810111", True)
    assert order.until is not None
    assert before + 7200 <= order.until <= time.time() + 7200
    listed = {row["number"]: row["order"] for row in place.json("numbers", "list")}
    assert listed["+17134810111"] == "number +17134810111: paused"
    assert listed["+17134810122"] == ""
    place.run("reject", "number", "+17134810111")
    result = place.run("numbers", "resume", "+17134810111")
    assert result.stdout == "no longer in force: number +17134810111: paused\n"
    assert [order.paused for order in orders(place)] == [False]
    assert place.run("numbers", "resume", "+17134810111").exit_code == 1


def test_an_audit_says_who(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "erin")
    place.run("reject", "all")
    (line,) = (place.data / "audit.jsonl").read_text().splitlines()
    assert json.loads(line)["by"].startswith("erin@")


@pytest.mark.parametrize(
    ("words", "order"),
    [
        (("tenant", "acme"), Order(Scope.TENANT, "acme", to="call_centre")),  # type: ignore[arg-type]
        (("agent", "store"), Order(Scope.AGENT, "acme/store", to="call_centre")),  # type: ignore[arg-type]
        (
            ("number", "17134810122", "--to", "call_centre"),
            Order(Scope.NUMBER, "+17134810122", to="call_centre"),  # type: ignore[arg-type]
        ),
        (
            ("number", "+1 713 482*"),
            Order(Scope.NUMBER, "+1713482*", to="call_centre"),  # type: ignore[arg-type]
        ),
    ],
)
def test_diverts(place: Place, words: tuple[str, ...], order: Order) -> None:
    result = place.run("divert", *words)
    assert result.exit_code == 0, result.output
    assert orders(place) == (order,)


def test_a_divert_of_held_calls_says_so(place: Place) -> None:
    before = time.time()
    result = place.run("divert", "tenant", "acme", "--live")
    told = "tenant acme: divert to call_centre, held calls too, until cancelled"
    assert (result.exit_code, result.stdout.strip()) == (0, told)
    (order,) = orders(place)
    assert order.live is not None
    assert before <= order.live <= time.time()
    (listed,) = place.json("orders", "list")
    assert (listed["to"], listed["live"]) == ("call_centre", True)
    place.run("divert", "tenant", "acme")
    (order,) = orders(place)
    assert order.live is None, "the newer one stands in place of the same one"


@pytest.mark.parametrize(
    "words",
    [
        ("orders", "list"),
        ("orders", "cancel", "all"),
        ("reject", "all"),
        ("numbers", "list"),
        ("versions",),
        ("rollback", "--cancel"),
        ("route", "+17134810111"),
    ],
    ids=" ".join,
)
def test_a_database_of_replicas_that_cannot_be_reached_is_told(
    place: Place, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv("SIPAGENT_DATABASE_URL", "postgresql://ann:secret@127.0.0.1:1/records")
    result = place.run(*words)
    assert result.exit_code == 3, result.output
    assert "PostgreSQL records at 127.0.0.1:1: cannot be used" in result.stderr
    assert "secret" not in result.output
    assert not place.data.exists()


def test_a_destination_must_be_every_tenants(place: Place) -> None:
    assert refused(place, "divert", "all", "--to", "call_centre") == (
        'there is no destination "call_centre" for the tenant beta, default; one of the main file'
        " is every tenant's"
    )
    misspelled = refused(place, "divert", "tenant", "acme", "--to", "cal_centre")
    assert misspelled.endswith('(did you mean "call_centre"?)')
    assert "--to" in refused(place, "divert", "tenant", "beta")
    place.change("agents:\n  night", "destinations: {desk: '+17135550100'}\nagents:\n  night")
    assert place.run("divert", "all", "--to", "desk").exit_code == 0


def test_an_agent_of_the_default_route_concerns_all_whose_rules_may_not_hold(place: Place) -> None:
    place.change("default: {reject: 404}", "default: night")
    place.change("agents:\n  night", "destinations: {}\nagents:\n  night")
    message = refused(place, "divert", "agent", "default/night", "--to", "call_centre")
    assert "for the tenant beta, default" in message


def test_rejections(place: Place) -> None:
    assert place.run("reject", "all", "--code", "486", "--for", "3d").exit_code == 0
    assert place.run("reject", "agent", "night").exit_code == 0
    assert [(order.name, order.code) for order in orders(place)] == [("beta/night", 480), ("", 486)]
    assert place.run("reject", "all", "--code", "200").exit_code == 2
    assert place.run("reject", "all", "--for", "soon").exit_code == 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("tenant", "acmee"), 'there is no tenant "acmee" (did you mean "acme"?)'),
        (("tenant",), "name the tenant"),
        (("all", "acme"), '`all` takes no name, and there is "acme"'),
        (("agent", "nigth"), 'there is no agent "nigth"'),
        (("number", "+17134810112"), 'there is no number +17134810112 (did you mean "+17134810'),
        (("number", "+17134820000"), "is not listed itself: the prefix +1713482* covers it"),
        (("number", "help"), '"help": this is no telephone number'),
    ],
)
def test_whom_an_order_cannot_mean(place: Place, words: tuple[str, ...], told: str) -> None:
    assert told in refused(place, "reject", *words)


def test_an_agents_name_that_several_tenants_have(place: Place) -> None:
    place.change(
        "  default: {reject", '  "101": {tenant: default, agent: night}\n  default: {reject'
    )
    place.change("tenants:\n", "tenants:\n  default: {account: us-1}\n")
    message = refused(place, "reject", "agent", "night")
    assert message == 'several tenants have an agent "night": beta/night, default/night'


def test_orders_are_listed_and_taken_back(place: Place) -> None:
    assert place.run("orders", "list").stdout == "no orders\n"
    place.run("reject", "all")
    place.run("reject", "agent", "night")
    place.run("numbers", "pause", "+17134810111", "--for", "1s")
    OrderFile(place.data).add(Order(Scope.TENANT, "gone", code=480, until=1.0), by="t", at=0.5)
    listed = place.run("orders", "list").stdout.splitlines()
    assert listed[0].startswith("number +17134810111: paused, until 20")
    assert listed[1:] == [
        "agent beta/night: reject 480, until cancelled",
        "all: reject 480, until cancelled",
    ]
    assert [each["scope"] for each in place.json("orders", "list")][1:] == ["agent", "all"]
    for words in (("agent", "night"), ("all",), ("number", "713 481 0111 ")):
        result = place.run("orders", "cancel", *words)
        assert result.exit_code == (1 if "713 481 0111 " in words else 0), result.output
    assert place.run("orders", "cancel", "number", "+1 713 481 0111").exit_code == 0
    assert orders(place) == ()
    assert place.run("orders", "cancel", "all").exit_code == 1
    assert place.run("orders", "cancel", "all", "x").exit_code == 2
    assert place.run("orders", "cancel", "tenant").exit_code == 2


def test_the_button_works_over_broken_files(place: Place) -> None:
    source = DiskSource(place.folder)
    loaded = load(place.main, source=source)
    place.change("version: 1", "version: 2")
    assert place.run("reject", "all").exit_code == 78
    VersionStore(place.data).keep(loaded.table.config_hash, source.bundle(place.main))
    result = place.run("reject", "tenant", "acme")
    assert result.exit_code == 0
    assert "is not what is in force: version" in result.stderr
    assert place.run("orders", "cancel", "tenant", "acme").exit_code == 0


def test_numbers_in_a_table_and_as_json(place: Place) -> None:
    rows: Any = place.json("numbers", "list", "--tenant", "beta")
    assert rows == [
        {
            "number": "+17134810199",
            "tenant": "beta",
            "calls": "when hours: office: agent night; when caller: +1406*: reject 603",
            "order": "",
        }
    ]
    lines = place.run("numbers", "list").stdout.splitlines()
    assert lines[0].split() == ["number", "tenant", "calls", "order"]
    assert [line.split()[0] for line in lines[1:]] == [
        "+17134810111",
        "+17134810122",
        "+17134810199",
        "+1713482*",
        "default",
    ]
    assert place.run("numbers", "list", "--tenant", "acm").exit_code == 2


def test_a_data_directory_that_cannot_be_used(place: Place) -> None:
    place.data.write_text("a file")
    assert place.run("reject", "all").exit_code == 78
    place.data.unlink()
    place.data.mkdir()
    (place.data / "audit.jsonl").mkdir()
    assert place.run("reject", "all").exit_code == 1
    (place.data / "orders").mkdir()
    (place.data / "orders" / "controls.json").write_text("{}")
    assert place.run("orders", "list").exit_code == 78
    assert place.run("orders", "cancel", "all").exit_code == 78
