"""Where a secret stands: never in agents.yaml, and read again whenever it may have changed."""

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sipagent.errors import SecretError

LARGEST_FILE: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class SecretSource:
    """An environment variable (with the value for when it is unset) or a file.

    A file may hold several secrets, one a line; blank lines and those that begin with `#` are
    none. A `literal` is for tests, and for what has been read from the environment already.
    """

    variable: str | None = None
    default: str | None = field(default=None, repr=False)
    file: Path | None = None
    literal: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if sum(given is not None for given in (self.variable, self.file, self.literal)) != 1:
            raise ValueError("give a variable, a file or a literal")

    @property
    def where(self) -> str:
        """The variable's name or the file's path, for people."""
        if self.variable is not None:
            return f"${{{self.variable}}}"
        return str(self.file) if self.file is not None else "a literal"

    def read(self) -> tuple[str, ...]:
        """The secrets as they are now, at least one. Raises SecretError. Blocks on the disk."""
        if self.file is not None:
            text = self._contents(self.file)
        elif self.variable is not None:
            text = os.environ.get(self.variable) or self.default or ""
        else:
            text = self.literal or ""
        lines = (line.strip() for line in text.splitlines())
        secrets = tuple(line for line in lines if line and not line.startswith("#"))
        if not secrets:
            unset = self.variable is not None and not os.environ.get(self.variable)
            raise SecretError(self.where, "is not set" if unset else "holds no secret")
        return secrets

    def _contents(self, path: Path) -> str:
        try:
            # A pipe gives its secret once, and may keep us waiting for it.
            if not stat.S_ISREG(path.stat().st_mode):
                raise SecretError(self.where, "is not a regular file")
            with path.open("rb") as file:
                raw = file.read(LARGEST_FILE + 1)
        except OSError as error:
            raise SecretError(self.where, error.strerror or type(error).__name__) from error
        if len(raw) > LARGEST_FILE:
            raise SecretError(self.where, f"is larger than {LARGEST_FILE} bytes")
        try:
            return raw.decode("utf-8-sig")
        except UnicodeDecodeError:  # its text would quote the secret
            raise SecretError(self.where, "is not UTF-8 text") from None
