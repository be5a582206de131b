"""`sipagent tokens`: who may use the control API and the console."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from sipagent.cli.changing import changing, located, log_to_errors
from sipagent.cli.options import (
    DEFAULT_CONFIG,
    DEFAULT_DATA,
    ConfigFile,
    DataDir,
    Format,
    duration_of,
    fail,
    one_of,
    print_json,
    table,
    tenants_of,
    who,
)
from sipagent.cli.process import FINDINGS, USAGE
from sipagent.model.access import Scope

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.ext.asyncio import AsyncEngine

    from sipagent.model import TenantName
    from sipagent.store.tokens import Made, Token

_NEVER: Final = "never"

app = typer.Typer(
    help="Make, list and revoke tokens of the control API.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.command()
def create(
    name: Annotated[str, typer.Option(help="The person or the program that gets it.")],
    tenant: Annotated[
        str | None, typer.Option("--tenant", metavar="NAME", help="Opens this tenant's data.")
    ] = None,
    operator: Annotated[
        bool, typer.Option("--operator", help="Opens all tenants' data: yours who run the service.")
    ] = False,
    scope: Annotated[
        Scope,
        typer.Option(
            metavar="SCOPE",
            help="read, control (act on calls and numbers) or admin (tokens, reloads, exports).",
            parser=one_of(Scope),
        ),
    ] = Scope.READ,
    expires: Annotated[
        str, typer.Option(metavar="DURATION", help="When it is over, as in 8h, 90d, or never.")
    ] = "90d",
    config: ConfigFile = DEFAULT_CONFIG,
    data_dir: DataDir = DEFAULT_DATA,
    output: Annotated[Format, typer.Option("--format", help="How it is printed.")] = Format.TEXT,
) -> None:
    """Make a token for one person or program. It is printed now, and cannot be shown again.

    The control API and the console are there once there is an operator's token: without one their
    addresses answer 404.

    Exit codes: 0 made, 2 usage, or there is no such tenant, 3 the database's server was not
    reached, 78 settings or the data directory cannot be used.
    """
    if (tenant is None) == (not operator):
        fail(USAGE, "say whose data it opens: --tenant NAME, or --operator for all of it")
    whose = None if tenant is None else _tenant(tenant, config, data_dir)
    from sipagent.store.tokens import LONGEST_NAME

    named = name.strip()
    if not named.isprintable() or not 0 < len(named) <= LONGEST_NAME:
        fail(USAGE, f"--name: write one line of at most {LONGEST_NAME} letters")
    now = time.time()
    until = _until(expires, now)

    async def work(engine: "AsyncEngine") -> "Made":
        from sipagent.store.audit import Author
        from sipagent.store.tokens import Wanted
        from sipagent.store.tokens import create as made

        return await made(engine, Wanted(named, whose, scope, until), Author(who()), at=now)

    log_to_errors()
    _tell(changing(located(data_dir), work), output)


@app.command("list")
def list_(
    tenant: Annotated[
        str | None, typer.Option("--tenant", metavar="NAME", help="Of this tenant only.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Also those that were revoked.")] = False,
    data_dir: DataDir = DEFAULT_DATA,
    output: Annotated[Format, typer.Option("--format", help="How it is printed.")] = Format.TEXT,
) -> None:
    """List the tokens, the oldest first; their secrets are known to nobody.

    Exit codes: 0 listed, 3 the database's server was not reached, 78 settings or the data directory
    cannot be used.
    """

    async def work(engine: "AsyncEngine") -> "Sequence[Token]":
        from sipagent.model import TenantName
        from sipagent.store.tokens import listed

        whose = None if tenant is None else TenantName(tenant)
        return await listed(engine, tenant=whose, every=every)

    found = changing(located(data_dir), work)
    if output is Format.JSON:
        print_json([_as_json(one) for one in found])
        return
    from sipagent.store.why.wording import plain

    now = time.time()
    rows = [
        (
            one.id,
            plain(one.name, numbers=True),
            one.tenant or "(operator)",
            one.scope.value,
            _state(one, now),
            _day(one.last_used_at) or "never",
        )
        for one in found
    ]
    heads = ("token", "of", "tenant", "scope", "until", "used")
    for line in table(rows, heads=heads) if rows else ["no tokens"]:
        typer.echo(line)


@app.command()
def revoke(
    token_id: Annotated[str, typer.Argument(metavar="ID", help="The token's id.")],
    data_dir: DataDir = DEFAULT_DATA,
) -> None:
    """Have a token refused, by all replicas within five seconds. It cannot be taken back.

    Exit codes: 0 it is revoked, 1 there is no such token, 3 the database's server was not reached,
    78 settings or the data directory cannot be used.
    """

    async def work(engine: "AsyncEngine") -> "tuple[Token | None, bool]":
        from sipagent.store.audit import Author
        from sipagent.store.tokens import operators
        from sipagent.store.tokens import revoke as revoked

        done = await revoked(engine, token_id, Author(who()), at=time.time())
        return done, await operators(engine)

    log_to_errors()
    found, left = changing(located(data_dir), work)
    if found is None:
        fail(FINDINGS, "there is no token of this id: `sipagent tokens list` shows them")
    typer.echo(f"revoked: {found.id}")
    if found.tenant is None and not left:
        typer.echo("the operator has no token any more: the control API is not there", err=True)


def _tell(made: "Made", output: Format) -> None:
    """The token on standard output, and what to heed on standard error."""
    token = made.token
    if output is Format.JSON:
        print_json({**_as_json(token), "token": made.text})
    else:
        typer.echo(made.text)
    over = _day(token.expires_at) or "it never expires"
    typer.echo(
        f"token {token.id}, scope {token.scope}, {over}; keep it now: it cannot be shown again",
        err=True,
    )


def _tenant(name: str, config: Path, data_dir: Path) -> "TenantName":
    """The tenant of the configuration that is meant, or the end with 2."""
    from sipagent.config.words import closest, quoted
    from sipagent.model import TenantName

    known = tenants_of(config, data_dir)
    if name not in known:
        meant = closest(name, known)
        hint = f" (did you mean {meant}?)" if meant else ""
        fail(USAGE, f"there is no tenant {quoted(name)}{hint}")
    return TenantName(name)


def _until(expires: str, now: float) -> float | None:
    if expires.strip() == _NEVER:
        return None
    seconds = duration_of(expires)
    if seconds is None:
        raise typer.BadParameter(
            "write a duration such as 8h or 90d, or never", param_hint="--expires"
        )
    return now + seconds


def _state(token: "Token", now: float) -> str:
    if token.revoked_at is not None:
        return "revoked"
    if not token.holds(now):
        return "over"
    return _day(token.expires_at) or _NEVER


def _day(at: float | None) -> str | None:
    from sipagent.store.shown import iso

    moment = iso(at)
    return None if moment is None else f"{moment[:10]} {moment[11:16]} UTC"


def _as_json(token: "Token") -> dict[str, Any]:
    from sipagent.store.shown import iso

    return {
        "id": token.id,
        "name": token.name,
        "tenant": token.tenant,
        "scope": token.scope.value,
        "created_at": iso(token.created_at),
        "created_by": token.created_by,
        "expires_at": iso(token.expires_at),
        "revoked_at": iso(token.revoked_at),
        "last_used_at": iso(token.last_used_at),
    }
