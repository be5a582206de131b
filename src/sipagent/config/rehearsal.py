"""Every number once before its first call: do its agents and destinations have all their values?"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from sipagent.config.attesting import agent_of
from sipagent.config.lines import NumberLine
from sipagent.config.personas import Persona
from sipagent.config.places import Places, may_come_back, target_problem, template_in
from sipagent.config.reach import reach_of
from sipagent.config.schema.base import given
from sipagent.config.schema.numbers import (
    NumberRules,
    RuleAnswer,
    RuleConsult,
    SettledAnswer,
)
from sipagent.config.spaces import Space
from sipagent.config.squad import Squad
from sipagent.config.templates.compiled import CompiledTemplate, sample_facts
from sipagent.config.variables import is_declared_value, value_problem
from sipagent.config.words import quoted
from sipagent.errors import TemplateError
from sipagent.model import (
    AgentName,
    CallFacts,
    Destination,
    DestinationName,
    NumberFacts,
    TenantName,
    ToolTemplate,
)
from sipagent.routing import Action, AnswerWith, ConsultWith, ForwardTo, Route, Rule
from sipagent.routing.targets import number_of, toll
from sipagent.routing.ways import chain_of
from sipagent.sip import is_e164

_SAMPLE_TIME: Final = datetime(2026, 6, 15, 12, tzinfo=UTC)
_NOBODY: Final = AgentName("")


@dataclass(slots=True)
class Rehearsal:
    """Has every text of a number be rendered once, with the number's own values."""

    squad: Squad
    places: Places
    destinations: Mapping[TenantName, Mapping[DestinationName, Destination]]
    own: Collection[str]
    region: str | None
    _facts: dict[tuple[TenantName, str | None, str | None], CallFacts] = field(default_factory=dict)
    _varied: dict[TenantName, list[Destination]] = field(default_factory=dict)

    def play(self, line: NumberLine, route: Route, space: Space, rules: tuple[Rule, ...]) -> None:
        """Complain of what this number's agents and destinations lack."""
        seen: set[tuple[AgentName, tuple[tuple[str, str], ...]]] = set()
        needed: set[str] = set()
        for rule in rules:
            usual = rule.action
            if isinstance(usual, ConsultWith):
                usual = usual.otherwise
            if isinstance(usual, ForwardTo):
                needed.add(usual.destination)
            answering = set(self._answering(rule.action, space))
            for name, own in sorted(answering - seen):
                needed.update(self._agent(line, route, space, name, dict(own)))
            seen |= answering
        for name in _asked_for(route, space):
            needed.update(self._agent(line, route, space, name, {}))
        if line.written is not None:
            self._verify_declared(line, space)
        self._verify_destinations(line, route, space, needed)

    def _answering(
        self, action: Action, space: Space
    ) -> Iterator[tuple[AgentName, tuple[tuple[str, str], ...]]]:
        """Every agent that may answer, with the values that the rule gives it."""
        usual = action.otherwise if isinstance(action, ConsultWith) else action
        first = action.agents if isinstance(action, ConsultWith) else ()
        named: list[tuple[AgentName, tuple[tuple[str, str], ...]]] = [(name, ()) for name in first]
        if isinstance(usual, AnswerWith):
            named += [(name, usual.vars) for name in usual.answering]
        for name, own in named:
            yield name, own
            for other in self.squad.standing_in(space, name)[1:]:
                yield other, ()

    def _agent(
        self,
        line: NumberLine,
        route: Route,
        space: Space,
        agent: AgentName,
        rule_vars: Mapping[str, str],
    ) -> tuple[DestinationName, ...]:
        """Rehearse an agent and those that may take its calls over, and say which destinations
        they may send a call to."""
        personas = self.squad.with_colleagues(space, agent)
        for persona in personas:
            if not persona.declared and not persona.templated:
                continue
            values = {**persona.profile.vars, **route.vars, **rule_vars}
            if self._verify_values(line, persona, values) and persona.templated:
                self._render_all(line, route, space, persona, values)
        first = [name for persona in personas for name in persona.profile.transfers]
        return chain_of(self.destinations[space.tenant], first)

    def _render_all(
        self,
        line: NumberLine,
        route: Route,
        space: Space,
        persona: Persona,
        values: Mapping[str, str],
    ) -> None:
        # A call hears the number's language first, and others if the agent can change it.
        edition, name = persona.profile.edition(route.language), persona.profile.name
        changes = any(each.tongue is not None for each in persona.profile.editions)
        for each in persona.profile.editions if changes else (edition,):
            facts = self._sample(route, space, name, each.language, values)
            for text in (each.instructions, each.greeting, each.disclosure, each.asks):
                if isinstance(text, CompiledTemplate):
                    self._render(line, text, facts, f"the agent {quoted(name)}")
        facts = self._sample(route, space, name, edition.language, values)
        for template in persona.profile.tools:
            if not template.fixed:
                self._make(line, template, facts, name)

    def _make(
        self, line: NumberLine, template: ToolTemplate, facts: CallFacts, agent: AgentName
    ) -> None:
        what = f"the tool {quoted(template.tool.name)} of the agent {quoted(agent)}"
        try:
            template.for_call(facts, facts)
        except TemplateError as error:
            message = f"{what} cannot be made for this number: {error}"
            line.origin.complain((), message, at_key=True)

    def _verify_values(self, line: NumberLine, persona: Persona, values: Mapping[str, str]) -> bool:
        """Complain of values that the agent lacks or cannot use."""
        usable = True
        for name, variable in persona.declared.items():
            value = values.get(name)
            problem = value_problem(value, variable, self.region)
            if problem is None or (name not in persona.used and value is None):
                continue
            if not is_declared_value(value, variable):
                message = f"{problem} (for the agent {quoted(persona.profile.name)})"
                line.origin.complain(("vars", name), message)
            usable = False
        return usable

    def _verify_declared(self, line: NumberLine, space: Space) -> None:
        """Complain of values for variables that nobody reads: they are misspelled."""
        for steps, origin, names, agents in _given(line):
            known = {
                name
                for destination in self._with_variables(space)
                for text in (destination.to, destination.hours)
                if (template := template_in(text)) is not None
                for name in template.vars
            }
            for agent in agents:
                persona = self.squad.persona(space, agent)
                if persona is None:
                    return
                known |= persona.declared.keys() | persona.used | persona.profile.vars.keys()
            for name in names:
                if name not in known:
                    hint = space.own.findings.did_you_mean(name, frozenset(known))
                    message = f"no agent of this number declares {quoted(name)}"
                    origin.complain((*steps, name), message, hint, at_key=True)

    def _verify_destinations(
        self, line: NumberLine, route: Route, space: Space, needed: Collection[str]
    ) -> None:
        for destination in self._with_variables(space):
            known = {**space.values(), **route.vars}
            texts = [template_in(destination.to), template_in(destination.hours)]
            missing = {name for text in texts if text for name in text.vars - known.keys()}
            what = f"the destination {quoted(destination.name)}"
            if missing and destination.name in needed:
                for name in sorted(missing):
                    line.origin.complain(("vars", name), f"is missing (for {what})")
            if not missing and (destination.name in needed or _is_apt(route, texts)):
                facts = self._sample(route, space, _NOBODY, route.language, known)
                listed = route.key if is_e164(route.key) else None
                facts = replace(facts, number=replace(facts.number, e164=listed))
                self._verify_target(line, space, destination, facts, what)
                self._verify_hours(line, space, destination, facts, what)

    def _verify_target(
        self,
        line: NumberLine,
        space: Space,
        destination: Destination,
        facts: CallFacts,
        what: str,
    ) -> None:
        to = self._render(line, destination.to, facts, what)
        if to is None:
            return
        named = space.find("destinations", destination.name)
        if (problem := target_problem(to)) is not None:
            line.origin.complain((), f"{what}: {problem}", at_key=True)
        elif number_of(to) in self.own and not (named and may_come_back(named)):
            message = f"{what} is a number of this directory"
            line.origin.complain((), message, "a call sent there would come back", at_key=True)
        elif template_in(destination.to) and (refusal := _refusal(space, destination, to)):
            line.origin.complain((), f"{what}: {refusal}", at_key=True)

    def _verify_hours(
        self,
        line: NumberLine,
        space: Space,
        destination: Destination,
        facts: CallFacts,
        what: str,
    ) -> None:
        if destination.hours is None or isinstance(destination.hours, str):
            return
        name = self._render(line, destination.hours, facts, what)
        if name and space.hours(name) is None and not space.broken("hours", name):
            message = f"{what}: there are no hours {quoted(name)}"
            line.origin.complain((), message, at_key=True)

    def _with_variables(self, space: Space) -> list[Destination]:
        """The tenant's destinations that are not the same for every number."""
        if space.tenant not in self._varied:
            self._varied[space.tenant] = [
                destination
                for destination in self.destinations[space.tenant].values()
                if template_in(destination.to) or template_in(destination.hours)
            ]
        return self._varied[space.tenant]

    def _render(self, line: NumberLine, text: Any, facts: CallFacts, what: str) -> str | None:
        if isinstance(text, str):
            return text
        try:
            rendered: str = text.render(facts)
        except TemplateError as error:
            message = f"{what} cannot be rendered for this number: {error}"
            line.origin.complain((), message, at_key=True)
            return None
        return rendered

    def _sample(
        self,
        route: Route,
        space: Space,
        agent: AgentName,
        language: str | None,
        values: Mapping[str, str],
    ) -> CallFacts:
        timezone = route.timezone or (space.entry.timezone if space.entry else None)
        key = (space.tenant, timezone, language)
        if key not in self._facts:
            self._facts[key] = sample_facts(
                vars={},
                hours=self.places.all_hours(space),
                timezone=timezone,
                language=language,
                headers=(),
                at=_SAMPLE_TIME,
            )
        sample = self._facts[key]
        e164 = route.key if is_e164(route.key) else sample.number.e164
        number = NumberFacts(e164, timezone, route.hours, route.language)
        return replace(sample, number=number, tenant=space.tenant, agent=agent, vars=values)


def _asked_for(route: Route, space: Space) -> Iterator[AgentName]:
    """The agents that answer callers of whom the carrier says too little."""
    entry = None if space.entry is None else given(space.entry.callers)
    wanted = None if entry is None else given(entry.attestation)
    if wanted is not None and (other := agent_of(wanted)) is not None:
        yield AgentName(other)
    for callers in route.callers:
        if callers.attestation is not None and callers.attestation.agent is not None:
            yield callers.attestation.agent


def _refusal(space: Space, destination: Destination, to: str) -> str | None:
    """Why calls of this tenant, or of anybody, are not sent there."""
    refusal = reach_of(space).refusal(to)
    return refusal or (None if destination.any_number else toll(to))


def _is_apt(route: Route, texts: Iterable[CompiledTemplate | None]) -> bool:
    """Whether these say something of the route: not where they name the dialed number, and it is
    one of many."""
    return is_e164(route.key) or not any(text and "number" in text.reads for text in texts)


def _given(line: NumberLine) -> Iterator[tuple[Any, Any, Collection[str], list[AgentName]]]:
    """The variables that YAML gives to a number or a rule, and the agents that may read them. A
    table's columns are for all of its rows."""
    agents = []
    for rule in line.rules:
        if isinstance(rule.value, str):
            agents.append(AgentName(rule.value))
        elif isinstance(rule.value, RuleAnswer):
            own = [AgentName(name) for name in (rule.value.agent, *(rule.value.split or {}))]
            agents += own
            yield (*rule.steps, "vars"), rule.origin, rule.value.vars or {}, own
        elif isinstance(rule.value, RuleConsult):
            agents += map(AgentName, rule.value.consult.agents or ())
            usual = rule.value.consult.otherwise
            if isinstance(usual, SettledAnswer):
                own = [AgentName(name) for name in (usual.agent, *(usual.split or {}))]
                agents += own
                steps = (*rule.steps, "consult", "otherwise", "vars")
                yield steps, rule.origin, usual.vars or {}, own
            elif isinstance(usual, str):
                agents.append(AgentName(usual))
    whole = line.written
    if isinstance(whole, NumberRules):
        yield ("vars",), line.origin, whole.vars or {}, agents
