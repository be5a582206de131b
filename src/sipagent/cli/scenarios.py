"""`sipagent test`: scripted calls against the real service, without a phone and without network."""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from sipagent.cli.check import annotation
from sipagent.cli.options import (
    DEFAULT_CONFIG,
    ConfigFile,
    ReviewFormat,
    fail,
    files_or_exit,
    print_json,
    unusable,
)
from sipagent.cli.process import BAD_CONFIGURATION, FINDINGS, USAGE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sipagent.config import Loaded
    from sipagent.errors import Finding
    from sipagent.scenarios.scenario import Scenario
    from sipagent.scenarios.verdict import Verdict

DEFAULT_SCENARIOS: Final = Path("scenarios")


def rehearse(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Scenario files, or folders of them. [default: scenarios]"),
    ] = None,
    config: ConfigFile = DEFAULT_CONFIG,
    junit: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write JUnit's XML into this file, too.")
    ] = None,
    output: Annotated[
        ReviewFormat, typer.Option("--format", help="github writes annotations for its Actions.")
    ] = ReviewFormat.TEXT,
) -> None:
    """Play scripted calls to the agents, and say what of them was not as expected.

    Each scenario is one call to the real service: a scripted caller and model, and stand-ins
    for the servers that its tools ask. It needs no key, no phone and no network, and its clock
    hurries: a minute of silence takes a moment. docs/scenarios.md describes the files.

    Exit codes: 0 all calls were as expected, 1 one was not, 2 usage, or a scenario file cannot be
    used, 78 the agents file cannot be used.
    """
    scenarios = _scenarios_or_exit(_named(files or [DEFAULT_SCENARIOS]), output)
    loaded = files_or_exit(config)
    verdicts = _played(scenarios, loaded, output)
    if junit is not None:
        _write(junit, verdicts)
    _summarise(verdicts, output)
    if not all(verdict.passed for verdict in verdicts):
        raise typer.Exit(FINDINGS)


def _named(paths: "Sequence[Path]") -> list[Path]:
    """The files, also those of folders, in the order of their names."""
    files: list[Path] = []
    for path in paths:
        files += sorted(path.rglob("*.yaml")) if path.is_dir() else [path]
    if not files:
        fail(USAGE, f"{', '.join(map(str, paths))}: there is no scenario")
    return files


def _scenarios_or_exit(files: "Sequence[Path]", output: ReviewFormat) -> "list[Scenario]":
    """The scenarios, or what is wrong with all of their files and the end."""
    from sipagent.errors import ConfigError
    from sipagent.scenarios.reading import read_scenario

    scenarios: list[Scenario] = []
    findings: list[Finding] = []
    for file in files:
        try:
            scenarios.append(read_scenario(file))
        except ConfigError as error:
            findings += error.findings
    if not findings:
        return scenarios
    for finding in findings:
        if output is ReviewFormat.GITHUB:
            typer.echo(annotation("error", finding))
        else:
            typer.echo(str(finding), err=True)
    raise typer.Exit(USAGE)


def _played(
    scenarios: "Sequence[Scenario]", loaded: "Loaded", output: ReviewFormat
) -> "list[Verdict]":
    from sipagent.observability import configure_logging
    from sipagent.scenarios.judging import failures_of
    from sipagent.scenarios.stage import play
    from sipagent.scenarios.verdict import as_text, findings_of, verdict_on

    configure_logging(level="error", json=False)
    # A proxy of the environment is for the network, which this does not use.
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"
    allow = _allowed_or_exit()
    verdicts: list[Verdict] = []
    for scenario in scenarios:
        began = time.monotonic()
        run = play(scenario, loaded, allow)
        failures = failures_of(scenario, run)
        verdict = verdict_on(scenario, run, failures, time.monotonic() - began)
        verdicts.append(verdict)
        if output is ReviewFormat.TEXT:
            for line in as_text(verdict):
                typer.echo(line)
        elif output is ReviewFormat.GITHUB:
            for finding in findings_of(verdict):
                typer.echo(annotation("error", finding))
    return verdicts


def _allowed_or_exit() -> str:
    """What tools may ask beyond the public internet, as the service reads it."""
    from sipagent.errors import SettingsError
    from sipagent.settings import value_of
    from sipagent.tools.addresses import Allow

    name = "SIPAGENT_HTTP_TOOLS_ALLOW"
    try:
        allow = value_of(name) or ""
        Allow.parse(allow)
    except SettingsError as error:
        unusable(error)
    except ValueError as error:
        fail(BAD_CONFIGURATION, f"{name}: {error}")
    return allow


def _summarise(verdicts: "Sequence[Verdict]", output: ReviewFormat) -> None:
    from sipagent.config.report.wording import count
    from sipagent.scenarios.verdict import as_json

    if output is ReviewFormat.JSON:
        print_json(as_json(verdicts))
        return
    failed = sum(not verdict.passed for verdict in verdicts)
    typer.echo(f"{count(len(verdicts), 'scenario')}, {failed} failed")


def _write(place: Path, verdicts: "Sequence[Verdict]") -> None:
    from sipagent.scenarios.verdict import as_junit

    try:
        place.write_text(as_junit(verdicts), "utf-8")
    except OSError as error:
        fail(USAGE, f"{place}: {error.strerror}")
