"""What has been spent, for each of many keys, in the running day and month of its zone."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Final

from sipagent.model import Quota, QuotaScope
from sipagent.routing.moment import day_and_month

WHOLE: Final = 10_000
"""All of a budget, in hundredths of a percent."""


class Period(StrEnum):
    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Crossing:
    """A budget of which so much has just been spent: once for each share of each period.

    `share` is in hundredths of a percent; from 10,000 on there is nothing left.
    """

    key: str = field(repr=False)
    scope: QuotaScope
    name: str = field(repr=False)
    period: Period
    label: str
    share: int
    limit: int

    @property
    def spent(self) -> bool:
        return self.share >= WHOLE


def labels(now_wall: float, zone: str | None) -> Mapping[Period, str]:
    """The day and the month at this time, in the zone: `2026-11-28` and `2026-11`."""
    # Each bill asks for them, and days begin with a minute.
    return _labels(int(now_wall // 60), zone)


@lru_cache(maxsize=1024)
def _labels(minute: int, zone: str | None) -> Mapping[Period, str]:
    day, month = day_and_month(minute * 60.0, zone)
    return {Period.DAY: day, Period.MONTH: month}


class Purse:
    """Micro-dollars by key and period. Periods that are over are forgotten when the next begins."""

    def __init__(self) -> None:
        self._spent: dict[str, dict[str, int]] = {}

    def seed(self, key: str, label: str, micros: int) -> None:
        """So much had been spent for the key in this day or month before the process began."""
        spent = self._spent.setdefault(key, {})
        spent[label] = spent.get(label, 0) + micros

    def spent(self, key: str, label: str) -> int:
        return self._spent.get(key, {}).get(label, 0)

    def sums(self) -> Iterator[tuple[str, str, int]]:
        """All that is known to be spent: key, day or month, micro-dollars."""
        for key, spent in self._spent.items():
            for label, micros in spent.items():
                yield key, label, micros

    def exhausted(self, quota: Quota, now_wall: float) -> Period | None:
        """The period whose budget is used up, if one is."""
        if quota.day is None and quota.month is None:
            return None
        named = labels(now_wall, quota.zone)
        for period, limit in limits(quota):
            if self.spent(quota.key, named[period]) >= limit:
                return period
        return None

    def spend(self, quota: Quota, micros: int, now_wall: float) -> Iterator[Crossing]:
        """Count the money; yields the shares of the quota's budgets that it has just crossed."""
        named = labels(now_wall, quota.zone)
        spent = self._running(quota.key, named)
        for label in named.values():
            spent[label] += micros
        yield from crossings(quota, named, spent, micros)

    def _running(self, key: str, named: Mapping[Period, str]) -> dict[str, int]:
        """What was spent in the running periods, and in those that a clock put back was in
        before."""
        spent = self._spent.get(key, {})
        if not all(label in spent for label in named.values()):
            running = {len(label): label for label in named.values()}
            kept = {label: each for label, each in spent.items() if label >= running[len(label)]}
            spent = self._spent[key] = dict.fromkeys(named.values(), 0) | kept
        return spent


def crossings(
    quota: Quota, named: Mapping[Period, str], spent: Mapping[str, int], micros: int
) -> Iterator[Crossing]:
    """The shares of the quota's budgets that the last `micros` of what has been `spent` crossed."""
    for period, limit in limits(quota):
        label = named[period]
        after = spent[label]
        for share in sorted({*quota.warn_at, WHOLE}):
            if _reached(after, share, limit) and not _reached(after - micros, share, limit):
                yield Crossing(quota.key, quota.scope, quota.name, period, label, share, limit)


def limits(quota: Quota) -> Iterator[tuple[Period, int]]:
    """The quota's budgets, in micro-dollars."""
    if quota.day is not None:
        yield Period.DAY, quota.day
    if quota.month is not None:
        yield Period.MONTH, quota.month


def _reached(spent: int, share: int, limit: int) -> bool:
    return spent * WHOLE >= limit * share
