"""All personas of all spaces, each compiled once."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from sipagent.config.findings import Complaint
from sipagent.config.gathering import SourceFile
from sipagent.config.personas import Persona, Personas
from sipagent.config.places import source_of
from sipagent.config.spaces import Space
from sipagent.config.texts import by_language, piece_for
from sipagent.model import AgentName, TenantName
from sipagent.routing.skills import MOST_COLLEAGUES

TEXTS: Final = frozenset({"instructions", "greeting", "disclosure", "silence"})
MOST_CARRIED: Final = 1024 * 1024
"""Bytes of the sessions and tools that the plan of one call holds."""


@dataclass(slots=True)
class Squad:
    personas: Personas
    _compiled: dict[tuple[TenantName, str], Persona | None] = field(default_factory=dict)

    def persona(self, space: Space, reference: str) -> Persona | None:
        """The agent as this space sees it; None where it cannot be used, which has been told. All
        that may answer its callers or take its calls over are compiled with it."""
        waiting = [reference]
        while waiting:
            key = (space.tenant, waiting.pop())
            if key not in self._compiled:
                persona = self._compiled[key] = self.personas.persona(space, key[1])
                waiting += () if persona is None else _others(persona)
        return self._compiled[space.tenant, reference]

    def with_colleagues(self, space: Space, reference: str) -> tuple[Persona, ...]:
        """The agent and all that may take its calls over, as far as they can be used. Of too many,
        one more than there may be."""
        found: dict[str, Persona] = {}
        waiting = [reference]
        while waiting and len(found) <= MOST_COLLEAGUES:
            name = waiting.pop(0)
            persona = self.persona(space, name)
            if persona is not None and name not in found:
                found[name] = persona
                waiting += persona.profile.colleagues
        return tuple(found.values())

    def compile_own(self, space: Space) -> None:
        """Compile every agent of the space's own file, whether a number names it or not."""
        for name in space.own.draft.file.agents:
            together = self.with_colleagues(space, name)
            standing_in = self.standing_in(space, name)
            if len(together) > MOST_COLLEAGUES or len(standing_in) > MOST_COLLEAGUES:
                message = f"more than {MOST_COLLEAGUES} agents may have its calls"
                space.own.complain(Complaint(("agents", name), message, at_key=True))
            elif sum(map(_carried, together)) > MOST_CARRIED:
                message = "instructions and tools of one call would be more than 1 MiB"
                hint = "shorten them, or have fewer languages or agents that hand calls on"
                space.own.complain(Complaint(("agents", name), message, hint, at_key=True))

    def verify_texts(self, source: SourceFile[Any]) -> None:
        """Complain of texts of a file that are no templates, whether an agent uses them or not."""
        for name, agent in source.draft.file.agents.items():
            for leaf in TEXTS & agent.model_fields_set:
                value, steps = getattr(agent, leaf), ("agents", name, leaf)
                for language in by_language(value) or (None,):
                    self.personas.texts.compiled(piece_for(value, steps, source, language))

    def standing_in(self, space: Space, reference: str) -> tuple[AgentName, ...]:
        """The agent, and those that answer its callers of whom the carrier says too little. Of too
        many, one more than there may be."""
        found: dict[AgentName, None] = {}
        name: AgentName | None = AgentName(reference)
        while name is not None and name not in found and len(found) <= MOST_COLLEAGUES:
            found[name] = None
            persona = self.persona(space, name)
            rule = None if persona is None else persona.profile.attestation
            name = None if rule is None else rule.agent
        return tuple(found)

    @property
    def usable(self) -> list[Persona]:
        return [persona for persona in self._compiled.values() if persona is not None]


def _others(persona: Persona) -> Iterator[AgentName]:
    """Who else may answer the persona's callers, or go on with its calls."""
    yield from persona.profile.colleagues
    rule = persona.profile.attestation
    if rule is not None and rule.agent is not None:
        yield rule.agent


def _carried(persona: Persona) -> int:
    """How many bytes a call holds for the persona at most, values of variables aside: its tools,
    and its session in each of the languages that it can change to."""
    editions = persona.profile.editions
    each = [
        len(msgspec.json.encode(edition.session))
        + len((source_of(edition.instructions) or "").encode())
        for edition in editions
    ]
    tools = len(msgspec.json.encode([template.tool for template in persona.profile.tools]))
    return tools + (sum(each) if any(edition.tongue for edition in editions) else max(each))
