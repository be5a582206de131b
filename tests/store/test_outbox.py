"""What happens in calls becomes events, which stand in the outbox until they have been told."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.event import listen
from sqlalchemy.ext.asyncio import AsyncEngine

from sipagent.model import (
    CallPlan,
    EventType,
    HangUp,
    Happening,
    Message,
    Reason,
    Skills,
    TenantName,
    Tool,
    ToolName,
    ToolStatus,
    ToolUse,
    Transfer,
    Webhook,
)
from sipagent.model.ids import DestinationName
from sipagent.model.story import TransferEnd
from sipagent.store import outbox, tables
from sipagent.store.outbox import DEAD_KEPT, DELIVERED_KEPT, LEASE, Ended, EventState, Material
from sipagent.store.rows import COLUMNS, Row, RowKind
from tests.store.forgetting import ANN, NOW, Told, call_ids, eraser, pruner, tell
from tests.store.nouns import Kept, a_call, accepted, ending, keeping, planned
from tests.store.support import opened

TENANT = planned().tenant
ENDPOINT = (TENANT, "crm")
ALL = Webhook("crm", "https://crm.example/events")
ENDED = Webhook("log", "https://log.example/events", frozenset({EventType.CALL_ENDED}))


def hooks(*some: Webhook) -> Any:
    def of(tenant: TenantName) -> Mapping[str, Webhook]:
        return {hook.name: hook for hook in some} if tenant == TENANT else {}

    return of


async def told(kept: Kept) -> list[tuple[str, str]]:
    """The type and the webhook of all events."""
    await kept.writer.flushed()
    rows = await kept.rows(tables.outbox)
    return sorted((row["type"], row["endpoint"]) for row in rows)


def with_tool() -> CallPlan:
    tool = Tool(ToolName("hang_up"), HangUp(), "End the call.", {})
    return replace(planned(), skills=Skills(tools=(tool,)))


def used(name: str = "hang_up") -> ToolUse:
    said = {"arguments": '{"card": "4111"}', "output": "secret"}
    return ToolUse("fc_1", ToolName(name), 2.00049, 2.5, ToolStatus.DONE, "ok", **said)


async def test_a_call_s_events_stand_in_the_outbox_of_each_webhook_that_wants_them(
    records_url: str, tmp_path: Path
) -> None:
    async with keeping(records_url, tmp_path, webhooks=hooks(ALL, ENDED)) as kept:
        plan, records = with_tool(), kept.records
        records.decided(a_call(), accepted(plan))
        records.happened(plan, Happening.ANSWERED)
        records.tool(plan, used())
        await records.message(plan, Message("fc_2", {"message": "Call me back."}))
        going = Transfer(1, DestinationName("desk"), "tel:+17135550100", "done")
        records.transfer(plan, going)
        records.transfer(plan, replace(going, outcome=TransferEnd.NOT_TAKEN))
        records.ended(ending())

        assert await told(kept) == [
            ("call.ended", "crm"),
            ("call.ended", "log"),
            ("call.started", "crm"),
            ("message.taken", "crm"),
            ("tool.called", "crm"),
            ("transfer.failed", "crm"),
        ]
        rows = {row["type"]: row for row in await kept.rows(tables.outbox)}
        tool = json.loads(rows["tool.called"]["data"])
        assert (tool["name"], tool["began"], tool["ended"]) == ("hang_up", 2.0, 2.5)
        assert json.loads(rows["transfer.failed"]["data"]) == {
            "number": 1,
            "destination": "desk",
            "outcome": "not_taken",
            "answer": "done",
        }
        text = " ".join(str(row) for row in rows.values())
        for word in ("Call me back", "4111", "secret", "+17135550100", "+14065550100"):
            assert word not in text


async def test_a_name_that_a_model_made_up_is_not_told(records_url: str, tmp_path: Path) -> None:
    async with keeping(records_url, tmp_path, webhooks=hooks(ALL)) as kept:
        kept.records.tool(with_tool(), used("call_+14065550100_now"))
        assert await told(kept) == [("tool.called", "crm")]
        (row,) = await kept.rows(tables.outbox)
        assert json.loads(row["data"])["name"] == "unknown"


@pytest.mark.parametrize(
    ("reason", "types"),
    [
        (Reason.LINE_CLOSED, ["call.ended"]),
        (Reason.TRANSFERRED, ["call.ended", "call.transferred"]),
        (Reason.PROVIDER_ERROR, ["call.ended"]),
        (Reason.UNKNOWN_NUMBER, []),
        (Reason.QUOTA, []),
    ],
)
async def test_what_the_end_of_a_call_tells(
    sqlite_url: str, tmp_path: Path, reason: Reason, types: list[str]
) -> None:
    async with keeping(sqlite_url, tmp_path, webhooks=hooks(ALL)) as kept:
        kept.records.ended(ending(reason=reason))
        assert [type_ for type_, _ in await told(kept)] == types


async def test_a_tenant_without_webhooks_has_no_events(sqlite_url: str, tmp_path: Path) -> None:
    async with keeping(sqlite_url, tmp_path) as kept:
        kept.records.happened(planned(), Happening.ANSWERED)
        kept.records.ended(ending())
        assert await told(kept) == []


async def test_what_is_recorded_twice_is_told_once(records_url: str, tmp_path: Path) -> None:
    for _ in range(2):
        async with keeping(records_url, tmp_path, webhooks=hooks(ALL)) as kept:
            kept.records.ended(ending())
            kept.records.ended(ending("rtc_2"))
            assert len(await told(kept)) == 2
            ids = {row["id"] for row in await kept.rows(tables.outbox)}
    assert len(ids) == 2
    assert all(id_.startswith("evt_") for id_ in ids)


async def test_no_outcome_is_stored_before_its_event(records_url: str, tmp_path: Path) -> None:
    """Else a crash between the two would have it told to nobody."""
    order: list[str] = []

    def stirred(kind: RowKind, row: Row) -> None:
        assert kind is RowKind.EVENT
        order.append(f"event {row[COLUMNS[RowKind.EVENT].index('call_id')]}")

    async with keeping(
        records_url,
        tmp_path,
        settled=lambda call_id: order.append(f"outcome {call_id}"),
        stirred=stirred,
        webhooks=hooks(ALL),
    ) as kept:
        for number in range(600):  # more than one transaction takes
            kept.records.ended(ending(f"rtc_{number}"))
        await kept.writer.flushed()
    places = {one: at for at, one in enumerate(order)}
    assert len(places) == 1200
    assert all(places[f"event rtc_{n}"] < places[f"outcome rtc_{n}"] for n in range(600))


async def test_an_event_outlives_a_process_that_could_not_store_it(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with keeping(sqlite_url, tmp_path, webhooks=hooks(ALL)) as kept:
        kept.records.happened(planned(), Happening.ANSWERED)
        line = (tmp_path / "records.spool.0").read_text("utf-8")
        assert "call.started" in line
        kept.writer._buffer.take(10)  # as if the process were killed now
    (tmp_path / "records.spool.0").write_text(line, "utf-8")
    async with keeping(sqlite_url, tmp_path) as kept:
        assert await told(kept) == [("call.started", "crm")]


async def put(engine: AsyncEngine, *names: str, **changes: Any) -> None:
    """Events of these ids are due."""
    row = {
        "endpoint": "crm",
        "tenant": TENANT,
        "type": "budget.warning",
        "at": NOW,
        "data": "{}",
        "state": "pending",
        "since": NOW,
        "next_at": NOW,
        "attempts": 0,
    }
    async with engine.begin() as connection:
        for name in names:
            await connection.execute(insert(tables.outbox).values(row | {"id": name} | changes))


async def claimed(engine: AsyncEngine, at: float = NOW, limit: int = 10) -> list[str]:
    return [each.event.id for each in await outbox.claim(engine, ENDPOINT, at, limit)]


async def test_what_is_claimed_is_due_again_when_the_lease_is_over(records_url: str) -> None:
    async with opened(records_url) as engine:
        await put(engine, "evt_1")
        await put(engine, "evt_2", next_at=NOW - 1)
        await put(engine, "evt_3", next_at=NOW + 10)
        await put(engine, "evt_4", endpoint="log")
        await put(engine, "evt_5", tenant="other")

        assert await claimed(engine, limit=1) == ["evt_2"]
        assert await claimed(engine) == ["evt_1"]
        assert await claimed(engine) == []
        assert await outbox.next_due(engine, ENDPOINT) == NOW + 10
        first, *again = await claimed(engine, NOW + LEASE)
        assert (first, sorted(again)) == ("evt_3", ["evt_1", "evt_2"])
        assert set(await outbox.pending(engine)) == {ENDPOINT, (TENANT, "log"), ("other", "crm")}


async def test_two_processes_never_claim_the_same_event(records_url: str) -> None:
    async with opened(records_url) as engine:
        await put(engine, *(f"evt_{number:02}" for number in range(40)))
        found = await asyncio.gather(*(claimed(engine, limit=8) for _ in range(8)))
        names = [name for some in found for name in some]
        assert len(names) == len(set(names))
        assert len(set(names)) + len(await claimed(engine, limit=40)) == 40


async def test_a_message_comes_with_its_fields_until_it_is_delivered(records_url: str) -> None:
    async with opened(records_url) as engine:
        await tell(engine, [Told("rtc_1", TENANT)])
        about = {"type": "message.taken", "call_id": "rtc_1", "subject": "call_2"}
        await put(engine, "evt_1", **about)
        (due,) = await outbox.claim(engine, ENDPOINT, NOW, 8)
        assert due.fields == {"message": "words"}
        assert due.call is not None
        await outbox.conclude(engine, [Ended(due.event, EventState.DELIVERED, "200", NOW)], NOW + 1)
        (row,) = await outbox.listed(engine)
        assert (row.state, row.ended_at, row.attempts) == ("delivered", NOW + 1, 1)
        assert await outbox.pending(engine) == []


async def test_the_end_of_a_call_comes_with_its_words_where_they_are_wanted(
    records_url: str,
) -> None:
    async with opened(records_url) as engine:
        await tell(engine, [Told("rtc_1", TENANT)])
        await put(engine, "evt_1", type="call.ended", call_id="rtc_1")
        (bare,) = await outbox.claim(engine, ENDPOINT, NOW, 8)
        (full,) = await outbox.claim(engine, ENDPOINT, NOW + LEASE, 8, words=True)
        assert bare.turns == ()
        assert [turn.text for turn in full.turns] == ["words", "words"]


async def test_replaying_keeps_the_id(records_url: str) -> None:
    async with opened(records_url) as engine:
        over = {"ended_at": NOW, "attempts": 9, "next_at": NOW}
        await put(engine, "evt_1", "evt_2", state="dead", **over)
        await put(engine, "evt_3", state="delivered", **over)
        await put(engine, "evt_4", state="dead", tenant="other", **over)

        assert await outbox.replay(engine, NOW + 5, tenant=TENANT) == 2
        assert await outbox.replay(engine, NOW + 5, id_="evt_3") == 1
        assert await outbox.replay(engine, NOW + 5, id_="evt_9") == 0
        due: list[Material] = await outbox.claim(engine, ENDPOINT, NOW + 5, 8)
        assert sorted(each.event.id for each in due) == ["evt_1", "evt_2", "evt_3"]
        assert {(each.event.attempts, each.event.since) for each in due} == {(0, NOW + 5)}
        dead = await outbox.listed(engine, state=EventState.DEAD)
        assert [each.id for each in dead] == ["evt_4"]


async def test_backlogs_and_lists(records_url: str) -> None:
    async with opened(records_url) as engine:
        await put(engine, "evt_1", "evt_2", since=NOW - 60)
        await put(engine, "evt_3", state="dead", ended_at=NOW, at=NOW + 1)
        await put(engine, "evt_4", state="delivered", ended_at=NOW, tenant="other")
        assert await outbox.backlogs(engine) == [(TENANT, 2, 1, NOW - 60)]
        assert [each.id for each in await outbox.listed(engine)] == [
            *("evt_3", "evt_4", "evt_2", "evt_1"),
        ]
        assert [each.id for each in await outbox.listed(engine, tenant=TENANT, limit=1)] == [
            "evt_3"
        ]


async def test_what_has_been_told_is_kept_for_a_week_and_what_could_not_be_for_a_month(
    records_url: str,
) -> None:
    async with opened(records_url) as engine:
        await put(engine, "evt_1", state="delivered", ended_at=NOW - DELIVERED_KEPT - 1)
        await put(engine, "evt_2", state="delivered", ended_at=NOW - DELIVERED_KEPT + 1)
        await put(engine, "evt_3", state="dead", ended_at=NOW - DEAD_KEPT - 1)
        await put(engine, "evt_4", state="dead", ended_at=NOW - DEAD_KEPT + 1)
        await put(engine, "evt_5", since=NOW - 2 * DEAD_KEPT)
        await pruner(engine).prune()
        left = {each.id for each in await outbox.listed(engine)}
        assert left == {"evt_2", "evt_4", "evt_5"}


async def test_a_caller_who_is_forgotten_is_told_of_no_more(
    records_url: str, tmp_path: Path
) -> None:
    async with opened(records_url) as engine:
        await tell(engine, [Told("rtc_1", TENANT), Told("rtc_2", TENANT, caller=None)])
        await put(engine, "evt_1", type="call.ended", call_id="rtc_1")
        await put(engine, "evt_2", type="call.ended", call_id="rtc_2")
        await eraser(engine, tmp_path).erase(ANN, by="test")
        assert await call_ids(engine, tables.outbox) == {"rtc_2"}


async def test_a_backlog_costs_other_endpoints_nothing(sqlite_url: str) -> None:
    """What waits for one webhook is not looked through for another: rows are found by their key."""
    async with opened(sqlite_url) as engine:
        await put(engine, *(f"evt_{n}" for n in range(20)))
        written: list[tuple[str, Any]] = []

        def note(_: object, cursor: object, statement: str, values: Any, *more: object) -> None:
            written.append((statement, values))

        listen(engine.sync_engine, "before_cursor_execute", note)
        due, *_ = await outbox.claim(engine, ENDPOINT, NOW, 8)
        await outbox.conclude(engine, [Ended(due.event, EventState.PENDING, "500", NOW)], NOW)
        await outbox.hasten(engine, ENDPOINT, NOW - LEASE)
        await outbox.give_up(engine, ENDPOINT, NOW, NOW, "late")
        await outbox.prune(engine, NOW + DEAD_KEPT + 1)
        changes = [one for one in written if one[0].startswith(("UPDATE", "DELETE"))]
        assert len(changes) == 5
        async with engine.connect() as connection:
            for statement, values in changes:
                plan = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
                assert "sqlite_autoindex_outbox_1" in str(plan.all()), statement
