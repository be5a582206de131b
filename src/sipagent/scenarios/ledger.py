"""What the service records of the one call of a scenario."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from sipagent.model import (
    CallId,
    CallOutcome,
    CallPlan,
    Decision,
    Happening,
    IncomingCall,
    Message,
    Reject,
    ToolUse,
    Transfer,
    Turn,
    Usage,
)


@dataclass(slots=True)
class Ledger:
    """Records that are kept no longer than the scenario. `when_decided` is told of the call."""

    decision: Decision | None = None
    tools: list[ToolUse] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    outcome: CallOutcome | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)
    when_decided: Callable[[CallId], None] = lambda _: None

    @property
    def plan(self) -> CallPlan | None:
        """The call's plan, None where it was rejected."""
        if self.decision is None or isinstance(self.decision.verdict, Reject):
            return None
        return self.decision.verdict.plan

    def decided(self, call: IncomingCall, decision: Decision) -> None:
        self.decision = decision
        self.when_decided(call.call_id)

    def adopted(self, call: IncomingCall, decision: Decision, began_at: float) -> None:
        """Never told: no other process has held the call."""

    def happened(self, plan: CallPlan, what: Happening, detail: str | None = None) -> None:
        """What happens shows in what is said and done."""

    def turn(self, plan: CallPlan, turn: Turn) -> None:
        """What was heard is the simulator's to say."""

    def used(self, plan: CallPlan, usage: Usage) -> None:
        """A rehearsal costs nothing."""

    def transfer(self, plan: CallPlan, transfer: Transfer) -> None:
        """Where the call was sent is the simulator's to say."""

    def tool(self, plan: CallPlan, use: ToolUse) -> None:
        self.tools.append(use)

    async def message(self, plan: CallPlan, message: Message) -> None:
        self.messages.append(message)

    def fault(self, plan: CallPlan, kind: str, code: str) -> None:
        self.faults.append(code)

    def left(self, plan: CallPlan) -> None:
        """Never told: there is no other replica."""

    def ended(self, outcome: CallOutcome) -> None:
        self.outcome = outcome
        self.over.set()
