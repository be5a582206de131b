"""One call's spans, made of what happens in it. Pure: every moment is passed in, unix seconds.

No span holds a number or a word unless `words` are wanted; names are those of the configuration,
of which a model may choose none.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from sipagent.model import (
    AgentName,
    CallOutcome,
    CallPlan,
    Happening,
    Tokens,
    ToolStatus,
    ToolUse,
    Transfer,
    TransferEnd,
    Turn,
    Usage,
)
from sipagent.model.trace import span_id_of
from sipagent.sessions.machine.events import (
    AudioStarted,
    CallerStopped,
    Event,
    ResponseCreated,
    ResponseDone,
)
from sipagent.store.planned import tool_names
from sipagent.store.toolrows import UNKNOWN_TOOL
from sipagent.tracing.span import Span, SpanEvent, Value
from sipagent.tracing.whole import call_span, usage_of, way_spans
from sipagent.tracing.words import Spoken, tool_words

MOST_EVENTS: Final = 128
MOST_OPEN: Final = 32
"""Responses, and transfers, that may be under way: more are not told."""

_WORTH_AN_EVENT: Final = frozenset(Happening) - {
    Happening.ANSWERED,  # spans of their own
    Happening.ATTACHED,
    Happening.REFERRED,
    Happening.AGENT,
    Happening.FAULT,
}
_WITH_DETAIL: Final = frozenset({Happening.LANGUAGE, Happening.DROPPED, Happening.CLOSED})
_BAD_ENDS: Final = frozenset({TransferEnd.REFUSED, TransferEnd.BARRED, TransferEnd.NOT_TAKEN})


@dataclass(slots=True)
class _Response:
    began: float
    asked: bool
    heard: float | None = None
    latency: float | None = None


@dataclass(slots=True)
class _Part:
    """One agent's part of the call."""

    agent: AgentName | None
    began: float
    span_id: str
    spoken: Spoken = field(default_factory=Spoken)
    tokens: Tokens = field(default=Tokens())
    responses: int = 0


class Story:
    """Takes what happens in a call and gives the spans that are finished by it.

    `provider` is its name by the conventions; `words` says that turns, arguments and outputs are to
    be part of the spans.
    """

    def __init__(self, plan: CallPlan, provider: str, *, words: bool) -> None:
        self._plan = plan
        self._provider = provider
        self._words = words
        self._root = span_id_of(plan.call_id)
        self._part: _Part | None = None
        self._responses: dict[str, _Response] = {}
        self._transfers: dict[int, tuple[float, Transfer]] = {}
        self._events: list[SpanEvent] = []
        self._unbilled: dict[str, Span] = {}
        self._stopped: float | None = None
        self._tokens = Tokens()
        self._cost: int | None = None

    def event(self, event: Event, at: float) -> tuple[Span, ...]:
        """What the provider tells."""
        if isinstance(event, CallerStopped):
            self._stopped = at
        elif isinstance(event, ResponseCreated):
            if len(self._responses) < MOST_OPEN:
                self._responses[event.response_id] = _Response(at, event.tag is not None)
        elif isinstance(event, AudioStarted):
            self._heard(event.response_id, at)
        elif isinstance(event, ResponseDone):
            span = self._response(event, at)
            if event.bill is None or len(self._unbilled) >= MOST_OPEN:
                return (span,)
            self._unbilled[event.response_id] = span
        return ()

    def step(self, what: Happening, detail: str | None, at: float) -> tuple[Span, ...]:
        """A step of the call's story."""
        if what is Happening.AGENT:
            done = self._close(at)
            self._open(None if detail is None else AgentName(detail), at)
            return done
        if what is Happening.ATTACHED:
            self._open_part(at)
        elif what in _WORTH_AN_EVENT:
            told = {} if detail is None or what not in _WITH_DETAIL else {"detail": detail}
            self._note(what.value, at, told)
        return ()

    def fault(self, kind: str, code: str, at: float) -> None:
        """The provider has reported something wrong."""
        self._note("provider error", at, {"kind": kind, "code": code})

    def turn(self, turn: Turn, at: float) -> None:
        """What one side has said, redacted."""
        if self._words:
            self._open_part(at).spoken.add(turn)

    def used(self, usage: Usage, at: float) -> tuple[Span, ...]:
        """What something is billed, as soon as that is known."""
        self._tokens += usage.bill.tokens
        self._open_part(at).tokens += usage.bill.tokens
        if usage.cost is not None:
            self._cost = (self._cost or 0) + usage.cost
        span = self._unbilled.pop(usage.source_id, None)
        return () if span is None else (_billed(span, usage),)

    def tool(self, use: ToolUse, began_at: float) -> tuple[Span, ...]:
        """A tool call is over; the call began at `began_at`."""
        plan = self._plan
        name = use.name if use.name in tool_names(plan) else UNKNOWN_TOOL
        told: dict[str, Value] = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": name,
            "gen_ai.tool.call.id": use.id,
            "gen_ai.tool.type": "function",
            "sipagent.tool.status": use.result.value,
        }
        if self._words:
            told.update(tool_words(use.arguments, use.output, plan.redact))
        is_bad = use.result is not ToolStatus.DONE
        return (
            self._span(
                f"execute_tool {name}",
                began_at + use.began,
                began_at + use.ended,
                told,
                span_id=span_id_of(plan.call_id, "tool", use.id),
                parent=self._open_part(began_at + use.began).span_id,
                error=use.result.value if is_bad else None,
            ),
        )

    def transfer(self, transfer: Transfer, at: float) -> tuple[Span, ...]:
        """An attempt to send the call on, or what has come of it. The target is not told."""
        begun, _ = self._transfers.pop(transfer.number, (at, None))
        if transfer.outcome is not None:
            return (self._transfer(transfer, begun, at),)
        if len(self._transfers) < MOST_OPEN:
            self._transfers[transfer.number] = begun, transfer
        return ()

    def left(self, at: float) -> tuple[Span, ...]:
        """Another replica goes on with the call, and tells of it as a whole."""
        return self._close(at)

    def ended(self, outcome: CallOutcome) -> tuple[Span, ...]:
        """The call is over: what is left of its spans, and the call itself."""
        at = outcome.ended_at
        # Of these the call's outcome says what has come of them.
        sent = tuple(self._transfer(one, begun, at) for begun, one in self._transfers.values())
        return (*sent, *self._close(at), *way_spans(outcome), self._call(outcome))

    def _heard(self, response_id: str, at: float) -> None:
        response = self._responses.get(response_id)
        if response is None or response.heard is not None:
            return
        response.heard = at
        if self._stopped is not None:
            response.latency, self._stopped = max(0.0, at - self._stopped), None

    def _response(self, done: ResponseDone, at: float) -> Span:
        part = self._open_part(at)
        part.responses += 1
        known = self._responses.pop(done.response_id, None) or _Response(at, asked=False)
        model = _model(self._plan)
        told: dict[str, Value] = {
            "gen_ai.operation.name": "generate_content",
            "gen_ai.provider.name": self._provider,
            "gen_ai.output.type": "speech",
            "gen_ai.response.id": done.response_id,
            "gen_ai.response.finish_reasons": (_finish(done),),
            "sipagent.response.asked_by": "service" if known.asked else "voice_detection",
        }
        if model:
            told["gen_ai.request.model"] = model
        if done.bill is not None:
            told.update(usage_of(done.bill.tokens))
        if known.heard is not None:
            told["gen_ai.response.time_to_first_chunk"] = round(known.heard - known.began, 6)
        if known.latency is not None:
            told["sipagent.turn_latency"] = round(known.latency, 6)
        return self._span(
            f"generate_content {model}".strip(),
            known.began,
            at,
            told,
            span_id=span_id_of(self._plan.call_id, "response", done.response_id),
            parent=part.span_id,
            error=(done.error_code or "failed") if done.failed else None,
            outward=True,
        )

    def _transfer(self, transfer: Transfer, began: float, at: float) -> Span:
        told: dict[str, Value] = {
            "sipagent.transfer.attempt": transfer.number,
            "sipagent.transfer.answer": str(transfer.answer),
        }
        if transfer.destination is not None:
            told["sipagent.transfer.destination"] = transfer.destination
        if transfer.outcome is not None:
            told["sipagent.transfer.outcome"] = transfer.outcome.value
        is_bad = transfer.outcome in _BAD_ENDS
        return self._span(
            "transfer",
            began,
            at,
            told,
            span_id=span_id_of(self._plan.call_id, "transfer", str(transfer.number)),
            parent=self._root if self._part is None else self._part.span_id,
            error=transfer.outcome.value if is_bad and transfer.outcome is not None else None,
            outward=True,
        )

    def _open_part(self, at: float) -> _Part:
        """The part of the agent that has the call; it begins now if none does."""
        return self._part or self._open(self._plan.agent, at)

    def _open(self, agent: AgentName | None, at: float) -> _Part:
        span_id = span_id_of(self._plan.call_id, "agent", agent or "", repr(at))
        self._part = _Part(agent, at, span_id)
        return self._part

    def _close(self, at: float) -> tuple[Span, ...]:
        """The part of the agent that has had the call."""
        part, self._part = self._part, None
        unbilled, self._unbilled = tuple(self._unbilled.values()), {}
        if part is None:
            return unbilled
        told: dict[str, Value] = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.provider.name": self._provider,
            "sipagent.responses": part.responses,
            **usage_of(part.tokens),
            **part.spoken.attributes(),
        }
        if part.agent is not None:
            told["gen_ai.agent.name"] = part.agent
        if model := _model(self._plan):
            told["gen_ai.request.model"] = model
        name = f"invoke_agent {part.agent or ''}".strip()
        own = self._span(name, part.began, at, told, span_id=part.span_id, parent=self._root)
        return (*unbilled, own)

    def _call(self, outcome: CallOutcome) -> Span:
        more: dict[str, Value] = {
            "sipagent.config_hash": self._plan.config_hash,
            **usage_of(self._tokens),
        }
        if self._cost is not None:
            more["sipagent.cost_microdollars"] = self._cost
        return call_span(outcome, more, tuple(self._events))

    def _note(self, name: str, at: float, told: Mapping[str, Value]) -> None:
        if len(self._events) < MOST_EVENTS:
            self._events.append(SpanEvent(name, at, told))

    def _span(
        self,
        name: str,
        began: float,
        ended: float,
        attributes: dict[str, Value],
        *,
        span_id: str,
        parent: str,
        error: str | None = None,
        outward: bool = False,
    ) -> Span:
        told: dict[str, Value] = {
            **attributes,
            "gen_ai.conversation.id": self._plan.call_id,
            "sipagent.tenant": self._plan.tenant,
        }
        if error is not None:
            told["error.type"] = error
        call_id, end = self._plan.call_id, max(began, ended)
        return Span(call_id, name, span_id, parent, began, end, told, (), error, outward)


def _model(plan: CallPlan) -> str:
    model = plan.session.get("model")
    return model if isinstance(model, str) else ""


def _finish(done: ResponseDone) -> str:
    if done.failed:
        return "error"
    if not done.completed:
        return "cancelled"
    return "tool_call" if done.calls else "stop"


def _billed(span: Span, usage: Usage) -> Span:
    told = dict(span.attributes)
    if usage.model is not None:
        told["gen_ai.response.model"] = usage.model
    if usage.cost is not None:
        told["sipagent.cost_microdollars"] = usage.cost
    return replace(span, attributes=told)
