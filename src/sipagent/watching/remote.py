"""Replicas that watch each other's calls.

Each says every few seconds, to all of them, what is watched there; that holds for a lease. Whoever
holds such a call, or comes to hold it, tells of it on the channel of those who watch, a few times a
second and much at once. So nothing is sent that nobody watches, and a call may change hands.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec
import structlog

from sipagent.concurrency import TaskOwner
from sipagent.errors import EngineError
from sipagent.model import CallId
from sipagent.model.ids import is_call_id
from sipagent.model.live import LIFECYCLE, LiveEvent
from sipagent.sessions.ports import Clock
from sipagent.watching.hub import Hub

log = structlog.get_logger(__name__)

WISHED_EVERY: Final = 5.0
LEASE: Final = 15.0
"""Seconds between two wishes, and for which one holds."""

SENT_EVERY: Final = 0.05
MOST_WAITING: Final = 2000
"""Events that wait to be sent to one replica; of more the oldest are given up."""

MOST_AT_ONCE: Final = 200
LARGEST: Final = 48 * 1024
"""Events, and bytes of them, in one notice."""

MOST_WISHED: Final = 500
"""Calls in one notice."""

MOST_CALLS: Final = 5000
"""Calls that one replica may watch."""

_WISH: Final = "watch"
_TOLD: Final = "told"
_NOTICE: Final = 2048

Notice = Mapping[str, Any]


class Notices(Protocol):
    """What replicas tell each other. `listening` is set while this one hears the others."""

    @property
    def listening(self) -> asyncio.Event: ...

    def on(self, do: str, handle: Callable[[Notice], None]) -> None: ...

    async def tell_all(self, notice: Notice) -> int: ...

    async def tell(self, replica: str, notice: Notice) -> int: ...


class Told(msgspec.Struct, frozen=True):
    """An event on its way to another replica, with the number that its call came to."""

    event: LiveEvent
    dialed: str | None = None


class Outbound:
    """A replica that watches calls of ours, and what it has not been told yet."""

    def __init__(self, replica: str, dialed: Callable[[CallId], str | None]) -> None:
        self.replica = replica
        self.until = 0.0
        self.lifecycle = False
        self.calls: frozenset[CallId] = frozenset()
        self.stir: Callable[[], None] = lambda: None
        self.missed = 0
        self.dropped = 0
        self._dialed = dialed
        self._waiting: deque[Told] = deque()

    def put(self, event: LiveEvent) -> None:
        dialed = self._dialed(event.call_id) if event.kind in LIFECYCLE else None
        self._waiting.append(Told(event, dialed))
        if len(self._waiting) > MOST_WAITING:
            self._waiting.popleft()
            self.give_up(1)
        if len(self._waiting) == 1:
            self.stir()

    def give_up(self, count: int) -> None:
        """So many events will never be told."""
        self.missed += count
        self.dropped += count

    def pieces(self) -> Iterator[tuple[int, list[Any]]]:
        """All that waits, in notices of a size that is taken, with how many events each has; what
        is too large for any is given up."""
        while self._waiting:
            size, events = _NOTICE, list[Any]()
            while self._waiting and len(events) < MOST_AT_ONCE:
                length = len(msgspec.json.encode(self._waiting[0]))
                if events and size + length > LARGEST:
                    break
                told = self._waiting.popleft()
                if size + length > LARGEST:
                    self.give_up(1)
                    continue
                size += length
                events.append(msgspec.to_builtins(told))
            yield len(events), events


class Remote:
    """Tells other replicas what is watched here, and of our calls what they watch. As a context it
    does so; `away` while what others tell may not come here."""

    def __init__(self, hub: Hub, notices: Notices, replica: str, clock: Clock) -> None:
        self._hub = hub
        self._notices = notices
        self._replica = replica
        self._clock = clock
        self._outbound: dict[str, Outbound] = {}
        self._wishing = asyncio.Event()
        self._sending = asyncio.Event()
        self._lost = 0
        self._unheard = False
        self._has_wished = False
        self._tasks = TaskOwner(_crashed, apart=True)
        hub.board.wanted = self._wishing.set
        notices.on(_WISH, self._wished)
        notices.on(_TOLD, self._told)

    async def __aenter__(self) -> "Remote":
        self._tasks.start(self._wish_for_ever(), name="watch wishes")
        self._tasks.start(self._send_for_ever(), name="watch sending")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._tasks.cancel(1.0)

    @property
    def away(self) -> bool:
        return self._unheard or not self._notices.listening.is_set()

    @property
    def dropped(self) -> int:
        """Events that other replicas have missed."""
        return self._lost + sum(one.dropped for one in self._outbound.values())

    async def _wish_for_ever(self) -> None:
        """Wishes go out at once when something is newly watched, and again before they lapse."""
        while True:
            self._wishing.clear()
            await self._wish()
            self._lapse()
            try:
                async with asyncio.timeout(WISHED_EVERY):
                    await self._wishing.wait()
            except TimeoutError:
                continue
            await asyncio.sleep(SENT_EVERY)  # who comes with many comes with all of them

    async def _wish(self) -> None:
        calls = self._hub.board.calls_watched[:MOST_CALLS]
        lifecycle = bool(self._hub.board.tenants_watched)
        if not calls and not lifecycle and not self._has_wished:
            self._unheard = False
            return
        self._has_wished = bool(calls) or lifecycle  # that nothing is watched any more is said once
        try:
            for at in range(0, max(1, len(calls)), MOST_WISHED):
                notice = {
                    "do": _WISH,
                    "from": self._replica,
                    "calls": calls[at : at + MOST_WISHED],
                    "lifecycle": lifecycle,
                    "more": at > 0,
                }
                await self._notices.tell_all(notice)
            self._unheard = False
        except EngineError:
            self._unheard = True

    def _wished(self, notice: Notice) -> None:
        """Another replica watches these calls for the time of a lease."""
        name = str(notice["from"])
        if name == self._replica:
            return
        calls = frozenset(CallId(one) for one in notice["calls"] if is_call_id(one))
        known = self._outbound.get(name)
        if known is None:
            known = self._outbound[name] = Outbound(name, self._hub.dialed)
            known.stir = self._sending.set
        elif notice.get("more"):
            calls |= known.calls
        lifecycle = bool(notice["lifecycle"])
        changed = (known.calls, known.lifecycle) != (calls, lifecycle)
        known.calls, known.lifecycle = calls, lifecycle
        known.until = self._clock.monotonic() + LEASE
        if changed:
            self._hub.board.tell_to(self._outbound.values())

    def _lapse(self) -> None:
        """Whoever has not wished for the time of a lease watches nothing any more."""
        now = self._clock.monotonic()
        over = [name for name, one in self._outbound.items() if one.until <= now]
        for name in over:
            self._lost += self._outbound.pop(name).dropped
        if over:
            self._hub.board.tell_to(self._outbound.values())

    async def _send_for_ever(self) -> None:
        while True:
            await self._sending.wait()
            await asyncio.sleep(SENT_EVERY)
            self._sending.clear()
            for one in tuple(self._outbound.values()):
                await self._send(one)

    async def _send(self, one: Outbound) -> None:
        for count, events in one.pieces():
            missed, one.missed = one.missed, 0
            notice = {"do": _TOLD, "from": self._replica, "events": events, "missed": missed}
            try:
                told = await self._notices.tell(one.replica, notice)
            except EngineError:
                told = 0
            if not told:
                one.missed += missed
                one.give_up(count)

    def _told(self, notice: Notice) -> None:
        """Another replica tells of its calls."""
        if notice.get("missed"):
            self._hub.missed("replica_too_slow")
        for told in msgspec.convert(notice["events"], Sequence[Told]):
            self._hub.board.receive(told.event, told.dialed)


def _crashed(name: str, crash: BaseException) -> None:
    log.error("task crashed", task=name, error=type(crash).__name__, exc_info=crash)
