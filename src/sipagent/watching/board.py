"""Who watches what: the topics of this process, and the other replicas that watch its calls."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol

from sipagent.model import CallId, TenantName
from sipagent.model.live import LIFECYCLE, LiveEvent
from sipagent.watching import telling
from sipagent.watching.seen import Seen
from sipagent.watching.telling import NOBODYS, Subject
from sipagent.watching.topics import Pace, Reader, Sink, Topic

MOST_OF_CALL: Final = 512
MOST_OF_ALL: Final = 2048
"""Events that a topic holds: one call's, and many calls'."""

MOST_HEARD: Final = 5000
"""Calls that are known without being held here."""


class Outward(Sink, Protocol):
    """Another replica, which watches some of our calls."""

    @property
    def lifecycle(self) -> bool: ...

    @property
    def calls(self) -> frozenset[CallId]: ...


@dataclass(frozen=True, slots=True)
class Heard:
    """What is known of a call that somebody else holds, or that is over."""

    tenant: TenantName
    dialed: str | None = field(repr=False)


class Board:
    """The topics. `watched` has who is told of each call that somebody watches, `everything` is
    whether somebody watches all calls, `dropped` counts what viewers and replicas have missed."""

    def __init__(self) -> None:
        self.watched: dict[CallId, tuple[Sink, ...]] = {}
        self.everything = False
        self.wanted: Callable[[], None] = lambda: None
        self.dropped = 0
        self._pace = Pace()
        self._heard: OrderedDict[CallId, Heard] = OrderedDict()
        self._told = Seen()
        self._of_call: dict[CallId, Topic] = {}
        self._of_tenant: dict[TenantName | None, Topic] = {}
        self._outward: tuple[Outward, ...] = ()
        self._closed = False

    def tell(self, event: LiveEvent) -> None:
        """Something has happened to a call of ours."""
        sinks = self.watched.get(event.call_id, ())
        for sink in sinks:
            sink.put(event)
        if event.kind in LIFECYCLE and self.everything:
            self._tell_all(event)
            for one in self._outward:
                if one.lifecycle and one not in sinks:
                    one.put(event)

    def receive(self, event: LiveEvent, dialed: str | None = None) -> None:
        """Something has happened to a call of another replica's."""
        if event.kind in LIFECYCLE:
            self.hear(event.call_id, Heard(event.tenant, dialed))
            self._tell_all(event)
        if (topic := self._of_call.get(event.call_id)) is not None:
            topic.put(event)

    @contextmanager
    def calls_of(self, tenant: TenantName | None) -> Iterator[Reader]:
        """A place among what happens to the tenant's calls from now on, or to all."""
        topic = self._of_tenant.get(tenant)
        if topic is None:
            topic = self._of_tenant[tenant] = self._topic(MOST_OF_ALL)
            self._look()
        topic.readers += 1
        try:
            yield Reader(topic)
        finally:
            topic.readers -= 1
            if not topic.readers:
                del self._of_tenant[tenant]
                self._look()

    @contextmanager
    def call(self, call_id: CallId) -> Iterator[Reader]:
        """A place among what happens to this call from now on."""
        topic = self._of_call.get(call_id)
        if topic is None:
            topic = self._of_call[call_id] = self._topic(MOST_OF_CALL)
            self._look_at(call_id)
        topic.readers += 1
        try:
            yield Reader(topic)
        finally:
            topic.readers -= 1
            if not topic.readers:
                del self._of_call[call_id]
                self._look_at(call_id)

    def hear(self, call_id: CallId, heard: Heard) -> None:
        """This is known of a call that is not held here."""
        self._heard[call_id] = heard
        if len(self._heard) > MOST_HEARD:
            self._heard.popitem(last=False)

    def heard(self, call_id: CallId) -> Heard | None:
        return self._heard.get(call_id)

    @property
    def viewers(self) -> int:
        """How many watch now."""
        topics = (*self._of_tenant.values(), *self._of_call.values())
        return sum(topic.readers for topic in topics)

    def close(self) -> None:
        """All streams end, now; those that are opened from now on as well."""
        self._closed = True
        for topic in (*self._of_call.values(), *self._of_tenant.values()):
            topic.close()

    @property
    def calls_watched(self) -> tuple[CallId, ...]:
        """By viewers of this process."""
        return tuple(self._of_call)

    @property
    def tenants_watched(self) -> tuple[TenantName | None, ...]:
        """Whose calls viewers of this process watch; None is everybody's."""
        return tuple(self._of_tenant)

    def tell_to(self, outward: Iterable[Outward]) -> None:
        """These are the replicas that watch our calls from now on."""
        self._outward = tuple(outward)
        wished = {call_id for one in self._outward for call_id in one.calls}
        for call_id in {*self._of_call, *self.watched, *wished}:
            self._place(call_id)
        self._see()

    def news(self, events: Iterable[LiveEvent]) -> list[LiveEvent]:
        """Those of these events that no topic has."""
        topics = (*self._of_tenant.values(), *self._of_call.values())
        known = frozenset[str]().union(*(topic.ids() for topic in topics))
        return [event for event in events if event.id not in known]

    def missed(self, why: str, at: float, ours: Callable[[CallId], bool]) -> None:
        """Something of other replicas' calls has not come here: whoever may have been told of it
        learns so."""
        for call_id, topic in self._of_call.items():
            if not ours(call_id):
                heard = self._heard.get(call_id)
                tenant = TenantName("") if heard is None else heard.tenant
                topic.put(telling.gap(Subject(call_id, tenant), at, why))
        for topic in self._of_tenant.values():
            topic.put(telling.gap(NOBODYS, at, why))

    def _tell_all(self, event: LiveEvent) -> None:
        """Once: what was read from the records of another replica's calls may come from it, too."""
        if not self._told.fresh([event]):
            return
        for tenant in (event.tenant, None):
            if (topic := self._of_tenant.get(tenant)) is not None:
                topic.put(event)

    def _topic(self, most: int) -> Topic:
        topic = Topic(self._pace, most)
        topic.closed = self._closed
        return topic

    def _look(self) -> None:
        self._see()
        self.wanted()

    def _see(self) -> None:
        self.everything = bool(self._of_tenant) or any(one.lifecycle for one in self._outward)

    def _look_at(self, call_id: CallId) -> None:
        self._place(call_id)
        self.wanted()

    def _place(self, call_id: CallId) -> None:
        """Write down who watches a call."""
        topic = self._of_call.get(call_id)
        sinks: list[Sink] = [] if topic is None else [topic]
        sinks += [one for one in self._outward if call_id in one.calls]
        if sinks:
            self.watched[call_id] = tuple(sinks)
        else:
            self.watched.pop(call_id, None)
