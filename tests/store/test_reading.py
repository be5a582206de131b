"""The records are read tenant by tenant, page by page, on both databases."""

from collections.abc import AsyncIterator
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sipagent.model import CallId, Reason, TenantName
from sipagent.store import tables
from sipagent.store.reading import (
    CallFilter,
    Cursor,
    Traits,
    daily,
    decided_since,
    ended_since,
    find_calls,
    list_calls,
    outcomes_of,
    read_stories,
    read_story,
    search_turns,
    spans_of,
    survey,
    tenants_of,
    unrouted_numbers,
)
from sipagent.store.reading.opening import open_reader
from tests.store.kept import (
    BEGAN,
    CALLER,
    DIALED,
    a_bill,
    a_call,
    a_live,
    a_step,
    a_turn,
    an_alias,
    failed,
    put,
    rejected,
)
from tests.store.support import located, opened

ACME, BETA = TenantName("acme"), TenantName("beta")


@pytest.fixture
async def engine(records_url: str) -> AsyncIterator[AsyncEngine]:
    async with opened(records_url) as engine:
        yield engine


@pytest.fixture
async def connection(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Reads after everything that the test has put there: each statement sees the newest."""
    async with engine.connect() as connection:
        yield await connection.execution_options(isolation_level="AUTOCOMMIT")


MANY = (
    a_call("rtc_1", at=0),
    failed("rtc_2", at=10, trunk="wavix-eu", caller="+442079460100"),
    failed("rtc_3", Reason.CONNECTION_LOST, at=10, agent="night"),
    a_call("rtc_4", at=20, tenant="beta", account="eu-1"),
    rejected("rtc_5", at=30, dialed="+17134810199"),
    a_live("rtc_6", at=40),
    failed("rtc_7", Reason.ACCEPT_REFUSED, at=50, answered_at=None),
)

ALL = CallFilter()


@pytest.mark.parametrize(
    ("tenant", "wanted", "found"),
    [
        (None, ALL, "7 6 5 4 3 2 1"),
        (ACME, ALL, "7 6 3 2 1"),
        (BETA, ALL, "4"),
        (TenantName("acme' OR ''='"), ALL, ""),
        (ACME, CallFilter(agent="night"), "3"),
        (ACME, CallFilter(outcomes=outcomes_of("failed")), "7 2"),
        (None, CallFilter(outcomes=outcomes_of("lost")), "3"),
        (ACME, CallFilter(outcomes=("failed.accept_refused",)), "7"),
        (ACME, CallFilter(since=BEGAN + 10, until=BEGAN + 40), "3 2"),
        (ACME, CallFilter(trunk="wavix-eu"), "2"),
        (None, CallFilter(account="eu-1"), "4"),
        (ACME, CallFilter(account="eu-1"), ""),
        (None, CallFilter(dialed=("+17134810199",)), "5"),
        (ACME, CallFilter(dialed=("h:hidden", DIALED)), "7 6 3 2 1"),
        (None, CallFilter(caller=("+442079460100",)), "2"),
        (BETA, CallFilter(caller=("+442079460100",)), ""),
        (None, CallFilter(live=True), "6"),
        (BETA, CallFilter(live=True), ""),
        (ACME, CallFilter(outcomes=outcomes_of("failed"), trunk="wavix-eu"), "2"),
    ],
)
async def test_a_list_holds_what_is_asked_for(
    engine: AsyncEngine,
    connection: AsyncConnection,
    tenant: TenantName | None,
    wanted: CallFilter,
    found: str,
) -> None:
    await put(engine, *MANY)
    page = await list_calls(connection, tenant, wanted)
    assert " ".join(call.call_id.removeprefix("rtc_") for call in page.calls) == found
    assert page.next is None


@pytest.mark.parametrize("wanted", [ALL, CallFilter(outcomes=outcomes_of("failed"))])
async def test_pages_follow_each_other_without_gap_or_double(
    engine: AsyncEngine, connection: AsyncConnection, wanted: CallFilter
) -> None:
    reasons = (Reason.PROVIDER_ERROR, Reason.ACCEPT_REFUSED)
    rows = [failed(f"rtc_{at:02}", reasons[at % 2], at=at // 3) for at in range(23)]
    await put(engine, *rows)
    seen: list[str] = []
    after = None
    for _ in range(5):
        page = await list_calls(connection, ACME, wanted, limit=5, after=after)
        seen += [call.call_id for call in page.calls]
        after = page.next and Cursor.parse(str(page.next))
    assert after is None
    assert seen == sorted((row["call_id"] for row in rows), reverse=True)


@pytest.mark.parametrize("text", ["", "1.0", "~rtc_1", "1.0~", "x~rtc_1"])
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"cursor|float"):
        Cursor.parse(text)


def test_a_word_that_is_no_outcome_is_refused() -> None:
    assert outcomes_of("lost.connection_lost") == ("lost.connection_lost",)
    assert set(outcomes_of("lost")) == {f"lost.{one}" for one in Reason if one.kind == "lost"}
    with pytest.raises(ValueError, match="no outcome"):
        outcomes_of("fail")


async def test_a_call_is_found_by_any_of_its_names_within_its_tenant(
    engine: AsyncEngine, connection: AsyncConnection
) -> None:
    await put(engine, a_call("rtc_1"), a_call("rtc_2", at=5), a_call("rtc_3", tenant="beta"))
    aliases = [an_alias(f"rtc_{at}", "CA0123") for at in (1, 2, 3)]
    await put(engine, *aliases, an_alias("rtc_1", "abc@x", "call-id"), table=tables.aliases)
    for name, tenant, found in (
        ("rtc_1", None, ["rtc_1"]),
        ("rtc_1", ACME, ["rtc_1"]),
        ("rtc_1", BETA, []),
        ("wh_rtc_2", ACME, ["rtc_2"]),
        ("wh_rtc_2", BETA, []),
        ("abc@x", ACME, ["rtc_1"]),
        ("abc@x", BETA, []),
        ("CA0123", ACME, ["rtc_2", "rtc_1"]),
        ("CA0123", BETA, ["rtc_3"]),
        ("CA9", None, []),
    ):
        assert list(await find_calls(connection, tenant, name)) == found, (name, tenant)


async def test_a_story_holds_everything_of_its_call_and_nothing_of_another(
    engine: AsyncEngine, connection: AsyncConnection
) -> None:
    await put(engine, a_call("rtc_1", plan='{"agent":"store"}'), a_call("rtc_2"))
    await put(
        engine,
        *(a_turn(one, at) for at in (1, 0) for one in ("rtc_2", "rtc_1")),
        table=tables.turns,
    )
    steps = (a_step("rtc_1", 1, "answered"), a_step("rtc_2", 2, "attached"))
    await put(engine, *steps, table=tables.happenings)
    bills = (a_bill("rtc_1", "b", at=BEGAN + 9), a_bill("rtc_1", "a"), a_bill("rtc_2", "c"))
    await put(engine, *bills, table=tables.usage)
    sent = {"number": 1, "destination": "desk", "target": "tel:+1", "answer": "done"}
    await put(
        engine,
        {"call_id": "rtc_1", "tenant": "acme", "at": BEGAN + 30, **sent},
        table=tables.transfers,
    )
    await put(engine, an_alias("rtc_1", "CA0123"), table=tables.aliases)
    story = await read_story(connection, ACME, CallId("rtc_1"), words=True)
    assert story is not None
    assert story.call.call_id == "rtc_1"
    assert story.plan == {"agent": "store"}
    assert [step.because for step in story.trace][-1] == "no condition"
    assert [turn.sequence for turn in story.turns] == [0, 1]
    assert [step.what for step in story.happenings] == ["answered"]
    assert [bill.source_id for bill in story.usage] == ["a", "b"]
    assert [one.target for one in story.transfers] == ["tel:+1"]
    assert [one.alias for one in story.aliases] == ["CA0123"]
    silent = await read_story(connection, ACME, CallId("rtc_1"), words=False)
    assert silent is not None
    assert silent.turns == ()
    assert await read_story(connection, BETA, CallId("rtc_1"), words=True) is None
    both = await read_stories(connection, ACME, [CallId("rtc_2"), CallId("rtc_1")], words=True)
    assert [one.call.call_id for one in both] == ["rtc_2", "rtc_1"]


async def test_a_trace_that_is_not_understood_hides_no_call(
    engine: AsyncEngine, connection: AsyncConnection
) -> None:
    await put(engine, a_call("rtc_1", trace='[{"new": 1}]', plan="{"), a_call("rtc_2", trace="x"))
    for name in ("rtc_1", "rtc_2"):
        story = await read_story(connection, None, CallId(name), words=False)
        assert story is not None
        assert (story.trace, story.plan) == ((), None)


async def test_what_is_new_comes_in_its_order(
    engine: AsyncEngine, connection: AsyncConnection
) -> None:
    await put(engine, *MANY)
    decided = await decided_since(connection, ACME, ALL, BEGAN + 10)
    assert [call.call_id for call in decided] == ["rtc_2", "rtc_3", "rtc_6", "rtc_7"]
    failed_ones = CallFilter(outcomes=outcomes_of("failed"))
    ended = await ended_since(connection, None, failed_ones, BEGAN + 70)
    assert [call.call_id for call in ended] == ["rtc_2", "rtc_7"]


async def test_numbers_that_lead_nowhere_are_counted_with_their_header(
    engine: AsyncEngine, connection: AsyncConnection
) -> None:
    one = {"dialed": "+17134810199", "dialed_source": "x-number"}
    await put(
        engine,
        rejected("rtc_1", at=0, **one),
        rejected("rtc_2", at=9, **one),
        rejected("rtc_3", at=5, dialed=None, dialed_source=None),
        rejected("rtc_4", Reason.RULE, at=6),
        rejected("rtc_5", at=7, tenant="beta", dialed="+442079460100"),
        rejected("rtc_6", at=-10, **one),
    )
    found = await unrouted_numbers(connection, None, since=BEGAN)
    assert [(each.dialed, each.header, each.calls, each.last_at - BEGAN) for each in found] == [
        ("+17134810199", "x-number", 2, 9),
        ("+442079460100", "to", 1, 7),
        (None, None, 1, 5),
    ]
    mine = await unrouted_numbers(connection, BETA, since=BEGAN, until=BEGAN + 8)
    assert [each.dialed for each in mine] == ["+442079460100"]


CHICAGO = ZoneInfo("America/Chicago")


def at_chicago(*when: int) -> float:
    from datetime import datetime

    return datetime(*when, tzinfo=CHICAGO).timestamp() - BEGAN


async def test_days_are_summed_in_the_tenants_zone(
    engine: AsyncEngine, connection: AsyncConnection
) -> None:
    await put(
        engine,
        a_call("rtc_1", at=at_chicago(2026, 11, 1, 0, 0)),
        a_call("rtc_2", at=at_chicago(2026, 11, 1, 23, 59), cost=None),
        rejected("rtc_3", at=at_chicago(2026, 11, 1, 12, 0), tenant="acme"),
        a_live("rtc_4", at=at_chicago(2026, 11, 2, 0, 0)),
        a_call("rtc_5", at=at_chicago(2026, 11, 1, 1, 0), tenant="beta"),
    )
    spans = spans_of(ACME, CHICAGO, date(2026, 10, 31), date(2026, 11, 3))
    assert [span.ends - span.begins for span in spans] == [86400, 90000, 86400, 86400]
    empty, first, second, last = await daily(connection, spans)
    assert (empty.calls, empty.outcomes, last.calls) == (0, {}, 0)
    assert (first.day, first.calls, first.answered, first.seconds) == (
        date(2026, 11, 1),
        3,
        2,
        118.0,
    )
    assert (first.tokens, first.cost, first.complete) == (940, 21_345, False)
    assert first.outcomes == {"completed.line_closed": 2, "rejected.unknown_number": 1}
    assert (second.calls, second.outcomes, second.complete) == (1, {"live": 1}, False)


async def test_days_of_several_tenants_stay_apart(
    engine: AsyncEngine, connection: AsyncConnection
) -> None:
    noon = at_chicago(2026, 11, 1, 12, 0)
    names = ["acme", "acme", "beta", "cafe"]
    await put(engine, *(a_call(f"rtc_{n}", at=noon, tenant=who) for n, who in enumerate(names)))
    tenants = await tenants_of(connection)
    assert tenants == ("acme", "beta", "cafe")
    zones = {"acme": CHICAGO, "beta": ZoneInfo("Asia/Tokyo"), "cafe": CHICAGO}
    day = date(2026, 11, 1)
    spans = [span for who in tenants for span in spans_of(who, zones[who], day, day)]
    found = await daily(connection, spans)
    assert [(each.tenant, each.calls) for each in found] == [("acme", 2), ("beta", 0), ("cafe", 1)]


async def test_nobody_has_calls_in_empty_records(connection: AsyncConnection) -> None:
    assert await tenants_of(connection) == ()
    assert await daily(connection, ()) == ()
    assert (await survey(connection, None, since=0, until=BEGAN)).ended == 0


def turn_of(tenant: str, sequence: int, text: str | None, **changes: Any) -> dict[str, Any]:
    return a_turn(f"rtc_{tenant}", sequence, text, tenant=tenant, **changes)


async def test_a_search_finds_words_of_one_tenant_only(
    engine: AsyncEngine, connection: AsyncConnection
) -> None:
    await put(
        engine,
        turn_of("acme", 0, "Your INVOICE is ready."),
        turn_of("acme", 1, "100% of it_"),
        turn_of("acme", 2, None),
        turn_of("acme", 3, "An invoice, please.", at=BEGAN - 40 * 86400),
        turn_of("beta", 0, "The invoice of beta."),
        table=tables.turns,
    )

    async def found(text: str, tenant: TenantName = ACME) -> list[int]:
        since, until = BEGAN - 30 * 86400, BEGAN + 86400
        hits = await search_turns(connection, tenant, text, since=since, until=until)
        return [hit.sequence for hit in hits]

    assert await found("invoice") == [0]
    assert await found("%") == [1]
    assert await found("it_") == [1]
    assert await found("'; DROP TABLE turns; --") == []
    assert await found("invoice", BETA) == [0]


@pytest.mark.parametrize(
    ("text", "days"), [("", 1), ("  ", 1), ("word", 32), ("word", -1)], ids=str
)
async def test_a_search_that_is_too_wide_is_refused(
    connection: AsyncConnection, text: str, days: int
) -> None:
    with pytest.raises(ValueError, match="search"):
        await search_turns(connection, ACME, text, since=0.0, until=days * 86400.0)


async def test_a_survey_counts_by_what_calls_have_in_common(
    engine: AsyncEngine, connection: AsyncConnection
) -> None:
    await put(engine, *MANY)
    whole = await survey(connection, None, since=BEGAN, until=BEGAN + 1000)
    assert (whole.ended, whole.rejected, whole.held) == (6, 1, 1)
    assert [one.call_id for one in whole.failures] == ["rtc_2", "rtc_3", "rtc_7"]
    by_trunk = {group.traits.trunk: (group.bad, group.good) for group in whole.groups}
    assert by_trunk["wavix-eu"] == (1, 0)
    assert sum(group.bad + group.good for group in whole.groups) == 5
    mine = await survey(connection, BETA, since=BEGAN, until=BEGAN + 1000)
    traits = Traits(
        "beta",
        "twilio-us",
        "eu-1",
        "0.4.0",
        "replica-1",
        "store",
        "c65a4c01b87f",
        "gpt-realtime-2.1",
    )
    assert [(one.traits, one.bad, one.good) for one in mine.groups] == [(traits, 0, 1)]
    assert (mine.ended, mine.held, mine.failures) == (1, 0, ())


async def test_a_reader_cannot_write(records_url: str) -> None:
    async with opened(records_url) as engine:
        await put(engine, a_call("rtc_1"))
        reader = open_reader(located(records_url))
        async with reader.connect() as connection:
            with pytest.raises(DBAPIError):
                await connection.execute(text("DELETE FROM calls"))
        await reader.dispose()


def test_numbers_and_words_are_in_no_representation() -> None:
    from tests.store.kept import fact

    shown = repr(fact(a_call()))
    assert CALLER not in shown
    assert DIALED not in shown
