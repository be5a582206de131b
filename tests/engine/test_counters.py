"""Counters: never over a limit, reserves always kept, nothing leaked, money exact."""

import random
from collections import Counter as Tally

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sipagent.engine.counters import Admission, Counters, Room, settled
from sipagent.engine.purse import Period
from sipagent.engine.windows import WINDOWS
from sipagent.model import (
    Accept,
    AccountName,
    CallId,
    CallPlan,
    Cap,
    Decision,
    DestinationName,
    Forward,
    Quota,
    QuotaScope,
    Rate,
    Reason,
    Reject,
    TenantName,
)

NOON = 1_790_096_400.0
"""22 September 2026, 12:00 in Chicago, 17:00 UTC."""

DAY = 86_400.0
ACME = TenantName("acme")
BETA = TenantName("beta")
TENANTS = (ACME, BETA, TenantName("gamma"))


def call(number: int) -> CallId:
    return CallId(f"rtc_{number}")


def pool(held: int, **reserves: int) -> Quota:
    kept = {TenantName(name): calls for name, calls in reserves.items()}
    return Quota(QuotaScope.ACCOUNT, "us-1", held=held, reserves=kept)


def tenant(**limits: object) -> Quota:
    return Quota(QuotaScope.TENANT, "acme", **limits)  # type: ignore[arg-type]  # a shorthand


def admitted(
    counters: Counters, number: int, *quotas: Quota, of: TenantName = ACME, at: float = 0.0
) -> Admission:
    return counters.admit(call(number), of, (), quotas, at, NOON + at)


def test_of_300_offers_exactly_the_limit_is_taken() -> None:
    counters, numbers = Counters(), list(range(300))
    random.Random(4).shuffle(numbers)
    rooms = [admitted(counters, number, tenant(held=20)) for number in numbers]
    assert Tally(each.room for each in rooms) == {Room.OK: 20, Room.FULL: 280}
    assert {each.limit for each in rooms} == {None, "tenant.held"}
    assert counters.held("tenant:acme") == 20


def test_no_slot_is_lost_after_10_000_calls() -> None:
    counters = Counters()
    quotas = (tenant(held=3, rate=Rate(100_000, 60.0)), pool(5))
    for number in range(10_000):
        assert admitted(counters, number, *quotas).room is Room.OK
        counters.release(call(number))
        counters.release(call(number))
    assert (counters.held("tenant:acme"), counters.held("account:us-1")) == (0, 0)
    assert [admitted(counters, n, *quotas).room for n in range(4)] == [Room.OK] * 3 + [Room.FULL]


def test_a_call_that_one_quota_refuses_counts_for_none() -> None:
    counters = Counters()
    rate = Quota(QuotaScope.NUMBER, "+17134810111", rate=Rate(10, 60.0))
    assert admitted(counters, 1, rate, tenant(held=1)).room is Room.OK
    for number in range(2, 40):
        assert admitted(counters, number, rate, tenant(held=1)).limit == "tenant.held"
    counters.release(call(1))
    for number in range(9):
        assert admitted(counters, number, rate).room is Room.OK
    assert admitted(counters, 99, rate).limit == "number.rate"


def test_a_rate_has_room_again_when_its_time_is_over() -> None:
    counters, quota = Counters(), tenant(rate=Rate(2, 60.0))
    rooms = [admitted(counters, n, quota, at=at).room for n, at in enumerate((0, 30, 59, 60, 61))]
    assert rooms == [Room.OK, Room.OK, Room.FULL, Room.OK, Room.FULL]


def test_invented_callers_are_forgotten_and_nobody_else() -> None:
    counters = Counters()
    forwards = Cap("forwards", "forwards:acme", Rate(1, 3600.0))
    assert counters.admit(call(0), ACME, (forwards,), (), 0.0, NOON).room is Room.OK
    for number in range(WINDOWS + 10):
        cap = Cap("per_caller", f"open:+1{number}", Rate(1, 3600.0))
        assert counters.admit(call(number), ACME, (cap,), (), 1.0, NOON).room is Room.OK
    assert counters.windows == WINDOWS + 1
    refused = counters.admit(call(1), ACME, (forwards,), (), 2.0, NOON)
    assert refused == Admission(Room.FULL, "forwards")


def test_reserved_calls_are_not_lent_and_can_be_had() -> None:
    counters, shared = Counters(), pool(10, acme=4)
    assert sum(admitted(counters, n, shared, of=BETA).room is Room.OK for n in range(20)) == 6
    assert sum(admitted(counters, 100 + n, shared).room is Room.OK for n in range(20)) == 4
    counters.release(call(100))
    assert admitted(counters, 30, shared, of=BETA).limit == "account.held"
    assert admitted(counters, 101 + 30, shared).room is Room.OK


STEP = st.tuples(st.sampled_from(TENANTS), st.booleans(), st.integers(0, 30))


@settings(max_examples=300, deadline=None)
@given(
    most=st.integers(1, 8),
    reserves=st.dictionaries(st.sampled_from(TENANTS), st.integers(0, 4)),
    steps=st.lists(STEP, max_size=120),
)
def test_reserves_are_kept_under_any_interleaving(
    most: int, reserves: dict[TenantName, int], steps: list[tuple[TenantName, bool, int]]
) -> None:
    if sum(reserves.values()) > most:
        reserves = {}
    counters = Counters()
    shared = Quota(QuotaScope.ACCOUNT, "us-1", held=most, reserves=reserves)
    held: dict[CallId, TenantName] = {}
    for at, (who, comes, which) in enumerate(steps):
        if comes or not held:
            taken = admitted(counters, at, shared, of=who).room is Room.OK
            mine = Tally(held.values())[who]
            if mine < reserves.get(who, 0):
                assert taken, "a reserved call was lent to somebody"
            if taken:
                held[call(at)] = who
        else:
            gone = sorted(held)[which % len(held)]
            counters.release(gone)
            del held[gone]
        assert counters.held(shared.key) == len(held) <= most


@settings(max_examples=100, deadline=None)
@given(
    sums=st.lists(st.integers(0, 700), max_size=60),
    limit=st.integers(1, 9000),
    seeded=st.integers(0, 500),
)
def test_money_is_exact_and_each_share_is_told_once(
    sums: list[int], limit: int, seeded: int
) -> None:
    counters, quota = Counters(), tenant(month=limit, warn_at=(5000, 8000), zone="America/Chicago")
    counters.seed(quota.key, "2026-09", seeded)
    counters.restore(call(1), ACME, (quota,))
    crossed = [each for micros in sums for each in counters.spend(call(1), micros, NOON)]
    total = seeded + sum(sums)
    assert counters.spent(quota.key, "2026-09") == total
    expected = [
        share for share in (5000, 8000, 10_000) if seeded * 10_000 < limit * share <= total * 10_000
    ]
    assert [each.share for each in crossed] == expected
    assert (admitted(counters, 2, quota).room is Room.SPENT) is (total >= limit)


def test_days_and_months_are_those_of_the_zone() -> None:
    counters = Counters()
    quota = tenant(day=100, month=1000, zone="America/Chicago")
    counters.restore(call(1), ACME, (quota,))
    (crossing,) = counters.spend(call(1), 100, NOON)
    assert (crossing.period, crossing.label, crossing.spent) == (Period.DAY, "2026-09-22", True)
    assert counters.calls_of(crossing.key) == (call(1),)
    late = NOON + 11.9 * 3600  # 23:54 in Chicago, the next day in UTC
    refused = counters.admit(call(2), ACME, (), (quota,), 0.0, late)
    assert refused == Admission(Room.SPENT, "tenant.day", own=True)
    assert counters.admit(call(3), ACME, (), (quota,), 0.0, late + 600).room is Room.OK
    counters.spend(call(1), 1, NOON + DAY)
    assert counters.spent(quota.key, "2026-09-22") == 0, "a day that is over is forgotten"
    assert counters.spent(quota.key, "2026-09") == 101


def test_the_latest_limit_of_a_scope_holds_for_its_running_calls() -> None:
    counters = Counters()
    assert admitted(counters, 1, tenant(month=1000)).room is Room.OK
    assert admitted(counters, 2, tenant(month=10)).room is Room.OK
    (crossing,) = counters.spend(call(1), 10, NOON)
    assert (crossing.limit, crossing.share) == (10, 10_000)
    assert set(counters.calls_of(crossing.key)) == {call(1), call(2)}


def test_held_calls_are_paid_for_as_the_limits_in_force_say() -> None:
    counters = Counters()
    counters.restore(call(1), ACME, (tenant(day=10),))
    counters.restore(call(2), ACME, (pool(3),))
    counters.seed(tenant().key, "2026-09-22", 10)
    assert counters.unpaid(NOON) == (call(1),)
    assert counters.unpaid(NOON + DAY) == ()
    counters.renew([tenant(day=11), Quota(QuotaScope.NUMBER, "+1", day=1)])
    assert counters.unpaid(NOON) == ()


def test_what_a_call_costs_counts_for_all_of_its_scopes() -> None:
    counters = Counters()
    scopes = (Quota(QuotaScope.NUMBER, "+1"), tenant(), pool(3))
    assert admitted(counters, 1, *scopes).room is Room.OK
    counters.spend(call(1), 7, NOON)
    counters.release(call(1))
    counters.spend(call(1), 9, NOON)
    assert [counters.spent(quota.key, "2026-09-22") for quota in scopes] == [7, 7, 7]


PLAN = CallPlan(
    CallId("rtc_1"), AccountName("us-1"), ACME, None, {}, None, "h", refer_to="tel:+17135550100"
)
SENT_ON = Forward(PLAN, DestinationName("desk"))
FORWARDS = Cap("forwards", "forwards:acme", Rate(1, 3600.0))


def decision(*quotas: Quota, **more: object) -> Decision:
    return Decision(Accept(PLAN), (), quotas=quotas, **more)  # type: ignore[arg-type]  # shorthand


def refused(code: int) -> Reject:
    return Reject(code, Reason.QUOTA, ACME)


@pytest.mark.parametrize(
    ("admission", "verdict"),
    [
        (Admission(Room.OK), Accept(PLAN)),
        (Admission(Room.FULL, "tenant.held", own=True), refused(480)),
        (Admission(Room.FULL, "tenant.held", own=True, overflow=True), SENT_ON),
        (Admission(Room.SPENT, "tenant.day", own=True), refused(402)),
        (Admission(Room.FULL, "account.held"), refused(503)),
        (Admission(Room.FULL, "process.rate"), refused(503)),
        (Admission(Room.FULL, "per_caller"), refused(486)),
    ],
)
def test_what_follows_where_there_is_no_room(
    admission: Admission, verdict: Accept | Forward | Reject
) -> None:
    asked = decision(
        tenant(), pool(3), if_full=SENT_ON, if_spent=SENT_ON, full_code=480, spent_code=402
    )
    found = settled(asked, admission)
    assert found.verdict == verdict
    if admission.room is not Room.OK:
        assert (found.trace[-1].source, found.trace[-1].considered) == ("limits", admission.limit)
        scopes = [quota.scope for quota in found.quotas]
        assert scopes == ([QuotaScope.ACCOUNT] if admission.overflow else [])


def test_what_costs_nothing_is_refused_by_no_budget() -> None:
    counters = Counters()
    quotas = (Quota(QuotaScope.ACCOUNT, "us-1", held=1, day=100),)
    assert counters.admit(call(1), ACME, (), quotas, 0.0, NOON).room is Room.OK
    counters.spend(call(1), 100, NOON)
    counters.release(call(1))
    assert counters.admit(call(2), ACME, (), quotas, 0.0, NOON).room is Room.SPENT
    assert counters.admit(call(3), ACME, (), quotas, 0.0, NOON, free=True).room is Room.OK
    assert counters.admit(call(4), ACME, (), quotas, 0.0, NOON, free=True).room is Room.FULL


def test_who_is_sent_on_needs_room_of_the_account_and_of_the_forwards() -> None:
    counters = Counters()
    quotas = (tenant(held=1), pool(2))

    def take(number: int) -> Admission:
        return counters.admit(call(number), ACME, (), quotas, 0.0, NOON, overflow=(FORWARDS,))

    assert [take(n).overflow for n in (1, 2)] == [False, True]
    assert (counters.held("tenant:acme"), counters.held("account:us-1")) == (1, 2)
    assert take(3) == Admission(Room.FULL, "tenant.held", own=True)
    counters.release(call(2))
    assert take(4) == Admission(Room.FULL, "tenant.held", own=True), "the forwards are used up"
    assert counters.held("account:us-1") == 1


def test_transfers_and_calls_that_are_sent_on_share_their_cap() -> None:
    cap = Cap("forwards", "forwards:acme", Rate(3, 3600.0))
    counters = Counters()
    assert counters.admit(call(1), ACME, (cap,), (), 0.0, NOON).room is Room.OK
    assert [counters.take(cap, at) for at in (10.0, 20.0, 30.0)] == [True, True, False]
    assert counters.admit(call(2), ACME, (cap,), (), 40.0, NOON).limit == "forwards"
    # Whoever was refused is not counted: each has room again an hour after the one who took it.
    at = (3599.0, 3600.0, 3601.0, 3610.0, 3611.0)
    assert [counters.take(cap, one) for one in at] == [False, True, False, True, False]


@settings(max_examples=100, deadline=None)
@given(
    pauses=st.lists(st.floats(0.0, 900.0), max_size=80),
    most=st.integers(1, 5),
)
def test_in_no_hour_are_more_transfers_than_the_cap_has(pauses: list[float], most: int) -> None:
    cap = Cap("forwards", "forwards:acme", Rate(most, 3600.0))
    counters, now = Counters(), 0.0
    taken: list[float] = []
    for pause in pauses:
        now += pause
        room = sum(at > now - 3600.0 for at in taken) < most
        assert counters.take(cap, now) is room
        taken += [now] * room
