"""From the lines of all files to the routes of the number directory."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfoNotFoundError

from sipagent.config.findings import Complaint
from sipagent.config.gathering import Gathered
from sipagent.config.lines import NumberLine, yaml_lines
from sipagent.config.numbers import DEFAULT, directory_key, keyed
from sipagent.config.places import Places, number_of, target_problem
from sipagent.config.ruling import Rulings
from sipagent.config.schema.base import given
from sipagent.config.schema.persona import DeclaredVariable
from sipagent.config.spaces import Space
from sipagent.config.squad import Squad
from sipagent.config.tables import table_lines
from sipagent.config.templates import CompiledTemplate, sample_facts
from sipagent.config.words import quoted
from sipagent.errors import TemplateError
from sipagent.model import (
    AgentName,
    CallFacts,
    Destination,
    DestinationName,
    NumberFacts,
    TenantName,
    TrunkName,
)
from sipagent.routing import AnswerWith, Route, Rule
from sipagent.routing.moment import zone
from sipagent.sip import to_e164

_SAMPLE_TIME: Final = datetime(2026, 6, 15, 12, tzinfo=UTC)
_OPERATORS: Final = ("tenant", "trunk", "timezone")


@dataclass(slots=True)
class Routes:
    """Reads, checks and compiles the lines of the directory."""

    gathered: Gathered
    spaces: Mapping[TenantName, Space]
    squad: Squad
    places: Places
    trunks: Collection[TrunkName]
    destinations: Mapping[TenantName, Mapping[DestinationName, Destination]]
    base: Path
    own: set[str] = field(default_factory=set)

    @property
    def region(self) -> str | None:
        return self.gathered.main.draft.file.defaults.region

    def compiled(self, *, region_unknown: bool) -> list[Route]:
        """All routes that can be used; what is wrong with the others is told."""
        lines, others = keyed(self._written(), self.region, region_unknown=region_unknown)
        self.own = {key for key in lines if key.startswith("+") and not key.endswith("*")}
        self._refine(lines)
        for line in others:
            self._ruled(line)
        routes = (self._route(line) for line in lines.values())
        return [route for route in routes if route is not None]

    def _written(self) -> Iterator[NumberLine]:
        yield from yaml_lines(self.gathered.main, self.gathered.tenants)
        rows = self.gathered.main.document.root.rows.get("numbers")
        table = getattr(getattr(rows, "value", None), "rows", {}).get("table")
        if table is not None:
            pattern = getattr(table.value, "text", None)
            yield from table_lines(self.gathered, pattern, self.base)

    def _refine(self, lines: dict[str, NumberLine]) -> None:
        """Have tenants' files say what happens to numbers that are theirs."""
        for tenant, source in self.gathered.tenants.items():
            for line in yaml_lines(source):
                key = directory_key(line.text, self.region)
                if isinstance(key, Complaint):
                    line.origin.complain((), key.message, key.hint, at_key=True)
                elif key == DEFAULT or key not in lines or lines[key].tenant != tenant:
                    hint = "the operator's files say whose a number is"
                    message = "this number is not the tenant's"
                    line.origin.complain((), message, hint, at_key=True)
                else:
                    lines[key] = self._refined(lines[key], line)

    def _refined(self, given: NumberLine, own: NumberLine) -> NumberLine:
        source: Any = own.origin
        value = source.source.draft.file.numbers[own.text]
        for name in _OPERATORS:
            if not isinstance(value, str | list) and name in value.model_fields_set:
                own.origin.complain((name,), "only the operator's files may have it", at_key=True)
        return replace(
            given,
            rules=own.rules,
            hours=own.hours or given.hours,
            language=own.language or given.language,
            vars={**given.vars, **own.vars},
        )

    def _ruled(self, line: NumberLine) -> tuple[Space, tuple[Rule, ...]] | None:
        """Whose line it is and what it says; None where one of its settings is wrong."""
        space = self.spaces.get(line.tenant)
        if space is None:
            names = frozenset(self.spaces)
            if not self.gathered.main.draft.lacks(("tenants", line.tenant), ("tenants",)):
                hint = self.gathered.main.findings.did_you_mean(line.tenant, names)
                message = f"there is no tenant {quoted(line.tenant)}"
                line.origin.complain(("tenant",), message, hint)
            return None
        rules = Rulings(space, self.places, self.region).rules(line)
        return (space, rules) if self._usable_settings(line, space) else None

    def _route(self, line: NumberLine) -> Route | None:
        ruled = self._ruled(line)
        if ruled is None:
            return None
        space, rules = ruled
        if not line.rules:
            line.origin.warn(("agent",), "no agent answers this number", "its calls go to default")
        route = Route(
            key=line.key,
            tenant=line.tenant,
            rules=rules,
            trunk=None if line.trunk is None else TrunkName(line.trunk),
            timezone=line.timezone,
            hours=line.hours,
            language=line.language or (space.entry.language if space.entry else None),
            vars=dict(line.vars),
        )
        self._rehearse(line, route, space, rules)
        return route

    def _usable_settings(self, line: NumberLine, space: Space) -> bool:
        usable = True
        if line.trunk is not None and line.trunk not in self.trunks:
            names = frozenset(map(str, self.gathered.main.draft.file.trunks))
            if line.trunk not in self.gathered.main.draft.names("trunks"):
                hint = self.gathered.main.findings.did_you_mean(line.trunk, names)
                line.origin.complain(("trunk",), f"there is no trunk {quoted(line.trunk)}", hint)
            usable = False
        if line.timezone is not None and not is_zone(line.timezone):
            message = f"there is no time zone {quoted(line.timezone)}"
            line.origin.complain(("timezone",), message, "as in America/Chicago")
            usable = False
        if line.hours is not None:
            hours = self.places.hours(space, line.hours, line.origin, ("hours",))
            usable = usable and hours is not None
        return usable

    def _rehearse(
        self, line: NumberLine, route: Route, space: Space, rules: tuple[Rule, ...]
    ) -> None:
        """Have every agent of the line say its texts once, with the number's own values."""
        seen: set[tuple[AgentName, tuple[tuple[str, str], ...]]] = set()
        for rule in rules:
            if not isinstance(rule.action, AnswerWith):
                continue
            action = rule.action
            for agent in (action.agent, *(name for name, _ in action.split)):
                if (agent, action.vars) not in seen:
                    seen.add((agent, action.vars))
                    self._rehearse_agent(line, route, space, agent, dict(action.vars))
        self._rehearse_destinations(line, route, space)

    def _rehearse_agent(
        self,
        line: NumberLine,
        route: Route,
        space: Space,
        agent: AgentName,
        rule_vars: Mapping[str, str],
    ) -> None:
        persona = self.squad.persona(space, agent)
        if persona is None:
            return
        values = {**persona.profile.vars, **route.vars, **rule_vars}
        usable = True
        for name, variable in persona.declared.items():
            problem = _value_problem(values.get(name), variable, self.region)
            if problem is not None and (name in persona.used or values.get(name) is not None):
                line.origin.complain(("vars", name), f"{problem} (for the agent {quoted(agent)})")
                usable = False
        if not usable or not persona.templated:
            return
        for edition in persona.profile.editions:
            facts = self._sample(route, space, agent, edition.language, values)
            for text in (edition.instructions, edition.greeting, edition.disclosure):
                self._render(line, text, facts, f"the agent {quoted(agent)}")

    def _rehearse_destinations(self, line: NumberLine, route: Route, space: Space) -> None:
        for name, destination in self.destinations[space.tenant].items():
            if isinstance(destination.to, str) and isinstance(destination.hours, str | None):
                continue
            values = {**space.values(), **route.vars}
            needed = [
                text.vars
                for text in (destination.to, destination.hours)
                if isinstance(text, CompiledTemplate)
            ]
            if any(variables - values.keys() for variables in needed):
                continue  # this number's agents do not use it, or they would have been told
            facts = self._sample(route, space, AgentName(""), route.language, values)
            to = self._render(line, destination.to, facts, f"the destination {quoted(name)}")
            if to is not None and (problem := target_problem(to)):
                message = f"the destination {quoted(name)}: {problem}"
                line.origin.complain((), message, at_key=True)
            elif to is not None and number_of(to) in self.own:
                message = f"the destination {quoted(name)} is a number of this directory"
                hint = "a call sent there would come back"
                line.origin.complain((), message, hint, at_key=True)

    def _render(self, line: NumberLine, text: Any, facts: CallFacts, what: str) -> str | None:
        if not isinstance(text, CompiledTemplate):
            return text if isinstance(text, str) else None
        try:
            return text.render(facts)
        except TemplateError as error:
            message = f"{what} cannot be rendered for this number: {error}"
            line.origin.complain((), message, at_key=True)
            return None

    def _sample(
        self,
        route: Route,
        space: Space,
        agent: AgentName,
        language: str | None,
        values: Mapping[str, str],
    ) -> CallFacts:
        timezone = route.timezone or (space.entry.timezone if space.entry else None)
        facts = sample_facts(
            vars=values,
            hours=self.places.all_hours(space),
            timezone=timezone,
            language=language,
            headers=(),
            at=_SAMPLE_TIME,
        )
        number = NumberFacts(route.key, timezone, route.hours, route.language)
        return replace(facts, number=number, tenant=space.tenant, agent=agent)


def is_zone(name: str) -> bool:
    """Whether there is a time zone of this name."""
    try:
        zone(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _value_problem(value: str | None, variable: DeclaredVariable, region: str | None) -> str | None:
    """Why the value cannot stand for the variable, or None."""
    if value is None:
        return None if given(variable.default) is not None else "is missing"
    if variable.type == "phone" and to_e164(value, region) is None:
        return f"{quoted(value)} is no telephone number"
    if variable.type == "number" and not _is_number(value):
        return f"{quoted(value)} is no number"
    return None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text.isascii()
