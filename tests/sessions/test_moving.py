"""Held calls that the operator sends on, among fakes: each once, a few at a time, whoever holds
them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from sipagent.model import (
    DEFAULT_TENANT,
    Accept,
    AccountName,
    CallId,
    Decision,
    Destination,
    DestinationName,
    IncomingCall,
    Mark,
    WebhookId,
)
from sipagent.routing import Order, Route, Scope
from sipagent.routing.controls import Controls, ordered
from sipagent.sessions.machine.events import Answer, AudioStopped, ResponseCreated, ResponseDone
from sipagent.sessions.moving import AT_ONCE, LOOK_EVERY, RESTS, Mover
from sipagent.sessions.ports import HeldCall
from sipagent.sip import Invite
from sipagent.testing import FakeConfiguration, FakeSocket, a_forward, a_plan, a_profile, a_table
from tests.sessions.house import House

pytestmark = pytest.mark.virtual_time

NIGHT = DestinationName("night")
URI = "tel:+17135550100"
ALL = Order(Scope.ALL, to=NIGHT, live=1000.0)
PATIENCE = LOOK_EVERY * (RESTS + 2)
"""Seconds in which an order has been looked at."""


class Home:
    """A supervisor among fakes, and whoever sends its calls on."""

    def __init__(self, **answers: Answer) -> None:
        self.house = House(**answers)
        table = a_table([Route("default", DEFAULT_TENANT, ())], [a_profile(greeting=None)])
        known = {NIGHT: Destination(NIGHT, a_profile().tenant, "+17135550100")}
        self.configuration = FakeConfiguration(replace(table, destinations=known))

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Home"]:
        house = self.house
        async with Mover(house.supervisor, self.configuration, house.clock):
            yield self
        await house.supervisor.abort()

    def order(self, *orders: Order) -> None:
        self.configuration.controls = ordered(orders)

    async def hold(self, count: int = 1) -> list[FakeSocket]:
        return [await self.house.held(f"rtc_{number}") for number in range(1, count + 1)]

    @property
    def refers(self) -> list[tuple[str, object]]:
        asked = self.house.control.asked
        return [(call_id, body) for action, call_id, body in asked if action == "refer"]


def _is_announcement(request: object) -> bool:
    return getattr(request, "tag", None) == "connecting"


def say(socket: FakeSocket) -> None:
    """The agent says that the caller is being connected, and is heard."""
    socket.deliver(ResponseCreated("w", "connecting"))
    socket.deliver(ResponseDone("w", completed=True, spoken=True))
    socket.deliver(AudioStopped("w"))


async def test_a_held_call_is_sent_on_once() -> None:
    async with Home().open() as home:
        (socket,) = await home.hold()
        await asyncio.sleep(5)
        assert home.refers == []
        home.order(ALL)
        await socket.sent_until(1)
        say(socket)
        await asyncio.sleep(PATIENCE)
        assert home.refers == [("rtc_1", URI)]
        assert ("rtc_1", "refer:1:night") in home.house.engine.marks
        await asyncio.sleep(120)
        assert home.refers == [("rtc_1", URI)], "nobody has taken it, and it is not tried again"


async def test_an_order_that_is_given_again_sends_a_call_on_again() -> None:
    async with Home(refer=Answer.REFUSED).open() as home:
        await home.hold()
        home.order(ALL)
        await asyncio.sleep(20)
        home.order(replace(ALL, live=1020.0))
        await asyncio.sleep(40)
        assert home.refers == [("rtc_1", URI)] * 2


@pytest.mark.parametrize(
    "orders",
    [
        (replace(ALL, live=None),),
        (replace(ALL, until=0.5),),
        (Order(Scope.TENANT, "other", to=NIGHT, live=1000.0),),
        (Order(Scope.AGENT, "default/other", to=NIGHT, live=1000.0),),
        (Order(Scope.ALL, code=603),),
        (replace(ALL, to=DestinationName("nowhere")),),
        (),
    ],
    ids=str,
)
async def test_calls_that_no_order_is_about_go_on(orders: tuple[Order, ...]) -> None:
    async with Home().open() as home:
        await home.hold()
        home.order(*orders)
        await asyncio.sleep(30)
        assert home.refers == []


async def test_a_call_that_is_sent_on_unanswered_is_left() -> None:
    async with Home().open() as home:
        home.house.start(a_forward("tel:+17135550199"))
        await asyncio.sleep(1)
        home.order(ALL)
        await asyncio.sleep(30)
        assert home.refers == [("rtc_1", "tel:+17135550199")]


async def test_a_thousand_calls_are_sent_on_a_few_at_a_time() -> None:
    count, second = 200, round(1 / LOOK_EVERY) * AT_ONCE
    async with Home().open() as home:
        sockets = await home.hold(count)
        home.order(ALL)
        await asyncio.sleep(1.0 + LOOK_EVERY)
        told = sum(any(map(_is_announcement, socket.sent)) for socket in sockets)
        assert second <= told <= second + 2 * AT_ONCE
        await asyncio.sleep(count / second)
        assert all(any(map(_is_announcement, socket.sent)) for socket in sockets)
        await asyncio.sleep(20)
        assert len(home.refers) == len(set(home.refers)) == count


async def test_an_order_that_is_taken_back_sends_no_more_calls_on() -> None:
    async with Home().open() as home:
        sockets = await home.hold(100)
        home.order(ALL)
        await asyncio.sleep(1.0)
        home.order()
        await asyncio.sleep(30)
        assert 0 < len(home.refers) < len(sockets)


async def test_a_call_that_comes_while_an_order_is_on_its_way_is_sent_on_as_well() -> None:
    async with Home().open() as home:
        home.order(ALL)
        await asyncio.sleep(10)
        await home.hold()
        await asyncio.sleep(PATIENCE + 16)
        assert home.refers == [("rtc_1", URI)]


def left(home: Home, *marks: str) -> HeldCall:
    """A call that another replica has left."""
    at = home.house.clock.wall() - 10.0
    call = IncomingCall(CallId("rtc_1"), WebhookId("wh_1"), AccountName("default"), Invite())
    decision = Decision(Accept(a_plan(a_profile(greeting=None))), trace=())
    known = (Mark.ACCEPTED, Mark.ATTACHED, Mark.HEARD, Mark.SOMEBODY, *marks)
    return HeldCall(call, decision, at, 2, dict.fromkeys(known, at + 1.0))


async def test_a_call_that_is_taken_over_is_sent_on() -> None:
    async with Home().open() as home:
        home.order(ALL)
        home.house.supervisor.adopt([left(home)], 120.0)
        await asyncio.sleep(PATIENCE + 16)
        assert home.refers == [("rtc_1", URI)]


async def test_a_call_that_is_taken_over_is_not_sent_on_again() -> None:
    async with Home().open() as home:
        home.order(ALL)
        marks = (f"ordered:{round(ALL.live or 0.0) * 1000}", "refer:1:night")
        home.house.supervisor.adopt([left(home, *marks)], 120.0)
        await asyncio.sleep(120)
        assert home.refers == []


async def test_who_has_the_call_now_is_whom_an_order_is_about() -> None:
    async with Home().open() as home:
        await home.hold()
        (runner,) = home.house.supervisor.held()
        assert runner.agent == a_profile().name
        home.order(Order(Scope.AGENT, f"default/{a_profile().name}", to=NIGHT, live=1000.0))
        await asyncio.sleep(PATIENCE + 16)
        assert home.refers == [("rtc_1", URI)]


async def test_calls_that_may_be_anothers_by_now_wait() -> None:
    async with Home().open() as home:
        await home.hold()
        home.house.engine.passive = True
        home.order(ALL)
        await asyncio.sleep(20)
        assert home.refers == []
        home.house.engine.passive = False
        home.house.supervisor.resume()
        await asyncio.sleep(PATIENCE + 16)
        assert home.refers == [("rtc_1", URI)]


def test_no_order_is_no_controls() -> None:
    assert ordered((replace(ALL, live=None),)).live(0.0) == Controls()
