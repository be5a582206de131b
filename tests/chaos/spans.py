"""For how long a call was held by nobody, or by two. Pure: read from what the simulator has noted.

Times are seconds since the call was placed.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

Span = tuple[float, float]

GIVEN: Final = {"attached": 1, "detached": -1}


def spans(notes: Sequence[Any], end: float, *, least: int) -> list[Span]:
    """When at least so many sockets were open on the call, up to `end`."""
    found: list[Span] = []
    opened, since = 0, 0.0
    for note in notes:
        change = GIVEN.get(note["type"], 0)
        before, opened = opened, opened + change
        if before < least <= opened:
            since = note["at"]
        elif opened < least <= before:
            found.append((since, note["at"]))
    if opened >= least:
        found.append((since, max(since, end)))
    return found


def twice(notes: Sequence[Any], end: float) -> list[Span]:
    """When two sockets or more were open."""
    return spans(notes, end, least=2)


def gaps(notes: Sequence[Any], end: float) -> list[Span]:
    """When no socket was open, between the first and the end."""
    held = spans(notes, end, least=1)
    return [(before, after) for (_, before), (after, _) in pairwise(held)]


def taken_over_at(notes: Sequence[Any], after: float) -> float | None:
    """When the first socket was opened after this moment, on a call that had one before."""
    opened = [note["at"] for note in notes if note["type"] == "attached"]
    later = [at for at in opened if at > after]
    return later[0] if later and len(opened) > len(later) else None


def sent_by_earlier(notes: Sequence[Any], senders: Sequence[tuple[float, int]]) -> int:
    """How much came by a socket after a later one had been opened."""
    opened = [note["at"] for note in notes if note["type"] == "attached"]
    return sum(sum(at < when for at in opened) > socket for when, socket in senders)
