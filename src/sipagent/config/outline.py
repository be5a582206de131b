"""The schema seen from a path: which keys may stand there, what they mean, what is expanded."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import BaseModel

from sipagent.config.findings import Steps
from sipagent.config.schema import (
    AgentsFile,
    Entry,
    Expandable,
    Hidden,
    NamespaceFile,
    PricesFile,
    Readable,
    TenantFile,
)


@dataclass(frozen=True, slots=True)
class Outline:
    """One place of the schema. `each` stands for every key or item of an open collection. Where it
    is `hidden` a secret belongs, there or below."""

    description: str | None = None
    keys: "Mapping[str, Outline]" = field(default_factory=dict)
    each: "Outline | None" = None
    expandable: Expandable | None = None
    hidden: bool = False

    @property
    def holds_secrets(self) -> bool:
        """Whether a secret may stand here, or at one of the keys or items."""
        below = (*self.keys.values(), *(() if self.each is None else (self.each,)))
        return self.hidden or any(outline.hidden for outline in below)

    def below(self, step: str | int) -> "Outline | None":
        """The outline of one key or item, None where the schema knows none."""
        found = self.keys.get(step, self.each) if isinstance(step, str) else self.each
        return found or (self if self.hidden else None)

    def at(self, steps: Steps) -> "Outline | None":
        """The outline of the value at these steps, None where the schema knows none."""
        found: Outline | None = self
        for step in steps:
            if found is None:
                return None
            found = found.below(step)
        return found


def _outline(annotation: Any, description: str | None = None, *, hidden: bool = False) -> Outline:
    keys: dict[str, Outline] = {}
    each = expandable = None
    hidden = hidden or _marked(annotation, Hidden)
    for branch, mark in _branches(annotation):
        expandable = expandable or mark
        if isinstance(branch, type) and issubclass(branch, BaseModel):
            for name, info in branch.model_fields.items():
                # Constraints and marks of a field stand in its metadata, not in its annotation.
                marks = [item for item in info.metadata if isinstance(item, Expandable)]
                secret = hidden or any(isinstance(item, Hidden) for item in info.metadata)
                below = _outline(info.annotation, info.description, hidden=secret)
                keys[name] = replace(below, expandable=marks[0]) if marks else below
        elif get_origin(branch) in (dict, list):
            each = _outline(get_args(branch)[-1], hidden=hidden)
    return Outline(description, keys, each, expandable, hidden)


def _marked(annotation: Any, mark: type) -> bool:
    return get_origin(annotation) is Annotated and any(
        isinstance(item, mark) for item in get_args(annotation)[1:]
    )


def _branches(annotation: Any, mark: Expandable | None = None) -> Iterator[tuple[Any, Any]]:
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *metadata = get_args(annotation)
        marks = [item for item in metadata if isinstance(item, Expandable)]
        yield from _branches(inner, marks[0] if marks else mark)
    elif origin is Union or origin is type(int | str):
        for branch in get_args(annotation):
            yield from _branches(branch, mark)
    else:
        yield annotation, mark


OUTLINES: Final[Mapping[type[Readable], Outline]] = {
    model: _outline(model) for model in (AgentsFile, NamespaceFile, TenantFile, PricesFile)
}


@lru_cache(maxsize=16)
def outline_of(model: type[Entry]) -> Outline:
    """The outline of any file that is read as these are."""
    return _outline(model)
