"""Stepping in: what is asked of a call, that it is noted first, and what the visitor is told."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sipagent.errors import EngineError
from sipagent.model.request import (
    CallRequest,
    HangUp,
    HoldReplies,
    Replied,
    Reply,
    ResumeReplies,
    Say,
    SwitchAgent,
    TransferTo,
    Whisper,
)
from tests.api.console.house import Read
from tests.api.console.stage import Stage, stage
from tests.store.kept import a_call, a_live, put

PLAN = {
    "agent": "store",
    "ways": {"destinations": [{"destination": "office"}, {"destination": "front_desk"}]},
    "colleagues": [{"agent": "billing"}],
}
HTMX = {"hx-request": "true", "hx-request-type": "partial"}


@pytest.fixture
async def set_up(sqlite_url: str, tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(sqlite_url, tmp_path) as made:
        await put(
            made.engine,
            a_live("rtc_1", at=3500, plan=json.dumps(PLAN)),
            a_call("rtc_2"),
        )
        yield made


@pytest.mark.parametrize(
    ("what", "fields", "request_", "action", "detail"),
    [
        ("hang-up", {}, HangUp(), "calls.hang_up", {"goodbye": False}),
        ("hang-up", {"goodbye": "yes"}, HangUp(True), "calls.hang_up", {"goodbye": True}),
        (
            "transfer",
            {"destination": "office"},
            TransferTo("office"),
            "calls.transfer",
            {"destination": "office"},
        ),
        ("say", {"text": " Wait. "}, Say("Wait."), "calls.say", {"characters": 5}),
        ("message", {"text": "Shipped."}, Whisper("Shipped."), "calls.message", {"characters": 8}),
        (
            "switch-agent",
            {"agent": "billing"},
            SwitchAgent("billing"),
            "calls.switch_agent",
            {"agent": "billing"},
        ),
        ("hold", {}, HoldReplies(), "calls.hold", None),
        ("resume", {}, ResumeReplies(), "calls.resume", None),
    ],
)
async def test_what_a_button_asks_reaches_the_call_and_the_audit(
    set_up: Stage,
    what: str,
    fields: dict[str, str],
    request_: CallRequest,
    action: str,
    detail: dict[str, object] | None,
) -> None:
    fields = {"key": "k1", **fields}
    answer = await set_up.post(
        "acme-control", f"/console/calls/rtc_1/do/{what}", fields, headers=HTMX
    )
    assert answer.status_code == 200
    assert answer.headers["hx-retarget"] == "#toasts"
    assert '<div class="toast done">' in answer.text
    ((call_id, asked, key),) = set_up.desk.asked
    assert (call_id, asked) == ("rtc_1", request_)
    assert key.startswith("tok_cc:console:k1:")
    ((who, deed),) = set_up.audit.deeds
    assert (who, deed.action, deed.target, deed.tenant) == ("Cora", action, "rtc_1", "acme")
    assert deed.detail == detail


async def test_the_page_has_the_plans_choices_and_each_form_a_key_of_its_own(
    set_up: Stage,
) -> None:
    answer = await set_up.get("acme-control", "/console/calls/rtc_1")
    page = Read(answer.text)
    options = [one.attributes["value"] for one in page.all("option")]
    assert options == ["", "office", "front_desk", "", "store", "billing"]
    keys = [one.attributes["value"] for one in page.all("input") if one.attributes["name"] == "key"]
    assert len(keys) == len(set(keys)) == 7
    actions = {
        one.attributes["action"].rpartition("/")[2]
        for one in page.all("form")
        if "/do/" in one.attributes.get("action", "")
    }
    assert len(actions) == 7
    for form in page.all("form"):
        if form.attributes.get("action", "").endswith(("hang-up", "transfer", "switch-agent")):
            assert "hx-confirm" in form.attributes
    assert page.faults() == []


async def test_a_form_that_is_sent_twice_is_one_request_and_the_next_another(
    set_up: Stage,
) -> None:
    answer = await set_up.post(
        "acme", "/console/calls/rtc_1/do/say", {"text": "A", "key": "k1"}, headers=HTMX
    )
    (fresh,) = (one for one in Read(answer.text).all("input"))
    assert fresh.attributes["id"] == "key-say"
    assert fresh.attributes["hx-swap-oob"] == "true"
    assert fresh.attributes["value"] not in ("", "k1")


async def test_what_had_no_answer_is_asked_again_as_the_same_request(set_up: Stage) -> None:
    """It may have been done: only other words, or an answer, make another request of it."""
    path = "/console/calls/rtc_1/do/say"

    async def say(text: str) -> tuple[str, list[str]]:
        answer = await set_up.post("acme", path, {"text": text, "key": "k1"}, headers=HTMX)
        fresh = [one.attributes["id"] for one in Read(answer.text).all("input")]
        return set_up.desk.asked[-1][2], fresh

    set_up.desk.reply = Reply(Replied.NO_ANSWER)
    first, kept = await say("Wait.")
    again, _ = await say("Wait.")
    other, _ = await say("Go on.")
    assert kept == []
    assert first == again != other
    set_up.desk.reply = Reply(Replied.REFUSED)
    assert (await say("Wait."))[1] == ["key-say"]


async def test_whoever_only_reads_cannot_step_in(set_up: Stage) -> None:
    for who in ("acme-read", "watcher"):
        page = await set_up.get(who, "/console/calls/rtc_1")
        assert "/do/" not in page.text
        answer = await set_up.post(who, "/console/calls/rtc_1/do/hang-up")
        assert answer.status_code == 403
    assert set_up.desk.asked == []
    assert set_up.audit.deeds[1:] == []


async def test_the_operator_steps_in_without_hearing(set_up: Stage) -> None:
    answer = await set_up.post("operator", "/console/calls/rtc_1/do/hang-up", headers=HTMX)
    assert answer.status_code == 200
    assert [(who, deed.action) for who, deed in set_up.audit.deeds] == [("Olga", "calls.hang_up")]


async def test_what_cannot_be_noted_is_not_done(set_up: Stage) -> None:
    set_up.audit.broken = True
    for what, fields in (
        ("say", {"text": "Wait."}),
        ("hold", {}),
        ("transfer", {"destination": "o"}),
    ):
        path = f"/console/calls/rtc_1/do/{what}"
        answer = await set_up.post("acme", path, fields, headers=HTMX)
        assert answer.status_code == 503
    assert set_up.desk.asked == []


async def test_a_call_is_ended_also_while_nothing_can_be_noted(set_up: Stage) -> None:
    set_up.audit.broken = True
    answer = await set_up.post("acme", "/console/calls/rtc_1/do/hang-up", {"goodbye": "yes"})
    assert answer.status_code == 303
    assert [call_id for call_id, _, _ in set_up.desk.asked] == ["rtc_1"]
    ((who, deed),) = set_up.audit.owed
    assert (who, deed.action, deed.target, deed.tenant) == ("Ann", "calls.hang_up", "rtc_1", "acme")


async def test_a_call_that_is_over_cannot_be_steered(set_up: Stage) -> None:
    answer = await set_up.post("acme", "/console/calls/rtc_2/do/hang-up", headers=HTMX)
    assert (answer.status_code, "The call is over." in answer.text) == (409, True)
    assert set_up.desk.asked == []
    assert set_up.audit.deeds == []


@pytest.mark.parametrize(
    ("reply", "status", "words"),
    [
        (
            Reply(Replied.REFUSED, "<b>office</b> is closed."),
            409,
            "&lt;b&gt;office&lt;/b&gt; is closed.",
        ),
        (Reply(Replied.REFUSED), 409, "It cannot be done with this call now."),
        (Reply(Replied.UNKNOWN_CALL), 404, "Nobody holds this call."),
        (Reply(Replied.NO_ANSWER), 504, "It may be done all the same."),
    ],
    ids=str,
)
async def test_what_was_not_done_is_told(
    set_up: Stage, reply: Reply, status: int, words: str
) -> None:
    set_up.desk.reply = reply
    answer = await set_up.post("acme", "/console/calls/rtc_1/do/hold", headers=HTMX)
    assert answer.status_code == status
    assert words in answer.text
    assert '<div class="toast wrong">' in answer.text


@pytest.mark.parametrize("unsent", [True, False])
async def test_an_engine_that_is_away_says_whether_it_may_be_done(
    set_up: Stage, unsent: bool
) -> None:
    set_up.desk.error = EngineError("asking", unsent=unsent)
    answer = await set_up.post("acme", "/console/calls/rtc_1/do/hold", headers=HTMX)
    assert answer.status_code == 503
    assert ("Nothing has been done." in answer.text) is unsent


@pytest.mark.parametrize(
    ("what", "fields", "status"),
    [
        ("say", {}, 422),
        ("say", {"text": "   "}, 422),
        ("say", {"text": "x" * 2001}, 422),
        ("say", {"text": "a\x00b"}, 422),
        ("message", {"text": ""}, 422),
        ("transfer", {}, 422),
        ("transfer", {"destination": "a\nb"}, 422),
        ("switch-agent", {"agent": "x" * 300}, 422),
        ("fly", {}, 404),
    ],
    ids=str,
)
async def test_what_cannot_be_meant_is_refused(
    set_up: Stage, what: str, fields: dict[str, str], status: int
) -> None:
    answer = await set_up.post("acme", f"/console/calls/rtc_1/do/{what}", fields, headers=HTMX)
    assert answer.status_code == status
    assert set_up.desk.asked == []
    assert set_up.audit.deeds == []


async def test_without_a_script_the_page_comes_again(set_up: Stage) -> None:
    answer = await set_up.post("acme", "/console/calls/rtc_1/do/hold")
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/calls/rtc_1")
    set_up.desk.reply = Reply(Replied.REFUSED, "No.")
    page = await set_up.post("acme", "/console/calls/rtc_1/do/hold")
    assert page.status_code == 409
    assert "<h1>Conflict</h1>" in page.text
