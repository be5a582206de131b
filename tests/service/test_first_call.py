"""Calls from signed webhook to recorded end, against the simulator over real sockets."""

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from openai.types.realtime import RealtimeClientEventParam
from openai.types.realtime.call_accept_params import CallAcceptParams
from pydantic import TypeAdapter

from sipagent.model import DEFAULT_TENANT, AgentName, Speaker

Open = Callable[..., AbstractAsyncContextManager[Any]]
RECEPTION, QUIET, BUSY, UNKNOWN = (f"+171348101{end}" for end in ("11", "22", "33", "99"))
FIXTURES = json.loads(
    (Path(__file__).parent.parent / "data" / "incoming_calls.json").read_text("utf-8")
)
SCRIPT = [
    {"caller": "Are you open on Sunday?"},
    {"agent": "No, we are closed on Sunday."},
    {"caller": "Thank you."},
    {"agent": "Goodbye."},
]


async def test_a_call_is_greeted_held_and_recorded(house: Open) -> None:
    async with house() as home:
        call_id = await home.simulator.place_call(RECEPTION, "+14067704205", script=SCRIPT)
        (outcome,) = await home.outcomes()
        call = home.simulator.call(call_id)
    assert outcome.name == "completed.line_closed"
    assert outcome.answered_at is not None
    assert outcome.heard_at is not None
    turns = sorted(home.records.turns, key=lambda turn: turn.sequence)
    assert [(turn.speaker, turn.text) for turn in turns] == [
        (Speaker.AGENT, "Thank you for calling Acme."),
        (Speaker.CALLER, "Are you open on Sunday?"),
        (Speaker.AGENT, "No, we are closed on Sunday."),
        (Speaker.CALLER, "Thank you."),
        (Speaker.AGENT, "Goodbye."),
    ]
    spoken = "".join(words.delta for words in home.tap.words if words.speaker is Speaker.AGENT)
    assert spoken.startswith("Thank you for calling Acme.")
    assert (len(call.accepts), call.attachments, call.static_noise) == (1, 1, False)


async def test_what_is_sent_is_what_the_official_sdk_would_send(house: Open) -> None:
    async with house() as home:
        call_id = await home.simulator.place_call(RECEPTION, script=SCRIPT)
        await home.outcomes()
        call = home.simulator.call(call_id)
    adapter = TypeAdapter[Any](RealtimeClientEventParam)
    for event in call.client_events:
        assert adapter.dump_python(adapter.validate_python(event)) == event
    accepted = TypeAdapter[Any](CallAcceptParams)
    (body,) = call.accepts
    assert accepted.dump_python(accepted.validate_python(body)) == body
    kinds = [event["type"] for event in call.client_events]
    assert kinds == ["response.create", "session.update"]


async def test_the_accept_is_the_profile_but_for_create_response(house: Open) -> None:
    async with house() as home:
        greeted = await home.simulator.place_call(RECEPTION)
        quiet = await home.simulator.place_call(QUIET, patience=0)
        await home.outcomes(2)
        bodies = [home.simulator.call(call_id).accepts[0] for call_id in (greeted, quiet)]
        update = home.simulator.call(greeted).client_events[1]
    detection = {"type": "semantic_vad", "eagerness": "low", "interrupt_response": True}
    assert bodies[0] == {
        "type": "realtime",
        "model": "gpt-realtime-2.1",
        "instructions": "You answer the telephone of Acme.",
        "audio": {
            "input": {
                "transcription": {"model": "gpt-live-transcribe"},
                "turn_detection": {**detection, "create_response": False},
            },
            "output": {"voice": "marin"},
        },
    }
    restored = update["session"]["audio"]["input"]["turn_detection"]
    assert restored == {**detection, "create_response": True}
    assert bodies[1]["audio"]["input"]["turn_detection"]["create_response"] is True


async def test_a_caller_who_speaks_over_the_greeting_gets_one_answer(house: Open) -> None:
    script = [{"caller": "Hello?", "barge_in": True, "after": 0.05}, {"agent": "Yes, I am here."}]
    async with house() as home:
        call_id = await home.simulator.place_call(RECEPTION, script=script, pace=20)
        await home.outcomes()
        call = home.simulator.call(call_id)
    texts = [turn.text for turn in sorted(home.records.turns, key=lambda turn: turn.sequence)]
    assert texts[1:] == ["Hello?", "Yes, I am here."]
    assert not [event for event in call.transcript if "already" in str(event)]


@pytest.mark.parametrize(
    ("number", "code", "outcome"),
    [(BUSY, 486, "rejected.rule"), (UNKNOWN, 404, "rejected.unknown_number")],
)
async def test_a_call_that_is_not_wanted_is_rejected(
    house: Open, number: str, code: int, outcome: str
) -> None:
    async with house() as home:
        call_id = await home.simulator.place_call(number)
        (ended,) = await home.outcomes()
        call = home.simulator.call(call_id)
    assert (ended.name, ended.sip_code) == (outcome, code)
    assert (call.rejects, call.accepts, call.attachments) == ([{"status_code": code}], [], 0)


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda fixture: fixture["id"])
async def test_each_recorded_call_end_to_end(house: Open, fixture: dict[str, Any]) -> None:
    expected = fixture["expected"]["dialed_e164"]
    listed = fixture["assume"].get("directory", [expected] if expected else [])
    region = fixture["assume"].get("region")
    numbers = "".join(f'  "{number}": reception\n' for number in listed)
    agents = (
        "version: 1\n"
        f"defaults: {{model: gpt-realtime-2.1{', region: ' + region if region else ''}}}\n"
        "agents:\n  reception: {instructions: Be kind., greeting: Hello., voice: marin}\n"
        f"numbers:\n{numbers}  default: {{reject: 404}}\n"
    )
    async with house(agents) as home:
        call_id = await home.simulator.place_call("anything", headers=fixture["headers"])
        (outcome,) = await home.outcomes()
        call = home.simulator.call(call_id)
        ((_, decision),) = home.records.decisions
        profile = home.table.agents[DEFAULT_TENANT, AgentName("reception")]
    if expected is None:
        assert (outcome.name, call.rejects) == ("rejected.unknown_number", [{"status_code": 404}])
        return
    assert (decision.dialed, decision.dialed_source) == (
        expected,
        fixture["expected"]["dialed_source"],
    )
    (body,) = call.accepts
    body["audio"]["input"]["turn_detection"]["create_response"] = True
    assert body == profile.editions[0].session
    assert outcome.name == "completed.line_closed"


async def test_a_thousand_deliveries_of_five_events_lead_to_five_calls(house: Open) -> None:
    async with house() as home:
        simulator = home.simulator
        calls = [
            await simulator.place_call(QUIET, deliver=False, stay=True, script=[]) for _ in range(5)
        ]
        deliveries = await asyncio.gather(
            *(simulator.deliver(calls[n % 5], fresh=n % 2 == 1) for n in range(1_000))
        )
        for call_id in calls:
            await simulator.until(call_id, lambda call: call.attachments == 1)
        for call_id in calls:
            simulator.hang_up(call_id)
        outcomes = await home.outcomes(5)
        told = [simulator.call(call_id) for call_id in calls]
    assert {delivery["status"] for delivery in deliveries} == {200}
    assert [len(call.accepts) for call in told] == [1] * 5
    assert [call.attachments for call in told] == [1] * 5
    assert [outcome.name for outcome in outcomes] == ["completed.line_closed"] * 5


async def test_a_redelivery_after_the_end_changes_nothing(house: Open) -> None:
    async with house() as home:
        call_id = await home.simulator.place_call(RECEPTION)
        await home.outcomes()
        for fresh in (False, True):
            delivery = await home.simulator.deliver(call_id, fresh=fresh)
            assert delivery["status"] == 200
        assert len(home.simulator.call(call_id).accepts) == 1
    assert len(home.records.outcomes) == 1


async def test_a_call_that_has_rung_too_long_is_not_answered(house: Open) -> None:
    async with house() as home:
        call_id = await home.simulator.place_call(RECEPTION, created_at=1_700_000_000)
        call = home.simulator.call(call_id)
        assert call.deliveries[0]["status"] == 200
        assert call.accepts == []
        metrics = (await home.client.get("/metrics")).text
    assert 'sipagent_webhook_requests_total{result="stale"} 1.0' in metrics


async def test_other_events_and_test_events_are_answered_and_ignored(house: Open) -> None:
    async with house() as home:
        for kind in ("live.transport.incoming", "live.call.incoming", "response.completed", "x.y"):
            data = {"session_id": "live_1", "call_id": "rtc_live", "sip_headers": []}
            delivery = await home.simulator.send_webhook(type=kind, data=data)
            assert delivery["status"] == 200
        assert home.records.decisions == []
        # A dashboard's test names a call that does not exist.
        data = {"call_id": "rtc_test", "sip_headers": [{"name": "x-number", "value": RECEPTION}]}
        delivery = await home.simulator.send_webhook(type="realtime.call.incoming", data=data)
        assert delivery["status"] == 200
        (outcome,) = await home.outcomes()
    assert outcome.name == "abandoned.caller_gone"


async def test_the_same_call_as_a_live_event_and_under_a_second_id_is_accepted_once(
    house: Open,
) -> None:
    async with house() as home:
        call_id = await home.simulator.place_call(QUIET, stay=True, script=[])
        data = {"session_id": call_id, "call_id": call_id, "sip_headers": []}
        await home.simulator.send_webhook(type="live.call.incoming", data=data)
        await home.simulator.deliver(call_id, fresh=True)
        await home.simulator.until(call_id, lambda call: call.attachments == 1)
        home.simulator.hang_up(call_id)
        await home.outcomes()
        assert len(home.simulator.call(call_id).accepts) == 1
