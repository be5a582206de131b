"""The page of one call: whose it is, what of it is shown to whom, and what it is told live."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from sipagent.api.console import call, shell
from sipagent.api.console.call import OPEN_FOR
from sipagent.model import CallId, TenantName
from sipagent.model.live import LiveKind
from sipagent.store import tables
from sipagent.store.audit import AuditFilter, lines
from tests.api.console.house import NOW, Read
from tests.api.console.stage import Stage, an_event, stage
from tests.store.kept import (
    BEGAN,
    CALLER,
    DIALED,
    HOSTILE,
    a_bill,
    a_call,
    a_live,
    a_message,
    a_step,
    a_turn,
    a_use,
    put,
)

WORD = "umbrella"
REASON = "ticket 4711: nobody understood her"
MARK = '"><script>alert(1)</script>'


@pytest.fixture
async def set_up(records_url: str, tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(records_url, tmp_path) as made:
        yield made


async def a_whole_call(set_up: Stage, *, live: bool = False, text: str = WORD) -> None:
    row = a_live("rtc_1", at=3500) if live else a_call("rtc_1", detail=HOSTILE)
    began = row["began_at"]
    await put(set_up.engine, row, a_call("rtc_beta", tenant="beta"))
    await put(
        set_up.engine,
        a_turn("rtc_1", 0, "Hello.", at=began + 3),
        a_turn("rtc_1", 1, f"{text} {CALLER}", at=began + 6),
        a_turn("rtc_1", 2, text, at=began + 9, interrupted=True),
        a_turn("rtc_1", 3, None, at=began + 12),
        table=tables.turns,
    )
    await put(
        set_up.engine,
        a_use("rtc_1", "use_1", at=began + 7, output=f"{text} {CALLER}"),
        table=tables.tool_calls,
    )
    await put(set_up.engine, a_message("rtc_1", "m1", at=began + 8), table=tables.messages)
    await put(set_up.engine, a_step("rtc_1", 1, "dropped", at=began + 8), table=tables.happenings)
    await put(set_up.engine, a_bill("rtc_1", "b1"), table=tables.usage)


async def test_the_tenants_own_people_see_everything_and_it_is_noted(set_up: Stage) -> None:
    await a_whole_call(set_up)
    answer = await set_up.get("acme-read", "/console/calls/rtc_1")
    page = Read(answer.text)
    assert answer.status_code == 200
    assert page.text.count(WORD) == 3
    for told in ("completed: line closed", "interrupted", "(not understood)", "0.0213 USD", "Ann"):
        assert told in page.text, told
    assert "What was decided" in page.text
    assert page.faults() == []
    ((who, deed),) = set_up.audit.deeds
    assert (who, deed.action, deed.target, deed.reason) == (
        "Ray",
        "calls.transcript",
        "rtc_1",
        None,
    )


async def test_numbers_are_masked_unless_an_admin_asks_for_them(set_up: Stage) -> None:
    await a_whole_call(set_up)
    for who, path in (
        ("acme", "/console/calls/rtc_1"),
        ("acme-read", "/console/calls/rtc_1"),
        ("operator", "/console/calls/rtc_1"),
    ):
        answer = await set_up.get(who, path)
        assert CALLER not in answer.text
        assert DIALED not in answer.text
    refused = await set_up.get("acme-control", "/console/calls/rtc_1?numbers=full")
    assert refused.status_code == 403
    whole = await set_up.get("acme", "/console/calls/rtc_1?numbers=full")
    assert CALLER in whole.text
    assert set_up.audit.deeds[-1][1].action == "calls.numbers"


@pytest.mark.parametrize("who", ["acme", "acme-read", "beta"])
async def test_another_tenants_call_is_not_there(set_up: Stage, who: str) -> None:
    await a_whole_call(set_up)
    name = "rtc_1" if who == "beta" else "rtc_beta"
    for path in ("", "/now", "/lines", "/events"):
        answer = await set_up.get(who, f"/console/calls/{name}{path}")
        assert answer.status_code == 404, path
        assert WORD not in answer.text
    for path in ("words", "do/hang-up"):
        answer = await set_up.post(who, f"/console/calls/{name}/{path}", {"reason": REASON})
        assert answer.status_code == (403 if (who, path) == ("acme-read", "do/hang-up") else 404)
    assert set_up.audit.deeds == []
    assert set_up.desk.asked == []
    assert set_up.watch.asked == []


async def test_each_look_at_a_call_asks_whose_it_is_by_itself(
    set_up: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were one of two filters taken away, the other one holds."""

    async def anybodys(_: object, __: object, name: str) -> CallId:
        return CallId(name)

    async def acmes(*_: object) -> tuple[CallId, TenantName]:
        return CallId("rtc_1"), TenantName("acme")

    async def refused(*paths: str) -> None:
        for path in paths:
            answer = await set_up.get("beta", f"/console/calls/rtc_1{path}")
            assert answer.status_code == 404, path
            assert WORD not in answer.text

    await a_whole_call(set_up)
    with monkeypatch.context() as patched:
        patched.setattr(shell, "found_call", anybodys)
        await refused("", "/now", "/lines", "/events")
        answer = await set_up.post("beta", "/console/calls/rtc_1/do/hang-up")
        assert (answer.status_code, set_up.desk.asked) == (404, [])
    with monkeypatch.context() as patched:
        patched.setattr(call, "_whose", acmes)
        await refused("", "/now", "/lines")


@pytest.mark.parametrize(
    "name", ["rtc_9", "%00", "a%0Ab", "%F0%9F%98%80", "x" * 3000, "-", "%2e%2e"]
)
async def test_a_call_that_is_none_is_not_there(set_up: Stage, name: str) -> None:
    for path in ("", "/now", "/lines", "/events"):
        answer = await set_up.get("operator", f"/console/calls/{name}{path}")
        assert answer.status_code == 404, path
    for path in ("words", "do/hang-up"):
        answer = await set_up.post("operator", f"/console/calls/{name}/{path}", {"reason": REASON})
        assert answer.status_code == 404, path


async def test_an_operator_opens_words_with_a_reason_that_the_tenant_can_see(
    set_up: Stage,
) -> None:
    await a_whole_call(set_up)
    closed = await set_up.get("operator", "/console/calls/rtc_1")
    assert WORD not in closed.text
    assert "order_no" not in closed.text
    assert closed.text.count('<span class="closed">spoke</span>') == 4
    assert set_up.audit.deeds == []
    for reason in ("", "   ", "x" * 257):
        answer = await set_up.post("operator", "/console/calls/rtc_1/words", {"reason": reason})
        assert answer.status_code == 422
    assert set_up.audit.deeds == []
    async with set_up.client("operator") as client:
        opened = await open_words(set_up, client)
        page = Read(opened.text)
        assert page.text.count(WORD) == 3
        assert page.faults() == []
    (line,) = await lines(set_up.engine, AuditFilter())
    assert (line.deed.action, line.deed.tenant, line.deed.reason) == (
        "calls.transcript",
        "acme",
        REASON,
    )


async def open_words(set_up: Stage, client: httpx.AsyncClient) -> httpx.Response:
    """The page after its form was sent."""
    form = Read((await client.get("/console/calls/rtc_1")).text)
    word = next(
        one.attributes["value"] for one in form.all("input") if one.attributes["name"] == "csrf"
    )
    answer = await client.post("/console/calls/rtc_1/words", data={"csrf": word, "reason": REASON})
    assert answer.status_code == 303
    return await client.get(answer.headers["location"])


async def test_opened_words_are_the_sessions_own_and_close_again(set_up: Stage) -> None:
    await a_whole_call(set_up)
    async with set_up.client("operator") as client, set_up.client("operator") as other:
        path = str((await open_words(set_up, client)).url.raw_path.decode())
        assert WORD in (await client.get(path)).text
        assert WORD not in (await other.get(path)).text
        assert WORD not in (await client.get(path.replace("words=6", "words=7"))).text
        assert WORD not in (await client.get(path + "0")).text
        assert len(set_up.audit.deeds) == 1
        set_up.clock.now = NOW + OPEN_FOR + 1
        assert WORD not in (await client.get(path)).text


async def test_without_an_audit_no_word_is_shown(set_up: Stage) -> None:
    await a_whole_call(set_up)
    set_up.audit.broken = True
    assert (await set_up.get("acme", "/console/calls/rtc_1")).status_code == 503
    answer = await set_up.post("operator", "/console/calls/rtc_1/words", {"reason": REASON})
    assert answer.status_code == 503
    assert (await set_up.get("operator", "/console/calls/rtc_1")).status_code == 200


@pytest.mark.parametrize("live", [True, False])
async def test_what_was_said_is_text(set_up: Stage, live: bool) -> None:
    await a_whole_call(set_up, live=live, text=MARK)
    for path in ("", "/now", "/lines"):
        answer = await set_up.get("acme", f"/console/calls/rtc_1{path}")
        assert answer.status_code == 200
        assert "<script>alert" not in answer.text
        assert "\x1b" not in answer.text
    page = await set_up.get("acme", "/console/calls/rtc_1")
    assert "&lt;script&gt;alert(1)" in page.text
    assert Read(page.text).faults() == []


async def test_a_held_call_streams_behind_what_the_page_shows(set_up: Stage) -> None:
    await a_whole_call(set_up, live=True)
    async with set_up.client("acme") as client:
        page = Read((await client.get("/console/calls/rtc_1")).text)
        (stream,) = (one for one in page.elements if one.attributes.get("id") == "stream")
        set_up.watch.events = [
            an_event(LiveKind.WORDS, speaker="caller", item="i1", text=MARK),
            an_event(LiveKind.TURN, "turn.4", sequence=4, speaker="caller", text=MARK),
            an_event(LiveKind.TOOL, "tool.use_2", name="order", status="done", seconds=0.4),
            an_event(
                LiveKind.TRANSFER, "transfer.1.made", number=1, destination="desk", answer="x"
            ),
            an_event(LiveKind.STEP, "step.dropped.1", what="dropped", detail=CALLER),
            an_event(LiveKind.HEARD),
            an_event(LiveKind.GAP, why="slow"),
            an_event(LiveKind.ENDED, outcome="completed.line_closed"),
        ]
        answer = await client.get(stream.attributes["hx-sse:connect"])
        again = await client.get(
            stream.attributes["hx-sse:connect"], headers={"last-event-id": "turn.4@rtc_1"}
        )
    assert again.status_code == 200
    assert set_up.watch.asked == [("rtc_1", "turn.3@rtc_1"), ("rtc_1", "turn.4@rtc_1")]
    text = answer.text
    assert "<script>alert" not in text
    assert CALLER not in text
    spoken, turn, tool, transfer, step, *named = text.split("\n\n")[1:9]
    assert spoken.startswith('data: <hx-partial hx-target="#now-caller" hx-swap="beforeend">')
    assert "&lt;script&gt;" in spoken
    assert "id:" not in spoken
    assert '<li id="turn-4"' in turn
    assert 'hx-target="#now-caller"></hx-partial>' in turn
    assert turn.endswith("\nid: turn.4@rtc_1")
    assert '<li id="tool-use_2"' in tool
    assert "done after 0.4 s" in tool
    assert "Transfer to desk" in transfer
    assert "The socket was lost" in step
    assert [one.split("\n")[0] for one in named[:3]] == [
        "event: progress",
        "event: gap",
        "event: ended",
    ]


async def test_lines_have_the_same_names_live_and_recorded(set_up: Stage) -> None:
    """So that what is told live takes the place of what the page has already."""
    await a_whole_call(set_up, live=True)
    page = await set_up.get("acme", "/console/calls/rtc_1")
    set_up.watch.events = [
        an_event(LiveKind.TURN, "turn.1", sequence=1, speaker="caller", text="x"),
        an_event(LiveKind.TOOL, "tool.use_1", name="order", status="done", seconds=0.4),
        an_event(LiveKind.STEP, "step.dropped.1", at=BEGAN + 3508, what="dropped"),
    ]
    answer = await set_up.get("acme", "/console/calls/rtc_1/events")
    found = re.findall(r'<li id="([^"]+)"', answer.text)
    assert len(set(found)) == 3
    assert set(found) <= set(re.findall(r'<li id="([^"]+)"', page.text))


async def test_a_stream_with_words_ends_with_its_grant(set_up: Stage) -> None:
    await a_whole_call(set_up, live=True)
    set_up.watch.events = [
        an_event(LiveKind.TURN, "turn.4", sequence=4, speaker="agent", text=WORD)
    ]
    async with set_up.client("acme") as client:
        page = Read((await client.get("/console/calls/rtc_1")).text)
        (stream,) = (one for one in page.elements if one.attributes.get("id") == "stream")

        def an_hour_passes() -> None:
            set_up.clock.now += OPEN_FOR

        set_up.watch.between = an_hour_passes
        path = stream.attributes["hx-sse:connect"]
        assert (await client.get(path)).text.count(WORD) == 1
        assert WORD not in (await client.get(path)).text


async def test_whoever_has_seen_the_end_is_told_nothing_more(set_up: Stage) -> None:
    await a_whole_call(set_up)
    seen = {"last-event-id": "ended@rtc_1"}
    answer = await set_up.get("acme", "/console/calls/rtc_1/events", seen)
    assert (answer.status_code, set_up.watch.asked) == (204, [])


@pytest.mark.parametrize("who", ["operator", "acme"])
async def test_a_stream_without_a_grant_has_no_words(set_up: Stage, who: str) -> None:
    await a_whole_call(set_up, live=True)
    set_up.watch.events = [
        an_event(LiveKind.WORDS, speaker="agent", item="i1", text=WORD),
        an_event(LiveKind.TURN, "turn.4", sequence=4, speaker="agent", text=WORD),
    ]
    answer = await set_up.get(who, "/console/calls/rtc_1/events?words=1.2")
    assert WORD not in answer.text
    assert '<li id="turn-4"' in answer.text
    assert '<span class="closed">spoke</span>' in answer.text
    for path in ("/now", "/lines"):
        assert WORD not in (await set_up.get(who, f"/console/calls/rtc_1{path}?words=x")).text
    assert set_up.audit.deeds == []


async def test_a_held_call_shows_whether_its_replies_are_on_hold(set_up: Stage) -> None:
    await a_whole_call(set_up, live=True)

    async def stepped(number: int, detail: str) -> str:
        row = a_step("rtc_1", number, "stepped_in", at=NOW - 60 + number, detail=detail)
        await put(set_up.engine, row, table=tables.happenings)
        answer = await set_up.get("acme-read", "/console/calls/rtc_1/now")
        assert Read(answer.text).faults() == []
        return answer.text

    assert "on hold" not in await stepped(2, "say")
    assert "replies on hold" in await stepped(3, "hold")
    assert "replies on hold" in await stepped(4, "message")
    assert "on hold" not in await stepped(5, "resume")
    await stepped(6, "hold")
    await put(set_up.engine, a_call("rtc_2"))
    over = a_step("rtc_2", 1, "stepped_in", at=NOW - 60, detail="hold")
    await put(set_up.engine, over, table=tables.happenings)
    assert "on hold" not in (await set_up.get("acme-read", "/console/calls/rtc_2/now")).text


async def test_a_page_looks_again_when_replies_are_held(set_up: Stage) -> None:
    await a_whole_call(set_up, live=True)
    set_up.watch.events = [
        an_event(LiveKind.STEP, "step.stepped_in.1", what="stepped_in", detail=detail)
        for detail in ("say", "hold", "resume")
    ]
    stream = await set_up.get("acme-read", "/console/calls/rtc_1/events")
    assert stream.text.count("event: progress") == 4, "the events are told twice"


async def test_a_page_of_a_call_that_has_ended_is_loaded_again(set_up: Stage) -> None:
    await a_whole_call(set_up, live=True)
    assert "hx-refresh" not in (await set_up.get("acme", "/console/calls/rtc_1/now")).headers
    await put(set_up.engine, a_call("rtc_2"))
    over = await set_up.get("acme", "/console/calls/rtc_2/now")
    assert over.headers["hx-refresh"] == "true"
    page = await set_up.get("acme", "/console/calls/rtc_2")
    assert "hx-sse:connect" not in page.text
    assert "/do/" not in page.text


async def test_a_call_is_found_by_its_webhook_too(set_up: Stage) -> None:
    await put(set_up.engine, a_call("rtc_1"))
    answer = await set_up.get("acme", "/console/calls/wh_rtc_1")
    assert "/console/live" in answer.text
    assert answer.status_code == 200
