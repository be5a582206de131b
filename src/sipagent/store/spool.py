"""What a killed process must not lose stands in a file until the database has it.

A line is written before the call goes on, to the system's memory of files: it outlives this
process, not the machine. Two files take turns, so that what has been stored goes away at once. Of
words only messages are ever in them.
"""

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from sipagent.store.database import make_private
from sipagent.store.rows import COLUMNS, Row, RowKind
from sipagent.store.statements import TABLES

Entry = tuple[RowKind, Row]

_NAMES: Final = ("records.spool.0", "records.spool.1")
_ENCODER: Final = msgspec.json.Encoder()
_WRITING: Final = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC


class Spool:
    """The files of one data directory, and of one process.

    `failing` says that a line could not be written, as where the disk is full: a crash may lose
    what is not stored yet.
    """

    def __init__(self, folder: Path) -> None:
        """The files are open. Raises StoreError."""
        self._files: list[int] = []
        self._paths = [folder / name for name in _NAMES]
        self._active = 0
        self._dirty: set[int] = set()
        self.failing = False
        for path in self._paths:
            make_private(path)
            self._files.append(os.open(path, _WRITING, 0o600))

    def left(self) -> Sequence[Entry]:
        """What processes before this one have not stored; a torn last line is none."""
        found = [path.read_bytes() for path in self._paths]
        self._dirty = {which for which, content in enumerate(found) if content}
        lines = [line for content in found for line in content.splitlines()]
        return [entry for line in lines if (entry := _entry(line)) is not None]

    def add(self, kind: RowKind, row: Row) -> bool:
        """Whether the row outlives this process."""
        return self._write(self._active, _line(kind, row))

    def keep(self, pending: Iterable[Entry]) -> None:
        """The files hold these rows and no others."""
        if not self._dirty:
            return
        lines = b"".join(_line(kind, row) for kind, row in pending)
        stale = set(self._dirty)
        if lines:
            stale = {self._active}
            self._active = 1 - self._active
            if not self._write(self._active, lines):
                return
        emptied = [self._emptied(which) for which in stale]
        self.failing = not all(emptied)

    def close(self) -> None:
        """The files stay with what is in them."""
        for file in self._files:
            os.close(file)
        self._files = []

    def _write(self, which: int, lines: bytes) -> bool:
        self._dirty.add(which)
        try:
            written = os.write(self._files[which], lines)
        except OSError:
            written = 0
        self.failing = self.failing or written != len(lines)
        return written == len(lines)

    def _emptied(self, which: int) -> bool:
        try:
            os.ftruncate(self._files[which], 0)
        except OSError:
            return False
        self._dirty.discard(which)
        return True


def _line(kind: RowKind, row: Row) -> bytes:
    """It begins with a newline as well, so that a torn line before it does not swallow it."""
    return b"\n" + _ENCODER.encode((kind.value, *row)) + b"\n"


def _entry(line: bytes) -> Entry | None:
    """The row of a line. A release before this one may have had fewer columns and a later one
    more: those that are added stand behind all others, and may be empty."""
    try:
        name, *values = json.loads(line)
        kind = RowKind(name)
    except (ValueError, TypeError):
        return None
    columns, table = COLUMNS[kind], TABLES.get(kind)
    missing = columns[len(values) :]
    if table is None or not all(table.c[name].nullable for name in missing):
        return None
    return kind, (*values[: len(columns)], *(None for _ in missing))
