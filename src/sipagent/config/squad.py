"""All personas of all spaces, each compiled once."""

from dataclasses import dataclass, field
from typing import Any, Final

from sipagent.config.gathering import SourceFile
from sipagent.config.personas import Persona, Personas
from sipagent.config.spaces import Space
from sipagent.config.texts import by_language, piece_for
from sipagent.model import TenantName

TEXTS: Final = frozenset({"instructions", "greeting", "disclosure", "silence"})


@dataclass(slots=True)
class Squad:
    personas: Personas
    _compiled: dict[tuple[TenantName, str], Persona | None] = field(default_factory=dict)

    def persona(self, space: Space, reference: str) -> Persona | None:
        """The agent as this space sees it; None where it cannot be used, which has been told."""
        key = (space.tenant, reference)
        if key not in self._compiled:
            self._compiled[key] = self.personas.persona(space, reference)
        return self._compiled[key]

    def compile_own(self, space: Space) -> None:
        """Compile every agent of the space's own file, whether a number names it or not."""
        for name in space.own.draft.file.agents:
            self.persona(space, name)

    def verify_texts(self, source: SourceFile[Any]) -> None:
        """Complain of texts of a file that are no templates, whether an agent uses them or not."""
        for name, agent in source.draft.file.agents.items():
            for leaf in TEXTS & agent.model_fields_set:
                value, steps = getattr(agent, leaf), ("agents", name, leaf)
                for language in by_language(value) or (None,):
                    self.personas.texts.compiled(piece_for(value, steps, source, language))

    @property
    def usable(self) -> list[Persona]:
        return [persona for persona in self._compiled.values() if persona is not None]
