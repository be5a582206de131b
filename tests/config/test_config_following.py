"""Orders and versions that replicas share by one database: they hold on all of them within a
second, and go on without it."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from sipagent.config.reload import ordersheet
from sipagent.config.reload.following import Copies, Following, copied, newest
from sipagent.config.reload.in_force import fingerprint_of
from sipagent.config.reload.live import LiveConfiguration
from sipagent.config.reload.orders import OrderFile, OrderStore
from sipagent.config.reload.shared import SharedOrders, SharedVersions
from sipagent.config.reload.stored import Origin
from sipagent.config.reload.versions import KEPT, VersionStore
from sipagent.config.sources import Bundle
from sipagent.errors import StoreError, TooManyOrdersError
from sipagent.model import DestinationName, TenantName
from sipagent.routing.controls import Controls, Order, Scope, ordered
from sipagent.store import shared
from sipagent.store.database import open_engine
from sipagent.store.location import Location
from sipagent.store.schema import upgrade
from tests.config.test_config_live import Site, words
from tests.store.support import located, outage, run_apart
from tests.waiting import eventually

CLOSED = Order(Scope.ALL, code=603)
NUMBER = Order(Scope.NUMBER, "+17134810111", paused=True)
TENANT = Order(Scope.TENANT, "acme", to=DestinationName("centre"), until=2000.0)
LIVE = Order(Scope.TENANT, "acme", to=DestinationName("centre"), live=1500.25)


@pytest.fixture
def location(postgresql_url: str) -> Location:
    """A database with the schema."""

    async def made() -> None:
        engine = open_engine(found)
        await upgrade(engine, found)
        await engine.dispose()

    found = located(postgresql_url)
    run_apart(made())
    return found


@pytest.fixture(params=["file", "shared"])
def orders(request: pytest.FixtureRequest, tmp_path: Path) -> OrderStore:
    """The orders of one machine, and those of replicas."""
    if request.param == "file":
        return OrderFile(tmp_path / "data")
    return SharedOrders(request.getfixturevalue("location"))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def beside(site: Site) -> Site:
    """Another replica: the same files, and a data directory of its own."""
    other = Site(site.root.parent)
    other.data = site.data.with_name("other")
    return other


@asynccontextmanager
async def replica(
    site: Site, location: Location
) -> AsyncIterator[tuple[LiveConfiguration, Following]]:
    """A replica that has begun as the service does, and follows the others."""
    await copied(location, site.data)
    engine, live = open_engine(location), site.live()
    following = Following(lambda: engine, site.data, ordered=live.refresh, pinned=live.refresh)
    async with following:
        yield live, following
    await engine.dispose()


async def within_a_second(true: Callable[[], bool]) -> None:
    await eventually(true, 1.0)


# Both keep orders alike.


def test_without_an_order_there_is_none(orders: OrderStore) -> None:
    assert orders.read() == Controls()
    assert orders.remove(Scope.ALL, by="anna", at=1000.0) == ()


def test_orders_are_read_as_they_were_given(orders: OrderStore) -> None:
    for order in (CLOSED, NUMBER, TENANT):
        orders.add(order, by="anna", at=1000.0)
    assert orders.read() == ordered((CLOSED, NUMBER, TENANT))
    elsewhere = replace(LIVE, to=DestinationName("elsewhere"))
    orders.add(elsewhere, by="anna", at=1999.0)
    assert orders.read() == ordered((CLOSED, NUMBER, TENANT, elsewhere))
    orders.add(CLOSED, by="anna", at=2000.0)
    assert orders.read() == ordered((NUMBER, elsewhere, CLOSED))


def test_an_order_that_is_given_again_stands_once(orders: OrderStore) -> None:
    again = Order(Scope.TENANT, "acme", to=DestinationName("centre"), live=1600.0)
    for order in (LIVE, CLOSED, again):
        orders.add(order, by="anna", at=1000.0)
    assert orders.read() == ordered((CLOSED, again))


@pytest.mark.parametrize("whose", [None, "acme"])
@pytest.mark.parametrize(
    ("first", "then", "stands"),
    [
        (replace(NUMBER, until=9e4), replace(NUMBER, until=1600.0), False),
        (replace(NUMBER, until=9e4), replace(NUMBER, code=480), False),
        (replace(TENANT, until=None), replace(LIVE, until=1600.0), False),
        (Order(Scope.ALL, code=486), Order(Scope.ALL, code=486, until=1600.0), False),
        (Order(Scope.ALL, code=486), Order(Scope.ALL, code=603), True),
        (TENANT, replace(TENANT, to=DestinationName("elsewhere")), True),
        (replace(NUMBER, paused=False), NUMBER, True),
        (NUMBER, replace(NUMBER, name="+17134810122"), True),
    ],
)
def test_an_order_takes_the_place_of_those_that_do_the_same(
    orders: OrderStore, first: Order, then: Order, stands: bool, whose: str | None
) -> None:
    """Whenever they end: one that is shortened does not come back."""
    tenant = None if whose is None else TenantName(whose)
    for order in (first, then):
        given = replace(order, by_tenant=tenant is not None, tenant=tenant)
        orders.add(given, by="anna", at=1000.0)
    assert len(orders.read().orders) == 1 + stands


def test_an_order_leaves_what_others_gave(orders: OrderStore) -> None:
    acme = replace(NUMBER, by_tenant=True, tenant=TenantName("acme"))
    beta = replace(acme, tenant=TenantName("beta"))
    for order in (NUMBER, acme, beta):
        orders.add(order, by="anna", at=1000.0)
    assert len(orders.read().orders) == 3
    number, tenant = NUMBER.name, TenantName("beta")
    assert orders.remove(Scope.NUMBER, number, by="b", at=1001.0, tenant=tenant) == (beta,)
    assert orders.read() == ordered((NUMBER, acme))
    assert len(orders.remove(Scope.NUMBER, number, by="operator", at=1001.0)) == 2


def test_a_pause_takes_the_place_of_one_that_does_not_say_whose(orders: OrderStore) -> None:
    """It was written by an earlier release."""
    old = replace(NUMBER, by_tenant=True)
    new = replace(old, tenant=TenantName("acme"))
    for order in (old, new):
        orders.add(order, by="anna", at=1000.0)
    assert orders.read() == ordered((new,))


def test_so_many_orders_stand_on_one_number(orders: OrderStore) -> None:
    many = [replace(NUMBER, paused=False, code=400 + one) for one in range(ordersheet.MOST)]
    for order in (replace(many[0], until=1500.0), *many[1:]):
        orders.add(order, by="anna", at=1000.0)
    before = orders.read()
    with pytest.raises(TooManyOrdersError, match="16 orders on this number"):
        orders.add(NUMBER, by="anna", at=1000.0)
    assert orders.read() == before
    orders.add(replace(many[3], until=2000.0), by="anna", at=1000.0)
    orders.add(replace(NUMBER, by_tenant=True, tenant=TenantName("acme")), by="b", at=1000.0)
    orders.add(replace(NUMBER, name="+17134810122"), by="anna", at=1000.0)
    orders.add(NUMBER, by="anna", at=1500.0)  # the first one has expired


def test_nothing_is_written_that_could_not_be_read(
    orders: OrderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tenants' people leave room for the operator's orders."""
    monkeypatch.setattr(ordersheet, "_LARGEST", 4000)
    monkeypatch.setattr(ordersheet, "_LARGEST_BY_TENANTS", 2000)
    mine = replace(NUMBER, by_tenant=True, tenant=TenantName("acme"))
    for given, room in ((mine, 2000), (NUMBER, 4000)):
        with pytest.raises(TooManyOrdersError, match="no room"):
            _fill(orders, given)
        assert room - 200 < _size(orders) <= room
    assert orders.remove(Scope.NUMBER, "+17134810001", by="x", at=1000.0)
    before = orders.read()
    with pytest.raises(TooManyOrdersError, match="no room"):
        orders.add(replace(mine, name="+17134810001"), by="x", at=1000.0)
    assert orders.read() == before
    orders.add(replace(mine, name="+17134810000", until=9e4), by="x", at=1000.0)  # it replaces one


def _fill(orders: OrderStore, like: Order) -> None:
    for one in range(100):
        orders.add(replace(like, name=f"+1713481{one:04}"), by="x", at=1000.0)


def _size(orders: OrderStore) -> int:
    return len(ordersheet.written_orders(tuple(reversed(orders.read().orders))))


def test_removing_says_what_was_in_force(orders: OrderStore) -> None:
    refused = Order(Scope.NUMBER, NUMBER.name, code=486)
    for order in (CLOSED, NUMBER, refused):
        orders.add(order, by="anna", at=1000.0)
    assert orders.remove(Scope.NUMBER, NUMBER.name, by="b", at=1001.0, paused=True) == (NUMBER,)
    assert orders.remove(Scope.NUMBER, NUMBER.name, by="b", at=1002.0) == (refused,)
    assert orders.remove(Scope.NUMBER, NUMBER.name, by="b", at=1003.0) == ()
    assert orders.read() == Controls((CLOSED,))


@pytest.mark.parametrize(
    "order",
    [
        Order(Scope.TENANT),
        Order(Scope.ALL, code=200),
        Order(Scope.ALL, code=486, live=1.0),
        Order(Scope.ALL, to=DestinationName("x"), live=float("inf")),
    ],
    ids=str,
)
def test_what_could_not_be_read_is_not_written(orders: OrderStore, order: Order) -> None:
    with pytest.raises(StoreError, match="cannot hold this order"):
        orders.add(order, by="anna", at=1000.0)
    assert orders.read() == Controls()


async def test_the_audit_of_replicas_stands_with_their_orders(location: Location) -> None:
    def changed() -> None:
        book = SharedOrders(location)
        book.add(NUMBER, by="anna", at=1000.0)
        book.add(NUMBER, by="carl", at=1010.0)
        book.remove(Scope.NUMBER, NUMBER.name, by="bert", at=1060.5)

    await asyncio.to_thread(changed)
    engine = open_engine(location)
    told = await shared.audited(engine)
    await engine.dispose()
    assert [(one.by, one.at, json.loads(one.did)["did"]) for one in told] == [
        ("anna", 1000.0, "add"),
        ("bert", 1060.5, "remove"),
    ]
    assert json.loads(told[0].did)["order"] == {
        "scope": "number",
        "name": "+17134810111",
        "paused": True,
    }


def test_a_database_that_cannot_be_reached_is_told(location: Location) -> None:
    assert location.dsn is not None
    with outage(location.dsn), pytest.raises(StoreError, match="cannot be used"):
        SharedOrders(location).read()


def test_a_database_without_the_schema_is_told(postgresql_url: str) -> None:
    with pytest.raises(StoreError, match="sipagent db upgrade"):
        SharedOrders(located(postgresql_url)).read()


# Replicas follow.


async def test_orders_hold_on_all_replicas_within_a_second(site: Site, location: Location) -> None:
    other, book = beside(site), SharedOrders(location)
    async with replica(site, location) as (one, _), replica(other, location) as (two, _):
        await asyncio.to_thread(lambda: book.add(CLOSED, by="anna", at=1000.0))
        await within_a_second(lambda: one.controls.orders == two.controls.orders == (CLOSED,))
        await asyncio.to_thread(lambda: book.add(LIVE, by="anna", at=1000.0))
        both = ordered((CLOSED, LIVE))
        await within_a_second(lambda: one.controls == two.controls == both)
        assert OrderFile(site.data).read() == OrderFile(other.data).read() == both
        await asyncio.to_thread(lambda: book.remove(Scope.ALL, by="bert", at=1001.0))
        await within_a_second(lambda: one.controls.orders == two.controls.orders == (LIVE,))
        assert (one.status.findings, two.status.troubles) == ((), ())


async def test_a_replica_that_is_told_looks_at_once(
    site: Site, location: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sipagent.config.reload.following.LOOK_EVERY", 3600.0)
    async with replica(site, location) as (live, following):
        await eventually(lambda: following.looked)
        book = SharedOrders(location)
        await asyncio.to_thread(lambda: book.add(CLOSED, by="anna", at=1000.0))
        following.look()
        await within_a_second(lambda: live.controls.orders == (CLOSED,))


async def test_orders_survive_a_data_directory_that_is_gone(site: Site, location: Location) -> None:
    book = SharedOrders(location)
    await asyncio.to_thread(lambda: book.add(CLOSED, by="anna", at=1000.0))
    async with replica(site, location) as (live, _):
        assert live.controls.orders == (CLOSED,)
    shutil.rmtree(site.data)
    async with replica(site, location) as (live, _):
        assert live.controls.orders == (CLOSED,)


async def test_with_the_database_away_the_last_known_orders_stay_in_force(
    site: Site, location: Location
) -> None:
    assert location.dsn is not None
    book = SharedOrders(location)
    async with replica(site, location) as (live, following):
        await asyncio.to_thread(lambda: book.add(CLOSED, by="anna", at=1000.0))
        await within_a_second(lambda: live.controls.orders == (CLOSED,))
        with outage(location.dsn):
            await eventually(lambda: following.away is not None)
            assert live.controls.orders == (CLOSED,)
            other = Site(site.root.parent)
            assert await copied(location, other.data) is not None
            assert other.live().controls.orders == (CLOSED,)
        await eventually(lambda: following.away is None)
        await asyncio.to_thread(lambda: book.remove(Scope.ALL, by="anna", at=1001.0))
        await within_a_second(lambda: live.controls.orders == ())


async def test_a_database_without_a_schema_has_nothing_to_share(
    site: Site, postgresql_url: str
) -> None:
    OrderFile(site.data).add(CLOSED, by="anna", at=1000.0)
    assert await copied(located(postgresql_url), site.data) is None
    assert site.live().controls.orders == (CLOSED,)


async def test_orders_of_the_time_before_replicas_are_shared(
    site: Site, location: Location
) -> None:
    other = beside(site)
    OrderFile(site.data).add(CLOSED, by="anna", at=1000.0)
    async with replica(site, location) as (one, _), replica(other, location) as (two, _):
        await within_a_second(lambda: one.controls.orders == two.controls.orders == (CLOSED,))
        book = SharedOrders(location)
        assert (await asyncio.to_thread(book.read)).orders == (CLOSED,)


async def test_a_replica_that_comes_later_brings_no_orders_of_its_own(
    site: Site, location: Location
) -> None:
    book = SharedOrders(location)
    await asyncio.to_thread(lambda: book.add(NUMBER, by="anna", at=1000.0))
    OrderFile(site.data).add(CLOSED, by="anna", at=1000.0)
    async with replica(site, location) as (live, _):
        assert live.controls.orders == (NUMBER,)


async def test_orders_of_a_later_release_change_nothing(site: Site, location: Location) -> None:
    book = SharedOrders(location)
    await asyncio.to_thread(lambda: book.add(CLOSED, by="anna", at=1000.0))
    async with replica(site, location) as (live, following):
        engine = open_engine(location)
        later = '{"version": 2, "orders": []}'
        await shared.change(engine, shared.ORDERS, lambda _: (later, None))
        await engine.dispose()
        await eventually(lambda: following.away is not None)
        assert "version" in (following.away or "")
        assert live.controls.orders == (CLOSED,)


# Versions, and the rollback to one of them.


def test_versions_of_replicas_are_found_as_those_of_a_directory(
    site: Site, location: Location
) -> None:
    shelf = SharedVersions(location, now=site.now)
    bundles = [Bundle(str(site.root), "agents.yaml", {"agents.yaml": str(n)}) for n in range(3)]
    for number, bundle in enumerate(bundles):
        shelf.keep(f"abc{number}", bundle)
    assert [one.hash for one in shelf.all()] == ["abc2", "abc1", "abc0"]
    assert shelf.last() == ("abc2", bundles[2])
    assert shelf.get("abc1") == ("abc1", bundles[1])
    assert shelf.get("ffff") is None
    with pytest.raises(StoreError, match="begins several versions"):
        shelf.get("abc")
    with pytest.raises(StoreError, match="has no version"):
        shelf.pin("ffff", "files")
    assert shelf.pinned() is None
    shelf.pin("abc0", "files")
    pin = shelf.pinned()
    assert pin is not None
    assert (pin.hash, pin.overrides) == ("abc0", "files")
    shelf.unpin()
    assert shelf.pinned() is None


async def test_a_start_on_broken_files_finds_what_another_replica_has_kept(
    site: Site, location: Location
) -> None:
    async with replica(site, location) as (one, _):
        shelf = SharedVersions(location)
        good = one.status.config_hash
        await eventually(lambda: bool(run_apart(hashes(location))))
        assert [kept.hash for kept in await asyncio.to_thread(shelf.all)] == [good]
    other = beside(site)
    site.write("agents.yaml", "nonsense: [")
    async with replica(other, location) as (two, _):
        assert (two.status.origin, two.status.config_hash) == (Origin.STORED, good)


async def hashes(location: Location) -> Mapping[str, float]:
    engine = open_engine(location)
    try:
        return await shared.versions(engine)
    finally:
        await engine.dispose()


async def test_a_rollback_holds_on_all_replicas_within_a_second(
    site: Site, location: Location
) -> None:
    other, shelf = beside(site), SharedVersions(location)
    async with replica(site, location) as (one, _), replica(other, location) as (two, _):
        first = one.status.config_hash
        site.write("tenants/acme/desk.md", "You speak for Acme now.")
        await one.update()
        await two.update()
        await eventually(lambda: len(run_apart(hashes(location))) == 2)
        await eventually(
            lambda: VersionStore(site.data).listed() == VersionStore(other.data).listed()
        )
        print_ = await asyncio.to_thread(fingerprint_of, site.main, shelf)
        await asyncio.to_thread(shelf.pin, first, print_)
        await within_a_second(lambda: {one.status.config_hash, two.status.config_hash} == {first})
        assert words(two) == "You speak for acme."
        await asyncio.to_thread(shelf.unpin)
        await within_a_second(lambda: words(one) == words(two) == "You speak for Acme now.")


async def test_replicas_keep_the_newest_twenty_of_all_and_the_pinned_one(
    site: Site, location: Location
) -> None:
    other = beside(site)
    for number in range(15):
        for at, one in enumerate((site, other)):
            bundle = Bundle(str(site.root), "agents.yaml", {"agents.yaml": f"{at}{number}"})
            moment = 2000.0 + 2 * number + at
            VersionStore(one.data, now=lambda moment=moment: moment).keep(
                f"{at}{number:03d}", bundle
            )
    store = VersionStore(site.data)
    store.pin("0000", "files")
    engine = open_engine(location)
    copies = [Copies(one.data) for one in (site, other)]
    for _ in range(2):
        for one in copies:
            await one.renew_versions(engine)
    there = await shared.versions(engine)
    assert len(there) == KEPT
    assert "0000" in there
    assert there == {one.hash: one.at for one in store.listed()}
    assert store.listed() == VersionStore(other.data).listed()
    before = await shared.revisions(engine)
    for one in copies:
        await one.renew_versions(engine)
    assert await shared.revisions(engine) == before
    await engine.dispose()


@pytest.mark.parametrize(
    ("here", "there", "pinned", "kept"),
    [
        ({}, {}, None, {}),
        ({"a": 1.0}, {"a": 2.0}, None, {"a": 2.0}),
        ({"a": 3.0}, {"b": 2.0}, None, {"a": 3.0, "b": 2.0}),
        (
            {str(n): float(n) for n in range(25)},
            {"old": 0.5},
            "old",
            {"old": 0.5, **{str(n): float(n) for n in range(6, 25)}},
        ),
    ],
)
def test_what_is_kept_of_both(
    here: dict[str, float], there: dict[str, float], pinned: str | None, kept: dict[str, float]
) -> None:
    assert newest(here, there, pinned) == kept
    assert newest(there, here, pinned) == kept


async def test_a_damaged_version_of_the_database_is_passed_over(
    site: Site, location: Location
) -> None:
    engine = open_engine(location)
    async with engine.begin() as connection:
        await connection.execute(text("INSERT INTO config_versions VALUES ('abcd', 5, '{')"))
    copies = Copies(site.data)
    assert not await copies.renew_versions(engine)
    assert VersionStore(site.data).listed() == ()
    await engine.dispose()
    damaged: list[str] = []
    shelf = SharedVersions(location, on_damage=lambda place, _: damaged.append(place))
    assert await asyncio.to_thread(shelf.last) is None
    assert len(damaged) == 1
