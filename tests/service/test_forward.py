"""Calls that are sent on unanswered, against the simulator over real sockets."""

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from structlog.testing import capture_logs

from sipagent.metrics import Metrics
from sipagent.sessions.machine import forwarding
from sipagent.store.log import LogRecords

Open = Callable[..., AbstractAsyncContextManager[Any]]
FORWARDED, RULED = "+17134810111", "+17134810122"
DESK, PBX = "+17134810199", "sip:desk@pbx.example"
AGENTS = f"""
version: 1
defaults: {{model: gpt-realtime-2.1}}
agents:
  reception: {{instructions: You answer the telephone., greeting: Hello.}}
destinations:
  desk: {{to: "{DESK}"}}
  pbx: {{to: "{PBX}"}}
numbers:
  "{FORWARDED}": {{forward: desk}}
  "{RULED}":
    - {{when: {{caller: "+1406*"}}, forward: pbx}}
    - reception
"""
STAY: dict[str, Any] = {"stay": True, "script": []}


async def test_a_call_is_sent_on_and_nobody_speaks(house: Open) -> None:
    async with house(AGENTS) as home:
        call_id = await home.simulator.place_call(FORWARDED, refer={"after": 0.3}, **STAY)
        (outcome,) = await home.outcomes()
        call = home.simulator.call(call_id)
    assert (outcome.name, outcome.agent, outcome.turns) == ("completed.transferred", None, 0)
    assert call.refers == [{"target_uri": f"tel:{DESK}"}]
    assert (call.ended_by, call.attachments, len(call.accepts)) == ("refer", 1, 1)
    assert call.accepts[0]["audio"]["input"]["turn_detection"] is None
    assert (call.client_events, call.hangups, call.transcript) == ([], [], [])


@pytest.mark.parametrize(
    ("caller", "refers", "outcome"),
    [
        ("+14067704205", [{"target_uri": PBX}], "completed.transferred"),
        ("+14057704205", [], "completed.line_closed"),
    ],
)
async def test_a_rule_sends_some_callers_on(
    house: Open, caller: str, refers: list[Any], outcome: str
) -> None:
    async with house(AGENTS) as home:
        call_id = await home.simulator.place_call(RULED, caller)
        (ended,) = await home.outcomes()
        assert home.simulator.call(call_id).refers == refers
    assert ended.name == outcome


async def test_a_call_that_is_gone_before_its_socket_is_there_was_transferred(
    house: Open,
) -> None:
    async with house(AGENTS) as home:
        faults = {"attach": {"latency": 0.3}}
        call_id = await home.simulator.place_call(
            FORWARDED, refer={"after": 0.0}, faults=faults, **STAY
        )
        (outcome,) = await home.outcomes()
        call = home.simulator.call(call_id)
    assert outcome.name == "completed.transferred"
    assert (len(call.refers), call.hangups) == (1, [])


VAIN = "refer answered silent; nobody took the call"


@pytest.mark.parametrize(
    ("fault", "detail"),
    [
        ({"status": 403}, "refer answered refused"),
        ({"status": 400}, "refer answered refused"),
        ({"status": 500}, VAIN),
        ({"reset_after_effect": True}, VAIN),
    ],
    ids=json.dumps,
)
async def test_a_refer_that_goes_wrong_is_sent_once_and_the_call_hung_up(
    house: Open, fault: dict[str, Any], detail: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forwarding, "WATCH", 0.3)
    async with house(AGENTS) as home:
        call_id = await home.simulator.place_call(
            FORWARDED, faults={"refer": fault}, refer={"outcome": "nothing"}, **STAY
        )
        (outcome,) = await home.outcomes()
        await home.simulator.wait_ended(call_id)
        call = home.simulator.call(call_id)
    assert (outcome.name, outcome.detail) == ("failed.refer_failed", detail)
    assert (len(call.refers), call.ended_by, call.client_events) == (1, "hangup", [])


async def test_a_transfer_whose_answer_is_lost_is_not_broken_off(house: Open) -> None:
    async with house(AGENTS) as home:
        faults = {"refer": {"reset_after_effect": True}}
        call_id = await home.simulator.place_call(
            FORWARDED, faults=faults, refer={"after": 0.5}, **STAY
        )
        (outcome,) = await home.outcomes()
        call = home.simulator.call(call_id)
    assert (outcome.name, outcome.detail) == ("completed.transferred", None)
    assert (call.ended_by, len(call.refers), call.hangups) == ("refer", 1, [])


async def test_a_provider_that_fails_to_relay_ends_the_call_after_the_watch(
    house: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forwarding, "WATCH", 0.3)
    async with house(AGENTS) as home:
        call_id = await home.simulator.place_call(FORWARDED, refer={"outcome": "error500"}, **STAY)
        (outcome,) = await home.outcomes()
        call = home.simulator.call(call_id)
    assert (outcome.name, len(call.refers)) == ("failed.refer_failed", 1)


async def test_a_refer_that_is_never_answered_ends_the_call_in_its_time(
    house: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sipagent.providers.openai.control.REFER_WITHIN", 0.5)
    monkeypatch.setattr(forwarding, "WATCH", 0.3)
    async with house(AGENTS) as home:
        faults = {"refer": {"hang": True}}
        call_id = await home.simulator.place_call(FORWARDED, faults=faults, **STAY)
        (outcome,) = await home.outcomes()
        call = home.simulator.call(call_id)
    assert (outcome.name, outcome.detail) == ("failed.refer_failed", VAIN)
    assert (len(call.refers), call.ended_by) == (1, "hangup")


async def test_a_caller_who_leaves_before_the_refer_has_closed_the_line(house: Open) -> None:
    async with house(AGENTS) as home:
        faults = {"refer": {"latency": 0.5}}
        call_id = await home.simulator.place_call(FORWARDED, faults=faults, **STAY)
        await home.simulator.until(call_id, lambda call: call.answered)
        while not home.simulator.call(call_id).refers:
            await asyncio.sleep(0.01)
        home.simulator.hang_up(call_id)
        (outcome,) = await home.outcomes()
    assert outcome.name == "completed.line_closed"


async def test_a_call_that_nobody_takes_is_hung_up_after_the_watch(
    house: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forwarding, "WATCH", 0.5)
    async with house(AGENTS) as home:
        call_id = await home.simulator.place_call(FORWARDED, refer={"outcome": "nothing"}, **STAY)
        (outcome,) = await home.outcomes()
        call = home.simulator.call(call_id)
    assert (outcome.name, outcome.detail) == ("failed.refer_failed", "nobody took the call")
    assert (call.ended_by, len(call.hangups), len(call.refers)) == ("hangup", 1, 1)


async def test_a_socket_that_drops_breaks_off_no_transfer(
    house: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forwarding, "WATCH", 1.5)
    async with house(AGENTS) as home:
        call_id = await home.simulator.place_call(FORWARDED, refer={"after": 1.0}, **STAY)
        await home.simulator.until(call_id, lambda call: call.attachments == 1)
        home.simulator.close_sockets(call_id, abort=True)
        await home.simulator.wait_ended(call_id)
        call = home.simulator.call(call_id)
        assert (call.ended_by, call.hangups) == ("refer", [])
        # Nobody tells of the end now; the hang-up after the watch finds it out.
        (outcome,) = await home.outcomes()
    assert (outcome.name, outcome.detail) == ("completed.transferred", None)


async def test_a_redelivery_sends_no_second_refer(house: Open) -> None:
    async with house(AGENTS) as home:
        call_id = await home.simulator.place_call(FORWARDED, refer={"after": 0.2}, **STAY)
        await asyncio.gather(
            *(home.simulator.deliver(call_id, fresh=n % 2 == 1) for n in range(40))
        )
        await home.outcomes()
        call = home.simulator.call(call_id)
    assert (len(call.refers), len(call.accepts), len(home.records.outcomes)) == (1, 1, 1)


async def test_a_forward_is_logged_and_counted_without_an_agent(house: Open) -> None:
    metrics = Metrics()
    records = LogRecords(metrics)
    async with house(AGENTS) as home:
        await home.simulator.place_call(FORWARDED, **STAY)
        (outcome,) = await home.outcomes()
        ((call, decision),) = home.records.decisions
    with capture_logs() as lines:
        records.decided(call, decision)
        records.ended(outcome)
    decided, ended = lines
    assert (decided["verdict"], decided["destination"]) == ("forward", "desk")
    assert (decided["agent"], ended["agent"]) == (None, None)
    assert DESK[1:] not in str(lines)
    exposed = metrics.exposition().decode()
    assert (
        'sipagent_calls_total{agent="",outcome="completed.transferred",tenant="default"} 1.0'
        in exposed
    )
