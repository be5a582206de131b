"""What happens to the calls of this process, handed to whoever watches it.

It is the calls' `Tap`, and one of their records. With nobody there to watch, a method looks up who
does and is done; whoever watches costs a call the making of the event and an append for each topic.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from sipagent.model import (
    CallId,
    CallOutcome,
    CallPlan,
    Decision,
    Forward,
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
from sipagent.model.live import LiveEvent, LiveKind
from sipagent.sessions.ports import Clock, Words
from sipagent.store.planned import tool_names
from sipagent.store.rows import PlainNumbers, clean, clipped
from sipagent.store.toolrows import UNKNOWN_TOOL
from sipagent.watching import telling
from sipagent.watching.board import Board, Heard
from sipagent.watching.masking import MaskedWords
from sipagent.watching.recalling import COMES
from sipagent.watching.telling import Decided, Ended, Subject

log = structlog.get_logger(__name__)


class Numbers(Protocol):
    def stored(self, tenant: TenantName, number: str) -> str: ...


@dataclass(slots=True)
class _Held:
    """What is known of a call that is held here."""

    of: Subject
    began_at: float
    dialed: str | None = field(repr=False)
    come: dict[LiveKind, float] = field(default_factory=dict)
    words: MaskedWords | None = None


class Hub:
    """What is told of the calls of this process, and what is known of them."""

    def __init__(self, clock: Clock, numbers: Numbers | None = None) -> None:
        self.board = Board()
        self._clock = clock
        self._numbers = numbers or PlainNumbers()
        self._held: dict[CallId, _Held] = {}

    def watched(self, call_id: CallId) -> bool:
        return call_id in self.board.watched

    def publish(self, words: Words) -> None:
        try:
            self._publish(words)
        except Exception as error:  # noqa: BLE001  # no call is harmed by whoever watches it
            self._failed(error)

    def decided(self, call: IncomingCall, decision: Decision) -> None:
        self._begin(call, decision, self._clock.wall())
        if self.board.everything or call.call_id in self.board.watched:
            self._make(lambda: self._decided(call, decision))

    def adopted(self, call: IncomingCall, decision: Decision, began_at: float) -> None:
        self._begin(call, decision, began_at)

    def happened(self, plan: CallPlan, what: Happening, detail: str | None = None) -> None:
        """The call has come so far; other steps are told as they are recorded, by `stepped`."""
        kind = COMES.get(what)
        if kind is None:
            return
        at = self._clock.wall()
        held = self._held.get(plan.call_id)
        if held is not None:
            held.come.setdefault(kind, at)
        if self.board.everything or plan.call_id in self.board.watched:
            self._make(lambda: telling.come(Subject.of(plan), kind, at))

    def stepped(self, plan: CallPlan, at: float, what: Happening, detail: str | None) -> None:
        """A step has been recorded with this time."""
        if plan.call_id in self.board.watched and what not in COMES:
            said = None if detail is None else clean(detail)
            self._make(lambda: telling.step(Subject.of(plan), at, what.value, said))

    def turn(self, plan: CallPlan, turn: Turn) -> None:
        if plan.call_id in self.board.watched:
            self._make(lambda: self._turn(plan, turn))

    def tool(self, plan: CallPlan, use: ToolUse) -> None:
        if plan.call_id in self.board.watched:
            self._make(lambda: self._tool(plan, use))

    def transfer(self, plan: CallPlan, transfer: Transfer) -> None:
        if plan.call_id in self.board.watched:
            self._make(lambda: self._transfer(plan, transfer))

    def left(self, plan: CallPlan) -> None:
        held = self._held.pop(plan.call_id, None)
        if held is not None and (self.board.everything or plan.call_id in self.board.watched):
            self.board.hear(plan.call_id, Heard(held.of.tenant, held.dialed))

    def ended(self, outcome: CallOutcome) -> None:
        held = self._held.pop(outcome.call_id, None)
        if self.board.everything or outcome.call_id in self.board.watched:
            if held is not None:
                self.board.hear(outcome.call_id, Heard(held.of.tenant, held.dialed))
            self._make(lambda: self._ended(outcome))

    def used(self, plan: CallPlan, usage: Usage) -> None:
        """Bills are told to nobody."""

    async def message(self, plan: CallPlan, message: Message) -> None:
        """What a caller leaves is told to nobody; that a tool took it is."""

    def fault(self, plan: CallPlan, kind: str, code: str) -> None:
        """Told as it is recorded, as a step."""

    def whose(self, call_id: CallId) -> TenantName | None:
        """The tenant of a call, as far as it is known here."""
        held = self._held.get(call_id)
        if held is not None:
            return held.of.tenant
        heard = self.board.heard(call_id)
        return None if heard is None else heard.tenant

    def dialed(self, call_id: CallId) -> str | None:
        """The number that a call came to, as far as it is known here."""
        held = self._held.get(call_id)
        if held is not None:
            return held.dialed
        heard = self.board.heard(call_id)
        return None if heard is None else heard.dialed

    def holds(self, call_id: CallId) -> bool:
        return call_id in self._held

    def come_since(self, tenant: TenantName | None, since: float) -> list[LiveEvent]:
        """How far calls have come that are held here: the records learn it with their ends."""
        return [
            telling.come(held.of, kind, at)
            for held in self._held.values()
            if tenant is None or held.of.tenant == tenant
            for kind, at in held.come.items()
            if at >= since
        ]

    def come_of(self, call_id: CallId) -> list[LiveEvent]:
        """How far a call has come that is held here."""
        held = self._held.get(call_id)
        if held is None:
            return []
        return [telling.come(held.of, kind, at) for kind, at in held.come.items()]

    def missed(self, why: str) -> None:
        """Something of other replicas' calls may not have come here."""
        self.board.missed(why, self._clock.wall(), self.holds)

    def _begin(self, call: IncomingCall, decision: Decision, began_at: float) -> None:
        self._held[call.call_id] = _Held(
            _subject(call.call_id, decision), began_at, decision.dialed
        )

    def _make(self, make: Callable[[], LiveEvent]) -> None:
        try:
            self.board.tell(make())
        except Exception as error:  # noqa: BLE001  # no call is harmed by whoever watches it
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        self.board.dropped += 1
        log.error("event not told", error=type(error).__name__)

    def _publish(self, words: Words) -> None:
        held = self._held.get(words.call_id)
        if held is None:
            return
        held.words = held.words or MaskedWords()
        text = held.words.feed(words.item_id, words.delta)
        if text:
            at = self._clock.wall()
            self.board.tell(telling.words(held.of, at, words.speaker.value, words.item_id, text))

    def _decided(self, call: IncomingCall, decision: Decision) -> LiveEvent:
        verdict, tenant = decision.verdict, decision.tenant
        caller = call.invite.caller_e164
        made = Decided(
            type(verdict).__name__.lower(),
            self._stored(tenant, decision.dialed),
            self._stored(tenant, None if caller is None else caller.value),
            call.trunk,
            verdict.destination if isinstance(verdict, Forward) else None,
        )
        held = self._held[call.call_id]
        return telling.decided(held.of, held.began_at, made)

    def _stored(self, tenant: TenantName, number: str | None) -> str | None:
        return None if number is None else self._numbers.stored(tenant, clean(number))

    def _turn(self, plan: CallPlan, turn: Turn) -> LiveEvent:
        text = None if turn.text is None else clean(turn.text)
        at = self._at(plan.call_id, turn.at)
        return telling.turn(
            Subject.of(plan),
            at,
            turn.sequence,
            turn.speaker.value,
            text,
            interrupted=turn.interrupted,
        )

    def _tool(self, plan: CallPlan, use: ToolUse) -> LiveEvent:
        name = clipped(use.name, 128) if use.name in tool_names(plan) else UNKNOWN_TOOL
        return telling.tool(
            Subject(plan.call_id, plan.tenant, use.agent or plan.agent),
            self._at(plan.call_id, use.began),
            clipped(use.id, 128),
            name,
            use.result.value,
            None if use.detail is None else clipped(use.detail, 200),
            use.ended - use.began,
        )

    def _transfer(self, plan: CallPlan, transfer: Transfer) -> LiveEvent:
        return telling.transfer(
            Subject.of(plan),
            self._clock.wall(),
            transfer.number,
            transfer.destination,
            clipped(transfer.answer, 16),
            None if transfer.outcome is None else transfer.outcome.value,
        )

    def _ended(self, outcome: CallOutcome) -> LiveEvent:
        of = Subject(outcome.call_id, outcome.tenant, outcome.agent)
        return telling.ended(of, Ended.of(outcome))

    def _at(self, call_id: CallId, since: float) -> float:
        held = self._held.get(call_id)
        return self._clock.wall() if held is None else held.began_at + since


def _subject(call_id: CallId, decision: Decision) -> Subject:
    verdict = decision.verdict
    agent = None if isinstance(verdict, Reject) else verdict.plan.agent
    return Subject(call_id, decision.tenant, agent)
