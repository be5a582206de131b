"""`sipagent backup`: a copy of what nobody could make again."""

from pathlib import Path
from typing import Annotated

import typer

from sipagent.cli.changing import located
from sipagent.cli.options import DEFAULT_DATA, DataDir, fail
from sipagent.cli.process import FINDINGS


def backup(
    place: Annotated[
        Path,
        typer.Argument(metavar="PLACE", help="A folder to make, or an archive: NAME.tar.gz."),
    ],
    data_dir: DataDir = DEFAULT_DATA,
) -> None:
    """Copy the records and what else the data directory holds, while the service runs.

    Records in PostgreSQL are copied by PostgreSQL: the command for it is printed. The copy is of
    one moment, readable by this user only, and overwrites nothing. It holds the key by which
    numbers are hidden. See docs/privacy.md for how it is put back.

    Exit codes: 0 copied, 1 not copied, 78 settings cannot be used.
    """
    from sipagent.errors import StoreError
    from sipagent.store.backup import back_up, dump_command

    location = located(data_dir)
    try:
        names = back_up(location, data_dir, place)
    except StoreError as error:
        fail(FINDINGS, str(error))
    typer.echo(f"{place}: {', '.join(names) or 'nothing'}")
    if location.file is None:
        typer.echo(f"the records are in {location.shown}; copy them, too:")
        typer.echo(dump_command(location))
