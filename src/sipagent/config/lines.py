"""The lines of the number directory as they are written, in YAML and in tables."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from sipagent.config.findings import Complaint, Findings, Place, Steps
from sipagent.config.gathering import SourceFile
from sipagent.config.schema.callers import CallersEntry
from sipagent.config.schema.limits import NumberLimits
from sipagent.config.schema.numbers import (
    NumberAnswer,
    NumberRules,
    RuleAnswer,
    RuleConsult,
    RuleForward,
    RuleRefusal,
    SettledAnswer,
    SettledForward,
    SettledRefusal,
)
from sipagent.model import DEFAULT_TENANT, TenantName

SettledValue = str | SettledAnswer | SettledRefusal | SettledForward
RuleValue = str | RuleAnswer | RuleRefusal | RuleForward | RuleConsult
"""A rule as it was written; text is an agent's name."""

LIMITS: Final = ("max_concurrent_calls", "call_rate", "budget")
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
    """A line of a YAML file. `tenant` is whose number it is, if the tenant has a file: what is
    wrong with the number may be that file's fault."""

    source: SourceFile[Any]
    steps: Steps
    tenant: str | None = None

    def complain(
        self, steps: Steps, message: str, hint: str | None = None, *, at_key: bool = False
    ) -> None:
        complaint = Complaint((*self.steps, *steps), message, hint, at_key)
        self.source.complain(complaint, tenant=self.tenant)

    def warn(self, steps: Steps, message: str, hint: str | None = None) -> None:
        self.source.warn(Complaint((*self.steps, *steps), message, hint, not steps))

    @property
    def place(self) -> str:
        at = self.source.document.key(self.steps)
        return f"line {at.line}, column {at.column}"


@dataclass(frozen=True, slots=True)
class InTable:
    """A row. The column of a finding is the number of the cell, from 1. `tenant` is as above."""

    findings: Findings
    line: int
    columns: list[str]
    tenant: str | None = None

    def complain(
        self, steps: Steps, message: str, hint: str | None = None, *, at_key: bool = False
    ) -> None:
        place, name = self._cell(steps)
        self.findings.add(place, (name,), message, hint, tenant=self.tenant)

    def warn(self, steps: Steps, message: str, hint: str | None = None) -> None:
        place, name = self._cell(steps)
        self.findings.warn(place, (name,), message, hint)

    def _cell(self, steps: Steps) -> tuple[Place, str]:
        named = steps[1:] if steps[:1] == ("vars",) else steps
        joined = "_".join(map(str, named))
        first = str(named[0]) if named else "number"
        name = joined if joined in self.columns else first
        if name == "budget":
            name = next((each for each in self.columns if each.startswith("budget_")), name)
        column = self.columns.index(name) + 1 if name in self.columns else 1
        return Place(self.line, column), name

    @property
    def place(self) -> str:
        return f"{self.findings.file}, line {self.line}"


@dataclass(frozen=True, slots=True)
class RuleLine:
    value: RuleValue | SettledValue
    origin: Origin
    steps: Steps = ()


@dataclass(frozen=True, slots=True)
class NumberLine:
    """One line. `text` is the number as it was written, `written` what YAML says of it, `limits`
    what of that is the operator's to limit; `callers` is what each file says of its callers."""

    text: str
    origin: Origin
    tenant: TenantName = DEFAULT_TENANT
    trunk: str | None = None
    timezone: str | None = None
    hours: str | None = None
    language: str | None = None
    vars: Mapping[str, str] = field(default_factory=dict)
    rules: tuple[RuleLine, ...] = ()
    written: Any = None
    limits: NumberLimits | None = None
    limits_origin: Origin | None = None
    callers: tuple[tuple[CallersEntry, InYaml], ...] = ()

    @property
    def operator(self) -> Origin:
        """Where the operator wrote it: a tenant's file may say more of it."""
        return self.limits_origin or self.origin


def yaml_lines(
    source: SourceFile[Any], owners: Collection[TenantName] = ()
) -> Iterator[NumberLine]:
    """The lines of a file's `numbers`, without their keys. `owners` are tenants with files."""
    for text, value in source.draft.file.numbers.items():
        tenant = None if isinstance(value, str | list) else value.tenant
        owner = tenant if tenant in owners else None
        yield _line(text, value, InYaml(source, ("numbers", text), owner))


def _line(text: str, value: Any, origin: Origin) -> NumberLine:
    line = NumberLine(text, origin, rules=_rules(value, origin), written=value)
    if isinstance(value, str | list):
        return line
    settings = {name: getattr(value, name) for name in SETTINGS if getattr(value, name) is not None}
    if "tenant" in settings:
        settings["tenant"] = TenantName(settings["tenant"])
    own = value.vars or {} if isinstance(value, NumberRules | NumberAnswer) else {}
    limits = None if value.model_fields_set.isdisjoint(LIMITS) else value
    if isinstance(origin, InYaml) and value.callers is not None:
        line = replace(line, callers=((value.callers, origin),))
    return replace(line, **settings, vars=own, limits=limits)


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
