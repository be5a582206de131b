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
    SCENARIO = "scenario"


def schema(
    kind: Annotated[
        SchemaKind,
        typer.Argument(
            metavar="KIND",
            help="The file: agents (the main one), tenant, namespace or scenario.",
            parser=one_of(SchemaKind),
        ),
    ] = SchemaKind.AGENTS,
    out: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="A file for it, or a folder for all four."),
    ] = None,
) -> None:
    """Print the JSON Schema (draft 2020-12) of a file.

    Editors complete and check by it; the first line of the file names it:
    # yaml-language-server: $schema=../schema/agents.schema.json

    Exit codes: 0 done, 2 usage, or the place cannot be written.
    """
    if out is None:
        typer.echo(_text(kind), nl=False)
        return
    places = (
        {out / f"{each}.schema.json": each for each in SchemaKind} if out.is_dir() else {out: kind}
    )
    try:
        for place, each in places.items():
            place.write_text(_text(each), "utf-8")
    except OSError as error:
        fail(USAGE, f"{out}: {error.strerror}")


def _text(kind: SchemaKind) -> str:
    from sipagent.config.report.jsonschema import Kind, schema_text
    from sipagent.scenarios.jsonschema import scenario_schema_text

    if kind is SchemaKind.SCENARIO:
        return scenario_schema_text()
    return schema_text(Kind(kind.value))
