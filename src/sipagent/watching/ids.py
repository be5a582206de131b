"""Ids of live events: the same whether an event is told as it happens or read in the records, at
each replica. Pure."""

import hashlib
import re
from dataclasses import dataclass
from typing import Final

from sipagent.model import CallId
from sipagent.model.ids import is_call_id
from sipagent.model.live import LiveKind

LONGEST: Final = 400
"""Characters of an id that a viewer names."""

_SAFE: Final = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Named:
    """What an id names: something of a call."""

    what: str
    call_id: CallId

    def __str__(self) -> str:
        return f"{self.what}@{self.call_id}"


def event_id(call_id: CallId, what: str) -> str:
    return f"{what}@{call_id}"


def parse(text: str | None) -> Named | None:
    """What a viewer has named; None where it is no id of ours."""
    if text is None or len(text) > LONGEST:
        return None
    what, _, call_id = text.partition("@")
    return Named(what, call_id) if what and is_call_id(call_id) else None


def of_turn(sequence: int) -> str:
    return f"{LiveKind.TURN}.{sequence}"


def of_tool(use: str) -> str:
    """A provider's id of a tool call may be any text."""
    name = use if _SAFE.fullmatch(use) else hashlib.sha256(use.encode(errors="replace")).hexdigest()
    return f"{LiveKind.TOOL}.{name}"


def of_transfer(number: int, outcome: str | None) -> str:
    """An attempt is told when it is made, and again when it is known what has come of it."""
    return f"{LiveKind.TRANSFER}.{number}.{outcome or 'made'}"


def of_step(what: str, at: float) -> str:
    """To the microsecond: the time is the one that is recorded."""
    return f"{LiveKind.STEP}.{what}.{round(at * 1_000_000)}"
