"""Reading the files of one version, each tenant's apart: a broken file of a tenant's holds up
nobody else, and that tenant goes on with the last files that were good."""

import gc
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple

from sipagent.config.loader import Loaded, load
from sipagent.config.sources import Bundle, BundleSource, DiskSource, Source
from sipagent.config.textfile import Unreadable
from sipagent.errors import ConfigError, Finding
from sipagent.model import TenantName

_YAML: Final = frozenset((".yaml", ".yml"))
_OF_TENANT: Final = re.compile(r"""^[{\s]*["']?tenant["']?\s*:""", re.MULTILINE)

AtFault = Mapping[TenantName, tuple[Finding, ...]]
"""What is wrong with each tenant's own files."""


class Version(NamedTuple):
    """A usable configuration, the texts that it was made from, and what to watch for changes."""

    loaded: Loaded
    bundle: Bundle
    watched: tuple[Path, ...]


def read_version(
    path: Path,
    last_good: Bundle | None,
    environment: Mapping[str, str] | None = None,
    *,
    disk: DiskSource | None = None,
) -> Version:
    """The version that the files hold now. Raises ConfigError; blocks on the disk.

    Where only tenants' own files are wrong, theirs are taken from the last good version. `disk` is
    a source that nobody has read from; it knows afterwards what to watch, also after an error.
    """
    disk = disk or DiskSource(path.parent)
    try:
        loaded = _load(path, disk, environment)
    except ConfigError as error:
        if last_good is None:
            raise
        stored = replace(last_good, root=str(path.parent))
        at_fault = _at_fault(error.findings, disk.bundle(path), stored)
        if not at_fault:
            raise
        return _with_last_good(path, disk, stored, at_fault, error, environment)
    return Version(loaded, disk.bundle(path), _watched(disk, loaded))


def read_bundle(bundle: Bundle, environment: Mapping[str, str] | None = None) -> Loaded:
    """The version that was stored. Raises ConfigError, as a newer release may see it otherwise."""
    return _load(bundle.main_path, BundleSource(bundle), environment)


@dataclass(frozen=True, slots=True)
class Overlay:
    """The disk's files, but for those folders whose files are a stored version's."""

    disk: Source
    stored: Source
    folders: Sequence[Path]

    def text(self, path: Path, limit: int) -> str | Unreadable:
        return self._of(path).text(path, limit)

    def matching(self, base: Path, pattern: str) -> list[Path]:
        present = [path for path in self.disk.matching(base, pattern) if not self._stored(path)]
        stored = [path for path in self.stored.matching(base, pattern) if self._stored(path)]
        return sorted({*present, *stored})

    def resolve(self, path: Path) -> Path:
        return self._of(path).resolve(path)

    @property
    def escaped(self) -> tuple[Path, ...]:
        return tuple(path for path in self.disk.escaped if not self._stored(path))

    def _of(self, path: Path) -> Source:
        return self.stored if self._stored(path) else self.disk

    def _stored(self, path: Path) -> bool:
        return any(path.is_relative_to(folder) for folder in self.folders)


def _load(path: Path, source: Source, environment: Mapping[str, str] | None) -> Loaded:
    with undisturbed():
        return load(path, source=source, environment=environment)


def _with_last_good(
    path: Path,
    disk: DiskSource,
    stored: Bundle,
    at_fault: AtFault,
    error: ConfigError,
    environment: Mapping[str, str] | None,
) -> Version:
    found = _folders(disk.bundle(path), stored)
    folders = [folder for tenant in at_fault for folder in found.get(tenant, ())]
    try:
        loaded = _load(path, Overlay(disk, BundleSource(stored), folders), environment)
    except ConfigError:
        raise error from None  # the files as they are now are what somebody can repair
    bundle = _merged(disk.bundle(path), stored, folders)
    return Version(replace(loaded, stale=at_fault), bundle, _watched(disk, loaded))


def _merged(present: Bundle, stored: Bundle, folders: Sequence[Path]) -> Bundle:
    root = Path(present.root)

    def within(name: str) -> bool:
        return any((root / name).is_relative_to(folder) for folder in folders)

    def chosen(ours: Mapping[str, str], theirs: Mapping[str, str]) -> dict[str, str]:
        return {name: text for name, text in ours.items() if not within(name)} | {
            name: text for name, text in theirs.items() if within(name)
        }

    return replace(
        present,
        files=chosen(present.files, stored.files),
        links=chosen(present.links, stored.links),
    )


def _at_fault(findings: tuple[Finding, ...], present: Bundle, stored: Bundle) -> AtFault:
    """The tenants whose own files may be all that is wrong: those that findings name, and those
    whose file has gone, as others' files may speak of what stood in it."""
    found: dict[TenantName, tuple[Finding, ...]] = {}
    for finding in findings:
        if finding.tenant is not None:
            tenant = TenantName(finding.tenant)
            found[tenant] = (*found.get(tenant, ()), finding)
    for name in sorted(stored.files.keys() - present.files.keys()):
        path = Path(stored.root) / name
        tenant = TenantName(path.parent.name)
        if path.suffix in _YAML and _OF_TENANT.search(stored.files[name]) and tenant not in found:
            gone = "the tenant's file is gone or cannot be read"
            found[tenant] = (Finding(str(path), 1, 1, "", gone, tenant=tenant),)
    return found


def _folders(*bundles: Bundle) -> dict[TenantName, set[Path]]:
    """Where each tenant's files lie: a tenant's file lies in a folder that has its name."""
    folders: dict[TenantName, set[Path]] = {}
    for bundle in bundles:
        for name in bundle.files:
            path = Path(bundle.root) / name
            if path.suffix in _YAML and name != bundle.main:
                folders.setdefault(TenantName(path.parent.name), set()).add(path.parent)
    return folders


def _watched(disk: DiskSource, loaded: Loaded) -> tuple[Path, ...]:
    return tuple(dict.fromkeys((*disk.watched, *loaded.files)))


@contextmanager
def undisturbed() -> Iterator[None]:
    """No collection of garbage while a version is made or compared.

    A large version is some hundred thousand objects that all stay; to look at them would hold up
    every thread for tens of milliseconds, again and again.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            # Everything new counts as old now, without being looked at. Were it left frozen, what
            # calls leave in cycles would never be freed.
            gc.freeze()
            gc.unfreeze()
            gc.enable()
