"""Keeps the configuration in force true to its files: what asks for a reload, and who is told."""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from sipagent.concurrency import TaskOwner
from sipagent.config.live import MOST_TOLD, LiveConfiguration, Status
from sipagent.config.watch import watch

log = structlog.get_logger(__name__)

_PAUSE: Final = 5.0
"""Seconds before watching begins again after it has crashed."""


class Reloader:
    """Reloads when a file changes, on SIGHUP and when asked.

    `after` is awaited after each reading, whether it was usable or not: credentials are read again
    there. It must not raise.
    """

    def __init__(self, live: LiveConfiguration, after: Callable[[], Awaitable[None]]) -> None:
        self._live = live
        self._after = after
        self._tasks = TaskOwner(self._crashed)
        self._stop = asyncio.Event()
        self._asked = asyncio.Event()

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
        before = self._live.status
        try:
            status = await self._live.update()
        finally:
            await self._after()
        tell(before, status)
        return status

    async def _watch(self) -> None:
        since = None
        while not self._stop.is_set():
            try:
                async for _ in watch(self._live.watched, self._stop, since=since):
                    await self.reload()
            except Exception as error:  # the crash boundary of watching: it must go on
                log.exception("watching the configuration failed", error=type(error).__name__)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), _PAUSE)
                self.ask()

    async def _on_request(self) -> None:
        while True:
            await self._asked.wait()
            self._asked.clear()
            if self._stop.is_set():
                return
            await self._reload_safely()

    async def _reload_safely(self) -> None:
        try:
            await self.reload()
        except Exception as error:  # the crash boundary of one reload
            log.exception("reload failed", error=type(error).__name__)

    def _crashed(self, name: str, error: BaseException) -> None:
        log.error("task crashed", task=name, error=type(error).__name__, exc_info=error)


def tell(before: Status, after: Status) -> None:
    """One log line for what a reload has led to; nothing where nothing is new."""
    if after.findings and after.findings != before.findings:
        findings = [str(finding) for finding in after.findings[:MOST_TOLD]]
        more = max(0, len(after.findings) - MOST_TOLD)
        log.error("configuration refused", findings=findings, more=more, in_force=after.config_hash)
    for tenant, found in after.stale.items():
        if before.stale.get(tenant) != found:
            findings = [str(finding) for finding in found[:MOST_TOLD]]
            log.error("tenant's files refused", tenant=tenant, findings=findings)
    if after.config_hash != before.config_hash or (before.findings and not after.findings):
        log.info(
            "configuration in force",
            config_hash=after.config_hash,
            before=before.config_hash,
            origin=after.origin,
            stale=sorted(after.stale),
        )
