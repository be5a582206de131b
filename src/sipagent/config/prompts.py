"""The files beside a file of the configuration: prompts, and lists of callers."""

from pathlib import Path
from typing import Final

from sipagent.config.sources import Source
from sipagent.config.textfile import Unreadable
from sipagent.config.words import is_secret

MAX_PROMPT_BYTES: Final = 256 * 1024
MAX_LIST_BYTES: Final = 16 * 1024 * 1024


class Prompts:
    """Reads each file once, from one folder and what lies below it. `strict` refuses absolute
    paths and `..` also where they lead back into the folder."""

    def __init__(self, base: Path, source: Source, *, strict: bool = False) -> None:
        self._base = base
        self._source = source
        self._strict = strict
        self._texts: dict[str, str | Unreadable] = {}
        self._files: dict[Path, None] = {}

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that was read, in the order of its first mention."""
        return tuple(self._files)

    def path(self, name: str) -> Path:
        """Where the file with this relative path lies."""
        return self._base / name

    def text(self, name: str) -> str | Unreadable:
        """The text of the file with this relative path, or why it cannot be used."""
        if name not in self._texts:
            self._texts[name] = self._read(name)
        return self._texts[name]

    def numbers(self, name: str) -> str | Unreadable:
        """The text of a list of telephone numbers, which may be long, or empty."""
        path = self._base / name
        text = self._outside(path, Path(name)) or self._source.text(path, MAX_LIST_BYTES)
        if isinstance(text, Unreadable):
            return text._replace(hint=text.hint or "paths begin at the folder of this file")
        self._files[path] = None
        return text

    def _read(self, name: str) -> str | Unreadable:
        path = self._base / name
        text = self._outside(path, Path(name)) or self._source.text(path, MAX_PROMPT_BYTES)
        if isinstance(text, Unreadable):
            return text._replace(hint=text.hint or "paths begin at the folder of this file")
        if not text.strip():
            return Unreadable("is empty")
        if is_secret(text):
            return Unreadable("holds what looks like a secret", "the model would tell it to anyone")
        self._files[path] = None
        return text

    def _outside(self, path: Path, written: Path) -> Unreadable | None:
        """Why the file may not be opened, or None; symbolic links are followed."""
        refused = self._strict and (written.is_absolute() or ".." in written.parts)
        try:
            resolve = self._source.resolve
            inside = not refused and resolve(path).is_relative_to(resolve(self._base))
        except (OSError, RuntimeError, ValueError):
            # A loop of links (RuntimeError before Python 3.13), or a name with a NUL.
            return Unreadable("cannot be read: its name is not usable")
        if inside:
            return None
        hint = "write a path relative to the folder of this file, and within it"
        return Unreadable("lies outside of this file's folder", hint)
