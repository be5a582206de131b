"""Virtual time: an event loop whose clock jumps to the next timer when nothing else is due."""

import asyncio
import selectors
from typing import Any


class _Impatient(selectors.BaseSelector):
    """A selector that never waits for a timer: it moves the loop's clock instead.

    While real sockets are ready they are served first, at no cost of virtual time.
    """

    def __init__(self, inner: selectors.BaseSelector) -> None:
        self._inner = inner
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._inner.select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            return self._inner.select(None)  # only another thread or a socket can go on
        self.now += timeout
        return ready

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._inner.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._inner.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._inner.modify(fileobj, events, data)

    def get_map(self) -> Any:
        return self._inner.get_map()

    def close(self) -> None:
        self._inner.close()


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop for tests without real sockets: an hour passes as fast as its timers run."""

    def __init__(self) -> None:
        self._impatient = _Impatient(selectors.DefaultSelector())
        super().__init__(self._impatient)

    def time(self) -> float:
        return self._impatient.now


class VirtualClock:
    """The clock of the running virtual loop. Wall time begins at `epoch`, unix seconds."""

    def __init__(self, epoch: float = 1_790_000_000.0) -> None:
        self.epoch = epoch

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def wall(self) -> float:
        return self.epoch + self.monotonic()
