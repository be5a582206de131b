"""`sipagent check`: whether the agents file can be used, and what in it deserves a look."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sipagent.cli.options import (
    CONFIG_VARIABLE,
    DEFAULT_CONFIG,
    ReviewFormat,
    or_its_file,
    print_json,
)
from sipagent.cli.process import FINDINGS

if TYPE_CHECKING:
    from sipagent.config import Loaded
    from sipagent.errors import Finding

Told = tuple[str, "Finding"]


def check(
    file: Annotated[
        Path,
        typer.Argument(
            envvar=CONFIG_VARIABLE,
            callback=or_its_file(CONFIG_VARIABLE),
            help="The agents file.",
        ),
    ] = DEFAULT_CONFIG,
    output: Annotated[
        ReviewFormat, typer.Option("--format", help="github writes annotations for its Actions.")
    ] = ReviewFormat.TEXT,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings are findings, too.")] = False,
    today: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"], hidden=True, help="The day that models' ends are counted from."
        ),
    ] = None,
) -> None:
    """Say what is wrong with the agents file and all files that it names, and what may be.

    Nothing is sent anywhere. Warnings concern what is allowed and probably not meant: rules that
    are never reached, models that end within 90 days, agents whose callers reach no person or may
    not learn that a machine speaks, secrets that cannot be read here.

    Exit codes: 0 the file can be used, 1 it cannot (or with --strict there are warnings), 2 usage.
    """
    from sipagent.config.report.advice import advice_on

    loaded = _usable_or_exit(file, output)
    advice = advice_on(loaded, (today or datetime.now().astimezone()).date())
    _tell([("warning", warning) for warning in advice.warnings], output)
    if output is ReviewFormat.TEXT:
        typer.echo(_summary(file, loaded, len(advice.warnings)))
    if strict and advice.warnings:
        raise typer.Exit(FINDINGS)


def _usable_or_exit(file: Path, output: ReviewFormat) -> "Loaded":
    """The configuration, or its findings and the end."""
    from sipagent.config.reload.in_force import read_files
    from sipagent.errors import ConfigError

    try:
        return read_files(file)
    except ConfigError as error:
        _tell([("error", finding) for finding in error.findings], output)
        if output is ReviewFormat.TEXT:
            count = len(error.findings)
            typer.echo(f"{file}: not usable: {count} finding{'s' if count != 1 else ''}")
        raise typer.Exit(FINDINGS) from None


def _summary(file: Path, loaded: "Loaded", warnings: int) -> str:
    from sipagent.config.report.wording import count, routes_of
    from sipagent.model import DEFAULT_TENANT

    table = loaded.table
    numbers = sum(key != "default" for key in routes_of(table))
    parts = [
        count(len(table.agents), "agent"),
        count(numbers, "number"),
        count(len(table.tenants.keys() - {DEFAULT_TENANT}) or 1, "tenant"),
    ]
    told = f"; {count(warnings, 'warning')}" if warnings else ""
    return f"{file}: usable: {', '.join(parts)}, version {table.config_hash}{told}"


def _tell(told: list[Told], output: ReviewFormat) -> None:
    match output:
        case ReviewFormat.TEXT:
            for kind, finding in told:
                typer.echo(f"{finding}" if kind == "error" else f"{kind}: {finding}")
        case ReviewFormat.JSON:
            print_json([_as_json(kind, finding) for kind, finding in told])
        case ReviewFormat.GITHUB:
            for kind, finding in told:
                typer.echo(annotation(kind, finding))


def _as_json(kind: str, finding: "Finding") -> dict[str, object]:
    return {
        "kind": kind,
        "file": finding.file,
        "line": finding.line,
        "column": finding.column,
        "path": finding.path,
        "message": finding.message,
        "hint": finding.hint,
        "tenant": finding.tenant,
    }


def annotation(kind: str, finding: "Finding") -> str:
    """A workflow command of GitHub's Actions."""
    subject = f"{finding.path}: " if finding.path else ""
    advice = f" ({finding.hint})" if finding.hint else ""
    properties = f"file={_property(finding.file)},line={finding.line},col={finding.column}"
    return f"::{kind} {properties}::{_data(f'{subject}{finding.message}{advice}')}"


def _data(text: str) -> str:
    """Escaped as the runner's own toolkit does it (actions/toolkit, command.ts)."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
