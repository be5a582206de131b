"""Claims for tests of engines."""

from collections.abc import Sequence
from dataclasses import replace

from sipagent.model import (
    DEFAULT_TENANT,
    Accept,
    AccountName,
    CallId,
    CallOutcome,
    Cap,
    Decision,
    IncomingCall,
    Quota,
    Reason,
    Reject,
    TraceStep,
    WebhookId,
)
from sipagent.sip import Headers, read_invite
from sipagent.testing import a_plan

HEADERS = Headers(
    (
        ("from", '"Ann \u202e" <sip:+14065550100@carrier.example>'),
        ("to", "<sip:+17134810111@carrier.example>"),
        ("diversion", "<sip:+17134810122@carrier.example>"),
    )
)


def a_claim(
    call_id: str = "rtc_1",
    webhook: str | None = None,
    *,
    caps: Sequence[Cap] = (),
    quotas: Sequence[Quota] = (),
    refused: bool = False,
) -> tuple[IncomingCall, Decision]:
    """A call and the decision on it."""
    call = IncomingCall(
        CallId(call_id),
        WebhookId(webhook or f"wh_{call_id}"),
        AccountName("default"),
        read_invite(HEADERS),
        created_at=1_790_000_000.0,
        headers=HEADERS,
    )
    plan = replace(a_plan(), call_id=call.call_id)
    verdict = Reject(486, Reason.RULE, DEFAULT_TENANT) if refused else Accept(plan)
    step = TraceStep("numbers", "+17134810111", held=True, because="listed")
    return call, Decision(verdict, (step,), "+17134810111", "to", True, tuple(caps), tuple(quotas))


def an_outcome(call: IncomingCall, reason: Reason = Reason.LINE_CLOSED) -> CallOutcome:
    return CallOutcome(
        call.call_id, call.account, DEFAULT_TENANT, None, reason, 1_790_000_000.0, 1_790_000_060.0
    )
