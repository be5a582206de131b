"""Of several replicas one tells tenants, prunes and closes; two at once would do no harm."""

import asyncio
from collections import Counter
from pathlib import Path

import structlog
import time_machine
from sqlalchemy.ext.asyncio import AsyncEngine
from standardwebhooks import Webhook as Verifier

from sipagent.jobs import JobName
from sipagent.model.privacy import DAY
from sipagent.outbox.courier import LEFT_LYING, SURVEY_EVERY
from sipagent.outbox.schedule import Posted
from sipagent.store import outbox, tables
from sipagent.store.billing import closed_months
from sipagent.store.closing import Closing
from sipagent.store.erasure import Eraser, IsErased
from sipagent.store.ledger import Erasure, Ledger
from sipagent.store.outbox import LEASE
from sipagent.store.purging import STEP
from sipagent.store.retention import Retention
from tests.store.couriers import CRM, OTHER, SECRETS, carrying, put, url_of
from tests.store.forgetting import (
    ACME,
    ANN,
    BETA,
    BOB,
    KEY,
    NOW,
    At,
    Told,
    call_ids,
    count,
    eraser,
    pruner,
    tell,
)
from tests.store.hats import Hats
from tests.store.support import opened
from tests.waiting import eventually

OUTBOX, RETENTION, STATEMENTS = JobName.OUTBOX, JobName.RETENTION, JobName.STATEMENTS
YEAR = 365 * DAY


async def events(engine: AsyncEngine) -> dict[str, tuple[str, int]]:
    """The state of each event, and how often it has been attempted."""
    found = await outbox.listed(engine, limit=1000)
    return {each.id: (each.state, each.attempts) for each in found}


async def delivered(engine: AsyncEngine) -> None:
    """All events are."""
    async with asyncio.timeout(30):
        while {state for state, _ in (await events(engine)).values()} != {"delivered"}:
            await asyncio.sleep(0.01)


async def test_while_another_carries_nothing_is_sent_and_it_hears_of_events(
    sqlite_url: str,
) -> None:
    async with opened(sqlite_url) as engine:
        await put(engine, "evt_1")
        hats = Hats()
        it = carrying(engine, jobs=hats)
        async with it.courier:
            assert await it.courier.visit(CRM) is None
            it.courier.stir(CRM)
            assert hats.stirred == [OUTBOX]
            assert it.endpoints.sent == []
            async with asyncio.timeout(SURVEY_EVERY / 2):
                hats.give(OUTBOX)
                await it.endpoints.until(1)
                await delivered(engine)
                await put(engine, "evt_2")
                hats.tell(OUTBOX)
                await it.endpoints.until(2)


async def test_only_who_carries_shows_what_waits(sqlite_url: str) -> None:
    async with opened(sqlite_url) as engine:
        await put(engine, "evt_1", next_at=NOW + 60)
        hats = Hats(OUTBOX)
        it = carrying(engine, jobs=hats)
        exposed, whose = it.metrics.registry.get_sample_value, {"tenant": "acme"}
        await it.courier.survey()
        assert exposed("sipagent_outbox_pending", whose) == 1
        hats.take(OUTBOX)
        await it.courier.survey()
        assert exposed("sipagent_outbox_pending", whose) is None


async def test_what_is_being_sent_when_the_job_goes_is_brought_to_its_end(
    records_url: str,
) -> None:
    """And nobody else sends it meanwhile."""
    async with opened(records_url) as engine, opened(records_url, schema=False) as theirs:
        await put(engine, "evt_1")
        hats = Hats(OUTBOX)
        one, two = carrying(engine, jobs=hats), carrying(theirs)
        one.endpoints.slow = slow = asyncio.Event()
        async with one.courier:
            one.courier.stir(CRM)
            await one.endpoints.until(1)
            hats.take(OUTBOX)
            await put(engine, "evt_2")
            await two.courier.visit(CRM)
            assert two.ids() == ["evt_2"]
            slow.set()
            await delivered(engine)
        assert one.ids() == ["evt_1"]
        assert await events(engine) == {"evt_1": ("delivered", 1), "evt_2": ("delivered", 1)}


async def test_what_was_left_by_who_fell_asleep_is_sent_again_under_the_same_id(
    records_url: str,
) -> None:
    async with opened(records_url) as engine, opened(records_url, schema=False) as theirs:
        await put(engine, "evt_1")
        one, two = carrying(engine), carrying(theirs)
        one.endpoints.slow = slow = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(one.courier.visit(CRM))
            await one.endpoints.until(1)
            two.clock.now = NOW + LEASE
            await two.courier.visit(CRM)
            slow.set()
        (first,), (second,) = one.endpoints.sent, two.endpoints.sent
        assert first.id == second.id
        assert first.body == second.body
        for sent in (first, second):
            with time_machine.travel(sent.at):
                Verifier(SECRETS[0]).verify(sent.body, dict(sent.headers))
        assert await events(engine) == {"evt_1": ("delivered", 1)}


async def test_while_nobody_knows_whose_the_job_is_what_is_left_lying_is_sent(
    sqlite_url: str,
) -> None:
    async with opened(sqlite_url) as engine:
        await put(engine, "evt_1")
        it = carrying(engine, jobs=Hats(silent=True))
        assert await it.courier.visit(CRM) == NOW + LEFT_LYING
        it.clock.now = NOW + LEFT_LYING - 0.1
        assert await it.courier.visit(CRM) == NOW + LEFT_LYING
        assert it.endpoints.sent == []
        it.clock.now = NOW + LEFT_LYING
        assert await it.courier.visit(CRM) is None
        assert it.ids() == ["evt_1"]


async def test_while_nobody_knows_each_event_is_sent_from_one_place(records_url: str) -> None:
    names = [f"evt_{n:02}" for n in range(60)]
    async with opened(records_url) as engine, opened(records_url, schema=False) as theirs:
        await put(engine, *names, next_at=NOW - LEFT_LYING)
        await put(engine, "evt_young", tenant=OTHER[0])
        couriers = [carrying(each, jobs=Hats(silent=True)) for each in (engine, theirs, theirs)]
        async with asyncio.TaskGroup() as group:
            for each in couriers:
                group.create_task(each.courier.visit(CRM))
                group.create_task(each.courier.visit(OTHER))
        sent = Counter(name for each in couriers for name in each.ids())
        assert sent == Counter(names)


async def test_an_endpoint_that_fails_is_left_alone_when_the_job_goes(sqlite_url: str) -> None:
    async with opened(sqlite_url) as engine:
        await put(engine, "evt_1", "evt_2")
        hats = Hats(OUTBOX)
        it = carrying(engine, jobs=hats)
        it.endpoints.answers[url_of(CRM)] = [Posted(500)]
        async with it.courier:
            await it.endpoints.until(2)
            hats.take(OUTBOX)
            it.clock.now = NOW + 10_000
            it.courier.stir(CRM)
            assert await it.courier.visit(CRM) is None
        assert len(it.endpoints.sent) == 2


async def test_who_has_not_the_job_prunes_nothing_but_heeds_erasures(
    records_url: str, tmp_path: Path
) -> None:
    forgotten: list[IsErased] = []
    async with opened(records_url) as engine:
        await tell(engine, [Told("old", age=YEAR), Told("young", caller=BOB)])
        erasure, _ = await eraser(engine, tmp_path / "one", NOW - 2 * DAY).erase(ANN, by="me")
        await tell(engine, [Told("put back", age=3 * DAY)])
        hats, ledger = Hats(), Ledger(tmp_path / "two")
        two = Eraser(engine, KEY, ledger, At(), forgotten.append)
        async with Retention(pruner(engine), two, At(), every=0.01, jobs=hats) as task:
            await eventually(lambda: len(forgotten) > 0)
            assert ledger.all() == [erasure]
            assert forgotten[0](ANN, ACME, NOW - 2 * DAY)
            assert task.rounds == 0
            assert await call_ids(engine) == {"put back", "young"}
            hats.give(RETENTION)
            await eventually(lambda: task.rounds)
            assert await call_ids(engine) == {"young"}


async def test_a_round_that_is_broken_off_is_finished_by_the_next(
    records_url: str, tmp_path: Path
) -> None:
    async with opened(records_url) as engine, opened(records_url, schema=False) as theirs:
        await tell(engine, [Told(f"old {n:03}", age=YEAR) for n in range(5 * STEP)])
        mine, other = Hats(RETENTION), Hats()
        one = Retention(pruner(engine), eraser(engine, tmp_path / "one"), At(), jobs=mine)
        two = Retention(pruner(theirs), eraser(theirs, tmp_path / "two"), At(), jobs=other)
        async with one, two:
            async with asyncio.timeout(30):
                while len(await call_ids(engine, tables.turns)) == 5 * STEP:
                    await asyncio.sleep(0)
            mine.take(RETENTION)
            await eventually(lambda: not mine.working)
            left = await call_ids(engine, tables.turns)
            assert one.rounds == 0
            assert 0 < len(left) < 5 * STEP
            other.give(RETENTION)
            await eventually(lambda: two.rounds)
            assert await call_ids(engine, tables.turns) == set()


async def test_what_the_records_have_lost_is_put_back_by_two_at_once(
    records_url: str, tmp_path: Path
) -> None:
    async with opened(records_url) as engine, opened(records_url, schema=False) as theirs:
        both = [(engine, tmp_path / "one"), (theirs, tmp_path / "two")]
        for round_ in range(10):
            lost = Erasure(f"e{round_}", None, KEY.fingerprint(BOB), NOW, "me")
            for _, folder in both:
                Ledger(folder).add(lost)
            async with asyncio.TaskGroup() as group:
                for each, folder in both:
                    group.create_task(eraser(each, folder).heed())
            assert await count(engine, tables.erasures) == round_ + 1


async def test_two_who_prune_at_once_delete_what_one_would(
    records_url: str, tmp_path: Path
) -> None:
    old = [Told(f"old {n:03}", caller=BOB if n % 2 else ANN, age=YEAR) for n in range(250)]
    async with opened(records_url) as engine, opened(records_url, schema=False) as theirs:
        await tell(engine, [*old, Told("young", tenant=BETA)])
        for folder in ("one", "two"):  # an erasure that the records have lost, in both ledgers
            Ledger(tmp_path / folder).add(Erasure("e1", None, KEY.fingerprint(BOB), NOW, "me"))
        with structlog.testing.capture_logs() as lines:
            tasks = [
                Retention(pruner(each), eraser(each, tmp_path / folder), At(), every=60)
                for each, folder in ((engine, "one"), (theirs, "two"))
            ]
            async with tasks[0], tasks[1]:
                await eventually(lambda: all(task.rounds for task in tasks))
        assert "retention failed" not in {line["event"] for line in lines}
        assert await call_ids(engine, tables.turns) == {"young"}
        assert await call_ids(engine) == {each.call_id for each in old if each.caller == ANN} | {
            "young"
        }
        assert await count(engine, tables.erasures) == 1


async def test_months_are_closed_by_who_has_the_job(records_url: str) -> None:
    zones = {ACME: "UTC"}
    async with opened(records_url) as engine:
        await tell(engine, [Told("c1", age=60 * DAY)])
        hats = Hats()
        closing = Closing(engine, lambda: zones, At(), every=0.01, jobs=hats)
        async with closing:
            await asyncio.sleep(0.05)
            assert await closed_months(engine) == []
            hats.give(STATEMENTS)
            async with asyncio.timeout(30):
                while not await closed_months(engine):
                    await asyncio.sleep(0.01)


async def test_a_month_that_two_close_at_once_has_one_statement(records_url: str) -> None:
    zones = {ACME: "UTC"}
    async with opened(records_url) as engine, opened(records_url, schema=False) as theirs:
        await tell(engine, [Told("c1", age=60 * DAY)])
        both = [Closing(each, lambda: zones, At()) for each in (engine, theirs)]
        async with asyncio.TaskGroup() as group:
            for each in both:
                group.create_task(each.look())
        months = [statement.month for statement in await closed_months(engine)]
        assert len(months) == len(set(months)) > 0
