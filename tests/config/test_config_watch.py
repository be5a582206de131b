"""Changes of real files: every way in which they are replaced is told, and nothing else."""

import asyncio
import functools
import shutil
import threading
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sipagent.config.reload import watch as module
from sipagent.config.reload.watch import watch

DEADLINE = 8  # less than the time after which files are looked at without a hint


class Watched:
    """The items of one watch."""

    def __init__(self, items: AsyncIterator[frozenset[Path]]) -> None:
        self._items = items

    async def item(self) -> frozenset[Path]:
        async with asyncio.timeout(DEADLINE):
            return await anext(self._items)

    async def until(self, *paths: Path) -> None:
        """Wait until each of the paths has been named; nothing else may be."""
        missing = set(paths)
        while missing:
            item = await self.item()
            assert item <= set(paths), item
            missing -= item

    async def told(self, change: Callable[[], Any], *paths: Path) -> None:
        """The change, made while the kernel is watching, names exactly these paths."""
        async with asyncio.TaskGroup() as tasks:
            WATCHING.clear()
            waiting = tasks.create_task(self.until(*paths))
            assert await asyncio.to_thread(WATCHING.wait, DEADLINE)
            change()
            await waiting


WATCHING = threading.Event()


@pytest.fixture(autouse=True)
def tell_when_it_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    is_set = module._Halt.is_set

    def told(halt: module._Halt) -> bool:
        answer = is_set(halt)
        WATCHING.set()
        return answer

    monkeypatch.setattr(module._Halt, "is_set", told)


@asynccontextmanager
async def watching(*paths: Path, ask: Callable[[], Collection[Path]] | None = None) -> Any:
    stop = asyncio.Event()
    items = watch(ask or (lambda: paths), stop, since=await settled())
    try:
        yield Watched(items)
    finally:
        stop.set()
        async with asyncio.timeout(2):
            assert [item async for item in items] == []


async def settled() -> float:
    """The time, when every change so far is surely older by the kernel's clock of files."""
    await asyncio.sleep(0.06)
    return time.time()


def replace(path: Path, text: str) -> None:
    """As editors and deployments do: a new file under another name, then a rename."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text)
    temporary.replace(path)


async def happens(watched: Watched, seen: bool, change: Callable[[], Any], *paths: Path) -> None:
    """The change is told, made while the kernel watches (seen) or while nobody does."""
    if seen:
        await watched.told(change, *paths)
    else:
        change()
        await watched.until(*paths)


@pytest.fixture
def agents(tmp_path: Path) -> Path:
    path = tmp_path / "config" / "agents.yaml"
    path.parent.mkdir()
    path.write_text("one")
    return path


async def test_every_atomic_replacement_is_told(agents: Path) -> None:
    async with watching(agents) as watched:
        for number in range(3):
            await watched.told(functools.partial(replace, agents, f"text {number}"), agents)
        for number in range(3):
            replace(agents, f"unseen {number}")
            await watched.until(agents)


async def test_a_write_in_place_and_a_new_permission_are_told(agents: Path) -> None:
    async with watching(agents) as watched:
        await watched.told(lambda: agents.write_text("two"), agents)
        await watched.told(lambda: agents.chmod(0o640), agents)


async def test_what_else_happens_in_the_folder_is_not_told(agents: Path) -> None:
    async with watching(agents) as watched:
        for number in range(20):
            (agents.parent / f"other-{number}").write_text("x")
        await watched.told(lambda: replace(agents, "two"), agents)


async def test_a_burst_is_one_item(agents: Path) -> None:
    prompts = [agents.parent / f"{number}.md" for number in range(50)]
    for prompt in prompts:
        prompt.write_text("x")
    async with watching(agents, *prompts) as watched:
        replace(agents, "two")
        await watched.until(agents)
        for prompt in prompts:
            replace(prompt, "y")
        named = await watched.item()
        while len(named) < 50:
            named |= await watched.item()
        assert named == set(prompts)


@pytest.mark.parametrize("seen", [True, False])
async def test_a_file_that_goes_and_comes_back_is_told_twice(agents: Path, seen: bool) -> None:
    async with watching(agents) as watched:
        for change in (agents.unlink, lambda: agents.write_text("two")):
            await happens(watched, seen, change, agents)


@pytest.mark.parametrize("seen", [True, False])
async def test_a_folder_that_is_removed_and_made_again_is_told(agents: Path, seen: bool) -> None:
    def make() -> None:
        agents.parent.mkdir()
        agents.write_text("two")

    def edit() -> None:
        replace(agents, "three")

    async with watching(agents) as watched:
        for change in (lambda: shutil.rmtree(agents.parent), make, edit):
            await happens(watched, seen, change, agents)


@pytest.mark.parametrize("seen", [True, False])
async def test_a_folder_that_is_swapped_by_renames_is_told(agents: Path, seen: bool) -> None:
    other = agents.parent.with_name("other")
    other.mkdir()
    (other / agents.name).write_text("two")

    def swap() -> None:
        agents.parent.rename(agents.parent.with_name("old"))
        other.rename(agents.parent)

    async with watching(agents) as watched:
        await happens(watched, seen, swap, agents)
        await happens(watched, seen, lambda: replace(agents, "three"), agents)


def publish(mount: Path, version: str, text: str) -> None:
    """A ConfigMap's volume: files are links into `..data`, which is swapped by a rename."""
    content = mount / f"..{version}"
    (content / "prompts").mkdir(parents=True)
    (content / "agents.yaml").write_text(text)
    (content / "prompts" / "a.md").write_text(text)
    before = (mount / "..data").readlink() if (mount / "..data").is_symlink() else None
    (mount / "..data_tmp").symlink_to(content.name)
    (mount / "..data_tmp").replace(mount / "..data")
    for name in ("agents.yaml", "prompts"):
        if not (mount / name).is_symlink():
            (mount / name).symlink_to(f"..data/{name}")
    if before is not None:
        shutil.rmtree(mount / before)


@pytest.mark.parametrize("seen", [True, False])
async def test_each_swap_of_a_config_map_is_told(tmp_path: Path, seen: bool) -> None:
    mount = tmp_path / "mount"
    publish(mount, "v1", "one")
    files = (mount / "agents.yaml", mount / "prompts" / "a.md")
    async with watching(*files) as watched:
        for number in (2, 3, 4):
            swap = functools.partial(publish, mount, f"v{number}", f"text {number}")
            await happens(watched, seen, swap, *files)


@pytest.mark.parametrize("seen", [True, False])
async def test_the_target_of_a_link_is_watched_where_it_lies(
    tmp_path: Path, agents: Path, seen: bool
) -> None:
    link, other = tmp_path / "link.yaml", tmp_path / "other.yaml"
    link.symlink_to("config/agents.yaml")
    other.write_text("three")

    def relink() -> None:
        (tmp_path / "new").symlink_to(other)
        (tmp_path / "new").replace(link)

    async with watching(link) as watched:
        await happens(watched, seen, lambda: replace(agents, "two"), link)
        await happens(watched, seen, relink, link)
        await happens(watched, seen, lambda: replace(other, "four"), link)


async def test_links_in_a_circle_are_a_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    async with watching(path) as watched:
        await watched.told(lambda: replace(path, "one"), path)


async def test_a_new_tenant_is_told_and_then_watched(agents: Path) -> None:
    tenants = agents.parent / "tenants"
    acme, file = tenants / "acme", tenants / "acme" / "tenant.yaml"
    tenants.mkdir()
    wanted = [agents, tenants]
    async with watching(ask=lambda: wanted) as watched:
        await watched.told(acme.mkdir, acme)
        wanted.extend((acme, file))
        file.write_text("written while the reload was running")
        assert await watched.item() <= {acme, file}
        await watched.told(lambda: replace(file, "edited"), file)
        shutil.rmtree(acme)
        named: frozenset[Path] = frozenset()
        while not named >= {acme, file}:
            named |= await watched.item()


async def test_an_entry_of_a_searched_folder_is_told_when_it_comes_and_goes(tmp_path: Path) -> None:
    rows = tmp_path / "2.csv"
    async with watching(tmp_path) as watched:
        await watched.told(lambda: rows.write_text("x"), rows)
        (tmp_path / ".hidden").write_text("x")
        await watched.told(rows.unlink, rows)


async def test_a_change_between_the_reading_and_the_watching_is_told(agents: Path) -> None:
    since = await settled()
    replace(agents, "two")
    stop = asyncio.Event()
    items = watch(lambda: [agents], stop, since=since)
    assert await Watched(items).item() == {agents}
    stop.set()
    assert [item async for item in items] == []


async def test_a_file_that_is_added_and_old_is_not_told(agents: Path) -> None:
    old = agents.parent / "old.md"
    old.write_text("x")
    wanted = [agents]
    async with watching(agents, ask=lambda: wanted) as watched:
        await settled()
        replace(agents, "two")
        await watched.until(agents)
        wanted.append(old)
        replace(agents, "three")
        assert await watched.item() == {agents}


async def test_it_ends_promptly(agents: Path) -> None:
    stop = asyncio.Event()
    items = watch(lambda: [agents], stop, since=await settled())
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(anext(items, None))
        await asyncio.sleep(0)
        stop.set()
        async with asyncio.timeout(2):
            assert await waiting is None


async def test_it_can_be_cancelled(agents: Path) -> None:
    items = watch(lambda: [agents], asyncio.Event(), since=await settled())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await anext(items)
    await items.aclose()  # type: ignore[attr-defined]


@pytest.mark.parametrize("refusal", [RuntimeError("limit reached"), OSError(28, "no space left")])
async def test_without_the_kernel_it_polls(
    agents: Path, refusal: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: Any, **__: Any) -> AsyncIterator[Any]:
        WATCHING.set()
        raise refusal
        yield

    warnings: list[str] = []
    monkeypatch.setattr(module, "awatch", refuse)
    monkeypatch.setattr(module.log, "warning", lambda text, **_: warnings.append(text))
    monkeypatch.setattr(module, "_POLL", 0.05)
    async with watching(agents) as watched:
        for number in range(3):
            await watched.told(functools.partial(replace, agents, f"text {number}"), agents)
    assert warnings == ["files are looked at every second"]
