"""*Live*: the calls that are held, how much room is left, and no word to whoever may not hear."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from sipagent.api.console.live import FRESH, Lists, Room, rooms_of, state_of
from sipagent.api.health import UnreadyReason
from sipagent.api.problems import Problem, records_away
from sipagent.model import AccountName, Quota, QuotaScope, TenantName
from sipagent.model.live import LiveKind
from sipagent.routing import RoutingTable, TenantProfile
from sipagent.store import tables
from sipagent.store.reading.speech import HeldCount, Reached
from tests.api.console.house import NOW, Read
from tests.api.console.stage import Stage, an_event, stage
from tests.store.forgetting import At
from tests.store.kept import BEGAN, CALLER, DIALED, a_call, a_live, a_turn, fact, put

WORD = "umbrella"
HERE = NOW - BEGAN - 60


@pytest.fixture
async def set_up(records_url: str, tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(records_url, tmp_path) as made:
        yield made


def ids(text: str) -> list[str]:
    """The calls of the list, in its order."""
    rows = [one.attributes.get("id", "") for one in Read(text).all("tr")]
    return [one.removeprefix("call-") for one in rows if one.startswith("call-")]


async def test_held_calls_are_listed_the_newest_first_and_nobody_elses(set_up: Stage) -> None:
    await put(
        set_up.engine,
        a_live("rtc_1", at=HERE),
        a_live("rtc_2", at=HERE + 10, caller=None),
        a_call("rtc_3", at=HERE),
        a_live("rtc_4", at=HERE + 20, tenant="beta"),
        a_live("rtc_5", at=HERE - 4 * 3600),
    )
    answer = await set_up.get("acme-read", "/console/live")
    page = Read(answer.text)
    assert ids(answer.text) == ["rtc_2", "rtc_1"]
    assert "withheld" in page.text
    assert CALLER not in answer.text
    assert DIALED not in answer.text
    assert page.faults() == []
    assert ids((await set_up.get("operator", "/console/live")).text) == ["rtc_4", "rtc_2", "rtc_1"]
    of_beta = await set_up.get("operator", "/console/live?tenant=beta")
    assert ids(of_beta.text) == ["rtc_4"]
    assert ids((await set_up.get("beta", "/console/live/calls")).text) == ["rtc_4"]


async def test_another_tenants_list_is_not_there(set_up: Stage) -> None:
    for path in ("/console/live", "/console/live/calls", "/console/live/events"):
        answer = await set_up.get("acme", f"{path}?tenant=beta")
        assert answer.status_code == 404, path
    for path in ("/console/live", "/console/live/calls", "/console/live/events"):
        assert (await set_up.get("operator", f"{path}?tenant=a%00")).status_code == 404
    assert set_up.watch.asked == []


async def test_the_page_is_told_that_calls_have_changed(set_up: Stage) -> None:
    set_up.watch.events = [
        an_event(LiveKind.DECIDED, dialed="+17*******11"),
        an_event(LiveKind.ENDED),
        an_event(LiveKind.GAP, why="slow"),
    ]
    answer = await set_up.get(
        "acme", "/console/live/events", {"last-event-id": "answered@rtc_0", "hx-request": "true"}
    )
    assert answer.headers["content-type"].startswith("text/event-stream")
    frames = answer.text.split("\n\n")
    assert len(frames) == 1 + 2 * 3 + 1
    assert frames[1] == "event: calls\ndata: \nid: decided@rtc_1"
    assert frames[2] == "event: calls\ndata: \nid: ended@rtc_1"
    assert "+17" not in answer.text
    assert set_up.watch.asked == [("acme", "answered@rtc_0")]
    await set_up.get("operator", "/console/live/events")
    assert set_up.watch.asked[-1] == (None, None)


@pytest.mark.parametrize("path", ["live/events", "calls/rtc_1/events"])
async def test_a_stream_ends_with_its_session(set_up: Stage, path: str) -> None:
    await put(set_up.engine, a_live("rtc_1", at=HERE))
    set_up.watch.events = [an_event(LiveKind.HEARD)]

    def told(answer: httpx.Response) -> int:
        return answer.text.count("id: heard@rtc_1")

    def later(*, revoked: bool = False, away: bool = False) -> Callable[[], None]:
        def happens() -> None:
            set_up.clock.now += 5
            set_up.people.away = away
            set_up.people.revoked = {"token-acme"} if revoked else set()

        return happens

    assert told(await set_up.get("acme", f"/console/{path}")) == 2
    set_up.watch.between = later()
    assert told(await set_up.get("acme", f"/console/{path}")) == 2
    set_up.watch.between = later(revoked=True)
    assert told(await set_up.get("acme", f"/console/{path}")) == 1
    set_up.people.revoked = set()
    set_up.watch.between = later(away=True)
    assert told(await set_up.get("acme", f"/console/{path}")) == 2


async def test_last_words_are_the_tenants_own_and_noted(set_up: Stage) -> None:
    await put(set_up.engine, a_live("rtc_1", at=HERE), a_live("rtc_2", at=HERE, tenant="beta"))
    await put(
        set_up.engine,
        a_turn("rtc_1", 0, "First."),
        a_turn("rtc_1", 1, f"<b>{WORD}</b> {CALLER}"),
        a_turn("rtc_1", 2, None),
        a_turn("rtc_2", 1, f"Their {WORD}", tenant="beta"),
        table=tables.turns,
    )
    without = await set_up.get("acme-read", "/console/live")
    assert WORD not in without.text
    assert set_up.audit.deeds == []
    page = await set_up.get("acme-read", "/console/live?words=true")
    assert page.text.count(WORD) == 1
    assert f"&lt;b&gt;{WORD}&lt;/b&gt;" in page.text
    assert CALLER not in page.text
    ((who, deed),) = set_up.audit.deeds
    assert (who, deed.action, deed.tenant) == ("Ray", "calls.live_words", "acme")
    for path in ("/console/live?words=true", "/console/live?words=true&tenant=acme"):
        assert WORD not in (await set_up.get("operator", path)).text
    assert len(set_up.audit.deeds) == 1


async def test_only_the_session_that_was_noted_goes_on_with_words(set_up: Stage) -> None:
    await put(set_up.engine, a_live("rtc_1", at=HERE))
    await put(set_up.engine, a_turn("rtc_1", 1, WORD), table=tables.turns)
    async with set_up.client("acme") as client, set_up.client("acme") as other:
        page = Read((await client.get("/console/live?words=true")).text)
        (held,) = (one for one in page.elements if one.attributes.get("id") == "held")
        path = held.attributes["hx-get"]
        assert WORD in (await client.get(path)).text
        assert WORD not in (await other.get(path)).text
        assert WORD not in (await client.get(path.replace("seal=", "seal=0"))).text
    async with set_up.client("operator") as client:
        assert WORD not in (await client.get(f"{path}&tenant=acme")).text


async def test_without_an_audit_no_word_is_shown(set_up: Stage) -> None:
    set_up.audit.broken = True
    assert (await set_up.get("acme", "/console/live?words=true")).status_code == 503


async def test_operators_see_what_is_wrong_with_the_replica(set_up: Stage) -> None:
    set_up.wrong.append(UnreadyReason("tenant beta", "stale", "Beta's <file> is broken."))
    page = await set_up.get("operator", "/console/live")
    assert "Beta&#39;s &lt;file&gt; is broken." in page.text
    part = await set_up.get("operator", "/console/live/calls")
    assert '<div id="banners" hx-swap-oob="true">' in part.text
    assert "Beta&#39;s &lt;file&gt; is broken." in part.text
    for path in ("/console/live", "/console/live/calls"):
        assert "broken" not in (await set_up.get("acme", path)).text


async def test_what_callers_and_models_name_is_text(set_up: Stage) -> None:
    mark = '"><script>alert(1)</script>'
    await put(set_up.engine, a_live("rtc_1", at=HERE, caller=mark, dialed=mark, agent=mark))
    await put(set_up.engine, a_turn("rtc_1", 1, mark), table=tables.turns)
    for path in ("/console/live", "/console/live?words=true", "/console/live/calls"):
        answer = await set_up.get("acme", path)
        assert "<script>alert" not in answer.text, path
        assert Read(answer.text).faults() == []


HERE_IT_IS = frozenset({"rtc_1"})


@pytest.mark.parametrize(
    ("changes", "far", "state"),
    [
        ({}, Reached(), "answering"),
        ({}, Reached(HERE_IT_IS), "connected"),
        ({}, Reached(HERE_IT_IS, HERE_IT_IS), "talking"),
        ({"verdict": "forward"}, Reached(HERE_IT_IS), "being sent on"),
        ({"outcome": "completed.line_closed"}, Reached(HERE_IT_IS, HERE_IT_IS), "ended"),
    ],
)
def test_how_far_a_call_has_come(changes: dict[str, Any], far: Reached, state: str) -> None:
    assert state_of(fact(a_live("rtc_1", **changes)), far) == state


def test_room_is_what_is_held_of_what_there_may_be() -> None:
    quota = Quota(QuotaScope.TENANT, "acme", held=60)
    table = RoutingTable(
        directories={},
        agents={},
        tenants={
            TenantName("acme"): TenantProfile(TenantName("acme"), quota=quota),
            TenantName("beta"): TenantProfile(TenantName("beta")),
        },
        config_hash="x",
        quotas={AccountName("us-1"): Quota(QuotaScope.ACCOUNT, "us-1", held=900)},
    )
    counts = [
        HeldCount("acme", "us-1", 3),
        HeldCount("acme", "eu-1", 1),
        HeldCount("beta", "us-1", 2),
    ]
    assert rooms_of(counts, table, None) == [
        Room("Account eu-1", 1, None),
        Room("Account us-1", 5, 900),
        Room("Tenant acme", 4, 60),
    ]
    assert rooms_of(counts[:2], table, TenantName("acme")) == [Room("Tenant acme", 4, 60)]
    assert rooms_of([], table, TenantName("acme")) == [Room("Tenant acme", 0, 60)]
    assert rooms_of(counts[2:], table, TenantName("beta")) == []
    assert rooms_of([], table, TenantName("gone")) == []


async def test_many_viewers_cost_one_look() -> None:
    clock, looks, going = At(0.0), 0, asyncio.Event()
    lists = Lists(clock)

    async def render() -> str:
        nonlocal looks
        looks += 1
        await going.wait()
        return f"look {looks}"

    async with asyncio.TaskGroup() as tasks:
        viewers = [tasks.create_task(lists.get(("acme",), render)) for _ in range(50)]
        await asyncio.sleep(0)
        going.set()
    assert {one.result() for one in viewers} == {"look 1"}
    clock.now = FRESH - 0.1
    assert await lists.get(("acme",), render) == "look 1"
    clock.now = FRESH + 0.1
    assert await lists.get(("acme",), render) == "look 2"
    assert await lists.get(("beta",), render) == "look 3"


async def test_records_that_do_not_answer_are_asked_once_by_all_who_wait() -> None:
    clock, looks, going = At(0.0), 0, asyncio.Event()
    lists = Lists(clock)

    async def fails() -> str:
        nonlocal looks
        looks += 1
        await going.wait()
        raise records_away()

    async def works() -> str:
        return "seen"

    async def ask() -> int:
        with pytest.raises(Problem) as problem:
            await lists.get(("acme",), fails)
        return problem.value.status

    async with asyncio.TaskGroup() as tasks:
        viewers = [tasks.create_task(ask()) for _ in range(50)]
        await asyncio.sleep(0)
        going.set()
    assert ({one.result() for one in viewers}, looks) == ({503}, 1)
    clock.now = 1.0
    assert await lists.get(("acme",), works) == "seen"


async def test_however_many_lists_are_asked_for_few_are_kept() -> None:
    lists = Lists(At(0.0))

    async def render() -> str:
        return "seen"

    for number in range(1000):
        await lists.get((number,), render)
    assert len(lists._looks) < 100  # what bounds its memory has no other face
