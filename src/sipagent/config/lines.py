"""The lines of the number directory as they are written, in YAML and in tables."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from sipagent.config.findings import Complaint, Findings, Place, Steps
from sipagent.config.gathering import SourceFile
from sipagent.config.schema.numbers import (
    NumberRules,
    RuleAnswer,
    RuleForward,
    RuleRefusal,
)
from sipagent.model import DEFAULT_TENANT, TenantName

RuleValue = str | RuleAnswer | RuleRefusal | RuleForward
"""A rule as it was written; text is an agent's name."""

SETTINGS: Final = ("tenant", "trunk", "timezone", "hours", "language")


class Origin(Protocol):
    """Where a line or a rule was written."""

    def complain(
        self, steps: Steps, message: str, hint: str | None = None, *, at_key: bool = False
    ) -> None:
        """Complain of what stands at these steps below it."""

    def warn(self, steps: Steps, message: str, hint: str | None = None) -> None: ...

    @property
    def place(self) -> str:
        """Where it stands, in words."""


@dataclass(frozen=True, slots=True)
class InYaml:
    source: SourceFile[Any]
    steps: Steps

    def complain(
        self, steps: Steps, message: str, hint: str | None = None, *, at_key: bool = False
    ) -> None:
        self.source.complain(Complaint((*self.steps, *steps), message, hint, at_key))

    def warn(self, steps: Steps, message: str, hint: str | None = None) -> None:
        self.source.warn(Complaint((*self.steps, *steps), message, hint, not steps))

    @property
    def place(self) -> str:
        at = self.source.document.key(self.steps)
        return f"line {at.line}, column {at.column}"


@dataclass(frozen=True, slots=True)
class InTable:
    """A row. The column of a finding is the number of the cell, from 1."""

    findings: Findings
    line: int
    columns: Mapping[str, int]

    def complain(
        self, steps: Steps, message: str, hint: str | None = None, *, at_key: bool = False
    ) -> None:
        name = str(steps[0]) if steps else "number"
        self.findings.add(Place(self.line, self.columns.get(name, 1)), (name,), message, hint)

    def warn(self, steps: Steps, message: str, hint: str | None = None) -> None:
        name = str(steps[0]) if steps else "number"
        self.findings.warn(Place(self.line, self.columns.get(name, 1)), (name,), message, hint)

    @property
    def place(self) -> str:
        return f"{self.findings.file}, line {self.line}"


@dataclass(frozen=True, slots=True)
class RuleLine:
    value: RuleValue
    origin: Origin
    steps: Steps = ()


@dataclass(frozen=True, slots=True)
class NumberLine:
    """One line. `text` is the number as it was written, `key` as the directory names it."""

    text: str
    origin: Origin
    key: str = ""
    tenant: TenantName = DEFAULT_TENANT
    trunk: str | None = None
    timezone: str | None = None
    hours: str | None = None
    language: str | None = None
    vars: Mapping[str, str] = field(default_factory=dict)
    rules: tuple[RuleLine, ...] = ()


def yaml_lines(source: SourceFile[Any]) -> Iterator[NumberLine]:
    """The lines of a file's `numbers`, without their keys."""
    for text, value in source.draft.file.numbers.items():
        origin = InYaml(source, ("numbers", text))
        yield _line(text, value, origin)


def _line(text: str, value: Any, origin: Origin) -> NumberLine:
    line = NumberLine(text, origin, rules=_rules(value, origin))
    if isinstance(value, str | list):
        return line
    settings = {name: getattr(value, name) for name in SETTINGS if getattr(value, name) is not None}
    if "tenant" in settings:
        settings["tenant"] = TenantName(settings["tenant"])
    # An answer's variables belong to its one rule; a list of rules has some for all of them.
    own = value.vars or {} if isinstance(value, NumberRules) else {}
    return replace(line, **settings, vars=own)


def _rules(value: Any, origin: Origin) -> tuple[RuleLine, ...]:
    match value:
        case list():
            return tuple(RuleLine(item, origin, (at,)) for at, item in enumerate(value))
        case NumberRules():
            return tuple(
                RuleLine(item, origin, ("rules", at)) for at, item in enumerate(value.rules)
            )
        case _:
            return (RuleLine(value, origin),)
