"""`sipagent messages`: what callers want to have told."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sipagent.cli.options import DEFAULT_DATA, DataDir, Format, fail, table
from sipagent.cli.process import FINDINGS
from sipagent.cli.records import (
    Limit,
    Numbers,
    Since,
    TenantOption,
    Until,
    as_json,
    moment,
    reading,
    whose,
)

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from sipagent.store.reading import MessageRow

app = typer.Typer(
    help="List and show the messages that agents have taken.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Output = Annotated[Format, typer.Option("--format", help="How it is printed.")]


@app.command("list")
def list_(
    tenant: TenantOption = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    numbers: Numbers = False,
    output: Output = Format.TEXT,
    data_dir: DataDir = DEFAULT_DATA,
) -> None:
    """List messages, the newest first.

    Telephone numbers are masked, also those that callers ask to be called back at, unless --numbers
    is given.

    Exit codes: 0 listed, 2 usage, 3 the database's server was not reached, 78 settings or the
    records cannot be used.
    """
    from sipagent.store.reading import list_messages

    whom, _ = whose(tenant)
    begin, end = moment(since, "--since"), moment(until, "--until")

    async def read(engine: "AsyncEngine") -> "tuple[MessageRow, ...]":
        async with engine.connect() as connection:
            return await list_messages(connection, whom, since=begin, until=end, limit=limit)

    found = reading(data_dir, read)
    if output is Format.JSON:
        typer.echo(as_json(_data(found, numbers=numbers)))
        return
    rows = [_cells(one, numbers=numbers) for one in found]
    heads = ("taken", "message", "call", "agent", "from", "says")
    for line in table(rows, heads=heads) if rows else ["no messages"]:
        typer.echo(line)


@app.command()
def show(
    message: Annotated[
        str, typer.Argument(metavar="MESSAGE", help="The message's id, or its call's.")
    ],
    tenant: TenantOption = None,
    numbers: Numbers = False,
    output: Output = Format.TEXT,
    data_dir: DataDir = DEFAULT_DATA,
) -> None:
    """Show a message, or all that were taken in one call, the newest first.

    Exit codes: 0 shown, 1 there is no such message, 2 usage, 3 the database's server was not
    reached, 78 settings or the records cannot be used.
    """
    from sipagent.config.words import quoted
    from sipagent.store.reading import find_messages

    whom, _ = whose(tenant)

    async def read(engine: "AsyncEngine") -> "tuple[MessageRow, ...]":
        async with engine.connect() as connection:
            return await find_messages(connection, whom, message.strip())

    found = reading(data_dir, read)
    if not found:
        where = "" if tenant is None else f" of tenant {quoted(tenant)}"
        fail(FINDINGS, f"there is no message {quoted(message)}{where}")
    if output is Format.JSON:
        typer.echo(as_json(_data(found, numbers=numbers)))
        return
    for place, one in enumerate(found):
        if place:
            typer.echo("")
        for line in _lines(one, numbers=numbers):
            typer.echo(line)


def _data(found: "Sequence[MessageRow]", *, numbers: bool) -> list[dict[str, Any]]:
    """Messages as plain data."""
    from sipagent.sip import mask_number
    from sipagent.store.shown import shown_message

    def number(text: str | None) -> str | None:
        return text if text is None or numbers else mask_number(text)

    return [
        {
            **shown_message(one.message, numbers=numbers),
            "call_id": one.call_id,
            "tenant": one.tenant,
            "agent": one.agent,
            "caller": number(one.caller),
            "dialed": number(one.dialed),
        }
        for one in found
    ]


def _cells(one: "MessageRow", *, numbers: bool) -> tuple[str, ...]:
    from sipagent.cli.showing import message_lines
    from sipagent.store.why.wording import at, number, plain

    return (
        at(one.message.at),
        plain(one.message.id, numbers=True),
        one.call_id,
        f"{one.tenant}/{one.agent or '-'}",
        number(one.caller, numbers=numbers) or "withheld",
        "; ".join(message_lines(one.message, numbers=numbers)),
    )


def _lines(one: "MessageRow", *, numbers: bool) -> Sequence[str]:
    from sipagent.cli.showing import message_lines
    from sipagent.store.why.wording import at, number, plain

    facts = (
        ("message", plain(one.message.id, numbers=True)),
        ("taken", at(one.message.at)),
        ("call", one.call_id),
        ("agent", f"{one.tenant}/{one.agent or '-'}"),
        ("from", number(one.caller, numbers=numbers) or "withheld"),
        ("to", number(one.dialed, numbers=numbers) or "unknown"),
    )
    told = (f"  {line}" for line in message_lines(one.message, numbers=numbers))
    return [*(f"{name:<12}{value}" for name, value in facts), *told]
