"""Reading the files of one version, each tenant's apart: a broken file of a tenant's holds up
nobody else, and that tenant goes on with the last files that were good."""

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from sipagent.config.loader import Loaded, load
from sipagent.config.sources import Bundle, BundleSource, DiskSource, Source
from sipagent.config.textfile import Unreadable
from sipagent.errors import ConfigError, Finding
from sipagent.model import TenantName


class Version(NamedTuple):
    """A usable configuration, the texts that it was made from, and what to watch for changes."""

    loaded: Loaded
    bundle: Bundle
    watched: tuple[Path, ...]


def read_version(
    path: Path, last_good: Bundle | None, environment: Mapping[str, str] | None = None
) -> Version:
    """The version that the files hold now. Raises ConfigError; blocks on the disk.

    Where only tenants' own files are wrong, theirs are taken from the last good version.
    """
    disk = DiskSource(path.parent)
    try:
        with _undisturbed():
            loaded = load(path, source=disk, environment=environment)
    except ConfigError as error:
        broken = _tenants_at_fault(error.findings)
        if broken is None or last_good is None:
            raise
        return _with_last_good(path, disk, last_good, broken, error, environment)
    return Version(loaded, disk.bundle(path), _watched(disk, loaded))


def read_bundle(bundle: Bundle, environment: Mapping[str, str] | None = None) -> Loaded:
    """The version that was stored. Raises ConfigError, as a newer release may see it otherwise."""
    with _undisturbed():
        return load(bundle.main_path, source=BundleSource(bundle), environment=environment)


def watched_after(error: ConfigError, path: Path) -> tuple[Path, ...]:
    """What to watch where nothing could be loaded: the files that are wrong, and their folders."""
    files = {Path(finding.file) for finding in error.findings} | {path}
    return tuple(sorted(files | {file.parent for file in files}))


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
        return self.disk.escaped

    def _of(self, path: Path) -> Source:
        return self.stored if self._stored(path) else self.disk

    def _stored(self, path: Path) -> bool:
        return any(path.is_relative_to(folder) for folder in self.folders)


def _with_last_good(
    path: Path,
    disk: DiskSource,
    last_good: Bundle,
    broken: Mapping[TenantName, tuple[Finding, ...]],
    error: ConfigError,
    environment: Mapping[str, str] | None,
) -> Version:
    folders = [folder for tenant in broken for folder in _folders(tenant, broken[tenant])]
    stored = replace(last_good, root=str(path.parent))
    try:
        with _undisturbed():
            source = Overlay(disk, BundleSource(stored), folders)
            loaded = load(path, source=source, environment=environment)
    except ConfigError:
        raise error from None  # the files as they are now are what somebody can repair
    bundle = _merged(disk.bundle(path), stored, folders)
    return Version(replace(loaded, stale=broken), bundle, _watched(disk, loaded))


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


def _tenants_at_fault(
    findings: tuple[Finding, ...],
) -> dict[TenantName, tuple[Finding, ...]] | None:
    """The findings of each tenant; None if the operator's files are wrong as well."""
    found: dict[TenantName, tuple[Finding, ...]] = {}
    for finding in findings:
        if finding.tenant is None:
            return None
        tenant = TenantName(finding.tenant)
        found[tenant] = (*found.get(tenant, ()), finding)
    return found


def _folders(tenant: TenantName, findings: tuple[Finding, ...]) -> set[Path]:
    """The tenant's folders: a tenant's file lies in a folder that has the tenant's name."""
    return {
        folder
        for finding in findings
        for folder in Path(finding.file).parents
        if folder.name == tenant
    }


def _watched(disk: DiskSource, loaded: Loaded) -> tuple[Path, ...]:
    return tuple(dict.fromkeys((*disk.watched, *loaded.files)))


@contextmanager
def _undisturbed() -> Iterator[None]:
    """No collection of garbage while a version is made, and none of the version afterwards.

    A large version is some hundred thousand objects that all stay; to look at them would hold up
    every thread for tens of milliseconds, again and again.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.freeze()
            gc.enable()
