"""A call's socket that is lost: when to dial it again, and when to give up. Pure."""

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from sipagent.sessions.machine.commands import Finish

REATTACH_WITHIN: Final = 120.0
"""Seconds for which a lost socket is dialed again. The caller and the model talk on meanwhile."""

STEADY: Final = 10.0
"""Seconds after which a socket counts as attached for good: the next loss begins to count anew."""

_PAUSES: Final = (0.2, 0.4, 0.8, 1.6, 3.2, 5.0)
"""Seconds between dials, the last one again and again; each is shortened by up to a half, by the
call's own share, so that thousands of calls do not dial in step."""


_GOLDEN: Final = 0.6180339887498949
"""Multiples of it modulo 1 are spread evenly, whatever they begin with."""


class Loss(Struct, frozen=True):
    """A socket that is lost, or was not long ago: since when, how often it has been dialed, and
    when it was opened again. `parting` is the goodbye that was being said."""

    since: float
    dials: int = 0
    opened: float | None = None
    parting: Finish | None = None

    def again(self, now: float, parting: Finish | None) -> "Loss":
        """The socket is lost once more: one that had been steady is counted anew."""
        if self.opened is not None and now - self.opened >= STEADY:
            return Loss(now, parting=parting)
        return replace(self, opened=None, parting=parting)

    def pause(self, now: float, jitter: float) -> float | None:
        """Seconds until the next dial, None to give the call up. `jitter` is from 0 to 1."""
        if now - self.since >= REATTACH_WITHIN:
            return None
        if self.dials == 0:
            return 0.0
        share = (jitter + self.dials * _GOLDEN) % 1.0
        return _PAUSES[min(self.dials, len(_PAUSES)) - 1] * (1.0 - share / 2)
