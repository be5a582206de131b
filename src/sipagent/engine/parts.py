"""What many claims have in common, written once: sessions and skills of agents, mostly.

A claim of an agent with a few tools is 8 kB, of which what is the call's own is one. To encode
and to write the rest for every call costs as much as all else that the engine does.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final
from weakref import ref

import msgspec

from sipagent.engine.claims import PART, encoded
from sipagent.engine.memory import Statement
from sipagent.model.shared import OfShared

_INSERT: Final = "INSERT OR IGNORE INTO parts VALUES (?, ?)"
_DELETE: Final = "DELETE FROM parts WHERE id = ?"
_SHORTEST: Final = 64
"""Bytes. What is shorter is written where it stands."""


class _Part:
    """A value of the configuration's, as JSON. It has a number once it is a part of the file."""

    __slots__ = ("calls", "id", "json", "met", "source", "tried", "written")

    def __init__(self, source: "ref[Any] | None", json: bytes, number: int = 0) -> None:
        self.source = source
        self.json = json
        self.id = number
        self.met = False
        self.calls = 0
        self.tried = self.written = number > 0

    @property
    def idle(self) -> bool:
        """Whether no claim names it, and none ever will."""
        return self.calls == 0 and (self.source is None or self.source() is None)


class Parts:
    """The parts of one file.

    A value becomes a part when a second call has it: what only one call has, and may hold words of
    its caller's, is written in that call's claim and goes with it. No value is kept alive.
    """

    def __init__(self) -> None:
        self._known = OfShared[object, _Part](self._meet)
        self._stale = False
        self._named: dict[int, _Part] = {}
        self._of: dict[int, list[_Part]] = {}
        self._last = 0

    def adopt(
        self, named: Mapping[int, Iterable[int]], there: Collection[int]
    ) -> Iterator[Statement]:
        """Take over claims with the parts that each names, and the parts that stand in the file;
        gives back what becomes of those that no claim names."""
        for claim, numbers in named.items():
            for number in numbers:
                part = self._named.setdefault(number, _Part(None, b"", number))
                self._name(claim, part)
        for number in there:
            if number not in self._named:
                yield _DELETE, (number,)
        self._last = max([self._last, *self._named, *there], default=0)

    def in_place_of(self, claim: int, value: object) -> object:
        """What is encoded in the claim for the value: its number, or the whole of it."""
        try:
            part = self._known(value)
        except TypeError:  # a plain dict or a tuple: of one call, or not worth it
            return value
        if not part.met or len(part.json) < _SHORTEST:
            part.met = True
            return msgspec.Raw(part.json)
        if not part.id:
            self._last += 1
            part.id = self._last
        self._named[part.id] = part
        self._name(claim, part)
        return {PART: part.id}

    def unwritten(self, claim: int) -> Iterator[Statement]:
        """What has to stand in the file before the claim does."""
        for part in self._of.get(claim, ()):
            if not part.written:
                part.tried = True
                yield _INSERT, (part.id, part.json)

    def wrote(self, claim: int) -> None:
        """What `unwritten` said stands in the file."""
        for part in self._of.get(claim, ()):
            part.written = True

    def taken(self, claim: int) -> "list[_Part]":
        """What the claim names, until this is `let_go` or `put_back`."""
        return self._of.pop(claim, [])

    def put_back(self, claim: int, parts: "list[_Part]") -> None:
        """The claim names what was taken from it, and nothing else."""
        self.let_go(self.taken(claim))
        self._of[claim] = parts

    def let_go(self, parts: "Iterable[_Part]") -> list[Statement]:
        """No claim names these any more; gives back what becomes of the file's parts, also of those
        whose values the configuration has had since the last time and has no more."""
        dropped: list[Statement] = []
        for part in parts:
            part.calls -= 1
            if part.idle:
                dropped += self._drop(part)
        if self._stale:
            self._stale = False
            for part in [one for one in self._named.values() if one.idle]:
                dropped += self._drop(part)
        return dropped

    def _meet(self, value: object) -> _Part:
        """Raises TypeError where nobody could say whether the value is still there."""
        return _Part(ref(value, self._gone), encoded(value))

    def _gone(self, _: object) -> None:
        # Whatever thread this is in: the file's own looks when a call ends.
        self._stale = True

    def _name(self, claim: int, part: _Part) -> None:
        part.calls += 1
        self._of.setdefault(claim, []).append(part)

    def _drop(self, part: _Part) -> list[Statement]:
        del self._named[part.id]
        return [(_DELETE, (part.id,))] if part.tried else []
