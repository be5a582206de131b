"""What a process has written down, read while it runs or after its end."""

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sipagent.model import Mark

ANSWERED = {Mark.ACCEPTED, Mark.ATTACHED, Mark.GREETING, Mark.HEARD, Mark.REFER}


@dataclass(frozen=True, slots=True)
class Used:
    """Bills of responses, as the simulator's ledger counts them."""

    responses: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    def within(self, other: "Used") -> bool:
        """Whether nothing is counted that the other does not count."""
        return (
            self.responses <= other.responses
            and self.input_tokens <= other.input_tokens
            and self.cached_tokens <= other.cached_tokens
            and self.output_tokens <= other.output_tokens
        )


@dataclass(frozen=True, slots=True)
class Recorded:
    """One call in the records."""

    outcome: str | None
    detail: str | None
    ended_at: float | None
    usage_complete: int | None
    tokens: int | None
    turns: int | None
    turns_kept: int


@dataclass(frozen=True, slots=True)
class Remembered:
    """What the engine has of calls that are not settled, and how much else."""

    marks: dict[str, set[str]]
    unsettled: int
    left_over: int


class Books:
    """The files of one data directory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def calls(self, prefix: str) -> dict[str, Recorded]:
        """The records of the calls whose ids begin so."""
        query = (
            "SELECT call_id, outcome, detail, ended_at, usage_complete, tokens, turns,"
            " (SELECT count(*) FROM turns WHERE turns.call_id = calls.call_id)"
            " FROM calls WHERE call_id GLOB ?"
        )
        with self._records() as connection:
            rows = connection.execute(query, (f"{prefix}*",)).fetchall()
        found = {call_id: Recorded(*columns) for call_id, *columns in rows}
        assert len(found) == len(rows)
        return found

    def used(self, prefix: str) -> dict[str, Used]:
        """The recorded bills of these calls, summed up; those of transcriptions are no tokens."""
        query = (
            "SELECT call_id, count(*), sum(text_in + audio_in + image_in),"
            " sum(text_cached + audio_cached + image_cached), sum(text_out + audio_out)"
            " FROM usage WHERE kind = 'response' AND call_id GLOB ? GROUP BY call_id"
        )
        with self._records() as connection:
            rows = connection.execute(query, (f"{prefix}*",)).fetchall()
        return {call_id: Used(*sums) for call_id, *sums in rows}

    def memory(self) -> Remembered:
        """What the engine remembers, of a process that is gone. Its own files are not touched: the
        next process finds them as they were left."""
        with tempfile.TemporaryDirectory() as folder:
            for file in self._folder.glob("engine.sqlite*"):
                shutil.copy(file, folder)
            with closing(sqlite3.connect(Path(folder) / "engine.sqlite")) as connection:
                rows = connection.execute(
                    "SELECT call_id, key FROM claims LEFT JOIN marks USING (id)"
                    " WHERE call IS NOT NULL"
                ).fetchall()
                (unsettled,) = connection.execute(
                    "SELECT count(*) FROM claims WHERE call IS NOT NULL"
                ).fetchone()
                (left,) = connection.execute(
                    "SELECT (SELECT count(*) FROM marks) + (SELECT count(*) FROM outcomes)"
                ).fetchone()
        marks: dict[str, set[str]] = {}
        for call_id, key in rows:
            marks.setdefault(call_id, set()).update(() if key is None else (key,))
        return Remembered(marks, unsettled, left)

    @contextmanager
    def _records(self) -> Iterator[sqlite3.Connection]:
        uri = f"{(self._folder / 'records.sqlite').absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=10)) as connection:
            yield connection
