"""One span, as everything here but the SDK knows it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sipagent.model import CallId

Value = str | int | float | bool | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """What happened within a span, at one moment, unix seconds."""

    name: str
    at: float
    attributes: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a call, from `began` to `ended`, unix seconds. `error` is a technical word for what
    went wrong. `outward`: it is our side of a request to somebody else."""

    call_id: CallId
    name: str
    span_id: str
    parent_id: str | None
    began: float
    ended: float
    attributes: Mapping[str, Value]
    events: tuple[SpanEvent, ...] = ()
    error: str | None = None
    outward: bool = False
