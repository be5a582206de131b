"""Server-sent events, read. Pure: bytes in, events out."""

import json
import re
from collections.abc import Iterator
from typing import Final, cast

from sipagent.client.nouns import Event

LONGEST_LINE: Final = 1024 * 1024
_ENDS: Final = re.compile(rb"\r\n|\r|\n")
_LONGEST_RETRY: Final = 9
"""Digits."""


class Lines:
    """Cuts a stream's bytes into lines where the format ends them and nowhere else: people say
    what Unicode takes for an end. Raises ValueError for a line that does not end."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._returned = False

    def of(self, piece: bytes) -> Iterator[str]:
        """The lines that this piece ends, wherever it was cut."""
        if not piece:
            return
        if self._returned and piece.startswith(b"\n"):
            piece = piece[1:]  # the other half of an end that was cut
        self._returned = piece.endswith(b"\r")
        first, *others = _ENDS.split(piece)
        self._add(first)
        for start in others:
            line = self._rest.decode("utf-8", "replace")
            self._rest.clear()
            self._add(start)
            yield line

    def _add(self, part: bytes) -> None:
        if len(self._rest) + len(part) > LONGEST_LINE:
            raise ValueError("the line is too long")
        self._rest += part


class Reader:
    """Makes events of a stream's bytes. `last` is the id to go on behind, `retry` the seconds after
    which the service wants to be asked again. `begun`: there was a connection; `ended`: the last
    event was a call's end; `over`: the service says that nothing will follow.
    Raises ValueError for what is no event."""

    def __init__(self, last: str | None = None) -> None:
        self.last = last
        self.retry = 2.0
        self.begun = self.ended = self.over = False
        self._data: list[str] = []
        self._id: str | None = None
        self._lines = Lines()

    def begin(self) -> None:
        """A connection begins: what the one before it has not finished is gone."""
        self.begun, self._data, self._id, self._lines = True, [], None, Lines()

    def feed(self, piece: bytes) -> Iterator[Event]:
        """The events that this piece completes."""
        for line in self._lines.of(piece):
            yield from self.line(line)

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
            case "retry" if value.isascii() and value.isdigit() and len(value) <= _LONGEST_RETRY:
                self.retry = int(value) / 1000

    def _complete(self) -> Iterator[Event]:
        if self._id is not None:
            self.last = self._id
        data, self._data, self._id = self._data, [], None
        if data:
            read = json.loads("\n".join(data))
            if not isinstance(read, dict) or "kind" not in read:
                raise ValueError("no event")
            event = cast("Event", read)
            self.ended = event["kind"] == "ended"
            yield event
