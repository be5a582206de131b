"""The operator's orders on the disk: none is lost, none is invented, and all are in the audit."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sipagent.config.reload import disk
from sipagent.config.reload.orders import OrderFile
from sipagent.errors import StoreError
from sipagent.model import DestinationName
from sipagent.routing.controls import Controls, Order, Scope, ordered

CLOSED = Order(Scope.ALL, code=603)
NUMBER = Order(Scope.NUMBER, "+17134810111", paused=True)
TENANT = Order(Scope.TENANT, "acme", to=DestinationName("call_centre"), until=2000.0)
AGENT = Order(Scope.AGENT, "acme/store", code=486, until=3000.5)


@pytest.fixture
def file(tmp_path: Path) -> OrderFile:
    return OrderFile(tmp_path / "data")


def audit(file: OrderFile) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.audit.read_text().splitlines()]


def test_without_a_file_there_are_no_orders(file: OrderFile, tmp_path: Path) -> None:
    assert file.read() == Controls()
    assert not (tmp_path / "data").exists()


def test_what_was_added_is_read_as_it_was(file: OrderFile) -> None:
    orders = (CLOSED, NUMBER, TENANT, AGENT)
    for order in orders:
        file.add(order, by="anna", at=1000.0)
    assert file.read() == ordered(orders)


def test_the_same_order_stands_once_and_is_the_newest(file: OrderFile) -> None:
    other = Order(Scope.ALL, code=486)
    for order in (CLOSED, other, CLOSED):
        file.add(order, by="anna", at=1000.0)
    assert file.read().orders == (CLOSED, other)


def test_orders_that_do_not_say_whose_they_are_are_read(file: OrderFile) -> None:
    """An earlier release wrote them."""
    old = {"scope": "number", "name": NUMBER.name, "paused": True, "by_tenant": True}
    file.path.parent.mkdir(parents=True)
    file.path.write_text(json.dumps({"version": 1, "orders": [old]}))
    (order,) = file.read().orders
    assert (order.by_tenant, order.tenant) == (True, None)


def test_what_has_expired_goes_with_the_next_change(file: OrderFile) -> None:
    file.add(TENANT, by="anna", at=1000.0)
    file.add(NUMBER, by="anna", at=1999.0)
    assert TENANT in file.read().orders
    file.add(CLOSED, by="anna", at=2000.0)
    assert file.read() == ordered((NUMBER, CLOSED))


def test_removing_says_what_was_in_force(file: OrderFile) -> None:
    reject = Order(Scope.NUMBER, NUMBER.name, code=486)
    for order in (CLOSED, NUMBER, reject):
        file.add(order, by="anna", at=1000.0)
    removed = file.remove(Scope.NUMBER, NUMBER.name, by="bert", at=1001.0, paused=True)
    assert removed == (NUMBER,)
    assert file.remove(Scope.NUMBER, NUMBER.name, by="bert", at=1001.0) == (reject,)
    assert file.remove(Scope.NUMBER, NUMBER.name, by="bert", at=1002.0) == ()
    assert file.read() == Controls((CLOSED,))


def test_the_audit_says_who_did_what_when(file: OrderFile) -> None:
    file.add(NUMBER, by="anna", at=1000.0)
    file.remove(Scope.NUMBER, NUMBER.name, by="bert", at=1060.5)
    assert audit(file) == [
        {
            "time": "1970-01-01T00:16:40.000+00:00",
            "by": "anna",
            "did": "add",
            "order": {"scope": "number", "name": "+17134810111", "paused": True},
        },
        {
            "time": "1970-01-01T00:17:40.500+00:00",
            "by": "bert",
            "did": "remove",
            "scope": "number",
            "name": "+17134810111",
            "paused": None,
        },
    ]


def test_a_torn_line_of_the_audit_costs_only_itself(file: OrderFile) -> None:
    file.add(CLOSED, by="anna", at=1000.0)
    with file.audit.open("a") as log:
        log.write('{"time": "19')
    file.add(NUMBER, by="bert", at=1001.0)
    lines = file.audit.read_text().splitlines()
    assert len(lines) == 3
    assert json.loads(lines[2])["by"] == "bert"


def test_nobody_else_may_read(file: OrderFile) -> None:
    old = os.umask(0)
    try:
        file.add(CLOSED, by="anna", at=1000.0)
    finally:
        os.umask(old)
    kept = [file.audit.parent, *file.audit.parent.rglob("*")]
    files = {stat.S_IMODE(path.stat().st_mode) for path in kept if path.is_file()}
    folders = {stat.S_IMODE(path.stat().st_mode) for path in kept if path.is_dir()}
    assert (files, folders) == ({0o600}, {0o700})


@pytest.mark.parametrize(
    "order",
    [
        Order(Scope.ALL, "acme"),
        Order(Scope.TENANT),
        Order(Scope.ALL, code=200),
        Order(Scope.ALL, code=486, to=DestinationName("x")),
        Order(Scope.ALL, until=float("inf")),
    ],
    ids=str,
)
def test_what_could_not_be_read_is_not_written(file: OrderFile, order: Order) -> None:
    with pytest.raises(StoreError, match="cannot hold this order"):
        file.add(order, by="anna", at=1000.0)
    assert file.read() == Controls()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", ":1:1: is not JSON"),
        ('{"version": 1,\n "orders": [}', ":2:13: is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ('{"version": 2}', "version: "),
        ("[]", ""),
        ('{"version": 1, "orders": [{"scope": "everyone"}]}', "orders[0].scope: "),
        ('{"version": 1, "orders": [{"scope": "all", "code": 200}]}', "orders[0].code: "),
        ('{"version": 1, "orders": [{"scope": "all", "cod": 486}]}', "orders[0].cod: "),
        ('{"version": 1, "orders": [{"scope": "all"}, {"scope": "tenant"}]}', "orders[1]: "),
        ('{"version": 1, "orders": [{"scope": "all", "until": NaN}]}', "orders[0].until: "),
        ('{"version": 1, "orders": [{"scope": "all", "tenant": "acme"}]}', "orders[0]: "),
    ],
)
def test_a_damaged_file_is_told_with_its_place_and_left_as_it_is(
    file: OrderFile, content: str, said: str
) -> None:
    file.path.parent.mkdir(parents=True)
    file.path.write_text(content)
    with pytest.raises(StoreError) as refused:
        file.read()
    assert str(refused.value).startswith(str(file.path))
    assert said in str(refused.value)
    with pytest.raises(StoreError):
        file.add(CLOSED, by="anna", at=1000.0)
    assert file.path.read_text() == content


def test_bytes_that_are_no_text_are_told(file: OrderFile) -> None:
    file.path.parent.mkdir(parents=True)
    file.path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StoreError, match="no UTF-8 text"):
        file.read()


def test_a_half_written_temporary_file_is_not_looked_at(file: OrderFile) -> None:
    file.add(CLOSED, by="anna", at=1000.0)
    (file.path.parent / ".controls.json.0123.tmp").write_text('{"version": 1, "ord')
    assert file.read() == Controls((CLOSED,))
    file.add(NUMBER, by="anna", at=1001.0)
    assert file.read() == Controls((NUMBER, CLOSED))


def test_a_full_disk_leaves_the_orders_that_stand(
    file: OrderFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.add(CLOSED, by="anna", at=1000.0)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(disk.os, "fsync", full)
    with pytest.raises(StoreError, match="no space left"):
        file.add(NUMBER, by="anna", at=1001.0)
    assert file.read() == Controls((CLOSED,))


def test_a_lock_that_is_never_released_is_an_error(
    file: OrderFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "_LOCK_WAIT", 0.1)
    with (
        disk.locked(file.audit.with_name("controls.lock")),
        pytest.raises(StoreError, match="is held by another process"),
    ):
        file.add(CLOSED, by="anna", at=1000.0)
    file.add(CLOSED, by="anna", at=1000.0)


ADDING = """
import sys
from pathlib import Path
from sipagent.config.reload.orders import OrderFile
from sipagent.routing.controls import Order, Scope

file = OrderFile(Path(sys.argv[1]))
for number in range(25):
    file.add(Order(Scope.TENANT, f"{sys.argv[2]}-{number}", code=486), by=sys.argv[2], at=1000.0)
"""


def test_of_two_processes_that_add_at_once_no_order_is_lost(file: OrderFile) -> None:
    command = [sys.executable, "-c", ADDING, str(file.audit.parent)]
    processes = [subprocess.Popen([*command, who]) for who in ("anna", "bert")]
    assert [process.wait(60) for process in processes] == [0, 0]
    names = {order.name for order in file.read().orders}
    assert names == {f"{who}-{number}" for who in ("anna", "bert") for number in range(25)}
    assert len(audit(file)) == 50


def test_what_changes_nothing_is_not_in_the_audit(file: OrderFile) -> None:
    assert file.remove(Scope.TENANT, "nobody", by="me", at=1.0) == ()
    assert not file.audit.exists()
    file.add(CLOSED, by="me", at=1.0)
    file.add(CLOSED, by="me", at=2.0)
    file.remove(Scope.TENANT, "nobody", by="me", at=3.0)
    assert [line["did"] for line in audit(file)] == ["add"]
