"""Moments at which lines of several tenants closed together, found among the calls of a span."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from sipagent.model import Kind, Reason
from sipagent.store.facts import Closed, Moment
from sipagent.store.tables import calls

AT_ONCE: Final = 2.0
"""Seconds within which calls end together."""

FEWEST: Final = 5
"""Calls that end together are no moment below this."""

MOST_ENDS: Final = 100_000
"""The newest ends that are looked at."""

LONGEST_CALL: Final = 2 * 3600.0
"""Seconds that no call lasts: a row that is older and has no end is nobody's call."""

_LEAST_SHARE: Final = 0.5
_CLOSED: Final = f"{Reason.LINE_CLOSED.kind}.{Reason.LINE_CLOSED}"
_WRONG: Final = (f"{Kind.FAILED}.", f"{Kind.LOST}.")


@dataclass(frozen=True, slots=True)
class End:
    """One call that was taken and has ended."""

    began_at: float
    ended_at: float
    outcome: str
    detail: str | None
    tenant: str
    account: str
    trunk: str | None

    @property
    def is_closed(self) -> bool:
        """Its line closed, and when it did is known: a detail says that it was learned later."""
        return self.outcome == _CLOSED and self.detail is None

    @property
    def may_be_cut(self) -> bool:
        return self.is_closed or self.outcome.startswith(_WRONG)


async def moments(connection: AsyncConnection, *, since: float, until: float) -> tuple[Moment, ...]:
    """The moments among the newest 100,000 ends from `since` until before `until`."""
    c = calls.c
    rows = await connection.execute(
        select(c.began_at, c.ended_at, c.outcome, c.detail, c.tenant, c.account, c.trunk)
        .where(c.ended_at >= since, c.ended_at < until)
        .where(~c.outcome.startswith(f"{Kind.REJECTED}."))
        .order_by(c.ended_at.desc())
        .limit(MOST_ENDS)
    )
    ends = [End(*row) for row in rows][::-1]
    if len(ends) < FEWEST:
        return ()
    outlasting = await connection.scalars(
        select(c.began_at)
        .where(c.began_at >= ends[0].ended_at - LONGEST_CALL, c.began_at < until)
        .where(or_(c.ended_at.is_(None), c.ended_at >= until))
        .limit(MOST_ENDS)
    )
    return tuple(together(ends, list(outlasting)))


def together(ends: Sequence[End], outlasting: Sequence[float]) -> Iterator[Moment]:
    """The moments among `ends`, which are in the order of their times, while the calls that began
    at `outlasting` were held beyond all of them.

    Within 2 seconds at least 5 calls of at least 2 tenants, and at least half of those that were
    held, were cut off: lines closed, and some of the calls may have failed or been lost.
    """
    sweep = _Sweep(ends, outlasting)
    first = 0
    while first < len(sweep.cut):
        if not sweep.size(first):
            first += 1
            continue
        best = max(range(first, sweep.end(first)), key=sweep.size)
        end = sweep.end(best)
        found = sweep.cut[best:end]
        closed = tuple(
            Closed(one.tenant, one.account, one.trunk, one.ended_at)
            for one in found
            if one.is_closed
        )
        if closed and len({one.tenant for one in found}) > 1:
            yield Moment(len(found), sweep.held(best), closed)
        first = end


class _Sweep:
    """The calls that may have been cut off, in the order of their ends, and what was held then."""

    def __init__(self, ends: Sequence[End], outlasting: Sequence[float]) -> None:
        self.cut = [one for one in ends if one.may_be_cut]
        self._cut_at = [one.ended_at for one in self.cut]
        self._ended_at = [one.ended_at for one in ends]
        self._began_at = sorted([*(one.began_at for one in ends), *outlasting])

    def end(self, first: int) -> int:
        """One beyond the last that ended together with the first."""
        return bisect_right(self._cut_at, self._cut_at[first] + AT_ONCE)

    def held(self, first: int) -> int:
        """Calls that were held at any time from the first of these ends to the last."""
        begun = bisect_right(self._began_at, self._cut_at[self.end(first) - 1])
        return begun - bisect_left(self._ended_at, self._cut_at[first])

    def size(self, first: int) -> int:
        """How many ended together from this one on; 0 where these are too few of what was held."""
        many = self.end(first) - first
        return many if many >= max(FEWEST, _LEAST_SHARE * self.held(first)) else 0
