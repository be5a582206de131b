"""`sipagent audit`: who did what by the control API, the console and commands that need no service,
and whether anybody has changed what is written there."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from sipagent.cli.changing import changing, located
from sipagent.cli.options import (
    DEFAULT_DATA,
    DataDir,
    Format,
    fail,
    print_json,
    table,
)
from sipagent.cli.process import FINDINGS, USAGE

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from sipagent.store.audit import AuditLine, Verified

_HASH: Final = 64

app = typer.Typer(
    help="Show who did what, and that nobody has changed it since.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.command("list")
def list_(
    tenant: Annotated[
        str | None, typer.Option("--tenant", metavar="NAME", help="About this tenant's data only.")
    ] = None,
    action: Annotated[
        str | None, typer.Option(metavar="WORD", help="Of this action only: tokens.create ...")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="At most so many lines.")] = 50,
    before: Annotated[
        int | None, typer.Option(metavar="LINE", min=1, help="Go on before this line.")
    ] = None,
    data_dir: DataDir = DEFAULT_DATA,
    output: Annotated[Format, typer.Option("--format", help="How it is printed.")] = Format.TEXT,
) -> None:
    """List what was done, the newest first. No word and no number of a caller is in it.

    Exit codes: 0 listed, 3 the database's server was not reached, 78 settings or the data directory
    cannot be used.
    """

    async def work(engine: "AsyncEngine") -> "Sequence[AuditLine]":
        from sipagent.model import TenantName
        from sipagent.store.audit import AuditFilter, lines

        whose = None if tenant is None else TenantName(tenant)
        wanted = AuditFilter(tenant=whose, action=action)
        return await lines(engine, wanted, before=before, limit=limit)

    found = changing(located(data_dir), work)
    if output is Format.JSON:
        print_json([_as_json(one) for one in found])
        return
    heads = ("line", "at", "by", "did", "to", "tenant", "besides")
    rows = [_row(one) for one in found]
    for line in table(rows, heads=heads) if rows else ["nothing was done"]:
        typer.echo(line)


@app.command()
def verify(
    head: Annotated[
        str | None,
        typer.Option(
            metavar="LINE:HASH", help="A line's hash as it was noted before, which must be there."
        ),
    ] = None,
    data_dir: DataDir = DEFAULT_DATA,
    output: Annotated[Format, typer.Option("--format", help="How it is printed.")] = Format.TEXT,
) -> None:
    """Look at every line: none was changed, taken out, put in or moved, and the end is there.

    Whoever may write to the database can make all hashes anew, or cut off the end together with
    what is noted of it. That shows by a hash that was noted elsewhere: this command prints the last
    one, and the service's log has each ("audited"); give one as --head.

    Exit codes: 0 the audit is whole, 1 it is not: the line is told, 2 usage, 3 the database's
    server was not reached, 78 settings or the data directory cannot be used.
    """
    noted = None if head is None else _noted(head)

    async def work(engine: "AsyncEngine") -> "Verified":
        from sipagent.store.audit import verify as verified

        return await verified(engine, noted)

    found = changing(located(data_dir), work)
    if output is Format.JSON:
        print_json(
            {
                "whole": found.broken_at is None,
                "lines": found.lines,
                "head": found.head,
                "broken_at": found.broken_at,
                "why": found.why,
            }
        )
        raise typer.Exit(0 if found.broken_at is None else FINDINGS)
    if found.broken_at is not None:
        fail(FINDINGS, f"the audit is broken at line {found.broken_at}: {found.why}")
    typer.echo(f"the audit is whole: {found.lines} lines, head {found.lines}:{found.head}")


def _noted(text: str) -> tuple[int, str]:
    line, _, hash_ = text.strip().partition(":")
    digits = line.isascii() and line.isdigit()
    if not digits or len(hash_) != _HASH or set(hash_) - set("0123456789abcdef"):
        fail(USAGE, "--head: write LINE:HASH, as verify prints it")
    return int(line), hash_


def _row(line: "AuditLine") -> tuple[str, ...]:
    from sipagent.store.shown import iso

    deed = line.deed
    besides = "" if deed.detail is None else json.dumps(deed.detail, ensure_ascii=False)
    if deed.reason is not None:
        besides = f"because: {deed.reason} {besides}"
    by = f"{line.by.name} ({line.by.token})" if line.by.token else line.by.name
    moment = str(iso(line.at))
    return (
        str(line.number),
        f"{moment[:10]} {moment[11:19]} UTC",
        _one_line(by),
        deed.action,
        _one_line(deed.target),
        deed.tenant or "-",
        _one_line(besides.strip()),
    )


def _one_line(text: str) -> str:
    from sipagent.store.why.wording import plain

    return plain(text, numbers=True, limit=None)


def _as_json(line: "AuditLine") -> dict[str, Any]:
    from sipagent.store.shown import iso

    deed = line.deed
    return {
        "line": line.number,
        "at": iso(line.at),
        "by": line.by.name,
        "token": line.by.token,
        "operator": line.by.operator,
        "action": deed.action,
        "target": deed.target,
        "tenant": deed.tenant,
        "detail": deed.detail,
        "reason": deed.reason,
        "hash": line.hash,
    }
