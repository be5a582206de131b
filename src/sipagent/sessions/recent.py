"""Who has just been a caller, and how that call ended: what is remembered of a call after it, for
ten minutes and in this process alone. Nothing of what was said is."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from sipagent.model import (
    CallId,
    CallOutcome,
    CallPlan,
    Decision,
    DestinationName,
    Happening,
    IncomingCall,
    Kind,
    Message,
    Reason,
    Returned,
    TenantName,
    ToolUse,
    Transfer,
    Turn,
    Usage,
)
from sipagent.sessions.ports import Clock

REMEMBERED: Final = 600.0
"""Seconds for which an end is remembered."""

MOST_CALLERS: Final = 20_000
"""Callers that are remembered at most; whose call ended first is forgotten."""

_BROKEN_OFF: Final = frozenset({Kind.LOST, Kind.FAILED})
_NOBODY: Final[Mapping[TenantName, Returned]] = MappingProxyType({})


@dataclass(slots=True)
class _Live:
    """A call that is held, and where it was sent to last."""

    tenant: TenantName
    caller: str = field(repr=False)
    destination: DestinationName | None = None


@dataclass(frozen=True, slots=True)
class _End:
    at: float
    wall: float
    destination: DestinationName | None


class RecentEnds:
    """Records that remember how calls ended which were sent on, or broke off once they had been
    answered. A caller who withholds the number is nobody's, and one who hung up is done."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._live: dict[CallId, _Live] = {}
        self._ends: OrderedDict[tuple[str, TenantName], _End] = OrderedDict()
        self._of: dict[str, set[TenantName]] = {}

    def __len__(self) -> int:
        """How many ends are remembered."""
        return len(self._ends)

    def returned(self, caller: str) -> Mapping[TenantName, Returned]:
        tenants = self._of.get(caller)
        if tenants is None:
            return _NOBODY
        now = self._clock.monotonic()
        ends = {tenant: self._ends[caller, tenant] for tenant in tenants}
        return {
            tenant: Returned(now - end.at, end.destination)
            for tenant, end in ends.items()
            if now - end.at <= REMEMBERED
        }

    def forget(self, erased: Callable[[str, TenantName, float], bool]) -> None:
        """Nothing is remembered of callers who want to be forgotten. `erased` is asked of each: the
        number, whose caller it was, and when the call ended (unix seconds)."""
        for key, end in tuple(self._ends.items()):
            caller, tenant = key
            if erased(caller, tenant, end.wall):
                self._drop(key)

    def decided(self, call: IncomingCall, decision: Decision) -> None:
        caller = call.invite.caller_e164
        if caller is not None and decision.held:
            self._live[call.call_id] = _Live(decision.tenant, caller.value)

    def adopted(self, call: IncomingCall, decision: Decision, began_at: float) -> None:
        self.decided(call, decision)

    def transfer(self, plan: CallPlan, transfer: Transfer) -> None:
        live = self._live.get(plan.call_id)
        if live is not None:
            live.destination = transfer.destination

    def left(self, plan: CallPlan) -> None:
        self._live.pop(plan.call_id, None)

    def ended(self, outcome: CallOutcome) -> None:
        live = self._live.pop(outcome.call_id, None)
        if live is None or outcome.answered_at is None:
            return
        transferred = outcome.reason is Reason.TRANSFERRED
        if not transferred and outcome.reason.kind not in _BROKEN_OFF:
            return
        if transferred and live.destination is None:
            return
        now = self._clock.monotonic()
        self._forget(now - REMEMBERED)
        key = (live.caller, live.tenant)
        self._drop(key)
        self._ends[key] = _End(now, self._clock.wall(), live.destination if transferred else None)
        self._of.setdefault(live.caller, set()).add(live.tenant)

    def happened(self, plan: CallPlan, what: Happening, detail: str | None = None) -> None:
        """Steps of a call are nothing to remember."""

    def turn(self, plan: CallPlan, turn: Turn) -> None:
        """Nothing that is said is remembered."""

    def used(self, plan: CallPlan, usage: Usage) -> None:
        """Bills are nothing to remember."""

    def tool(self, plan: CallPlan, use: ToolUse) -> None:
        """Nothing that a tool has done is remembered."""

    async def message(self, plan: CallPlan, message: Message) -> None:
        """No message is remembered."""

    def fault(self, plan: CallPlan, kind: str, code: str) -> None:
        """What the provider reports is nothing to remember."""

    def _forget(self, before: float) -> None:
        """Let go of ends that are too old, or too many."""
        while self._ends:
            key, end = next(iter(self._ends.items()))
            if end.at >= before and len(self._ends) < MOST_CALLERS:
                return
            self._drop(key)

    def _drop(self, key: tuple[str, TenantName]) -> None:
        if self._ends.pop(key, None) is None:
            return
        caller, tenant = key
        tenants = self._of[caller]
        tenants.discard(tenant)
        if not tenants:
            del self._of[caller]
