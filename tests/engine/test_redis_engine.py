"""The engine that replicas share, against real servers: the oldest that is supported, and the
newest."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from sipagent.engine.purse import Crossing
from sipagent.engine.redis.leases import REFUSED_AT_MOST
from sipagent.engine.redis.link import Value
from sipagent.engine.redis.outgoing import Step
from sipagent.errors import EngineError
from sipagent.model import (
    DEFAULT_TENANT,
    CallId,
    Cap,
    Quota,
    QuotaScope,
    Rate,
    Reason,
    Reject,
    TenantName,
)
from sipagent.sessions.ports import Claim, Marked
from tests.engine.replicas import Replica, replica
from tests.engine.support import a_claim, an_outcome
from tests.servers import FLAVOURS, RedisServer

LIMIT = Quota(QuotaScope.TENANT, str(DEFAULT_TENANT), held=20)


@pytest.fixture(scope="module", params=FLAVOURS)
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    with RedisServer(request.param) as running:
        yield running


@pytest.fixture
def url(server: RedisServer) -> str:
    server.empty()
    return server.url


@pytest.fixture
async def redis(url: str) -> AsyncIterator[Redis]:
    client = Redis.from_url(url, decode_responses=True)
    yield client
    await client.aclose()


@pytest.fixture
async def one(url: str) -> AsyncIterator[Replica]:
    async with replica(url, "one") as made:
        yield made


@pytest.fixture
async def two(url: str) -> AsyncIterator[Replica]:
    async with replica(url, "two") as made:
        yield made


async def test_a_call_is_claimed_once_by_either_id_whoever_gets_it(
    one: Replica, two: Replica
) -> None:
    assert (await one.engine.offer(*a_claim("rtc_1", "wh_1"))).claim is Claim.OK
    for other in (("rtc_1", "wh_1"), ("rtc_1", "wh_2"), ("rtc_2", "wh_1")):
        for claims in (one, two):
            assert (await claims.engine.offer(*a_claim(*other))).claim is Claim.DUPLICATE
    # A text that was one id is not taken for the other.
    assert (await two.engine.offer(*a_claim("wh_1", "rtc_1"))).claim is Claim.OK


async def test_of_many_deliveries_to_three_replicas_each_call_is_taken_once(url: str) -> None:
    async with replica(url, "a") as a, replica(url, "b") as b, replica(url, "c") as c:
        offers = []
        for first in range(0, 3000, 100):
            offers += await asyncio.gather(
                *(
                    (a, b, c)[number % 3].engine.offer(*a_claim(f"rtc_{number % 200}"))
                    for number in range(first, first + 100)
                )
            )
        assert sum(offer.claim is Claim.OK for offer in offers) == 200
        held = [set(each.engine.held) for each in (a, b, c)]
        assert len(set.union(*held)) == sum(map(len, held)) == 200


async def test_of_300_offers_to_three_replicas_20_take_the_20_places(url: str) -> None:
    async with replica(url, "a") as a, replica(url, "b") as b, replica(url, "c") as c:
        each = (a, b, c)
        offers = []
        for first in range(0, 300, 60):
            offers += await asyncio.gather(
                *(
                    each[number % 3].engine.offer(*a_claim(f"rtc_{number}", quotas=[LIMIT]))
                    for number in range(first, first + 60)
                )
            )
        assert sum(offer.claim is Claim.OK for offer in offers) == 20
        refused = [offer.decision for offer in offers if offer.claim is Claim.FULL]
        assert len(refused) == 280
        assert all(isinstance(decision.verdict, Reject) for decision in refused)
        # Ten hang up, on whatever replica they are: exactly ten come in their place.
        held = [
            (where, call_id)
            for where in each
            for call_id, call in where.engine.held.items()
            if not isinstance(call.decision.verdict, Reject)
        ]
        for where, call_id in held[:10]:
            where.engine.finish(an_outcome(a_claim(call_id)[0]), 1)
        for where in each:
            await where.written()
        offers = await asyncio.gather(
            *(
                each[number % 3].engine.offer(*a_claim(f"rtc_{number}", quotas=[LIMIT]))
                for number in range(300, 400)
            )
        )
        assert sum(offer.claim is Claim.OK for offer in offers) == 10


async def test_nothing_is_left_of_calls_that_are_settled(one: Replica, redis: Redis) -> None:
    cap = Cap("per_caller", "t:+14065550100", Rate(9999, 0.05))
    for number in range(200):
        call, decision = a_claim(f"rtc_{number}", caps=[cap], quotas=[LIMIT])
        assert (await one.engine.offer(call, decision)).claim is Claim.OK
        await one.engine.mark(call.call_id, 1, "greeting")
        one.engine.finish(an_outcome(call), 1)
        one.engine.settled(call.call_id)
    await one.written()
    assert one.engine.held == {}
    assert await redis.xlen("{sip}:calls") == 0
    assert (await redis.xpending("{sip}:calls", "replicas"))["pending"] == 0
    async with asyncio.timeout(10):
        while left := [key async for key in redis.scan_iter() if not key.startswith("{sip}:seen:")]:
            if left == ["{sip}:calls"]:
                break
            await asyncio.sleep(0.01)


async def test_a_mark_is_given_once_and_to_the_owner_only(one: Replica, two: Replica) -> None:
    call, decision = a_claim()
    await one.engine.offer(call, decision)
    assert await one.engine.mark(call.call_id, 1, "greeting") is Marked.DONE_NOW
    assert await one.engine.mark(call.call_id, 1, "greeting") is Marked.ALREADY
    assert await one.engine.mark(call.call_id, 2, "refer") is Marked.NOT_OWNER
    assert await two.engine.mark(call.call_id, 1, "refer") is Marked.NOT_OWNER


async def test_a_call_is_taken_over_with_all_that_was_decided_and_done(
    one: Replica, two: Replica
) -> None:
    call, decision = a_claim(quotas=[LIMIT])
    await one.engine.offer(call, decision)
    await one.engine.mark(call.call_id, 1, "greeting")
    one.engine.note(call.call_id, 1, "heard")
    await one.written()
    assert await two.leases.adopt() == 0  # its lease is not over
    await one.abandon()
    assert await two.leases.adopt() == 1
    (held,) = two.heirs.adopted
    assert (held.call, held.decision, held.epoch) == (call, decision, 2)
    assert set(held.marks) == {"greeting", "heard"}
    assert await two.engine.mark(call.call_id, 2, "greeting") is Marked.ALREADY
    # Who was asleep meanwhile learns it from whatever it asks, and takes nothing back.
    assert await one.engine.mark(call.call_id, 1, "refer") is Marked.NOT_OWNER
    assert one.heirs.lost == [call.call_id]
    assert await one.leases.renew()
    assert await two.leases.renew()
    assert list(two.engine.held) == [call.call_id]
    assert two.heirs.lost == []


async def test_a_renewal_lets_go_what_another_has_taken_over(one: Replica, two: Replica) -> None:
    for number in range(3):
        await one.engine.offer(*a_claim(f"rtc_{number}"))
    await one.abandon(CallId("rtc_1"))
    assert await two.leases.adopt() == 1
    assert await one.leases.renew()
    assert one.heirs.lost == ["rtc_1"]
    assert sorted(one.engine.held) == ["rtc_0", "rtc_2"]


@pytest.mark.parametrize("calls", [60, 620])
async def test_all_calls_are_taken_over_however_many_there_are(
    one: Replica, two: Replica, url: str, calls: int
) -> None:
    """XAUTOCLAIM looks at ten times COUNT entries at a time: those behind them are found by the
    cursor alone."""
    for number in range(calls):
        await one.engine.offer(*a_claim(f"rtc_{number}"))
    await one.abandon(*list(one.engine.held)[-60:])
    assert await two.leases.adopt() == 60
    assert await one.leases.renew()
    assert len(one.engine.held) == calls - 60
    await one.abandon()
    async with replica(url, "three") as three:
        taken = await asyncio.gather(two.leases.adopt(), three.leases.adopt())
        assert sum(taken) == calls - 60


async def test_a_call_that_had_ended_is_left_to_be_recorded_once(
    one: Replica, two: Replica
) -> None:
    call, decision = a_claim(quotas=[LIMIT])
    outcome = an_outcome(call, Reason.PROVIDER_ERROR)
    await one.engine.offer(call, decision)
    one.engine.finish(outcome, 1)
    await one.written()
    await one.abandon()
    await two.leases.adopt()
    assert [held.outcome for held in two.heirs.adopted] == [outcome]
    two.engine.finish(outcome, 2)
    two.engine.settled(call.call_id)
    one.engine.settled(call.call_id)  # its records were later
    await asyncio.gather(one.written(), two.written())
    assert (await two.engine.offer(call, decision)).claim is Claim.DUPLICATE


async def test_a_call_that_was_refused_for_room_is_refused_by_its_heir_too(
    one: Replica, two: Replica, redis: Redis
) -> None:
    await one.engine.offer(*a_claim("rtc_1", quotas=[replace(LIMIT, held=1)]))
    # The claim's owner dies before it could say what follows from there being no room.
    one.engine.outgoing.put = lambda _: None  # type: ignore[method-assign]
    offer = await one.engine.offer(*a_claim("rtc_2", quotas=[replace(LIMIT, held=1)]))
    assert offer.claim is Claim.FULL
    await one.abandon(CallId("rtc_2"))
    await two.leases.adopt()
    assert isinstance(two.heirs.adopted[0].decision.verdict, Reject)


async def test_an_emptied_server_is_told_of_all_calls_again(
    one: Replica, two: Replica, server: RedisServer
) -> None:
    call, decision = a_claim(quotas=[LIMIT])
    await one.engine.offer(call, decision)
    await one.engine.mark(call.call_id, 1, "greeting")
    server.empty()
    assert one.engine.active(call.call_id, 1)
    assert await one.leases.renew()
    assert one.heirs.lost == []
    await one.written()
    assert (await two.engine.offer(call, decision)).claim is Claim.DUPLICATE
    await one.abandon()
    await two.leases.adopt()
    assert set(two.heirs.adopted[0].marks) == {"greeting"}
    # It still counts.
    full = await two.engine.offer(*a_claim("rtc_2", quotas=[replace(LIMIT, held=1)]))
    assert full.claim is Claim.FULL


async def test_a_call_that_another_brought_to_its_end_is_not_registered_again(
    one: Replica, two: Replica
) -> None:
    call, decision = a_claim()
    await one.engine.offer(call, decision)
    await one.abandon()
    await two.leases.adopt()
    two.engine.finish(an_outcome(call), 2)
    two.engine.settled(call.call_id)
    await two.written()
    assert await one.leases.renew()
    assert one.heirs.lost == [call.call_id]
    assert await one.leases.renew()


async def test_calls_are_handed_over_at_once(one: Replica, two: Replica) -> None:
    for number in range(5):
        await one.engine.offer(*a_claim(f"rtc_{number}"))
        one.engine.note(CallId(f"rtc_{number}"), 1, "heard")
    assert await one.leases.hand_over() == 5
    assert sorted(one.heirs.lost) == [f"rtc_{number}" for number in range(5)]
    assert await two.leases.adopt() == 5
    assert all(set(held.marks) == {"heard"} for held in two.heirs.adopted)
    assert await one.leases.adopt() == 0  # it leaves, and takes nobody over


async def test_a_replica_without_room_takes_nobody_over(one: Replica, two: Replica) -> None:
    await one.engine.offer(*a_claim())
    await one.abandon()
    two.heirs.room = False
    assert await two.leases.adopt() == 0


async def test_nobody_is_taken_over_for_a_lease_after_the_engine_was_away(
    one: Replica, two: Replica
) -> None:
    await one.engine.offer(*a_claim())
    await one.abandon()
    two.engine.failed()
    assert await two.leases.adopt() == 0
    assert await one.leases.renew()
    assert one.heirs.lost == []


async def test_what_cannot_be_read_holds_up_nobody_and_is_left_to_others(
    one: Replica, two: Replica, redis: Redis
) -> None:
    for number in range(2):
        await one.engine.offer(*a_claim(f"rtc_{number}"))
    whole = await cast("Any", redis.hget("{sip}:call:rtc_0", "decision"))
    await cast("Any", redis.hset("{sip}:call:rtc_0", "decision", "{"))
    await one.abandon()
    assert await two.leases.adopt() == 1
    await two.written()
    await cast("Any", redis.hset("{sip}:call:rtc_0", "decision", whole))
    await one.link.age(CallId("rtc_0"))
    assert await one.leases.adopt() == 1


async def test_what_nobody_can_read_is_given_up_in_the_end(
    one: Replica, two: Replica, redis: Redis
) -> None:
    await one.engine.offer(*a_claim("rtc_0", quotas=[LIMIT]))
    await cast("Any", redis.hset("{sip}:call:rtc_0", "decision", "{"))
    for _ in range(REFUSED_AT_MOST):
        assert await redis.exists("{sip}:call:rtc_0")
        await one.abandon()
        assert await two.leases.adopt() == 0
        await two.written()
    assert not await redis.exists("{sip}:call:rtc_0", f"{{sip}}:pool:{LIMIT.key}")
    assert await redis.xlen("{sip}:calls") == 0


async def test_a_bill_that_comes_twice_counts_once(one: Replica, redis: Redis) -> None:
    await one.engine.offer(*a_claim("rtc_0", quotas=[replace(LIMIT, month=1000)]))
    one.engine.spent(CallId("rtc_0"), 5)
    step = one.engine.outgoing._steps[-1]
    one.engine.outgoing.put(step)
    one.engine.spent(CallId("rtc_0"), 5)
    await one.written()
    purse = await cast("Any", redis.hgetall(f"{{sip}}:purse:{LIMIT.key}"))
    assert set(purse.values()) == {"10"}


async def test_transfers_of_all_replicas_are_held_to_one_cap_exactly(
    one: Replica, two: Replica
) -> None:
    cap = Cap("forwards", "forwards:acme", Rate(40, 3600.0))
    taken = await asyncio.gather(
        *((one, two)[number % 2].engine.admit(CallId(f"c{number}"), cap) for number in range(300))
    )
    assert sum(taken) == 40


async def test_money_is_counted_for_all_replicas_and_each_share_is_told_once(
    url: str, redis: Redis
) -> None:
    told: list[tuple[str, int]] = []
    quota = Quota(QuotaScope.TENANT, "t", month=100, warn_at=(5000,))

    def crossed(crossing: Crossing) -> None:
        told.append((crossing.period, crossing.share))

    async with replica(url, "a", crossed=crossed) as a, replica(url, "b", crossed=crossed) as b:
        for at, each in enumerate((a, b)):
            await each.engine.offer(*a_claim(f"rtc_{at}", quotas=[quota]))
        for _ in range(10):
            for at, each in enumerate((a, b)):
                each.engine.spent(CallId(f"rtc_{at}"), 5)
        await asyncio.gather(a.written(), b.written())
        assert sorted(told) == [("month", 5000), ("month", 10_000)]
        assert (await a.engine.offer(*a_claim("rtc_9", quotas=[quota]))).claim is Claim.SPENT
        assert a.heirs.over + b.heirs.over != []


async def test_what_records_know_is_counted_once_by_however_many_replicas(
    one: Replica, two: Replica, redis: Redis
) -> None:
    for each in (one, two):
        each.engine.seed("tenant:t", "2026-11", 70)
    await asyncio.gather(one.written(), two.written())
    assert await cast("Any", redis.hget("{sip}:purse:tenant:t", "2026-11")) == "70"
    assert two.engine.counters.spent("tenant:t", "2026-11") == 70


async def test_an_emptied_server_is_told_what_was_spent_by_whoever_knows_most(
    one: Replica, two: Replica, server: RedisServer, redis: Redis
) -> None:
    quota = Quota(QuotaScope.TENANT, "t", month=1000)
    for at, each in enumerate((one, two)):
        await each.engine.offer(*a_claim(f"rtc_{at}", quotas=[quota]))
        each.engine.spent(CallId(f"rtc_{at}"), 400 + at)
        await each.written()
    server.empty()
    for each in (one, two, one):
        assert await each.leases.renew()
        await each.written()
    purse = await cast("Any", redis.hgetall(f"{{sip}}:purse:{quota.key}"))
    assert set(purse.values()) == {"801"}  # of the day and of the month
    one.engine.spent(CallId("rtc_0"), 199)
    await one.written()
    assert (await two.engine.offer(*a_claim("rtc_9", quotas=[quota]))).claim is Claim.SPENT


async def test_another_decision_takes_its_own_room_and_a_refusal_gives_all_back(
    one: Replica, two: Replica
) -> None:
    once = Cap("per_caller", "t:+1", Rate(1, 3600.0))
    call, before = a_claim("rtc_1", quotas=[replace(LIMIT, held=1)])
    await one.engine.offer(call, before)
    assert await two.engine.admit(CallId("x"), once)
    after = replace(before, caps=(once,))
    revised = await one.engine.revise(call, before, after)
    assert revised.claim is Claim.FULL
    assert isinstance(revised.decision.verdict, Reject)
    await one.written()
    offer = await two.engine.offer(*a_claim("rtc_2", quotas=[replace(LIMIT, held=1)]))
    assert offer.claim is Claim.OK


async def test_reserves_of_tenants_hold_over_all_replicas(one: Replica, two: Replica) -> None:
    acme, other = TenantName("acme"), DEFAULT_TENANT
    shared = Quota(QuotaScope.PROCESS, held=3, reserves={acme: 2})
    assert (await one.engine.offer(*a_claim("rtc_1", quotas=[shared]))).claim is Claim.OK
    full = await two.engine.offer(*a_claim("rtc_2", quotas=[shared]))
    assert full.claim is Claim.FULL
    assert json.dumps(sorted({acme, other}))


async def test_the_engine_away_takes_calls_by_itself_and_registers_them_later(
    server: RedisServer, url: str
) -> None:
    async with replica(url, "one") as one, replica(url, "two") as two:
        held, decision = a_claim("rtc_0")
        await one.engine.offer(held, decision)
        server.kill()
        new, decided = a_claim("rtc_1", quotas=[replace(LIMIT, held=1)])
        assert (await one.engine.offer(new, decided)).claim is Claim.OK
        assert (await one.engine.offer(new, decided)).claim is Claim.DUPLICATE
        more = await one.engine.offer(*a_claim("rtc_2", quotas=[replace(LIMIT, held=1)]))
        assert more.claim is Claim.FULL
        assert await one.engine.mark(new.call_id, 1, "greeting") is Marked.DONE_NOW
        assert not await one.leases.renew()
        assert one.leases.trouble is not None
        server.start()
        async with asyncio.timeout(10):
            while not await one.leases.renew():  # connections of before are found to be broken
                await asyncio.sleep(0.01)
        assert one.leases.trouble is None
        await one.written()
        assert one.heirs.lost == []
        assert (await two.engine.offer(new, decided)).claim is Claim.DUPLICATE
        await one.abandon()
        two.engine.lease.calm_from = 0.0
        await two.leases.adopt()
        marks = {each.call.call_id: set(each.marks) for each in two.heirs.adopted}
        assert marks["rtc_1"] == {"greeting"}
        assert marks["rtc_0"] in ({"greeting"}, set())  # appended to the file every second


async def test_a_step_that_is_refused_for_ever_holds_up_no_other(
    one: Replica, redis: Redis
) -> None:
    call, decision = a_claim()
    await one.engine.offer(call, decision)
    one.engine.outgoing.put(Step("finish", ("rtc_1",)))  # too few values: the script breaks
    one.engine.note(call.call_id, 1, "heard")
    await one.written()
    assert await cast("Any", redis.hexists("{sip}:call:rtc_1", "m:heard"))


async def test_a_server_that_is_full_takes_no_step_and_all_of_them_later(
    one: Replica, redis: Redis
) -> None:
    call, decision = a_claim()
    await one.engine.offer(call, decision)
    await redis.config_set("maxmemory", "1")
    one.engine.note(call.call_id, 1, "heard")
    assert not await one.engine.outgoing.flush(0.1)
    assert (await one.engine.offer(*a_claim("rtc_2"))).claim is Claim.OK
    await redis.config_set("maxmemory", "0")
    await one.written()
    assert await cast("Any", redis.hexists("{sip}:call:rtc_1", "m:heard"))
    assert await one.leases.renew()
    assert await redis.exists("{sip}:call:rtc_2")


async def test_a_call_that_somebody_else_has_answered_is_theirs_only_if_it_was_claimed_alone(
    server: RedisServer, url: str
) -> None:
    async with replica(url, "one", lease=0.1) as one:
        await one.engine.offer(*a_claim("rtc_0"))
        assert not await one.engine.yielded(CallId("rtc_0"))
        server.kill()
        await one.engine.offer(*a_claim("rtc_1"))
        assert await one.engine.yielded(CallId("rtc_1"))
        assert one.heirs.lost == ["rtc_1"]
        assert (await one.engine.offer(*a_claim("rtc_1"))).claim is Claim.DUPLICATE
        server.start()


async def test_what_has_waited_goes_on_also_if_the_lease_ran_out_during_a_renewal(
    one: Replica,
) -> None:
    call, decision = a_claim()
    await one.engine.offer(call, decision)
    lease, run = one.engine.lease, one.link.run

    async def slowly(script: str, *values: Value, within: float = 1.0) -> Any:
        lease.confirmed_at -= lease.seconds  # as if it had taken so long
        return await run(script, *values, within=within)

    one.link.run = slowly  # type: ignore[method-assign]
    assert one.engine.active(call.call_id, 1)
    assert await one.leases.renew()
    assert one.heirs.resumed == 1


async def test_what_has_waited_goes_on_also_if_a_registration_failed_in_between(
    one: Replica, server: RedisServer
) -> None:
    await one.engine.offer(*a_claim())
    server.empty()
    one.engine.lease.confirmed_at -= one.engine.lease.seconds
    run_all = one.link.run_all

    async def fails(steps: Sequence[Any]) -> list[Any]:
        one.link.run_all = run_all  # type: ignore[method-assign]
        raise EngineError("cut")

    one.link.run_all = fails  # type: ignore[method-assign]
    assert not await one.leases.renew()
    assert one.heirs.resumed == 0
    assert await one.leases.renew()
    assert one.heirs.resumed == 1


async def test_a_replica_that_takes_over_its_own_call_begins_it_anew(one: Replica) -> None:
    call, decision = a_claim()
    await one.engine.offer(call, decision)
    await one.abandon()
    assert await one.leases.adopt() == 1
    assert one.heirs.lost == [call.call_id]
    assert one.engine.held[call.call_id].epoch == 2
    assert one.engine.counters.held("tenant:default") == 0
    assert await one.leases.renew()
    assert one.heirs.lost == [call.call_id]


async def test_a_hand_over_whose_answer_is_lost_leaves_one_owner(
    one: Replica, two: Replica
) -> None:
    call, decision = a_claim()
    await one.engine.offer(call, decision)
    one.link.losing.add("hand_over")
    assert await one.leases.hand_over() == 0
    assert not one.engine.active(call.call_id, 1)  # whoever ends it now would end another's call
    assert await two.leases.adopt() == 1
    assert await one.leases.renew()
    assert one.heirs.lost == [call.call_id]
    assert two.engine.active(call.call_id, 2)


@pytest.mark.parametrize("how", ["unsure", "unflushed"])
async def test_a_call_that_was_not_handed_over_after_all_is_gone_on_with(
    one: Replica, how: str
) -> None:
    call, decision = a_claim()
    await one.engine.offer(call, decision)
    if how == "unsure":
        one.link.cutting.add("hand_over")
    else:
        one.engine.outgoing.flush = lambda within: asyncio.sleep(0, result=False)  # type: ignore[method-assign]
    assert await one.leases.hand_over() == 0
    if how == "unsure":
        assert not one.engine.active(call.call_id, 1)
        assert await one.leases.renew()
    assert one.engine.active(call.call_id, 1)
    assert one.heirs.resumed == 1


async def test_a_claim_whose_answer_is_lost_is_nobodys_to_act_for_once_it_may_be_anothers(
    one: Replica, two: Replica
) -> None:
    call, decision = a_claim()
    one.link.losing.add("offer")
    assert (await one.engine.offer(call, decision)).claim is Claim.OK
    assert one.engine.active(call.call_id, 1)
    lease, held = one.engine.lease, one.engine.held[call.call_id]
    assert held.unsure_from is not None
    held.unsure_from -= lease.seconds
    lease.confirmed_at -= lease.seconds
    assert not one.engine.active(call.call_id, 1)
    assert await one.leases.renew()
    assert one.engine.active(call.call_id, 1)


async def test_what_was_done_with_a_call_whose_claim_was_not_answered_is_what_its_heir_reads(
    one: Replica, two: Replica
) -> None:
    assert (await two.engine.offer(*a_claim("rtc_0", quotas=[replace(LIMIT, held=1)]))).claim
    call, decision = a_claim("rtc_1", quotas=[replace(LIMIT, held=1)])
    one.link.losing.add("offer")  # it says that there is no room
    assert (await one.engine.offer(call, decision)).claim is Claim.OK
    one.engine.note(call.call_id, 1, "accepted")
    assert await one.leases.renew()
    await one.written()
    await one.abandon()
    await two.leases.adopt()
    (held,) = two.heirs.adopted
    assert held.decision == decision
    assert await cast("Any", two.link._redis.hget(f"{{sip}}:pool:{LIMIT.key}", "all")) == b"2"


async def test_a_decision_on_a_call_that_is_another_replicas_by_now_is_not_ours(
    one: Replica, two: Replica
) -> None:
    call, before = a_claim()
    await one.engine.offer(call, before)
    await one.abandon()
    await two.leases.adopt()
    for _ in range(2):
        assert (await one.engine.revise(call, before, before)).claim is Claim.LOST
    assert one.heirs.lost == [call.call_id]


async def test_one_replica_looks_for_calls_that_are_left_and_calls_the_others(
    one: Replica, two: Replica, url: str
) -> None:
    await one.engine.offer(*a_claim())
    await one.abandon()
    async with replica(url, "three") as three:
        assert await two.leases.adopt(nudged=False) == 1
        await two.engine.offer(*a_claim("rtc_2"))
        await two.abandon(CallId("rtc_2"))
        assert await three.leases.adopt(nudged=False) == 0  # somebody has just looked
        assert await three.leases.adopt() == 1
