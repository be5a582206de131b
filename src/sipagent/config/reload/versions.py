"""The last good versions of the configuration, and the rollback to one of them.

They are kept in the data directory. Replicas share them in the database of their records
(`shared`), and each keeps the directory as its copy.

A service that starts while its files are broken serves the newest of them. A *pin* says that an
older version is to be served in place of the files as they were then: a rollback. It stays in
force until it is taken back or the files change.
"""

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import structlog

from sipagent.config.reload import disk
from sipagent.config.sources import Bundle
from sipagent.errors import StoreError

KEPT: Final = 20

_NAME: Final = re.compile(r"([0-9]{13})-([0-9a-f]{4,64})\.json", re.ASCII)
_HASH: Final = re.compile(r"[0-9a-f]{4,64}", re.ASCII)
_DIGEST_BYTES: Final = 64

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Pin:
    """Serve the version `hash` for as long as the files' fingerprint is `overrides`."""

    hash: str
    overrides: str
    at: float


class Kept(NamedTuple):
    """A version that can be had back, and when it was kept, in unix seconds."""

    hash: str
    at: float


class VersionShelf(Protocol):
    """The last good versions. Its methods raise StoreError where they cannot be read or written;
    they may wait for the disk, or for a server, so call them from a thread."""

    def keep(self, hash_: str, bundle: Bundle) -> None:
        """The version is the newest one."""

    def last(self) -> tuple[str, Bundle] | None:
        """The newest version that can be read."""

    def get(self, hash_prefix: str) -> tuple[str, Bundle] | None:
        """The version whose hash begins so, or None. Raises StoreError where it means several."""

    def all(self) -> tuple[Kept, ...]:
        """Every version that can be read, the newest first."""

    def pin(self, hash_: str, overrides: str) -> None:
        """The version is pinned in place of the files of the fingerprint `overrides`.

        Raises StoreError also where there is no such version.
        """

    def pinned(self) -> Pin | None:
        """The rollback that is in force, if any."""

    def unpin(self) -> None:
        """No rollback is in force."""


def written_pin(pin: Pin) -> bytes:
    """The pin as it is written."""
    content = {"hash": pin.hash, "overrides": pin.overrides, "at": pin.at}
    return json.dumps(content).encode() + b"\n"


def read_pin(raw: bytes) -> Pin | None:
    """The pin that is written there; None where it is none."""
    try:
        content = json.loads(raw)
        return Pin(str(content["hash"]), str(content["overrides"]), float(content["at"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


class _Entry(NamedTuple):
    stamp: int
    hash: str
    path: Path


def _log_damage(file: str, reason: str) -> None:
    log.warning("stored version skipped", file=file, reason=reason)


class VersionStore:
    """`versions/` in the data directory. Its methods raise StoreError where the disk is full,
    read-only or denied; a damaged file is skipped and told to `on_damage`."""

    def __init__(
        self,
        data_dir: Path,
        *,
        now: Callable[[], float] = time.time,
        on_damage: Callable[[str, str], None] = _log_damage,
    ) -> None:
        self._folder = data_dir / "versions"
        self.pin_path = self._folder / "pinned.json"
        self._now = now
        self._on_damage = on_damage

    def keep(self, hash_: str, bundle: Bundle) -> None:
        """The version is the newest one; of the others, the oldest beyond twenty are gone.

        The pinned one stays, however old it is.
        """
        if not _HASH.fullmatch(hash_):
            raise ValueError("a version's name is 4 to 64 lower-case hex digits")
        before = self._entries()
        newest = before[0].stamp if before else 0
        stamp = max(int(self._now() * 1000), newest + 1)  # also where the clock was set back
        self._write(stamp, hash_, bundle.to_json())
        self._prune(hash_, before)

    def copy(self, hash_: str, at: float, content: bytes) -> None:
        """The version is kept as of this time, unix seconds: a replica's, in these bytes.

        Raises ValueError where they are no version.
        """
        if not _HASH.fullmatch(hash_):
            raise ValueError("a version's name is 4 to 64 lower-case hex digits")
        Bundle.from_json(content)
        self._write(_stamp_of(at), hash_, content)

    def again(self, hash_: str, at: float) -> None:
        """A version that is there is kept as of this later time."""
        for entry in self._entries():
            if entry.hash == hash_:
                with disk.translated(entry.path):
                    entry.path.replace(self._path_of(_stamp_of(at), hash_))
                return

    def listed(self) -> tuple[Kept, ...]:
        """The versions by the names of their files, unread, the newest first."""
        times: dict[str, float] = {}
        for entry in self._entries():
            times.setdefault(entry.hash, entry.stamp / 1000)
        return tuple(Kept(hash_, at) for hash_, at in times.items())

    def content(self, hash_: str) -> bytes | None:
        """The version in bytes for `copy`; None where it cannot be read."""
        found = (bundle for entry, bundle in self._readable(hash_) if entry.hash == hash_)
        return next((bundle.to_json() for bundle in found), None)

    def drop(self, hash_: str) -> None:
        """There is no such version."""
        for entry in self._entries():
            if entry.hash == hash_:
                disk.remove(entry.path)

    def copy_pin(self, content: bytes | None) -> bool:
        """The rollback that is in force is the replicas' one, in these bytes; says whether it was
        another."""
        if disk.read(self.pin_path) == content:
            return False
        if content is None:
            disk.remove(self.pin_path)
        else:
            disk.replace(self.pin_path, content)
        return True

    def _write(self, stamp: int, hash_: str, content: bytes) -> None:
        digest = hashlib.sha256(content).hexdigest().encode()
        disk.replace(self._path_of(stamp, hash_), digest + b"\n" + content)

    def _path_of(self, stamp: int, hash_: str) -> Path:
        return self._folder / f"{stamp:013d}-{hash_}.json"

    def last(self) -> tuple[str, Bundle] | None:
        """The newest version that can be read."""
        return next(((entry.hash, bundle) for entry, bundle in self._readable("")), None)

    def get(self, hash_prefix: str) -> tuple[str, Bundle] | None:
        """The version whose hash begins so, or None. Raises StoreError where it means several."""
        found = {entry.hash: bundle for entry, bundle in self._readable(hash_prefix)}
        if len(found) > 1:
            raise StoreError(hash_prefix, f"begins several versions: {', '.join(sorted(found))}")
        return next(iter(found.items()), None)

    def all(self) -> tuple[Kept, ...]:
        """Every version that can be read, the newest first."""
        return tuple(Kept(entry.hash, entry.stamp / 1000) for entry, _ in self._readable(""))

    def pin(self, hash_: str, overrides: str) -> None:
        """The version is pinned in place of the files of the fingerprint `overrides`.

        Raises StoreError also where there is no such version.
        """
        if not any(entry.hash == hash_ for entry, _ in self._readable(hash_)):
            raise StoreError(str(self._folder), f"has no version {hash_}")
        disk.replace(self.pin_path, written_pin(Pin(hash_, overrides, self._now())))

    def pinned(self) -> Pin | None:
        """The rollback that is in force, if any."""
        raw = disk.read(self.pin_path)
        if raw is None:
            return None
        pin = read_pin(raw)
        if pin is None:
            self._on_damage(str(self.pin_path), "is not a pin")
        return pin

    def unpin(self) -> None:
        """No rollback is in force."""
        disk.remove(self.pin_path)

    def _entries(self) -> list[_Entry]:
        """All versions by their files' names, the newest first."""
        with disk.translated(self._folder):
            names = [path.name for path in self._folder.iterdir()] if self._folder.exists() else []
        found = (_NAME.fullmatch(name) for name in names)
        entries = [_Entry(int(m[1]), m[2], self._folder / m[0]) for m in found if m]
        return sorted(entries, reverse=True)

    def _readable(self, hash_prefix: str) -> Iterator[tuple[_Entry, Bundle]]:
        seen = set()
        for entry in self._entries():
            if entry.hash in seen or not entry.hash.startswith(hash_prefix):
                continue
            bundle = self._bundle(entry.path)
            if bundle is not None:
                seen.add(entry.hash)
                yield entry, bundle

    def _bundle(self, path: Path) -> Bundle | None:
        try:
            raw = disk.read(path)
            if raw is None:  # pruned by another process since its name was read
                return None
            digest, content = raw[:_DIGEST_BYTES], raw[_DIGEST_BYTES + 1 :]
            if hashlib.sha256(content).hexdigest().encode() == digest:
                return Bundle.from_json(content)
            self._on_damage(str(path), "is not what was written")
        except StoreError as error:
            self._on_damage(str(path), error.reason)
        except ValueError as error:
            self._on_damage(str(path), str(error))
        return None

    def _prune(self, newest: str, before: list[_Entry]) -> None:
        pin = self.pinned()
        safe = {newest} if pin is None else {newest, pin.hash}
        room = KEPT - len(safe)
        seen = {newest}
        for entry in before:
            again = entry.hash in seen
            seen.add(entry.hash)
            if again or (entry.hash not in safe and room == 0):
                disk.remove(entry.path)
            elif entry.hash not in safe:
                room -= 1
        disk.remove_abandoned(self._folder)


def _stamp_of(at: float) -> int:
    """Milliseconds, as they stand in the names of files."""
    return round(at * 1000)
