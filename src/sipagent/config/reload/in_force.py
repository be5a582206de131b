"""Which configuration a service with these files and this data directory would serve."""

from dataclasses import dataclass
from pathlib import Path

from sipagent.config.loader import Loaded
from sipagent.config.reload.apart import read_bundle, read_version
from sipagent.config.reload.live import Origin
from sipagent.config.reload.versions import VersionStore
from sipagent.config.sources import Bundle
from sipagent.errors import ConfigError, Finding, StoreError


@dataclass(frozen=True, slots=True)
class InForce:
    """`findings` are what is wrong with the files; those of some tenants, or all of them, are then
    not what is in force."""

    loaded: Loaded
    origin: Origin = Origin.FILES
    findings: tuple[Finding, ...] = ()


def in_force(path: Path, store: VersionStore) -> InForce:
    """What a service that starts now would serve. Raises ConfigError where there is nothing; a data
    directory that cannot be read counts as empty."""
    last = _last(store)
    try:
        version = read_version(path, last)
    except ConfigError as error:
        if last is None:
            raise
        return InForce(read_bundle(last), Origin.STORED, error.findings)
    pinned = _pinned(store, version.bundle.fingerprint)
    if pinned is not None:
        return InForce(pinned, Origin.ROLLBACK)
    stale = version.loaded.stale.values()
    return InForce(version.loaded, findings=tuple(one for found in stale for one in found))


def fingerprint_of(path: Path, store: VersionStore) -> str:
    """The fingerprint of the files as a service reads them now: a pin holds for these.

    Raises ConfigError: in place of files that cannot be used the last good version is served.
    """
    return read_version(path, _last(store)).bundle.fingerprint


def read_files(path: Path) -> Loaded:
    """The configuration that exactly these files hold. Raises ConfigError."""
    return read_version(path, None).loaded


def _last(store: VersionStore) -> Bundle | None:
    try:
        kept = store.last()
    except StoreError:
        return None
    return None if kept is None else kept[1]


def _pinned(store: VersionStore, fingerprint: str) -> Loaded | None:
    try:
        pin = store.pinned()
        kept = None if pin is None or pin.overrides != fingerprint else store.get(pin.hash)
        return None if kept is None else read_bundle(kept[1])
    except (StoreError, ConfigError):
        return None
