"""What is done once for an installation is done by one replica at a time, whatever fails."""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic

import pytest
import redis

from sipagent.engine.redis.jobs import RedisJobs
from sipagent.jobs import JobName
from tests.engine import working
from tests.engine.holders import HEARTBEAT, JOB, LEASE, Diary, asking, holding
from tests.faults import Proxy
from tests.servers import FLAVOURS, RedisServer
from tests.toxics import BlackHole
from tests.waiting import eventually

BUSY = 1.0
"""Seconds by which a busy machine may be late."""


@pytest.fixture(scope="module", params=FLAVOURS)
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    with RedisServer(request.param, own=True) as running:
        yield running


@pytest.fixture
def url(server: RedisServer) -> str:
    """A server that has been there for as long as any lease."""
    server.empty()
    settle(server)
    return server.url


def settle(server: RedisServer) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.set("{sip}:jobs:since", "0")


def owner(server: RedisServer) -> str | None:
    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        found: str | None = client.get(f"{{sip}}:job:{JOB}")
    return found


async def test_all_jobs_are_of_the_first_who_asks(url: str) -> None:
    async with asking(url, "one") as one, asking(url, "two") as two:
        for each in (one, two, one, two):
            assert await each.ask()
        assert all(one.mine(job) for job in JobName)
        assert not any(two.mine(job) for job in JobName)
        assert not two.unknown()


async def test_who_leaves_gives_its_jobs_away_and_nobody_elses(
    url: str, server: RedisServer
) -> None:
    async with asking(url, "one") as one, asking(url, "two") as two:
        async with one:
            await eventually(lambda: one.mine(JOB))
            await two.ask()
            assert not two.mine(JOB)
        assert not one.mine(JOB)
        assert owner(server) is None
        await two.ask()
        assert two.mine(JOB)
        async with one:  # it had none, and leaves none
            pass
        assert owner(server) == "two"


async def test_what_was_emptied_gives_jobs_to_those_who_do_them(
    url: str, server: RedisServer
) -> None:
    """Whoever asks first: for one lease nobody else gets them."""
    async with asking(url, "one") as one, asking(url, "two") as two:
        await one.ask()
        server.empty()
        await two.ask()
        assert not two.mine(JOB)
        await one.ask()
        await two.ask()
        assert one.mine(JOB)
        assert not two.mine(JOB)
        server.empty()
        await two.ask()
        settle(server)  # a lease later, and the one who did them has not come back
        await two.ask()
        assert two.mine(JOB)
        await one.ask()
        assert not one.mine(JOB)


async def test_after_a_failure_who_has_the_job_comes_first(server: RedisServer, url: str) -> None:
    """Also where the server has lost the last second, and with it whose the job is."""
    async with asking(url, "one") as one, asking(url, "two") as two:
        await one.ask()
        server.kill()
        assert not await one.ask()
        assert not await two.ask()
        assert one.mine(JOB)
        server.start()
        with redis.Redis.from_url(server.url) as client:
            assert client.delete(f"{{sip}}:job:{JOB}") == 1
        assert await two.ask()
        assert not two.mine(JOB)
        assert await one.ask()
        assert await two.ask()
        assert one.mine(JOB)
        assert not two.mine(JOB)


async def test_a_turn_lasts_as_long_as_its_lease_is_renewed(url: str) -> None:
    diary = Diary()
    async with holding(url, "one", diary, lease=1.0):
        span = await diary.until("one")
        await eventually(lambda: monotonic() - span.began > 1.2)
        assert diary.spans == [span]


async def test_who_has_the_job_hears_of_what_others_have_found(url: str) -> None:
    async with asking(url, "one") as one, asking(url, "two") as two:
        await one.ask()
        await one.rest(JOB, 60)  # that it is ours
        await two.ask()
        two.stir(JOB)
        await two.ask()
        assert not await rung(one)
        await one.ask()
        assert await rung(one)
        await two.ask()
        await one.ask()
        assert not await rung(one), "once is enough"
        one.stir(JOB)
        assert await rung(one), "of what it has found itself at once"


async def test_what_was_found_while_nobody_had_the_job_is_not_forgotten(url: str) -> None:
    async with asking(url, "one") as one, asking(url, "two") as two:
        one.stir(JobName.OUTBOX)
        await one.ask()
        await one.rest(JobName.OUTBOX, 60)
        two.stir(JobName.OUTBOX)
        async with one:
            pass
        await two.ask()
        assert two.mine(JobName.OUTBOX)
        assert await rung(two, JobName.OUTBOX)


async def rung(jobs: RedisJobs, job: JobName = JOB) -> bool:
    """Whether a rest ends before its time."""
    began = monotonic()
    await jobs.rest(job, 0.2)
    return monotonic() - began < 0.2


async def test_an_error_within_a_turn_is_its_own(url: str) -> None:
    async with asking(url, "one") as one:
        await one.ask()
        with pytest.raises(TimeoutError, match="of the block"):
            async with one.turn(JOB):
                raise TimeoutError("of the block")
        with pytest.raises(ValueError, match="of the block"):
            async with one.turn(JOB):
                raise ValueError("of the block")


async def test_of_three_replicas_the_next_goes_on_when_one_stops(url: str) -> None:
    diary = Diary()
    async with AsyncExitStack() as others:
        async with holding(url, "one", diary):
            await diary.until("one")
            for name in ("two", "three"):
                await others.enter_async_context(holding(url, name, diary))
        first = diary.spans[0]
        second = await diary.until_another_than("one")
        assert 0 < second.began - first.ended < HEARTBEAT + BUSY
    assert min(diary.gaps()) > 0


async def test_who_is_cut_off_has_stopped_before_another_begins(
    server: RedisServer, url: str
) -> None:
    diary, address = Diary(), server.address
    assert isinstance(address, tuple)
    async with Proxy(address) as proxy, holding(proxy.through(url), "one", diary) as one:
        await diary.until("one")
        async with holding(url, "two", diary), holding(url, "three", diary):
            await proxy.inflict(BlackHole())
            cut = monotonic()
            second = await diary.until_another_than("one")
            await eventually(one.jobs.unknown)
            await proxy.heal()
            await eventually(lambda: not one.jobs.unknown())
            assert diary.doing == [second.who], "it is not given back"
    first = diary.spans[0]
    assert first.ended - cut <= 0.9 * LEASE + BUSY / 2
    assert second.began - first.ended > 0
    assert second.began - cut < LEASE + HEARTBEAT + BUSY
    assert min(diary.gaps()) > 0


async def test_a_server_that_is_killed_costs_no_more_than_its_absence_and_a_lease(
    server: RedisServer, url: str
) -> None:
    diary = Diary()
    async with holding(url, "one", diary) as one, holding(url, "two", diary) as two:
        await eventually(lambda: diary.doing)
        server.kill()
        await eventually(lambda: not diary.doing)
        await eventually(lambda: one.jobs.unknown() and two.jobs.unknown())
        server.start()
        back = monotonic()
        await eventually(lambda: diary.doing)
        assert diary.spans[-1].began - back < 2 * LEASE + BUSY
        server.restart()  # is away for less than a lease
        await eventually(lambda: diary.doing)
    assert min(diary.gaps()) > 0


async def test_while_a_server_answers_nobody_no_job_is_done(server: RedisServer, url: str) -> None:
    diary = Diary()
    async with holding(url, "one", diary), holding(url, "two", diary):
        await eventually(lambda: diary.doing)
        server.pause()
        try:
            await eventually(lambda: not diary.doing)
        finally:
            server.resume()
        await eventually(lambda: diary.doing)
    assert min(diary.gaps()) > 0


async def test_emptied_under_way_the_job_stays_where_it_is(server: RedisServer, url: str) -> None:
    diary = Diary()
    async with (
        holding(url, "one", diary, lease=5.0) as one,
        holding(url, "two", diary, lease=5.0) as two,
    ):
        await eventually(lambda: diary.doing)
        (who,) = diary.doing
        for _ in range(5):
            server.empty()
            await eventually(lambda: owner(server) == who)
        assert one.jobs.mine(JOB) is not two.jobs.mine(JOB)
    assert diary.spans[0].who == who
    assert len(diary.spans) <= 2, "who went on had its turn when the other had left"
    assert min(diary.gaps(), default=1.0) > 0


@dataclass
class Working:
    """A process that works, and when it did."""

    process: Process
    name: str
    did: list[float] = field(default_factory=list)
    there: bool = False

    async def listen(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            who, _, told = line.decode().strip().partition(" ")
            if told == "is there":
                self.there = True
            elif who == self.name:  # not what it logs
                self.did.append(float(told))


@asynccontextmanager
async def process(url: str, name: str) -> AsyncIterator[Working]:
    assert working.__file__
    given = (url, name, str(LEASE), str(HEARTBEAT))
    process = await asyncio.create_subprocess_exec(
        sys.executable, working.__file__, *given, stdout=PIPE
    )
    try:
        async with asyncio.TaskGroup() as group:
            made = Working(process, name)
            group.create_task(made.listen())
            await eventually(lambda: made.there)
            yield made
            if process.returncode is None:
                process.kill()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "held still"])
async def test_a_process_that_is_gone_or_asleep_is_followed_by_another(
    number: signal.Signals, url: str
) -> None:
    async with process(url, "one") as one, process(url, "two") as two:
        await eventually(lambda: one.did or two.did)
        first, second = (one, two) if one.did else (two, one)
        first.process.send_signal(number)
        sent = monotonic()
        await eventually(lambda: second.did)
        if number is signal.SIGSTOP:
            first.process.send_signal(signal.SIGCONT)
        went_on = second.did[-1]
        await eventually(lambda: second.did[-1] > went_on + LEASE)
        assert first.did[-1] < second.did[0], "nothing is done by who was asleep"
        assert second.did[0] - sent < LEASE + HEARTBEAT + BUSY
