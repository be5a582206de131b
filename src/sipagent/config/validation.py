"""From plain data to a typed draft of a file, and what was wrong with the rest.

Sections are judged item by item: a mistake leaves out one item or one leaf of it, and no single
step holds up other threads for long.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Generic, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from sipagent.config.findings import Complaint, Findings, Steps
from sipagent.config.schema import SECTIONS, AgentsFile, PricesFile, Readable
from sipagent.config.sentences import complaint_of

_DEEPEST: Final = {"agents": 3}
"""How much of a section is left out for one mistake: a leaf of an agent, else a whole item."""

_ALWAYS: Final[dict[str, Any]] = {"version": 1, "numbers": {}, "tenant": "x", "namespace": "x"}
"""What stands in for keys that a file must have and that were wrong."""

_ALWAYS_PRICED: Final[dict[str, Any]] = {"version": "-"}

F = TypeVar("F", bound=Readable, covariant=True)


@dataclass(frozen=True, slots=True)
class Draft(Generic[F]):
    """The valid part of a file. `left_out` holds the steps of what was not valid, so that nobody
    complains that it is missing; `keys` are all that its sections have."""

    file: F
    left_out: frozenset[Steps]
    keys: Mapping[str, tuple[str, ...]]

    def lacks(self, *steps: Steps) -> bool:
        """Whether one of these was written and left out, by itself or with all around it."""
        return any(step[:length] in self.left_out for step in steps for length in range(1, 4))

    def names(self, section: str) -> frozenset[str]:
        """All names that the section has, also of items that are wrong."""
        return frozenset(self.keys.get(section, ()))


def validate(
    data: dict[str, Any], model: type[F], findings: Findings
) -> tuple[Draft[F], list[Complaint]]:
    """The part of the data that the model allows, and a complaint for each mistake in the rest."""
    judge = _Judge(data, model, findings)
    sections = {name: judge.section(name) for name in SECTIONS if name in model.model_fields}
    rest = judge.rest()
    given = {name: items for name, items in sections.items() if name in data}
    file = cast("F", rest.model_copy(update=given))
    keys = {name: _keys(data.get(name)) for name in sections}
    draft = Draft(file, frozenset(judge.left_out), keys)
    return draft, list(judge.complaints)


def verify_sections(draft: Draft[AgentsFile]) -> Iterator[Complaint]:
    """Which section that a call needs is empty."""
    shared = "tenants" in draft.file.model_fields_set or "include" in draft.file.model_fields_set
    if not draft.keys["agents"] and not shared and not draft.lacks(("agents",)):
        yield Complaint(("agents",), "there must be at least one agent", at_key=True)
    if not draft.keys["numbers"] and not draft.lacks(("numbers",)):
        hint = "or write `default: NAME` to answer every call"
        yield Complaint(("numbers",), "there must be at least one number", hint, at_key=True)


class _Judge(Generic[F]):
    def __init__(self, data: dict[str, Any], model: type[F], findings: Findings) -> None:
        self.complaints: dict[Complaint, None] = {}
        self.left_out: set[Steps] = set()
        self._data = data
        self._model: Any = model
        self._findings = findings

    def rest(self) -> F:
        """Everything but the sections."""
        data = {key: value for key, value in self._data.items() if not self._is_section(key)}
        for key, field in self._model.model_fields.items():
            if self._is_section(key) and field.is_required() and key in self._data:
                data[key] = {}
        try:
            return cast("F", self._model.model_validate(data))
        except ValidationError as error:
            wrong = self._told(error, ())
            depths = {steps[: 2 if steps[0] == "defaults" else 1] for steps in wrong}
            self.left_out |= depths
            always = _ALWAYS | _ALWAYS_PRICED if self._model is PricesFile else _ALWAYS
            needed = {
                key: value for key, value in always.items() if key in self._model.model_fields
            }
            return cast("F", self._model.model_validate({**needed, **_without(data, depths)}))

    def section(self, name: str) -> dict[str, Any]:
        """The valid items of one section."""
        raw = self._data.get(name)
        if name not in self._data:
            return {}
        adapter = _adapter(self._model, name)
        if not isinstance(raw, dict):
            self._whole(adapter, name, raw)
            return {}
        items: dict[str, Any] = {}
        for key, value in raw.items():
            if name == "numbers" and key == "table" and self._model is AgentsFile:
                continue
            items.update(self._item(adapter, name, key, value))
        return items

    def _item(
        self, adapter: TypeAdapter[Any], section: str, key: str, value: Any
    ) -> dict[str, Any]:
        depth = _DEEPEST.get(section, 2)
        for _ in range(2):
            try:
                valid: dict[str, Any] = adapter.validate_python({key: value})
            except ValidationError as error:
                wrong = {steps[:depth] for steps in self._told(error, (section,))}
                self.left_out |= wrong
                if not isinstance(value, dict) or any(len(steps) < 3 for steps in wrong):
                    return {}
                leaves = {steps[2] for steps in wrong}
                value = {leaf: below for leaf, below in value.items() if leaf not in leaves}
            else:
                return valid
        return {}

    def _whole(self, adapter: TypeAdapter[Any], name: str, raw: Any) -> None:
        try:
            adapter.validate_python(raw)
        except ValidationError as error:
            self.left_out |= {steps[:1] for steps in self._told(error, (name,))}

    def _told(self, error: ValidationError, prefix: Steps) -> list[Steps]:
        told = []
        for detail in error.errors(include_url=False):
            complaint = complaint_of(detail, prefix, self._data, self._model, self._findings)
            self.complaints.setdefault(complaint)
            told.append(complaint.steps)
        return told

    def _is_section(self, key: str) -> bool:
        return key in SECTIONS and key in self._model.model_fields


@lru_cache(maxsize=64)
def _adapter(model: Any, section: str) -> TypeAdapter[Any]:
    return TypeAdapter(model.model_fields[section].annotation)


def _keys(section: Any) -> tuple[str, ...]:
    return tuple(section) if isinstance(section, dict) else ()


def _without(data: dict[str, Any], left_out: set[Steps]) -> dict[str, Any]:
    """The data without the keys, or the keys one level deeper, that these steps name."""
    kept: dict[str, Any] = {}
    for key, value in data.items():
        if (key,) in left_out:
            continue
        if isinstance(value, dict):
            value = {below: item for below, item in value.items() if (key, below) not in left_out}
        kept[key] = value
    return kept
