"""The configuration in force, and how it changes while calls are held.

Files are validated first and swapped whole: a call sees one version or the next one, never half
of each. What cannot be used changes nothing and is told. A process that starts on broken files
serves the last version that was good.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import structlog

from sipagent.config.apart import Version, read_bundle, read_version, watched_after
from sipagent.config.loader import Loaded
from sipagent.config.orders import OrderFile
from sipagent.config.versions import VersionStore
from sipagent.errors import ConfigError, Finding, SecretError, StoreError
from sipagent.model import TenantName, TrunkName
from sipagent.providers.secrets import SecretSource
from sipagent.routing import Controls, RoutingTable

log = structlog.get_logger(__name__)

MOST_TOLD = 5
"""Findings that are logged one by one; the others are counted."""


class Origin(StrEnum):
    """Where the version in force is from."""

    FILES = "files"
    STORED = "stored"
    ROLLBACK = "rollback"


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
    trouble: str | None = None

    @property
    def is_current(self) -> bool:
        """Whether the files are what is in force, all of them."""
        return self.origin is Origin.FILES and not self.findings and not self.stale


class Observer(Protocol):
    """Who wants to know of changes."""

    def swapped(self, before: Loaded, after: Loaded) -> None:
        """Another version is in force."""

    def tried(self, status: Status, *, usable: bool) -> None:
        """The files have been read again."""


class LiveConfiguration:
    """The `Configuration` port of calls, on files. `path` is the main file; without a `store`
    no version survives the process, without `orders` there is no red button.

    Methods block on the disk; `update` does so in a thread.
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
        self._controls = Controls()
        self._secrets: dict[TrunkName, tuple[bytes, ...]] = {}
        self._lock = asyncio.Lock()
        self._watched: tuple[Path, ...] = (path,)
        self._known: tuple[str, float] | None = None
        self._version, self._status = self._first()
        self._refresh()

    @property
    def table(self) -> RoutingTable:
        return self._version.loaded.table

    @property
    def controls(self) -> Controls:
        return self._controls

    @property
    def trunk_secrets(self) -> Mapping[TrunkName, Sequence[bytes]]:
        return self._secrets

    @property
    def loaded(self) -> Loaded:
        return self._version.loaded

    @property
    def status(self) -> Status:
        return self._status

    def observe(self, observer: Observer) -> None:
        self._observers.append(observer)

    def watched(self) -> tuple[Path, ...]:
        """All paths whose change may change anything here, secrets among them."""
        loaded = self._version.loaded
        sources = [source.file for source in loaded.trunk_secrets.values()]
        for account in loaded.accounts:
            sources += [
                source.file for source in (account.api_keys, account.webhook_secrets) if source
            ]
        own = [] if self._orders is None else [self._orders.path]
        pin = [] if self._store is None else [self._store.pin_path]
        files = [file for file in sources if file is not None]
        return tuple(dict.fromkeys((*self._watched, *files, *own, *pin)))

    async def update(self) -> Status:
        """Read everything again, and swap if it is usable and another version.

        One update at a time. Cancelling it leaves what is in force as it is or swapped as a whole.
        """
        async with self._lock:
            before = self._version
            version, status, usable = await asyncio.to_thread(self._next)
            await asyncio.to_thread(self._refresh)
            self._version, self._status = version, status
            if version.loaded.table.config_hash != before.loaded.table.config_hash:
                for observer in self._observers:
                    observer.swapped(before.loaded, version.loaded)
            for observer in self._observers:
                observer.tried(status, usable=usable)
            return status

    def _first(self) -> tuple[Version, Status]:
        """What a process begins with. Raises ConfigError where there is nothing at all."""
        last = self._last_good()
        try:
            version = read_version(
                self._path, None if last is None else last.bundle, self._environment
            )
        except ConfigError as error:
            self._watched = watched_after(error, self._path)
            if last is None:
                raise
            log.warning("configuration unusable, serving the stored version", findings=told(error))
            return last, self._described(last, Origin.STORED, error.findings)
        return self._chosen(version)

    def _next(self) -> tuple[Version, Status, bool]:
        try:
            version = read_version(self._path, self._version.bundle, self._environment)
        except ConfigError as error:
            self._watched = (*self._watched, *watched_after(error, self._path))
            origin = self._status.origin
            return self._version, self._described(self._version, origin, error.findings), False
        chosen, status = self._chosen(version)
        return chosen, status, True

    def _chosen(self, version: Version) -> tuple[Version, Status]:
        """The files' version, unless another one is pinned over exactly these files."""
        self._watched = version.watched
        pinned = self._pinned(version)
        if pinned is not None:
            return pinned, self._described(pinned, Origin.ROLLBACK, ())
        trouble = self._keep(version)
        return version, self._described(version, Origin.FILES, (), trouble)

    def _described(
        self,
        version: Version,
        origin: Origin,
        findings: tuple[Finding, ...],
        trouble: str | None = None,
    ) -> Status:
        config_hash = version.loaded.table.config_hash
        known = self._known
        since = self._wall() if known is None or known[0] != config_hash else known[1]
        self._known = (config_hash, since)
        return Status(config_hash, origin, since, findings, version.loaded.stale, trouble)

    def _keep(self, version: Version) -> str | None:
        """Store the version for a start on broken files; says what prevented it."""
        if self._store is None:
            return None
        try:
            self._store.keep(version.loaded.table.config_hash, version.bundle)
        except StoreError as error:
            log.warning("version not stored", error=str(error))
            return str(error)
        return None

    def _last_good(self) -> Version | None:
        if self._store is None:
            return None
        try:
            kept = self._store.last()
            if kept is None or kept[1].main_path.absolute() != self._path.absolute():
                return None  # there is none, or it was made from another file
            return Version(read_bundle(kept[1], self._environment), kept[1], ())
        except (StoreError, ConfigError) as error:
            log.warning("stored version unusable", error=str(error))
            return None

    def _pinned(self, version: Version) -> Version | None:
        """The version that a rollback asks for, for as long as the files stay as they are."""
        if self._store is None:
            return None
        try:
            pin = self._store.pinned()
            if pin is None or pin.overrides != version.bundle.fingerprint:
                return None
            kept = self._store.get(pin.hash)
            if kept is None:
                return None
            loaded = read_bundle(kept[1], self._environment)
        except (StoreError, ConfigError) as error:
            log.warning("rollback impossible", error=str(error))
            return None
        return Version(loaded, kept[1], version.watched)

    def _refresh(self) -> None:
        """Read the trunks' secrets and the operator's orders again; what is unreadable stays."""
        found: dict[TrunkName, tuple[bytes, ...]] = {}
        for name, source in self._version.loaded.trunk_secrets.items():
            found[name] = self._secret(name, source)
        self._secrets = found
        if self._orders is not None:
            try:
                self._controls = self._orders.read()
            except StoreError as error:
                log.warning("orders unreadable, keeping those in force", error=str(error))

    def _secret(self, name: TrunkName, source: SecretSource) -> tuple[bytes, ...]:
        try:
            return tuple(secret.encode() for secret in source.read())
        except SecretError as error:
            log.warning("trunk secret unreadable", trunk=name, error=str(error))
            return self._secrets.get(name, ())


def told(error: ConfigError) -> list[str]:
    """The first findings, for a log line."""
    return [str(finding) for finding in error.findings[:MOST_TOLD]]
