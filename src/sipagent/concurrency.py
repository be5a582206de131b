"""The only place where tasks are made. Each has an owner, a name and a recorded end.

Everywhere else `asyncio.create_task` is banned by the linter; inside one function an
`asyncio.TaskGroup` is the owner.
"""

import asyncio
import contextvars
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class SystemClock:
    """The machine's clocks."""

    def monotonic(self) -> float:
        """Seconds on a clock that only goes forward."""
        return time.monotonic()

    def wall(self) -> float:
        """Unix seconds."""
        return time.time()


class TaskOwner:
    """Owns tasks from their start to their end; the crash of one does not touch the others.

    `on_crash` is told the name and the exception of a task that ends by one. It is called once
    for each such task, whoever else awaits it.

    Tasks of an owner that is `apart` begin with an empty context, and `on_crash` is called in it:
    they belong to no call, whichever call was the first to need them, and log nothing of it.
    """

    def __init__(
        self, on_crash: Callable[[str, BaseException], None], *, apart: bool = False
    ) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._on_crash = on_crash
        self._apart = apart

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, work: Coroutine[Any, Any, Any], *, name: str) -> asyncio.Task[Any]:
        """Run `work` as a task of this owner."""
        context = contextvars.Context() if self._apart else None
        task = asyncio.get_running_loop().create_task(work, name=name, context=context)
        self._tasks.add(task)
        task.add_done_callback(self._ended, context=context)
        return task

    async def join(self, within: float) -> bool:
        """Wait at most `within` seconds for all tasks to end; says whether they did.

        Cancelling it leaves the tasks running.
        """
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=within)
        return not self._tasks

    async def cancel(self, within: float) -> bool:
        """Cancel all tasks and wait at most `within` seconds; says whether they ended."""
        for task in set(self._tasks):
            task.cancel()
        return await self.join(within)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (crash := task.exception()) is not None:
            self._on_crash(task.get_name(), crash)


async def finish(work: Coroutine[Any, Any, T], *, name: str) -> T:
    """Run `work` to its end even if the caller is cancelled; the cancellation comes after it.

    For the last words of a call: `work` must keep its own deadline.
    """
    task = asyncio.get_running_loop().create_task(work, name=name)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            if task.cancelled():
                raise
            cancelled = error
        except Exception:  # noqa: BLE001  # read from the task below
            break
    if cancelled is not None:
        raise cancelled
    return task.result()
