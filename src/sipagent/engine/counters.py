"""What all calls take together: calls at once, new calls in a time, money. Pure and synchronous.

Nothing here reads a clock or waits, so that each method is one step that nothing can come between.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from sipagent.engine.purse import Crossing, Purse
from sipagent.engine.windows import Windows
from sipagent.model import (
    CallId,
    Cap,
    Decision,
    Forward,
    Quota,
    QuotaScope,
    Reason,
    Reject,
    TenantName,
    TraceStep,
)
from sipagent.model.limit import BUSY, UNAVAILABLE

SHARED: Final = frozenset({QuotaScope.ACCOUNT, QuotaScope.PROCESS})
"""What tenants have in common, so that none of them chooses what follows."""


class Room(StrEnum):
    """OK: the call has been counted for all that it needs room in. FULL: one of them has no room,
    SPENT: the money of one is used up; it has been counted for none."""

    OK = "ok"
    FULL = "full"
    SPENT = "spent"


@dataclass(frozen=True, slots=True)
class Admission:
    """The answer to a call that asks for room.

    `limit` names what had none, as records may show it: `tenant.held`, `account.rate`,
    `number.month`, `per_caller` ... `own` says that it is the number's or the tenant's, so that the
    tenant chooses what follows; `overflow` that the call may be sent on instead.
    """

    room: Room
    limit: str | None = None
    own: bool = False
    overflow: bool = False


_ADMITTED: Final = Admission(Room.OK)


@dataclass(slots=True)
class _Pool:
    """The calls that are held of one quota."""

    total: int = 0
    by_tenant: dict[TenantName, int] = field(default_factory=dict)

    def add(self, tenant: TenantName, count: int) -> None:
        self.total += count
        held = self.by_tenant.get(tenant, 0) + count
        if held:
            self.by_tenant[tenant] = held
        else:
            self.by_tenant.pop(tenant, None)

    def has_room(self, tenant: TenantName, most: int, reserves: Mapping[TenantName, int]) -> bool:
        """Whether one more call of the tenant is within its own guarantee, or leaves those of all
        others as they are."""
        if self.total >= most:
            return False
        if self.by_tenant.get(tenant, 0) < reserves.get(tenant, 0):
            return True
        kept = sum(
            max(0, reserved - self.by_tenant.get(other, 0))
            for other, reserved in reserves.items()
            if other != tenant
        )
        return self.total + kept < most


@dataclass(frozen=True, slots=True)
class _Held:
    tenant: TenantName
    quotas: tuple[Quota, ...]


class Counters:
    """All counts of one process. `now_mono` are seconds on a clock that only goes forward,
    `now_wall` unix seconds."""

    def __init__(self) -> None:
        self._windows = Windows()
        self._purse = Purse()
        self._calls: dict[CallId, _Held] = {}
        self._pools: dict[str, _Pool] = {}
        self._latest: dict[str, Quota] = {}

    @property
    def windows(self) -> int:
        """How many callers and the like are counted."""
        return len(self._windows)

    def held(self, key: str) -> int:
        """The calls that are held of the quota with this key."""
        pool = self._pools.get(key)
        return 0 if pool is None else pool.total

    def spent(self, key: str, label: str) -> int:
        """Micro-dollars that were spent in this day (`2026-11-28`) or month (`2026-11`)."""
        return self._purse.spent(key, label)

    def sums(self) -> tuple[tuple[str, str, int], ...]:
        """All that is known to be spent: key, day or month, micro-dollars."""
        return tuple(self._purse.sums())

    def calls_of(self, key: str) -> tuple[CallId, ...]:
        """The calls that count for the quota with this key."""
        return tuple(
            call_id
            for call_id, held in self._calls.items()
            if any(quota.key == key for quota in held.quotas)
        )

    def admit(
        self,
        call_id: CallId,
        tenant: TenantName,
        caps: Sequence[Cap],
        quotas: Sequence[Quota],
        now_mono: float,
        now_wall: float,
        *,
        overflow: Sequence[Cap] = (),
        free: bool = False,
    ) -> Admission:
        """Count the call for every cap and quota, or for none if one of them has no room.

        A call that is refused for the number's or the tenant's sake, or for money, may be sent on
        instead, if there is any `overflow` and it, the account and the process have room: it is
        counted for these then. One that is `free` costs nothing, so that no budget refuses it.
        """
        crowded = self._crowded(tenant, caps, quotas, now_mono)
        refused = crowded or (None if free else self._unpaid(quotas, now_wall))
        if refused is None:
            self._count(call_id, tenant, caps, quotas, now_mono)
            return _ADMITTED
        if refused.own and overflow:
            shared = _shared(quotas)
            if self._crowded(tenant, overflow, shared, now_mono) is None:
                self._count(call_id, tenant, overflow, shared, now_mono)
                return replace(refused, overflow=True)
        return refused

    def take(self, cap: Cap, now_mono: float) -> bool:
        """Count one more for this cap, if it has room."""
        if self._full((cap,), now_mono) is not None:
            return False
        self._windows.window(cap, now_mono).append(now_mono)
        return True

    def restore(self, call_id: CallId, tenant: TenantName, quotas: Iterable[Quota]) -> None:
        """Count a call that is held already: nobody asks whether there is room."""
        self.release(call_id)
        held = _Held(tenant, tuple(quotas))
        for quota in held.quotas:
            self._latest[quota.key] = quota
            self._pools.setdefault(quota.key, _Pool()).add(tenant, 1)
        self._calls[call_id] = held

    def release(self, call_id: CallId) -> None:
        """The call is over. One that is not counted changes nothing."""
        held = self._calls.pop(call_id, None)
        if held is None:
            return
        for quota in held.quotas:
            pool = self._pools[quota.key]
            pool.add(held.tenant, -1)
            if not pool.total:
                del self._pools[quota.key]

    def spend(self, call_id: CallId, micros: int, now_wall: float) -> tuple[Crossing, ...]:
        """Count what a call that has not been released has cost for each of its quotas.

        Returns the budgets of which a share, or all, is used up by this very sum. Where one is
        `spent`, the calls of `calls_of(crossing.key)` are to be wound down.
        """
        held = self._calls.get(call_id)
        if held is None:
            return ()
        return self.charge((self._latest[quota.key] for quota in held.quotas), micros, now_wall)

    def charge(self, quotas: Iterable[Quota], micros: int, now_wall: float) -> tuple[Crossing, ...]:
        """Count for each of these quotas what was spent for a call that is over."""
        return tuple(
            crossing for quota in quotas for crossing in self._purse.spend(quota, micros, now_wall)
        )

    def renew(self, quotas: Iterable[Quota]) -> None:
        """These are in force from now on, also for calls that are held already."""
        self._latest |= {quota.key: quota for quota in quotas if quota.key in self._latest}

    def unpaid(self, now_wall: float) -> tuple[CallId, ...]:
        """The held calls of which a budget is used up, for calls that were there before what has
        been spent was known."""
        spent = {
            key
            for key, quota in self._latest.items()
            if self._purse.exhausted(quota, now_wall) is not None
        }
        return tuple(
            call_id
            for call_id, held in self._calls.items()
            if any(quota.key in spent for quota in held.quotas)
        )

    def seed(self, key: str, label: str, micros: int) -> None:
        """So much was spent in this day (`2026-11-28`) or month (`2026-11`) before the start."""
        self._purse.seed(key, label, micros)

    def learn(self, key: str, label: str, micros: int) -> None:
        """All replicas together have spent so much in this day or month, or more."""
        self._purse.seed(key, label, max(0, micros - self._purse.spent(key, label)))

    def _crowded(
        self, tenant: TenantName, caps: Sequence[Cap], quotas: Sequence[Quota], now: float
    ) -> Admission | None:
        if (cap := self._full(caps, now)) is not None:
            return Admission(Room.FULL, cap.which)
        for quota in quotas:
            if (why := self._no_room(quota, tenant, now)) is not None:
                own = quota.scope not in SHARED
                return Admission(Room.FULL, f"{quota.scope}.{why}", own)
        return None

    def _unpaid(self, quotas: Sequence[Quota], now_wall: float) -> Admission | None:
        for quota in quotas:
            if (period := self._purse.exhausted(quota, now_wall)) is not None:
                return Admission(Room.SPENT, f"{quota.scope}.{period}", own=True)
        return None

    def _no_room(self, quota: Quota, tenant: TenantName, now: float) -> str | None:
        if quota.held is not None:
            pool = self._pools.get(quota.key) or _Pool()
            if not pool.has_room(tenant, quota.held, quota.reserves):
                return "held"
        if quota.rate is not None and self._full((_cap(quota),), now) is not None:
            return "rate"
        return None

    def _full(self, caps: Sequence[Cap], now: float) -> Cap | None:
        for cap in caps:
            if len(self._windows.window(cap, now)) >= cap.rate.count:
                return cap
        return None

    def _count(
        self,
        call_id: CallId,
        tenant: TenantName,
        caps: Sequence[Cap],
        quotas: Sequence[Quota],
        now: float,
    ) -> None:
        for cap in (*caps, *(_cap(quota) for quota in quotas if quota.rate is not None)):
            self._windows.window(cap, now).append(now)
        self.restore(call_id, tenant, quotas)


def settled(decision: Decision, admission: Admission) -> Decision:
    """What happens to the call after it has asked for room: the decision, or what follows where
    there is none, with the step that says why and the quotas that the call counts for."""
    if admission.room is Room.OK or not decision.held:
        return decision
    spent = admission.room is Room.SPENT
    because = "the money is spent" if spent else "there is no room"
    step = TraceStep("limits", admission.limit or "", held=True, because=because)
    verdict = decision.if_spent if spent else decision.if_full
    unheld = isinstance(verdict, Forward) and not admission.overflow
    if verdict is None or unheld or not admission.own:
        code = _code(decision, admission)
        verdict = Reject(code, Reason.QUOTA, decision.tenant)
    trace, quotas = (*decision.trace, step), decision.quotas if admission.overflow else ()
    return replace(
        decision, verdict=verdict, trace=trace, caps=(), quotas=_shared(quotas), consult=None
    )


def _shared(quotas: Sequence[Quota]) -> tuple[Quota, ...]:
    return tuple(quota for quota in quotas if quota.scope in SHARED)


def _code(decision: Decision, admission: Admission) -> int:
    """Callers of a busy number or tenant hear what the tenant has chosen; where the whole service
    has no room the carrier may find another."""
    if admission.own:
        return decision.spent_code if admission.room is Room.SPENT else decision.full_code
    shared = (admission.limit or "").partition(".")[0] in SHARED
    return UNAVAILABLE if shared else BUSY


def _cap(quota: Quota) -> Cap:
    assert quota.rate is not None
    return Cap(str(quota.scope), quota.key, quota.rate)
