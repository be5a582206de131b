"""Tool calls and messages are read tenant by tenant, with words only where they are asked for."""

from collections.abc import AsyncIterator
from dataclasses import fields

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from sipagent.model import CallId, TenantName
from sipagent.store import tables
from sipagent.store.facts import StoredMessage, StoredToolCall
from sipagent.store.reading import (
    ToolCount,
    find_messages,
    list_messages,
    read_story,
    survey,
)
from sipagent.store.shown import shown_story
from sipagent.store.why import tell_span
from tests.store.kept import BEGAN, CALLER, a_call, a_message, a_turn, a_use, put
from tests.store.support import opened

ACME, BETA = TenantName("acme"), TenantName("beta")


@pytest.fixture
async def connection(records_url: str) -> AsyncIterator[AsyncConnection]:
    async with opened(records_url) as engine:
        await put(engine, a_call("rtc_1"), a_call("rtc_2", at=60, tenant="beta", agent="night"))
        await put(engine, a_turn("rtc_1"), table=tables.turns)
        await put(
            engine,
            a_use("rtc_1", "call_9", at=BEGAN + 6),
            a_use("rtc_1", "call_1", "failed", at=BEGAN + 8, detail="http 503"),
            a_use("rtc_2", "call_1", "refused", at=BEGAN + 70, tenant="beta"),
            table=tables.tool_calls,
        )
        await put(
            engine,
            a_message("rtc_1", "call_2"),
            a_message("rtc_2", "call_2", at=BEGAN + 71, tenant="beta"),
            a_message("gone", "call_3", at=BEGAN - 5),
            table=tables.messages,
        )
        async with engine.connect() as connection:
            yield connection


async def test_a_story_has_tools_in_their_order_and_words_only_where_asked_for(
    connection: AsyncConnection,
) -> None:
    story = await read_story(connection, ACME, CallId("rtc_1"), words=True)
    bare = await read_story(connection, ACME, CallId("rtc_1"), words=False)

    assert story is not None
    assert bare is not None
    assert [(one.id, one.status, one.detail) for one in story.tools] == [
        ("call_9", "done", None),
        ("call_1", "failed", "http 503"),
    ]
    assert story.tools[0].arguments == '{"order_no": "7"}'
    assert story.tools[0].seconds == pytest.approx(0.4)
    assert [one.told for one in story.messages] == [{"name": "Ann", "message": f"Call {CALLER}."}]
    assert [(one.arguments, one.output) for one in bare.tools] == [(None, None)] * 2
    assert [one.told for one in bare.messages] == [{}]


async def test_what_is_shown_of_tools_and_messages(connection: AsyncConnection) -> None:
    story = await read_story(connection, ACME, CallId("rtc_1"), words=True)
    assert story is not None

    whole = shown_story(story, numbers=True, words=True)
    masked = shown_story(story, numbers=False, words=True)
    bare = shown_story(story, numbers=True, words=False)
    assert CALLER in whole["tool_calls"][0]["output"]
    assert CALLER not in str(masked)
    assert masked["messages"][0]["fields"]["name"] == "Ann"
    assert whole["tool_calls"][1]["at"] == "2026-09-22T13:53:28.000+00:00"
    assert bare["tool_calls"][0].keys() == whole["tool_calls"][0].keys() - {"arguments", "output"}
    assert [one.keys() for one in bare["messages"]] == [{"id", "at"}]


async def test_messages_are_listed_by_tenant_and_time(connection: AsyncConnection) -> None:
    async def ids(tenant: TenantName | None, **span: float) -> list[tuple[str, str]]:
        found = await list_messages(connection, tenant, **span)  # type: ignore[arg-type]
        return [(one.call_id, one.message.id) for one in found]

    one, two, gone = ("rtc_1", "call_2"), ("rtc_2", "call_2"), ("gone", "call_3")
    assert await ids(None) == [two, one, gone]
    assert await ids(ACME) == [one, gone]
    assert await ids(None, since=BEGAN + 9, until=BEGAN + 71) == [one]
    assert await ids(None, limit=1) == [two]


async def test_a_message_tells_whose_it_is_as_long_as_its_call_is_kept(
    connection: AsyncConnection,
) -> None:
    one, orphan = await list_messages(connection, ACME)

    assert (one.agent, one.caller, one.tenant) == ("store", CALLER, "acme")
    assert (orphan.agent, orphan.caller, orphan.dialed) == (None, None, None)


async def test_a_message_is_found_by_its_id_or_its_calls(connection: AsyncConnection) -> None:
    assert len(await find_messages(connection, None, "call_2")) == 2
    assert len(await find_messages(connection, BETA, "call_2")) == 1
    assert [one.call_id for one in await find_messages(connection, None, "rtc_1")] == ["rtc_1"]
    assert await find_messages(connection, BETA, "rtc_1") == ()


async def test_tools_and_messages_of_a_time_are_counted(connection: AsyncConnection) -> None:
    every = await survey(connection, None, since=BEGAN, until=BEGAN + 100)
    mine = await survey(connection, ACME, since=BEGAN, until=BEGAN + 8)

    assert every.tools == (
        ToolCount("acme", "order_status", "done", 1),
        ToolCount("acme", "order_status", "failed", 1),
        ToolCount("beta", "order_status", "refused", 1),
    )
    assert every.messages == 2
    assert mine.tools == (ToolCount("acme", "order_status", "done", 1),)
    assert mine.messages == 0
    assert tell_span(every, (), since=BEGAN, until=BEGAN + 100).tools == (
        "Tools were used 3 times; 2 of these came to nothing (67 %).",
        "order_status of tenant acme: of 2 uses 1 failed.",
        "order_status of tenant beta: of 1 use 1 was refused.",
        "2 messages were taken.",
    )


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("tool_calls WHERE tenant = 'acme' AND at >= 1", "ix_tool_calls_tenant_at"),
        ("tool_calls WHERE at >= 1", "ix_tool_calls_at"),
        (
            f"tool_calls WHERE tenant = 'acme' AND ({tables.SAID}) ORDER BY at, call_id, id",
            "ix_tool_calls_said",
        ),
        (
            "messages WHERE tenant = 'acme' AND at < 1 ORDER BY at, call_id, id",
            "ix_messages_tenant_at_call_id_id",
        ),
        ("messages ORDER BY at DESC, call_id DESC, id DESC", "ix_messages_at_call_id_id"),
        ("messages WHERE id = 'a' OR call_id = 'a'", "ix_messages_id"),
    ],
)
async def test_what_is_asked_for_is_found_along_an_index(
    sqlite_url: str, query: str, index: str
) -> None:
    async with opened(sqlite_url) as engine, engine.connect() as connection:
        asked = text(f"EXPLAIN QUERY PLAN SELECT * FROM {query}")  # noqa: S608  # of this module
        plan = str((await connection.execute(asked)).all())
    assert index in plan
    assert "TEMP B-TREE" not in plan


def test_what_is_left_out_without_words_stands_last_in_its_form() -> None:
    assert [each.name for each in fields(StoredToolCall)][-2:] == ["arguments", "output"]
    assert [each.name for each in fields(StoredMessage)][-1:] == ["fields"]
