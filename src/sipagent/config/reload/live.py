"""The configuration in force, and how it changes while calls are held.

Files are validated first and swapped whole: a call sees one version or the next one, never half
of each. What cannot be used changes nothing and is told. A process that starts on broken files
serves the last version that was good.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import structlog

from sipagent.concurrency import finish
from sipagent.config.loader import Loaded
from sipagent.config.reload.apart import Version, read_bundle, read_version, undisturbed
from sipagent.config.reload.orders import OrderFile
from sipagent.config.reload.versions import Pin, VersionStore
from sipagent.config.sources import Bundle, DiskSource
from sipagent.config.textfile import read_text_file
from sipagent.errors import ConfigError, Finding, SecretError, StoreError
from sipagent.model import TenantName, TrunkName
from sipagent.routing import Controls, RoutingTable

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


@dataclass(frozen=True, slots=True)
class Status:
    """What is in force, and what is wrong with the files if they are not: `findings`.

    `since` is in unix seconds. `stale` are tenants whose own files are wrong and that go on with
    their last good ones.
    """

    config_hash: str
    origin: Origin
    since: float
    findings: tuple[Finding, ...] = ()
    stale: Mapping[TenantName, tuple[Finding, ...]] = field(default_factory=dict)
    troubles: tuple[Trouble, ...] = ()

    @property
    def is_current(self) -> bool:
        """Whether the files are what is in force, all of them."""
        return self.origin is Origin.FILES and not self.findings and not self.stale


class Observer(Protocol):
    """Who wants to know of changes. It is told in the event loop, and must be quick."""

    def swapped(self, changes: Sequence[str]) -> None:
        """Another version is in force; `changes` says for a log what is different."""

    def tried(self, status: Status) -> None:
        """The files have been read again."""


class _Beside(NamedTuple):
    """What is read live beside the version."""

    secrets: Mapping[TrunkName, tuple[bytes, ...]]
    controls: Controls
    troubles: tuple[Trouble, ...] = ()


class _Held(NamedTuple):
    """All that is in force, swapped as one."""

    version: Version
    status: Status
    beside: _Beside


class _Chosen(NamedTuple):
    version: Version
    origin: Origin
    findings: tuple[Finding, ...] = ()


class LiveConfiguration:
    """The `Configuration` port of calls, on files. `path` is the main file; without a `store`
    no version survives the process, without `orders` there is no red button.

    The constructor blocks on the disk. Raises ConfigError where neither the files nor a stored
    version can be used.
    """

    def __init__(
        self,
        path: Path,
        *,
        store: VersionStore | None = None,
        orders: OrderFile | None = None,
        environment: Mapping[str, str] | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._path = path
        self._store = store
        self._orders = orders
        self._environment = environment
        self._wall = wall
        self._observers: list[Observer] = []
        self._lock = asyncio.Lock()
        self._watched: tuple[Path, ...] = (path,)
        self._of_good: tuple[Path, ...] = ()
        self._good: Bundle | None = None
        self._kept: str | None = None
        self._pin: Pin | None = None
        self._stored: tuple[Trouble, ...] = ()
        self.read_at = wall()
        chosen = self._first()
        beside = self._beside(chosen.version.loaded, _Beside({}, Controls()))
        self._held = _Held(chosen.version, self._status_of(chosen, beside, None), beside)

    @property
    def table(self) -> RoutingTable:
        return self.loaded.table

    @property
    def controls(self) -> Controls:
        return self._held.beside.controls

    @property
    def trunk_secrets(self) -> Mapping[TrunkName, Sequence[bytes]]:
        return self._held.beside.secrets

    @property
    def loaded(self) -> Loaded:
        return self._held.version.loaded

    @property
    def status(self) -> Status:
        return self._held.status

    def observe(self, observer: Observer) -> None:
        self._observers.append(observer)

    def watched(self) -> tuple[Path, ...]:
        """The files and folders that the configuration is made of; a change asks for `update`."""
        return self._watched

    def watched_beside(self) -> tuple[Path, ...]:
        """The trunks' secrets, the orders and the pin; a change asks for `refresh`."""
        sources = self.loaded.trunk_secrets.values()
        own = [] if self._orders is None else [self._orders.path]
        pin = [] if self._store is None else [self._store.pin_path]
        return (*(source.file for source in sources if source.file is not None), *own, *pin)

    async def update(self) -> Status:
        """Read everything again, in a thread, and swap if it is usable and another version.

        One at a time. Cancelling it lets it go on to its end.
        """
        return await finish(self._swap(self._next), name="update configuration")

    async def refresh(self) -> Status:
        """Read only the trunks' secrets and the orders again, and the files if the pin is another.

        As `update`.
        """
        return await finish(self._swap(self._refreshed), name="refresh configuration")

    async def _swap(self, read: Callable[[_Held], tuple[_Held, bool]]) -> Status:
        async with self._lock:
            before = self._held
            held, tried, changes = await asyncio.to_thread(_compared, read, before)
            self._held = held
            for observer in self._observers:
                if changes is not None:
                    observer.swapped(changes)
                if tried:
                    observer.tried(held.status)
            return held.status

    def _next(self, before: _Held) -> tuple[_Held, bool]:
        version, findings = self._read()
        if version is None:
            chosen = _Chosen(before.version, before.status.origin, findings)
        else:
            chosen = self._chosen(version)
        beside = self._beside(chosen.version.loaded, before.beside)
        return _Held(chosen.version, self._status_of(chosen, beside, before.status), beside), True

    def _refreshed(self, before: _Held) -> tuple[_Held, bool]:
        if self._pin_now() != self._pin:
            return self._next(before)
        beside = self._beside(before.version.loaded, before.beside)
        status = replace(before.status, troubles=(*self._stored, *beside.troubles))
        return _Held(before.version, status, beside), False

    def _first(self) -> _Chosen:
        """What a process begins with. Raises ConfigError where there is nothing at all."""
        self._good = self._last_kept()
        version, findings = self._read()
        if version is not None:
            return self._chosen(version)
        stored = self._rolled_back() or self._last_good()
        if stored is None:
            raise ConfigError(findings)
        return stored._replace(findings=findings)

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
        self._watched = tuple(dict.fromkeys((*disk.watched, *self._of_good)))
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

    def _chosen(self, version: Version) -> _Chosen:
        """The files' version, unless another one is pinned over exactly these files."""
        self._good = version.bundle
        self._stored = ()
        pinned = self._pinned(version.bundle.fingerprint)
        if pinned is not None:
            return _Chosen(pinned, Origin.ROLLBACK)
        self._keep(version)
        return _Chosen(version, Origin.FILES)

    def _status_of(self, chosen: _Chosen, beside: _Beside, before: Status | None) -> Status:
        loaded = chosen.version.loaded
        config_hash = loaded.table.config_hash
        same = before is not None and before.config_hash == config_hash
        since = before.since if before is not None and same else self._wall()
        troubles = (*self._stored, *beside.troubles)
        return Status(config_hash, chosen.origin, since, chosen.findings, loaded.stale, troubles)

    def _keep(self, version: Version) -> None:
        """Store the version for a start on broken files, or say what prevents it."""
        fingerprint = version.bundle.fingerprint
        if self._store is None or self._kept == fingerprint:
            return
        try:
            self._store.keep(version.loaded.table.config_hash, version.bundle)
        except StoreError as error:
            self._stored += (Trouble("data", "not-stored", str(error)),)
            log.warning("version not stored", error=str(error))
        else:
            self._kept = fingerprint

    def _pin_now(self) -> Pin | None:
        """The pin, or the one that was there where it cannot be read. Never raises."""
        try:
            return None if self._store is None else self._store.pinned()
        except StoreError as error:
            log.warning("pin unreadable", error=str(error))
            return self._pin

    def _pinned(self, fingerprint: str) -> Version | None:
        """The version that a rollback asks for, for as long as the files stay as they are."""
        self._pin = self._pin_now()
        if self._pin is None or self._pin.overrides != fingerprint:
            return None
        version, reason = self._stored_version(self._pin.hash)
        if version is None:
            detail = f"version {self._pin.hash} cannot be had back: {reason}"
            self._stored += (Trouble("data", "rollback-impossible", detail),)
            log.error("rollback impossible", version=self._pin.hash, reason=reason)
        return version

    def _rolled_back(self) -> _Chosen | None:
        """The version of a rollback that is newer than every version that was kept."""
        self._pin = pin = self._pin_now()
        try:
            kept = () if self._store is None else self._store.all()
        except StoreError:
            return None  # told where the last good version is looked for
        if pin is None or any(version.at > pin.at for version in kept):
            return None
        version, _ = self._stored_version(pin.hash)
        return None if version is None else _Chosen(version, Origin.ROLLBACK)

    def _stored_version(self, hash_: str) -> tuple[Version | None, str]:
        assert self._store is not None
        try:
            kept = self._store.get(hash_)
            if kept is None:
                return None, "there is none, or it is damaged"
            return Version(read_bundle(kept[1], self._environment), kept[1], ()), ""
        except (StoreError, ConfigError) as error:
            return None, str(error)

    def _last_kept(self) -> Bundle | None:
        """The newest version that can be read, if it was made from this main file."""
        try:
            kept = None if self._store is None else self._store.last()
        except StoreError as error:
            log.warning("stored versions unreadable", error=str(error))
            return None
        if kept is None or kept[1].main_path.absolute() != self._path.absolute():
            return None
        return kept[1]

    def _last_good(self) -> _Chosen | None:
        if self._good is None:
            return None
        try:
            loaded = read_bundle(self._good, self._environment)
        except ConfigError as error:
            log.warning("stored version unusable", error=str(error))
            return None
        return _Chosen(Version(loaded, self._good, ()), Origin.STORED)

    def _beside(self, loaded: Loaded, before: _Beside) -> _Beside:
        """The trunks' secrets and the operator's orders; what is unreadable stays as it was."""
        troubles: list[Trouble] = []
        secrets: dict[TrunkName, tuple[bytes, ...]] = {}
        for name, source in loaded.trunk_secrets.items():
            try:
                secrets[name] = tuple(secret.encode() for secret in source.read())
            except SecretError as error:
                secrets[name] = before.secrets.get(name, ())
                troubles.append(Trouble(f"trunk:{name}", "stale-secrets", str(error)))
        controls = before.controls
        if self._orders is not None:
            try:
                controls = self._orders.read()
            except StoreError as error:
                troubles.append(Trouble("orders", "unreadable", str(error)))
        for trouble in troubles:
            if trouble not in before.troubles:
                log.warning("old values stay", part=trouble.part, reason=trouble.detail)
        return _Beside(secrets, controls, tuple(troubles))


def _is_settled(read: Bundle) -> bool:
    """Whether the files still hold what was read: all of it is then of one moment."""
    return all(
        read_text_file(Path(read.root) / name, len(text.encode("utf-8", "surrogatepass")) + 3)
        == text
        for name, text in read.files.items()
    )


def _compared(
    read: Callable[[_Held], tuple[_Held, bool]], before: _Held
) -> tuple[_Held, bool, list[str] | None]:
    """What was read, and what is different."""
    with undisturbed():
        held, tried = read(before)
        return held, tried, _changes(before.version, held.version)


def _changes(before: Version, after: Version) -> list[str] | None:
    """What is different, None if nothing that a call could notice."""
    if before.loaded.table.config_hash == after.loaded.table.config_hash:
        return None
    from sipagent.config.report.difference import difference  # only a reload needs it

    try:
        return difference(before.loaded, after.loaded).lines()
    except Exception as error:  # words for the log must not keep a version back
        log.exception("difference unknown", error=type(error).__name__)
        return []
