"""Calls that are sent on, among fakes: refer first, then the socket, and no word on it."""

import asyncio

import pytest

from sipagent.model import Reason
from sipagent.sessions.machine.events import Answer
from sipagent.testing import a_forward
from tests.sessions.house import House

pytestmark = pytest.mark.virtual_time


async def test_a_call_that_is_taken_has_been_transferred() -> None:
    house = House()
    house.start(a_forward("tel:+17135550100"))
    socket = await house.sideband.socket()
    assert house.control.asked[1] == ("refer", "rtc_1", "tel:+17135550100")
    await asyncio.sleep(8)
    socket.end(1000)
    await house.over()
    (outcome,) = house.records.outcomes
    assert (outcome.name, outcome.agent) == ("completed.transferred", None)
    assert outcome.answered_at is not None
    assert (house.asked, socket.sent) == (["accept", "refer"], [])


async def test_a_call_that_nobody_takes_is_hung_up_after_the_watch() -> None:
    house = House()
    house.start(a_forward())
    socket = await house.sideband.socket()
    while "hang_up" not in house.asked:
        await asyncio.sleep(0.1)
    assert asyncio.get_running_loop().time() == pytest.approx(45, abs=0.2)
    socket.end(1000)
    await house.over()
    (outcome,) = house.records.outcomes
    assert (outcome.name, outcome.detail) == ("failed.refer_failed", "nobody took the call")
    assert (house.asked, socket.sent) == (["accept", "refer", "hang_up"], [])


@pytest.mark.parametrize(
    ("answer", "detail"),
    [(Answer.REFUSED, "refer answered refused"), (Answer.UNSENT, "refer not sent")],
)
async def test_a_refer_that_is_refused_ends_the_call(answer: Answer, detail: str) -> None:
    house = House(refer=answer)
    house.start(a_forward())
    await house.over()
    (outcome,) = house.records.outcomes
    assert (outcome.name, outcome.detail) == ("failed.refer_failed", detail)
    assert house.asked == ["accept", "refer", "hang_up"]


async def test_a_refer_that_may_have_been_relayed_is_watched() -> None:
    house = House(refer=Answer.SILENT)
    house.start(a_forward())
    socket = await house.sideband.socket()
    await asyncio.sleep(20)
    socket.end(1000)
    await house.over()
    assert house.reasons == [Reason.TRANSFERRED]
    assert house.asked == ["accept", "refer"]


async def test_a_drain_lets_the_transfer_finish() -> None:
    house = House()
    house.start(a_forward())
    socket = await house.sideband.socket()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(house.supervisor.drain(5))
        await asyncio.sleep(15)
        socket.end(1000)
    assert house.reasons == [Reason.TRANSFERRED]
    assert socket.sent == []


async def test_a_drain_ends_a_transfer_that_comes_to_nothing() -> None:
    house = House()
    house.start(a_forward())
    await house.sideband.socket()
    await house.supervisor.drain(5)
    assert house.reasons == [Reason.OPERATOR_HUNG_UP]
    assert asyncio.get_running_loop().time() < 5 + 30
    assert house.asked == ["accept", "refer", "hang_up"]


async def test_an_immediate_end_hangs_up_while_the_refer_hangs() -> None:
    house = House()
    house.control.hanging = {"refer"}
    house.start(a_forward())
    await asyncio.sleep(1)
    await house.supervisor.abort()
    assert house.reasons == [Reason.OPERATOR_HUNG_UP]
    assert house.asked == ["accept", "refer", "hang_up"]
