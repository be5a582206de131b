"""Calls listed, told and told in sentences, on both databases."""

from dataclasses import replace
from typing import Any

import httpx
import pytest

from sipagent.model.access import Scope
from sipagent.store import tables
from tests.api.v1.standing import ACME_NUMBER, BETA_NUMBER, Standing
from tests.store.kept import (
    CALLER,
    a_bill,
    a_call,
    a_live,
    a_message,
    a_step,
    a_turn,
    a_use,
    an_alias,
    failed,
    put,
    rejected,
)

WORDS = f"Call me back at {CALLER}, please."

CALLS = (
    a_call("rtc_1", caller_name="Ann Smith"),
    failed("rtc_2", at=10, trunk="wavix-eu", caller="+442079460100", agent="night"),
    a_call("rtc_3", at=20, tenant="beta", account="eu-1", dialed=BETA_NUMBER),
    rejected("rtc_4", at=30, dialed="+17134810199"),
    a_live("rtc_5", at=40),
)


@pytest.fixture
async def filled(stands: Standing) -> Standing:
    await fill(stands)
    return stands


async def fill(stand: Standing) -> None:
    engine = stand.kept.opened
    await put(engine, *CALLS)
    for table, row in (
        (tables.turns, a_turn("rtc_1")),
        (tables.turns, a_turn("rtc_1", 1, WORDS)),
        (tables.turns, a_turn("rtc_3", 0, WORDS, tenant="beta")),
        (tables.happenings, a_step("rtc_1", 1, "greeted")),
        (tables.tool_calls, a_use("rtc_1", "u1")),
        (tables.messages, a_message("rtc_1", "m1")),
        (tables.usage, a_bill("rtc_1", "b1")),
        (tables.aliases, an_alias("rtc_1", "CA7")),
    ):
        await put(engine, row, table=table)


async def ids(client: httpx.AsyncClient, query: str) -> list[str]:
    answer = await client.get(f"/api/v1/calls{query}")
    assert answer.status_code == 200, answer.text
    return [call["call_id"] for call in answer.json()["calls"]]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["rtc_5", "rtc_4", "rtc_3", "rtc_2", "rtc_1"]),
        ("?tenant=acme", ["rtc_5", "rtc_2", "rtc_1"]),
        ("?agent=night", ["rtc_2"]),
        ("?outcome=failed", ["rtc_2"]),
        ("?outcome=rejected.unknown_number", ["rtc_4"]),
        ("?live=true", ["rtc_5"]),
        ("?live=false&limit=2", ["rtc_5", "rtc_4"]),
        (f"?dialed=%2B{BETA_NUMBER[1:]}", ["rtc_3"]),
        ("?caller=%2B442079460100", ["rtc_2"]),
        ("?trunk=wavix-eu", ["rtc_2"]),
        ("?account=eu-1", ["rtc_3"]),
        ("?since=2026-09-22T13:53:40Z", ["rtc_5", "rtc_4", "rtc_3"]),
        ("?since=86370s", ["rtc_5", "rtc_4"]),
        ("?until=2026-09-22T15:53:30%2B02:00", ["rtc_1"]),
    ],
)
async def test_calls_are_listed_by_what_is_asked_for(
    filled: Standing, query: str, found: list[str]
) -> None:
    async with filled.client() as operator:
        assert await ids(operator, query) == found


async def test_pages_follow_each_other(filled: Standing) -> None:
    found, after = [], ""
    async with filled.client() as operator:
        while True:
            answer = await operator.get(f"/api/v1/calls?limit=2{after}")
            found += [call["call_id"] for call in answer.json()["calls"]]
            if answer.json()["next"] is None:
                break
            after = f"&after={answer.json()['next']}"
    assert found == ["rtc_5", "rtc_4", "rtc_3", "rtc_2", "rtc_1"]


async def test_numbers_are_masked_unless_an_administrator_asks_and_the_audit_says_so(
    filled: Standing,
) -> None:
    async with filled.client("acme", Scope.CONTROL) as reader:
        for path in ("/api/v1/calls", "/api/v1/calls/rtc_1", "/api/v1/calls/rtc_1/why"):
            masked = await reader.get(path)
            assert masked.status_code == 200
            assert CALLER not in masked.text
            assert "Ann Smith" not in masked.text
            refused = await reader.get(f"{path}?numbers=full")
            assert (refused.status_code, refused.json()["code"]) == (403, "scope")
    assert await filled.audited("calls.numbers") == []
    async with filled.client("acme") as administrator:
        whole = await administrator.get("/api/v1/calls/rtc_1?numbers=full")
        assert (whole.json()["caller"], whole.json()["caller_name"]) == (CALLER, "Ann Smith")
    (line,) = await filled.audited("calls.numbers")
    assert (line.by.name, line.deed.target, line.deed.tenant) == ("acme admin", "rtc_1", "acme")


async def test_an_operator_has_whole_numbers_of_one_tenant_told_which_sees_it(
    filled: Standing,
) -> None:
    async with filled.client(None) as operator:
        refused = await operator.get("/api/v1/calls?numbers=full")
        assert (refused.status_code, refused.json()["code"]) == (403, "tenant-needed")
        assert CALLER not in refused.text
        assert await filled.audited("calls.numbers") == []
        whole = await operator.get("/api/v1/calls?numbers=full&tenant=acme")
        assert CALLER in whole.text
    (line,) = await filled.audited("calls.numbers")
    assert (line.by.operator, line.deed.tenant) == (True, "acme")


@pytest.mark.parametrize("name", ["rtc_1", "wh_rtc_1", "CA7"])
async def test_a_call_is_told_without_its_words(filled: Standing, name: str) -> None:
    async with filled.client("acme", Scope.READ) as reader:
        told = (await reader.get(f"/api/v1/calls/{name}")).json()
    assert told["call_id"] == "rtc_1"
    assert [step["what"] for step in told["happenings"]]
    assert told["usage"][0]["cost"] == 21_345
    assert told["messages"] == [{"id": "m1", "at": told["messages"][0]["at"]}]
    assert "arguments" not in told["tool_calls"][0]
    assert told["carrier_ids"] == [{"alias": "CA7", "header": "x-twilio-callsid"}]
    assert "please" not in str(told)


async def test_why_is_told_in_sentences(filled: Standing) -> None:
    async with filled.client("acme", Scope.READ) as reader:
        told = (await reader.get("/api/v1/calls/rtc_2/why")).json()
    assert "The agent acme/night was to answer" in told["decided"][1]
    assert told["ended"]
    assert told["to_do"]


async def test_a_transcript_is_the_tenants_own_and_each_reading_is_noted(filled: Standing) -> None:
    async with filled.client("acme", Scope.READ) as reader:
        told = (await reader.get("/api/v1/calls/rtc_1/transcript")).json()
        lines = (await reader.get("/api/v1/audit?action=calls.transcript")).json()["lines"]
    assert [turn["text"] for turn in told["turns"]] == [
        "Hello.",
        WORDS.replace(CALLER, "+14*******00"),
    ]
    assert told["tool_calls"][0]["arguments"] == '{"order_no": "7"}'
    assert told["messages"][0]["fields"]["name"] == "Ann"
    assert [(one["by"], one["target"], one["reason"]) for one in lines] == [
        ("acme read", "rtc_1", None)
    ]


async def test_an_operator_says_why_and_the_tenant_sees_it(filled: Standing) -> None:
    async with filled.client() as operator:
        refused = await operator.get("/api/v1/calls/rtc_1/transcript")
        assert (refused.status_code, refused.json()["code"]) == (403, "reason-needed")
        assert await filled.audited("calls.transcript") == []
        given = await operator.get("/api/v1/calls/rtc_1/transcript?reason=ticket%204711")
        assert given.status_code == 200
    async with filled.client("acme", Scope.READ) as reader:
        (line,) = (await reader.get("/api/v1/audit?action=calls.transcript")).json()["lines"]
    assert (line["operator"], line["reason"]) == (True, "ticket 4711")
    async with filled.client("beta", Scope.READ) as other:
        lines = (await other.get("/api/v1/audit")).json()["lines"]
        assert [one["action"] for one in lines] == ["tokens.create"]


async def test_words_are_searched_within_one_tenant(filled: Standing) -> None:
    async with filled.client("acme", Scope.READ) as reader:
        answer = await reader.get("/api/v1/calls/search?text=CALL%20ME")
    assert [hit["call_id"] for hit in answer.json()["hits"]] == ["rtc_1"]
    assert CALLER not in answer.text
    async with filled.client() as operator:
        for query, code in (
            ("text=call", "tenant-needed"),
            ("text=call&tenant=beta", "reason-needed"),
        ):
            refused = await operator.get(f"/api/v1/calls/search?{query}")
            assert (refused.status_code, refused.json()["code"]) == (403, code)
        found = await operator.get("/api/v1/calls/search?text=call&tenant=beta&reason=asked%20to")
        assert [hit["call_id"] for hit in found.json()["hits"]] == ["rtc_3"]
    noted = await filled.audited("calls.search")
    assert [(one.by.name, one.deed.tenant, one.deed.reason) for one in noted] == [
        ("acme read", "acme", None),
        ("operator admin", "beta", "asked to"),
    ]
    assert "call" not in str([(one.deed.target, one.deed.detail) for one in noted])


async def test_while_records_are_away_it_says_so_and_when_to_come_again(stand: Standing) -> None:
    await fill(stand)
    async with stand.client("acme") as acme:
        assert (await acme.get("/api/v1/me")).status_code == 200
        with stand.records_away():
            for path in ("", "/rtc_1", "/rtc_1/why", "/rtc_1/transcript", "/search?text=call"):
                answer = await acme.get(f"/api/v1/calls{path}")
                assert (answer.status_code, answer.json()["code"]) == (503, "records-away"), path
                assert answer.headers["Retry-After"] == "5"


async def test_words_that_cannot_be_noted_are_not_told(stand: Standing) -> None:
    await fill(stand)

    class Refusing:
        async def write(self, by: Any, deed: Any) -> None:
            raise ConnectionRefusedError

    stand.app.state.backend = replace(stand.backend, audit=Refusing())
    async with stand.client("acme") as acme:
        for path in ("/rtc_1/transcript", "/search?text=call", "/rtc_1?numbers=full"):
            answer = await acme.get(f"/api/v1/calls{path}")
            assert answer.status_code == 503, path
            assert CALLER not in answer.text
            assert "please" not in answer.text


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("limit=0", "?limit"),
        ("limit=1.0", "?limit"),
        ("live=yes", "?live"),
        ("since=yesterday", "?since"),
        ("since=2026-13-01T00:00:00Z", "?since"),
        ("outcome=nonsense", "?outcome"),
        ("after=rtc_1", "?after"),
        ("tenants=acme", "?tenants"),
        ("agent=a&agent=b", "?agent"),
        ("dialed=%00", "?dialed"),
    ],
)
async def test_what_is_not_as_described_is_pointed_at(
    stand: Standing, query: str, pointer: str
) -> None:
    async with stand.client() as operator:
        answer = await operator.get(f"/api/v1/calls?{query}")
    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert [one["pointer"] for one in answer.json()["errors"]] == [pointer]
    assert "nonsense" not in answer.text, "what was sent is not told again"
    assert "yesterday" not in answer.text


async def test_a_directory_number_is_found_in_any_spelling(filled: Standing) -> None:
    async with filled.client("acme") as acme:
        found = await ids(acme, f"?dialed=%2B1%20713%20481%2001{ACME_NUMBER[-2:]}")
    assert found == ["rtc_5", "rtc_2", "rtc_1"]
