"""What happens in calls becomes rows of the outbox: an event for each webhook that wants it.

An event's id follows from what it tells, so that whatever is recorded twice after a crash is told
once. Its rows are put before the rows that make it true, and are stored with them: who has been
promised that something is recorded will be told of it.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from sipagent.model import (
    CallId,
    CallOutcome,
    CallPlan,
    EventType,
    Kind,
    Message,
    Reason,
    TenantName,
    ToolUse,
    Transfer,
    Webhook,
)
from sipagent.model.event import EVENT_PREFIX
from sipagent.model.story import TransferEnd
from sipagent.store.planned import tool_names
from sipagent.store.rows import Row, clean, clipped
from sipagent.store.toolrows import UNKNOWN_TOOL

PENDING: Final = "pending"
"""The state of an event that is yet to be told."""

_ID_DIGITS: Final = 32
_ENCODER: Final = msgspec.json.Encoder(order="sorted")
_FAILED: Final = frozenset(TransferEnd) - {TransferEnd.TAKEN, TransferEnd.GONE}

WebhooksOf = Callable[[TenantName], Mapping[str, Webhook]]
"""A tenant's webhooks as the configuration in force has them."""


class Announcer:
    """Puts events into the outbox. No method waits; `put` takes a row of it."""

    def __init__(self, webhooks: WebhooksOf, put: Callable[[Row], None]) -> None:
        self._webhooks = webhooks
        self._put = put

    def tell(
        self,
        tenant: TenantName,
        type_: EventType,
        at: float,
        *,
        call_id: CallId | None = None,
        subject: str | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        """The tenant's webhooks that want such an event will get it. `subject` tells it from others
        of its type and call; `data` holds nothing of a caller."""
        endpoints = [name for name, hook in self._webhooks(tenant).items() if type_ in hook.events]
        if not endpoints:
            return
        id_ = event_id(tenant, type_, call_id, subject)
        text = clean(_ENCODER.encode(data or {}).decode())
        about = None if subject is None else clipped(subject, 128)
        for name in endpoints:
            self._put(
                (id_, name, tenant, type_.value, call_id, about, at, text, PENDING, at, at, 0)
            )

    def started(self, plan: CallPlan, at: float) -> None:
        """The call has been answered."""
        self.tell(plan.tenant, EventType.CALL_STARTED, at, call_id=plan.call_id)

    def ended(self, outcome: CallOutcome) -> None:
        """The call has ended; one that was rejected has never been."""
        if outcome.reason.kind is Kind.REJECTED:
            return
        tenant, at, call_id = outcome.tenant, outcome.ended_at, outcome.call_id
        if outcome.reason is Reason.TRANSFERRED:
            self.tell(tenant, EventType.CALL_TRANSFERRED, at, call_id=call_id)
        self.tell(tenant, EventType.CALL_ENDED, at, call_id=call_id)

    def transfer(self, plan: CallPlan, transfer: Transfer, at: float) -> None:
        """Tell of an attempt to send the call on that has come to nothing."""
        if transfer.outcome not in _FAILED:
            return
        data = {
            "number": transfer.number,
            "destination": transfer.destination,
            "outcome": transfer.outcome,
            "answer": transfer.answer,
        }
        self.tell(
            plan.tenant,
            EventType.TRANSFER_FAILED,
            at,
            call_id=plan.call_id,
            subject=str(transfer.number),
            data=data,
        )

    def tool(self, plan: CallPlan, use: ToolUse, at: float) -> None:
        """A tool has been called: neither its arguments nor its output are told."""
        data = {
            "id": clipped(use.id, 128),
            "name": use.name if use.name in tool_names(plan) else UNKNOWN_TOOL,
            "status": use.result,
            "detail": None if use.detail is None else clipped(use.detail, 200),
            "began": round(use.began, 3),
            "ended": round(use.ended, 3),
        }
        self.tell(
            plan.tenant,
            EventType.TOOL_CALLED,
            at,
            call_id=plan.call_id,
            subject=use.id,
            data=data,
        )

    def message(self, plan: CallPlan, message: Message, at: float) -> None:
        """A caller wants to have something told; what it is stands in the messages."""
        self.tell(
            plan.tenant,
            EventType.MESSAGE_TAKEN,
            at,
            call_id=plan.call_id,
            subject=message.id,
        )


def event_id(
    tenant: TenantName, type_: EventType, call_id: CallId | None, subject: str | None
) -> str:
    """The id of the event that tells this, the same one whenever it is asked for."""
    parts = _ENCODER.encode([tenant, type_, call_id, clean(subject or "")])
    return EVENT_PREFIX + hashlib.sha256(parts).hexdigest()[:_ID_DIGITS]
