"""For how long a replica may do a job that is done once: a table."""

from dataclasses import dataclass, field

import pytest

from sipagent.engine.redis.lease import Lease
from sipagent.engine.redis.tenure import Tenure
from sipagent.jobs import JobName

OUTBOX, STATEMENTS = JobName.OUTBOX, JobName.STATEMENTS
LEASE = 10.0


def asked(at: float, *ours: JobName, took: float = 0.0) -> tuple[float, set[JobName], float]:
    """What was asked then, and answered so many seconds later."""
    return at, set(ours), at + took


@dataclass(frozen=True)
class Told:
    """What a replica that began at 0 has heard, and what is true then at `at`."""

    at: float
    heard: tuple[tuple[float, set[JobName], float] | float, ...] = ()
    """Answers, and the times of failures."""
    mine: bool = False
    may_take: bool = False
    unknown: bool = False
    begun: tuple[set[JobName], ...] = field(default=())


TABLE = {
    "nothing is anybody's who has not asked": Told(0.0, may_take=True),
    "what the engine gives is ours": Told(
        1.0, (asked(1.0, OUTBOX),), mine=True, may_take=True, begun=({OUTBOX},)
    ),
    "and another job is not": Told(
        1.0, (asked(1.0, STATEMENTS),), may_take=True, begun=({STATEMENTS},)
    ),
    "up to nine tenths of the lease": Told(
        9.9, (asked(1.0, OUTBOX),), mine=True, may_take=True, begun=({OUTBOX},)
    ),
    "and no longer": Told(10.0, (asked(1.0, OUTBOX),), begun=({OUTBOX},)),
    "which counts from the question": Told(
        10.5, (asked(1.0, OUTBOX, took=2.0),), begun=({OUTBOX},)
    ),
    "an answer that comes too late gives nothing": Told(
        11.0, (asked(1.0, OUTBOX, took=9.5),), begun=(set(),)
    ),
    "each answer prolongs it, and begins nothing": Told(
        13.0,
        (asked(1.0, OUTBOX), asked(5.0, OUTBOX)),
        mine=True,
        may_take=True,
        begun=({OUTBOX}, set()),
    ),
    "what lapsed begins anew": Told(
        21.0,
        (asked(1.0, OUTBOX), asked(20.0, OUTBOX)),
        mine=True,
        may_take=True,
        begun=({OUTBOX}, {OUTBOX}),
    ),
    "what is another's ends at once": Told(
        2.0, (asked(1.0, OUTBOX), asked(2.0)), may_take=True, begun=({OUTBOX}, set())
    ),
    "an older answer that comes last shortens nothing": Told(
        13.9,
        (asked(5.0, OUTBOX), asked(2.0, OUTBOX, took=4.0)),
        mine=True,
        may_take=True,
        begun=({OUTBOX}, set()),
    ),
    "after a failure nothing is taken": Told(
        3.0, (asked(1.0, OUTBOX), 2.0), mine=True, begun=({OUTBOX},)
    ),
    "for the length of a lease": Told(
        12.1, (2.0, asked(11.0, OUTBOX)), mine=True, may_take=True, begun=({OUTBOX},)
    ),
    "nor after a time asleep, until the engine has answered": Told(
        30.0, (asked(1.0, OUTBOX),), unknown=True, begun=({OUTBOX},)
    ),
    "of a silent engine another may hear": Told(20.9, (asked(1.0),), begun=(set(),)),
    "until two leases are over": Told(21.0, (asked(1.0),), unknown=True, begun=(set(),)),
    "also if it has never answered": Told(20.0, (5.0, 10.0, 15.0), unknown=True),
}


@pytest.mark.parametrize("told", TABLE.values(), ids=TABLE.keys())
def test_whose_a_job_is(told: Told) -> None:
    tenure = Tenure(Lease(LEASE, 0.0))
    begun: list[set[JobName]] = []
    for each in told.heard:
        if isinstance(each, tuple):
            begun.append(tenure.answered(*each))
        else:
            tenure.failed(each)
    assert tuple(begun) == told.begun
    assert tenure.mine(OUTBOX, told.at) is told.mine
    assert tenure.may_take(told.at) is told.may_take
    assert tenure.unknown(told.at) is told.unknown
    if told.mine:
        over_at = told.at + tenure.remaining(OUTBOX, told.at)
        assert tenure.mine(OUTBOX, over_at - 0.01)
        assert not tenure.mine(OUTBOX, over_at + 0.01)
    else:
        assert tenure.remaining(OUTBOX, told.at) == 0


def test_who_leaves_has_no_job() -> None:
    tenure = Tenure(Lease(LEASE, 0.0))
    tenure.answered(1.0, set(JobName), 1.0)
    assert all(tenure.mine(job, 2.0) for job in JobName)
    tenure.leave()
    assert not any(tenure.mine(job, 2.0) for job in JobName)
