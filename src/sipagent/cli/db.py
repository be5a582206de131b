"""`sipagent db`: the schema of the records' database."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from sipagent.cli.options import DEFAULT_DATA, DataDir, Format, fail, print_json, unusable
from sipagent.cli.process import BAD_CONFIGURATION, FINDINGS, UNREACHABLE

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from sipagent.store.location import Location
    from sipagent.store.schema import SchemaStatus

app = typer.Typer(
    name="db",
    help="The schema of the records' database.",
    no_args_is_help=True,
)

_TOLD: Final = {
    "current": "has the newest schema, {newest}",
    "older": "has schema {revision}, and the newest is {newest}: run `sipagent db upgrade`",
    "empty": "has no schema, and the newest is {newest}: run `sipagent db upgrade`",
    "ahead": "has schema {revision} of a later release, which this one can use: its is {newest}",
    "newer": "has schema {revision}, which this release does not know: its own is {newest}",
}


@app.command()
def upgrade(data_dir: DataDir = DEFAULT_DATA) -> None:
    """Bring the newest schema to the records' database, whatever is in it.

    It happens whole or not at all. Of several that are started at once one does it and the others
    wait. A service does the same when it starts, unless SIPAGENT_DB_MIGRATE is `never`.

    Exit codes: 0 the schema is the newest, or a later release's that this one can use, 3 the server
    was not reached, 78 the settings or the file cannot be used, or this release cannot use the
    schema.
    """
    from sipagent.store import schema

    location = _located(data_dir)

    async def work(engine: "AsyncEngine") -> "SchemaStatus":
        found = await schema.status(engine, location)
        if found.state is schema.SchemaState.NEWER:
            return found
        return await schema.upgrade(engine, location)

    before = _asked(location, work)
    if before.state is schema.SchemaState.NEWER:
        fail(BAD_CONFIGURATION, _sentence(location, before))
    if before.usable:
        typer.echo(_sentence(location, before))
    else:
        typer.echo(f"{location.shown}: from {before.revision or 'nothing'} to {before.newest}")


@app.command()
def status(
    data_dir: DataDir = DEFAULT_DATA,
    output: Annotated[Format, typer.Option("--format", help="How it is printed.")] = Format.TEXT,
) -> None:
    """Say which schema the records' database has, and which one this release brings.

    Exit codes: 0 it has the newest, or a later release's that this one can use, 1 it has an older
    one or none, 3 the server was not reached, 78 the settings or the file cannot be used, or this
    release cannot use the schema.
    """
    from sipagent.store import schema

    location = _located(data_dir)
    if location.file is not None and not location.file.exists():
        found = schema.without_any()
    else:
        found = _asked(location, lambda engine: schema.status(engine, location))
    if output is Format.JSON:
        print_json(
            {
                "database": location.shown,
                "state": found.state,
                "revision": found.revision,
                "newest": found.newest,
            }
        )
    else:
        typer.echo(_sentence(location, found))
    if found.state is schema.SchemaState.NEWER:
        raise typer.Exit(BAD_CONFIGURATION)
    if not found.usable:
        raise typer.Exit(FINDINGS)


def _located(data_dir: Path) -> "Location":
    from sipagent import settings
    from sipagent.errors import SettingsError
    from sipagent.store.location import location_of

    try:
        return location_of(settings.database_url(), data_dir)
    except SettingsError as error:
        unusable(error)


def _asked(
    location: "Location", work: "Callable[[AsyncEngine], Awaitable[SchemaStatus]]"
) -> "SchemaStatus":
    """What the work finds, or the end with 78, or with 3 where the server was not reached."""
    import asyncio

    from sipagent.errors import StoreError
    from sipagent.store.database import open_engine

    async def run() -> "SchemaStatus":
        engine = open_engine(location)
        try:
            return await work(engine)
        finally:
            await engine.dispose()

    try:
        return asyncio.run(run())
    except StoreError as error:
        fail(BAD_CONFIGURATION if location.file is not None else UNREACHABLE, str(error))


def _sentence(location: "Location", found: "SchemaStatus") -> str:
    told = _TOLD[found.state].format(revision=found.revision, newest=found.newest)
    return f"{location.shown} {told}"
