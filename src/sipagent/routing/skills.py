"""What an agent can do in one call: its tools with this call's values, as its session offers them.

What is the same in all calls is passed on as it is; only what a call changes is made anew.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from sipagent.errors import TemplateError
from sipagent.model import (
    AgentName,
    AgentProfile,
    CallFacts,
    Colleague,
    DestinationName,
    Edition,
    Json,
    Silence,
    Skills,
    SwitchAgent,
    Tongue,
    Tool,
    ToolTemplate,
    TransferTo,
)
from sipagent.model.builtin import offer, switch_agent, transfer
from sipagent.model.offer import offering
from sipagent.routing.circumstances import Circumstances, facts_of, trusted

MOST_COLLEAGUES: Final = 8
"""How many agents may take a call over from the one that answers it."""

_NOT_CHANGED: Final = frozenset({"model", "audio", "tracing", "prompt"})
"""What stays as it is when another agent goes on: the provider changes neither the model of a
session nor, once it has spoken, its voice."""


@dataclass(slots=True)
class Part:
    """One agent in one call. `given` are the values of the rule that chose it."""

    around: Circumstances
    profile: AgentProfile
    edition: Edition
    given: Mapping[str, str]
    _facts: CallFacts | None = None
    _trusted: CallFacts | None = None
    _instructions: str | None = None

    @classmethod
    def of(cls, around: Circumstances, agent: AgentName, given: Mapping[str, str]) -> "Part":
        profile = around.profile(agent)
        return cls(around, profile, profile.edition(around.route.language), given)

    @property
    def facts(self) -> CallFacts:
        if self._facts is None:
            merged = {**self._own, **self.around.advised}
            language = self.edition.language
            self._facts = facts_of(self.around, self.profile.name, language, merged)
        return self._facts

    @property
    def trusted(self) -> CallFacts:
        if self._trusted is None:
            facts = trusted(self.around, self.facts)
            self._trusted = replace(facts, vars=self._own) if self.around.advised else facts
        return self._trusted

    @property
    def _own(self) -> dict[str, str]:
        """The values of variables as the configuration has them."""
        return {**self.profile.vars, **self.around.route.vars, **self.given}

    @property
    def steady(self) -> bool:
        """Whether the agent's tools, words and languages are the same in all calls."""
        profile = self.profile
        return (
            not profile.colleagues
            and self.edition.asks is None
            and all(template.fixed for template in profile.tools)
            and all(
                edition.tongue is None or (edition.instructions is None and edition.asks is None)
                for edition in profile.editions
            )
        )

    def instructed(self, session: Json) -> Json:
        """The session with the instructions of this call, which are made once. Raises
        TemplateError."""
        template = self.edition.instructions
        if template is None:
            return session
        if self._instructions is None:
            self._instructions = template.render(self.facts)
        return {**session, "instructions": self._instructions}

    def tools(
        self, places: Collection[DestinationName], colleagues: Collection[AgentName]
    ) -> tuple[tuple[Tool, ...], bool]:
        """The tools of this call, and whether they are those that the session offers."""
        made = [self._tool(template, places, colleagues) for template in self.profile.tools]
        tools = tuple(tool for tool in made if tool is not None)
        offered = len(tools) == len(made) and all(
            tool.parameters is template.tool.parameters
            for tool, template in zip(tools, self.profile.tools, strict=True)
        )
        return tools, offered

    def _tool(
        self,
        template: ToolTemplate,
        places: Collection[DestinationName],
        colleagues: Collection[AgentName],
    ) -> Tool | None:
        """The tool for this call; None where it can do nothing in it."""
        match template.tool.does:
            case TransferTo(names) if any(name not in places for name in names):
                known = self.around.answering_tenant.destinations
                left = {name: known[name].purpose for name in names if name in places}
                return transfer(left) if left else None
            case SwitchAgent(names) if any(name not in colleagues for name in names):
                able = tuple(name for name in names if name in colleagues)
                return switch_agent(able) if able else None
        if template.fixed:
            return template.tool
        try:
            return template.for_call(self.facts, self.trusted)
        except TemplateError:
            return None

    def skills(self, tools: tuple[Tool, ...], places: Collection[DestinationName]) -> Skills:
        keys = self.profile.keys
        if any(name not in places for name in keys.values()):
            keys = {key: name for key, name in keys.items() if name in places}
        return Skills(tools, self._silence(), self._tongues(), keys, self.profile.servers)

    def _silence(self) -> Silence | None:
        silence, asks = self.edition.silence, self.edition.asks
        if silence is None or asks is None:
            return silence
        try:
            return replace(silence, say=" ".join(asks.render(self.facts).split()) or None)
        except TemplateError:
            return silence

    def _tongues(self) -> tuple[Tongue, ...]:
        """The agent in each of its languages; without those that cannot be had in this call."""
        tongues = [
            tongue
            for edition in self.profile.editions
            if edition.tongue is not None and (tongue := self._tongue(edition)) is not None
        ]
        return tuple(tongues)

    def _tongue(self, edition: Edition) -> Tongue | None:
        tongue = edition.tongue
        if tongue is None or (edition.instructions is None and edition.asks is None):
            return tongue
        facts = replace(self.facts, language=edition.language)
        try:
            asks = tongue.asks if edition.asks is None else edition.asks.render(facts)
            if edition is self.edition:
                return Tongue(tongue.language, self.instructed(tongue.session), asks)
            return Tongue(tongue.language, _instructed(tongue.session, edition, facts), asks)
        except TemplateError:
            return None


def offered(session: Json, tools: tuple[Tool, ...]) -> Json:
    """The session with these tools in place of its functions."""
    hosted = [tool for tool in session.get("tools", ()) if tool["type"] != "function"]
    return offering(session, [*(offer(tool) for tool in tools), *hosted])


def colleague_of(part: Part, session: Json, skills: Skills) -> Colleague:
    return Colleague(part.profile.name, _taken_over(session), skills)


def closure(around: Circumstances, first: AgentProfile) -> tuple[AgentName, ...]:
    """The agents that may take the call over, from this one or from one another; this one too,
    where others may hand it back."""
    agents, tenant = around.table.agents, around.answering_tenant.name
    found: dict[AgentName, None] = {}
    waiting = list(first.colleagues)
    while waiting and len(found) < MOST_COLLEAGUES:
        name = waiting.pop(0)
        if name not in found and (tenant, name) in agents:
            found[name] = None
            waiting += agents[tenant, name].colleagues
    return tuple(found)


def _instructed(session: Json, edition: Edition, facts: CallFacts) -> Json:
    if edition.instructions is None:
        return session
    return {**session, "instructions": edition.instructions.render(facts)}


def _taken_over(session: Json) -> Json:
    """The change of a session that makes the model be another agent. All that the agent before may
    have had otherwise is spelled out."""
    kept = {key: value for key, value in session.items() if key not in _NOT_CHANGED}
    heard: dict[str, Any] = {"transcription": None, "noise_reduction": None}
    heard |= session.get("audio", {}).get("input", {})
    always = {"instructions": "", "tools": [], "tool_choice": "auto"}
    return {**always, **kept, "audio": {"input": heard}}
