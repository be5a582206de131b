"""What was asked of a call by REST."""

from dataclasses import dataclass, field
from typing import Any

from pydantic_core import from_json

ENDPOINTS = ("accept", "create", "reject", "refer", "hangup")


@dataclass(slots=True)
class Requests:
    """The bodies of one endpoint's requests and the statuses that they got (0: none)."""

    bodies: list[bytes] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)

    @property
    def read(self) -> list[Any]:
        return [read(raw) for raw in self.bodies]

    def drop(self) -> None:
        """Keeps their number only."""
        self.bodies = [b"{}"] * len(self.bodies)


def read(raw: str | bytes) -> Any:
    """The JSON of what was received, or its text where it is none."""
    try:
        return from_json(raw) if raw else {}
    except ValueError:
        return raw if isinstance(raw, str) else raw.decode(errors="replace")
