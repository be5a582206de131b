"""Records that a test can read."""

import asyncio

from sipagent.model import (
    CallId,
    CallOutcome,
    CallPlan,
    Decision,
    Happening,
    IncomingCall,
    Message,
    ToolUse,
    Transfer,
    Turn,
    Usage,
)


class MemoryRecords:
    """Records that a test can read."""

    def __init__(self) -> None:
        self.decisions: list[tuple[IncomingCall, Decision]] = []
        self.adoptions: list[tuple[IncomingCall, Decision, float]] = []
        self.happenings: list[tuple[CallId, Happening, str | None]] = []
        self.turns: list[Turn] = []
        self.usages: list[Usage] = []
        self.transfers: list[Transfer] = []
        self.tools: list[ToolUse] = []
        self.messages: dict[tuple[CallId, str], Message] = {}
        self.faults: list[tuple[str, str]] = []
        self.outcomes: list[CallOutcome] = []
        self.gone: list[CallId] = []
        self._news = asyncio.Event()

    def decided(self, call: IncomingCall, decision: Decision) -> None:
        self.decisions.append((call, decision))

    def adopted(self, call: IncomingCall, decision: Decision, began_at: float) -> None:
        self.adoptions.append((call, decision, began_at))

    def happened(self, plan: CallPlan, what: Happening, detail: str | None = None) -> None:
        self.happenings.append((plan.call_id, what, detail))

    def turn(self, plan: CallPlan, turn: Turn) -> None:
        self.turns.append(turn)

    def used(self, plan: CallPlan, usage: Usage) -> None:
        self.usages.append(usage)

    def transfer(self, plan: CallPlan, transfer: Transfer) -> None:
        self.transfers.append(transfer)

    def tool(self, plan: CallPlan, use: ToolUse) -> None:
        self.tools.append(use)

    async def message(self, plan: CallPlan, message: Message) -> None:
        self.messages.setdefault((plan.call_id, message.id), message)

    def fault(self, plan: CallPlan, kind: str, code: str) -> None:
        self.faults.append((kind, code))

    def left(self, plan: CallPlan) -> None:
        self.gone.append(plan.call_id)

    def ended(self, outcome: CallOutcome) -> None:
        self.outcomes.append(outcome)
        self._news.set()

    async def ended_until(self, count: int, within: float = 30.0) -> None:
        """Wait until so many calls have ended. Raises TimeoutError after `within` seconds."""
        async with asyncio.timeout(within):
            while len(self.outcomes) < count:
                self._news.clear()
                await self._news.wait()
