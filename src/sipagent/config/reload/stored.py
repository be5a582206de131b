"""Which version is in force: that of the files, one that is pinned over them, or the last good one.

The service and the commands that say what it would serve ask here, and so get the same answer.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from sipagent.config.findings import without_numbers
from sipagent.config.reload.apart import Version, read_bundle, read_version
from sipagent.config.reload.versions import Pin, VersionShelf
from sipagent.config.sources import Bundle, DiskSource
from sipagent.config.textfile import read_text_file
from sipagent.errors import ConfigError, Finding, StoreError

log = structlog.get_logger(__name__)

_MOST_READINGS: Final = 3
"""How often files are read again that change while they are read."""


class Origin(StrEnum):
    """Where the version in force is from."""

    FILES = "files"
    STORED = "stored"
    ROLLBACK = "rollback"


class Trouble(NamedTuple):
    """What else is wrong while calls are taken; `part` and `code` are for machines."""

    part: str
    code: str
    detail: str


class Chosen(NamedTuple):
    """The version that is in force, and what is wrong with the files if it is not theirs."""

    version: Version
    origin: Origin
    findings: tuple[Finding, ...] = ()


_EVENTS: Final[Mapping[str, str]] = {
    "not-stored": "version not stored",
    "pin-unreadable": "pin unreadable",
    "rollback-impossible": "rollback impossible",
    "unusable": "stored version unusable",
    "unreadable": "stored versions unreadable",
}


def _log(trouble: Trouble) -> None:
    write = log.error if trouble.code == "rollback-impossible" else log.warning
    write(_EVENTS[trouble.code], reason=trouble.detail)


class Versions:
    """The versions of one main file: the files', and those of a `store` that survive the process.

    Where `keeps`, each good version of the files is stored. What is wrong with the store is told to
    `tell` when it is found. Its methods block on the disk.
    """

    def __init__(
        self,
        path: Path,
        store: VersionShelf | None,
        environment: Mapping[str, str] | None = None,
        *,
        keeps: bool = True,
        tell: Callable[[Trouble], None] = _log,
    ) -> None:
        self._path = path
        self._store = store
        self._environment = environment
        self._keeps = keeps
        self._tell = tell
        self._good: Bundle | None = None
        self._of_good: tuple[Path, ...] = ()
        self._kept: str | None = None
        self._pin: Pin | None = None
        self.watched: tuple[Path, ...] = (path,)
        """The files and folders that the last reading asked for."""
        self.troubles: tuple[Trouble, ...] = ()
        """What is wrong with the store, as far as it shows in a status."""

    def first(self) -> Chosen:
        """What a process begins with. Raises ConfigError where there is nothing at all."""
        self._good = self._last_kept()
        version, findings = self._read()
        if version is not None:
            return self._chosen(version)
        stored = self._rolled_back() or self._last_good()
        if stored is None:
            raise ConfigError(findings)
        return stored._replace(findings=findings)

    def next(self, before: Chosen) -> Chosen:
        """What is in force after `before`, by what the files and the pin are now."""
        version, findings = self._read()
        return before._replace(findings=findings) if version is None else self._chosen(version)

    def pin_changed(self) -> bool:
        """Whether the pin is another one than when a version was last chosen."""
        return self._pin_now() != self._pin

    def of_files(self) -> Version:
        """The version of the files, whatever is pinned over them. Raises ConfigError."""
        self._good = self._last_kept()
        version, findings = self._read()
        if version is None:
            raise ConfigError(findings)
        return version

    def _read(self) -> tuple[Version | None, tuple[Finding, ...]]:
        """What the files hold now, or what is wrong with them."""
        disk = DiskSource(self._path.parent)
        version, findings = self._read_once(disk)
        for _ in range(_MOST_READINGS - 1):
            if _is_settled(disk.bundle(self._path)):
                break
            disk = DiskSource(self._path.parent)
            version, findings = self._read_once(disk)
        if version is not None:
            self._of_good = version.watched
        self.watched = tuple(dict.fromkeys((*disk.watched, *self._of_good)))
        return version, findings

    def _read_once(self, disk: DiskSource) -> tuple[Version | None, tuple[Finding, ...]]:
        try:
            return read_version(self._path, self._good, self._environment, disk=disk), ()
        except ConfigError as error:
            return None, error.findings
        except Exception as error:  # the crash boundary of reading: calls go on as they are
            log.exception("reading the configuration crashed", error=type(error).__name__)
            reason = f"cannot be read: internal error ({type(error).__name__})"
            return None, (Finding(str(self._path), 1, 1, "", reason),)

    def _chosen(self, version: Version) -> Chosen:
        """The files' version, unless another one is pinned over exactly these files."""
        self._good = version.bundle
        self.troubles = ()
        pinned = self._pinned(version.bundle.fingerprint)
        if pinned is not None:
            return Chosen(pinned, Origin.ROLLBACK)
        if self._keeps:
            self._keep(version)
        return Chosen(version, Origin.FILES)

    def _keep(self, version: Version) -> None:
        """Store the version for a start on broken files, or say what prevents it."""
        fingerprint = version.bundle.fingerprint
        if self._store is None or self._kept == fingerprint:
            return
        try:
            self._store.keep(version.loaded.table.config_hash, version.bundle)
        except StoreError as error:
            self._show(Trouble("data", "not-stored", str(error)))
        else:
            self._kept = fingerprint

    def _show(self, trouble: Trouble) -> None:
        self.troubles += (trouble,)
        self._tell(trouble)

    def _pin_now(self) -> Pin | None:
        """The pin, or the one that was there where it cannot be read. Never raises."""
        try:
            return None if self._store is None else self._store.pinned()
        except StoreError as error:
            self._tell(Trouble("data", "pin-unreadable", str(error)))
            return self._pin

    def _pinned(self, fingerprint: str) -> Version | None:
        """The version that a rollback asks for, for as long as the files stay as they are."""
        self._pin = self._pin_now()
        if self._pin is None or self._pin.overrides != fingerprint:
            return None
        version, reason = self._stored_version(self._pin.hash)
        if version is None:
            detail = f"version {self._pin.hash} cannot be had back: {reason}"
            self._show(Trouble("data", "rollback-impossible", detail))
        return version

    def _rolled_back(self) -> Chosen | None:
        """The version of a rollback that is newer than every version that was kept."""
        self._pin = pin = self._pin_now()
        try:
            kept = () if self._store is None else self._store.all()
        except StoreError:
            return None  # told where the last good version was looked for
        if pin is None or any(version.at > pin.at for version in kept):
            return None
        version, _ = self._stored_version(pin.hash)
        return None if version is None else Chosen(version, Origin.ROLLBACK)

    def _stored_version(self, hash_: str) -> tuple[Version | None, str]:
        assert self._store is not None
        try:
            kept = self._store.get(hash_)
            if kept is None or not self._is_of_this_file(kept[1]):
                return None, "there is none of this main file, or it is damaged"
            return Version(read_bundle(kept[1], self._environment), kept[1], ()), ""
        except (StoreError, ConfigError) as error:
            return None, without_numbers(str(error))

    def _last_kept(self) -> Bundle | None:
        """The newest version that can be read, if it was made from this main file."""
        try:
            kept = None if self._store is None else self._store.last()
        except StoreError as error:
            self._tell(Trouble("data", "unreadable", str(error)))
            return None
        return kept[1] if kept is not None and self._is_of_this_file(kept[1]) else None

    def _is_of_this_file(self, bundle: Bundle) -> bool:
        return bundle.main_path.absolute() == self._path.absolute()

    def _last_good(self) -> Chosen | None:
        if self._good is None:
            return None
        try:
            loaded = read_bundle(self._good, self._environment)
        except ConfigError as error:
            self._tell(Trouble("data", "unusable", without_numbers(str(error))))
            return None
        return Chosen(Version(loaded, self._good, ()), Origin.STORED)


def _is_settled(read: Bundle) -> bool:
    """Whether the files still hold what was read: all of it is then of one moment."""
    return all(
        read_text_file(Path(read.root) / name, len(text.encode("utf-8", "surrogatepass")) + 3)
        == text
        for name, text in read.files.items()
    )
