"""Whether calls still come: a trunk or a webhook that fails upstream shows here by nothing but
their absence.

What has come in the last half-hour, or hour where calls are few, is held against the same time of
the same weekday in the four weeks before, in the time zone of each call's tenant, so that a change
to daylight saving moves nothing. Only time for which this process has been there counts: calls that
came while nobody was there to record them prove nothing of the carrier.
"""

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from statistics import median
from typing import Final, Self
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sipagent.concurrency import TaskOwner
from sipagent.routing import RoutingTable
from sipagent.sessions.ports import Clock
from sipagent.store.database import DATABASE_ERRORS, reason_of
from sipagent.store.tables import calls

log = structlog.get_logger(__name__)

CHECK_EVERY: Final = 300.0
CHECK_WITHIN: Final = 60.0
"""Seconds for one check; what was known before stays true where it takes longer."""

LENGTHS: Final = (1800.0, 3600.0)
"""Seconds of the past that are judged: the first in which enough calls are expected."""

SHORTEST: Final = 600.0
"""Seconds of the past without which nothing is judged."""

WEEKS: Final = 4
LEAST_WEEKS: Final = 2
"""Weeks of which there must be records: one week proves no habit."""

LEAST_EXPECTED: Final = 7.0
"""Calls that must be expected: of fewer, none at all may be chance."""

FEW: Final = 0.5
UNLIKELY: Final = 0.001
"""Calls are unusually few where they are at most this share of what is expected, and chance alone
would bring so few only this often (Poisson)."""

STILL_FEW: Final = 0.6
STILL_UNLIKELY: Final = 0.01
"""And they remain so until there are more than that."""

_WEEK: Final = timedelta(days=7)
_HOUR: Final = 3600.0


class Kind(StrEnum):
    TRUNK = "trunk"
    ACCOUNT = "account"


Series = tuple[Kind, str]
"""A trunk or an account whose calls are counted."""


@dataclass(frozen=True, slots=True)
class Span:
    """From `start` up to and without `end`, unix seconds."""

    start: float
    end: float

    def weeks_ago(self, weeks: int, zone: tzinfo) -> "Span":
        """As long a time that ended so many weeks ago at the same time of the day in this zone."""
        end = (datetime.fromtimestamp(self.end, zone) - weeks * _WEEK).timestamp()
        return Span(end - (self.end - self.start), end)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where calls come from and whose they are."""

    tenant: str
    account: str
    trunk: str | None

    def counts_for(self) -> tuple[Series, ...]:
        account = (Kind.ACCOUNT, self.account)
        return (account,) if self.trunk is None else (account, (Kind.TRUNK, self.trunk))


@dataclass(frozen=True, slots=True)
class Tally:
    """How many calls there were in a time of so many seconds, and how many there usually are."""

    seconds: float
    calls: int
    expected: float

    @property
    def tells(self) -> bool:
        """Whether so many calls are expected that too few would be seen."""
        return self.expected >= LEAST_EXPECTED


def chance(calls: int, expected: float) -> float:
    """How likely there are at most so many calls where so many are expected (Poisson)."""
    if expected <= 0:
        return 1.0
    logarithm = math.log(expected)
    return min(
        1.0,
        math.fsum(
            math.exp(count * logarithm - expected - math.lgamma(count + 1))
            for count in range(calls + 1)
        ),
    )


def usual(weeks: Sequence[int]) -> float:
    """How many calls are usual after so many in each earlier week; 0 where that cannot be said.

    The median: one week with a campaign or a holiday is no habit.
    """
    return float(median(weeks)) if len(weeks) >= LEAST_WEEKS else 0.0


def telling(tallies: Sequence[Tally]) -> Tally | None:
    """The tally to judge by: the shortest in which enough calls are expected, else the longest."""
    enough = [tally for tally in tallies if tally.tells]
    return enough[0] if enough else tallies[-1] if tallies else None


def unusually_few(tally: Tally | None, *, before: bool) -> bool:
    """Whether far fewer calls come than usual. `before`: they did so when it was last asked."""
    if tally is None:
        return False
    share, limit = (STILL_FEW, STILL_UNLIKELY) if before else (FEW, UNLIKELY)
    if tally.calls > share * tally.expected or not (before or tally.tells):
        return False
    return chance(tally.calls, tally.expected) < limit


class Arrivals:
    """Looks every five minutes whether calls come as usual. Used as `async with`, while the
    database that `engine` gives is open.

    `table` is the routing table in force: what it does not know is not missed. `behind` says
    whether records wait to be written, so that counting them would find too few.
    """

    def __init__(
        self,
        engine: Callable[[], AsyncEngine],
        table: Callable[[], RoutingTable],
        clock: Clock,
        behind: Callable[[], bool] = lambda: False,
    ) -> None:
        self._engine = engine
        self._table = table
        self._clock = clock
        self._behind = behind
        self._since = clock.wall()
        self._few: dict[Series, bool] = {}
        self._tasks = TaskOwner(self._crashed, apart=True)

    @property
    def few(self) -> Mapping[Series, bool]:
        """For each trunk and account, as of the last check, whether unusually few calls come."""
        return self._few

    async def __aenter__(self) -> Self:
        self._since = self._clock.wall()
        self._tasks.start(self.run(), name="watch arrivals")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._tasks.cancel(1.0)

    async def run(self) -> None:
        """Check for ever. Cancelling it ends it at once."""
        while True:
            await asyncio.sleep(CHECK_EVERY)
            try:
                async with asyncio.timeout(CHECK_WITHIN):
                    await self.check()
            except DATABASE_ERRORS as error:
                log.warning("arrivals not checked", reason=reason_of(error))
            except Exception as crash:  # the crash boundary of one check: the next one may work
                log.exception("arrivals not checked", error=type(crash).__name__)

    async def check(self) -> None:
        """Judge all trunks and accounts now. Raises what a database raises."""
        if self._behind():
            return
        table, now = self._table(), self._clock.wall()
        spans = _spans(self._since, now)
        async with self._engine().connect() as connection:
            found = [await _counted(connection, table, span) for span in spans]
        self._judge(table, spans, found)

    def _judge(
        self,
        table: RoutingTable,
        spans: Sequence[Span],
        found: Sequence[tuple[Counter[Series], list[Counter[Series]]]],
    ) -> None:
        few: dict[Series, bool] = {}
        for series in _known(table):
            tally = telling(
                [
                    Tally(
                        span.end - span.start,
                        current[series],
                        usual([week[series] for week in weeks]),
                    )
                    for span, (current, weeks) in zip(spans, found, strict=True)
                ]
            )
            before = self._few.get(series, False)
            few[series] = unusually_few(tally, before=before)
            if tally is not None and few[series] != before:
                _tell(series, tally, few=few[series])
        self._few = few

    def _crashed(self, name: str, crash: BaseException) -> None:
        log.error("task crashed", task=name, error=type(crash).__name__, exc_info=crash)


def _tell(series: Series, tally: Tally, *, few: bool) -> None:
    kind, name = series
    write, message = (log.error, "unusually few calls") if few else (log.info, "calls as usual")
    write(
        message,
        kind=kind,
        name=name,
        calls=tally.calls,
        expected=round(tally.expected, 1),
        minutes=round(tally.seconds / 60),
    )


def _known(table: RoutingTable) -> list[Series]:
    trunks: list[Series] = [(Kind.TRUNK, name) for name in table.trunks]
    return [*trunks, *((Kind.ACCOUNT, name) for name in table.directories)]


def _spans(since: float, now: float) -> list[Span]:
    """The times to be judged, the shorter first, all of them with this process there."""
    starts = {max(now - length, since) for length in LENGTHS}
    return [Span(start, now) for start in sorted(starts, reverse=True) if now - start >= SHORTEST]


def _zones(table: RoutingTable) -> Mapping[str, tzinfo]:
    return {
        name: ZoneInfo(tenant.timezone)
        for name, tenant in table.tenants.items()
        if tenant.timezone is not None
    }


async def _counted(
    connection: AsyncConnection, table: RoutingTable, span: Span
) -> tuple[Counter[Series], list[Counter[Series]]]:
    """The calls of this time, and of the same time in each earlier week that has records."""
    first = (await connection.execute(select(func.min(calls.c.began_at)))).scalar()
    zones = _zones(table)
    # An hour earlier, lest a change of the clocks reach before the first record.
    recorded = [
        number
        for number in range(1, WEEKS + 1)
        if first is not None and first <= span.weeks_ago(number, UTC).start - _HOUR
    ]
    weeks = [await _week(connection, zones, span, number) for number in recorded]
    return _by_series(await _origins(connection, span)), weeks


async def _week(
    connection: AsyncConnection, zones: Mapping[str, tzinfo], span: Span, number: int
) -> Counter[Series]:
    """The calls of the same time so many weeks ago, each at its tenant's time of the day."""
    earlier = {tenant: span.weeks_ago(number, zone) for tenant, zone in zones.items()}
    plain = span.weeks_ago(number, UTC)
    found: Counter[Series] = Counter()
    for distinct in {plain, *earlier.values()}:
        counted = await _origins(connection, distinct)
        due = {
            origin: count
            for origin, count in counted.items()
            if earlier.get(origin.tenant, plain) == distinct
        }
        found.update(_by_series(due))
    return found


def _by_series(counted: Mapping[Origin, int]) -> Counter[Series]:
    found: Counter[Series] = Counter()
    for origin, count in counted.items():
        for series in origin.counts_for():
            found[series] += count
    return found


async def _origins(connection: AsyncConnection, span: Span) -> Mapping[Origin, int]:
    grouped = (calls.c.tenant, calls.c.account, calls.c.trunk)
    query = (
        select(*grouped, func.count())
        .where(calls.c.began_at >= span.start, calls.c.began_at < span.end)
        .group_by(*grouped)
    )
    rows = await connection.execute(query)
    return {Origin(tenant, account, trunk): count for tenant, account, trunk, count in rows}
