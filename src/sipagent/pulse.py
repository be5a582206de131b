"""How late the event loop does what is due: whatever holds it up holds up all calls."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

EVERY: Final = 0.25
"""Seconds between two looks."""


class Pulse:
    """As a context it measures until the block ends. `observe` is told the seconds by which each
    look was late."""

    def __init__(self, observe: Callable[[float], None], every: float = EVERY) -> None:
        self._observe = observe
        self._every = every
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        self._wait(asyncio.get_running_loop())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        due = loop.time() + self._every
        self._timer = loop.call_at(due, self._beat, loop, due)

    def _beat(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        self._observe(max(0.0, loop.time() - due))
        self._wait(loop)
