"""The engine of one process: everything is decided in memory, and written down to outlive it."""

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from sipagent.engine.claims import (
    call_from_json,
    call_to_json,
    decision_from_json,
    decision_to_json,
    outcome_from_json,
    outcome_to_json,
    parts_of,
)
from sipagent.engine.counters import Admission, Counters, settled
from sipagent.engine.counters import Room as Admitted
from sipagent.engine.memory import Memory, Statement, Written
from sipagent.engine.parts import Parts
from sipagent.engine.purse import Crossing
from sipagent.model import CallId, CallOutcome, Cap, Decision, IncomingCall, Quota, Reject
from sipagent.sessions.ports import FIRST_EPOCH, Claim, Clock, HeldCall, Marked, Offer

log = structlog.get_logger(__name__)

REMEMBERED: Final = 3600.0
"""Seconds for which ids are remembered. A later redelivery is stale by its `created_at`."""

_CLAIMS: Final = {
    Admitted.OK: Claim.OK,
    Admitted.FULL: Claim.FULL,
    Admitted.SPENT: Claim.SPENT,
}


@dataclass(slots=True)
class _Held:
    """A call of ours; `id` is its row in the memory."""

    id: int
    epoch: int
    marks: set[str] = field(default_factory=set)


class EmbeddedEngine:
    """Each call can be claimed once, by its webhook id and by its call id.

    No method waits for anything, so deliveries that arrive at the same moment cannot both win, and
    nothing can come between a claim and its call. Without a `memory` nothing outlives the process.
    `crossed` is told of budgets that are being used up.
    """

    def __init__(
        self,
        clock: Clock,
        memory: Memory | None = None,
        *,
        counters: Counters | None = None,
        crossed: Callable[[Crossing], None] = lambda _: None,
    ) -> None:
        self.counters = counters or Counters()
        self._clock = clock
        self._memory = memory
        self._parts = Parts()
        self._crossed = crossed
        self._seen: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._calls: dict[CallId, _Held] = {}
        self._ended: dict[CallId, int] = {}
        self._last = 0

    def __len__(self) -> int:
        """How many ids are remembered."""
        return len(self._seen)

    async def offer(self, call: IncomingCall, decision: Decision) -> Offer:
        now, wall = self._clock.monotonic(), self._clock.wall()
        self._forget(now - REMEMBERED)
        if self._is_known(call, now):
            return Offer(Claim.DUPLICATE, decision)
        self._last += 1
        claim = Claim.OK
        if decision.held:
            admission = self.counters.admit(
                call.call_id,
                decision.tenant,
                decision.caps,
                decision.quotas,
                now,
                wall,
                overflow=decision.overflow,
                free=decision.free,
            )
            claim, decision = _CLAIMS[admission.room], settled(decision, admission)
        self._calls[call.call_id] = _Held(self._last, FIRST_EPOCH)
        if self._memory is not None:
            self._remember(self._memory, call, decision, wall)
        return Offer(claim, decision)

    async def revise(self, call: IncomingCall, before: Decision, after: Decision) -> Offer:
        claim, now = Claim.OK, self._clock.monotonic()
        if not after.held:
            self.counters.release(call.call_id)
        else:
            new = (cap for cap in after.caps if cap not in before.caps)
            full = next((cap for cap in new if not self.counters.take(cap, now)), None)
            if full is not None:
                self.counters.release(call.call_id)
                claim, after = Claim.FULL, settled(after, Admission(Admitted.FULL, full.which))
        held = self._calls.get(call.call_id)
        if held is not None and self._memory is not None:
            self._rewrite(self._memory, held.id, after)
        return Offer(claim, after)

    async def mark(self, call_id: CallId, epoch: int, key: str) -> Marked:
        held = self._calls.get(call_id)
        if held is None or held.epoch != epoch:
            return Marked.NOT_OWNER
        if key in held.marks:
            return Marked.ALREADY
        held.marks.add(key)
        if self._memory is not None:
            self._memory.write(held.id, (_INSERT_MARK, (held.id, key, self._clock.wall())))
        return Marked.DONE_NOW

    def active(self, call_id: CallId, epoch: int) -> bool:
        """The file's lock is a lease that does not end before the process does."""
        return True

    async def yielded(self, call_id: CallId) -> bool:
        """Nobody else claims calls: it was this service's former life."""
        return False

    async def admit(self, call_id: CallId, cap: Cap) -> bool:
        return self.counters.take(cap, self._clock.monotonic())

    def note(self, call_id: CallId, epoch: int, key: str) -> None:
        held = self._calls.get(call_id)
        if held is None or held.epoch != epoch or key in held.marks:
            return
        held.marks.add(key)
        if self._memory is not None:
            self._memory.put(held.id, (_INSERT_MARK, (held.id, key, self._clock.wall())))

    def spent(self, call_id: CallId, cost: int) -> Sequence[CallId]:
        return self._over(self.counters.spend(call_id, cost, self._clock.wall()))

    def charged(self, quotas: Iterable[Quota], cost: int) -> Sequence[CallId]:
        """Count for each of these quotas so many micro-dollars of a call that is over; the held
        calls whose money is used up by it."""
        return self._over(self.counters.charge(quotas, cost, self._clock.wall()))

    def _over(self, crossings: Iterable[Crossing]) -> Sequence[CallId]:
        over: list[CallId] = []
        for crossing in crossings:
            self._crossed(crossing)
            if crossing.spent:
                over += self.counters.calls_of(crossing.key)
        return tuple(dict.fromkeys(over))

    def finish(self, outcome: CallOutcome, epoch: int) -> None:
        held = self._calls.get(outcome.call_id)
        if held is None or held.epoch != epoch:
            return
        del self._calls[outcome.call_id]
        self.counters.release(outcome.call_id)
        if self._memory is not None:
            self._ended[outcome.call_id] = held.id
            written = (_INSERT_OUTCOME, (held.id, outcome_to_json(outcome)))
            kept = _without_marks(self._memory.take(held.id))
            self._memory.put(held.id, *kept, written, pressing=True)

    def settled(self, call_id: CallId) -> None:
        ended = self._ended.pop(call_id, None)
        if ended is not None and self._memory is not None:
            unwritten = self._memory.take(ended)
            self._memory.put(ended, *_settle(ended, unwritten))
            # Not with the claim's: of what is put there only the claim itself stays.
            self._drop(self._memory, self._parts.let_go(self._parts.taken(ended)))

    async def adopt(self) -> Sequence[HeldCall]:
        if self._memory is None:
            return ()
        now, wall = self._clock.monotonic(), self._clock.wall()
        written = self._memory.read()
        old = [one for one in written if one.call is None and wall - one.claimed_at > REMEMBERED]
        self._memory.put(0, *_STRAYS)
        for one in old:
            self._memory.put(one.id, (_DELETE_SETTLED, (one.id,)))
        for one in written:
            at = now - max(0.0, wall - one.claimed_at)
            self._see(_keys(one.call_id, one.webhook_id), at, one.id)
        self._last = max((one.id for one in written), default=0)
        parts = self._memory.parts()
        adopted = [held for one in written if (held := self._adopted(one, parts)) is not None]
        named = {one.id: _named(one) for one in written}
        self._memory.put(0, *self._parts.adopt(named, parts))
        if not self._memory.flush(within=math.inf):
            log.error("calls are taken over although that could not be written")
        return adopted

    def defects(self) -> Iterable[str]:
        """Why what is decided here would not outlive the process."""
        fault = None if self._memory is None else self._memory.fault
        return () if fault is None else (fault,)

    def _remember(self, memory: Memory, call: IncomingCall, decision: Decision, at: float) -> None:
        written: tuple[bytes, bytes] | tuple[None, None]
        number = self._last
        try:
            written = call_to_json(call), self._encoded(number, decision)
        except Exception as error:  # the call must be answered; only a restart would lose it
            log.exception("claim not writable", call_id=call.call_id, error=type(error).__name__)
            written = (None, None)
        values = (number, call.call_id, call.webhook_id, at, FIRST_EPOCH)
        self._write(memory, number, (_INSERT_CLAIM, (*values, *written)))

    def _rewrite(self, memory: Memory, number: int, decision: Decision) -> None:
        before = self._parts.taken(number)
        try:
            written = self._encoded(number, decision)
        except Exception as error:  # as above; who takes over goes on with the decision before
            self._parts.put_back(number, before)
            log.exception("decision not writable", error=type(error).__name__)
        else:
            self._write(memory, number, (_UPDATE_DECISION, (written, number)))
            self._drop(memory, self._parts.let_go(before))

    def _drop(self, memory: Memory, dropped: Sequence[Statement]) -> None:
        if dropped:
            memory.put(0, *dropped)

    def _encoded(self, number: int, decision: Decision) -> bytes:
        """The decision as it stands in this row."""
        return decision_to_json(decision, lambda value: self._parts.in_place_of(number, value))

    def _write(self, memory: Memory, number: int, *statements: Statement) -> None:
        """The row outlives the process, and the parts that it names, if the disk takes them."""
        if memory.write(number, *self._parts.unwritten(number), *statements):
            self._parts.wrote(number)

    def _adopted(self, written: Written, parts: Mapping[int, bytes]) -> HeldCall | None:
        """A call that is ours from now on; None for one of which nothing is left to do."""
        if written.call is None or written.decision is None or self._memory is None:
            return None
        try:
            call = call_from_json(written.call)
            decision = decision_from_json(written.decision, parts)
            outcome = None if written.outcome is None else outcome_from_json(written.outcome)
        except (ValueError, TypeError, KeyError) as error:
            log.warning("claim not readable", call_id=written.call_id, error=type(error).__name__)
            return None
        epoch = written.epoch + 1
        self._memory.put(written.id, (_UPDATE_EPOCH, (epoch, written.id)))
        self._calls[call.call_id] = _Held(written.id, epoch, set(written.marks))
        if outcome is None and not isinstance(decision.verdict, Reject):
            self.counters.restore(call.call_id, decision.tenant, decision.quotas)
        return HeldCall(call, decision, written.claimed_at, epoch, written.marks, outcome)

    def _is_known(self, call: IncomingCall, now: float) -> bool:
        keys = _keys(call.call_id, call.webhook_id)
        known = any(key in self._seen for key in keys)
        self._see(keys, now, 0 if known else self._last + 1)
        return known

    def _see(self, keys: Sequence[str], at: float, number: int) -> None:
        """Remember the ids of one call, and its row with the first of them."""
        for key in keys:
            self._seen.setdefault(key, (at, number))
            number = 0

    def _forget(self, before: float) -> None:
        while self._seen:
            key, (at, number) = next(iter(self._seen.items()))
            if at >= before:
                return
            del self._seen[key]
            if number and self._memory is not None:
                self._memory.put(number, (_DELETE_SETTLED, (number,)))


def _named(written: Written) -> list[int]:
    """The parts that a call which is not settled names."""
    try:
        return [] if written.decision is None else parts_of(written.decision)
    except (ValueError, TypeError, KeyError, AttributeError):
        return []  # told where it is read


def _keys(call_id: str, webhook_id: str) -> tuple[str, str]:
    return f"webhook:{webhook_id}", f"call:{call_id}"


_INSERT_CLAIM: Final = "INSERT INTO claims VALUES (?, ?, ?, ?, ?, ?, ?)"
_INSERT_MARK: Final = "INSERT OR IGNORE INTO marks VALUES (?, ?, ?)"
_INSERT_OUTCOME: Final = "INSERT OR IGNORE INTO outcomes VALUES (?, ?)"
_UPDATE_DECISION: Final = "UPDATE claims SET decision = ? WHERE id = ? AND call IS NOT NULL"
_UPDATE_EPOCH: Final = "UPDATE claims SET epoch = ? WHERE id = ?"
# Ids begin anew when all are forgotten: what is left of one call must not become another's.
_STRAYS: Final[tuple[Statement, ...]] = (
    ("DELETE FROM marks WHERE id NOT IN (SELECT id FROM claims WHERE call IS NOT NULL)", ()),
    ("DELETE FROM outcomes WHERE id NOT IN (SELECT id FROM claims WHERE call IS NOT NULL)", ()),
)
_FORGET_CALL: Final = "UPDATE claims SET call = NULL, decision = NULL WHERE id = ?"
_DELETE_MARKS: Final = "DELETE FROM marks WHERE id = ?"
_DELETE_OUTCOME: Final = "DELETE FROM outcomes WHERE id = ?"
_DELETE_SETTLED: Final = "DELETE FROM claims WHERE id = ? AND call IS NULL"


def _without_marks(unwritten: Sequence[Statement]) -> list[Statement]:
    """What is still to be written of a call that has ended: its outcome says more than marks."""
    return [statement for statement in unwritten if statement[0] != _INSERT_MARK]


def _settle(number: int, unwritten: Sequence[Statement]) -> list[Statement]:
    """Nothing is left of the call but its ids. What has not been written of it never will be."""
    return [
        *(statement for statement in unwritten if statement[0] == _INSERT_CLAIM),
        (_FORGET_CALL, (number,)),
        (_DELETE_MARKS, (number,)),
        (_DELETE_OUTCOME, (number,)),
    ]
