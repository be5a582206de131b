"""Changes of real files: every way in which they are replaced is told, and nothing else."""

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sipagent.config import watch as module
from sipagent.config.watch import watch

DEADLINE = 30


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


@pytest.fixture
def agents(tmp_path: Path) -> Path:
    path = tmp_path / "config" / "agents.yaml"
    path.parent.mkdir()
    path.write_text("one")
    return path


async def test_every_atomic_replacement_is_told(agents: Path) -> None:
    async with watching(agents) as watched:
        for number in range(3):
            replace(agents, f"text {number}")
            await watched.until(agents)


async def test_a_write_in_place_and_a_new_permission_are_told(agents: Path) -> None:
    async with watching(agents) as watched:
        agents.write_text("two")
        await watched.until(agents)
        agents.chmod(0o640)
        await watched.until(agents)


async def test_what_else_happens_in_the_folder_is_not_told(agents: Path) -> None:
    async with watching(agents) as watched:
        for number in range(20):
            (agents.parent / f"other-{number}").write_text("x")
        replace(agents, "two")
        assert await watched.item() == {agents}


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


async def test_a_file_that_goes_and_comes_back_is_told_twice(agents: Path) -> None:
    async with watching(agents) as watched:
        agents.unlink()
        await watched.until(agents)
        agents.write_text("two")
        await watched.until(agents)


async def test_a_folder_that_is_removed_and_made_again_is_told(agents: Path) -> None:
    async with watching(agents) as watched:
        shutil.rmtree(agents.parent)
        await watched.until(agents)
        agents.parent.mkdir()
        agents.write_text("two")
        await watched.until(agents)
        replace(agents, "three")
        await watched.until(agents)


async def test_a_folder_that_is_swapped_by_renames_is_told(agents: Path) -> None:
    other = agents.parent.with_name("other")
    other.mkdir()
    (other / agents.name).write_text("two")
    async with watching(agents) as watched:
        agents.parent.rename(agents.parent.with_name("old"))
        other.rename(agents.parent)
        await watched.until(agents)
        replace(agents, "three")
        await watched.until(agents)


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


async def test_each_swap_of_a_config_map_is_told(tmp_path: Path) -> None:
    mount = tmp_path / "mount"
    publish(mount, "v1", "one")
    prompt = mount / "prompts" / "a.md"
    async with watching(mount / "agents.yaml", prompt) as watched:
        for number in (2, 3, 4):
            publish(mount, f"v{number}", f"text {number}")
            await watched.until(mount / "agents.yaml", prompt)


async def test_the_target_of_a_link_is_watched_where_it_lies(tmp_path: Path, agents: Path) -> None:
    link = tmp_path / "link.yaml"
    link.symlink_to("config/agents.yaml")
    async with watching(link) as watched:
        replace(agents, "two")
        await watched.until(link)
        other = tmp_path / "other.yaml"
        other.write_text("three")
        link.unlink()
        link.symlink_to(other)
        await watched.until(link)
        replace(other, "four")
        await watched.until(link)


async def test_links_in_a_circle_are_a_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    async with watching(path) as watched:
        path.unlink()
        path.write_text("one")
        await watched.until(path)


async def test_a_new_tenant_is_told_and_then_watched(agents: Path) -> None:
    tenants = agents.parent / "tenants"
    tenants.mkdir()
    wanted = [agents, tenants]
    async with watching(agents, tenants, ask=lambda: wanted) as watched:
        acme = tenants / "acme"
        acme.mkdir()
        await watched.until(acme)
        (acme / "tenant.yaml").write_text("written while the reload was running")
        wanted.extend((acme, acme / "tenant.yaml"))
        assert acme / "tenant.yaml" in await watched.item()
        replace(acme / "tenant.yaml", "edited")
        while await watched.item() != {acme / "tenant.yaml"}:  # the folder once, as it is new
            pass
        shutil.rmtree(acme)
        named: frozenset[Path] = frozenset()
        while not named >= {acme, acme / "tenant.yaml"}:
            named |= await watched.item()


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
        raise refusal
        yield

    warnings: list[str] = []
    monkeypatch.setattr(module, "awatch", refuse)
    monkeypatch.setattr(module.log, "warning", lambda text, **_: warnings.append(text))
    monkeypatch.setattr(module, "_POLL", 0.05)
    async with watching(agents) as watched:
        for number in range(3):
            replace(agents, f"text {number}")
            await watched.until(agents)
    assert warnings == ["files are looked at every second"]


async def test_a_folder_that_may_not_be_entered_is_polled(agents: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may enter every folder")
    agents.parent.chmod(0)
    async with watching(agents) as watched:
        agents.parent.chmod(0o700)
        await watched.until(agents)
