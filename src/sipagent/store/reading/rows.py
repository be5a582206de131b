"""How rows of the tables become facts."""

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

from sqlalchemy import Column

from sipagent.model import TraceStep
from sipagent.store import tables
from sipagent.store.facts import CallRow

CALL_COLUMNS: Final[tuple[Column[Any], ...]] = tuple(
    tables.calls.c[each.name] for each in fields(CallRow)
)


def call_row(mapping: Mapping[Any, Any]) -> CallRow:
    """The call of a result's row, which may have more columns."""
    return CallRow(**{each.name: mapping[each.name] for each in fields(CallRow)})


def trace_of(text: str) -> tuple[TraceStep, ...]:
    """The steps of a stored trace; one of a form that this release does not know has none."""
    try:
        return tuple(
            TraceStep(one["source"], one["considered"], one["held"], one["because"])
            for one in json.loads(text)
        )
    except (ValueError, TypeError, KeyError):
        return ()


def plan_of(text: str | None) -> Mapping[str, Any] | None:
    """A stored plan as data."""
    if text is None:
        return None
    try:
        plan = json.loads(text)
    except ValueError:
        return None
    return plan if isinstance(plan, dict) else None
