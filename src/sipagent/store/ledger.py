"""The list of erased callers beside the database, so that a restored one loses them again.

It holds fingerprints, never numbers. A line is added and none is ever changed.
"""

import fcntl
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from sipagent.errors import StoreError
from sipagent.model import TenantName
from sipagent.store.database import make_private

LEDGER_FILE: Final = "erasures.jsonl"


@dataclass(frozen=True, slots=True)
class Erasure:
    """A wish that a caller's calls up to a moment be gone, of one tenant or of all."""

    id: str
    tenant: TenantName | None
    caller: str = field(repr=False)
    requested_at: float
    requested_by: str


class Ledger:
    """The erasures of one data directory. Its methods raise StoreError and are quick: a caller is
    erased now and then."""

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / LEDGER_FILE

    def add(self, erasure: Erasure) -> None:
        """The erasure is in the list, also after a loss of power."""
        make_private(self.path)
        line = json.dumps(asdict(erasure)).encode()
        try:
            file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
                # A line that begins with a newline survives a torn one before it.
                os.write(file, b"\n" + line + b"\n")
                os.fsync(file)
            finally:
                os.close(file)
        except OSError as error:
            raise self._unusable(error) from error

    def all(self) -> list[Erasure]:
        """Every erasure in the list; a torn line is none."""
        try:
            lines = self.path.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._unusable(error) from error
        return [erasure for line in lines if (erasure := _erasure(line)) is not None]

    def _unusable(self, error: OSError) -> StoreError:
        reason = (error.strerror or type(error).__name__).lower()
        return StoreError(str(self.path), f"cannot be used: {reason}")


def _erasure(line: bytes) -> Erasure | None:
    try:
        written: dict[str, Any] = json.loads(line)
        return Erasure(**written)
    except (ValueError, TypeError):
        return None
