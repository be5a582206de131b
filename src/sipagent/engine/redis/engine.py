"""The engine that replicas share: a call belongs to the replica whose lease on it is not over.

A claim is a pending entry of a stream's consumer group, its idle time the age of the lease,
XAUTOCLAIM the taking over. What is decided is decided there, in one script; what this process knows
of its own calls is enough to go on while the engine is away, and to register all of them again
when it comes back, empty or not.
"""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

import structlog

from sipagent.engine.claims import decision_to_json, outcome_to_json
from sipagent.engine.counters import Admission, Counters, Room, settled
from sipagent.engine.purse import Crossing, crossings, labels
from sipagent.engine.redis.held import Held, ids_of, written
from sipagent.engine.redis.lease import Lease
from sipagent.engine.redis.link import Link
from sipagent.engine.redis.outgoing import Outgoing, Step
from sipagent.engine.redis.wire import admission_of, asked_to_json, cap_to_json
from sipagent.errors import EngineError
from sipagent.model import CallId, CallOutcome, Cap, Decision, IncomingCall, Quota
from sipagent.sessions.ports import FIRST_EPOCH, Claim, Clock, HeldCall, Marked, Offer
from sipagent.standing import Tally

log = structlog.get_logger(__name__)

REMEMBERED: Final = 3600
"""Seconds for which ids are remembered. A later redelivery is stale by its `created_at`."""

OFFER_WITHIN: Final = 0.2
"""Seconds for a claim: a webhook is answered within 0.25, whatever the engine does."""

MARK_WITHIN: Final = 0.5
MARKED_AGAIN_AFTER: Final = 0.1
_CLAIMS: Final = {Room.OK: Claim.OK, Room.FULL: Claim.FULL, Room.SPENT: Claim.SPENT}
_MARKED: Final = {
    b"done_now": Marked.DONE_NOW,
    b"already": Marked.ALREADY,
    b"not_owner": Marked.NOT_OWNER,
}


class RedisEngine:
    """The claims of one replica. `Leases` renews them, and takes over what others have left."""

    def __init__(
        self,
        link: Link,
        replica: str,
        clock: Clock,
        lease: Lease,
        *,
        crossed: Callable[[Crossing], None] = lambda _: None,
    ) -> None:
        self.link = link
        self.replica = replica
        self.lease = lease
        self.held: dict[CallId, Held] = {}
        self.counters = Counters()
        self.tally = Tally()
        self.forgotten = False
        self.outgoing = Outgoing(link, self.failed)
        self.lost: Callable[[CallId], None] = lambda _: None
        self.over: Callable[[Sequence[CallId]], None] = lambda _: None
        self._clock = clock
        self._crossed = crossed
        self._alone: OrderedDict[str, float] = OrderedDict()
        self.offer_within, self.admit_within = OFFER_WITHIN, MARK_WITHIN
        self._given: set[CallId] = set()
        self._bills = 0

    async def offer(self, call: IncomingCall, decision: Decision) -> Offer:
        wall = self._clock.wall()
        if call.call_id in self.held or any(key in self._alone for key in ids_of(call)):
            return Offer(Claim.DUPLICATE, decision)
        asked = asked_to_json(decision, decision.caps, wall) if decision.held else ""
        texts = written(call, decision)
        sent = self._clock.monotonic()
        try:
            answer = await self.link.run(
                "offer",
                call.call_id,
                call.webhook_id,
                self.replica,
                REMEMBERED,
                asked,
                *texts,
                within=self.offer_within,
            )
        except EngineError as error:
            self.failed()
            log.warning("call taken without the engine", call_id=call.call_id, reason=str(error))
            surely_not = error.unsent or error.answered
            return self._take_alone(call, decision, wall, None if surely_not else sent)
        if answer[0] == b"duplicate":
            return Offer(Claim.DUPLICATE, decision)
        offer = self._offered(call.call_id, decision, admission_of(answer[1:]))
        self._hold(Held(call, offer.decision, wall))
        if offer.claim is not Claim.OK:
            self._decide(call.call_id, FIRST_EPOCH, offer.decision)
        return offer

    async def revise(self, call: IncomingCall, before: Decision, after: Decision) -> Offer:
        new = [cap for cap in after.caps if cap not in before.caps]
        held, admission = self.held.get(call.call_id), Admission(Room.OK)
        asked = json.dumps({"caps": [cap_to_json(cap) for cap in new]})
        if held is not None and held.registered:
            values = (
                call.call_id,
                self.replica,
                held.epoch,
                written(call, after)[1],
                asked if after.held else "",
                "" if after.held else "1",
            )
            try:
                answer = await self.link.run("decide", *values, within=MARK_WITHIN)
            except EngineError:
                self.failed()
            else:
                if answer[0] == b"not_owner":
                    self.lose(call.call_id)
                else:
                    admission = admission_of(answer)
        if held is None or self.held.get(call.call_id) is not held:
            return Offer(Claim.LOST, after)
        offer = self._offered(call.call_id, after, admission)
        held.decision = offer.decision
        if offer.claim is not Claim.OK:
            self._decide(call.call_id, held.epoch, offer.decision)
        if not offer.decision.held:
            self.counters.release(call.call_id)
        return offer

    async def mark(self, call_id: CallId, epoch: int, key: str) -> Marked:
        held = self._ours(call_id, epoch)
        if held is None:
            return Marked.NOT_OWNER
        if key in held.marks:
            return Marked.ALREADY
        at = held.marks[key] = self._clock.wall()
        if not held.registered:
            return Marked.DONE_NOW
        marked = await self._mark(held, Step("mark", (call_id, self.replica, epoch, key, at)))
        if marked is Marked.NOT_OWNER:
            self.lose(call_id)
        return marked

    async def _mark(self, held: Held, step: Step) -> Marked:
        """Have the mark written, however long the engine is silent: whoever takes the call over
        would not know of it, and do the same again."""
        asked_before, answer = False, None
        while answer is None:
            try:
                answer = await self.link.run(step.script, *step.values, within=MARK_WITHIN)
                continue
            except EngineError as error:
                self.failed()
                if error.answered:  # it is there, and takes nothing: the call goes on without it
                    self.outgoing.put(replace(step, missed=True))
                    return Marked.DONE_NOW
            asked_before = True
            await asyncio.sleep(MARKED_AGAIN_AFTER)
            if self._ours(held.call.call_id, held.epoch) is not held:
                return Marked.NOT_OWNER
            if not held.registered:
                return Marked.DONE_NOW  # it is registered again with its marks
        if answer == b"unknown":
            self.forgot(held)
            return Marked.DONE_NOW
        if answer == b"already" and asked_before:
            return Marked.DONE_NOW  # written by then, and its answer was lost
        return _MARKED[answer]

    async def admit(self, call_id: CallId, cap: Cap) -> bool:
        try:
            answer = await self.link.run(
                "take", call_id, json.dumps(cap_to_json(cap)), within=self.admit_within
            )
        except EngineError:
            self.failed()
            return self.counters.take(cap, self._clock.monotonic())
        return bool(answer)

    async def yielded(self, call_id: CallId) -> bool:
        held = self.held.get(call_id)
        if held is None or held.epoch != FIRST_EPOCH:
            return False  # whoever held it had asked for it, and is gone
        if held.alone:
            self._withdraw(held)
            self.lose(call_id)
            return True
        # An engine that was emptied has been asked before it was told: the owner tells it within a
        # lease, or lives no more.
        await asyncio.sleep(self.lease.seconds)
        return self.held.get(call_id) is not held

    def note(self, call_id: CallId, epoch: int, key: str) -> None:
        held = self._ours(call_id, epoch)
        if held is None or key in held.marks:
            return
        at = held.marks[key] = self._clock.wall()
        if held.registered:
            values = (call_id, self.replica, epoch, key, at)
            self.outgoing.put(Step("mark", values, missed=True))

    def active(self, call_id: CallId, epoch: int) -> bool:
        """Whether this replica may act for the call: not from the moment on from which another may
        be about to take it over."""
        held = self._ours(call_id, epoch)
        if held is None or call_id in self._given:
            return False
        now = self._clock.monotonic()
        if held.registered or held.unsure_from is None:
            return not held.registered or self.lease.active(now)
        return self.lease.active(now) or self.lease.active_since(held.unsure_from, now)

    def spent(self, call_id: CallId, cost: int) -> Sequence[CallId]:
        held = self.held.get(call_id)
        if held is not None:
            self.charged(held.decision.quotas, cost)
        return ()  # who is over is known when all replicas' sums are

    def charged(self, quotas: Iterable[Quota], cost: int) -> Sequence[CallId]:
        """Count for each of these quotas so many micro-dollars."""
        found, wall = tuple(quotas), self._clock.wall()
        if found and cost:
            named = [labels(wall, quota.zone) for quota in found]
            self._bills += 1
            values: list[str | int] = [self.replica, self._bills, cost]
            for quota, periods in zip(found, named, strict=True):
                values += [quota.key, *periods.values()]

            def told(sums: Sequence[int]) -> None:
                self._summed(found, sums, cost, wall)

            self.outgoing.put(Step("spend", values, told))
        return ()

    def seed(self, key: str, label: str, micros: int) -> None:
        """The records know of so much that was spent in this day or month; with what others have
        counted by then it is known here soon."""

        def told(counted: int) -> None:
            self.counters.learn(key, label, counted)
            self.over(self.counters.unpaid(self._clock.wall()))

        self.outgoing.put(Step("seed", (key, label, micros), told))

    def finish(self, outcome: CallOutcome, epoch: int) -> None:
        held = self._ours(outcome.call_id, epoch)
        if held is None or held.outcome is not None:
            return
        held.outcome = outcome
        self.counters.release(outcome.call_id)
        if held.registered:
            values = (outcome.call_id, self.replica, epoch, outcome_to_json(outcome))
            self.outgoing.put(Step("finish", values))

    def settled(self, call_id: CallId) -> None:
        held = self.held.get(call_id)
        if held is None or held.outcome is None:
            return
        del self.held[call_id]
        if held.registered:
            self.outgoing.put(Step("settle", (call_id, self.replica, held.epoch)))
        else:
            self._withdraw(held)

    async def adopt(self) -> Sequence[HeldCall]:
        """Nothing at the start: what others leave is taken over at any time."""
        return ()

    def took_over(self, held: HeldCall) -> None:
        """A call of another replica's is ours from now on. If it was ours and its lease has run out
        unnoticed, who holds it lets it go first: what it had begun is not gone on with."""
        self.lose(held.call.call_id)
        self.tally.taken_over += 1
        one = Held(held.call, held.decision, held.claimed_at, held.epoch, marks=dict(held.marks))
        self._hold(one)
        one.outcome = held.outcome

    def give(self, calls: Iterable[CallId]) -> None:
        """Nothing is done here any more for these: they are about to be handed over."""
        self._given |= set(calls)

    def take_back(self, calls: Iterable[CallId]) -> bool:
        """Those of these that have not been handed over stay ours; whether there are any."""
        back = self._given & set(calls)
        self._given -= back
        return bool(back)

    def lose(self, call_id: CallId) -> None:
        """The call is another replica's by now: nothing is done for it here any more."""
        if self.held.pop(call_id, None) is None:
            return
        self.counters.release(call_id)
        if call_id not in self._given:
            self.tally.lost += 1
            log.warning("call taken over by another replica", call_id=call_id)
        self._given.discard(call_id)
        self.lost(call_id)

    def forgot(self, held: Held) -> None:
        """The engine does not know a call that it was told of: it has been emptied."""
        held.registered = False
        self.forgotten = True

    def remind(self) -> None:
        """An engine that has been emptied is told what is known here to be spent; of what several
        replicas say the largest counts."""
        if self.forgotten:
            self.forgotten = False
            for one in self.counters.sums():
                self.seed(*one)

    def failed(self) -> None:
        """The engine has not answered: nobody is taken over for the length of a lease."""
        self.lease.failed(self._clock.monotonic())

    def taken_alone(self) -> list[str]:
        """The ids of calls that were taken while the engine was away, as it remembers ids."""
        before = self._clock.monotonic() - REMEMBERED
        while self._alone and next(iter(self._alone.values())) < before:
            self._alone.popitem(last=False)
        return list(self._alone)

    def remembered(self, ids: Iterable[str]) -> None:
        """The engine has these ids."""
        for one in ids:
            self._alone.pop(one, None)

    def _take_alone(
        self, call: IncomingCall, decision: Decision, wall: float, unsure_from: float | None
    ) -> Offer:
        """Claim the call here: of two replicas that do so the provider takes the accept of one."""
        now, admission = self._clock.monotonic(), Admission(Room.OK)
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
        offer = self._offered(call.call_id, decision, admission)
        self.tally.alone += 1
        self.taken_alone()
        self._alone |= dict.fromkeys(ids_of(call), now)
        self.held[call.call_id] = Held(
            call, offer.decision, wall, registered=False, alone=True, unsure_from=unsure_from
        )
        return offer

    def _withdraw(self, held: Held) -> None:
        """A claim that was given up, and may have been written all the same or be written yet,
        stands for nobody: a call that nobody renews would be taken over."""
        values = (held.call.call_id, self.replica, held.epoch, REMEMBERED)
        self.outgoing.put(Step("settle", values))

    def _hold(self, held: Held) -> None:
        call, decision = held.call, held.decision
        self.held[call.call_id] = held
        if decision.held and held.outcome is None:
            self.counters.restore(call.call_id, decision.tenant, decision.quotas)

    def _offered(self, call_id: CallId, decision: Decision, admission: Admission) -> Offer:
        return Offer(_CLAIMS[admission.room], settled(decision, admission))

    def _decide(self, call_id: CallId, epoch: int, decision: Decision) -> None:
        """Have what follows for a call without room be what an heir reads."""
        values = (call_id, self.replica, epoch, decision_to_json(decision), "", "")
        self.outgoing.put(Step("decide", values))

    def _ours(self, call_id: CallId, epoch: int) -> Held | None:
        held = self.held.get(call_id)
        return held if held is not None and held.epoch == epoch else None

    def _summed(self, quotas: Sequence[Quota], sums: Sequence[int], cost: int, wall: float) -> None:
        over: list[CallId] = []
        for at, quota in enumerate(quotas):
            named = labels(wall, quota.zone)
            after = dict(zip(named.values(), sums[2 * at : 2 * at + 2], strict=True))
            for label, micros in after.items():
                self.counters.learn(quota.key, label, micros)
            for crossing in crossings(quota, named, after, cost):
                self._crossed(crossing)
                if crossing.spent:
                    over += self.counters.calls_of(crossing.key)
        if over:
            self.over(tuple(dict.fromkeys(over)))
