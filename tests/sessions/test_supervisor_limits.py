"""Calls that end by their own limits, or by a model that fails, among fakes."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from sipagent.model import (
    Bill,
    CallPlan,
    Ceilings,
    DestinationName,
    Fallback,
    Happening,
    ModelPrice,
    Prices,
    Tokens,
)
from sipagent.sessions.machine.commands import CreateResponse, Inform
from sipagent.sessions.machine.events import (
    AudioStarted,
    AudioStopped,
    CallerCommitted,
    CallerStarted,
    ResponseCreated,
    ResponseDone,
)
from sipagent.testing import FakeSocket, a_plan, a_profile
from tests.sessions.house import House

pytestmark = pytest.mark.virtual_time

BILL = Bill(Tokens(text_in=100, text_out=10))
PRICES = Prices("v1", ModelPrice(text_in=4_000, text_out=24_000))
FALLBACK = Fallback(DestinationName("front_desk"), "tel:+17135550100")


def plan(**changes: Any) -> CallPlan:
    return replace(a_plan(a_profile(greeting=None)), prices=PRICES, **changes)


async def held(house: House, of: CallPlan) -> FakeSocket:
    house.start(of)
    return await house.sideband.socket()


async def goodbye(socket: FakeSocket, number: int) -> None:
    """Say the goodbye that is asked for, as the request of this number on the socket."""
    request = (await socket.sent_until(number))[number - 1]
    assert isinstance(request, CreateResponse)
    assert request.tag == "goodbye"
    socket.deliver(ResponseCreated("bye", "goodbye"))
    socket.deliver(AudioStarted("bye"))
    socket.deliver(ResponseDone("bye", completed=True, bill=BILL))
    socket.deliver(AudioStopped("bye"))


async def hung_up(house: House, socket: FakeSocket) -> str:
    """How the call has ended, once it has been hung up."""
    while "hang_up" not in house.asked:
        await asyncio.sleep(0.1)
    socket.end(1000)
    await house.over()
    (outcome,) = house.records.outcomes
    return outcome.name


async def test_a_call_that_has_cost_its_ceiling_ends_with_a_goodbye() -> None:
    house = House()
    socket = await held(house, plan(ceilings=Ceilings(cost=640)))
    socket.deliver(CallerStarted("c1"))
    socket.deliver(ResponseCreated("r1", None))
    socket.deliver(ResponseDone("r1", completed=True, bill=BILL))
    await goodbye(socket, 1)
    assert await hung_up(house, socket) == "completed.budget"
    assert [usage.cost for usage in house.records.usages] == [640, 640]
    assert house.records.outcomes[0].usage_complete


async def test_a_call_that_ends_in_the_middle_of_an_answer_says_that_its_bill_is_not_whole() -> (
    None
):
    house = House()
    socket = await held(house, plan())
    house.sideband.alive = False
    socket.deliver(ResponseCreated("r1", None))
    socket.end(1006)
    await house.over()
    (outcome,) = house.records.outcomes
    assert (outcome.name, outcome.usage_complete) == ("completed.line_closed", False)


async def test_a_line_on_which_nobody_speaks_is_hung_up_after_30_seconds() -> None:
    house = House()
    socket = await held(house, plan())
    assert await hung_up(house, socket) == "abandoned.nobody_there"
    assert asyncio.get_running_loop().time() == pytest.approx(30, abs=0.5)


async def test_a_call_is_wound_down_before_its_longest_duration() -> None:
    house = House()
    socket = await held(house, plan(ceilings=Ceilings(duration=600.0)))
    socket.deliver(CallerStarted("c1"))
    (told,) = await socket.sent_until(1)
    assert isinstance(told, Inform)
    assert asyncio.get_running_loop().time() == pytest.approx(540, abs=0.5)
    await goodbye(socket, 2)
    assert await hung_up(house, socket) == "completed.max_duration"
    assert asyncio.get_running_loop().time() == pytest.approx(600, abs=0.5)
    assert ("rtc_1", Happening.WOUND_DOWN, "max_duration") in house.records.happenings


async def test_the_providers_hour_is_wound_down_and_never_reached() -> None:
    house = House()
    socket = await held(house, plan())
    socket.deliver(CallerStarted("c1"))
    (told,) = await socket.sent_until(1)
    assert isinstance(told, Inform)
    assert asyncio.get_running_loop().time() == pytest.approx(57 * 60, abs=0.5)
    await goodbye(socket, 2)
    assert await hung_up(house, socket) == "failed.session_expired"
    assert asyncio.get_running_loop().time() == pytest.approx(59 * 60, abs=0.5)


async def test_a_model_that_does_not_answer_sends_the_caller_to_the_fallback() -> None:
    house = House()
    socket = await held(house, plan(fallback=FALLBACK))
    socket.deliver(CallerStarted("c1"))
    socket.deliver(CallerCommitted("c1"))
    (again,) = await socket.sent_until(1)
    assert isinstance(again, CreateResponse)
    assert asyncio.get_running_loop().time() == pytest.approx(8, abs=0.5)
    while "refer" not in house.asked:
        await asyncio.sleep(0.1)
    assert asyncio.get_running_loop().time() == pytest.approx(16, abs=0.5)
    house.sideband.alive = False
    socket.end(1000)
    await house.over()
    assert house.reasons == ["transferred"]
    assert house.asked == ["accept", "refer"]
    happened = [what for _, what, _ in house.records.happenings]
    assert [what for what in happened if what in (Happening.RETRIED, Happening.FELL_BACK)] == [
        Happening.RETRIED,
        Happening.FELL_BACK,
    ]
