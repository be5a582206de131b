"""Held calls that people on duty act on, among fakes."""

import asyncio
from dataclasses import replace

import pytest

from sipagent.engine.desk import LocalDesk
from sipagent.model import (
    AccountName,
    CallId,
    Happening,
    IncomingCall,
    Reason,
    Reject,
    TenantName,
    WebhookId,
)
from sipagent.model.request import (
    HangUp,
    HoldReplies,
    Replied,
    Reply,
    ResumeReplies,
    Say,
    TransferTo,
    Typed,
    Whisper,
)
from sipagent.sessions.machine import requests
from sipagent.sessions.machine.commands import AddText, CreateResponse, Inform, UpdateSession
from sipagent.sessions.machine.events import (
    Answer,
    AudioStopped,
    ResponseCreated,
    ResponseDone,
)
from sipagent.sip import Invite
from sipagent.testing import FakeSocket, a_plan, a_profile
from tests.sessions.house import House
from tests.sessions.switchboard import DESK, a_way, ways

pytestmark = pytest.mark.virtual_time

CALL = CallId("rtc_1")
DONE = Reply(Replied.DONE)


def refused(why: str) -> Reply:
    return Reply(Replied.REFUSED, why)


def said(socket: FakeSocket) -> list[str]:
    return [one.tag for one in socket.sent if isinstance(one, CreateResponse)]


async def transferable(house: House) -> FakeSocket:
    plan = replace(a_plan(a_profile(greeting=None)), ways=ways(a_way("desk")))
    house.start(plan)
    return await house.sideband.socket()


async def test_a_call_does_what_somebody_on_duty_wants_and_keeps_that_they_did() -> None:
    house = House()
    socket = await house.held()
    act = house.supervisor.act
    assert act(CALL, Whisper("The caller's code word is plum."), "k1") == DONE
    assert act(CALL, Say("One moment."), "k2") == DONE
    assert act(CALL, Typed("Hello?"), "k3") == DONE
    await socket.sent_until(3)
    assert [type(one) for one in socket.sent] == [Inform, CreateResponse, AddText]
    steps = [(what, detail) for _, what, detail in house.records.happenings]
    assert (Happening.STEPPED_IN, "message") in steps
    assert (Happening.STEPPED_IN, "say") in steps
    assert "plum" not in str(steps)
    assert [turn.text for turn in house.records.turns] == ["Hello?"]
    await house.supervisor.abort()


async def test_the_same_key_twice_is_one_request() -> None:
    house = House()
    socket = await house.held()
    for _ in range(3):
        assert house.supervisor.act(CALL, Whisper("Hm."), "k1") == DONE
    assert house.supervisor.act(CALL, Whisper("Hm."), "k2") == DONE
    await socket.sent_until(2)
    assert len(socket.sent) == 2
    await house.supervisor.abort()


async def test_the_same_key_is_one_request_also_of_a_call_that_has_ended() -> None:
    house = House()
    socket = await house.held()
    assert house.supervisor.act(CALL, HangUp(), "k1") == DONE
    await asyncio.sleep(1)
    socket.end(1000)
    await house.over()
    assert house.reasons == [Reason.OPERATOR_HUNG_UP]
    assert house.supervisor.act(CALL, HangUp(), "k1") == DONE
    assert house.supervisor.act(CALL, HangUp(), "k2") is None


async def test_what_was_refused_may_be_asked_again_under_the_same_key() -> None:
    house = House()
    house.answer(greeting=None)
    assert house.supervisor.act(CALL, HoldReplies(), "k1") == refused(requests.NOT_LIVE)
    socket = await house.sideband.socket()
    assert house.supervisor.act(CALL, HoldReplies(), "k1") == DONE
    (update,) = await socket.sent_until(1)
    assert isinstance(update, UpdateSession)
    await house.supervisor.abort()


async def test_a_call_that_is_not_held_here_is_not_acted_on() -> None:
    house = House()
    assert house.supervisor.act(CALL, HangUp(), "k1") is None
    desk = LocalDesk(house.supervisor.act)
    assert await desk.ask(CALL, HangUp()) == Reply(Replied.UNKNOWN_CALL)
    assert await LocalDesk().ask(CALL, HangUp()) == Reply(Replied.UNKNOWN_CALL)


async def test_a_call_that_is_being_refused_cannot_be_acted_on() -> None:
    house = House(reject=Answer.SILENT)
    call = IncomingCall(CALL, WebhookId("wh_1"), AccountName("default"), Invite())
    house.supervisor.refuse(call, Reject(603, Reason.RULE, TenantName("default")))
    assert house.supervisor.act(CALL, HangUp(), "k1") == refused(requests.NOT_LIVE)
    await house.over()


async def test_a_call_that_is_not_surely_ours_is_left_to_whoever_has_it_then() -> None:
    house = House()
    await house.held()
    house.engine.passive = True
    assert house.supervisor.act(CALL, HangUp(), "k1") is None
    house.engine.passive = False
    assert house.supervisor.act(CALL, HangUp(), "k1") == DONE
    await house.supervisor.abort()


async def test_two_people_who_act_at_the_same_time_do_not_undo_each_other() -> None:
    house = House()
    socket = await transferable(house)
    desk = LocalDesk(house.supervisor.act)
    first, second = await asyncio.gather(
        desk.ask(CALL, TransferTo(DESK)), desk.ask(CALL, TransferTo(DESK))
    )
    assert (first, second) == (DONE, refused(requests.UNDER_WAY))
    assert await desk.ask(CALL, HangUp()) == DONE
    assert await desk.ask(CALL, HangUp(goodbye=True)) == DONE
    assert await desk.ask(CALL, TransferTo(DESK)) == refused(requests.ENDING)
    await asyncio.sleep(1)
    socket.end(1000)
    await house.over()
    assert (house.asked, house.reasons) == (["accept", "hang_up"], [Reason.OPERATOR_HUNG_UP])


async def test_the_same_transfer_is_one_refer() -> None:
    house = House()
    socket = await transferable(house)
    for _ in range(2):
        assert house.supervisor.act(CALL, TransferTo(DESK), "k1") == DONE
    await socket.sent_until(1)
    socket.deliver(ResponseCreated("r1", "connecting"))
    socket.deliver(ResponseDone("r1", completed=True))
    socket.deliver(AudioStopped("r1"))
    await asyncio.sleep(1)
    assert house.supervisor.act(CALL, TransferTo(DESK), "k1") == DONE
    await asyncio.sleep(60)
    assert house.asked == ["accept", "refer"]
    assert (CALL, "ordered:duty-k1") in house.engine.notes
    await house.supervisor.abort()


async def test_held_replies_are_held_until_they_are_resumed() -> None:
    house = House()
    socket = await house.held()
    assert house.supervisor.act(CALL, HoldReplies(), "k1") == DONE
    assert house.supervisor.act(CALL, Say("Hm."), "k2") == refused(requests.HUSHED)
    assert house.supervisor.act(CALL, Typed("Hello?"), "k3") == DONE
    await asyncio.sleep(20)
    assert said(socket) == []
    assert house.supervisor.act(CALL, ResumeReplies(), "k4") == DONE
    await asyncio.sleep(1)
    assert said(socket) == ["reply"]
    assert (CALL, "hush:1:k1") in house.engine.notes
    await house.supervisor.abort()


async def test_a_key_of_any_shape_becomes_a_mark() -> None:
    house = House()
    await house.held()
    assert house.supervisor.act(CALL, Whisper("Hm."), "a:b / " + "x" * 300) == DONE
    await asyncio.sleep(1)
    (mark,) = (key for _, key in house.engine.notes if key.startswith("wanted:"))
    assert len(mark) == len("wanted:") + 64
    await house.supervisor.abort()
