"""Tools of calls on fake ports: each a task beside its call, marked, ended and recorded once."""

import asyncio
from dataclasses import replace

import pytest

from sipagent.model import (
    Accept,
    CallId,
    CallPlan,
    Decision,
    Effects,
    IncomingCall,
    Reason,
    ToolStatus,
    WebhookId,
)
from sipagent.sessions.machine.commands import CreateResponse, SendOutput
from sipagent.sessions.machine.events import (
    CallerStarted,
    FunctionCall,
    ResponseCreated,
    ResponseDone,
)
from sipagent.sessions.ports import HeldCall, SocketRequest
from sipagent.sip import Invite
from sipagent.testing import FakeSocket
from tests.sessions.house import House
from tests.sessions.toolkit import MESSAGE, a_plan_with, asks, lookup

pytestmark = pytest.mark.virtual_time

ONCE = replace(lookup(), effects=Effects.ONCE)


async def held(house: House, plan: CallPlan) -> FakeSocket:
    house.start(plan)
    socket = await house.sideband.socket()
    socket.deliver(CallerStarted("c0"))
    return socket


def respond(socket: FakeSocket, *calls: FunctionCall, response: str = "r1") -> None:
    socket.deliver(ResponseCreated(response, None))
    socket.deliver(ResponseDone(response, completed=True, calls=calls))


async def begun(house: House, count: int) -> None:
    """Wait until so many tools have begun."""
    while len(house.tools.requests) < count:
        await asyncio.sleep(0.01)


async def test_a_tool_runs_beside_its_call_and_its_output_goes_back() -> None:
    house = House()
    socket = await held(house, a_plan_with(lookup()))
    respond(socket, asks("c1"))
    await begun(house, 1)
    request = house.tools.requests[0]
    assert (request.id, request.tool.name, request.arguments) == (
        "c1",
        "order_status",
        {"order_no": "A1"},
    )
    assert request.agent == "reception"
    house.tools.end("c1", '{"eta":"Tuesday"}')
    sent = await socket.sent_until(2)
    assert [type(one) for one in sent] == [SendOutput, CreateResponse]
    socket.end()
    await house.over()
    assert [use.result for use in house.records.tools] == [ToolStatus.DONE]
    assert ("rtc_1", "tool:c1:order_status") in house.engine.notes
    assert ("rtc_1", "told:c1") in house.engine.notes


async def test_a_tool_that_must_run_once_is_marked_before_it_runs() -> None:
    house = House()
    socket = await held(house, a_plan_with(ONCE))
    respond(socket, asks("c1"))
    await begun(house, 1)
    assert ("rtc_1", "tool:c1:order_status") in house.engine.marks
    house.tools.end("c1")
    await socket.sent_until(2)
    socket.end()
    await house.over()


async def test_a_tool_that_has_been_marked_before_does_not_run_again() -> None:
    house = House()
    house.engine.already.add("tool:c1:order_status")
    socket = await held(house, a_plan_with(ONCE))
    respond(socket, asks("c1"))
    output, *_ = await socket.sent_until(1)
    assert isinstance(output, SendOutput)
    assert '"unknown"' in output.output
    assert house.tools.requests == []
    socket.end()
    await house.over()
    assert [use.result for use in house.records.tools] == [ToolStatus.UNKNOWN]


async def test_the_end_of_the_call_cancels_what_runs_and_lets_finish_what_is_to() -> None:
    house = House()
    socket = await held(house, a_plan_with(lookup(), MESSAGE))
    respond(socket, asks("c1"), asks("m1", "take_message", '{"message":"call me"}'))
    await begun(house, 2)
    house.sideband.alive = False
    socket.end()
    await house.records.ended_until(1)
    await asyncio.sleep(0.01)
    assert house.tools.cancelled == ["c1"]
    assert house.supervisor.busy == 1
    house.tools.end("m1")
    await house.over()
    ends = {use.name: use.result for use in house.records.tools}
    assert ends == {"order_status": ToolStatus.CANCELLED, "take_message": ToolStatus.DONE}


async def test_a_tool_that_crashes_harms_no_call() -> None:
    """Ports do not raise; should one, the call goes on and its other tools do."""
    house = House()
    socket = await held(house, a_plan_with(lookup()))
    respond(socket, asks("c1"), asks("c2"))
    await begun(house, 2)
    house.tools.crash("c1", ZeroDivisionError("of a tool"))
    house.tools.end("c2")
    sent = await socket.sent_until(3)
    assert {one.id for one in sent if isinstance(one, SendOutput)} == {"c1", "c2"}
    socket.end()
    await house.over()


async def test_fifty_tools_that_hang_do_not_keep_a_call_from_its_events() -> None:
    house = House()
    sockets = []
    for number in range(50):
        house.start(replace(a_plan_with(lookup()), call_id=CallId(f"rtc_{number}")))
        socket = await house.sideband.socket(f"rtc_{number}")
        respond(socket, asks(f"c{number}"))
        sockets.append(socket)
    await begun(house, 50)
    house.start(replace(a_plan_with(lookup()), call_id=CallId("rtc_other")))
    other = await house.sideband.socket("rtc_other")
    respond(other, asks("quick"))
    house.tools.end("quick")
    await other.sent_until(2)
    house.sideband.alive = False
    for socket in (*sockets, other):
        socket.end()
    await house.over()
    assert len(house.tools.cancelled) == 50


async def test_an_adopter_tells_what_is_not_known_and_runs_nothing() -> None:
    house = House()
    plan = a_plan_with(ONCE)
    at = house.clock.wall() - 9.0
    call = IncomingCall(plan.call_id, WebhookId("wh_1"), plan.account, Invite())
    marks = dict.fromkeys(("accepted", "attached", "tool:c1:order_status"), at + 1.0)
    left = HeldCall(call, Decision(Accept(plan), trace=()), at, 2, marks)
    house.supervisor.adopt([left], 120.0)
    socket = await house.sideband.socket()
    output, *_ = await socket.sent_until(1)
    assert isinstance(output, SendOutput)
    assert (output.id, '"unknown"' in output.output) == ("c1", True)
    assert house.tools.requests == []
    socket.end()
    await house.over()
    (use,) = house.records.tools
    assert (use.name, use.result, use.began) == ("order_status", ToolStatus.UNKNOWN, 1.0)


async def test_an_output_that_went_nowhere_is_not_noted_as_told() -> None:
    """The process may die before the socket is back: its successor has to send it."""
    house = House()
    socket = await held(house, a_plan_with(lookup()))
    respond(socket, asks("c1"))
    await begun(house, 1)
    socket.is_closed, house.sideband.alive = True, True
    house.tools.end("c1")
    await asyncio.sleep(0.01)
    assert ("rtc_1", "told:c1") not in house.engine.notes
    socket.end()
    while (again := await house.sideband.socket()) is socket:
        await asyncio.sleep(0.01)
    await again.sent_until(1)
    await asyncio.sleep(0.01)
    assert ("rtc_1", "told:c1") in house.engine.notes
    house.sideband.alive = False
    again.end()
    await house.over()


class Buffered(FakeSocket):
    """A socket whose buffer is full until a test says otherwise."""

    def __init__(self, socket: FakeSocket) -> None:
        super().__init__(socket.deliver)
        self.room = False

    def put(self, request: SocketRequest) -> bool:
        if self.room:
            self.sent.append(request)
        return self.room


@pytest.mark.parametrize("room", [True, False])
async def test_requests_go_out_in_their_order_whether_or_not_one_has_to_wait(room: bool) -> None:
    house = House()
    await held(house, a_plan_with(lookup()))
    (runner,) = house.supervisor._runners.values()
    runner._line._socket = socket = Buffered(house.sideband.sockets[CallId("rtc_1")])
    socket.room = room
    respond(socket, asks("c1", arguments="{}"), asks("c2", arguments="{}"))
    socket.room = True
    if not room:
        assert socket.sent == []
    while len(socket.sent) < 3:
        await asyncio.sleep(0.01)
    first, second, third = socket.sent
    assert [type(one) for one in (first, second, third)] == [SendOutput, SendOutput, CreateResponse]
    assert [one.id for one in (first, second) if isinstance(one, SendOutput)] == ["c1", "c2"]
    assert [use.id for use in house.records.tools] == ["c1", "c2"]
    socket.end()
    await house.over()


async def test_a_record_that_breaks_ends_its_call_with_an_outcome() -> None:
    house = House()
    socket = await held(house, a_plan_with(lookup()))
    house.records.tool = broken  # type: ignore[method-assign]
    respond(socket, asks("c1", "no_such_tool"))
    await house.over()
    assert house.reasons == [Reason.INTERNAL_ERROR]


def broken(*_: object) -> None:
    raise ZeroDivisionError("of the records")
