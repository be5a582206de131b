"""For how long a replica may act, and when it may take over: the arithmetic alone."""

import pytest

from sipagent.engine.redis.lease import Lease


@pytest.mark.parametrize(
    ("now", "active"), [(100.0, True), (102.69, True), (102.7, False), (110.0, False)]
)
def test_an_owner_is_passive_before_anybody_else_may_act(now: float, *, active: bool) -> None:
    lease = Lease(3.0, 100.0)
    assert lease.active(now) is active
    # Whoever takes over waits for the whole of a lease that began later, when it was written.
    assert lease.passive_at < 100.0 + lease.seconds


def test_a_renewal_counts_from_when_it_was_sent() -> None:
    lease = Lease(3.0, 100.0)
    lease.confirmed(102.0)
    assert lease.passive_at == pytest.approx(104.7)
    lease.confirmed(101.0)  # its answer was late
    assert lease.passive_at == pytest.approx(104.7)


@pytest.mark.parametrize(
    ("failed", "now", "may"),
    [
        (None, 100.0, True),
        (None, 103.0, False),  # passive itself
        (99.0, 101.9, False),
        (99.0, 102.0, True),
    ],
)
def test_nobody_is_taken_over_for_a_lease_after_a_failure(
    failed: float | None, now: float, *, may: bool
) -> None:
    lease = Lease(3.0, 100.0)
    if failed is not None:
        lease.failed(failed)
    assert lease.may_adopt(now) is may


def test_each_failure_begins_the_time_of_calm_anew() -> None:
    lease = Lease(3.0, 100.0)
    lease.failed(100.0)
    lease.confirmed(102.0)
    lease.failed(102.0)
    assert not lease.may_adopt(104.0)
    lease.confirmed(104.9)
    assert lease.may_adopt(105.0)
