"""What one viewer is told: first what is recorded, then what happens, each thing once.

A place is taken among what happens before the records are read, so that nothing falls between the
two. What another replica has not stored by then is looked for again a little later.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from sipagent.model import CallId, TenantName
from sipagent.model.live import LiveEvent, LiveKind
from sipagent.sessions.ports import Clock
from sipagent.store.database import DATABASE_ERRORS
from sipagent.watching import ids, telling
from sipagent.watching.hub import Hub, Numbers
from sipagent.watching.ids import Named
from sipagent.watching.reading import Archive
from sipagent.watching.recalling import behind, place
from sipagent.watching.seen import Seen
from sipagent.watching.telling import NOBODYS, Subject
from sipagent.watching.topics import Read, Reader

HEARTBEAT: Final = 15.0
"""Seconds after which a viewer is told that nothing has happened."""

LOOKS: Final = (1.0, 3.0, 10.0)
"""Seconds after which the records are looked at again: others store what they tell a moment
later."""

DISORDER: Final = 2.0
"""Seconds by which what replicas tell may come in another order than it happened."""

UNKNOWN: Final = 60.0
"""Seconds that are told again to a viewer whose last event is not recorded, or not yet."""

LONGEST_AWAY: Final = 3600.0
"""Seconds that are told to a viewer who comes back; of what was before there is a gap."""

RECORDS_AWAY: Final = "records_away"

Batch = Sequence[LiveEvent]
Batches = AsyncGenerator[Batch, None]


class _Watch:
    """When a viewer has been told something, and when the records are to be looked at again."""

    def __init__(self, clock: Clock, later: Iterable[float]) -> None:
        self._clock = clock
        self._told_at = clock.monotonic()
        self._due = [self._told_at + seconds for seconds in later]

    @property
    def wait(self) -> float:
        """Seconds until there is something to do."""
        next_at = min([self._told_at + HEARTBEAT, *self._due[:1]])
        return max(0.0, next_at - self._clock.monotonic())

    @property
    def silent(self) -> bool:
        """Whether nothing has been told for the time of a heartbeat."""
        return self._clock.monotonic() - self._told_at >= HEARTBEAT

    @property
    def looks(self) -> bool:
        """Whether the records will be looked at again."""
        return bool(self._due)

    def told(self) -> None:
        self._told_at = self._clock.monotonic()

    def due(self) -> bool:
        """Whether a look is due, which is then taken."""
        if not self._due or self._due[0] > self._clock.monotonic():
            return False
        self._due.pop(0)
        return True


class LiveWatch:
    """The control API's `Watch`."""

    def __init__(self, hub: Hub, archive: Archive, clock: Clock, numbers: Numbers) -> None:
        self._hub = hub
        self._archive = archive
        self._clock = clock
        self._numbers = numbers

    @asynccontextmanager
    async def lifecycle(
        self, tenant: TenantName | None, after: str | None = None, *, number: str | None = None
    ) -> AsyncIterator[AsyncIterator[Batch]]:
        with self._hub.board.calls_of(tenant) as reader:
            to = None if number is None else _To(self._forms(tenant, number))
            async with aclosing(self._calls(reader, tenant, after, to)) as batches:
                yield batches

    @asynccontextmanager
    async def call(
        self, call_id: CallId, after: str | None = None
    ) -> AsyncIterator[AsyncIterator[Batch]]:
        with self._hub.board.call(call_id) as reader:
            async with aclosing(self._call(reader, call_id, ids.parse(after))) as batches:
                yield batches

    async def settle(self, call_id: CallId) -> bool:
        here = self._hub.holds(call_id)
        if here:
            await self._archive.settle()
        return here

    async def whose(self, call_id: CallId) -> TenantName | None:
        return self._hub.whose(call_id) or await self._archive.whose(call_id)

    async def _call(self, reader: Reader, call_id: CallId, after: Named | None) -> Batches:
        here = self._hub.holds(call_id)
        seen, watch = Seen(), _Watch(self._clock, () if here else LOOKS)
        await self.settle(call_id)
        recorded = await self._story(call_id)
        seen.fresh(recorded)
        if first := behind(recorded, after):
            yield first
        over = _is_over(recorded)
        while not over:
            read = await reader.read(watch.wait)
            batch = self._read(read, seen, self._subject(call_id))
            # Of one who holds the call, and is gone, nothing would come any more.
            alone = watch.silent and not self._hub.holds(call_id)
            if _has_gap(batch) or watch.due() or alone:
                batch += seen.fresh(await self._story(call_id))
            over = read.closed or _is_over(batch)
            if batch or (watch.silent and not over):
                watch.told()
                yield batch

    async def _calls(
        self, reader: Reader, tenant: TenantName | None, after: str | None, to: "_To | None"
    ) -> Batches:
        # Without a look at the records nothing comes twice: who watches many calls for long would
        # have a long list of them for nothing.
        seen: Seen | None = None
        watch, since = _Watch(self._clock, () if after is None else LOOKS), 0.0
        if after is not None:
            seen = Seen()
            seen.add(after)
            since, gap = await self._place(ids.parse(after), tenant)
            await self._archive.settle()
            if first := [*gap, *seen.fresh(await self._since(tenant, since, to))]:
                yield first
            since = max(since, self._clock.wall() - LOOKS[-1])
        closed = False
        while not closed:
            read = await reader.read(watch.wait)
            batch = self._read(read, seen, NOBODYS)
            if to is not None:
                batch = [one for one in batch if self._is_to(one, to)]
            if seen is not None and watch.due():
                batch += seen.fresh(await self._since(tenant, since, to))
                seen = seen if watch.looks else None
            closed = read.closed
            if batch or (watch.silent and not closed):
                watch.told()
                yield batch

    def _forms(self, tenant: TenantName | None, number: str) -> tuple[str, ...]:
        stored = number if tenant is None else self._numbers.stored(tenant, number)
        return tuple(dict.fromkeys((number, stored)))

    def _is_to(self, event: LiveEvent, to: "_To") -> bool:
        return event.kind is LiveKind.GAP or self._hub.dialed(event.call_id) in to.forms

    def _subject(self, call_id: CallId) -> Subject:
        return Subject(call_id, self._hub.whose(call_id) or NOBODYS.tenant)

    def _read(self, read: Read, seen: Seen | None, of: Subject) -> list[LiveEvent]:
        fresh = list(read.events) if seen is None else seen.fresh(read.events)
        if not read.missed:
            return fresh
        self._hub.board.dropped += read.missed
        return [telling.gap(of, self._clock.wall(), "viewer_too_slow", read.missed), *fresh]

    async def _place(
        self, after: Named | None, tenant: TenantName | None
    ) -> tuple[float, list[LiveEvent]]:
        """Since when a viewer who comes back is to be told, and the gap of what it is not."""
        now = self._clock.wall()
        at = None
        try:
            at = None if after is None else await self._archive.at(after, tenant)
        except DATABASE_ERRORS:
            return now, [telling.gap(NOBODYS, now, RECORDS_AWAY)]
        if at is None:
            return now - UNKNOWN, [telling.gap(NOBODYS, now, "unknown_id")]
        if at < now - LONGEST_AWAY:
            return now - LONGEST_AWAY, [telling.gap(NOBODYS, now, "too_long_ago")]
        return at - DISORDER, []

    async def _since(
        self, tenant: TenantName | None, since: float, to: "_To | None"
    ) -> list[LiveEvent]:
        """How far calls have come since then, as far as it is recorded, or known here."""
        forms = () if to is None else to.forms
        come = self._hub.come_since(tenant, since)
        if to is not None:
            come = [one for one in come if self._is_to(one, to)]
        try:
            recorded = await self._archive.since(tenant, since, forms)
        except DATABASE_ERRORS:
            return [*come, telling.gap(NOBODYS, self._clock.wall(), RECORDS_AWAY)]
        return sorted([*recorded, *come], key=lambda event: event.at)

    async def _story(self, call_id: CallId) -> list[LiveEvent]:
        """All that is recorded of the call, and how far it has come here."""
        come = self._hub.come_of(call_id)
        try:
            recorded = await self._archive.story(call_id)
        except DATABASE_ERRORS:
            return [*come, telling.gap(self._subject(call_id), self._clock.wall(), RECORDS_AWAY)]
        stored = {event.id for event in recorded}
        more = [event for event in come if event.id not in stored]
        return sorted([*recorded, *more], key=place)


@dataclass(frozen=True, slots=True)
class _To:
    """Calls to one number, in the forms in which it may be known."""

    forms: tuple[str, ...] = field(repr=False)


def _has_gap(batch: Batch) -> bool:
    return any(event.kind is LiveKind.GAP for event in batch)


def _is_over(batch: Batch) -> bool:
    return any(event.kind is LiveKind.ENDED for event in batch)
