"""The configuration in force: what a reload changes, what it keeps, and what it says of that."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from sipagent.config.reload.in_force import in_force
from sipagent.config.reload.live import LiveConfiguration, Status
from sipagent.config.reload.orders import OrderFile
from sipagent.config.reload.stored import Origin, Trouble
from sipagent.config.reload.versions import VersionStore
from sipagent.config.sources import Bundle
from sipagent.errors import ConfigError, StoreError
from sipagent.model import AgentName, DestinationName, TenantName, TrunkName
from sipagent.routing import Controls
from sipagent.routing.controls import Order, Scope

ACME, BRAVO = TenantName("acme"), TenantName("bravo")
CARRIER = TrunkName("carrier")
MAIN = """\
version: 1
include: tenants/*/tenant.yaml
defaults: {model: gpt-realtime-2.1}
tenants: {acme: {}, bravo: {}}
trunks:
  carrier: {secret: {header: X-Secret, file: %s}}
numbers:
  "+1 713 481 0111": {tenant: acme, agent: desk, trunk: carrier}
  "+1 713 481 0122": {tenant: bravo, agent: desk}
"""
TENANT = """\
tenant: %s
agents:
  desk: {instructions: {file: desk.md}}
"""


def is_current(status: Status) -> bool:
    """Whether the files are what is in force, all of them."""
    return status.origin is Origin.FILES and not status.findings and not status.stale


class Site:
    """The files of one service, and its data directory."""

    def __init__(self, root: Path) -> None:
        self.root = root / "config"
        self.data = root / "data"
        self.secret = root / "carrier.secret"
        self.main = self.root / "agents.yaml"
        self.time = 1_000.0
        root.mkdir(exist_ok=True)
        self.secret.write_text("first\n")
        self.write("agents.yaml", MAIN % self.secret)
        for tenant in (ACME, BRAVO):
            self.write(f"tenants/{tenant}/tenant.yaml", TENANT % tenant)
            self.write(f"tenants/{tenant}/desk.md", f"You speak for {tenant}.")

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.root / name).read_text()
        assert old in text
        self.write(name, text.replace(old, new))

    def now(self) -> float:
        self.time += 1
        return self.time

    @property
    def store(self) -> VersionStore:
        return VersionStore(self.data, now=self.now)

    def live(self, store: VersionStore | None = None) -> LiveConfiguration:
        return LiveConfiguration(
            self.main, store=store or self.store, orders=OrderFile(self.data), wall=self.now
        )


class Watcher:
    """Keeps what it is told."""

    def __init__(self, live: LiveConfiguration) -> None:
        self.swaps: list[Sequence[str]] = []
        self.tries: list[Status] = []
        live.observe(self)

    def swapped(self, changes: Sequence[str]) -> None:
        self.swaps.append(changes)

    def tried(self, status: Status) -> None:
        self.tries.append(status)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def words(live: LiveConfiguration, tenant: TenantName = ACME) -> object:
    """What the tenant's agent is told."""
    return live.table.agents[tenant, AgentName("desk")].editions[0].session["instructions"]


def at(status: Status) -> list[str]:
    """The names and lines of all findings of the operator's files."""
    return [f"{Path(found.file).name}:{found.line}" for found in status.findings]


async def test_a_start_on_good_files_serves_and_stores_them(site: Site) -> None:
    live = site.live()
    status = live.status
    assert words(live) == "You speak for acme."
    assert (status.origin, is_current(status), status.troubles) == (Origin.FILES, True, ())
    assert status.config_hash == live.table.config_hash
    assert [kept.hash for kept in site.store.all()] == [status.config_hash]
    assert live.trunk_secrets == {CARRIER: (b"first",)}
    assert {site.main, site.root / "tenants" / "acme" / "desk.md"} <= set(live.watched())


def test_a_start_on_broken_files_without_a_stored_version_is_refused(site: Site) -> None:
    site.edit("agents.yaml", "version: 1", "version: 1\nnumbrs: {}")
    with pytest.raises(ConfigError) as caught:
        site.live()
    assert str(caught.value).startswith(f"{site.main}:2:1: numbrs: ")


@pytest.mark.parametrize("broken", ["version: 1\nagents: [", "nonsense: 1\n", "", None])
async def test_a_start_on_broken_files_serves_the_stored_version(
    site: Site, broken: str | None
) -> None:
    before = site.live()
    good = site.main.read_text()
    site.main.unlink() if broken is None else site.main.write_text(broken)
    live = site.live()
    assert (live.status.origin, is_current(live.status)) == (Origin.STORED, False)
    assert at(live.status)
    assert words(live) == "You speak for acme."
    assert live.table.config_hash == before.table.config_hash
    assert site.main in live.watched()
    site.main.write_text(good)
    status = await live.update()
    assert (status.origin, status.findings, is_current(status)) == (Origin.FILES, (), True)


def test_a_stored_version_of_another_main_file_is_not_used(site: Site) -> None:
    site.live()
    site.main = site.write("other.yaml", "version: 1\nagents: [")
    with pytest.raises(ConfigError):
        site.live()


def test_a_damaged_stored_version_gives_way_to_the_one_before(site: Site) -> None:
    first = site.live().table.config_hash
    site.write("tenants/acme/desk.md", "Second.")
    second = site.live().table.config_hash
    (newest,) = (site.data / "versions").glob(f"*-{second}.json")
    newest.write_text("torn")
    site.main.write_text("")
    assert site.live().table.config_hash == first


async def test_a_broken_edit_changes_nothing_and_is_told_until_it_is_repaired(site: Site) -> None:
    live = site.live()
    seen = Watcher(live)
    before = live.loaded
    good = site.main.read_text()
    site.main.write_text(good.replace("numbers:", "  nobody: {}\nnumbers:", 1))
    status = await live.update()
    assert live.loaded is before
    assert (status.origin, at(status)) == (Origin.FILES, ["agents.yaml:7"])
    assert not is_current(status)
    site.main.write_text(good)
    status = await live.update()
    assert (status.findings, is_current(status)) == ((), True)
    assert (seen.swaps, [bool(tried.findings) for tried in seen.tries]) == ([], [True, False])


async def test_a_change_is_swapped_whole_and_told_once(site: Site) -> None:
    live = site.live()
    seen = Watcher(live)
    since = live.status.since
    assert (await live.update()).since == since
    site.write("tenants/acme/desk.md", "You are new.")
    status = await live.update()
    assert words(live) == "You are new."
    assert status.since > since
    assert len(seen.swaps) == 1
    assert any("acme/desk" in line for line in seen.swaps[0])
    assert not any("You are new" in line for line in seen.swaps[0])


async def test_written_limits_are_told_though_the_files_are_not_kept(site: Site) -> None:
    live = site.live()
    seen = Watcher(live)
    limit = "tenants: {acme: {max_concurrent_calls: %d}, bravo: {}}"
    text = site.main.read_text()
    for most in (4, 5):
        line = limit % most + "\n"
        site.main.write_text(text.replace("tenants: {acme: {}, bravo: {}}\n", line))
        site.write("tenants/bravo/desk.md", f"Version {most}.")
        await live.update()
        kept = live.loaded.gathered
        assert kept is not None
        assert not kept.tenants
        assert not kept.main.document.root.rows
    assert [[line for line in swap if "max_concurrent" in line] for swap in seen.swaps] == [
        ["tenants acme changed: max_concurrent_calls"]
    ] * 2


async def test_what_a_broken_file_names_is_watched_and_nothing_is_forgotten(site: Site) -> None:
    live = site.live()
    before = set(live.watched())
    for number in range(20):
        site.edit("tenants/acme/tenant.yaml", "agents:", f"agents:\n  a{number}: {{x: 1}}")
        site.write("agents.yaml", f"include: tenants/*/tenant.yaml\nnonsense: {number}\n")
        await live.update()
        assert before <= set(live.watched())
    assert len(live.watched()) == len(before)


@pytest.mark.parametrize(
    "change",
    [
        ("tenant.yaml", "tenant: bravo\nagents:\n  desk: {instructions: {file: gone.md}}\n", 3),
        ("tenant.yaml", "tenant: bravo\nagents:\n  desk: {instructions: [\n", 4),
        ("tenant.yaml", "", 1),
        ("tenant.yaml", None, 1),
        ("desk.md", None, 3),
        ("desk.md", "", 3),
        ("tenant.yaml", "tenant: bravo\nagents: {other: {instructions: hi}}\n", 9),
    ],
)
async def test_a_tenant_that_is_broken_goes_on_alone(
    site: Site, change: tuple[str, str | None, int]
) -> None:
    name, text, line = change
    live = site.live()
    path = site.root / "tenants" / "bravo" / name
    good = path.read_text()
    path.unlink() if text is None else path.write_text(text)
    site.write("tenants/acme/desk.md", "You are new.")
    status = await live.update()
    assert (words(live), words(live, BRAVO)) == ("You are new.", "You speak for bravo.")
    assert (status.origin, status.findings, is_current(status)) == (Origin.FILES, (), False)
    assert list(status.stale) == [BRAVO]
    (found,) = status.stale[BRAVO]
    assert (found.line, found.tenant) == (line, BRAVO)
    site.write("tenants/acme/desk.md", "You are newer.")
    assert list((await live.update()).stale) == [BRAVO]
    assert (words(live), words(live, BRAVO)) == ("You are newer.", "You speak for bravo.")
    path.write_text(good + "\n")
    assert is_current(await live.update())


async def test_with_a_broken_operators_file_beside_it_everything_stays(site: Site) -> None:
    live = site.live()
    before = live.loaded
    site.write("tenants/acme/desk.md", "You are new.")
    site.write("tenants/bravo/tenant.yaml", "tenant: [")
    site.edit("agents.yaml", "version: 1", "version: 1\nnumbrs: {}")
    status = await live.update()
    assert live.loaded is before
    assert status.stale == {}
    assert {Path(found.file).name for found in status.findings} == {"agents.yaml", "tenant.yaml"}


async def test_an_operators_file_that_has_gone_is_no_tenants_fault(site: Site) -> None:
    site.write("common/all.yaml", "namespace: common\nagents: {base: {instructions: Be kind.}}\n")
    site.edit("agents.yaml", "tenants/*/tenant.yaml", "[common/all.yaml, tenants/*/tenant.yaml]")
    live = site.live()
    (site.root / "common" / "all.yaml").unlink()
    status = await live.update()
    assert (at(status), status.stale) == (["agents.yaml:2"], {})


async def test_folders_above_that_have_a_tenants_name_are_nobodys(tmp_path: Path) -> None:
    site = Site(tmp_path / "bravo")
    live = site.live()
    site.write("tenants/bravo/tenant.yaml", "tenant: [")
    site.write("tenants/acme/desk.md", "You are new.")
    assert list((await live.update()).stale) == [BRAVO]
    assert words(live) == "You are new."


async def test_a_tenant_that_is_broken_at_the_start_has_its_stored_files(site: Site) -> None:
    site.live()
    site.write("tenants/bravo/tenant.yaml", "tenant: [")
    site.write("tenants/acme/desk.md", "You are new.")
    live = site.live()
    assert (live.status.origin, list(live.status.stale)) == (Origin.FILES, [BRAVO])
    assert (words(live), words(live, BRAVO)) == ("You are new.", "You speak for bravo.")
    # What was stored then is whole again.
    site.main.write_text("")
    assert words(site.live(), BRAVO) == "You speak for bravo."


def rolled_back(site: Site) -> tuple[str, str]:
    """Two versions were served, and the first is pinned over the second: their hashes."""
    site.write("tenants/acme/desk.md", "First.")
    first = site.live()
    site.write("tenants/acme/desk.md", "Second.")
    second = site.live()
    store = site.store
    kept = store.get(second.table.config_hash)
    assert kept is not None
    store.pin(first.table.config_hash, kept[1].fingerprint)
    return first.table.config_hash, second.table.config_hash


async def test_a_rollback_holds_until_the_files_change(site: Site) -> None:
    live = site.live()
    first, second = rolled_back(site)
    status = await live.update()
    assert (status.origin, status.config_hash) == (Origin.ROLLBACK, first)
    assert (words(live), status.findings) == ("First.", ())
    assert (await live.update()).origin is Origin.ROLLBACK
    restarted = site.live()
    assert (restarted.status.origin, restarted.table.config_hash) == (Origin.ROLLBACK, first)
    site.write("tenants/acme/desk.md", "Third.")
    status = await live.update()
    assert (status.origin, words(live)) == (Origin.FILES, "Third.")
    assert second in {kept.hash for kept in site.store.all()}


async def test_a_rollback_that_is_cancelled_gives_the_files_back(site: Site) -> None:
    first, second = rolled_back(site)
    live = site.live()
    assert live.table.config_hash == first
    site.store.unpin()
    status = await live.refresh()
    assert (status.origin, status.config_hash) == (Origin.FILES, second)


async def test_a_refresh_takes_a_pin_and_reads_no_files_without_one(site: Site) -> None:
    live = site.live()
    seen = Watcher(live)
    site.write("tenants/acme/desk.md", "Second.")
    await live.refresh()
    assert (words(live), seen.tries) == ("You speak for acme.", [])
    first, _ = rolled_back(site)
    status = await live.refresh()
    assert (status.origin, status.config_hash, len(seen.tries)) == (Origin.ROLLBACK, first, 1)


async def test_a_rollback_to_a_damaged_version_is_told_and_the_files_serve(site: Site) -> None:
    first, second = rolled_back(site)
    for path in (site.data / "versions").glob(f"*-{first}.json"):
        path.write_text("torn")
    live = site.live()
    assert (live.status.origin, live.table.config_hash) == (Origin.FILES, second)
    (trouble,) = live.status.troubles
    assert (trouble.part, trouble.code) == ("data", "rollback-impossible")
    site.store.unpin()
    assert (await live.update()).troubles == ()


async def test_a_rollback_stays_while_the_files_are_broken_also_over_a_restart(site: Site) -> None:
    first, _ = rolled_back(site)
    live = site.live()
    site.main.write_text("")
    status = await live.update()
    assert (status.origin, status.config_hash) == (Origin.ROLLBACK, first)
    assert at(status)
    restarted = site.live()
    assert (restarted.status.origin, restarted.table.config_hash) == (Origin.ROLLBACK, first)
    assert at(restarted.status)


async def test_a_rollback_holds_while_a_tenant_is_stale(site: Site) -> None:
    first = site.live().table.config_hash
    site.write("tenants/bravo/desk.md", "Second.")
    live = site.live()
    site.write("tenants/bravo/tenant.yaml", "tenant: [")
    assert list((await live.update()).stale) == [BRAVO]
    last = site.store.last()
    assert last is not None
    site.store.pin(first, last[1].fingerprint)
    for _ in range(3):
        status = await live.update()
        assert (status.origin, words(live, BRAVO)) == (Origin.ROLLBACK, "You speak for bravo.")


def says(site: Site) -> tuple[Origin, str, list[str], list[Trouble]] | None:
    """What commands say that a service would serve; None where there is nothing."""
    try:
        found = in_force(site.main, site.store)
    except ConfigError:
        return None
    findings = [str(finding) for finding in found.findings]
    return found.origin, found.loaded.table.config_hash, findings, list(found.troubles)


def serves(site: Site) -> tuple[Origin, str, list[str], list[Trouble]] | None:
    """What a service that starts now serves."""
    try:
        status = site.live().status
    except ConfigError:
        return None
    stale = [finding for found in status.stale.values() for finding in found]
    findings = [str(finding) for finding in (*status.findings, *stale)]
    return status.origin, status.config_hash, findings, list(status.troubles)


def broken(site: Site) -> None:
    site.main.write_text("")


def pinned_and_damaged(site: Site) -> None:
    first, _ = rolled_back(site)
    for path in (site.data / "versions").glob(f"*-{first}.json"):
        path.write_text("torn")


def of_another_file(site: Site) -> None:
    site.live()
    site.main = site.write("other.yaml", "version: 1\nagents: [")


def with_a_stale_tenant(site: Site) -> None:
    site.live()
    site.write("tenants/bravo/tenant.yaml", "tenant: [")


@pytest.mark.parametrize(
    ("steps", "origin"),
    [
        ([], Origin.FILES),
        ([broken], None),
        ([Site.live, broken], Origin.STORED),
        ([of_another_file], None),
        ([with_a_stale_tenant], Origin.FILES),
        ([rolled_back], Origin.ROLLBACK),
        ([rolled_back, broken], Origin.ROLLBACK),
        ([rolled_back, lambda site: site.write("tenants/acme/desk.md", "3.")], Origin.FILES),
        ([pinned_and_damaged], Origin.FILES),
        ([pinned_and_damaged, broken], Origin.STORED),
    ],
)
def test_commands_say_what_the_service_serves_and_store_nothing(
    site: Site, steps: list[Callable[[Site], object]], origin: Origin | None
) -> None:
    for step in steps:
        step(site)
    before = site.store.all()
    said = says(site)
    assert site.store.all() == before
    assert said == serves(site)
    assert (None if said is None else said[0]) is origin


class Sick(VersionStore):
    """A store whose disk can be full or unreadable."""

    sick = True

    def keep(self, hash_: str, bundle: Bundle) -> None:
        if self.sick:
            raise StoreError("data/versions", "cannot be used: no space left on device")
        super().keep(hash_, bundle)

    def last(self) -> tuple[str, Bundle] | None:
        if self.sick:
            raise StoreError("data/versions", "cannot be used: permission denied")
        return super().last()


async def test_a_data_directory_that_cannot_be_used_stops_nothing_and_shows(site: Site) -> None:
    store = Sick(site.data)
    live = site.live(store)
    told = Trouble("data", "not-stored", "data/versions: cannot be used: no space left on device")
    assert live.status.troubles == (told,)
    site.write("tenants/acme/desk.md", "You are new.")
    assert (await live.update()).troubles == (told,)
    assert words(live) == "You are new."
    site.main.write_text("broken: [")
    assert (await live.update()).troubles == (told,)
    site.main.write_text(MAIN % site.secret)
    store.sick = False
    assert (await live.update()).troubles == ()
    assert len(store.all()) == 1


async def test_a_data_directory_that_is_a_file_stops_nothing(site: Site) -> None:
    site.data.write_text("in the way")
    live = site.live()
    (orders, *stored) = sorted(live.status.troubles, key=lambda trouble: -len(trouble.part))
    assert (orders.part, orders.code) == ("orders", "unreadable")
    assert {(one.part, one.code) for one in stored} == {("data", "not-stored")}
    assert words(live) == "You speak for acme."


async def test_a_version_is_stored_once(site: Site) -> None:
    live = site.live()
    before = sorted((site.data / "versions").iterdir())
    await live.update()
    await live.update()
    assert sorted((site.data / "versions").iterdir()) == before


async def test_a_trunks_secret_is_read_again_and_an_unreadable_one_stays(site: Site) -> None:
    live = site.live()
    assert site.secret in live.watched_beside()
    site.secret.write_text("second\nfirst\n")
    await live.refresh()
    assert live.trunk_secrets == {CARRIER: (b"second", b"first")}
    for damage in ("", "\n# nothing\n"):
        site.secret.write_text(damage)
        status = await live.refresh()
        assert live.trunk_secrets == {CARRIER: (b"second", b"first")}
        assert [(one.part, one.code) for one in status.troubles] == [
            ("trunk:carrier", "stale-secrets")
        ]
    site.secret.unlink()
    assert "second" not in str((await live.update()).troubles)
    assert live.trunk_secrets == {CARRIER: (b"second", b"first")}
    site.secret.write_text("third")
    assert (await live.refresh()).troubles == ()


async def test_a_new_trunks_secret_is_there_with_the_trunk(site: Site) -> None:
    live = site.live()
    other = site.root / "other.secret"
    other.write_text("more")
    trunk = f"trunks:\n  second: {{secret: {{header: X-Secret, file: {other}}}}}"
    site.edit("agents.yaml", "trunks:", trunk)
    await live.update()
    assert live.trunk_secrets == {CARRIER: (b"first",), TrunkName("second"): (b"more",)}


async def test_orders_are_in_force_after_a_refresh_and_damage_keeps_the_last(site: Site) -> None:
    live = site.live()
    assert live.controls == Controls()
    orders = OrderFile(site.data)
    order = Order(Scope.TENANT, "acme", to=DestinationName("night"), until=99.0)
    orders.add(order, by="test", at=1.0)
    await live.refresh()
    assert live.controls.orders == (order,)
    orders.path.write_text('{"version": 1, "orders": [')
    (trouble,) = (await live.refresh()).troubles
    assert (trouble.part, trouble.code) == ("orders", "unreadable")
    assert f"{orders.path}:1:" in trouble.detail
    assert live.controls.orders == (order,)
    orders.path.unlink()
    assert (await live.refresh()).troubles == ()
    assert live.controls == Controls()


class Slow(OrderFile):
    """Orders that are read as soon as a test lets them be."""

    def __init__(self, data: Path) -> None:
        super().__init__(data)
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.threads: set[int] = set()

    def read(self) -> Controls:
        self.threads.add(threading.get_ident())
        self.entered.set()
        assert self.gate.wait(10)
        return super().read()


async def test_nothing_is_read_in_the_event_loop_and_calls_go_on_meanwhile(site: Site) -> None:
    orders = Slow(site.data)
    live = LiveConfiguration(site.main, orders=orders)
    before = live.table
    orders.threads.clear()
    orders.entered.clear()
    orders.gate.clear()
    site.write("tenants/acme/desk.md", "You are new.")
    updates = [asyncio.ensure_future(live.update()) for _ in range(3)]  # noqa: TID251
    await asyncio.to_thread(orders.entered.wait)
    assert live.table is before
    orders.gate.set()
    statuses = await asyncio.gather(*updates)
    assert {status.config_hash for status in statuses} == {live.table.config_hash}
    assert threading.get_ident() not in orders.threads


async def test_an_update_that_is_cancelled_goes_on_to_its_end(site: Site) -> None:
    orders = Slow(site.data)
    live = LiveConfiguration(site.main, orders=orders)
    orders.entered.clear()
    orders.gate.clear()
    site.write("tenants/acme/desk.md", "You are new.")
    updating = asyncio.ensure_future(live.update())  # noqa: TID251
    await asyncio.to_thread(orders.entered.wait)
    updating.cancel()
    orders.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await updating
    assert words(live) == "You are new."


class Acting(dict[str, str]):
    """An environment that does something whenever a value is looked for."""

    def __init__(self, act: Callable[[], None]) -> None:
        super().__init__(WHERE="nowhere")
        self._act = act

    def get(self, name: str, default: object = None) -> Any:
        self._act()
        return super().get(name, default)

    def __getitem__(self, name: str) -> str:
        self._act()
        return super().__getitem__(name)


def with_variable(site: Site) -> None:
    site.edit("agents.yaml", str(site.secret), '"${WHERE}"')


async def test_files_that_change_while_they_are_read_are_read_again(site: Site) -> None:
    """The main file names the environment, and is read before the prompts."""
    steps: list[Callable[[], object]] = [
        lambda: site.edit("agents.yaml", "0122", "0133"),
        lambda: site.edit("agents.yaml", "0133", "0144"),
    ]
    with_variable(site)
    environment = Acting(lambda: steps and steps.pop(0)())
    live = LiveConfiguration(site.main, environment=environment)
    assert not steps
    (directory,) = live.table.directories.values()
    assert directory.listed("+17134810144") is not None


async def test_a_crash_of_the_reading_is_a_finding(site: Site) -> None:
    def crash() -> None:
        if crashing:
            raise RecursionError

    crashing: list[bool] = []
    with_variable(site)
    live = LiveConfiguration(site.main, environment=Acting(crash))
    before = live.loaded
    crashing.append(True)
    status = await live.update()
    assert "internal error (RecursionError)" in str(status.findings[0])
    assert live.loaded is before
    crashing.clear()
    assert is_current(await live.update())


def test_a_pin_of_another_main_file_is_not_served(site: Site) -> None:
    first = site.live()
    kept = site.store.last()
    assert kept is not None
    site.store.pin(first.table.config_hash, kept[1].fingerprint)
    site.main = site.write("other.yaml", "version: 1\nagents: [")
    with pytest.raises(ConfigError):
        site.live()
