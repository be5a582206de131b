"""Where a configuration is read from: the disk, or a bundle of texts that was kept earlier.

A source gives each file once: who asks again gets the same text, so that one reading is of one
state of the files. Secrets are never read through a source: a bundle is written to the disk.
"""

import contextlib
import fnmatch
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Protocol

from sipagent.config.textfile import Unreadable, read_text_file

_FORMAT: Final = 1
_WILD: Final = frozenset("*?[")


class Source(Protocol):
    """Files by their paths, wherever they are kept."""

    def text(self, path: Path, limit: int) -> str | Unreadable:
        """The text of a file of at most `limit` bytes, or why it cannot be had."""
        ...

    def matching(self, base: Path, pattern: str) -> list[Path]:
        """The paths below `base` that match, sorted; see `pattern_problem`.

        Symbolic links are followed. What lies outside of `base` is left out and listed in
        `escaped`. A name that begins with a dot matches only where it is written out.
        """
        ...

    def resolve(self, path: Path) -> Path:
        """Where the file lies, symbolic links followed. Raises OSError, RuntimeError or ValueError
        where nothing can lie there."""
        ...

    @property
    def escaped(self) -> tuple[Path, ...]:
        """What matched a pattern and was left out, as it lies outside of its base."""
        ...


def pattern_problem(pattern: str) -> str | None:
    """Why a pattern cannot be used, or None. Its parts are names or use `*`, `?` and `[...]`."""
    parts = pattern.split("/")
    if pattern.startswith("/") or ".." in parts:
        return "leads out of its folder"
    if "\0" in pattern or "" in parts or "." in parts:
        return "is not a path of names and `*`"
    if any("**" in part for part in parts):
        return "has `**`; write one `*` for each level"
    return None


@dataclass(frozen=True, slots=True)
class Bundle:
    """All texts that a configuration was made from. `root` is the folder of the main file.

    `files` has the path relative to the root, or the absolute one of a file that lies elsewhere;
    `links` has what differs by symbolic links from the path that is written: where it lay.
    """

    root: str
    main: str
    files: Mapping[str, str]
    links: Mapping[str, str] = field(default_factory=dict)

    @property
    def main_path(self) -> Path:
        """The main file's path, as the loader takes it."""
        return Path(self.root) / self.main

    @property
    def fingerprint(self) -> str:
        """Changes when the name or the text of any file changes; not by where they lie."""
        content = [self.main, sorted(self.files.items())]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def to_json(self) -> bytes:
        """The same bytes for an equal bundle."""
        content = {
            "format": _FORMAT,
            "root": self.root,
            "main": self.main,
            "files": dict(self.files),
            "links": dict(self.links),
        }
        return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, raw: bytes) -> "Bundle":
        """The bundle that `to_json` wrote. Raises ValueError for anything else."""
        try:
            content = json.loads(raw)
        except RecursionError:
            raise ValueError("is nested too deeply") from None
        if not isinstance(content, dict) or content.get("format") != _FORMAT:
            raise ValueError("is not a bundle of this format")
        begin = _texts({name: content.get(name) for name in ("root", "main")})
        files, links = _texts(content.get("files")), _texts(content.get("links"))
        return cls(begin["root"], begin["main"], files, links)


def _texts(value: Any) -> Mapping[str, str]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise ValueError("has something else than texts")
    return MappingProxyType(value)


def _key(root: Path, path: Path) -> str:
    """How a bundle names the path. `..` stays: what it means depends on links."""
    path = path.absolute()
    if path.is_relative_to(root.absolute()):
        path = path.relative_to(root.absolute())
    return path.as_posix()


class DiskSource:
    """Reads from the disk, and remembers all of it. `root` is the folder of the main file."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._texts: dict[Path, str] = {}
        self._links: dict[str, str] = {}
        self._asked: dict[Path, None] = {}
        self._escaped: dict[Path, None] = {}

    @property
    def escaped(self) -> tuple[Path, ...]:
        return tuple(self._escaped)

    @property
    def watched(self) -> tuple[Path, ...]:
        """Every file that was asked for, also where it was missing, and every folder that was
        searched: a change in any of these may change what is read."""
        return tuple(self._asked)

    def text(self, path: Path, limit: int) -> str | Unreadable:
        self._asked[path] = None
        if path in self._texts:
            return _at_most(self._texts[path], limit)
        text = read_text_file(path, limit)
        if isinstance(text, str):
            self._texts[path] = text
            self._remember_link(path)
        return text

    def matching(self, base: Path, pattern: str) -> list[Path]:
        if pattern_problem(pattern):
            return []
        found = [base]
        for part in pattern.split("/"):
            found = [path for folder in found for path in self._entries(folder, part)]
        inside = []
        for path in found:
            if self._is_inside(path, base):
                inside.append(path)
            else:
                self._escaped[path] = None
        return sorted(inside)

    def resolve(self, path: Path) -> Path:
        resolved = path.resolve()
        if str(resolved) != os.path.normpath(path.absolute()):
            self._links[_key(self._root, path)] = str(resolved)
        return resolved

    def bundle(self, main: Path) -> Bundle:
        """All texts that were given so far."""
        self._remember_link(self._root)
        files = {_key(self._root, path): text for path, text in self._texts.items()}
        return Bundle(
            str(self._root),
            _key(self._root, main),
            MappingProxyType(files),
            MappingProxyType(dict(self._links)),
        )

    def _entries(self, folder: Path, part: str) -> Iterator[Path]:
        self._asked[folder] = None
        if not _WILD & set(part):
            if os.path.lexists(folder / part):
                yield folder / part
            return
        try:
            names = sorted(path.name for path in folder.iterdir())
        except OSError:  # no folder, as it seems; a part of the pattern may as well match a file
            return
        yield from (folder / name for name in names if _matches(name, part))

    def _is_inside(self, path: Path, base: Path) -> bool:
        try:
            return self.resolve(path).is_relative_to(self.resolve(base))
        except (OSError, RuntimeError, ValueError):
            return False

    def _remember_link(self, path: Path) -> None:
        with contextlib.suppress(OSError, RuntimeError, ValueError):
            self.resolve(path)


class BundleSource:
    """Reads from a bundle only; the disk is not looked at."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._root = Path(bundle.root)
        self._paths = tuple(self._root / name for name in bundle.files)

    @property
    def escaped(self) -> tuple[Path, ...]:
        return ()

    def text(self, path: Path, limit: int) -> str | Unreadable:
        text = self._bundle.files.get(_key(self._root, path))
        return Unreadable("does not exist") if text is None else _at_most(text, limit)

    def matching(self, base: Path, pattern: str) -> list[Path]:
        if pattern_problem(pattern):
            return []
        parts = pattern.split("/")
        return sorted(set(_below(base, self._paths, parts)))

    def resolve(self, path: Path) -> Path:
        """Where the path led when the bundle was made; of others, by their words alone."""
        led_to = self._bundle.links.get(_key(self._root, path))
        return Path(led_to or os.path.normpath(path.absolute()))


def _below(base: Path, paths: Iterable[Path], parts: list[str]) -> Iterator[Path]:
    """The paths, or folders of paths, that match below the base."""
    start = base.absolute()
    for path in paths:
        if not path.absolute().is_relative_to(start):
            continue
        steps = path.absolute().relative_to(start).parts[: len(parts)]
        if len(steps) == len(parts) and all(map(_matches, steps, parts)):
            yield base.joinpath(*steps)


def _matches(name: str, part: str) -> bool:
    if not _WILD & set(part):
        return name == part
    return not name.startswith(".") and fnmatch.fnmatchcase(name, part)


def _at_most(text: str, limit: int) -> str | Unreadable:
    if len(text.encode("utf-8", "surrogatepass")) > limit:
        return Unreadable(f"is larger than {limit // 1024:,} KiB")
    return text
