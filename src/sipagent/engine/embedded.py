"""Claims in the memory of one process."""

from collections import OrderedDict
from typing import Final

from sipagent.model import IncomingCall
from sipagent.sessions.ports import Claim, Clock

REMEMBERED: Final = 3600.0
"""Seconds for which ids are remembered. A later redelivery is stale by its `created_at`."""


class EmbeddedEngine:
    """Each call can be claimed once, by its webhook id and by its call id.

    No step of an offer waits, so deliveries that arrive at the same moment cannot both win.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seen)

    async def offer(self, call: IncomingCall) -> Claim:
        now = self._clock.monotonic()
        self._forget(now - REMEMBERED)
        keys = (f"webhook:{call.webhook_id}", f"call:{call.call_id}")
        duplicate = any(key in self._seen for key in keys)
        for key in keys:
            self._seen.setdefault(key, now)
        return Claim.DUPLICATE if duplicate else Claim.OK

    def _forget(self, before: float) -> None:
        while self._seen:
            key, at = next(iter(self._seen.items()))
            if at >= before:
                return
            del self._seen[key]
