"""All personas of all spaces, each compiled once."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from sipagent.config.findings import Complaint
from sipagent.config.gathering import SourceFile
from sipagent.config.personas import Persona, Personas
from sipagent.config.spaces import Space
from sipagent.config.texts import by_language, piece_for
from sipagent.model import AgentName, TenantName
from sipagent.routing.skills import MOST_COLLEAGUES

TEXTS: Final = frozenset({"instructions", "greeting", "disclosure", "silence"})


@dataclass(slots=True)
class Squad:
    personas: Personas
    _compiled: dict[tuple[TenantName, str], Persona | None] = field(default_factory=dict)

    def persona(self, space: Space, reference: str) -> Persona | None:
        """The agent as this space sees it; None where it cannot be used, which has been told."""
        key = (space.tenant, reference)
        if key not in self._compiled:
            self._compiled[key] = None  # agents may hand calls to one another
            persona = self._compiled[key] = self.personas.persona(space, reference)
            for colleague in () if persona is None else _others(persona):
                self.persona(space, colleague)
        return self._compiled[key]

    def with_colleagues(self, space: Space, reference: str) -> tuple[Persona, ...]:
        """The agent and all that may take its calls over, as far as they can be used."""
        found: dict[str, Persona] = {}
        waiting = [reference]
        while waiting:
            name = waiting.pop(0)
            persona = self.persona(space, name)
            if persona is not None and name not in found:
                found[name] = persona
                waiting += persona.profile.colleagues
        return tuple(found.values())

    def compile_own(self, space: Space) -> None:
        """Compile every agent of the space's own file, whether a number names it or not."""
        for name in space.own.draft.file.agents:
            if len(self.with_colleagues(space, name)) > MOST_COLLEAGUES:
                message = f"more than {MOST_COLLEAGUES} agents may have its calls"
                complaint = Complaint(("agents", name), message, at_key=True)
                space.own.complain(complaint)

    def verify_texts(self, source: SourceFile[Any]) -> None:
        """Complain of texts of a file that are no templates, whether an agent uses them or not."""
        for name, agent in source.draft.file.agents.items():
            for leaf in TEXTS & agent.model_fields_set:
                value, steps = getattr(agent, leaf), ("agents", name, leaf)
                for language in by_language(value) or (None,):
                    self.personas.texts.compiled(piece_for(value, steps, source, language))

    def standing_in(self, space: Space, reference: str) -> tuple[AgentName, ...]:
        """The agent, and those that answer its callers of whom the carrier says too little."""
        found: dict[AgentName, None] = {}
        name: AgentName | None = AgentName(reference)
        while name is not None and name not in found:
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
