"""Changes of files, told once for each burst of them.

What the kernel tells is a hint to look, no more: what has changed is found by comparing what is
there with what was there. So nothing is missed between two watches, and atomic renames, swapped
links and folders that come and go need no case of their own.
"""

import asyncio
import contextlib
import functools
import stat
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from pathlib import Path
from typing import Final, NamedTuple, cast

import structlog
from watchfiles import Change, awatch

_DEBOUNCE_MS: Final = 200
_STEP_MS: Final = 50
_SWEEP_MS: Final = 10_000
"""How long to believe that no hint means no change; network file systems send none."""

_POLL: Final = 1.0
_CLOCK_SLACK_NS: Final = 50_000_000
"""The kernel's times of files lag its clock by a tick."""

_MOST_STEPS: Final = 1000
"""Where links lead in a circle, this ends the walk."""

log = structlog.get_logger(__name__)


_State = tuple[int, ...] | None


class _Snapshot(NamedTuple):
    """What the wanted paths are like, None for a missing one, and the entries of the folders."""

    states: dict[Path, _State]
    entries: dict[Path, frozenset[str]]
    taken_ns: int


class _Halt:
    """What the library asks, from its thread and many times a second: whether to stop watching.

    When it asks first, it is watching; what changed before that is looked for then.
    """

    def __init__(self, stop: asyncio.Event, changed_before: Callable[[], bool]) -> None:
        self._stop = stop
        self._changed_before: Callable[[], bool] | None = changed_before
        self._halted = False

    def is_set(self) -> bool:
        if self._changed_before is not None:
            look, self._changed_before = self._changed_before, None
            self._halted = self._halted or look()
        return self._halted or self._stop.is_set()

    def set(self) -> None:
        """The library calls it where its task is cancelled."""
        self._halted = True


async def watch(
    paths: Callable[[], Collection[Path]], stop: asyncio.Event, *, since: float | None = None
) -> AsyncIterator[frozenset[Path]]:
    """Which of the paths changed, each time that some did, until `stop` is set.

    `paths` is asked again after each item. A folder among them stands for its entries, which are
    named when they come or go. A path that was not among them before is named too if it changed
    after they were asked for last; `since` (unix seconds) is when this was the first time.
    """
    watcher = _Watcher(stop, since)
    while not stop.is_set():
        wanted = tuple(paths())
        changed = await asyncio.to_thread(watcher.changed, wanted)
        if not changed:
            await watcher.wait(wanted)
            changed = await asyncio.to_thread(watcher.changed, wanted)
        if changed:
            yield changed


class _Watcher:
    """Remembers what the files were like."""

    def __init__(self, stop: asyncio.Event, since: float | None) -> None:
        self._stop = stop
        self._known = _Snapshot({}, {}, time.time_ns() if since is None else int(since * 1e9))
        self._polling = False

    async def wait(self, wanted: Collection[Path]) -> None:
        """Return when something may have changed, or `stop` is set."""
        folders, names = await asyncio.to_thread(_places, wanted)
        halt = _Halt(self._stop, lambda: bool(_differences(self._known, _snapshot(wanted))))

        def concerns(_: Change, path: str) -> bool:
            place = Path(path)
            return place in names or place in folders or place.parent in names

        try:
            await _hint(folders, concerns, halt)
        except FileNotFoundError:  # a folder that went away meanwhile
            await self._pause()
        except (OSError, RuntimeError) as error:  # the library's own error is a RuntimeError
            if not self._polling:
                log.warning("files are looked at every second", reason=str(error))
            self._polling = True
            await self._pause()

    def changed(self, wanted: Collection[Path]) -> frozenset[Path]:
        """What has changed since this was called last."""
        before, self._known = self._known, _snapshot(wanted)
        return _differences(before, self._known)

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_POLL):
                await self._stop.wait()


def _snapshot(wanted: Collection[Path]) -> _Snapshot:
    snapshot = _Snapshot({}, {}, time.time_ns())
    for path in wanted:
        snapshot.states[path] = None
        with contextlib.suppress(OSError, ValueError):
            found = path.stat()
            state: _State = (found.st_dev, found.st_ino)
            if stat.S_ISDIR(found.st_mode):
                names = (entry.name for entry in path.iterdir())
                shown = frozenset(name for name in names if not name.startswith("."))
                snapshot.entries[path] = shown
            else:
                state = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
                state += (found.st_ctime_ns,)
            snapshot.states[path] = state
    return snapshot


def _differences(before: _Snapshot, now: _Snapshot) -> frozenset[Path]:
    changed = {path for path, state in now.states.items() if _differs(path, state, before)}
    for folder in now.entries.keys() & before.entries.keys():
        changed |= {folder / name for name in now.entries[folder] ^ before.entries[folder]}
    return frozenset(changed)


def _differs(path: Path, state: _State, before: _Snapshot) -> bool:
    if path in before.states:
        return state != before.states[path]
    # It was read for the first time after that snapshot: all that counts is whether since.
    return _touched_ns(path) > before.taken_ns - _CLOCK_SLACK_NS


def _touched_ns(path: Path) -> int:
    """When the path last began to lead to what it leads to now, or that was written."""
    newest = 0
    with contextlib.suppress(OSError, RuntimeError, ValueError):
        for way in (path.absolute(), path.resolve()):
            newest = max(newest, way.stat().st_ctime_ns, *map(_moved_ns, (way, *way.parents)))
        return newest
    existing = next((folder for folder in path.absolute().parents if folder.is_dir()), None)
    return existing.stat().st_ctime_ns if existing else 0


def _moved_ns(path: Path) -> int:
    """When this got its name. A folder in which entries came and went since does not tell."""
    found = path.lstat()
    unmoved = stat.S_ISDIR(found.st_mode) and found.st_ctime_ns == found.st_mtime_ns
    return 0 if unmoved else found.st_ctime_ns


def _places(wanted: Collection[Path]) -> tuple[frozenset[Path], frozenset[Path]]:
    """The folders to watch, and the names in them that decide what the wanted paths are."""
    link = functools.cache(_link)
    names = frozenset(name for path in wanted for name in _names(path, link))
    searched = {name for name in names if link(name) is None and name.is_dir()}
    return frozenset(searched.union(name.parent for name in names)), names


def _names(path: Path, link: Callable[[Path], Path | None]) -> Iterator[Path]:
    """Each link on the way to where the path leads, and there its own name; or the first name that
    is missing on the way."""
    here = Path("/")
    rest = list(reversed(path.absolute().parts))
    for _ in range(_MOST_STEPS):
        if not rest:
            return
        part = rest.pop()
        name = here.parent if part == ".." else here / part
        target = None if part in ("..", "/") else link(name)
        if target is not None:
            yield name
            rest.extend(reversed(target.parts))
        elif rest and name.is_dir():
            here = name
        else:
            yield name
            return


def _link(name: Path) -> Path | None:
    """Where a symbolic link points to, None for anything else."""
    try:
        return name.readlink()
    except (OSError, ValueError):
        return None


async def _hint(
    folders: Collection[Path], concerns: Callable[[Change, str], bool], halt: _Halt
) -> None:
    hints = awatch(
        *folders,
        watch_filter=concerns,
        debounce=_DEBOUNCE_MS,
        step=_STEP_MS,
        stop_event=cast("asyncio.Event", halt),  # it is only ever asked `is_set` and told `set`
        rust_timeout=_SWEEP_MS,
        yield_on_timeout=True,
        recursive=False,
    )
    async with contextlib.aclosing(hints):
        async for _ in hints:
            return
