"""Files of the data directory: written whole or not at all, readable by this user only."""

import contextlib
import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sipagent.errors import StoreError

_FILE_MODE: Final = 0o600
_FOLDER_MODE: Final = 0o700
_TEMPORARY: Final = ".tmp"
_ABANDONED_AFTER: Final = 3600.0
_LOCK_WAIT: Final = 5.0
_LOCK_PAUSE: Final = 0.02


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """An OSError of the block becomes a StoreError that names the path."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise StoreError(str(path), f"cannot be used: {reason}") from error


def make_folder(path: Path) -> None:
    """The folder exists. Raises StoreError."""
    with translated(path):
        path.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)


def read(path: Path) -> bytes | None:
    """The file's content, None where there is no such file. Raises StoreError."""
    with translated(path):
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None


def replace(path: Path, content: bytes) -> None:
    """The file holds this content, also after a loss of power, or still what it held before.

    Raises StoreError.
    """
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}{_TEMPORARY}")
    with translated(path):
        try:
            _write(temporary, content, os.O_EXCL)
            temporary.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        _sync_folder(path.parent)


def append_line(path: Path, line: bytes) -> None:
    """The file ends with this line, also after a loss of power. Raises StoreError."""
    make_folder(path.parent)
    with translated(path):
        start = b"\n" if _is_torn(path) else b""
        _write(path, start + line + b"\n", os.O_APPEND)


def remove(path: Path) -> None:
    """There is no such file. Raises StoreError."""
    with translated(path):
        path.unlink(missing_ok=True)


def remove_abandoned(folder: Path) -> None:
    """Temporary files of writers that died are gone; those of others at work are left."""
    with contextlib.suppress(OSError):
        for path in folder.glob(f".*{_TEMPORARY}"):
            if path.stat().st_mtime < time.time() - _ABANDONED_AFTER:
                path.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """No other process is in such a block with the same lock file. Raises StoreError where one
    stays there for more than five seconds."""
    make_folder(path.parent)
    with translated(path):
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _FILE_MODE)
    try:
        with translated(path):
            _acquire(lock, path)
        yield
    finally:
        os.close(lock)


def _acquire(lock: int, path: Path) -> None:
    deadline = time.monotonic() + _LOCK_WAIT
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise StoreError(str(path), "is held by another process") from None
            time.sleep(_LOCK_PAUSE)
        else:
            return


def _write(path: Path, content: bytes, flags: int) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | flags, _FILE_MODE)
    with os.fdopen(file, "wb") as writer:
        writer.write(content)
        writer.flush()
        os.fsync(writer.fileno())


def _is_torn(path: Path) -> bool:
    """Whether the file's last line was cut, by a crash of its writer."""
    try:
        with path.open("rb") as file:
            if file.seek(0, os.SEEK_END) == 0:
                return False
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"
    except FileNotFoundError:
        return False


def _sync_folder(folder: Path) -> None:
    """A rename is lasting once its folder is on the disk."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # some network file systems cannot, and need not
            os.fsync(file)
    finally:
        os.close(file)
