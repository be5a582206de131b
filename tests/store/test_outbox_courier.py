"""Events reach their endpoints, signed, at least once, and no endpoint waits for another."""

import asyncio
import json

import pytest
import structlog
import time_machine
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncEngine
from standardwebhooks import Webhook as Verifier

from sipagent.model import EventType
from sipagent.outbox.courier import AT_ONCE
from sipagent.outbox.schedule import GIVEN_UP_AFTER, Posted
from sipagent.providers.secrets import SecretSource
from sipagent.store import outbox, tables
from sipagent.store.outbox import LEASE, EventState, OutboxEvent
from tests.store.couriers import CRM, OTHER, SECRETS, carrying, hooks, put, url_of
from tests.store.forgetting import NOW, Told, tell
from tests.store.support import opened

FAILS, DEAD = Posted(500), Posted(None, "unreachable: ClientConnectorError")


async def states(engine: AsyncEngine) -> dict[str, str]:
    return {each.id: each.state for each in await outbox.listed(engine, limit=1000)}


async def only(engine: AsyncEngine) -> OutboxEvent:
    (event,) = await outbox.listed(engine)
    return event


async def test_an_event_is_signed_by_each_secret(records_url: str) -> None:
    async with opened(records_url) as engine:
        await put(engine, "evt_1")
        it = carrying(engine)
        assert await it.courier.visit(CRM) is None
        (sent,) = it.endpoints.sent
        with time_machine.travel(NOW):
            for secret in SECRETS:
                told = Verifier(secret).verify(sent.body, dict(sent.headers))
        assert told == {
            "type": "budget.warning",
            "timestamp": "2027-01-15T08:00:00.000+00:00",
            "data": {"tenant": "acme", "share": 0.8},
        }
        assert sent.headers["Content-Type"] == "application/json"
        assert sent.whose == "webhook:acme/crm"
        event = await only(engine)
        assert (event.state, event.answer, event.attempts) == ("delivered", "200", 1)


async def test_every_attempt_has_the_same_id_and_a_signature_of_its_own(sqlite_url: str) -> None:
    async with opened(sqlite_url) as engine:
        await put(engine, "evt_1")
        it = carrying(engine)
        it.endpoints.answers[url_of(CRM)] = [FAILS, DEAD, Posted(200)]
        while (at := await it.courier.visit(CRM)) is not None:
            it.clock.now = at
        first, _, last = it.endpoints.sent
        assert it.ids() == ["evt_1"] * 3
        assert first.body == last.body
        assert [sent.at - NOW for sent in it.endpoints.sent] == [0, 5, 35]
        assert first.headers["webhook-signature"] != last.headers["webhook-signature"]
        with time_machine.travel(last.at):
            Verifier(SECRETS[1]).verify(last.body, dict(last.headers))


async def test_an_event_is_given_up_after_three_days_and_can_be_replayed(records_url: str) -> None:
    async with opened(records_url) as engine:
        await put(engine, "evt_1")
        it = carrying(engine)
        it.endpoints.answers[url_of(CRM)] = [DEAD]
        with structlog.testing.capture_logs() as lines:
            while (at := await it.courier.visit(CRM)) is not None:
                it.clock.now = at
        assert it.clock.now == NOW + GIVEN_UP_AFTER
        assert len(it.endpoints.sent) == 18
        event = await only(engine)
        assert (event.state, event.answer) == ("dead", DEAD.trouble)
        given_up = [line for line in lines if line["event"] == "event given up"]
        assert [line["event_id"] for line in given_up] == ["evt_1"]

        await outbox.replay(engine, it.clock.now, id_="evt_1")
        it.endpoints.answers[url_of(CRM)] = [Posted(204)]
        it.clock.now += 600
        assert await it.courier.visit(CRM) is None
        assert await states(engine) == {"evt_1": "delivered"}
        assert set(it.ids()) == {"evt_1"}


async def test_a_process_that_dies_while_sending_sends_again_and_loses_nothing(
    records_url: str,
) -> None:
    async with opened(records_url) as engine:
        await put(engine, "evt_1")
        dying = carrying(engine)
        dying.endpoints.slow = asyncio.Event()
        visit = asyncio.ensure_future(dying.courier.visit(CRM))  # noqa: TID251
        await dying.endpoints.until(1)
        visit.cancel()
        await asyncio.wait((visit,))
        assert await states(engine) == {"evt_1": "pending"}

        it = carrying(engine)
        assert await it.courier.visit(CRM) == NOW + LEASE
        assert it.ids() == []
        it.clock.now += LEASE
        assert await it.courier.visit(CRM) is None
        assert it.ids() == ["evt_1"]
        assert await states(engine) == {"evt_1": "delivered"}


async def test_a_dead_endpoint_delays_no_other(records_url: str) -> None:
    """Fifty events wait for one that never answers; those of the other are all told meanwhile."""
    async with opened(records_url) as engine:
        await put(engine, *(f"evt_a{n:02}" for n in range(50)))
        await put(engine, *(f"evt_b{n:02}" for n in range(50)), tenant=OTHER[0])
        it = carrying(engine)
        it.endpoints.answers[url_of(CRM)] = [None]
        async with it.courier:
            await it.endpoints.until(50 + AT_ONCE)
            while (await states(engine)).get("evt_b49") != "delivered":
                await asyncio.sleep(0.01)
        found = await states(engine)
        assert {found[f"evt_b{n:02}"] for n in range(50)} == {"delivered"}
        assert {found[f"evt_a{n:02}"] for n in range(50)} == {"pending"}


async def test_an_endpoint_that_fails_is_asked_once_at_a_time(sqlite_url: str) -> None:
    async with opened(sqlite_url) as engine:
        await put(engine, *(f"evt_{n:02}" for n in range(30)))
        it = carrying(engine)
        it.endpoints.answers[url_of(CRM)] = [FAILS]
        with structlog.testing.capture_logs() as lines:
            for count in (AT_ONCE, AT_ONCE + 1, AT_ONCE + 2):
                at = await it.courier.visit(CRM)
                assert len(it.endpoints.sent) == count
                assert await it.courier.visit(CRM) == at
                assert len(it.endpoints.sent) == count
                assert at is not None
                it.clock.now = at
        told = [line["event"] for line in lines]
        assert told == ["webhook takes no events"]


async def test_an_endpoint_that_is_back_gets_at_once_what_waits(sqlite_url: str) -> None:
    async with opened(sqlite_url) as engine:
        await put(engine, "evt_00")
        it = carrying(engine)
        it.endpoints.answers[url_of(CRM)] = [DEAD] * 5 + [Posted(200)]
        for _ in range(5):
            at = await it.courier.visit(CRM)
            assert at is not None
            it.clock.now = at if it.clock.now < at else it.clock.now
        # The next attempt is more than an hour away, and a new event comes.
        it.clock.now += 400
        await put(engine, "evt_01", next_at=it.clock.now)
        assert await it.courier.visit(CRM) is None
        assert set((await states(engine)).values()) == {"delivered"}


async def test_no_more_than_some_are_sent_at_once(sqlite_url: str) -> None:
    async with opened(sqlite_url) as engine:
        await put(engine, *(f"evt_{n:02}" for n in range(40)))
        it = carrying(engine)
        assert await it.courier.visit(CRM) is None
        assert it.endpoints.most_at_once == AT_ONCE
        assert it.ids() == [f"evt_{n:02}" for n in range(40)]
        exposed = it.metrics.registry.get_sample_value
        assert exposed("sipagent_events_total", {"state": "delivered"}) == 40


async def test_the_webhook_in_force_is_the_one_that_is_asked(sqlite_url: str) -> None:
    async with opened(sqlite_url) as engine:
        await put(engine, "evt_1")
        it = carrying(engine)
        it.endpoints.answers[url_of(CRM)] = [FAILS]
        at = await it.courier.visit(CRM)
        assert at is not None
        moved = hooks(CRM, url="https://new.example/hook")
        it.hooks.table = moved.table
        it.hooks.webhook_secrets[CRM] = SecretSource(literal=SECRETS[1])
        it.clock.now = at
        await it.courier.visit(CRM)
        assert await states(engine) == {"evt_1": "delivered"}
        last = it.endpoints.sent[-1]
        with time_machine.travel(at):
            Verifier(SECRETS[1]).verify(last.body, dict(last.headers))
        assert len(last.headers["webhook-signature"].split()) == 1


@pytest.mark.parametrize("events", [frozenset(), frozenset({EventType.CALL_ENDED}), None])
async def test_what_no_webhook_takes_any_more_is_given_up(
    sqlite_url: str, events: frozenset[EventType] | None
) -> None:
    async with opened(sqlite_url) as engine:
        await put(engine, "evt_1")
        it = carrying(engine, hooks(OTHER) if events is None else hooks(CRM, events=events))
        assert await it.courier.visit(CRM) is None
        assert it.ids() == []
        event = await only(engine)
        assert (event.state, event.answer) == ("dead", "no webhook takes it")


@pytest.mark.parametrize("secret", ["", "nonsense", "whsec_", "whsec_!!!"])
async def test_an_event_without_a_usable_secret_waits_for_one(sqlite_url: str, secret: str) -> None:
    async with opened(sqlite_url) as engine:
        await put(engine, "evt_1")
        it = carrying(engine)
        it.hooks.webhook_secrets[CRM] = SecretSource(literal=secret)
        with structlog.testing.capture_logs() as lines:
            at = await it.courier.visit(CRM)
        assert it.ids() == []
        assert lines[0]["event"] == "webhook's secret cannot be used"
        assert not secret or secret not in str(lines)
        it.hooks.webhook_secrets[CRM] = SecretSource(literal=SECRETS[0])
        assert at is not None
        it.clock.now = at
        assert await it.courier.visit(CRM) is None
        assert it.ids() == ["evt_1"]


async def test_what_is_gone_from_the_records_is_told_to_nobody(records_url: str) -> None:
    async with opened(records_url) as engine:
        await put(engine, "evt_1", type="call.ended", call_id="rtc_1")
        it = carrying(engine)
        while (at := await it.courier.visit(CRM)) is not None:
            it.clock.now = at
        assert it.ids() == []
        event = await only(engine)
        assert (event.state, event.answer) == ("dead", "nothing is left to be told")
        assert it.clock.now >= NOW + 3600


async def test_an_end_is_told_as_soon_as_it_is_stored(records_url: str) -> None:
    """A process that was killed has left the event; the next one stores the call's outcome."""
    async with opened(records_url) as engine:
        await tell(engine, [Told("rtc_1", CRM[0], live=True)])
        await put(engine, "evt_1", type="call.ended", call_id="rtc_1")
        it = carrying(engine)
        at = await it.courier.visit(CRM)
        assert at is not None
        assert (it.ids(), at - NOW) == ([], 5)
        over = update(tables.calls).values(outcome="completed.line_closed", ended_at=NOW)
        async with engine.begin() as connection:
            await connection.execute(over)
        it.clock.now = at
        assert await it.courier.visit(CRM) is None
        (sent,) = it.endpoints.sent
        assert json.loads(sent.body)["data"]["outcome"] == "completed.line_closed"


async def test_what_waits_for_an_endpoint_that_is_dead_is_given_up_in_time(
    records_url: str,
) -> None:
    """There are more events than it is asked for in three days: none waits for ever."""
    async with opened(records_url) as engine:
        await put(engine, *(f"evt_{n:04}" for n in range(1100)))
        await put(engine, "evt_other", tenant=OTHER[0])
        it = carrying(engine)
        it.endpoints.answers[url_of(CRM)] = [DEAD]
        while (at := await it.courier.visit(CRM)) is not None and at < NOW + GIVEN_UP_AFTER:
            it.clock.now = at
            if len(it.endpoints.sent) == 20:
                await put(engine, "evt_young", since=NOW + 60)
                it.clock.now = NOW + GIVEN_UP_AFTER
        found = await states(engine)
        assert found.pop("evt_other") == "pending"
        assert found.pop("evt_young") == "pending"
        assert set(found.values()) == {"dead"}
        assert len(it.endpoints.sent) < 30


async def test_an_event_that_cannot_be_made_holds_up_no_other(sqlite_url: str) -> None:
    async with opened(sqlite_url) as engine:
        await put(engine, "evt_1", data="not JSON")
        await put(engine, "evt_2")
        it = carrying(engine)
        with structlog.testing.capture_logs() as lines:
            await it.courier.visit(CRM)
        assert await states(engine) == {"evt_1": "pending", "evt_2": "delivered"}
        assert [line["event"] for line in lines] == ["event cannot be told"]


async def test_the_transcript_is_told_where_it_is_wanted(records_url: str) -> None:
    async with opened(records_url) as engine:
        await tell(engine, [Told("rtc_1", CRM[0])])
        await put(engine, "evt_1", type="call.ended", call_id="rtc_1")
        it = carrying(engine, hooks(CRM, transcript=True))
        await it.courier.visit(CRM)
        (sent,) = it.endpoints.sent
        data = json.loads(sent.body)["data"]
        assert [turn["text"] for turn in data["transcript"]] == ["words", "words"]
        assert data["transcript_complete"] is True


async def test_a_survey_finds_what_a_command_has_put_there(sqlite_url: str) -> None:
    async with opened(sqlite_url) as engine:
        await put(engine, "evt_1", "evt_2", since=NOW - 60)
        await put(engine, "evt_3", state=EventState.DEAD.value, ended_at=NOW)
        it = carrying(engine)
        await it.courier.survey()
        exposed = it.metrics.registry.get_sample_value
        assert exposed("sipagent_outbox_pending", {"tenant": "acme"}) == 2
        assert exposed("sipagent_outbox_dead", {"tenant": "acme"}) == 1
        oldest = exposed("sipagent_outbox_oldest_seconds", {"tenant": "acme"})
        assert oldest is not None
        await outbox.replay(engine, NOW, id_="evt_3")
        async with it.courier:
            await it.endpoints.until(3)
        assert set(it.ids()) == {"evt_1", "evt_2", "evt_3"}


async def test_a_stirred_endpoint_is_visited_at_once(sqlite_url: str) -> None:
    async with opened(sqlite_url) as engine:
        it = carrying(engine)
        async with it.courier:
            await it.courier.survey()
            await put(engine, "evt_1")
            it.courier.stir(CRM)
            await it.endpoints.until(1)
            while (await states(engine))["evt_1"] != "delivered":
                await asyncio.sleep(0.01)
            await put(engine, "evt_2")
            it.courier.stir(CRM)
            await it.endpoints.until(2)
    assert it.ids() == ["evt_1", "evt_2"]


async def test_records_that_are_away_are_asked_again(sqlite_url: str) -> None:
    """What fails is told once for each attempt, and the lane goes on."""
    async with opened(sqlite_url, schema=False) as engine:
        it = carrying(engine)
        with structlog.testing.capture_logs() as lines:
            assert await it.courier._visited(CRM) == NOW + 5
        assert lines == [
            {"event": "outbox cannot be used", "log_level": "warning", "reason": lines[0]["reason"]}
        ]


async def test_what_is_being_sent_at_the_end_has_its_answer(sqlite_url: str) -> None:
    async with opened(sqlite_url) as engine:
        await put(engine, "evt_1")
        it = carrying(engine)
        it.endpoints.slow = slow = asyncio.Event()
        async with it.courier:
            await it.endpoints.until(1)
            asyncio.get_running_loop().call_later(0.05, slow.set)
        assert await states(engine) == {"evt_1": "delivered"}


async def test_an_end_waits_for_nobody_who_never_answers(sqlite_url: str) -> None:
    async with opened(sqlite_url) as engine:
        await put(engine, "evt_1")
        await put(engine, "evt_2", tenant=OTHER[0], next_at=NOW + 3600)
        it = carrying(engine)
        it.endpoints.answers[url_of(CRM)] = [None]
        began = asyncio.get_running_loop().time()
        async with it.courier:
            await it.endpoints.until(1)
        assert asyncio.get_running_loop().time() - began < 10
        assert await states(engine) == {"evt_1": "pending", "evt_2": "pending"}
        assert it.endpoints.at_once == 0
