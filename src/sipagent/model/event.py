"""What a tenant is told of its calls, and where it wants to be told."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

EVENT_PREFIX: Final = "evt_"


class EventType(StrEnum):
    """What an event says: the `type` of its payload (Standard Webhooks)."""

    CALL_STARTED = "call.started"
    CALL_ENDED = "call.ended"
    CALL_TRANSFERRED = "call.transferred"
    CALL_SUMMARISED = "call.summarised"
    MESSAGE_TAKEN = "message.taken"
    TOOL_CALLED = "tool.called"
    TRANSFER_FAILED = "transfer.failed"
    BUDGET_WARNING = "budget.warning"
    CONFIG_STALE = "config.stale"


@dataclass(frozen=True, slots=True)
class Webhook:
    """An endpoint of a tenant's. `name` is its name within the tenant, `url` where events of these
    types go, `transcript` whether the end of a call tells what was said in it."""

    name: str
    url: str = field(repr=False)
    events: frozenset[EventType] = frozenset(EventType)
    transcript: bool = False

    @property
    def told(self) -> tuple[str, ...]:
        """All that it is told, in order."""
        more = ("transcript",) if self.transcript else ()
        return (*sorted(self.events), *more)
