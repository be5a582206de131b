"""How long callers wait: from the webhook to the answer, and to the first sound."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import ColumnElement, Integer, Select, case, cast, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from sipagent.model import TenantName
from sipagent.store.tables import calls

MOST_WAITS: Final = 20_000
"""The newest calls of one time that are looked at."""

LONGEST_WAIT: Final = 60.0
"""Seconds; who waits longer counts as this."""

_HUNDREDTHS: Final = 100
_SHORT: Final = 1.0
"""Seconds below which waits are told apart by hundredths, and above by tenths."""


class Wait(StrEnum):
    """What is waited for, since the webhook came."""

    ANSWER = "answer"
    SOUND = "sound"


_UNTIL: Final = {Wait.ANSWER: calls.c.answered_at, Wait.SOUND: calls.c.heard_at}


@dataclass(frozen=True, slots=True)
class Waits:
    """How many calls waited so long, by hundredths of a second."""

    counts: Mapping[int, int] = field(default_factory=dict)

    @property
    def calls(self) -> int:
        return sum(self.counts.values())

    def percentile(self, share: float) -> float | None:
        """The seconds within which this share (0 to 1) of the calls had it; None without calls."""
        left = share * self.calls
        for hundredths in sorted(self.counts):
            left -= self.counts[hundredths]
            if left <= 0:
                return hundredths / _HUNDREDTHS
        return None

    def __add__(self, other: "Waits") -> "Waits":
        return Waits(Counter(self.counts) + Counter(other.counts))


async def waits(
    connection: AsyncConnection,
    tenant: TenantName | None,
    wait: Wait,
    bounds: Sequence[tuple[float, float]],
    *,
    agent: str | None = None,
) -> tuple[Waits, ...]:
    """How long the callers of a tenant waited in each of these times (unix seconds of the calls'
    beginnings, the end not among them): of each the newest 20,000 calls that came so far. None is
    every tenant, for the operator."""
    found = []
    for begins, ends in bounds:
        rows = await connection.execute(_counted(tenant, agent, wait, begins, ends))
        found.append(Waits({int(waited): count for waited, count in rows}))
    return tuple(found)


def _counted(
    tenant: TenantName | None, agent: str | None, wait: Wait, begins: float, ends: float
) -> Select[Any]:
    c, until = calls.c, _UNTIL[wait]
    equal = ((c.tenant, tenant), (c.agent, agent))
    newest = (
        select((until - c.began_at).label("seconds"))
        .where(*(column == value for column, value in equal if value is not None))
        .where(c.began_at >= begins, c.began_at < ends, until.is_not(None))
        .order_by(c.began_at.desc(), c.call_id.desc())
        .limit(MOST_WAITS)
        .subquery()
    )
    waited = _hundredths(newest.c.seconds).label("waited")
    each = select(waited).subquery()
    return select(each.c.waited, func.count()).group_by(each.c.waited)


def _hundredths(seconds: ColumnElement[float]) -> ColumnElement[int]:
    """Rounded, and few enough of them that a day has hundreds of rows and not one for each call.
    A cast alone would cut on SQLite and round on PostgreSQL."""
    return case(
        (seconds < 0, 0),
        (seconds >= LONGEST_WAIT, int(LONGEST_WAIT * _HUNDREDTHS)),
        (seconds < _SHORT, cast(func.round(seconds * _HUNDREDTHS), Integer)),
        else_=cast(func.round(seconds * 10), Integer) * 10,
    )
