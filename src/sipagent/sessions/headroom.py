"""What the provider says is left of an account's limits. Where it is next to nothing, new calls are
refused until it is more: a call that is answered and cannot speak helps nobody.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from sipagent.model import AccountName, CallPlan
from sipagent.sessions.machine.events import RateLimit, RateLimitsTold
from sipagent.sessions.ports import Clock

log = structlog.get_logger(__name__)

LOW: Final = 0.05
"""The share of a limit below which the account takes no new calls."""

ENOUGH: Final = 0.2
"""The share from which on it takes them again, before the limit's time is over."""

LONGEST: Final = 60.0
"""Seconds for which an account takes no new calls at most, whatever the provider says."""

FRESH: Final = 300.0
"""Seconds for which what was told is worth showing."""

MOST_LIMITS: Final = 16
"""Limits of an account that are remembered; the one not heard of for the longest is forgotten."""

_NAME: Final = re.compile(r"[a-z][a-z_]{0,31}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Room:
    """What is left of one limit. Until `short_until` it is too little."""

    share: float
    told_at: float
    short_until: float | None = None

    def short(self, now: float) -> bool:
        return self.short_until is not None and now < self.short_until


def told(room: Room | None, limit: RateLimit, now: float) -> Room | None:
    """What is left of a limit once the provider has told it; None where that says nothing."""
    if limit.limit <= 0 or not _NAME.fullmatch(limit.name):
        return None
    share = min(1.0, max(0.0, limit.remaining / limit.limit))
    if share < LOW:
        return Room(share, now, now + _bounded(limit.reset_seconds))
    keeps = room is not None and room.short(now) and share < ENOUGH
    return Room(share, now, room.short_until if room is not None and keeps else None)


def _bounded(seconds: float) -> float:
    return min(LONGEST, max(0.0, seconds)) if math.isfinite(seconds) else LONGEST


Key = tuple[str, str]
"""A model and a limit's name: each model has limits of its own."""

Rooms = Mapping[Key, Room]


def after(rooms: Rooms, model: str, limits: Iterable[RateLimit], now: float) -> Rooms:
    """What is left of all of an account's limits after some of them have been told."""
    changed = dict(rooms)
    for limit in limits:
        key = (model, limit.name)
        room = told(changed.get(key), limit, now)
        if room is not None:
            changed.pop(key, None)
            changed[key] = room
    while len(changed) > MOST_LIMITS:
        del changed[next(iter(changed))]
    return changed


def short_until(rooms: Rooms, now: float) -> float | None:
    """Until when an account takes no new calls; None where it takes them."""
    short = (room.short_until or now for room in rooms.values() if room.short(now))
    return max(short, default=None)


def shares(rooms: Rooms, now: float) -> Mapping[str, float]:
    """The smallest share that is left of each limit, by its name, as far as was told lately."""
    found: dict[str, float] = {}
    for (_, name), room in rooms.items():
        if room.told_at > now - FRESH:
            found[name] = min(room.share, found.get(name, 1.0))
    return found


class Headroom:
    """What is left to each account, as this process's calls have been told."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rooms: dict[AccountName, Rooms] = {}

    def note(self, account: AccountName, event: RateLimitsTold, model: str) -> None:
        """Take what the provider has told to a call of the account that speaks with this model."""
        now = self._clock.monotonic()
        before = self._rooms.get(account, {})
        rooms = self._rooms[account] = after(before, model, event.limits, now)
        was, until = short_until(before, now), short_until(rooms, now)
        if until is not None and was is None:
            limit, share = min(shares(rooms, now).items(), key=lambda each: each[1])
            log.warning(
                "account takes no new calls",
                account=account,
                limit=limit,
                left=round(share, 3),
                seconds=round(until - now, 1),
            )
        elif until is None and was is not None:
            log.info("account takes calls again", account=account)

    def heed(self, plan: CallPlan, event: RateLimitsTold) -> None:
        """Take what the provider has told to the call of this plan."""
        self.note(plan.account, event, str(plan.session.get("model", "")))

    def lowered(self, account: AccountName) -> float | None:
        """In how many seconds the account takes new calls again; None where it takes them now."""
        now = self._clock.monotonic()
        until = short_until(self._rooms.get(account, {}), now)
        return None if until is None else until - now

    def shares(self) -> Mapping[AccountName, Mapping[str, float]]:
        """The share that is left of each account's limits, as far as is known."""
        now = self._clock.monotonic()
        return {account: shares(rooms, now) for account, rooms in self._rooms.items()}
