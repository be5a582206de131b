"""How many there have been of late, for each of many keys."""

from collections import OrderedDict, deque
from typing import Final

from sipagent.model import Cap

WINDOWS: Final = 50_000
"""Callers that are counted at most; the one not heard of for the longest time is forgotten."""

PER_CALLER: Final = "per_caller"
"""The caps of which there are as many as a caller invents numbers. The others are few, and no flood
of invented callers makes one of them be forgotten before its time."""

_Windows = OrderedDict[str, tuple[float, deque[float]]]


class Windows:
    """When the calls were that still count for a cap."""

    def __init__(self) -> None:
        self._callers: _Windows = OrderedDict()
        self._others: _Windows = OrderedDict()

    def __len__(self) -> int:
        """How many callers and the like are counted."""
        return len(self._callers) + len(self._others)

    def window(self, cap: Cap, now: float) -> deque[float]:
        """The times that still count for the cap at `now`. Whoever takes room adds one."""
        windows = self._callers if cap.which == PER_CALLER else self._others
        _, window = windows.pop(cap.key, (0.0, deque[float]()))
        while window and window[0] <= now - cap.rate.seconds:
            window.popleft()
        windows[cap.key] = (now + cap.rate.seconds, window)
        _forget(self._callers, now, most=WINDOWS)
        _forget(self._others, now)
        return window


def _forget(windows: _Windows, now: float, most: int | None = None) -> None:
    """Let go of the oldest windows that count no call any more, or that are too many."""
    while windows:
        key, (until, _) = next(iter(windows.items()))
        if until > now and (most is None or len(windows) <= most):
            return
        del windows[key]
