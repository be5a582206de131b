"""`sipagent calls export`: a tenant's calls of a time as a file."""

import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, Final

import typer

from sipagent.cli.options import DEFAULT_DATA, DataDir, fail
from sipagent.cli.process import USAGE
from sipagent.cli.records import Numbers, Since, Until, as_json, moment, reading

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from sipagent.model import TenantName
    from sipagent.store.reading import CallFilter, Story

_PAGE: Final = 200


class ExportFormat(StrEnum):
    """What is written."""

    JSONL = "jsonl"
    CSV = "csv"


def export(
    tenant: Annotated[str, typer.Option("--tenant", metavar="NAME", help="Whose calls.")],
    since: Since = None,
    until: Until = None,
    form: Annotated[
        ExportFormat, typer.Option("--format", help="One object or one row for each call.")
    ] = ExportFormat.JSONL,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The file to write; else standard output."),
    ] = None,
    transcript: Annotated[bool, typer.Option("--transcript", help="With what was said.")] = False,
    numbers: Numbers = False,
    data_dir: DataDir = DEFAULT_DATA,
) -> None:
    """Write a tenant's calls of a time, the newest first, as JSON lines or CSV.

    Without --since it is all that is kept. A file that is there already is not overwritten. In CSV
    a cell that a spreadsheet would take for a formula begins with an apostrophe.

    Exit codes: 0 written, 2 usage, or the file cannot be written, 3 the database's server was not
    reached, 78 settings or the records cannot be used.
    """
    from sipagent.model import TenantName
    from sipagent.store.reading import CallFilter

    wanted = CallFilter(since=moment(since, "--since"), until=moment(until, "--until", ago=0.0))
    write = _writer(form, numbers=numbers, words=transcript)

    async def read(engine: "AsyncEngine") -> int:
        count = 0
        with _target(out) as file:
            write.begin(file)
            async for stories in _pages(engine, TenantName(tenant), wanted, words=transcript):
                for story in stories:
                    write.call(file, story)
                count += len(stories)
        return count

    count = reading(data_dir, read)
    typer.echo(f"{count:,} call{'' if count == 1 else 's'} exported", err=True)


async def _pages(
    engine: "AsyncEngine", tenant: "TenantName", wanted: "CallFilter", *, words: bool
) -> "AsyncIterator[Sequence[Story]]":
    """Page by page, each in a transaction of its own, so that a long export holds up nobody."""
    from sipagent.model import CallId
    from sipagent.store.reading import list_calls, read_stories

    after = None
    while True:
        async with engine.connect() as connection:
            page = await list_calls(connection, tenant, wanted, limit=_PAGE, after=after)
            ids = [CallId(call.call_id) for call in page.calls]
            stories = await read_stories(connection, tenant, ids, words=words)
        yield stories
        if page.next is None:
            return
        after = page.next


@contextlib.contextmanager
def _target(out: Path | None) -> Iterator[IO[str]]:
    """Where the export goes. A file is this user's only, and is there when it is whole."""
    if out is None:
        with _no_further_than_read():
            yield sys.stdout
            sys.stdout.flush()
        return
    part = out.with_name(f"{out.name}.part")
    try:
        if out.exists():
            fail(USAGE, f"{out}: is there already")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    except OSError as error:
        fail(USAGE, f"{out}: cannot be written: {error.strerror}")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            yield file
        part.replace(out)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _no_further_than_read() -> Iterator[None]:
    """Ends the command quietly where whoever reads its output has read enough (`| head`)."""
    try:
        yield
    except BrokenPipeError:
        # What is still buffered goes nowhere, and Python says nothing of it at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit from None


class _Jsonl:
    """Everything that is kept of a call as one JSON object a line."""

    def __init__(self, *, numbers: bool, words: bool) -> None:
        self._numbers = numbers
        self._words = words

    def begin(self, file: IO[str]) -> None:
        """Nothing stands before the first call."""

    def call(self, file: IO[str], story: "Story") -> None:
        from sipagent.store.shown import shown_story

        data = shown_story(story, numbers=self._numbers, words=self._words)
        file.write(as_json(data, indent=None) + "\n")


class _Csv:
    """One row for each call."""

    def __init__(self, *, numbers: bool, words: bool) -> None:
        self._numbers = numbers
        self._words = words
        self._columns = columns(numbers=numbers, words=words)

    def begin(self, file: IO[str]) -> None:
        self._row(file, self._columns)

    def call(self, file: IO[str], story: "Story") -> None:
        from sipagent.store.shown import said, shown_call

        data = shown_call(story.call, numbers=self._numbers)
        data["tools"] = "\n".join(f"{use.name}: {use.status}" for use in story.tools)
        if self._words:
            data["messages"] = "\n".join(
                f"{name}: {said(text, numbers=self._numbers)}"
                for message in story.messages
                for name, text in message.told.items()
            )
            data["transcript"] = "\n".join(
                f"{turn.speaker}: {said(turn.text or '', numbers=self._numbers)}"
                for turn in story.turns
            )
        self._row(file, [data[name] for name in self._columns])

    def _row(self, file: IO[str], values: Sequence[Any]) -> None:
        from sipagent.store.cells import csv_line

        file.write(csv_line(values))


def columns(*, numbers: bool, words: bool) -> tuple[str, ...]:
    """The columns of a CSV, in their order."""
    from dataclasses import fields

    from sipagent.store.facts import CallRow

    hidden = set() if numbers else {"caller_name"}
    names = [each.name for each in fields(CallRow) if each.name not in hidden]
    return (*names, "seconds", "tools", *(["transcript", "messages"] if words else []))


_WRITERS: Final[dict[ExportFormat, Callable[..., Any]]] = {
    ExportFormat.JSONL: _Jsonl,
    ExportFormat.CSV: _Csv,
}


def _writer(form: ExportFormat, *, numbers: bool, words: bool) -> Any:
    return _WRITERS[form](numbers=numbers, words=words)
