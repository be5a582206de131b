"""The schema seen from a path: which keys may stand there and what they mean."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from sipagent.config.findings import Steps
from sipagent.config.schema import AgentsFile


@dataclass(frozen=True, slots=True)
class Outline:
    """One place of the schema. `each` stands for every key or item of an open collection."""

    description: str | None = None
    keys: "Mapping[str, Outline]" = field(default_factory=dict)
    each: "Outline | None" = None

    def at(self, steps: Steps) -> "Outline | None":
        """The outline of the value at these steps, None where the schema knows none."""
        found: Outline | None = self
        for step in steps:
            if found is None:
                return None
            found = found.keys.get(step, found.each) if isinstance(step, str) else found.each
        return found


def _outline(annotation: Any, description: str | None = None) -> Outline:
    keys: dict[str, Outline] = {}
    each = None
    for branch in _branches(annotation):
        if isinstance(branch, type) and issubclass(branch, BaseModel):
            for name, info in branch.model_fields.items():
                keys[name] = _outline(info.annotation, info.description)
        elif get_origin(branch) in (dict, list):
            each = _outline(get_args(branch)[-1])
    return Outline(description, keys, each)


def _branches(annotation: Any) -> Iterator[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _branches(get_args(annotation)[0])
    elif origin is Union or origin is type(int | str):
        for branch in get_args(annotation):
            yield from _branches(branch)
    else:
        yield annotation


OUTLINE = _outline(AgentsFile)
