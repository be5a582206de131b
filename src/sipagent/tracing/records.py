"""Hears what becomes of calls, and gives their spans on. What breaks here breaks no call."""

from collections.abc import Callable, Iterable, Sequence

import structlog

from sipagent.model import (
    AccountName,
    CallId,
    CallOutcome,
    CallPlan,
    Decision,
    Happening,
    IncomingCall,
    Message,
    Reject,
    TenantName,
    ToolUse,
    Transfer,
    Turn,
    Usage,
)
from sipagent.sessions.machine.events import (
    AudioStarted,
    CallerStopped,
    Event,
    ResponseCreated,
    ResponseDone,
)
from sipagent.sessions.ports import Clock
from sipagent.tracing.span import Span
from sipagent.tracing.story import Story
from sipagent.tracing.whole import call_span, way_spans

log = structlog.get_logger(__name__)

_LOOKED_AT = frozenset({AudioStarted, CallerStopped, ResponseCreated, ResponseDone})

Looker = Callable[[Event], None]


class _Held:
    """A traced call and when it began."""

    __slots__ = ("began_at", "story")

    def __init__(self, story: Story, began_at: float) -> None:
        self.story = story
        self.began_at = began_at


class TraceRecords:
    """Records that become spans. `sampled` says which calls are traced, `provider` the name of an
    account's provider, `worded` whether a tenant's words may be told."""

    def __init__(
        self,
        put: Callable[[Sequence[Span]], None],
        sampled: Callable[[CallId], bool],
        provider: Callable[[AccountName], str],
        worded: Callable[[TenantName], bool],
        clock: Clock,
    ) -> None:
        self._put = put
        self._sampled = sampled
        self._provider = provider
        self._worded = worded
        self._clock = clock
        self._calls: dict[CallId, _Held] = {}

    def look(self, plan: CallPlan) -> Looker | None:
        """Who is to be told of the call's events; nobody where it is not traced."""
        held = self._calls.get(plan.call_id)
        if held is None:
            return None

        def seen(event: Event) -> None:
            if type(event) in _LOOKED_AT:
                at = self._clock.wall()
                self._safely(plan.call_id, lambda: held.story.event(event, at))

        return seen

    def decided(self, call: IncomingCall, decision: Decision) -> None:
        self._begin(decision, self._clock.wall())

    def adopted(self, call: IncomingCall, decision: Decision, began_at: float) -> None:
        self._begin(decision, began_at)

    def happened(self, plan: CallPlan, what: Happening, detail: str | None = None) -> None:
        self._tell(plan, lambda held: held.story.step(what, detail, self._clock.wall()))

    def turn(self, plan: CallPlan, turn: Turn) -> None:
        def told(held: _Held) -> Iterable[Span]:
            held.story.turn(turn, self._clock.wall())
            return ()

        self._tell(plan, told)

    def used(self, plan: CallPlan, usage: Usage) -> None:
        self._tell(plan, lambda held: held.story.used(usage, self._clock.wall()))

    def transfer(self, plan: CallPlan, transfer: Transfer) -> None:
        self._tell(plan, lambda held: held.story.transfer(transfer, self._clock.wall()))

    def tool(self, plan: CallPlan, use: ToolUse) -> None:
        self._tell(plan, lambda held: held.story.tool(use, held.began_at))

    async def message(self, plan: CallPlan, message: Message) -> None:
        """Nothing: the tool that took it has a span."""

    def fault(self, plan: CallPlan, kind: str, code: str) -> None:
        def told(held: _Held) -> Iterable[Span]:
            held.story.fault(kind, code, self._clock.wall())
            return ()

        self._tell(plan, told)

    def left(self, plan: CallPlan) -> None:
        self._tell(plan, lambda held: held.story.left(self._clock.wall()))
        self._calls.pop(plan.call_id, None)

    def ended(self, outcome: CallOutcome) -> None:
        held = self._calls.pop(outcome.call_id, None)
        if held is not None:
            self._safely(outcome.call_id, lambda: held.story.ended(outcome))
        else:
            self._safely(outcome.call_id, lambda: self._alone(outcome))

    def _alone(self, outcome: CallOutcome) -> Iterable[Span]:
        """A call that nobody has held here."""
        if not self._sampled(outcome.call_id):
            return ()
        return (*way_spans(outcome), call_span(outcome))

    def _begin(self, decision: Decision, began_at: float) -> None:
        verdict = decision.verdict
        if isinstance(verdict, Reject):
            return
        plan = verdict.plan

        def begun() -> Iterable[Span]:
            if self._sampled(plan.call_id):
                words = self._worded(plan.tenant)
                story = Story(plan, self._provider(plan.account), words=words)
                self._calls[plan.call_id] = _Held(story, began_at)
            return ()

        self._safely(plan.call_id, begun)

    def _tell(self, plan: CallPlan, told: Callable[[_Held], Iterable[Span]]) -> None:
        held = self._calls.get(plan.call_id)
        if held is not None:
            self._safely(plan.call_id, lambda: told(held))

    def _safely(self, call_id: CallId, told: Callable[[], Iterable[Span]]) -> None:
        """Give the spans on. A call whose spans cannot be made is traced no more."""
        try:
            if spans := tuple(told()):
                self._put(spans)
        except Exception as error:  # noqa: BLE001  # a call is worth more than its trace
            self._calls.pop(call_id, None)
            log.warning("call not traced", error=type(error).__name__)
