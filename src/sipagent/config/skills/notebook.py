"""What is known and told while one agent's tools are read."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from sipagent.config.findings import Complaint, Steps
from sipagent.config.gathering import SourceFile
from sipagent.config.spaces import Space
from sipagent.config.texts import Piece, Texts
from sipagent.config.words import quoted
from sipagent.model import Text


@dataclass(slots=True)
class Notebook:
    """Where the tools stand, and which of them collect digits. `pieces` are their templates, `pins`
    the variables that hold PINs, each with the place where it is named."""

    space: Space
    source: SourceFile[Any]
    texts: Texts
    collecting: Collection[str] = ()
    pieces: list[Piece] = field(default_factory=list)
    pins: list[tuple[str, Steps]] = field(default_factory=list)
    broken: bool = False

    def complain(self, complaint: Complaint) -> None:
        # A tool of the operator's that an agent of a tenant's has may be that tenant's fault.
        self.source.complain(complaint, tenant=self.space.own.findings.tenant)
        self.broken = True

    def text(self, value: str, steps: Steps) -> Text | None:
        """The text, compiled; None where it cannot be used, which is told."""
        piece = Piece(value, steps, self.source)
        compiled = self.texts.compiled(piece)
        if compiled is None:
            self.broken = True
        elif not isinstance(compiled, str):
            self.pieces.append(piece)
        return compiled

    def collects(self, name: str, steps: Steps) -> bool:
        """Whether a tool of this name collects digits; told if none does."""
        if name in self.collecting:
            return True
        hint = self.source.findings.did_you_mean(name, frozenset(self.collecting))
        known = hint or "add one, as in {collect_digits: {name: pin, length: 4}}"
        message = f"no tool {quoted(name)} of the agent collects digits"
        self.complain(Complaint(steps, message, known))
        return False

    def destination(self, name: str, steps: Steps) -> bool:
        return self._named("destinations", "destination", name, steps)

    def agent(self, name: str, steps: Steps) -> bool:
        return self._named("agents", "agent", name, steps)

    def _named(self, section: str, what: str, name: str, steps: Steps) -> bool:
        """Whether the name means something here; told if it does not."""
        space = self.space
        if space.find(section, name) is not None:
            return True
        if not space.broken(section, name):
            hint = self.source.findings.did_you_mean(name, space.names(section))
            self.complain(Complaint(steps, space.unknown(what, name), hint))
        self.broken = True
        return False
