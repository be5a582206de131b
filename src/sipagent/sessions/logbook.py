"""What is kept of one call while it is held: its times, turns and marks, what it costs, what the
provider reports, and what a viewer gets to see."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from sipagent.model import (
    CallId,
    CallOutcome,
    CallPlan,
    Cap,
    Happening,
    Mark,
    Transfer,
    Turn,
)
from sipagent.model.redaction import redacted
from sipagent.sessions.machine.attempts import attempts
from sipagent.sessions.machine.commands import (
    Finish,
    Note,
    RecordStep,
    RecordTool,
    RecordTransfer,
    RecordTurn,
    RecordUsage,
)
from sipagent.sessions.machine.events import (
    AgentText,
    AgentTextDone,
    Answer,
    AudioStarted,
    CallerStopped,
    CallerText,
    CallerTextDone,
    Event,
    ProviderFault,
    RateLimitsTold,
    ResponseDone,
)
from sipagent.sessions.ports import (
    FIRST_EPOCH,
    Clock,
    Engine,
    HeldCall,
    Marked,
    Records,
    Tap,
)
from sipagent.sessions.viewing import Viewing

_SPEECH: Final = (AgentText, CallerText)
_SPOKEN: Final = (AgentTextDone, CallerTextDone)
_OBSERVED: Final = frozenset(
    {*_SPEECH, *_SPOKEN, AudioStarted, CallerStopped, ProviderFault, ResponseDone, RateLimitsTold}
)
_LONGEST_WAIT: Final = 30.0
"""Seconds after which what the agent says is no answer to what the caller has said."""


def _unnoticed(_: float) -> None:
    """Told to nobody."""


def _unwatched(_: CallPlan) -> None:
    """Nobody looks."""


@dataclass(frozen=True, slots=True)
class Looks:
    """Who measures calls. `waited` is told the seconds for which a caller has waited for an answer;
    `lookers` gives who is to be told of the events of a call, if anybody is, and never raises."""

    waited: Callable[[float], None] = _unnoticed
    lookers: Callable[[CallPlan], Callable[[Event], None] | None] = _unwatched


@dataclass(frozen=True, slots=True)
class Keeping:
    """The ports that all calls' logbooks share. `spent` is told what a call has cost, `limits` what
    the provider tells a call of what is left to its account."""

    engine: Engine
    records: Records
    tap: Tap
    clock: Clock
    spent: Callable[[CallId, int], None]
    limits: Callable[[CallPlan, RateLimitsTold], None]
    looks: Looks = Looks()  # frozen


class Logbook:
    """One owner's logbook of one call; one that is `held` already goes on from its marks.

    Times are unix seconds, None where the call has not come so far.
    """

    __slots__ = (
        "_answered_at",
        "_attached_at",
        "_began_at",
        "_heard_at",
        "_keeping",
        "_looker",
        "_plan",
        "_stopped",
        "_transfers",
        "_turns",
        "_viewing",
        "epoch",
    )

    def __init__(
        self, plan: CallPlan, keeping: Keeping, began_at: float, held: HeldCall | None = None
    ) -> None:
        self._plan = plan
        self._keeping = keeping
        self.epoch = FIRST_EPOCH if held is None else held.epoch
        marks = {} if held is None else held.marks
        self._began_at = began_at
        self._answered_at = marks.get(Mark.ACCEPTED) or marks.get(Mark.ATTACHED)
        self._attached_at = marks.get(Mark.ATTACHED)
        self._heard_at = marks.get(Mark.HEARD)
        self._viewing = Viewing(plan, keeping.tap)
        self._looker = keeping.looks.lookers(plan)
        self._stopped: float | None = None
        self._turns = 0
        self._transfers = attempts(marks)

    def answered(self) -> None:
        """The provider says that the call is answered."""
        self._tell_answered()
        self._answered_at = self._keeping.clock.wall()
        self._note(Mark.ACCEPTED)

    def answered_before(self) -> None:
        """The call has been answered before it was ours."""
        if self._answered_at is None:
            self.answered()

    def attached(self) -> None:
        """The call's socket is open."""
        if self._attached_at is None:
            self._tell_answered()
            self._attached_at = self._keeping.clock.wall()
            self._note(Mark.ATTACHED)
            self._keeping.records.happened(self._plan, Happening.ATTACHED)
        # An accept whose own answer was lost is known to have been taken only now.
        self._answered_at = self._answered_at or self._attached_at

    def _tell_answered(self) -> None:
        if self._answered_at is None:
            self._keeping.records.happened(self._plan, Happening.ANSWERED)

    def observe(self, event: Event) -> None:
        """Show words as they are spoken, and note the first sound and what went wrong."""
        if self._looker is not None:
            self._looker(event)
        if type(event) not in _OBSERVED:
            return
        if isinstance(event, _SPEECH):
            self._viewing.spoken(event)
        elif isinstance(event, _SPOKEN):
            self._viewing.finished(event)
        elif isinstance(event, CallerStopped):
            self._stopped = self._keeping.clock.monotonic()
        elif isinstance(event, AudioStarted):
            self._heard()
        elif isinstance(event, RateLimitsTold):
            self._keeping.limits(self._plan, event)
        else:
            self._note_fault(event)

    def _note_fault(self, event: Event) -> None:
        """Keep what went wrong, if anything did."""
        if isinstance(event, ProviderFault):
            self._keeping.records.fault(self._plan, event.kind, event.code)
        elif isinstance(event, ResponseDone) and event.error_code is not None:
            self._keeping.records.fault(self._plan, "response_failed", event.error_code)

    def _heard(self) -> None:
        """The caller hears the agent, and has waited for it if something was said before."""
        stopped, self._stopped = self._stopped, None
        if stopped is not None:
            waited = self._keeping.clock.monotonic() - stopped
            if waited <= _LONGEST_WAIT:
                self._keeping.looks.waited(waited)
        if self._heard_at is None:
            self._heard_at = self._keeping.clock.wall()
            self._note(Mark.HEARD)
            self._keeping.records.happened(self._plan, Happening.HEARD)

    def record(
        self, command: RecordTurn | RecordUsage | RecordTransfer | RecordStep | RecordTool | Note
    ) -> None:
        """Keep what the call's machine says."""
        records = self._keeping.records
        match command:
            case RecordTurn(turn):
                self._turns += 1
                records.turn(self._plan, self._redacted(turn))
            case RecordUsage(usage):
                records.used(self._plan, usage)
                if usage.cost:
                    self._keeping.spent(self._plan.call_id, usage.cost)
            case RecordTransfer(transfer):
                self._transfers = max(self._transfers, transfer.number)
                records.transfer(self._plan, transfer)
            case RecordStep(what, detail):
                records.happened(self._plan, what, detail)
            case RecordTool(use):
                records.tool(self._plan, use)
            case Note(mark):
                self._note(mark)

    def referred(self, target_uri: str, answer: Answer) -> None:
        """A call that no agent answers, or whose model has failed, has been sent on."""
        self._transfers += 1
        plan, fallback = self._plan, self._plan.fallback
        destination = plan.destination
        if plan.refer_to is None and fallback is not None:
            destination = fallback.destination
        attempt = Transfer(self._transfers, destination, target_uri, answer)
        self._keeping.records.transfer(plan, attempt)

    async def admitted(self, cap: Cap) -> bool:
        """Count one more for the cap, if it has room."""
        return await self._keeping.engine.admit(self._plan.call_id, cap)

    @property
    def active(self) -> bool:
        """Whether anything may be done for the call now."""
        return self._keeping.engine.active(self._plan.call_id, self.epoch)

    async def yielded(self) -> bool:
        """Somebody else has answered the call; whether it is theirs."""
        return await self._keeping.engine.yielded(self._plan.call_id)

    def left(self) -> None:
        """The call is another replica's: nothing more is written of it here."""
        self._keeping.records.left(self._plan)

    async def mark(self, key: str) -> bool:
        """Write down what is about to be done; whether it is still to be done."""
        engine = self._keeping.engine
        return await engine.mark(self._plan.call_id, self.epoch, key) is Marked.DONE_NOW

    def outcome(self, end: Finish, *, usage_complete: bool) -> CallOutcome:
        """The call's outcome, had it ended so at this moment."""
        plan = self._plan
        return CallOutcome(
            call_id=plan.call_id,
            account=plan.account,
            tenant=plan.tenant,
            agent=plan.agent,
            reason=end.reason,
            detail=end.detail,
            sip_code=end.sip_code,
            began_at=self._began_at,
            ended_at=self._keeping.clock.wall(),
            answered_at=self._answered_at,
            attached_at=self._attached_at,
            heard_at=self._heard_at,
            turns=self._turns,
            usage_complete=usage_complete,
        )

    def _note(self, key: str) -> None:
        self._keeping.engine.note(self._plan.call_id, self.epoch, key)

    def _redacted(self, turn: Turn) -> Turn:
        """The turn without what the tenant does not want to be kept."""
        if turn.text is None or not self._plan.redact:
            return turn
        return replace(turn, text=redacted(turn.text, self._plan.redact))
