"""Topics: bounded logs that many viewers read, each at its own pace.

To put an event is one append, however many read it. Whoever waits for news is woken a little later
and a few at a time, so that no crowd of viewers stands between two events of calls; until then what
follows has gathered, and is read in one piece.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Final, Protocol

from sipagent.model.live import LiveEvent

WOKEN_EVERY: Final = 0.004
WOKEN_AT_ONCE: Final = 1
"""Viewers that are woken every so many seconds: 250 a second, which is what they may take of
a process that answers calls. One by one, as an event of a call waits for all that run before it."""


class Sink(Protocol):
    """Takes events, at once."""

    def put(self, event: LiveEvent) -> None: ...


class Pace:
    """Wakes those who wait, a few at a time."""

    def __init__(self, every: float = WOKEN_EVERY, at_once: int = WOKEN_AT_ONCE) -> None:
        self._every = every
        self._at_once = at_once
        self._due: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def wake(self, waiting: Iterable["asyncio.Future[None]"]) -> None:
        self._due.extend(waiting)
        if self._timer is None and self._due:
            self._arm()

    def wake_all(self) -> None:
        """Everybody who is due, now."""
        self._wake(len(self._due))

    def _arm(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._every, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._wake(self._at_once)
        if self._due:
            self._arm()

    def _wake(self, most: int) -> None:
        woken = 0
        while self._due and woken < most:
            one = self._due.popleft()
            if not one.done():
                one.set_result(None)
                woken += 1


@dataclass(frozen=True, slots=True)
class Read:
    """What a viewer has read: events, how many before them it was too slow for, and whether nothing
    will follow."""

    events: tuple[LiveEvent, ...] = ()
    missed: int = 0
    closed: bool = False


class Topic:
    """The last `most` events of something."""

    def __init__(self, pace: Pace, most: int) -> None:
        self._pace = pace
        self._events: deque[LiveEvent] = deque(maxlen=most)
        self._waiting: dict[asyncio.Future[None], None] = {}
        self.count = 0
        self.closed = False
        self.readers = 0

    def put(self, event: LiveEvent) -> None:
        self._events.append(event)
        self.count += 1
        if self._waiting:
            self._rouse()

    def close(self) -> None:
        """Nothing follows: everybody is told so at once."""
        self.closed = True
        self._rouse()
        self._pace.wake_all()

    def ids(self) -> frozenset[str]:
        """Of the events that are still here."""
        return frozenset(event.id for event in self._events)

    def since(self, cursor: int) -> tuple[tuple[LiveEvent, ...], int]:
        """The events from the one with this number on, and how many of them are not here any
        more."""
        first = self.count - len(self._events)
        events = tuple(islice(self._events, max(0, cursor - first), None))
        return events, max(0, first - cursor)

    async def news(self, within: float) -> None:
        """Wait until something is put, or for so many seconds."""
        future = asyncio.get_running_loop().create_future()
        self._waiting[future] = None
        try:
            async with asyncio.timeout(within):
                await future
        except TimeoutError:
            return
        finally:
            self._waiting.pop(future, None)

    def _rouse(self) -> None:
        waiting, self._waiting = self._waiting, {}
        self._pace.wake(waiting)


class Reader:
    """One viewer's place in a topic, which begins with what is put from now on."""

    __slots__ = ("_cursor", "topic")

    def __init__(self, topic: Topic) -> None:
        self.topic = topic
        self._cursor = topic.count

    async def read(self, within: float) -> Read:
        """What has been put since the last time, waited for at most so many seconds."""
        topic = self.topic
        if topic.count == self._cursor and not topic.closed and within > 0:
            await topic.news(within)
        events, missed = topic.since(self._cursor)
        self._cursor = topic.count
        return Read(events, missed, topic.closed and not events)
