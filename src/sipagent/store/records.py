"""The records of calls: the port's nouns become rows, and the writer stores them."""

import asyncio
import zlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from sipagent.model import (
    CallId,
    CallOutcome,
    CallPlan,
    Decision,
    Happening,
    IncomingCall,
    Json,
    Message,
    Reject,
    TenantName,
    ToolUse,
    Transfer,
    Turn,
    Usage,
)
from sipagent.sessions.ports import Clock
from sipagent.store import rows
from sipagent.store.announcing import Announcer, WebhooksOf
from sipagent.store.rows import Row, RowKind, StoredSession, Writing
from sipagent.store.summaries import summary_row
from sipagent.store.toolrows import message_row, tool_row
from sipagent.store.writer import Writer

log = structlog.get_logger(__name__)

SESSION_USED_EVERY: Final = 3600.0
"""Seconds after which a session that is in use is written again, so that it is seen to be."""

MOST_SESSIONS: Final = 256
REPLICAS: Final = 1000
"""The last three digits of a step's number are its replica's, so that what two of them tell of a
call in the same microsecond are two steps."""

LONGEST_AT_ONCE: Final = 1000
"""Characters of a message that are gone through at once. A longer one that is full of numbers takes
a tenth of a second: meanwhile other calls have their turn."""

Stepped = Callable[[CallPlan, float, Happening, str | None], None]
"""Is told of each step as it is kept, with its time."""

_TOLD_BY_OUTCOME: Final = frozenset({Happening.ANSWERED, Happening.GREETED, Happening.HEARD})


@dataclass(slots=True)
class _Session:
    """A session as a plan has it, how it is stored, and when that was said last."""

    source: Json
    stored: StoredSession
    at: float


class StoreRecords:
    """Records in a database. No method but `message` waits or raises.

    Rows are made when they are about to be written, those of many calls one after the other: made
    among everything else that a call does, each costs several times as much. Only rows that must
    outlive a kill by themselves are made at once.
    """

    def __init__(
        self,
        writer: Writer,
        writing: Writing,
        clock: Clock,
        webhooks: WebhooksOf = lambda _: {},
    ) -> None:
        self._writer = writer
        self._writing = writing
        self._clock = clock
        self.announcer = Announcer(webhooks, lambda row: writer.put(RowKind.EVENT, row))
        self.stepped: Stepped = lambda *_: None
        self._began: dict[CallId, float] = {}
        self._read: dict[CallId, CallPlan] = {}
        self._sessions: OrderedDict[tuple[TenantName, int], _Session] = OrderedDict()
        self._moment = 0
        self._number = zlib.crc32(writing.replica.encode()) % REPLICAS

    def decided(self, call: IncomingCall, decision: Decision) -> None:
        self._begin(call, decision, self._clock.wall())

    def adopted(self, call: IncomingCall, decision: Decision, began_at: float) -> None:
        self._begin(call, decision, began_at)
        if not isinstance(decision.verdict, Reject):
            self.happened(decision.verdict.plan, Happening.ADOPTED, self._writing.replica)

    def happened(self, plan: CallPlan, what: Happening, detail: str | None = None) -> None:
        at = self._clock.wall()
        if what is Happening.ANSWERED:
            self._announce(lambda told: told.started(plan, at))
        if what in _TOLD_BY_OUTCOME:
            return
        self.stepped(plan, at, what, detail)
        self._moment = moment = max(self._moment + 1, int(at * 1_000_000))
        sequence = moment * REPLICAS + self._number
        self._later(RowKind.HAPPENING, lambda: rows.happening_row(plan, sequence, at, what, detail))

    def turn(self, plan: CallPlan, turn: Turn) -> None:
        began_at = self._began.get(plan.call_id)
        at = self._clock.wall() if began_at is None else began_at + turn.at
        self._later(RowKind.TURN, lambda: rows.turn_row(plan, turn, at))

    def used(self, plan: CallPlan, usage: Usage) -> None:
        at = self._clock.wall()
        self._now(RowKind.USAGE, lambda: rows.usage_row(plan, usage, at))

    def transfer(self, plan: CallPlan, transfer: Transfer) -> None:
        at = self._clock.wall()
        self._announce(lambda told: told.transfer(plan, transfer, at))
        self._now(RowKind.TRANSFER, lambda: rows.transfer_row(plan, transfer, at, self._writing))

    def tool(self, plan: CallPlan, use: ToolUse) -> None:
        began_at = self._began.get(plan.call_id)
        at = self._clock.wall() - (use.ended - use.began)
        at = at if began_at is None else began_at + use.began
        self._announce(lambda told: told.tool(plan, use, at))
        self._later(RowKind.TOOL, lambda: tool_row(plan, use, at, self._writing))

    async def message(self, plan: CallPlan, message: Message) -> None:
        at = self._clock.wall()
        if sum(map(len, message.fields.values())) <= LONGEST_AT_ONCE:
            row = message_row(plan, message, at)
        else:
            row = await asyncio.to_thread(message_row, plan, message, at)
        self._announce(lambda told: told.message(plan, message, at))
        await self._writer.keep(RowKind.MESSAGE, row)

    def fault(self, plan: CallPlan, kind: str, code: str) -> None:
        self.happened(plan, Happening.FAULT, f"{kind} {code}")

    def left(self, plan: CallPlan) -> None:
        self._began.pop(plan.call_id, None)
        self._read.pop(plan.call_id, None)

    def ended(self, outcome: CallOutcome) -> None:
        self._began.pop(outcome.call_id, None)
        plan = self._read.pop(outcome.call_id, None)
        after = None if plan is None else plan.after_call

        def end() -> None:
            # Whoever has the outcome stored says nothing of it again: this is stored before.
            self._announce(lambda told: told.ended(outcome))
            if plan is not None and after is not None:
                self._now(RowKind.SUMMARY, lambda: summary_row(plan, after, outcome.ended_at))
            self._now(RowKind.OUTCOME, lambda: rows.outcome_row(outcome, self._writing))

        self._writer.later(RowKind.OUTCOME, end)

    def _begin(self, call: IncomingCall, decision: Decision, at: float) -> None:
        if not isinstance(decision.verdict, Reject):
            self._began[call.call_id] = at
            if decision.verdict.plan.after_call is not None:
                self._read[call.call_id] = decision.verdict.plan
        self._writer.later(
            RowKind.CALL,
            lambda: self._guarded(RowKind.CALL, lambda: self._decided(call, decision, at)),
        )

    def _decided(self, call: IncomingCall, decision: Decision, at: float) -> None:
        verdict = decision.verdict
        sessions = None
        if not isinstance(verdict, Reject):
            sessions = self._plan_sessions(verdict.plan, at)
        row = rows.call_row(call, decision, at, self._writing, sessions)
        self._writer.put(RowKind.CALL, row)
        hidden = rows.digits_to_hide(call, decision, self._writing)
        for alias in rows.alias_rows(call, hidden):
            self._writer.put(RowKind.ALIAS, alias)

    def _plan_sessions(
        self, plan: CallPlan, at: float
    ) -> tuple[StoredSession, StoredSession | None]:
        fallback = plan.fallback_session
        return (
            self._session(plan.session, plan.tenant, at),
            None if fallback is None else self._session(fallback, plan.tenant, at),
        )

    def _session(self, source: Json, tenant: TenantName, at: float) -> StoredSession:
        """The session as it is stored; it is put there unless that was done within the hour."""
        key = (tenant, id(source))
        known = self._sessions.get(key)
        if known is None:
            stored = rows.session_of(source, tenant, self._writing)
            known = self._sessions[key] = _Session(source, stored, at - SESSION_USED_EVERY)
            if len(self._sessions) > MOST_SESSIONS:
                self._sessions.popitem(last=False)
        if at - known.at >= SESSION_USED_EVERY:
            known.at = at
            self._writer.put(RowKind.SESSION, known.stored.row(at))
        return known.stored

    def _now(self, kind: RowKind, make: Callable[[], Row]) -> None:
        self._guarded(kind, lambda: self._writer.put(kind, make()))

    def _later(self, kind: RowKind, make: Callable[[], Row]) -> None:
        self._writer.later(kind, lambda: self._now(kind, make))

    def _announce(self, tell: Callable[[Announcer], None]) -> None:
        self._guarded(RowKind.EVENT, lambda: tell(self.announcer))

    def _guarded(self, kind: RowKind, work: Callable[[], None]) -> None:
        """A row that cannot be made is counted and told; the call goes on."""
        try:
            work()
        except Exception as error:  # noqa: BLE001  # a record never holds up a call
            log.error("record not made", kind=kind.value, error=type(error).__name__)  # noqa: TRY400  # its text may hold words
            self._writer.lose(kind)
