"""The times that a call waits for. Deadlines are data: the runner sets one timer, for `earliest`.

A time that has been dropped or replaced never comes: what is late is not told.
"""

from msgspec import Struct

from sipagent.sessions.machine.events import DeadlineReached, Timer
from sipagent.sessions.machine.signals import CallOver, DeadlineDropped, DeadlineWanted


class Deadlines(Struct, frozen=True):
    pending: tuple[tuple[float, Timer], ...] = ()

    @property
    def earliest(self) -> float | None:
        return self.pending[0][0] if self.pending else None

    def due(self, now: float) -> Timer | None:
        """The key of the earliest deadline, once its time has come."""
        return self.pending[0][1] if self.pending and self.pending[0][0] <= now else None


Timed = DeadlineWanted | DeadlineDropped
Heeded = Timed | DeadlineReached | CallOver


def step(state: Deadlines, event: Heeded, _: float) -> tuple[Deadlines, tuple[()]]:
    if isinstance(event, CallOver):
        return Deadlines(), ()
    return timed(state, event), ()


def timed(state: Deadlines, event: Timed | DeadlineReached) -> Deadlines:
    """The times once one is wanted, dropped, or has come."""
    rest = [entry for entry in state.pending if entry[1] != event.key]
    if isinstance(event, DeadlineWanted):
        rest.append((event.at, event.key))
        rest.sort()
    return Deadlines(tuple(rest))
