"""Sends held calls on as the operator orders: `sipagent divert --live`.

Each process sends its own calls, those that it takes over among them. A call is sent on once for an
order: that is written down with the REFER, so that nobody who takes the call over repeats it. They
go a few at a time, as a carrier that gets a thousand REFERs in a second takes few of them.
"""

import asyncio
from collections.abc import Iterator
from itertools import islice
from typing import Final, Protocol

import structlog

from sipagent.concurrency import TaskOwner
from sipagent.errors import TemplateError
from sipagent.model import AgentName, CallPlan, Reachable
from sipagent.routing import Controls
from sipagent.routing.held import Sending, sending
from sipagent.sessions.machine.events import TransferOrdered
from sipagent.sessions.ports import Clock, Configuration

log = structlog.get_logger(__name__)

LOOK_EVERY: Final = 0.25
"""Seconds between two looks at the orders."""

AT_ONCE: Final = 5
"""Calls that are sent on in each of them: twenty a second."""

RESTS: Final = 3
"""Looks that are left out where there is nothing to do, and no order is new."""


class Sendable(Protocol):
    """A held call that can be sent on."""

    plan: CallPlan

    @property
    def agent(self) -> AgentName | None:
        """Who has the call now; None where nobody talks to the caller."""

    def sendable(self, order: str) -> bool:
        """Whether the call can be sent on now, and has not been by this order."""

    def deliver(self, event: TransferOrdered) -> None: ...


class Holder(Protocol):
    """Who has the calls of this process."""

    def held(self) -> tuple[Sendable, ...]:
        """The calls that are held now."""


class Mover:
    """Has held calls sent on. Used as `async with`."""

    def __init__(self, holder: Holder, configuration: Configuration, clock: Clock) -> None:
        self._holder = holder
        self._configuration = configuration
        self._clock = clock
        self._tasks = TaskOwner(_crashed, apart=True)
        self._settled = Controls()
        self._rest = 0
        self._told: set[str] = set()

    async def __aenter__(self) -> "Mover":
        self._tasks.start(self._run(), name="send held calls on")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._tasks.cancel(1.0)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            try:
                self._look()
            except Exception as error:  # the crash boundary of one look
                log.exception("held calls not sent on", error=type(error).__name__)

    def _look(self) -> None:
        """Have as many calls sent on as may be at once. Where none is left it is looked again in a
        second: calls are taken over, and some come to where they can be sent on only later."""
        now = self._clock.wall()
        live = self._configuration.controls.live(now)
        if live == self._settled and self._rest > 0:
            self._rest -= 1
            return
        due = tuple(islice(self._due(live, now), AT_ONCE))
        for one in due:
            self._send(*one)
        self._settled, self._rest = live, 0 if due else RESTS

    def _due(self, live: Controls, now: float) -> Iterator[tuple[Sendable, str, Reachable]]:
        if not live.orders:
            return
        table = self._configuration.table
        for call in self._holder.held():
            if (agent := call.agent) is None:
                continue
            wanted = sending(call.plan, agent, table, live, now)
            if wanted is None or not call.sendable(wanted.name):
                continue
            try:
                way = wanted.way(table, now)
            except (TemplateError, LookupError) as error:
                self._stays(wanted, type(error).__name__)
            else:
                yield call, wanted.name, way

    def _send(self, call: Sendable, order: str, way: Reachable) -> None:
        plan = call.plan
        log.info(
            "held call sent on",
            call_id=plan.call_id,
            tenant=plan.tenant,
            destination=way.destination,
        )
        call.deliver(TransferOrdered(order, way))

    def _stays(self, wanted: Sending, error: str) -> None:
        """Tell once of each order what keeps calls from being sent on."""
        if wanted.name not in self._told:
            self._told.add(wanted.name)
            log.warning("held calls stay", destination=wanted.order.to, error=error)


def _crashed(name: str, crash: BaseException) -> None:
    log.error("task crashed", task=name, error=type(crash).__name__, exc_info=crash)
