"""What the engine is told and nobody waits for: in its order, and again until it has been taken."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog

from sipagent.engine.redis.link import Link, Value
from sipagent.errors import EngineError

log = structlog.get_logger(__name__)

AT_ONCE: Final = 100
"""Steps of one round trip."""

MOST: Final = 100_000
"""Steps that wait at most; beyond them those that can be missed are left out."""

PAUSE: Final = 0.25
"""Seconds before the engine is asked again after it has not answered."""


@dataclass(frozen=True, slots=True)
class Step:
    """One script to be run. `told` gets what it gives back. A step that can be `missed` is a copy
    of what this process remembers as well."""

    script: str
    values: Sequence[Value]
    told: Callable[[Any], None] | None = None
    missed: bool = False


class Outgoing:
    """The steps of one process, run by its one task. Those of a call are run in their order."""

    def __init__(self, link: Link, failed: Callable[[], None]) -> None:
        self._link = link
        self._failed = failed
        self._steps: deque[Step] = deque()
        self._wake = asyncio.Event()
        self._done = asyncio.Event()
        self._done.set()

    def __len__(self) -> int:
        return len(self._steps)

    def put(self, step: Step) -> None:
        if step.missed and len(self._steps) >= MOST:
            return
        self._steps.append(step)
        self._done.clear()
        self._wake.set()

    async def run(self) -> None:
        """Carry all steps out, for as long as this runs."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._steps:
                if not await self._some():
                    await asyncio.sleep(PAUSE)
            self._done.set()

    async def flush(self, within: float) -> bool:
        """Wait until all steps have been taken; False if they were not, within so many seconds."""
        try:
            async with asyncio.timeout(within):
                await self._done.wait()
        except TimeoutError:
            return False
        return True

    async def _some(self) -> bool:
        steps = [self._steps[at] for at in range(min(AT_ONCE, len(self._steps)))]
        try:
            answers = await self._link.run_all([(step.script, step.values) for step in steps])
        except EngineError:
            self._failed()
            return False
        for step, answer in zip(steps, answers, strict=True):
            if isinstance(answer, EngineError):
                if not answer.refused:
                    self._failed()
                    return False
                # It would be refused for ever, and hold up all that comes after it.
                log.error("engine step refused", script=step.script)
            self._steps.popleft()
            if step.told is not None and not isinstance(answer, EngineError):
                try:
                    step.told(answer)
                except Exception as error:  # the crash boundary of one answer
                    log.exception("engine's answer not heeded", error=type(error).__name__)
        return True
