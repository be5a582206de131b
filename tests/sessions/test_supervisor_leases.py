"""Calls of a replica that cannot be sure of them, and of one that has lost them."""

import asyncio
from dataclasses import replace

import pytest

from sipagent.model import (
    DEFAULT_TENANT,
    CallId,
    Decision,
    Effects,
    IncomingCall,
    Reason,
    Reject,
)
from sipagent.sessions.machine.commands import CreateResponse, SendOutput
from sipagent.sessions.machine.events import Answer, CallerText
from tests.sessions.house import House
from tests.sessions.test_supervisor_adopting import GREETED, RING_WINDOW, left
from tests.sessions.test_supervisor_tools import begun, held, respond
from tests.sessions.toolkit import MESSAGE, a_plan_with, asks, lookup

pytestmark = pytest.mark.virtual_time

CALL = CallId("rtc_1")
ONCE = replace(lookup(), effects=Effects.ONCE)


def a_consulted(house: House) -> tuple[IncomingCall, Decision]:
    held = left(house)
    return held.call, held.decision


async def some_time() -> None:
    """Longer than anything that is not held up takes."""
    await asyncio.sleep(1.0)


async def test_while_it_is_passive_nothing_is_sent_and_no_tool_is_run() -> None:
    house = House()
    socket = await held(house, a_plan_with(lookup()))
    house.engine.passive = True
    respond(socket, asks("c1"))
    await some_time()
    assert house.tools.requests == []
    assert socket.sent == []
    house.engine.passive = False
    house.supervisor.resume()
    await begun(house, 1)
    house.tools.end("c1", "{}")
    assert [type(one) for one in await socket.sent_until(2)] == [SendOutput, CreateResponse]
    socket.end()
    await house.over()


async def test_a_tool_that_is_to_run_once_waits_with_its_mark_made() -> None:
    house = House()
    socket = await held(house, a_plan_with(ONCE))
    mark = house.engine.mark

    async def marked(call_id: CallId, epoch: int, key: str) -> object:
        house.engine.passive = True  # the lease runs out while the mark is on its way
        return await mark(call_id, epoch, key)

    house.engine.mark = marked  # type: ignore[method-assign, assignment]
    respond(socket, asks("c1"))
    await some_time()
    assert house.engine.marks == [(CALL, "tool:c1:order_status")]
    assert house.tools.requests == []
    house.engine.passive = False
    await begun(house, 1)
    house.tools.end("c1", "{}")
    await socket.sent_until(2)
    socket.end()
    await house.over()


async def test_the_end_of_a_call_waits_as_well_and_is_recorded_once_it_is_ours_again() -> None:
    house = House()
    socket = await house.held()
    house.engine.passive = True
    house.sideband.alive = False
    socket.end()
    await some_time()
    assert house.records.outcomes == []
    house.engine.passive = False
    house.supervisor.resume()
    await house.over()
    assert house.reasons == [Reason.LINE_CLOSED]


async def test_a_call_that_crashes_is_not_ended_before_it_is_ours_again() -> None:
    """Another replica may hold it by now, and well."""
    house = House()
    await crashed_while_passive(house)
    assert "hang_up" not in house.asked
    assert house.records.outcomes == []
    house.engine.passive = False
    house.supervisor.resume()
    await house.over()
    assert house.asked[-1] == "hang_up"
    assert house.reasons == [Reason.INTERNAL_ERROR]


@pytest.mark.parametrize("crashed", [False, True])
async def test_a_call_that_is_not_surely_ours_is_left_when_the_process_ends(
    *, crashed: bool
) -> None:
    house = House()
    if crashed:
        await crashed_while_passive(house)
    else:
        await house.held()
        house.engine.passive = True
    await house.supervisor.abort()
    assert "hang_up" not in house.asked
    assert house.records.outcomes == []
    assert house.supervisor.busy == 0


async def crashed_while_passive(house: House) -> None:
    """A call of whose state nothing is known any more."""
    socket = await house.held()
    house.engine.passive = True
    socket.deliver(CallerText("c1", None))  # type: ignore[arg-type]  # what no codec lets through
    await some_time()


async def test_a_call_that_is_lost_is_left_as_it_is() -> None:
    house = House()
    socket = await house.held()
    asked = list(house.asked)
    house.supervisor.let_go(CALL)
    await house.over()
    assert socket.is_closed
    assert house.asked == asked  # nobody hangs up
    assert house.records.outcomes == []
    assert house.records.gone == [CALL]
    assert house.supervisor.live == 0
    house.supervisor.let_go(CALL)  # twice is harmless


async def test_tools_of_a_call_that_is_lost_end_and_are_not_recorded() -> None:
    house = House()
    socket = await held(house, a_plan_with(lookup(), MESSAGE))
    respond(socket, asks("c1"), asks("m1", "take_message", '{"message":"call me"}'))
    await begun(house, 2)
    house.supervisor.let_go(CALL)
    await house.over()
    assert house.records.tools == []
    assert socket.sent == []


@pytest.mark.parametrize("state", ["passive", "accepting", "attaching"])
async def test_a_call_may_be_lost_at_any_moment(state: str) -> None:
    house = House()
    if state == "passive":
        await house.held()
        house.engine.passive = True
    else:
        house.answer(greeting=None)
        if state == "attaching":
            while "accept" not in house.asked:
                await asyncio.sleep(0)
    house.supervisor.let_go(CALL)
    await house.over()
    assert house.records.outcomes == []
    assert "hang_up" not in house.asked


async def test_a_call_may_come_back_while_its_former_owner_here_still_lets_go() -> None:
    house = House()
    first = await house.held()
    house.supervisor.let_go(CALL)
    house.supervisor.adopt([left(house, *GREETED)], RING_WINDOW)
    await some_time()
    second = house.sideband.sockets[CALL]
    assert first.is_closed
    assert not second.is_closed
    assert house.supervisor.live == 1
    second.end()
    await house.over()
    assert len(house.records.outcomes) == 1


@pytest.mark.parametrize("alone", [True, False])
async def test_a_call_that_somebody_else_has_answered_is_theirs_if_it_was_claimed_alone(
    *, alone: bool
) -> None:
    """While the engine is away two replicas may claim one call: the provider takes one accept."""
    house = House(accept=Answer.DECIDED)
    house.engine.alone = alone
    house.engine.lost = house.supervisor.let_go
    house.answer(greeting=None)
    await some_time()
    assert (CALL in house.sideband.sockets) is not alone
    assert house.records.gone == ([CALL] if alone else [])
    if not alone:
        house.sideband.sockets[CALL].end()
    await house.over()
    assert len(house.records.outcomes) == (0 if alone else 1)


@pytest.mark.parametrize("doing", ["consult", "refuse"])
async def test_a_call_that_is_lost_before_it_is_held_is_seen_to_by_another(doing: str) -> None:
    house = House()
    call, decision = a_consulted(house)
    if doing == "consult":

        async def asking() -> None:
            await asyncio.sleep(60)

        house.supervisor.consult(call, decision, asking())
    else:
        house.control.hanging.add("reject")
        house.supervisor.refuse(call, Reject(486, Reason.RULE, DEFAULT_TENANT))
    await some_time()
    house.supervisor.let_go(CALL)
    await house.over()
    assert house.records.outcomes == []
    assert [action for action in house.asked if action != "reject"] == []
    assert house.asked == ([] if doing == "consult" else ["reject"])
