"""Calls that their agent sends to somebody, among fakes: room, mark, REFER, records."""

import asyncio
import json
from typing import Any

import pytest

from sipagent.model import (
    Accept,
    AccountName,
    CallId,
    Decision,
    IncomingCall,
    Mark,
    TransferEnd,
    WebhookId,
)
from sipagent.sessions.machine.commands import SendOutput
from sipagent.sessions.machine.events import (
    Answer,
    AudioStopped,
    CallerStarted,
    ResponseCreated,
    ResponseDone,
)
from sipagent.sessions.ports import HeldCall
from sipagent.sip import Invite
from sipagent.testing import FakeSocket
from tests.sessions.house import House
from tests.sessions.switchboard import HOURLY, TRANSFER, a_way, uri, wants, ways
from tests.sessions.toolkit import a_plan_with

pytestmark = pytest.mark.virtual_time


async def asked(house: House, *destinations: Any) -> FakeSocket:
    """A call whose agent has announced a transfer to the first of these destinations."""
    house.start(a_plan_with(TRANSFER, ways=ways(*destinations)))
    socket = await house.sideband.socket()
    socket.deliver(CallerStarted("c0"))
    socket.deliver(ResponseCreated("r1", None))
    socket.deliver(ResponseDone("r1", completed=True, calls=(wants(),), spoken=True))
    return socket


def outputs(socket: FakeSocket) -> list[dict[str, str]]:
    return [json.loads(one.output) for one in socket.sent if isinstance(one, SendOutput)]


def outcomes(house: House) -> list[tuple[int, str, TransferEnd | None]]:
    return [(one.number, one.answer, one.outcome) for one in house.records.transfers]


async def test_a_call_that_somebody_takes_is_recorded_as_transferred() -> None:
    house = House()
    socket = await asked(house)
    assert "refer" not in house.asked, "the words have not been heard"
    socket.deliver(AudioStopped("r1"))
    await socket.sent_until(1)
    assert outputs(socket)[0]["status"] == "connecting"
    await asyncio.sleep(5)
    socket.end()
    await house.over()
    (outcome,) = house.records.outcomes
    assert (outcome.name, outcome.agent) == ("completed.transferred", "reception")
    assert house.control.asked[1:] == [("refer", "rtc_1", uri("desk"))]
    assert outcomes(house) == [(1, "done", None), (1, "done", TransferEnd.TAKEN)]


async def test_room_is_asked_for_and_the_attempt_marked_before_the_refer() -> None:
    house = House()
    socket = await asked(house)
    house.control.hanging.add("refer")
    socket.deliver(AudioStopped("r1"))
    await asyncio.sleep(1)
    assert house.engine.admitted == [HOURLY]
    assert (CallId("rtc_1"), "refer:1:desk") in house.engine.marks
    assert house.asked == ["accept", "refer"]
    await house.supervisor.abort()


async def test_a_transfer_without_room_is_not_sent_and_the_agent_says_so() -> None:
    house = House()
    house.engine.full.add(HOURLY.key)
    socket = await asked(house, a_way("desk", "centre"), a_way("centre"))
    socket.deliver(AudioStopped("r1"))
    await socket.sent_until(1)
    await asyncio.sleep(1)
    assert "no more calls may be transferred" in outputs(socket)[0]["error"]
    assert (house.asked, outcomes(house)) == (["accept"], [(1, "barred", TransferEnd.BARRED)])
    assert not any(mark.startswith("refer") for _, mark in house.engine.marks)
    await house.supervisor.abort()


async def test_a_transfer_that_is_marked_already_is_watched_and_not_sent() -> None:
    house = House()
    house.engine.already.add("refer:1:desk")
    socket = await asked(house)
    socket.deliver(AudioStopped("r1"))
    await asyncio.sleep(10)
    socket.end()
    await house.over()
    assert house.asked == ["accept"]
    assert outcomes(house) == [(1, "silent", None), (1, "silent", TransferEnd.TAKEN)]


async def test_two_attempts_are_two_records() -> None:
    house = House(refer=Answer.REFUSED)
    socket = await asked(house, a_way("desk", "centre"), a_way("centre"))
    socket.deliver(AudioStopped("r1"))
    await asyncio.sleep(20)
    assert [body for action, _, body in house.control.asked if action == "refer"] == [
        uri("desk"),
        uri("centre"),
    ]
    refused = TransferEnd.REFUSED
    assert outcomes(house) == [(1, "refused", refused), (2, "refused", refused)]
    assert [one.destination for one in house.records.transfers] == ["desk", "centre"]
    await house.supervisor.abort()


async def test_a_caller_who_leaves_while_the_refer_is_sent_was_transferred_once() -> None:
    house = House()
    socket = await asked(house)
    socket.deliver(AudioStopped("r1"))
    socket.end()
    await house.over()
    assert [one.name for one in house.records.outcomes] == ["completed.transferred"]
    assert outcomes(house)[-1] == (1, "done", TransferEnd.TAKEN)


def left_watching(house: House, *marks: str, ago: float) -> HeldCall:
    """A call that a process before this one has transferred so many seconds ago."""
    at = house.clock.wall() - ago
    call = IncomingCall(CallId("rtc_1"), WebhookId("wh_1"), AccountName("default"), Invite())
    plan = a_plan_with(TRANSFER, ways=ways(a_way("desk", "centre"), a_way("centre")))
    marks = (Mark.ACCEPTED, Mark.ATTACHED, Mark.SOMEBODY, *marks)
    return HeldCall(call, Decision(Accept(plan), trace=()), at, 2, dict.fromkeys(marks, at))


async def test_a_transfer_of_another_process_is_watched_for_the_rest_of_its_time() -> None:
    house = House()
    house.supervisor.adopt([left_watching(house, "refer:1:desk", ago=40.0)], 120.0)
    socket = await house.sideband.socket()
    await asyncio.sleep(4.9)
    assert (house.asked, house.records.transfers) == ([], [])
    await asyncio.sleep(0.2)
    assert outcomes(house) == [(1, "silent", TransferEnd.NOT_TAKEN)]
    await asyncio.sleep(16)  # the words that nobody says
    assert house.control.asked == [("refer", "rtc_1", uri("centre"))]
    assert (CallId("rtc_1"), "refer:2:centre") in house.engine.marks
    socket.end()
    await house.over()
    assert [one.name for one in house.records.outcomes] == ["completed.transferred"]
    assert outcomes(house)[-1] == (2, "done", TransferEnd.TAKEN)


async def test_a_call_that_was_taken_while_no_process_held_it_is_recorded_so() -> None:
    house = House()
    house.sideband.refusal = 404
    house.supervisor.adopt([left_watching(house, "refer:1:desk", ago=20.0)], 120.0)
    await house.over()
    assert [one.name for one in house.records.outcomes] == ["completed.transferred"]
    assert (house.asked, outcomes(house)) == ([], [(1, "silent", TransferEnd.TAKEN)])
