"""`sipagent plan`: what another agents file would change."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sipagent.cli.options import (
    DEFAULT_CONFIG,
    ConfigFile,
    ReviewFormat,
    fail,
    files_or_exit,
    print_json,
)
from sipagent.cli.process import FINDINGS, USAGE

if TYPE_CHECKING:
    from sipagent.config import Loaded
    from sipagent.config.report.difference import Difference
    from sipagent.config.report.replay import Redecided


def plan(
    candidate: Annotated[Path, typer.Argument(help="The agents file that may become the one.")],
    config: ConfigFile = DEFAULT_CONFIG,
    replay: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            help="Stored webhook bodies: a JSON file, or a folder of *.json. Each is decided under"
            " both files at the time of its creation.",
        ),
    ] = None,
    output: Annotated[
        ReviewFormat, typer.Option("--format", help="github is Markdown for a review.")
    ] = ReviewFormat.TEXT,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="End with 1 if anything changes, as git diff does.")
    ] = False,
) -> None:
    """Say what CANDIDATE would change: numbers, personas, destinations, hours, tenants, accounts.

    It is the meaning that is compared; comments and the order of keys change nothing.

    Exit codes: 0 compared, 1 something changes (with --exit-code only), 2 usage, 78 one of the
    files cannot be used.
    """
    from sipagent.config.report.difference import difference

    before, after = files_or_exit(config), files_or_exit(candidate)
    found = difference(before, after)
    calls, differing = (0, []) if replay is None else _replayed(replay, before, after)
    _tell(found, calls, differing, output)
    if exit_code and (found or differing):
        raise typer.Exit(FINDINGS)


def _replayed(path: Path, before: "Loaded", after: "Loaded") -> tuple[int, "list[Redecided]"]:
    from sipagent.cli.route import secrets_of
    from sipagent.config.report.replay import redecided, stored_calls

    try:
        calls = stored_calls(path)
    except ValueError as error:
        fail(USAGE, str(error))
    secrets = (secrets_of(before), secrets_of(after))
    return len(calls), redecided(calls, before.table, after.table, time.time(), secrets)


def _tell(
    found: "Difference", calls: int, differing: "list[Redecided]", output: ReviewFormat
) -> None:
    match output:
        case ReviewFormat.JSON:
            told = {"before": found.hashes[0], "after": found.hashes[1]}
            replayed = [asdict(one) for one in differing]
            print_json({**told, "changes": found.as_json(), "calls": calls, "decided": replayed})
        case ReviewFormat.GITHUB:
            typer.echo(_markdown(found, calls, differing))
        case ReviewFormat.TEXT:
            _print(found, calls, differing)


def print_difference(found: "Difference") -> None:
    """The changes for people."""
    typer.echo(f"{found.hashes[0]} -> {found.hashes[1]}")
    for line in found.report():
        typer.echo(line)
    if not found:
        typer.echo("nothing changes")


def _print(found: "Difference", calls: int, differing: "list[Redecided]") -> None:
    print_difference(found)
    if calls:
        typer.echo(f"{len(differing)} of {calls} stored calls would be decided otherwise")
        for one in differing:
            typer.echo(f"  {one}")


def _markdown(found: "Difference", calls: int, differing: "list[Redecided]") -> str:
    lines = [f"### sipagent: `{found.hashes[0]}` to `{found.hashes[1]}`", ""]
    lines += ["```diff", *map(_diff_line, found.report()), "```"] if found else ["Nothing changes."]
    if calls:
        lines += ["", f"{len(differing)} of {calls} stored calls would be decided otherwise."]
        lines += ["", "| call | number | now | then |", "|---|---|---|---|"] if differing else []
        for one in differing:
            cells = (f"`{one.file}`", one.dialed or "unknown", one.before, one.after)
            lines.append(f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |")
    return "\n".join(lines)


def _diff_line(line: str) -> str:
    """With the mark in the first column, where Markdown colours it; a fence cannot be closed."""
    text = line.strip() if line.startswith(" ") else f"# {line}"
    return text.replace("~ ", "! ", 1).replace("```", "'''")
