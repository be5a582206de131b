"""Calls that a process before this one has left, among fakes."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from sipagent.model import (
    Accept,
    AccountName,
    CallId,
    CallOutcome,
    CallPlan,
    Decision,
    IncomingCall,
    Mark,
    Reason,
    Reject,
    TenantName,
    WebhookId,
)
from sipagent.sessions.machine.commands import CreateResponse
from sipagent.sessions.machine.events import Answer, CallerStarted, Event
from sipagent.sessions.ports import HeldCall
from sipagent.sip import Invite
from sipagent.testing import (
    FakeControl,
    FakeProviders,
    FakeSideband,
    FakeSocket,
    a_plan,
    a_profile,
)
from sipagent.testing.fakes import FakeDial
from tests.sessions.house import House

pytestmark = pytest.mark.virtual_time

RING_WINDOW = 120.0
GREETED = (Mark.ACCEPTED, Mark.ATTACHED, Mark.GREETING, Mark.HEARD, Mark.TURN_RESTORED)
REFUSED = Reject(603, Reason.RULE, TenantName("default"))


def left(
    house: House,
    *marks: str,
    call_id: str = "rtc_1",
    verdict: Accept | Reject | None = None,
    outcome: CallOutcome | None = None,
    ago: float = 10.0,
) -> HeldCall:
    """A call that came some seconds ago."""
    at = house.clock.wall() - ago
    call = IncomingCall(CallId(call_id), WebhookId("wh_1"), AccountName("default"), Invite())
    decision = Decision(verdict or Accept(plan(call_id)), trace=())
    return HeldCall(call, decision, at, 2, dict.fromkeys(marks, at + 1.0), outcome)


def plan(call_id: str = "rtc_1") -> CallPlan:
    return a_plan(a_profile(), call_id=call_id)


async def test_a_call_that_was_held_is_held_to_its_end_and_not_greeted() -> None:
    house = House()
    house.supervisor.adopt([left(house, *GREETED)], RING_WINDOW)
    socket = await house.sideband.socket()
    socket.deliver(CallerStarted("c1"))
    await asyncio.sleep(60)
    house.sideband.alive = False
    socket.end(1006)
    await house.over()
    (outcome,) = house.records.outcomes
    assert (outcome.reason, outcome.usage_complete) == (Reason.LINE_CLOSED, False)
    assert (house.asked, house.sideband.dials) == ([], [True])
    assert not any(isinstance(request, CreateResponse) for request in socket.sent)
    assert house.engine.finished == [(outcome, 2)]
    assert outcome.began_at + 1.0 == outcome.answered_at == outcome.heard_at
    assert outcome.duration == pytest.approx(70, abs=0.5)


@pytest.mark.parametrize(
    ("marks", "ago", "asked", "reason"),
    [
        (GREETED, 10.0, [], Reason.LINE_CLOSED),
        ((), 10.0, ["accept", "hang_up"], Reason.CALLER_GONE),
        ((), 150.0, [], Reason.REPLICA_LOST),
    ],
    ids=["answered", "rings", "rings no more"],
)
async def test_a_call_that_has_ended_meanwhile_is_closed(
    marks: tuple[str, ...], ago: float, asked: list[str], reason: Reason
) -> None:
    house = House(accept=Answer.GONE, hang_up=Answer.GONE)
    house.sideband.refusal = 404
    house.supervisor.adopt([left(house, *marks, ago=ago)], RING_WINDOW)
    await house.over()
    assert (house.reasons, house.asked) == ([reason], asked)


async def test_a_call_that_had_ended_is_recorded_as_it_ended() -> None:
    house = House()
    began = house.clock.wall() - 10
    of = plan()
    ended = CallOutcome(
        of.call_id, of.account, of.tenant, of.agent, Reason.BUDGET, began, began + 5
    )
    house.supervisor.adopt([left(house, *GREETED, outcome=ended)], RING_WINDOW)
    await house.over()
    assert house.records.outcomes == [ended]
    assert house.engine.finished == [(ended, 2)]
    assert (house.asked, house.sideband.dials) == ([], [])


@pytest.mark.parametrize(
    ("answer", "detail", "code"),
    [(Answer.DONE, None, 603), (Answer.GONE, "reject gone", None)],
)
async def test_a_rejection_that_was_on_its_way_stays_one(
    answer: Answer, detail: str | None, code: int | None
) -> None:
    house = House(reject=answer)
    house.supervisor.adopt([left(house, verdict=REFUSED)], RING_WINDOW)
    await house.over()
    (outcome,) = house.records.outcomes
    assert (outcome.reason, outcome.detail, outcome.sip_code) == (Reason.RULE, detail, code)
    assert house.asked == ["reject"]


class SlowDial(FakeDial):
    """A dial that takes a second."""

    async def attach(self, deliver: Callable[[Event], None], *, again: bool = False) -> FakeSocket:
        side: Any = self._sideband
        side.dialing += 1
        side.most = max(side.most, side.dialing)
        await asyncio.sleep(1.0)
        side.dialing -= 1
        return await super().attach(deliver, again=again)


class SlowSideband(FakeSideband):
    dialing = most = 0

    def dial(self, call_id: CallId) -> FakeDial:
        return SlowDial(self, call_id)


async def test_a_hundred_calls_are_dialed_at_once_and_no_more() -> None:
    house = House()
    side = SlowSideband()
    house.providers._sideband = side
    calls = [left(house, *GREETED, call_id=f"rtc_{n}") for n in range(350)]
    house.supervisor.adopt(calls, RING_WINDOW)
    for n in range(350):
        await side.socket(f"rtc_{n}")
    assert side.most == 100
    assert asyncio.get_running_loop().time() == pytest.approx(4, abs=0.5)
    await house.supervisor.abort()


class Forgotten(FakeProviders):
    """Providers that know no account any more."""

    def control(self, account: AccountName) -> FakeControl:
        raise KeyError(account)


async def test_a_call_whose_account_is_not_configured_any_more_is_recorded_as_lost() -> None:
    house = House()
    house.around(Forgotten(house.control, house.sideband))
    refused = left(house, call_id="rtc_2", verdict=REFUSED)
    house.supervisor.adopt([left(house, *GREETED), refused, left(house, call_id="r3")], RING_WINDOW)
    await house.over()
    ends = {one.call_id: (one.reason, one.detail, one.heard_at) for one in house.records.outcomes}
    detail, heard = "not adopted: KeyError; hang-up not confirmed", house.clock.wall() - 9.0
    assert ends == {
        "rtc_1": (Reason.REPLICA_LOST, detail, pytest.approx(heard)),
        "rtc_2": (Reason.RULE, detail, None),
        "r3": (Reason.REPLICA_LOST, detail, None),
    }
    assert {outcome.call_id for outcome, epoch in house.engine.finished if epoch == 2} == set(ends)


async def test_a_call_whose_plan_cannot_be_used_is_hung_up_and_recorded() -> None:
    house = House()
    broken = replace(plan(), session={"type": "realtime", "audio": {}})
    house.supervisor.adopt([left(house, *GREETED, verdict=Accept(broken))], RING_WINDOW)
    await house.over()
    (outcome,) = house.records.outcomes
    assert (outcome.reason, outcome.detail) == (Reason.REPLICA_LOST, "not adopted: KeyError")
    assert (house.asked, outcome.usage_complete) == (["hang_up"], False)
