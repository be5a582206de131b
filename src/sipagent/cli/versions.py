"""`sipagent versions` and `sipagent rollback`: the last good configurations."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sipagent.cli.options import (
    DEFAULT_CONFIG,
    DEFAULT_DATA,
    ConfigFile,
    DataDir,
    Format,
    fail,
    in_force_or_exit,
    print_json,
    table,
    version_store,
)
from sipagent.cli.process import BAD_CONFIGURATION, FINDINGS, USAGE
from sipagent.cli.sharing import refused

if TYPE_CHECKING:
    from sipagent.config import Loaded


def versions(
    config: ConfigFile = DEFAULT_CONFIG,
    data_dir: DataDir = DEFAULT_DATA,
    output: Annotated[Format, typer.Option("--format", help="How it is printed.")] = Format.TEXT,
) -> None:
    """List the last good versions of the configuration, the newest first.

    `files` marks the version that the files hold now, `pinned` the one that a rollback asks for.

    Exit codes: 0 listed, 3 the database's server was not reached, 78 the data directory cannot be
    read.
    """
    from sipagent.errors import StoreError

    store = version_store(data_dir)
    try:
        kept, pin = store.all(), store.pinned()
    except StoreError as error:
        refused(error, data_dir, BAD_CONFIGURATION)
    current = _hash_of(config)
    marks = {
        version.hash: [
            *(["files"] if version.hash == current else []),
            *(["pinned"] if pin is not None and version.hash == pin.hash else []),
        ]
        for version in kept
    }
    if output is Format.JSON:
        print_json([{"hash": one.hash, "at": one.at, "marks": marks[one.hash]} for one in kept])
        return
    rows = [(one.hash, _time(one.at), " ".join(marks[one.hash])) for one in kept]
    for line in table(rows, heads=("version", "kept", "")) if rows else ["no versions"]:
        typer.echo(line)


def rollback(
    version: Annotated[
        str | None, typer.Argument(metavar="[HASH]", help="The version, or how its hash begins.")
    ] = None,
    cancel: Annotated[
        bool, typer.Option("--cancel", help="Serve the files again, and no stored version.")
    ] = False,
    config: ConfigFile = DEFAULT_CONFIG,
    data_dir: DataDir = DEFAULT_DATA,
) -> None:
    """Have the service serve a stored version in place of the files as they are now.

    It holds until it is cancelled or the files change: a repaired file is taken at once. The
    running service follows within seconds, and so do all replicas that share a database; calls
    that are held go on as they are. What the rollback changes is printed.

    Exit codes: 0 done, 1 there is no such version, or no rollback to cancel, 2 usage, 3 the
    database's server was not reached, 78 the version or the files cannot be used, or the data
    directory not be written.
    """
    if (version is None) != cancel:
        raise typer.BadParameter("give a HASH or --cancel, not both or neither")
    if version is None:
        _cancel(data_dir)
    else:
        _roll_back(version, config, data_dir)


def _cancel(data_dir: Path) -> None:
    from sipagent.errors import StoreError

    store = version_store(data_dir)
    try:
        pin = store.pinned()
        store.unpin()
    except StoreError as error:
        refused(error, data_dir, BAD_CONFIGURATION)
    if pin is None:
        fail(FINDINGS, "there is no rollback in force")
    typer.echo(f"the rollback to {pin.hash} is cancelled: the files are served again")


def _roll_back(prefix: str, config: Path, data_dir: Path) -> None:
    from sipagent.cli.plan import print_difference
    from sipagent.config.reload.in_force import fingerprint_of
    from sipagent.config.report.difference import difference
    from sipagent.errors import ConfigError, StoreError

    store = version_store(data_dir)
    hash_, wanted = _stored(store, prefix, data_dir)
    now = in_force_or_exit(config, data_dir)
    try:
        store.pin(hash_, fingerprint_of(config, store))
    except ConfigError:
        fail(BAD_CONFIGURATION, f"{config} cannot be used; the last good version is served already")
    except StoreError as error:
        refused(error, data_dir, BAD_CONFIGURATION)
    print_difference(difference(now, wanted))
    typer.echo(f"{hash_} is pinned until it is cancelled or the files change")


def _stored(store: Any, prefix: str, data_dir: Path) -> "tuple[str, Loaded]":
    """A stored version that can still be loaded, or the end."""
    from sipagent.config.reload.apart import read_bundle
    from sipagent.errors import ConfigError, StoreError

    if not prefix.strip() or set(prefix) - set("0123456789abcdef"):
        fail(USAGE, "a version's name is of the digits 0 to 9 and a to f")
    try:
        found = store.get(prefix)
    except StoreError as error:
        if error.file == prefix:  # it means several versions
            fail(FINDINGS, str(error))
        refused(error, data_dir, FINDINGS)
    if found is None:
        fail(FINDINGS, f"there is no version {prefix}: `sipagent versions` lists them")
    try:
        return found[0], read_bundle(found[1])
    except ConfigError as error:
        fail(BAD_CONFIGURATION, f"the version {found[0]} cannot be used any more:\n{error}")


def _hash_of(path: Path) -> str | None:
    """The version of the files; None where they cannot be used."""
    from sipagent.config.reload.in_force import read_files
    from sipagent.errors import ConfigError

    try:
        return read_files(path).table.config_hash
    except ConfigError:
        return None


def _time(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"
