"""Where a call may be sent while an agent holds it, and when somebody is there."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sipagent.errors import TemplateError
from sipagent.model import (
    CallFacts,
    Destination,
    DestinationName,
    Reachable,
    Schedule,
    rendered,
)
from sipagent.routing.circumstances import Circumstances, place_facts, target_of

HORIZON: Final = timedelta(minutes=65)
"""How far opening hours are looked up: the longest call, and some minutes."""

_MOST_SPANS: Final = 24

Spans = tuple[tuple[float, float], ...]


@dataclass(slots=True)
class Places:
    """The destinations of the tenant whose agents answer, for one call."""

    around: Circumstances
    _facts: CallFacts | None = None

    def reached(self, first: Iterable[DestinationName]) -> tuple[Reachable, ...]:
        """These destinations and all that follow where nobody takes the call there, in that order.
        What cannot be made for this call is left out, also as what follows."""
        known = self.around.answering_tenant.destinations
        found = {
            name: place
            for name in chain_of(known, first)
            if (place := self._reachable(known[name])) is not None
        }
        return tuple(
            place
            if all(_stays(step, known, found) for step in place.on_failure)
            else Reachable(
                place.destination,
                place.refer_to,
                place.open,
                tuple(step for step in place.on_failure if _stays(step, known, found)),
            )
            for place in found.values()
        )

    def _reachable(self, destination: Destination) -> Reachable | None:
        try:
            refer_to = target_of(self.around, destination, self._place_facts(destination))
            hours = self._open(destination)
        except (TemplateError, LookupError):
            return None
        return Reachable(destination.name, refer_to, hours, destination.on_failure)

    def _open(self, destination: Destination) -> Spans | None:
        """Raises TemplateError, or LookupError for hours that there are not."""
        if destination.hours is None:
            return None
        facts = self._place_facts(destination)
        name = destination.hours if facts is None else rendered(destination.hours, facts)
        assert isinstance(name, str)
        schedule = self.around.answering_tenant.hours[name.strip()]
        return spans_of(schedule, self.around.moment.local)

    def _place_facts(self, destination: Destination) -> CallFacts | None:
        """The facts that the destination's templates read; None where it has none."""
        if isinstance(destination.to, str) and isinstance(destination.hours, str | None):
            return None
        if self._facts is None:
            self._facts = place_facts(self.around)
        return self._facts


def chain_of(
    known: Mapping[DestinationName, Destination], first: Iterable[DestinationName]
) -> tuple[DestinationName, ...]:
    """These destinations and those that follow where nobody takes the call there, each once."""
    found: dict[DestinationName, None] = {}
    waiting = list(first)
    while waiting:
        name = waiting.pop(0)
        if name in known and name not in found:
            found[name] = None
            waiting += map(DestinationName, known[name].on_failure)
    return tuple(found)


def spans_of(schedule: Schedule, now: datetime) -> Spans:
    """When it is open within the horizon, in seconds from now."""
    spans: list[tuple[float, float]] = []
    end = now + HORIZON
    at: datetime | None = now
    while at is not None and at < end and len(spans) < _MOST_SPANS:
        opens = schedule.next_opening(at)
        if opens is None or opens >= end:
            break
        closes = schedule.next_closing(opens)
        until = end if closes is None else min(closes, end)
        if until <= opens:
            break
        spans.append(((opens - now).total_seconds(), (until - now).total_seconds()))
        at = until
    return tuple(spans)


def _stays(
    step: str,
    known: Mapping[DestinationName, Destination],
    found: Mapping[DestinationName, Reachable],
) -> bool:
    """Whether a step can be taken in this call: a destination that there is, or no destination."""
    return step in found or step not in known
