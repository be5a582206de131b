"""`sipagent schema`: JSON Schemas of the files, for editors."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sipagent.cli.options import fail, one_of
from sipagent.cli.process import USAGE


class SchemaKind(StrEnum):
    """Which file is described."""

    AGENTS = "agents"
    TENANT = "tenant"
    NAMESPACE = "namespace"


def schema(
    kind: Annotated[
        SchemaKind,
        typer.Argument(
            metavar="KIND",
            help="The file: agents (the main one), tenant or namespace.",
            parser=one_of(SchemaKind),
        ),
    ] = SchemaKind.AGENTS,
    out: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="A file for it, or a folder for all three."),
    ] = None,
) -> None:
    """Print the JSON Schema (draft 2020-12) of a file.

    Editors complete and check by it; the first line of the file names it:
    # yaml-language-server: $schema=../schema/agents.schema.json

    Exit codes: 0 done, 2 usage, or the place cannot be written.
    """
    from sipagent.config.report.jsonschema import Kind, schema_text

    if out is None:
        typer.echo(schema_text(Kind(kind.value)), nl=False)
        return
    places = (
        {out / each.file_name: each for each in Kind} if out.is_dir() else {out: Kind(kind.value)}
    )
    try:
        for place, each in places.items():
            place.write_text(schema_text(each), "utf-8")
    except OSError as error:
        fail(USAGE, f"{out}: {error.strerror}")
