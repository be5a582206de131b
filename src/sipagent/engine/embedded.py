"""Claims in the memory of one process."""

from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import Final

from sipagent.model import Cap, IncomingCall
from sipagent.sessions.ports import Claim, Clock

REMEMBERED: Final = 3600.0
"""Seconds for which ids are remembered. A later redelivery is stale by its `created_at`."""

WINDOWS: Final = 50_000
"""Callers that are counted at most; the one not heard of for the longest time is forgotten."""

PER_CALLER: Final = "per_caller"
"""The caps of which there are as many as a caller invents numbers. The others are few, and no flood
of invented callers makes one of them be forgotten before its time."""

_Windows = OrderedDict[str, tuple[float, deque[float]]]


class EmbeddedEngine:
    """Each call can be claimed once, by its webhook id and by its call id.

    No step of an offer waits, so deliveries that arrive at the same moment cannot both win.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: OrderedDict[str, float] = OrderedDict()
        self._callers: _Windows = OrderedDict()
        self._others: _Windows = OrderedDict()

    def __len__(self) -> int:
        """How many ids are remembered."""
        return len(self._seen)

    @property
    def windows(self) -> int:
        """How many callers and the like are counted."""
        return len(self._callers) + len(self._others)

    async def offer(self, call: IncomingCall, caps: Sequence[Cap] = ()) -> Claim:
        now = self._clock.monotonic()
        self._forget(now - REMEMBERED)
        keys = (f"webhook:{call.webhook_id}", f"call:{call.call_id}")
        duplicate = any(key in self._seen for key in keys)
        for key in keys:
            self._seen.setdefault(key, now)
        if duplicate:
            return Claim.DUPLICATE
        return self._counted(caps, now) if caps else Claim.OK

    def _counted(self, caps: Sequence[Cap], now: float) -> Claim:
        """Count one call for each cap, or for none if one of them has no room."""
        windows = [(cap, self._window(cap, now)) for cap in caps]
        if any(len(window) >= cap.rate.count for cap, window in windows):
            return Claim.LIMIT
        for _, window in windows:
            window.append(now)
        return Claim.OK

    def _window(self, cap: Cap, now: float) -> deque[float]:
        """When the calls were that still count for this cap."""
        windows = self._callers if cap.which == PER_CALLER else self._others
        _, window = windows.pop(cap.key, (0.0, deque[float]()))
        while window and window[0] <= now - cap.rate.seconds:
            window.popleft()
        windows[cap.key] = (now + cap.rate.seconds, window)
        self._forget_windows(self._callers, now, most=WINDOWS)
        self._forget_windows(self._others, now)
        return window

    def _forget_windows(self, windows: _Windows, now: float, most: int | None = None) -> None:
        """Let go of the oldest windows that count no call any more, or that are too many."""
        while windows:
            key, (until, _) = next(iter(windows.items()))
            if until > now and (most is None or len(windows) <= most):
                return
            del windows[key]

    def _forget(self, before: float) -> None:
        while self._seen:
            key, at = next(iter(self._seen.items()))
            if at >= before:
                return
            del self._seen[key]
