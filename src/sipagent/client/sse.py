"""Server-sent events, read. Pure: bytes in, events out."""

import json
from collections.abc import Iterator
from typing import cast

from sipagent.client.nouns import Event


class Reader:
    """Makes events of a stream's lines. `last` is the id to go on behind, `retry` the seconds after
    which the service wants to be asked again. `begun`: there was a connection; `ended`: the last
    event was a call's end; `over`: the service says that nothing will follow."""

    def __init__(self, last: str | None = None) -> None:
        self.last = last
        self.retry = 2.0
        self.begun = self.ended = self.over = False
        self._data: list[str] = []
        self._id: str | None = None

    def begin(self) -> None:
        """A connection begins: what the one before it has not finished is gone."""
        self.begun, self._data, self._id = True, [], None

    def line(self, line: str) -> Iterator[Event]:
        """The event that this line completes, if it does."""
        if not line:
            yield from self._complete()
            return
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "data":
                self._data.append(value)
            case "id" if "\0" not in value:
                self._id = value
            case "retry" if value.isdigit():
                self.retry = int(value) / 1000

    def _complete(self) -> Iterator[Event]:
        if self._id is not None:
            self.last = self._id
        data, self._data, self._id = self._data, [], None
        if data:
            event = cast("Event", json.loads("\n".join(data)))
            self.ended = event["kind"] == "ended"
            yield event
