"""From plain data to a typed draft of the file, and what was wrong with the rest."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from sipagent.config.findings import Complaint, Findings, Steps
from sipagent.config.schema import AgentsFile
from sipagent.config.sentences import complaint_of

_DEPTHS: Final = {"agents": 3, "defaults": 2, "numbers": 2}
"""How much is left out for one mistake: a leaf of an agent or of the defaults, one number."""

_EMPTY: Final[dict[str, Any]] = {"version": 1, "agents": {}, "numbers": {}}


@dataclass(frozen=True, slots=True)
class Draft:
    """The valid part of a file. `left_out` holds the steps of what was not valid, so that nobody
    complains that it is missing; the names and numbers are all that the file has."""

    file: AgentsFile
    left_out: frozenset[Steps]
    names: frozenset[str]
    numbers: tuple[str, ...]

    def lacks(self, *steps: Steps) -> bool:
        """Whether one of these was written and left out, by itself or with all around it."""
        return any(step[:length] in self.left_out for step in steps for length in range(1, 4))


def validate(data: dict[str, Any], findings: Findings) -> tuple[Draft, list[Complaint]]:
    """The part of the data that the schema allows, and a complaint for each mistake in the rest."""
    complaints: list[Complaint] = []
    left_out: frozenset[Steps] = frozenset()
    try:
        file = AgentsFile.model_validate(data)
    except ValidationError as error:
        details = error.errors(include_url=False)
        complaints = [complaint_of(detail, data, findings) for detail in details]
        left_out = frozenset(_cut(complaint.steps) for complaint in complaints)
        file = AgentsFile.model_validate(_without(data, left_out))
    names, numbers = (_keys(data.get(section)) for section in ("agents", "numbers"))
    return Draft(file, left_out, frozenset(names), numbers), complaints


def verify_sections(draft: Draft) -> Iterator[Complaint]:
    """Which section that a call needs is empty."""
    if not draft.names and not draft.lacks(("agents",)):
        yield Complaint(("agents",), "there must be at least one agent", at_key=True)
    if not draft.numbers and not draft.lacks(("numbers",)):
        hint = "or write `default: NAME` to answer every call"
        yield Complaint(("numbers",), "there must be at least one number", hint, at_key=True)


def _cut(steps: Steps) -> Steps:
    return steps[: _DEPTHS.get(str(steps[0]), 1)]


def _keys(section: Any) -> tuple[str, ...]:
    return tuple(section) if isinstance(section, dict) else ()


def _without(data: dict[str, Any], left_out: frozenset[Steps]) -> dict[str, Any]:
    """The data without these steps, and with the sections that a file must have."""
    kept = _prune(data, (), left_out)
    return {**_EMPTY, **kept}


def _prune(value: dict[str, Any], steps: Steps, left_out: frozenset[Steps]) -> dict[str, Any]:
    kept = {}
    for key, child in value.items():
        below = (*steps, key)
        if below not in left_out:
            deeper = isinstance(child, dict) and len(below) < 3
            kept[key] = _prune(child, below, left_out) if deeper else child
    return kept
