"""`sipagent why`: why a call, or the calls of a time, went as they went."""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sipagent.cli.options import DEFAULT_DATA, DataDir, Format
from sipagent.cli.records import Numbers, TenantOption, Until, as_json, reading, span, whose

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from sipagent.store.reading import Survey, Unrouted


def why(
    call: Annotated[
        str | None,
        typer.Argument(metavar="[CALL]", help="The call's id, its webhook's, or the carrier's."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="In place of a call: all since 30m, 2h, 3d or a time."),
    ] = None,
    until: Until = None,
    tenant: TenantOption = None,
    numbers: Numbers = False,
    output: Annotated[Format, typer.Option("--format", help="How it is printed.")] = Format.TEXT,
    data_dir: DataDir = DEFAULT_DATA,
) -> None:
    """Say in plain sentences why a call went as it went, or what the failed calls of a time share.

    Of a call: what was decided and by which rule, what happened, how it ended and who is at fault,
    what it cost, and what to do about it. Of a time: how many calls failed or were lost, which ends
    were one incident, and which numbers lead nowhere; those are told in full, all others masked.

    Exit codes: 0 told, 1 there is no such call, 2 usage, 3 the database's server was not reached,
    78 settings or the records cannot be used.
    """
    if (call is None) == (since is None):
        raise typer.BadParameter("give a CALL or --since, not both or neither")
    if call is None:
        _of_span(since, until, tenant, data_dir, output)
    else:
        _of_call(call, tenant, data_dir, output, numbers=numbers)


def _of_call(
    name: str, tenant: str | None, data_dir: Path, output: Format, *, numbers: bool
) -> None:
    from sipagent.cli.calls import story_or_exit
    from sipagent.store.why import tell

    story = story_or_exit(data_dir, tenant, name, words=False)
    told = tell(story, numbers=numbers)
    if output is Format.JSON:
        typer.echo(as_json({"call_id": story.call.call_id, **asdict(told)}))
        return
    _print(
        ("What was decided", told.decided),
        ("What happened", told.happened),
        ("How it ended", told.ended),
        ("What it cost", told.cost),
        ("What to do", told.to_do),
    )


def _of_span(
    since: str | None, until: str | None, tenant: str | None, data_dir: Path, output: Format
) -> None:
    from sipagent.store.reading import survey, unrouted_numbers
    from sipagent.store.why import tell_span

    begin, end = span(since, until, ago=3600.0)
    whom, _ = whose(tenant)

    async def read(engine: "AsyncEngine") -> "tuple[Survey, tuple[Unrouted, ...]]":
        async with engine.connect() as connection:
            return (
                await survey(connection, whom, since=begin, until=end),
                await unrouted_numbers(connection, whom, since=begin, until=end, limit=10),
            )

    found, unrouted = reading(data_dir, read)
    told = tell_span(found, unrouted, since=begin, until=end)
    if output is Format.JSON:
        typer.echo(as_json(asdict(told)))
        return
    _print(
        ("What there was", told.counted),
        ("At once", told.incidents),
        ("What the failed calls share", told.shared),
        ("How they failed", told.outcomes),
        ("What agents did", told.tools),
        ("Numbers that lead nowhere", told.unrouted),
    )


def _print(*parts: tuple[str, Iterable[str]]) -> None:
    """Each part below its title; an empty one is left out."""
    gap = False
    for title, sentences in parts:
        lines = list(sentences)
        if not lines:
            continue
        if gap:
            typer.echo("")
        gap = True
        typer.echo(title)
        for line in lines:
            typer.echo(f"  {line}")
