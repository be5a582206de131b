"""One Records for several."""

from sipagent.model import (
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
from sipagent.sessions.ports import Records


class EachOf:
    """All of these records get everything, in this order."""

    def __init__(self, *records: Records) -> None:
        self._records = records

    def decided(self, call: IncomingCall, decision: Decision) -> None:
        for records in self._records:
            records.decided(call, decision)

    def adopted(self, call: IncomingCall, decision: Decision, began_at: float) -> None:
        for records in self._records:
            records.adopted(call, decision, began_at)

    def happened(self, plan: CallPlan, what: Happening, detail: str | None = None) -> None:
        for records in self._records:
            records.happened(plan, what, detail)

    def turn(self, plan: CallPlan, turn: Turn) -> None:
        for records in self._records:
            records.turn(plan, turn)

    def used(self, plan: CallPlan, usage: Usage) -> None:
        for records in self._records:
            records.used(plan, usage)

    def transfer(self, plan: CallPlan, transfer: Transfer) -> None:
        for records in self._records:
            records.transfer(plan, transfer)

    def tool(self, plan: CallPlan, use: ToolUse) -> None:
        for records in self._records:
            records.tool(plan, use)

    async def message(self, plan: CallPlan, message: Message) -> None:
        for records in self._records:
            await records.message(plan, message)

    def fault(self, plan: CallPlan, kind: str, code: str) -> None:
        for records in self._records:
            records.fault(plan, kind, code)

    def left(self, plan: CallPlan) -> None:
        for records in self._records:
            records.left(plan)

    def ended(self, outcome: CallOutcome) -> None:
        for records in self._records:
            records.ended(outcome)
