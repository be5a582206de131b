"""Which events a viewer has been told already. Pure."""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from sipagent.model.live import LiveEvent

MOST: Final = 20_000


class Seen:
    """The ids of the last `most` events."""

    __slots__ = ("_ids", "_most")

    def __init__(self, most: int = MOST) -> None:
        self._ids: OrderedDict[str, None] = OrderedDict()
        self._most = most

    def add(self, event_id: str) -> None:
        self._ids[event_id] = None
        if len(self._ids) > self._most:
            self._ids.popitem(last=False)

    def fresh(self, events: Iterable[LiveEvent]) -> list[LiveEvent]:
        """Those that have not been seen, each once; what has no id is always new."""
        found: list[LiveEvent] = []
        for event in events:
            if event.id:
                if event.id in self._ids:
                    continue
                self.add(event.id)
            found.append(event)
        return found
