"""Rows that are made when they are about to be written, so that no call waits for it."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

AT_ONCE: Final = 200
WITHIN: Final = 0.01
"""Rows that are made in one go, and the seconds after which none is begun."""


class Unmade:
    """Work that has been put off."""

    def __init__(self) -> None:
        self._work: deque[Callable[[], None]] = deque()
        self.making = False
        """Whether some of it is being done just now."""

    def __len__(self) -> int:
        return len(self._work)

    def add(self, work: Callable[[], None]) -> None:
        """Have `work`, which never raises, done with the next."""
        self._work.append(work)

    async def make(self) -> None:
        """All of it is done, some of it at a time, so that others have their turn."""
        while self._work:
            self._some()
            if self._work:
                await asyncio.sleep(0)

    def _some(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + WITHIN
        self.making = True
        try:
            for _ in range(min(len(self._work), AT_ONCE)):
                self._work.popleft()()
                if loop.time() >= until:
                    return
        finally:
            self.making = False
