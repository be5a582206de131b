"""C5 of the reliability list: callers who leave at any moment, and sockets that fall silent."""

import json
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

import pytest

from sipagent.model import AccountName, Speaker
from sipagent.providers.openai.route import Keepalive
from tests.waiting import eventually

Open = Callable[..., AbstractAsyncContextManager[Any]]
RECEPTION, QUIET = "+17134810111", "+17134810122"
CLOSED_WITHIN = 1.0
"""Seconds from the caller's leaving to the record's end."""


@pytest.mark.parametrize("decided", [409, 404])
async def test_a_caller_who_leaves_while_it_rings_has_gone(house: Open, decided: int) -> None:
    async with house() as home:
        faults = {"accept": {"latency": 0.3}}
        call_id = await home.simulator.place_call(
            RECEPTION, faults=faults, stay=True, script=[], second_decision=decided
        )
        await eventually(lambda: home.simulator.call(call_id).accepts)
        home.simulator.hang_up(call_id)
        (ended,) = await home.outcomes()
        call = home.simulator.call(call_id)
    assert (ended.name, ended.answered_at) == ("abandoned.caller_gone", None)
    assert ended.usage_complete
    assert (len(call.accepts), call.hangups, call.attachments) == (1, [], 0)


async def test_a_caller_who_leaves_before_the_socket_is_there_is_recorded_as_unattended(
    house: Open,
) -> None:
    async with house() as home:
        faults = {"attach": {"latency": 0.2}}
        call_id = await home.simulator.place_call(RECEPTION, faults=faults, stay=True, script=[])
        await home.simulator.until(call_id, lambda call: call.answered)
        home.simulator.hang_up(call_id)
        (ended,) = await home.outcomes()
    assert ended.name == "failed.attach_failed"
    assert ended.heard_at is None


async def test_a_caller_who_leaves_during_the_greeting_heard_only_a_part_of_it(
    house: Open,
) -> None:
    async with house() as home:
        call_id = await home.simulator.place_call(RECEPTION, stay=True, script=[], pace=2.0)
        await home.simulator.until(call_id, lambda call: call.transcript)
        await eventually(lambda: "heard" in [what for _, what, _ in home.records.happenings])
        left_at = time.time()
        home.simulator.hang_up(call_id)
        (ended,) = await home.outcomes()
    assert ended.name == "completed.line_closed"
    assert ended.ended_at - left_at < CLOSED_WITHIN * 10
    greeted = [turn for turn in home.records.turns if turn.speaker is Speaker.AGENT]
    assert [turn.interrupted for turn in greeted] == [True]
    assert "response.create" in json.dumps(home.simulator.call(call_id).client_events)


async def test_a_socket_that_has_fallen_silent_is_replaced_while_the_call_goes_on(
    house: Open,
) -> None:
    async with house() as home:
        sideband = home.service.accounts.sideband(AccountName("default"))
        sideband._routes = replace(sideband._routes, keepalive=Keepalive(0.1, 0.2))
        faults = {"socket": {"blackhole": True, "times": 1}}
        call_id = await home.simulator.place_call(QUIET, faults=faults, stay=True, script=[])
        # Attached, found by the probe to be there, and attached again.
        await home.simulator.until(call_id, lambda call: call.attachments >= 3, timeout=20)
        home.simulator.say(call_id, "Is somebody there?")
        await home.simulator.until(call_id, answered, timeout=20)
        home.simulator.hang_up(call_id)
        (ended,) = await home.outcomes()
        call = home.simulator.call(call_id)
    assert ended.name == "completed.line_closed"
    assert not ended.usage_complete
    assert (len(call.accepts), call.hangups) == (1, [])
    assert "dropped" in [what for _, what, _ in home.records.happenings]


def answered(call: Any) -> bool:
    return any(line["who"] == "agent" for line in call.transcript)
