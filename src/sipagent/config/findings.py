"""Findings: collected while a file is read, told together in the file's order."""

from typing import Final, NamedTuple, NoReturn

from sipagent.config.words import closest, dotted, quoted
from sipagent.errors import ConfigError, Finding

Step = str | int
Steps = tuple[Step, ...]

_MAX_SUGGESTIONS: Final = 100
"""Looking for similar words is slow; a file with more typing errors than this gets no more help."""


class Place(NamedTuple):
    """A line and a column, both counted from 1."""

    line: int
    column: int


START: Final = Place(1, 1)


class Complaint(NamedTuple):
    """What is wrong with the value at some steps, or with the key that leads to it."""

    steps: Steps
    message: str
    hint: str | None = None
    at_key: bool = False


class Findings:
    """What is wrong with one file so far. Of two findings at one path and place the first stands,
    so whoever knows most about a mistake reports it first."""

    def __init__(self, file: str) -> None:
        self.file = file
        self._found: dict[tuple[Place, str], Finding] = {}
        self._suggestions_left = _MAX_SUGGESTIONS

    def add(self, place: Place, steps: Steps, message: str, hint: str | None = None) -> None:
        path = dotted(steps)
        finding = Finding(self.file, place.line, place.column, path, message, hint)
        self._found.setdefault((place, path), finding)

    def fail(self, place: Place, steps: Steps, message: str, hint: str | None = None) -> NoReturn:
        """Adds a finding after which the file cannot be read any further, and raises them all."""
        self.add(place, steps, message, hint)
        raise self.error()

    def error(self) -> ConfigError:
        ordered = sorted(self._found.values(), key=lambda found: (found.line, found.column))
        return ConfigError(tuple(ordered))

    def raise_if_any(self) -> None:
        if self._found:
            raise self.error()

    def did_you_mean(self, word: str, words: frozenset[str]) -> str | None:
        """A hint that names the word that was probably meant, or None."""
        if self._suggestions_left == 0:
            return None
        self._suggestions_left -= 1
        meant = closest(word, words)
        return None if meant is None else f"did you mean {quoted(meant)}?"
