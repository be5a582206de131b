"""The steps of a decision while it is made."""

from dataclasses import dataclass, field

from sipagent.model import TraceStep


@dataclass(slots=True)
class Trace:
    """The steps so far."""

    steps: list[TraceStep] = field(default_factory=list)

    def add(self, source: str, considered: str, *, held: bool, because: str) -> None:
        self.steps.append(TraceStep(source, considered, held, because))
