"""What goes wrong upstream, and what becomes of the call. C2 to C4 of the reliability list."""

import asyncio
import json
import random
import string
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

Open = Callable[..., AbstractAsyncContextManager[Any]]
RECEPTION, QUIET = "+17134810111", "+17134810122"


@pytest.mark.parametrize("second_decision", [409, 404, 400])
@pytest.mark.parametrize(
    ("fault", "accepts", "outcome"),
    [
        ({"status": 429, "retry_after": 0.0, "times": 2}, 3, "completed.line_closed"),
        ({"status": 500, "times": 1}, 2, "completed.line_closed"),
        ({"status": 503, "times": 3}, 4, "completed.line_closed"),
        ({"reset": True, "times": 1}, 2, "completed.line_closed"),
        ({"reset_after_effect": True, "times": 1}, 2, "completed.line_closed"),
        ({"status": 404}, 1, "abandoned.caller_gone"),
        ({"status": 400}, 1, "failed.accept_refused"),
        ({"status": 401}, 1, "failed.accept_refused"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else None,
)
async def test_an_accept_that_goes_wrong(
    house: Open, fault: dict[str, Any], accepts: int, outcome: str, second_decision: int
) -> None:
    async with house() as home:
        call_id = await home.simulator.place_call(
            RECEPTION, faults={"accept": fault}, second_decision=second_decision
        )
        (ended,) = await home.outcomes()
        call = home.simulator.call(call_id)
    assert ended.name == outcome
    assert len(call.accepts) == accepts
    assert call.answers["accept"].count(200) <= 1
    failed = outcome.startswith("failed")
    assert call.rejects == ([{"status_code": 503}] if failed else [])
    assert (call.attachments == 1) == (outcome == "completed.line_closed")


async def test_an_accept_that_is_never_answered_sends_the_caller_on_within_ten_seconds(
    house: Open,
) -> None:
    async with house() as home:
        call_id = await home.simulator.place_call(RECEPTION, faults={"accept": {"hang": True}})
        delivery = home.simulator.call(call_id).deliveries[0]
        assert delivery["status"] == 200
        (ended,) = await home.outcomes()
        call = home.simulator.call(call_id)
    assert ended.name == "failed.accept_timeout"
    assert ended.duration < 10 * 10
    assert call.rejects == [{"status_code": 503}]


async def test_a_webhook_is_answered_while_the_provider_hangs(house: Open) -> None:
    async with house() as home:
        faults = {"accept": {"latency": 0.5}}
        calls = await asyncio.gather(
            *(
                home.simulator.place_call(QUIET, faults=faults, stay=True, script=[])
                for _ in range(50)
            )
        )
        assert not any(home.simulator.call(call_id).answered for call_id in calls)
        for call_id in calls:
            await home.simulator.until(call_id, lambda call: call.attachments == 1)
            home.simulator.hang_up(call_id)
        await home.outcomes(50)


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        ({"status": 404, "times": 2}, "completed.line_closed"),
        ({"status": 500, "times": 1}, "completed.line_closed"),
        ({"status": 429, "times": 1}, "completed.line_closed"),
        ({"reset": True, "times": 1}, "completed.line_closed"),
        ({"status": 401}, "failed.attach_failed"),
        ({"status": 403}, "failed.attach_failed"),
        ({"status": 404}, "failed.attach_failed"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else None,
)
async def test_a_handshake_that_goes_wrong(
    house: Open, fault: dict[str, Any], outcome: str
) -> None:
    async with house() as home:
        call_id = await home.simulator.place_call(RECEPTION, faults={"attach": fault})
        (ended,) = await home.outcomes()
        call = home.simulator.call(call_id)
    assert ended.name == outcome
    assert call.ended
    # Nobody is left with a model that nobody watches.
    assert len(call.hangups) == (outcome == "failed.attach_failed")


@pytest.mark.parametrize("code", [1000, 1001, 1011, None])
async def test_a_socket_that_drops_while_the_call_goes_on_is_attached_again(
    house: Open, code: int | None
) -> None:
    async with house() as home:
        call_id = await home.simulator.place_call(RECEPTION, stay=True, script=[])
        await home.simulator.until(call_id, lambda call: heard_greeting(call) and restored(call))
        how = {"abort": True} if code is None else {"code": code}
        home.simulator.close_sockets(call_id, **how)
        await home.simulator.until(call_id, lambda call: call.attachments >= 3)
        home.simulator.say(call_id, "Is somebody there?")
        await home.simulator.until(call_id, answered_caller, timeout=30)
        home.simulator.hang_up(call_id)
        (ended,) = await home.outcomes()
        call = home.simulator.call(call_id)
    assert ended.name == "completed.line_closed"
    assert not ended.usage_complete
    assert (len(call.accepts), len(call.hangups)) == (1, 0)
    assert greetings(call) == 1
    assert [
        what for _, what, _ in home.records.happenings if "attached" in what or "drop" in what
    ] == [
        "attached",
        "dropped",
        "reattached",
    ]


async def test_a_socket_that_drops_during_the_greeting_brings_no_second_greeting(
    house: Open,
) -> None:
    async with house() as home:
        call_id = await home.simulator.place_call(RECEPTION, stay=True, script=[], pace=4.0)
        await home.simulator.until(call_id, lambda call: greetings(call) == 1)
        home.simulator.close_sockets(call_id, abort=True)
        await home.simulator.until(call_id, lambda call: call.attachments >= 3 and restored(call))
        home.simulator.say(call_id, "Is somebody there?")
        await home.simulator.until(call_id, answered_caller, timeout=30)
        home.simulator.hang_up(call_id)
        await home.outcomes()
        assert greetings(home.simulator.call(call_id)) == 1


async def test_a_provider_that_refuses_the_socket_for_a_while_is_dialed_until_it_takes_it(
    house: Open,
) -> None:
    async with house() as home:
        call_id = await home.simulator.place_call(QUIET, stay=True, script=[])
        await home.simulator.until(call_id, lambda call: call.attachments == 1)
        home.simulator.set_faults({"attach": {"status": 503, "times": 12}})
        home.simulator.close_sockets(call_id, abort=True)
        await home.simulator.until(call_id, lambda call: call.attachments >= 2, timeout=40)
        home.simulator.hang_up(call_id)
        (ended,) = await home.outcomes()
    assert ended.name == "completed.line_closed"


def greetings(call: Any) -> int:
    """How often the agent was asked for its first words."""
    asked = [event for event in call.client_events if event["type"] == "response.create"]
    return sum("Thank you for calling" in json.dumps(event) for event in asked)


def heard_greeting(call: Any) -> bool:
    return any(line["who"] == "agent" for line in call.transcript)


def restored(call: Any) -> bool:
    return any(event["type"] == "session.update" for event in call.client_events)


async def test_a_session_that_reaches_its_longest_duration_is_recorded_as_that(
    house: Open,
) -> None:
    async with house() as home:
        await home.simulator.place_call(QUIET, stay=True, script=[], max_duration=0.2)
        (ended,) = await home.outcomes()
    assert ended.name == "failed.session_expired"


async def test_an_admission_error_after_the_upgrade_leads_to_another_dial(house: Open) -> None:
    async with house() as home:
        faults = {"socket": {"error_first": True, "close": 1000, "times": 1}}
        call_id = await home.simulator.place_call(QUIET, stay=True, script=[], faults=faults)
        await home.simulator.until(call_id, lambda call: call.attachments >= 3)
        home.simulator.say(call_id, "Is somebody there?")
        await home.simulator.until(call_id, answered_caller, timeout=30)
        home.simulator.hang_up(call_id)
        (ended,) = await home.outcomes()
    assert ended.name == "completed.line_closed"


def mutations(seed: int, count: int) -> list[str]:
    """Frames that no provider should send: cut, retyped, renamed, nested, or nonsense."""
    chance = random.Random(seed)
    kinds = ["response.done", "response.created", "error", "session.updated", "x.unknown"]
    kinds += ["input_audio_buffer.committed", "output_audio_buffer.started"]
    kinds += ["response.output_audio_transcript.delta", "conversation.item.done"]
    values: list[Any] = [None, 5, "x", [], {}, -1.5, True, "\ud800", {"id": None}, [[[]]], 10**30]
    keys = ["response", "item_id", "response_id", "delta", "error", "session", "item", "transcript"]
    frames = []
    for _ in range(count):
        event = {"type": chance.choice([*kinds, None, 7])}
        for key in chance.sample(keys, chance.randint(0, 4)):
            event[key] = chance.choice(values)
        text = json.dumps(event)
        if chance.random() < 0.2:
            place = chance.randrange(len(text))
            text = text[:place] + chance.choice(string.printable) + text[place + 1 :]
        frames.append(text[: chance.randrange(1, len(text))] if chance.random() < 0.1 else text)
    return frames


async def test_ten_thousand_mutated_events_drop_no_call(house: Open) -> None:
    special = ["[" * 100_000, '{"type":"x","pad":"' + "x" * (16 * 2**20 - 64) + '"}', "", "null"]
    async with house() as home:
        calls = []
        for number in range(10):
            frames = mutations(number, 1_000) + (special if number == 0 else [])
            faults = {"socket": {"malformed": frames, "times": 1}}
            calls.append(
                await home.simulator.place_call(QUIET, stay=True, script=[], faults=faults)
            )
        for call_id in calls:
            await home.simulator.until(call_id, lambda call: call.attachments == 1)
            home.simulator.say(call_id, "Is somebody there?")
            await home.simulator.until(call_id, answered_caller, timeout=30)
            home.simulator.hang_up(call_id)
        outcomes = await home.outcomes(10)
        metrics = (await home.client.get("/metrics")).text
    assert [outcome.name for outcome in outcomes] == ["completed.line_closed"] * 10
    assert 'sipagent_odd_frames_total{oddity="malformed"}' in metrics
    assert 'sipagent_odd_frames_total{oddity="unknown"}' in metrics
    assert 'sipagent_odd_frames_total{oddity="oversize"} 1.0' in metrics


def answered_caller(call: Any) -> bool:
    return any("somebody there" in json.dumps(line) for line in call.transcript)


async def test_a_crash_of_one_call_leaves_the_others(house: Open) -> None:
    async with house() as home:
        place = home.simulator.place_call
        calls = [await place(QUIET, stay=True, script=[]) for _ in range(3)]
        for call_id in calls:
            await home.simulator.until(call_id, lambda call: call.attachments == 1)
        runner = home.service.supervisor._runners[calls[1]]
        runner.deliver(object())  # harmless: no machine heeds it
        runner._crash = RuntimeError("a bug")
        runner._rouse()
        (crashed,) = await home.outcomes(1)
        assert (crashed.call_id, crashed.name) == (calls[1], "failed.internal_error")
        await home.simulator.wait_ended(calls[1])
        for call_id in (calls[0], calls[2]):
            assert not home.simulator.call(call_id).ended
            home.simulator.hang_up(call_id)
        await home.outcomes(3)
