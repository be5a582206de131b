"""Options that several commands share, and how they read the configuration or end."""

import json
import os
import re
from collections.abc import Callable, Collection, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn, TypeVar

import typer

from sipagent.cli.process import BAD_CONFIGURATION

if TYPE_CHECKING:
    from sipagent.config import Loaded
    from sipagent.errors import SipagentError

Chosen = TypeVar("Chosen", bound=StrEnum)

DEFAULT_CONFIG: Final = Path("config/agents.yaml")
DEFAULT_DATA: Final = Path("data")

CONFIG_VARIABLE: Final = "SIPAGENT_CONFIG"
_DATA_VARIABLE: Final = "SIPAGENT_DATA_DIR"


def or_its_file(variable: str) -> Callable[[typer.Context, typer.CallbackParam, Path], Path]:
    """A callback: where neither the option nor the variable is given, the path that stands in the
    file of the variable's name with `_FILE`, as the service reads its settings."""

    def chosen(context: typer.Context, parameter: typer.CallbackParam, value: Path) -> Path:
        source = context.get_parameter_source(parameter.name or "")
        if source is None or source.name != "DEFAULT" or not os.environ.get(f"{variable}_FILE"):
            return value
        from sipagent import settings
        from sipagent.errors import SettingsError

        try:
            return Path(settings.value_of(variable) or value)
        except SettingsError as error:
            unusable(error)

    return chosen


ConfigFile = Annotated[
    Path,
    typer.Option(
        "--config",
        envvar=CONFIG_VARIABLE,
        callback=or_its_file(CONFIG_VARIABLE),
        help="The agents file.",
    ),
]
DataDir = Annotated[
    Path,
    typer.Option(
        "--data-dir",
        envvar=_DATA_VARIABLE,
        callback=or_its_file(_DATA_VARIABLE),
        help="Folder of what the service keeps for itself.",
    ),
]
For = Annotated[
    str | None,
    typer.Option(
        "--for",
        metavar="DURATION",
        help="How long it holds, as in 30m, 2h or 3d; else until cancelled.",
    ),
]


class Format(StrEnum):
    """How a result is printed."""

    TEXT = "text"
    JSON = "json"


class ReviewFormat(StrEnum):
    """How a result is printed; github is what its Actions understand."""

    TEXT = "text"
    JSON = "json"
    GITHUB = "github"


_DURATION: Final = re.compile(r"([1-9][0-9]{0,5})([smhd])", re.ASCII)
_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def duration_of(text: str) -> float | None:
    """Seconds of `30m`; None for anything else."""
    match = _DURATION.fullmatch(text.strip())
    return None if match is None else int(match[1]) * _UNITS[match[2]]


def seconds_of(duration: str | None) -> float | None:
    """Seconds of `30m`; anything else ends the command."""
    if duration is None:
        return None
    seconds = duration_of(duration)
    if seconds is None:
        raise typer.BadParameter("write a duration such as 30m, 2h or 3d", param_hint="--for")
    return seconds


def one_of(words: type[Chosen]) -> Callable[[str], Chosen]:
    """A parser of one of these words; any other ends the command and is told in plain words."""

    def parsed(text: str) -> Chosen:
        try:
            return words(text)
        except ValueError:
            from sipagent.config.words import closest, quoted

            known = [word.value for word in words]
            meant = closest(text, known)
            advice = f" (did you mean {meant}?)" if meant else ""
            message = f"{quoted(text)} is none of {', '.join(known)}{advice}"
            raise typer.BadParameter(message) from None

    return parsed


def fail(code: int, message: str) -> NoReturn:
    """End with this exit code, and say why on standard error."""
    typer.echo(message, err=True)
    raise typer.Exit(code)


def unusable(error: "SipagentError") -> NoReturn:
    """End as a file cannot be used."""
    fail(BAD_CONFIGURATION, str(error))


def files_or_exit(path: Path) -> "Loaded":
    """The configuration that exactly these files hold, or the end with 78."""
    from sipagent.config.reload.in_force import read_files
    from sipagent.errors import ConfigError

    try:
        return read_files(path)
    except ConfigError as error:
        unusable(error)


def in_force_or_exit(path: Path, data_dir: Path) -> "Loaded":
    """The configuration that a service would serve, or the end with 78. What differs from the files
    is told on standard error."""
    from sipagent.config.reload.in_force import in_force
    from sipagent.config.reload.stored import Origin
    from sipagent.errors import ConfigError

    try:
        found = in_force(path, version_store(data_dir))
    except ConfigError as error:
        unusable(error)
    if found.origin is not Origin.FILES:
        hash_ = found.loaded.table.config_hash
        typer.echo(f"{path} is not what is in force: version {hash_} ({found.origin})", err=True)
    for told in (*found.findings, *(trouble.detail for trouble in found.troubles)):
        typer.echo(str(told), err=True)
    return found.loaded


def region_of(config: Path, data_dir: Path) -> str | None:
    """Whose national spellings are read, as far as the configuration tells."""
    from sipagent.config.reload.in_force import in_force
    from sipagent.errors import ConfigError

    try:
        return in_force(config, version_store(data_dir)).loaded.table.region
    except ConfigError:
        return None


def tenants_of(config: Path, data_dir: Path) -> "Collection[str]":
    """The tenants' names, as far as the configuration tells."""
    from sipagent.config.reload.in_force import in_force
    from sipagent.errors import ConfigError

    try:
        return in_force(config, version_store(data_dir)).loaded.table.tenants
    except ConfigError:
        return ()


def version_store(data_dir: Path) -> Any:
    """The versions of a data directory, or those that replicas share; damaged ones are told on
    standard error."""
    from sipagent.cli.sharing import shared_location
    from sipagent.config.reload.versions import VersionStore

    def damaged(file: str, reason: str) -> None:
        typer.echo(f"{file}: {reason}; skipped", err=True)

    location = shared_location(data_dir)
    if location is None:
        return VersionStore(data_dir, on_damage=damaged)
    from sipagent.config.reload.shared import SharedVersions  # as for orders

    return SharedVersions(location, on_damage=damaged)


def print_json(value: Any) -> None:
    """The value as JSON for people and programs."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def who() -> str:
    """Who runs this command, for the audit."""
    import getpass
    import socket

    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def table(rows: Sequence[tuple[str, ...]], *, heads: tuple[str, ...]) -> list[str]:
    """Rows in columns."""
    every = [heads, *rows]
    widths = [max(len(row[at]) for row in every) for at in range(len(heads))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in every
    ]
