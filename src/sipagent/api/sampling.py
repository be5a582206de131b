"""Log lines that a stranger can cause: a few of them, and a count of the rest."""

import time
from collections import deque
from collections.abc import Callable
from typing import Final

LINES_A_SECOND: Final = 10


class Sampler:
    """Admits at most LINES_A_SECOND lines in any second."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._admitted: deque[float] = deque(maxlen=LINES_A_SECOND)
        self._left_out = 0

    def admit(self) -> int | None:
        """None where a line is to be left out; else how many have been left out before it."""
        now = self._monotonic()
        if len(self._admitted) == LINES_A_SECOND and now < self._admitted[0] + 1.0:
            self._left_out += 1
            return None
        self._admitted.append(now)
        left_out, self._left_out = self._left_out, 0
        return left_out
