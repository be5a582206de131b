"""An event loop and clocks that run faster than the machine's, until they are told not to."""

import asyncio
import selectors
import time


class FastLoop(asyncio.SelectorEventLoop):
    """`speed` is how many of its seconds pass in one of the machine's."""

    def __init__(self, speed: float) -> None:
        self._selector = _Selector(self)
        self.speed = speed
        self._since, self._then = time.monotonic(), 0.0
        super().__init__(self._selector)

    def time(self) -> float:
        return self._then + (time.monotonic() - self._since) * self.speed

    def run_at(self, speed: float) -> None:
        """From now on so fast."""
        now = self.time()
        self._since, self._then, self.speed = time.monotonic(), now, speed


class _Selector(selectors.DefaultSelector):
    def __init__(self, loop: FastLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        real = None if timeout is None else max(0.0, timeout / self._loop.speed)
        return super().select(real)


class FastClock:
    """The clocks of such a loop; wall time is what `set_wall` says, and goes on from there."""

    def __init__(self, loop: FastLoop, wall: float) -> None:
        self._loop = loop
        self.set_wall(wall)

    def set_wall(self, wall: float) -> None:
        self._offset = wall - self._loop.time()

    def monotonic(self) -> float:
        return self._loop.time()

    def wall(self) -> float:
        return self._loop.time() + self._offset
