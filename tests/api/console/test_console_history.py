"""*History* shows people their own calls, and no word or number to whoever may not have it."""

import csv
import io
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sipagent.model import Reason
from sipagent.store import tables
from sipagent.store.audit import AuditFilter, lines
from sipagent.store.reading import CallFilter, Page, count_calls, list_calls
from tests.api.console.house import House, Read, house
from tests.store.kept import (
    BEGAN,
    CALLER,
    DIALED,
    HOSTILE,
    a_call,
    a_live,
    a_turn,
    failed,
    put,
    rejected,
)

WORD = "umbrella"


@pytest.fixture
async def home(records_url: str, tmp_path: Path) -> AsyncIterator[House]:
    async with house(records_url, tmp_path) as made:
        yield made


def ids(text: str) -> list[str]:
    """The calls of a page, in its order."""
    page = Read(text)
    return [
        one.attributes["href"].rpartition("/")[2]
        for one in page.all("a")
        if one.attributes["href"].startswith("/console/calls/")
    ]


async def test_a_list_shows_how_each_call_went(home: House) -> None:
    await put(
        home.engine,
        a_call("rtc_1", usage_complete=False),
        failed("rtc_2", Reason.ACCEPT_REFUSED, at=10, detail="404"),
        a_live("rtc_3", at=20),
    )
    answer = await home.get("acme-read", "/console/history")
    assert answer.status_code == 200
    assert ids(answer.text) == ["rtc_3", "rtc_2", "rtc_1"]
    text = Read(answer.text).text
    assert "completed: line closed" in text
    assert "failed: accept refused 404 provider" in text
    assert "1:00 ≥ 0.0213 USD" in text
    assert "live" in text
    assert CALLER not in answer.text
    assert DIALED not in answer.text
    assert Read(answer.text).faults() == []


async def test_filters_leave_what_they_name(home: House) -> None:
    await put(
        home.engine,
        a_call("rtc_1", at=0),
        failed("rtc_2", at=60, trunk="wavix-eu", caller="+442079460100"),
        a_call("rtc_3", at=120, agent="night", dialed="+17134810122"),
        a_call("rtc_4", at=180, tenant="beta"),
    )
    for who, asked, found in (
        ("operator", {}, "4 3 2 1"),
        ("operator", {"tenant": "beta"}, "4"),
        ("acme", {"tenant": "beta"}, "3 2 1"),
        ("acme", {"outcome": "failed"}, "2"),
        ("acme", {"outcome": "failed.provider_error"}, "2"),
        ("acme", {"agent": "night"}, "3"),
        ("acme", {"trunk": "wavix-eu"}, "2"),
        ("acme", {"caller": "+44 20 7946 0100"}, "2"),
        ("acme", {"dialed": "+1 713 481 0122"}, "3"),
        ("acme", {"since": "2026-09-22T13:54", "until": "2026-09-22T13:55"}, "2"),
        ("acme", {"agent": "' OR 1=1 --"}, ""),
    ):
        answer = await home.get(who, "/console/history", **asked)
        found_ids = " ".join(one.removeprefix("rtc_") for one in ids(answer.text))
        assert (answer.status_code, found_ids) == (200, found), (who, asked)


@pytest.mark.parametrize(
    "asked",
    [{"outcome": "fail"}, {"since": "yesterday"}, {"after": "x"}, {"agent": "a" * 101}],
    ids=str,
)
async def test_what_cannot_be_meant_is_told(home: House, asked: dict[str, str]) -> None:
    answer = await home.get("acme", "/console/history", **asked)
    assert answer.status_code == 422
    assert "<h1>" in answer.text


async def test_pages_follow_each_other(home: House) -> None:
    await put(home.engine, *(a_call(f"rtc_{at:03}", at=at // 2) for at in range(120)))
    seen: list[str] = []
    path: str | None = "/console/history?agent=store"
    while path is not None:
        answer = await home.get("acme", path)
        seen += ids(answer.text)
        older = [one for one in Read(answer.text).all("a") if one.attributes.get("rel") == "next"]
        path = older[0].attributes["href"] if older else None
    assert seen == [f"rtc_{at:03}" for at in reversed(range(120))]


async def test_words_are_found_and_the_search_is_in_the_audit(home: House) -> None:
    await put(home.engine, a_call("rtc_1"), a_call("rtc_2", tenant="beta"))
    await put(
        home.engine,
        a_turn("rtc_1", 0, f"My <b>{WORD}</b>, call {CALLER}."),
        a_turn("rtc_2", 0, f"Their {WORD}.", tenant="beta"),
        table=tables.turns,
    )
    answer = await home.post("acme-read", "/console/history/words", words=WORD, tenant="beta")
    assert answer.status_code == 200
    assert ids(answer.text) == ["rtc_1"]
    assert "&lt;b&gt;umbrella" in answer.text
    assert CALLER not in answer.text
    assert Read(answer.text).faults() == []
    (line,) = await lines(home.engine, AuditFilter())
    assert (line.deed.action, line.deed.tenant, line.by.name) == ("calls.search", "acme", "Ray")
    assert WORD not in str(line)


async def test_an_operator_searches_words_only_with_a_tenant_and_a_reason(home: House) -> None:
    await put(home.engine, a_turn("rtc_1", 0, f"My {WORD}."), table=tables.turns)
    for asked in ({}, {"tenant": "acme"}, {"reason": "because"}, {"tenant": "acme", "reason": "x"}):
        answer = await home.post("operator", "/console/history/words", words=WORD, **asked)
        assert answer.status_code == 422, asked
        assert ids(answer.text) == []
    assert home.deeds == []
    reason = "ticket 4711: nobody understood her"
    answer = await home.post(
        "operator", "/console/history/words", words=WORD, tenant="acme", reason=reason
    )
    assert ids(answer.text) == ["rtc_1"]
    told = await home.get("acme-read", "/console/config/audit")
    assert reason in told.text
    assert reason not in (await home.get("beta", "/console/config/audit")).text


async def test_without_an_audit_no_word_is_shown(home: House) -> None:
    await put(home.engine, a_turn("rtc_1", 0, f"My {WORD}."), table=tables.turns)
    home.backend.audit.broken = True  # type: ignore[attr-defined]  # the audit of tests
    answer = await home.post("acme", "/console/history/words", words=WORD)
    assert answer.status_code == 503
    assert ids(answer.text) == []
    assert (await home.post("acme", "/console/history/export", form="csv")).status_code == 503


async def test_a_list_is_exported_as_it_is_filtered(home: House) -> None:
    await put(
        home.engine,
        a_call("rtc_1", caller_name=f"=cmd(){HOSTILE}"),
        *(failed(f"rtc_f{at}", at=at) for at in range(1100)),
        a_call("rtc_2", tenant="beta"),
    )
    answer = await home.post("acme", "/console/history/export", form="csv", outcome="completed")
    assert answer.headers["content-type"].startswith("text/csv")
    assert "attachment" in answer.headers["content-disposition"]
    (row,) = csv.DictReader(io.StringIO(answer.text))
    assert (row["call_id"], row["seconds"]) == ("rtc_1", "60.0")
    assert "caller_name" not in row
    assert CALLER not in answer.text
    answer = await home.post("acme", "/console/history/export", form="ndjson")
    told = [json.loads(line) for line in answer.text.splitlines()]
    assert len(told) == 1101
    assert {one["tenant"] for one in told} == {"acme"}
    assert home.deeds[-1].detail == {
        "form": "ndjson",
        "numbers": False,
        "calls": 1101,
        "filter": {},
    }


async def test_only_an_admin_exports_and_numbers_are_whole_where_asked_for(home: House) -> None:
    await put(home.engine, a_call("rtc_1", caller_name=f"=cmd(){HOSTILE}"))
    asked = {"form": "csv", "numbers": "yes", "caller": CALLER}
    for who in ("acme-read", "acme-control", "watcher"):
        refused = await home.post(who, "/console/history/export", **asked)
        assert refused.status_code == 403
        assert "history/export" not in (await home.get(who, "/console/history")).text
    assert home.deeds == []
    answer = await home.post("acme", "/console/history/export", **asked)
    (row,) = csv.DictReader(io.StringIO(answer.text))
    assert row["caller"] == f"'{CALLER}"
    assert row["caller_name"].startswith("'=cmd()")
    assert "\x1b" not in answer.text
    assert CALLER not in str(home.deeds[-1].detail)


async def test_an_operator_has_whole_numbers_of_one_tenant_only(home: House) -> None:
    await put(home.engine, a_call("rtc_1"), a_call("rtc_2", tenant="beta"))
    asked = {"form": "csv", "numbers": "yes"}
    refused = await home.post("operator", "/console/history/export", **asked)
    assert refused.status_code == 422
    assert home.deeds == []
    masked = await home.post("operator", "/console/history/export", form="csv")
    assert (masked.status_code, CALLER in masked.text) == (200, False)
    whole = await home.post("operator", "/console/history/export", tenant="acme", **asked)
    assert (CALLER in whole.text, home.deeds[-1].tenant) == (True, "acme")


@pytest.mark.parametrize("asked", [{"form": "xlsx"}, {}], ids=str)
async def test_another_form_of_a_file_is_refused(home: House, asked: dict[str, str]) -> None:
    assert (await home.post("acme", "/console/history/export", **asked)).status_code == 422


async def test_more_calls_than_a_file_takes_are_refused(
    home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(home.engine, *(a_call(f"rtc_{at}", at=at) for at in range(4)))
    monkeypatch.setattr("sipagent.api.console.history.MOST_EXPORTED", 3)
    answer = await home.post("acme", "/console/history/export", form="csv")
    assert answer.status_code == 422
    assert "shorter time" in answer.text
    async with home.engine.connect() as connection:
        assert await count_calls(connection, None, CallFilter(), most=2) == 3
        wanted = CallFilter(outcomes=("completed.line_closed", "failed.x"), since=BEGAN + 2)
        assert await count_calls(connection, None, wanted, most=9) == 2


async def test_a_file_whose_end_cannot_be_read_breaks_off(
    home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(home.engine, *(a_call(f"rtc_{at}", at=at) for at in range(3)))
    monkeypatch.setattr("sipagent.api.console.exporting.PAGE", 2)
    asked = 0

    async def goes_away(*_: Any, **more: Any) -> Page:
        nonlocal asked
        asked += 1
        if asked == 2:
            raise ConnectionError("away")
        return await list_calls(*_, **more)

    monkeypatch.setattr("sipagent.api.console.exporting.list_calls", goes_away)
    with pytest.raises(RuntimeError, match="response already started"):
        await home.post("acme", "/console/history/export", form="csv")


@pytest.mark.parametrize("path", ["words", "export"])
async def test_a_form_without_the_sessions_token_is_refused(home: House, path: str) -> None:
    answer = await home.post("acme", f"/console/history/{path}", csrf="x", words="a", form="csv")
    assert answer.status_code == 403
    assert home.deeds == []


async def test_what_is_stored_is_text_in_the_page(home: House) -> None:
    mark = '"><script>alert(1)</script>'
    await put(home.engine, failed("rtc_1", detail=mark, agent=mark))
    answer = await home.get("acme", "/console/history", agent=mark)
    assert "<script>alert" not in answer.text
    assert Read(answer.text).faults() == []


async def test_no_page_shows_another_tenants_calls(home: House) -> None:
    """Random calls, asked for in every way: what acme's people see is acme's."""
    chance = random.Random(7)
    rows, turns = [], []
    for at in range(200):
        tenant = chance.choice(["acme", "beta", "default", "acme2"])
        make = chance.choice([a_call, failed, rejected, a_live])
        name = f"rtc_{tenant}_{at}"
        rows.append(make(name, tenant=tenant, at=at, dialed=chance.choice([DIALED, "+1713481019"])))
        turns.append(a_turn(name, 0, WORD, tenant=tenant))
    await put(home.engine, *rows)
    await put(home.engine, *turns, table=tables.turns)
    ways: list[dict[str, str]] = [
        {},
        {"tenant": "beta"},
        {"tenant": "default"},
        {"dialed": DIALED},
        {"caller": CALLER},
        {"outcome": "rejected"},
        {"after": f"{BEGAN + 100}~rtc_beta_100"},
        {"tenant": "%"},
    ]
    for who in ("acme", "acme-read", "acme-control"):
        for asked in ways:
            answer = await home.get(who, "/console/history", **asked)
            assert ids(answer.text), asked
            assert all(one.startswith("rtc_acme_") for one in ids(answer.text)), asked
            asked.pop("after", None)
            found = await home.post(who, "/console/history/words", words=WORD, **asked)
            assert all(one.startswith("rtc_acme_") for one in ids(found.text))
            file = await home.post("acme", "/console/history/export", form="ndjson", **asked)
            assert all(json.loads(one)["tenant"] == "acme" for one in file.text.splitlines())
