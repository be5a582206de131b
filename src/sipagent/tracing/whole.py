"""The call as a whole as spans, made of its outcome. Pure."""

from collections.abc import Mapping
from typing import Final

from sipagent.model import CallOutcome, Kind, Tokens
from sipagent.model.trace import span_id_of
from sipagent.tracing.span import Span, SpanEvent, Value

_WORKFLOW: Final = "phone_call"
_FAILURES: Final = (Kind.FAILED, Kind.LOST)


def call_span(
    outcome: CallOutcome,
    more: Mapping[str, Value] | None = None,
    events: tuple[SpanEvent, ...] = (),
) -> Span:
    """The call as a whole; of one that nobody has held there is nothing more to tell."""
    told: dict[str, Value] = {
        "gen_ai.operation.name": "invoke_workflow",
        "gen_ai.workflow.name": _WORKFLOW,
        "gen_ai.conversation.id": outcome.call_id,
        "sipagent.tenant": outcome.tenant,
        "sipagent.account": outcome.account,
        "sipagent.outcome": outcome.name,
        "sipagent.at_fault": outcome.reason.at_fault.value,
        "sipagent.turns": outcome.turns,
        **(more or {}),
    }
    if outcome.agent is not None:
        told["gen_ai.agent.name"] = outcome.agent
    if outcome.sip_code is not None:
        told["sipagent.sip_code"] = outcome.sip_code
    if outcome.detail is not None:
        told["sipagent.detail"] = outcome.detail
    if outcome.heard_at is not None:
        told["sipagent.first_audio"] = round(outcome.heard_at - outcome.began_at, 6)
    error = outcome.name if outcome.reason.kind in _FAILURES else None
    if error is not None:
        told["error.type"] = error
    return Span(
        outcome.call_id,
        f"invoke_workflow {_WORKFLOW}",
        span_id_of(outcome.call_id),
        None,
        outcome.began_at,
        max(outcome.began_at, outcome.ended_at),
        told,
        events,
        error,
    )


def way_spans(outcome: CallOutcome) -> tuple[Span, ...]:
    """From the webhook to the open socket, as far as the call has come."""
    times = (outcome.began_at, outcome.answered_at, outcome.attached_at)
    steps = (("accept", times[0], times[1]), ("attach", times[1], times[2]))
    root = span_id_of(outcome.call_id)
    told: dict[str, Value] = {
        "gen_ai.conversation.id": outcome.call_id,
        "sipagent.tenant": outcome.tenant,
        "sipagent.account": outcome.account,
    }
    return tuple(
        Span(
            outcome.call_id,
            name,
            span_id_of(outcome.call_id, name),
            root,
            began,
            max(began, ended),
            told,
            outward=True,
        )
        for name, began, ended in steps
        if began is not None and ended is not None
    )


def usage_of(tokens: Tokens) -> dict[str, Value]:
    """Tokens, all of them and by what they stand for; the cached ones are part of the input."""
    if not tokens.total:
        return {}
    cached = tokens.text_cached + tokens.audio_cached + tokens.image_cached
    told = {
        "input_tokens": tokens.text_in + tokens.audio_in + tokens.image_in,
        "output_tokens": tokens.text_out + tokens.audio_out,
        "cache_read.input_tokens": cached,
        "input_text_tokens": tokens.text_in,
        "input_audio_tokens": tokens.audio_in,
        "output_text_tokens": tokens.text_out,
        "output_audio_tokens": tokens.audio_out,
    }
    return {f"gen_ai.usage.{name}": count for name, count in told.items()}
