"""Stepping in while a call is held: what is asked of its owner, what is noted and answered."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from sipagent.errors import EngineError
from sipagent.model import CallId, TenantName
from sipagent.model.access import Scope
from sipagent.model.request import (
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
from sipagent.store import owed
from sipagent.store.audit import verify
from tests.api.v1.standing import NOW, NothingToWatch, Standing
from tests.store.kept import a_call, a_live, put

ACTIONS = [
    ("hang-up", None, HangUp()),
    ("hang-up", {"goodbye": True}, HangUp(goodbye=True)),
    ("end", None, HangUp(goodbye=True)),
    ("transfer", {"destination": "office"}, TransferTo("office")),  # type: ignore[arg-type]
    ("say", {"text": "One moment."}, Say("One moment.")),
    ("message", {"text": "It has been shipped."}, Whisper("It has been shipped.")),
    ("switch-agent", {"agent": "night"}, SwitchAgent("night")),  # type: ignore[arg-type]
    ("hold", None, HoldReplies()),
    ("resume", None, ResumeReplies()),
]


@pytest.fixture
async def held(stand: Standing) -> Standing:
    await put(
        stand.kept.opened,
        a_live("rtc_1"),
        a_live("rtc_2", tenant="beta"),
        a_call("rtc_over"),
    )
    return stand


@pytest.mark.parametrize(("action", "body", "wanted"), ACTIONS)
async def test_an_action_is_noted_and_asked_of_whoever_holds_the_call(
    held: Standing, action: str, body: Any, wanted: Any
) -> None:
    async with held.client("acme", Scope.CONTROL) as acme:
        me = (await acme.get("/api/v1/me")).json()["token_id"]
        answer = await acme.post(
            f"/api/v1/calls/rtc_1/{action}", json=body, headers={"Idempotency-Key": "k1"}
        )
    assert (answer.status_code, answer.json()) == (202, {"status": "done", "call_id": "rtc_1"})
    (line,) = [one for one in await held.audited() if one.deed.action.startswith("calls.")]
    assert held.desk.asked == [("rtc_1", wanted, f"{me}:{line.deed.action}:k1")]
    assert (line.deed.target, line.deed.tenant, line.by.name) == ("rtc_1", "acme", "acme control")
    assert "moment" not in str(line.deed.detail), "no words are in the audit"
    assert "shipped" not in str(line.deed.detail)


async def test_the_same_key_twice_is_asked_and_noted_once(held: Standing) -> None:
    async with held.client("acme", Scope.CONTROL) as acme:
        answers = [
            await acme.post("/api/v1/calls/rtc_1/hang-up", headers={"Idempotency-Key": "k1"})
            for _ in range(2)
        ]
        other = await acme.post(
            "/api/v1/calls/rtc_1/say", json={"text": "Hi"}, headers={"Idempotency-Key": "k1"}
        )
    assert [one.status_code for one in answers] == [202, 202]
    assert answers[0].json() == answers[1].json()
    assert answers[1].headers["Idempotency-Replayed"] == "true"
    assert len(held.desk.asked) == 1
    assert len(await held.audited("calls.hang_up")) == 1
    assert (other.status_code, other.json()["code"]) == (409, "key-reused")


@pytest.mark.parametrize(
    ("reply", "status", "code"),
    [
        (Reply(Replied.REFUSED, "There is no such destination."), 409, "not-possible"),
        (Reply(Replied.UNKNOWN_CALL), 404, "not-held"),
        (Reply(Replied.NO_ANSWER), 504, "no-answer"),
    ],
)
async def test_what_its_owner_answers_is_told(
    held: Standing, reply: Reply, status: int, code: str
) -> None:
    held.desk.reply = reply
    async with held.client("acme", Scope.CONTROL) as acme:
        answer = await acme.post("/api/v1/calls/rtc_1/transfer", json={"destination": "office"})
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    if reply.why:
        assert answer.json()["detail"] == reply.why
    if status == 504:
        assert "may be done all the same" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("unsent", "told"), [(True, "Nothing has been done."), (False, "It may be done all the same.")]
)
async def test_an_engine_that_is_away_is_told_with_what_may_still_happen(
    held: Standing, unsent: bool, told: str
) -> None:
    held.desk.error = EngineError("away", unsent=unsent)
    async with held.client("acme", Scope.CONTROL) as acme:
        sent = [
            await acme.post("/api/v1/calls/rtc_1/hang-up", headers={"Idempotency-Key": "k1"})
            for _ in range(2)
        ]
    for answer in sent:
        assert (answer.status_code, answer.json()["code"]) == (503, "engine-away")
        assert told in answer.json()["detail"]
        assert answer.headers["Retry-After"] == "2"
    keys = {key for _, _, key in held.desk.asked}
    assert len(held.desk.asked) == 2, "the next attempt is one, and whoever holds the call knows it"
    assert len(keys) == 1


async def test_a_call_that_is_over_is_asked_of_nobody(held: Standing) -> None:
    async with held.client("acme", Scope.CONTROL) as acme:
        answer = await acme.post("/api/v1/calls/rtc_over/hang-up")
    assert (answer.status_code, answer.json()["code"]) == (409, "call-over")
    assert held.desk.asked == []


async def test_the_operator_acts_on_any_call_and_its_tenant_sees_it(held: Standing) -> None:
    async with held.client(None, Scope.CONTROL) as operator:
        assert (await operator.post("/api/v1/calls/rtc_2/hang-up")).status_code == 202
    async with held.client("beta", Scope.READ) as beta:
        lines = (await beta.get("/api/v1/audit?action=calls.hang_up")).json()["lines"]
    assert [(one["operator"], one["target"]) for one in lines] == [(True, "rtc_2")]


async def test_what_cannot_be_noted_is_not_done(held: Standing) -> None:
    async with held.client("acme", Scope.CONTROL) as acme:
        assert (await acme.get("/api/v1/me")).status_code == 200
        with held.records_away():
            for action, body, _ in ACTIONS:
                if action not in ("hang-up", "end"):
                    answer = await acme.post(f"/api/v1/calls/rtc_1/{action}", json=body)
                    told = answer.status_code, answer.json()["code"]
                    assert told == (503, "records-away"), action
    assert held.desk.asked == []


class Knows(NothingToWatch):
    """Knows whose calls are that are held here."""

    async def whose(self, call_id: CallId) -> TenantName | None:
        found = {"rtc_1": "acme", "rtc_2": "beta"}.get(call_id)
        if found is None:
            raise ConnectionRefusedError
        return TenantName(found)


@pytest.fixture
async def knowing(held: Standing) -> Standing:
    held.app.state.backend = replace(held.backend, watch=Knows())
    return held


@dataclass
class JustCome(NothingToWatch):
    """Holds a call that is recorded as soon as somebody asks for it."""

    engine: AsyncEngine
    settled: list[CallId] = field(default_factory=list)

    async def settle(self, call_id: CallId) -> bool:
        self.settled.append(call_id)
        if call_id == "rtc_new" and self.settled.count(call_id) == 1:
            await put(self.engine, a_live("rtc_new"))
        return call_id == "rtc_new"


async def test_a_call_that_has_just_come_is_found_before_it_is_recorded(held: Standing) -> None:
    watch = JustCome(held.kept.opened)
    held.app.state.backend = replace(held.backend, watch=watch)
    async with held.client("acme", Scope.CONTROL) as acme:
        assert (await acme.get("/api/v1/calls/rtc_new")).json()["ended_at"] is None
        assert (await acme.post("/api/v1/calls/rtc_new/hold")).status_code == 202
    assert watch.settled == ["rtc_new"], "what is recorded is not waited for"
    async with held.client("beta", Scope.CONTROL) as beta:
        assert (await beta.get("/api/v1/calls/rtc_new")).status_code == 404
        assert (await beta.post("/api/v1/calls/rtc_none/hold")).status_code == 404


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "k1"}])
async def test_a_call_is_ended_also_while_the_records_are_away(
    knowing: Standing, headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owed, "EVERY", 0.02)
    async with knowing.client("acme", Scope.CONTROL) as acme:
        assert (await acme.get("/api/v1/me")).status_code == 200
        with knowing.records_away(), capture_logs() as logs:
            for path in ("hang-up", "end"):
                answer = await acme.post(f"/api/v1/calls/rtc_1/{path}", headers=headers)
                assert answer.status_code == 202, answer.text
            for name, status in (("rtc_2", 404), ("rtc_9", 503), ("CA1%20x", 503)):
                answer = await acme.post(f"/api/v1/calls/{name}/hang-up")
                assert answer.status_code == status, name
            told = [one for one in logs if one["event"] == "audit line not written yet"]
            assert [(one["action"], one["target"], one["tenant"]) for one in told] == [
                ("calls.hang_up", "rtc_1", "acme")
            ] * 2
            assert all(one["token"] in knowing.made["acme", Scope.CONTROL] for one in told)
        assert [call_id for call_id, _, _ in knowing.desk.asked] == ["rtc_1", "rtc_1"]
        keys = {key for _, _, key in knowing.desk.asked}
        assert all(key.endswith(":k1") for key in keys) if headers else keys == {""}

    async with asyncio.timeout(10):
        while len(await knowing.audited("calls.hang_up")) < 2:
            await asyncio.sleep(0.01)
    for line in await knowing.audited("calls.hang_up"):
        assert (line.deed.target, line.deed.tenant, line.at) == ("rtc_1", "acme", NOW)
    assert (await verify(knowing.kept.opened)).broken_at is None


async def test_an_operator_ends_a_call_of_which_nothing_is_known_here(knowing: Standing) -> None:
    async with knowing.client(None, Scope.CONTROL) as operator:
        assert (await operator.get("/api/v1/me")).status_code == 200
        with knowing.records_away():
            assert (await operator.post("/api/v1/calls/rtc_9/hang-up")).status_code == 202
            knowing.desk.reply = Reply(Replied.UNKNOWN_CALL)
            answer = await operator.post("/api/v1/calls/rtc_9/hang-up")
    assert (answer.status_code, answer.json()["code"]) == (404, "not-held")
    assert [call_id for call_id, _, _ in knowing.desk.asked] == ["rtc_9", "rtc_9"]


async def test_one_key_of_two_actions_is_two_requests_without_the_records(
    knowing: Standing,
) -> None:
    """Nobody can say then that the key stands for another request: the call is ended."""
    key = {"Idempotency-Key": "k1"}
    async with knowing.client("acme", Scope.CONTROL) as acme:
        await acme.post("/api/v1/calls/rtc_1/say", json={"text": "Hi"}, headers=key)
        with knowing.records_away():
            await acme.post("/api/v1/calls/rtc_1/hang-up", headers=key)
    assert len({mark for _, _, mark in knowing.desk.asked}) == 2


@pytest.mark.parametrize(
    ("action", "body", "pointer"),
    [
        ("say", None, "#"),
        ("say", {}, "#/text"),
        ("say", {"text": " \n "}, "#/text"),
        ("say", {"text": "x" * 1001}, "#/text"),
        ("say", {"text": 5}, "#/text"),
        ("say", {"text": "secret words", "loud": True}, "#/loud"),
        ("hang-up", {"goodbye": "true"}, "#/goodbye"),
        ("hang-up", {"goodbye": 1}, "#/goodbye"),
        ("transfer", {"destination": "a\nb"}, "#/destination"),
    ],
)
async def test_a_body_that_is_not_as_described_is_pointed_at(
    held: Standing, action: str, body: Any, pointer: str
) -> None:
    async with held.client("acme", Scope.CONTROL) as acme:
        answer = await acme.post(f"/api/v1/calls/rtc_1/{action}", json=body)
    assert answer.status_code == 422
    assert [one["pointer"] for one in answer.json()["errors"]] == [pointer]
    assert "secret" not in answer.text
    assert held.desk.asked == []


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b"[" * 50_000, b'{"text": "\\ud800"}'])
async def test_a_body_that_is_no_json_is_no_crash(held: Standing, body: bytes) -> None:
    async with held.client("acme", Scope.CONTROL) as acme:
        answer = await acme.post(
            "/api/v1/calls/rtc_1/say", content=body, headers={"Content-Type": "application/json"}
        )
    assert answer.status_code in (400, 422)
    assert answer.headers["Content-Type"] == "application/problem+json"


async def test_a_large_body_is_refused_whether_it_is_announced_or_not(held: Standing) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(80):
            yield b" " * 1000

    async with held.client("acme", Scope.CONTROL) as acme:
        announced = await acme.post("/api/v1/calls/rtc_1/say", json={"text": "x" * 70_000})
        json = {"Content-Type": "application/json"}
        unknown = await acme.post("/api/v1/calls/rtc_1/say", content=pieces(), headers=json)
    for answer in (announced, unknown):
        assert answer.status_code == 413
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.headers["Connection"] == "close"
    assert held.desk.asked == []


async def test_a_method_that_is_not_known_is_told_as_such(held: Standing) -> None:
    async with held.client("acme", Scope.CONTROL) as acme:
        answer = await acme.put("/api/v1/calls/rtc_1/say", json={"text": "x"})
    assert (answer.status_code, answer.json()["code"]) == (405, "method-not-allowed")
    assert answer.headers["Allow"] == "POST"
