"""`sipagent calls`: the records of calls, listed, shown, followed and searched."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from sipagent.cli.export import export
from sipagent.cli.options import DEFAULT_DATA, DataDir, Format, fail, table
from sipagent.cli.process import FINDINGS
from sipagent.cli.records import (
    AccountOption,
    AgentOption,
    CallerOption,
    Dialed,
    Limit,
    Live,
    Numbers,
    OutcomeOption,
    Since,
    TenantOption,
    TrunkOption,
    Until,
    as_json,
    filter_of,
    reading,
    span,
    stored_forms,
    whose,
)
from sipagent.cli.tail import tail

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from sipagent.store.reading import CallRow, Cursor, Hit, Page, Story, Unrouted

_MONTH: Final = 31 * 86400.0
_WEEK: Final = 7 * 86400.0

app = typer.Typer(
    help="List, show, follow, search and export the records of calls.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command()(tail)
app.command()(export)

CallArgument = Annotated[
    str,
    typer.Argument(metavar="CALL", help="The call's id, its webhook's, or the carrier's for it."),
]
Output = Annotated[Format, typer.Option("--format", help="How it is printed.")]


@app.command("list")
def list_(
    tenant: TenantOption = None,
    agent: AgentOption = None,
    outcome: OutcomeOption = None,
    since: Since = None,
    until: Until = None,
    dialed: Dialed = None,
    caller: CallerOption = None,
    trunk: TrunkOption = None,
    account: AccountOption = None,
    live: Live = False,
    limit: Limit = 50,
    after: Annotated[
        str | None, typer.Option(metavar="CURSOR", help="Go on after a page that ended with this.")
    ] = None,
    numbers: Numbers = False,
    output: Output = Format.TEXT,
    data_dir: DataDir = DEFAULT_DATA,
) -> None:
    """List calls, the newest first.

    Telephone numbers are masked unless --numbers is given.

    Exit codes: 0 listed, 2 usage, 3 the database's server was not reached, 78 settings or the
    records cannot be used.
    """
    from sipagent.store.reading import list_calls
    from sipagent.store.shown import shown_call

    whom, named = whose(tenant, agent)
    to = stored_forms(dialed, "--dialed", whom, data_dir)
    from_ = stored_forms(caller, "--caller", whom, data_dir)
    wanted = filter_of(named, outcome, since, until, to, from_, trunk, account, live)
    place = _cursor(after)

    async def read(engine: "AsyncEngine") -> "Page":
        async with engine.connect() as connection:
            return await list_calls(connection, whom, wanted, limit=limit, after=place)

    page = reading(data_dir, read)
    if output is Format.JSON:
        calls = [shown_call(call, numbers=numbers) for call in page.calls]
        typer.echo(as_json({"calls": calls, "next": page.next and str(page.next)}))
        return
    for line in call_table(page.calls, numbers=numbers):
        typer.echo(line)
    if page.next is not None:
        typer.echo(f"there are more: --after {page.next}", err=True)


@app.command()
def show(
    call: CallArgument,
    tenant: TenantOption = None,
    transcript: Annotated[
        bool, typer.Option("--transcript", help="Show what was said, too.")
    ] = False,
    numbers: Numbers = False,
    output: Output = Format.TEXT,
    data_dir: DataDir = DEFAULT_DATA,
) -> None:
    """Show everything that is kept of one call.

    `sipagent why CALL` tells the same call in sentences.

    Exit codes: 0 shown, 1 there is no such call, 2 usage, 3 the database's server was not reached,
    78 settings or the records cannot be used.
    """
    from sipagent.cli.showing import story_lines
    from sipagent.store.shown import shown_story

    story = story_or_exit(data_dir, tenant, call, words=transcript)
    if output is Format.JSON:
        typer.echo(as_json(shown_story(story, numbers=numbers, words=transcript)))
        return
    for line in story_lines(story, numbers=numbers, words=transcript):
        typer.echo(line)


@app.command()
def search(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What was said, in any case.")],
    tenant: Annotated[str, typer.Option("--tenant", metavar="NAME", help="Whose calls.")],
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    numbers: Numbers = False,
    output: Output = Format.TEXT,
    data_dir: DataDir = DEFAULT_DATA,
) -> None:
    """Search what was said in a tenant's calls of at most 31 days, the newest first.

    Exit codes: 0 found, 1 nothing was found, 2 usage, 3 the database's server was not reached,
    78 settings or the records cannot be used.
    """
    from sipagent.model import TenantName
    from sipagent.store.reading import LONGEST_SEARCH, search_turns
    from sipagent.store.shown import iso, said
    from sipagent.store.why.wording import at, plain

    begin, end = span(since, until, ago=_MONTH, most=LONGEST_SEARCH)
    if not text.strip():
        raise typer.BadParameter("write what to search for", param_hint="TEXT")

    async def read(engine: "AsyncEngine") -> "tuple[Hit, ...]":
        async with engine.connect() as connection:
            return await search_turns(
                connection,
                TenantName(tenant),
                text,
                since=max(begin, end - LONGEST_SEARCH),
                until=end,
                limit=limit,
            )

    hits = reading(data_dir, read)
    if output is Format.JSON:
        found = [
            {
                "call_id": hit.call_id,
                "at": iso(hit.at),
                "speaker": hit.speaker,
                "text": said(hit.text, numbers=numbers),
            }
            for hit in hits
        ]
        typer.echo(as_json(found))
    else:
        for hit in hits:
            words = plain(hit.text, numbers=numbers)
            typer.echo(f"{at(hit.at)}  {hit.call_id}  {hit.speaker}: {words}")
    if not hits:
        fail(FINDINGS, "nothing was found")


@app.command()
def unrouted(
    since: Since = None,
    until: Until = None,
    tenant: TenantOption = None,
    agent: Annotated[
        str | None, typer.Option(metavar="NAME", help="The agent that the lines name.")
    ] = None,
    limit: Limit = 50,
    output: Output = Format.TEXT,
    data_dir: DataDir = DEFAULT_DATA,
) -> None:
    """List numbers that were dialed and lead nowhere, with the lines that would route them.

    The lines belong below `numbers:` of the agents file. Numbers are told in full; anybody who
    knows the project can have any number dialed, so add only those that are yours.

    Exit codes: 0 there is none, 1 there are some, 2 usage, 3 the database's server was not
    reached, 78 settings or the records cannot be used.
    """
    from sipagent.store.reading import unrouted_numbers
    from sipagent.store.why import AGENT, tell_unrouted

    whom, _ = whose(tenant)
    begin, end = span(since, until, ago=_WEEK)

    async def read(engine: "AsyncEngine") -> "tuple[Unrouted, ...]":
        async with engine.connect() as connection:
            return await unrouted_numbers(connection, whom, since=begin, until=end, limit=limit)

    found = reading(data_dir, read)
    if output is Format.JSON:
        print_unrouted(found, agent or AGENT)
    else:
        for one in found:
            for line in tell_unrouted(one, agent or AGENT):
                typer.echo(line)
        if not found:
            typer.echo("every number that was dialed leads somewhere")
    if found:
        raise typer.Exit(FINDINGS)


def unrouted_data(found: "Sequence[Unrouted]", agent: str) -> list[dict[str, Any]]:
    """Unrouted numbers as plain data."""
    from dataclasses import asdict

    from sipagent.store.shown import iso
    from sipagent.store.why import line_to_paste

    return [
        {
            **asdict(one),
            "first_at": iso(one.first_at),
            "last_at": iso(one.last_at),
            "line": None if one.dialed is None else line_to_paste(one.dialed, agent).strip(),
        }
        for one in found
    ]


def print_unrouted(found: "Sequence[Unrouted]", agent: str) -> None:
    typer.echo(as_json(unrouted_data(found, agent)))


def story_or_exit(data_dir: Path, tenant: str | None, name: str, *, words: bool) -> "Story":
    """The story of the call that has this name, or the end with 1. Of several that a carrier calls
    by one name it is the newest's; the others are told on standard error."""
    from sipagent.config.words import quoted
    from sipagent.store.reading import find_calls, read_story

    whom, _ = whose(tenant)
    if not name.strip():
        raise typer.BadParameter("write a call's id", param_hint="CALL")

    async def read(engine: "AsyncEngine") -> "tuple[Story | None, Sequence[str]]":
        async with engine.connect() as connection:
            found = await find_calls(connection, whom, name.strip())
            if not found:
                return None, ()
            return await read_story(connection, whom, found[0], words=words), found[1:]

    story, others = reading(data_dir, read)
    if story is None:
        where = "" if tenant is None else f" of tenant {quoted(tenant)}"
        fail(FINDINGS, f"there is no call {quoted(name)}{where}: `sipagent calls list` lists them")
    if others:
        typer.echo(f"the newest of several; the others: {' '.join(others)}", err=True)
    return story


def call_table(calls: "Sequence[CallRow]", *, numbers: bool) -> list[str]:
    """Calls in columns, one line each."""
    if not calls:
        return ["no calls"]
    return table([call_cells(call, numbers=numbers) for call in calls], heads=HEADS)


HEADS: Final = ("began", "call", "agent", "from", "to", "outcome", "length", "cost")


def call_cells(call: "CallRow", *, numbers: bool) -> tuple[str, ...]:
    """The columns of a call."""
    from sipagent.store.why.wording import at, money, number, seconds

    cost = "" if call.cost is None else money(call.cost)
    least = "" if not cost or call.usage_complete else ">= "
    return (
        at(call.began_at),
        call.call_id,
        f"{call.tenant}/{call.agent or '-'}",
        number(call.caller, numbers=numbers) or "withheld",
        number(call.dialed, numbers=numbers) or "unknown",
        call.outcome or "live",
        "" if call.seconds is None else seconds(call.seconds),
        f"{least}{cost}",
    )


def _cursor(text: str | None) -> "Cursor | None":
    from sipagent.store.reading import Cursor

    if text is None:
        return None
    try:
        return Cursor.parse(text)
    except ValueError:
        message = "is no cursor: copy it from the end of the page before"
        raise typer.BadParameter(message, param_hint="--after") from None
