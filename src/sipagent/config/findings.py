"""Findings: collected while a file is read, told together in the file's order."""

import re
from dataclasses import replace
from typing import Final, NamedTuple, NoReturn

from sipagent.config.words import closest, dotted, quoted
from sipagent.errors import ConfigError, Finding
from sipagent.sip import mask_number

Step = str | int
Steps = tuple[Step, ...]

_MAX_SUGGESTIONS: Final = 100
"""Looking for similar words is slow; a file with more typing errors than this gets no more help."""


_NUMBER: Final = re.compile(r"(?<![/\w])\+?[0-9](?:[ ().\-]{0,3}[0-9]){6,}", re.ASCII)
"""Seven digits or more, also in groups: nobody's number has fewer."""


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
    so whoever knows most about a mistake reports it first. `tenant` is whose file it is, if it is
    not the operator's."""

    def __init__(self, file: str, tenant: str | None = None) -> None:
        self.file = file
        self.tenant = tenant
        self._found: dict[tuple[Place, str], Finding] = {}
        self._warned: dict[tuple[Place, str], Finding] = {}
        self._suggestions_left = _MAX_SUGGESTIONS

    def add(
        self,
        place: Place,
        steps: Steps,
        message: str,
        hint: str | None = None,
        *,
        tenant: str | None = None,
    ) -> None:
        """Adds what is wrong. `tenant` is whose fault it may be, in a file of the operator's."""
        path, whose = dotted(steps), self.tenant or tenant
        finding = Finding(self.file, place.line, place.column, path, message, hint, whose)
        self._found.setdefault((place, path), finding)

    def warn(self, place: Place, steps: Steps, message: str, hint: str | None = None) -> None:
        """Adds what is probably not meant, and does not make the file unusable."""
        path = dotted(steps)
        finding = Finding(self.file, place.line, place.column, path, message, hint, self.tenant)
        self._warned.setdefault((place, path), finding)

    def fail(self, place: Place, steps: Steps, message: str, hint: str | None = None) -> NoReturn:
        """Adds a finding after which the file cannot be read any further, and raises them all."""
        self.add(place, steps, message, hint)
        raise self.error()

    def error(self) -> ConfigError:
        return ConfigError(self.ordered())

    def ordered(self) -> tuple[Finding, ...]:
        """All findings in the file's order."""
        return _in_order(self._found)

    def warnings(self) -> tuple[Finding, ...]:
        """All warnings in the file's order."""
        return _in_order(self._warned)

    def did_you_mean(self, word: str, words: frozenset[str]) -> str | None:
        """A hint that names the word that was probably meant, or None."""
        if self._suggestions_left == 0:
            return None
        self._suggestions_left -= 1
        meant = closest(word, words)
        return None if meant is None else f"did you mean {quoted(meant)}?"


def masked(finding: Finding) -> str:
    """The finding for logs and probes, in which no telephone number is whole."""
    path, message = without_numbers(finding.path), without_numbers(finding.message)
    hint = None if finding.hint is None else without_numbers(finding.hint)
    return str(replace(finding, path=path, message=message, hint=hint))


def without_numbers(text: str) -> str:
    """The text, in which no telephone number is whole. Names of files stay as they are."""
    return _NUMBER.sub(lambda found: mask_number(found[0]), text)


def _in_order(found: dict[tuple[Place, str], Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(found.values(), key=lambda finding: (finding.line, finding.column)))


class Report:
    """What is wrong with all files of a configuration, in the order in which they were read."""

    def __init__(self) -> None:
        self._files: dict[str, Findings] = {}

    def of(self, file: str, tenant: str | None = None) -> Findings:
        """The findings of one file."""
        return self._files.setdefault(file, Findings(file, tenant))

    def raise_if_any(self) -> None:
        """Raises ConfigError with all findings, the operator's files first as they were read."""
        found = [finding for findings in self._files.values() for finding in findings.ordered()]
        if found:
            raise ConfigError(tuple(found))

    def warnings(self) -> tuple[Finding, ...]:
        return tuple(each for findings in self._files.values() for each in findings.warnings())
