"""Which configuration a service with these files and this data directory would serve."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sipagent.config.loader import Loaded
from sipagent.config.reload.apart import read_version
from sipagent.config.reload.stored import Origin, Trouble, Versions
from sipagent.config.reload.versions import VersionShelf
from sipagent.errors import Finding


@dataclass(frozen=True, slots=True)
class InForce:
    """`findings` are what is wrong with the files; those of some tenants, or all of them, are then
    not what is in force. `troubles` are what is wrong with the data directory."""

    loaded: Loaded
    origin: Origin = Origin.FILES
    findings: tuple[Finding, ...] = ()
    troubles: tuple[Trouble, ...] = ()


def in_force(path: Path, store: VersionShelf) -> InForce:
    """What a service that starts now would serve, found as it finds it; nothing is stored.

    Raises ConfigError where there is nothing. A data directory that cannot be read counts as empty.
    """
    troubles: list[Trouble] = []
    chosen = _versions(path, store, troubles.append).first()
    loaded = chosen.version.loaded
    stale = (one for found in loaded.stale.values() for one in found)
    return InForce(loaded, chosen.origin, (*chosen.findings, *stale), tuple(troubles))


def fingerprint_of(path: Path, store: VersionShelf) -> str:
    """The fingerprint of the files as a service reads them now: a pin holds for these.

    Raises ConfigError: in place of files that cannot be used the last good version is served.
    """
    return _versions(path, store, lambda _: None).of_files().bundle.fingerprint


def read_files(path: Path) -> Loaded:
    """The configuration that exactly these files hold. Raises ConfigError."""
    return read_version(path, None).loaded


def _versions(path: Path, store: VersionShelf, tell: Callable[[Trouble], None]) -> Versions:
    return Versions(path, store, keeps=False, tell=tell)
