"""A copy of what the data directory holds that nobody could make again, while the service runs.

The engine's memory of live calls is not in it: put back later, it would raise calls from the dead.
"""

import contextlib
import os
import secrets
import shlex
import shutil
import sqlite3
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from sipagent.errors import StoreError
from sipagent.store.ledger import LEDGER_FILE
from sipagent.store.location import RECORDS_FILE, Location
from sipagent.store.numbers import KEY_FILE

_KEPT: Final = (KEY_FILE, LEDGER_FILE, "audit.jsonl", "orders", "versions")
"""The key without which hidden numbers are not found, the list of erased callers, what operators
have done and ordered, and the last good versions of the agents file."""

_ARCHIVES: Final = (".tar", ".tar.gz", ".tgz")
_SUFFIX: Final = ".part"
_FILE_MODE: Final = 0o600
_FOLDER_MODE: Final = 0o700


def back_up(location: Location, data_dir: Path, place: Path) -> list[str]:
    """The place, a folder or an archive by its name, holds a copy of one moment; tells what is in
    it. Records in PostgreSQL are not.

    Only this user may read it, and it is there whole or not at all. Raises StoreError, also where
    there is something in that place already.
    """
    if os.path.lexists(place):
        raise StoreError(str(place), "is there already: a backup overwrites nothing")
    part = place.with_name(f".{place.name}.{secrets.token_hex(6)}{_SUFFIX}")
    try:
        with _removed(part):
            part.mkdir(mode=_FOLDER_MODE)
            names = list(_copied(location, data_dir, part))
            _put(part, place)
    except (OSError, sqlite3.Error, shutil.Error) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise StoreError(str(place), f"cannot be made: {reason.lower()}") from error
    return names


def dump_command(location: Location) -> str:
    """The command that copies records in PostgreSQL; it asks for the password, or takes it from
    the environment."""
    assert location.dsn is not None
    parts = urlsplit(location.dsn)
    user = f"{parts.username}@" if parts.username else ""
    _, _, host = parts.netloc.rpartition("@")
    query = f"?{parts.query}" if parts.query else ""
    url = f"postgresql://{user}{host}{parts.path}{query}"
    return f"pg_dump --format=custom --file=records.dump {shlex.quote(url)}"


def _copied(location: Location, data_dir: Path, folder: Path) -> Iterator[str]:
    """The names of what has been copied into the folder."""
    if location.file is not None:
        _copy_records(location.file, folder / RECORDS_FILE)
        yield RECORDS_FILE
    for name in _KEPT:
        source, target = data_dir / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target, copy_function=_copy_file)
        elif source.is_file():
            _copy_file(source, target)
        else:
            continue
        yield name


def _copy_records(source: Path, target: Path) -> None:
    """One moment's records in one file, without a log beside it."""
    if not source.is_file():
        raise StoreError(str(source), "is not there: no service has kept records in it")
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, _FILE_MODE))
    reading = f"{source.absolute().as_uri()}?mode=ro"
    with (
        contextlib.closing(sqlite3.connect(reading, uri=True)) as from_,
        contextlib.closing(sqlite3.connect(target, isolation_level=None)) as to,
    ):
        # In one step: a copy in several begins anew whenever something has been written meanwhile.
        from_.backup(to, pages=-1)
        to.execute("PRAGMA journal_mode=DELETE")
        ((found,),) = to.execute("PRAGMA quick_check(1)").fetchall()
    if found != "ok":
        raise StoreError(str(source), "is damaged: SQLite's quick_check does not pass")


def _copy_file(source: str | Path, target: str | Path) -> None:
    file = os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, _FILE_MODE)
    with os.fdopen(file, "wb") as copy, Path(source).open("rb") as original:
        shutil.copyfileobj(original, copy)
        copy.flush()
        os.fsync(copy.fileno())


def _put(part: Path, place: Path) -> None:
    """The finished folder, or an archive of it, is in its place."""
    if not place.name.endswith(_ARCHIVES):
        part.rename(place)
        return
    file = os.open(place, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, _FILE_MODE)
    mode = "w" if place.suffix == ".tar" else "w:gz"
    with os.fdopen(file, "wb") as target, _removed_on_error(place):
        with tarfile.open(fileobj=target, mode=mode) as archive:  # type: ignore[call-overload]  # typed by literals
            archive.add(part, arcname=".")
        target.flush()
        os.fsync(target.fileno())


@contextlib.contextmanager
def _removed(part: Path) -> Iterator[None]:
    """The folder is gone when the block ends, if it is still there."""
    try:
        yield
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextlib.contextmanager
def _removed_on_error(file: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        file.unlink(missing_ok=True)
        raise
