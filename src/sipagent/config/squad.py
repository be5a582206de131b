"""All personas of all spaces, each compiled once."""

from dataclasses import dataclass, field

from sipagent.config.personas import Persona, Personas
from sipagent.config.spaces import Space
from sipagent.model import TenantName


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

    @property
    def usable(self) -> list[Persona]:
        return [persona for persona in self._compiled.values() if persona is not None]
