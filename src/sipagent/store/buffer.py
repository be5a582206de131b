"""Rows on their way to the database."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from sipagent.store.rows import Row, RowKind

Entry = tuple[RowKind, Row]

MOST_SPARE: Final = 30_000
"""Rows that may be given up: more than 1,000 calls say and do in a minute."""

FINAL: Final = frozenset(RowKind) - {RowKind.TURN, RowKind.HAPPENING, RowKind.TOOL}
"""Rows that are never given up: all but what was said, done and happened. Messages are none of
these: somebody was promised that they are kept."""


class Buffer:
    """Rows in the order in which they came. Of those that may be given up at most `most` are kept:
    then the oldest goes."""

    def __init__(self, most: int = MOST_SPARE) -> None:
        self._most = most
        self._finals: deque[Entry] = deque()
        self._spare: deque[Entry] = deque()

    def __len__(self) -> int:
        return len(self._finals) + len(self._spare)

    @property
    def finals(self) -> int:
        """How many rows are never given up."""
        return len(self._finals)

    def pending_finals(self) -> Iterator[Entry]:
        return iter(self._finals)

    def add(self, kind: RowKind, row: Row) -> Sequence[Entry]:
        """Keep a row; gives back what is given up for it."""
        (self._finals if kind in FINAL else self._spare).append((kind, row))
        return self._given_up()

    def take(self, most: int) -> list[Entry]:
        """Up to so many of the oldest rows of either sort; they are in the buffer no more."""
        return [
            rows.popleft()
            for rows in (self._finals, self._spare)
            for _ in range(min(most, len(rows)))
        ]

    def put_back(self, entries: Iterable[Entry]) -> Sequence[Entry]:
        """What was taken is there again, before all others; gives back what is given up for it."""
        for entry in reversed(list(entries)):
            (self._finals if entry[0] in FINAL else self._spare).appendleft(entry)
        return self._given_up()

    def _given_up(self) -> Sequence[Entry]:
        over = len(self._spare) - self._most
        return [self._spare.popleft() for _ in range(over)]
