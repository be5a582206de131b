"""Keeps the configuration in force true to its files: what asks for a reload, and who is told."""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import Final

import structlog

from sipagent.concurrency import TaskOwner
from sipagent.config.findings import masked
from sipagent.config.reload.live import LiveConfiguration, Status
from sipagent.config.reload.watch import watch
from sipagent.errors import Finding

log = structlog.get_logger(__name__)

_PAUSE: Final = 5.0
"""Seconds before watching begins again after it has crashed."""

MOST_TOLD: Final = 5
"""Findings that are logged one by one; the others are counted."""


class Reloader:
    """Reloads when a file changes, on SIGHUP and when asked.

    `after` is awaited after each reading, whether it was usable or not: credentials are read again
    there. It must not raise. `also` are further files whose change asks for no more than that.
    """

    def __init__(
        self,
        live: LiveConfiguration,
        after: Callable[[], Awaitable[None]],
        also: Callable[[], Collection[Path]] = tuple,
    ) -> None:
        self._live = live
        self._after = after
        self._also = also
        self._tasks = TaskOwner(self._crashed)
        self._stop = asyncio.Event()
        self._asked = asyncio.Event()
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> "Reloader":
        self._tasks.start(self._watch(), name="watch configuration")
        self._tasks.start(self._on_request(), name="reload on request")
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            # Only the main thread's loop hears signals; elsewhere files and requests remain.
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self.ask)
        return self

    async def __aexit__(self, *_: object) -> None:
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)
        self._stop.set()
        self._asked.set()
        if not await self._tasks.join(1.0):
            await self._tasks.cancel(1.0)

    def ask(self) -> None:
        """Have the files read again soon, whether they changed or not."""
        self._asked.set()

    async def reload(self) -> Status:
        """Read the files again and say what is in force then."""
        return await self._read(self._live.update)

    async def refresh(self) -> Status:
        """Read the secrets, the orders and the pin again, and say what is in force then."""
        return await self._read(self._live.refresh)

    async def _read(self, read: Callable[[], Awaitable[Status]]) -> Status:
        async with self._lock:
            before = self._live.status
            try:
                status = await read()
            finally:
                await self._after()
            tell(before, status)
            return status

    async def _watch(self) -> None:
        since: float | None = self._live.read_at
        while not self._stop.is_set():
            try:
                async for changed in watch(self._watched, self._stop, since=since):
                    beside = {*self._live.watched_beside(), *self._also()}
                    only_beside = changed <= beside - set(self._live.watched())
                    await self._read_safely(
                        self._live.refresh if only_beside else self._live.update
                    )
            except Exception as error:  # the crash boundary of watching: it must go on
                log.exception("watching the configuration failed", error=type(error).__name__)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), _PAUSE)
                since = None
                self.ask()

    def _watched(self) -> Collection[Path]:
        live = self._live
        return {*live.watched(), *live.watched_beside(), *self._also()}

    async def _on_request(self) -> None:
        while True:
            await self._asked.wait()
            self._asked.clear()
            if self._stop.is_set():
                return
            await self._read_safely(self._live.update)

    async def _read_safely(self, read: Callable[[], Awaitable[Status]]) -> None:
        try:
            await self._read(read)
        except Exception as error:  # the crash boundary of one reload
            log.exception("reload failed", error=type(error).__name__)

    def _crashed(self, name: str, error: BaseException) -> None:
        log.error("task crashed", task=name, error=type(error).__name__, exc_info=error)


def tell(before: Status, after: Status) -> None:
    """Log lines for what a reload has led to; none where nothing is new."""
    if after.findings and after.findings != before.findings:
        log.error("configuration refused", in_force=after.config_hash, **_told(after.findings))
    for tenant, found in after.stale.items():
        if before.stale.get(tenant) != found:
            log.error("tenant's files refused", tenant=tenant, **_told(found))
    healed = bool(before.findings and not after.findings) or before.stale.keys() - after.stale
    if healed or (after.config_hash, after.origin) != (before.config_hash, before.origin):
        log.info(
            "configuration in force",
            config_hash=after.config_hash,
            before=before.config_hash,
            origin=after.origin,
            stale=sorted(after.stale),
        )


def _told(findings: tuple[Finding, ...]) -> dict[str, object]:
    """The first findings, without whole numbers, and how many more there are."""
    told = [masked(finding) for finding in findings[:MOST_TOLD]]
    return {"findings": told, "more": len(findings) - len(told)}
