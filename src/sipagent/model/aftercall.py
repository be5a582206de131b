"""What is made of a call when it is over."""

from dataclasses import dataclass, field
from typing import Any

from sipagent.model.json import Json
from sipagent.model.price import ModelPrice


@dataclass(frozen=True, slots=True)
class AfterCall:
    """`model` reads what was said, in one request: it writes a `summary`, and takes out what the
    JSON Schema `extract` describes. `price` is what it costs, None where that is not known, of the
    price list `version`."""

    model: str
    summary: bool = True
    extract: Json | None = None
    price: ModelPrice | None = None
    version: str = field(default="")

    @property
    def answer(self) -> dict[str, Any]:
        """The JSON Schema of the model's answer."""
        wanted: dict[str, Any] = {"summary": {"type": "string"}} if self.summary else {}
        if self.extract is not None:
            wanted["extracted"] = self.extract
        return {
            "type": "object",
            "properties": wanted,
            "required": list(wanted),
            "additionalProperties": False,
        }
