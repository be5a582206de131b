"""Calls of browsers: answered before they are held, and adopted, refused and cut off as such."""

import asyncio
from dataclasses import replace

import pytest

from sipagent.model import (
    Accept,
    AccountName,
    CallId,
    CallPlan,
    Decision,
    DestinationName,
    IncomingCall,
    Mark,
    Reachable,
    Reason,
    Reject,
    TenantName,
    WebhookId,
)
from sipagent.sessions.machine import connecting
from sipagent.sessions.machine.commands import CreateResponse, Refer
from sipagent.sessions.machine.events import Answer, CallerStarted, TransferOrdered
from sipagent.sessions.ports import HeldCall
from sipagent.sip import Invite
from sipagent.testing import a_plan, a_profile
from tests.sessions.house import House
from tests.sessions.switchboard import of, output, talking, wants
from tests.sessions.toolkit import responds

pytestmark = pytest.mark.virtual_time

RING_WINDOW = 120.0


def plan(greeting: str | None = "Hello.") -> CallPlan:
    return replace(a_plan(a_profile(greeting=greeting)), talk=True)


def left(
    house: House, *marks: str, verdict: Accept | Reject | None = None, ago: float = 300.0
) -> HeldCall:
    """A call of a browser that a process before has claimed."""
    at = house.clock.wall() - ago
    call = IncomingCall(
        CallId("rtc_1"), WebhookId("talk_rtc_1"), AccountName("default"), Invite(), talk=True
    )
    decision = Decision(verdict or Accept(plan()), trace=(), dialed_source="talk")
    return HeldCall(call, decision, at, 2, dict.fromkeys(marks, at + 1.0))


async def test_a_talk_is_attached_without_an_accept_and_greeted() -> None:
    house = House()
    house.start(plan())
    socket = await house.sideband.socket()
    await asyncio.sleep(0)
    assert any(isinstance(one, CreateResponse) for one in socket.sent)
    socket.deliver(CallerStarted("c1"))
    house.sideband.alive = False
    socket.end(1006)
    await house.over()
    (outcome,) = house.records.outcomes
    assert house.asked == []
    assert house.sideband.dials == [False]
    assert outcome.reason is Reason.LINE_CLOSED
    assert outcome.answered_at is not None


async def test_a_talk_whose_owner_died_before_it_attached_is_attached_by_the_next() -> None:
    house = House()
    house.supervisor.adopt([left(house)], RING_WINDOW)
    socket = await house.sideband.socket()
    await asyncio.sleep(0)
    assert any(isinstance(one, CreateResponse) for one in socket.sent)
    assert (house.asked, house.sideband.dials) == ([], [True])
    await house.supervisor.abort()


@pytest.mark.parametrize("marks", [(), (Mark.ACCEPTED,)], ids=["claimed", "answered"])
async def test_a_talk_that_has_ended_meanwhile_is_closed_and_not_accepted(
    marks: tuple[str, ...],
) -> None:
    house = House()
    house.sideband.refusal = 404
    house.supervisor.adopt([left(house, *marks, ago=10.0)], RING_WINDOW)
    await house.over()
    assert (house.reasons, house.asked) == ([Reason.LINE_CLOSED], [])


@pytest.mark.parametrize("adopted", [False, True])
async def test_a_talk_for_which_there_is_no_room_is_hung_up(adopted: bool) -> None:
    house = House()
    verdict = Reject(486, Reason.QUOTA, TenantName("default"))
    one = left(house, verdict=verdict)
    if adopted:
        house.supervisor.adopt([one], RING_WINDOW)
    else:
        house.supervisor.refuse(one.call, verdict)
    await house.over()
    (outcome,) = house.records.outcomes
    assert (outcome.reason, outcome.sip_code, outcome.detail) == (Reason.QUOTA, None, None)
    assert house.asked == ["hang_up"]


async def test_a_talk_that_nobody_hangs_up_says_so() -> None:
    house = House(hang_up=Answer.SILENT)
    verdict = Reject(486, Reason.QUOTA, TenantName("default"))
    house.supervisor.refuse(left(house).call, verdict)
    await house.over()
    (outcome,) = house.records.outcomes
    assert outcome.detail == "hang-up not confirmed"


@pytest.mark.parametrize("adopted", [False, True])
async def test_a_talk_that_is_cut_off_is_hung_up_and_not_rejected(adopted: bool) -> None:
    house = House()
    if adopted:
        house.supervisor.adopt([left(house)], RING_WINDOW)
    else:
        house.start(plan())
    (runner,) = house.supervisor.held()
    assert not runner.rings
    await house.supervisor.abort()
    assert house.asked == ["hang_up"]
    assert house.reasons == [Reason.OPERATOR_HUNG_UP]


def test_a_talk_is_transferred_nowhere_and_the_model_says_where_it_would_be() -> None:
    call = talking(talk=True)
    responds(call, wants("desk"), response="words", spoken=True)
    told = output(call)["error"]
    assert told == connecting.by_browser(DestinationName("desk"))
    assert "desk" in told
    assert not of(call, Refer)
    responds(call, wants("desk", "t2"), response="again")
    assert not of(call, Refer)


def test_an_order_of_the_operators_leaves_a_talk_alone() -> None:
    call = talking(talk=True)
    assert not call.state.transfer.can_obey("o1")
    way = Reachable(DestinationName("centre"), "sip:centre@pbx.example")
    call.feed(TransferOrdered("o1", way))
    assert not of(call, Refer)
