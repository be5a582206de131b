"""The configuration in force, and how it changes while calls are held.

Files are validated first and swapped whole: a call sees one version or the next one, never half
of each. What cannot be used changes nothing and is told. A process that starts on broken files
serves the last version that was good.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, Protocol

import structlog

from sipagent.concurrency import finish
from sipagent.config.loader import Loaded
from sipagent.config.reload.apart import Version, undisturbed
from sipagent.config.reload.orders import OrderFile
from sipagent.config.reload.stored import Chosen, Origin, Trouble, Versions
from sipagent.config.reload.versions import VersionStore
from sipagent.config.webhooks import Secrets
from sipagent.errors import Finding, SecretError, StoreError
from sipagent.model import SecretName, TenantName, TrunkName
from sipagent.routing import Controls, RoutingTable
from sipagent.routing.trunks import alike
from sipagent.tools.local import LocalServer

log = structlog.get_logger(__name__)


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
    granted: Mapping[tuple[TenantName, SecretName], str] = MappingProxyType({})
    troubles: tuple[Trouble, ...] = ()


class _Held(NamedTuple):
    """All that is in force, swapped as one."""

    chosen: Chosen
    status: Status
    beside: _Beside


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
        self._versions = Versions(path, store, environment)
        self.path = path
        self._environment = environment
        self._store = store
        self._orders = orders
        self._wall = wall
        self._observers: list[Observer] = []
        self._lock = asyncio.Lock()
        self.read_at = wall()
        chosen = self._versions.first()
        beside = self._beside(chosen.version.loaded, _Beside({}, Controls()))
        self._held = _Held(_kept(chosen), self._status_of(chosen, beside, None), beside)

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
    def webhook_secrets(self) -> Secrets:
        """Where the secrets stand that sign what tenants are told."""
        return self.loaded.webhook_secrets

    def secret(self, tenant: TenantName, name: SecretName) -> str:
        """The secret of this name that the tenant is granted, as its file has it now: the first of
        several. Raises SecretError."""
        granted = self._held.beside.granted.get((tenant, name))
        if granted is None:
            raise SecretError(f"the secret {name}", "is not granted, or cannot be read")
        return granted

    @property
    def servers(self) -> Mapping[str, LocalServer]:
        """The MCP servers that run beside us, by label."""
        return self.loaded.servers

    @property
    def loaded(self) -> Loaded:
        return self._held.chosen.version.loaded

    @property
    def status(self) -> Status:
        return self._held.status

    def observe(self, observer: Observer) -> None:
        self._observers.append(observer)

    def watched(self) -> tuple[Path, ...]:
        """The files and folders that the configuration is made of; a change asks for `update`."""
        return self._versions.watched

    def watched_beside(self) -> tuple[Path, ...]:
        """The trunks' and the tools' secrets, the orders and the pin; a change asks for
        `refresh`."""
        sources = (*self.loaded.trunk_secrets.values(), *self.loaded.granted.values())
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

    async def ahead(self) -> Chosen:
        """What `update` would choose now; nothing is in force, or stored, by that.

        Read in a thread. Raises ConfigError where there is nothing that can be used.
        """
        ahead = Versions(
            self.path, self._store, self._environment, keeps=False, tell=lambda _: None
        )
        return await finish(asyncio.to_thread(_first, ahead), name="read configuration ahead")

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
        chosen = self._versions.next(before.chosen)
        beside = self._beside(chosen.version.loaded, before.beside)
        return _Held(chosen, self._status_of(chosen, beside, before.status), beside), True

    def _refreshed(self, before: _Held) -> tuple[_Held, bool]:
        if self._versions.pin_changed():
            return self._next(before)
        beside = self._beside(before.chosen.version.loaded, before.beside)
        status = replace(before.status, troubles=(*self._versions.troubles, *beside.troubles))
        return _Held(before.chosen, status, beside), False

    def _status_of(self, chosen: Chosen, beside: _Beside, before: Status | None) -> Status:
        loaded = chosen.version.loaded
        config_hash = loaded.table.config_hash
        same = before is not None and before.config_hash == config_hash
        since = before.since if before is not None and same else self._wall()
        troubles = (*self._versions.troubles, *beside.troubles)
        return Status(config_hash, chosen.origin, since, chosen.findings, loaded.stale, troubles)

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
        granted = {}
        for whose, source in loaded.granted.items():
            try:
                granted[whose] = source.read()[0]
            except SecretError as error:
                if whose in before.granted:
                    granted[whose] = before.granted[whose]
                part = f"tenant:{whose[0]}:{whose[1]}"
                troubles.append(Trouble(part, "stale-secrets", str(error)))
        controls = before.controls
        if self._orders is not None:
            try:
                controls = self._orders.read()
            except StoreError as error:
                troubles.append(Trouble("orders", "unreadable", str(error)))
        for trouble in troubles:
            if trouble not in before.troubles:
                log.warning("old values stay", part=trouble.part, reason=trouble.detail)
        troubles += [
            Trouble(f"trunk:{name}", "same-secret", f"proves nothing: {other} has the same")
            for name, other in alike(loaded.table.trunks, secrets)
        ]
        return _Beside(secrets, controls, granted, tuple(troubles))


def _first(versions: Versions) -> Chosen:
    with undisturbed():
        return versions.first()


def _compared(
    read: Callable[[_Held], tuple[_Held, bool]], before: _Held
) -> tuple[_Held, bool, list[str] | None]:
    """What was read, and what is different."""
    with undisturbed():
        held, tried = read(before)
        changes = _changes(before.chosen.version, held.chosen.version)
        if held.chosen.version is not before.chosen.version:
            held = held._replace(chosen=_kept(held.chosen))
        return held, tried, changes


def _kept(chosen: Chosen) -> Chosen:
    """What stays of a version while it is in force: not the files as they are written."""
    version = chosen.version
    if version.loaded.gathered is None:
        return chosen
    loaded = replace(version.loaded, gathered=version.loaded.gathered.for_comparing())
    return chosen._replace(version=version._replace(loaded=loaded))


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
