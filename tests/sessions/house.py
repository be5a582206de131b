"""A supervisor among fakes."""

import asyncio

from sipagent.model import CallPlan, Reason
from sipagent.sessions.machine.events import Answer, CallerStarted
from sipagent.sessions.supervisor import Supervisor, Surroundings
from sipagent.testing import (
    FakeControl,
    FakeEngine,
    FakeProviders,
    FakeSideband,
    FakeSocket,
    FakeTap,
    FakeTools,
    MemoryRecords,
    VirtualClock,
    a_plan,
    a_profile,
)


class Moving(FakeProviders):
    """An account that may come to be at another address."""

    def move(self, control: FakeControl) -> None:
        self._control = control


class House:
    """A supervisor among fakes."""

    def __init__(self, **answers: Answer) -> None:
        self.control = FakeControl(**answers)
        self.sideband = FakeSideband()
        self.records = MemoryRecords()
        self.tap = FakeTap()
        self.tools = FakeTools()
        self.providers = Moving(self.control, self.sideband)
        self.clock = VirtualClock()
        self.engine = FakeEngine()
        self.around(self.providers)

    def around(self, providers: FakeProviders) -> None:
        """Have a new supervisor, with these providers."""
        around = Surroundings(
            providers, self.engine, self.records, self.tap, self.clock, tools=self.tools
        )
        self.supervisor = Supervisor(around)

    def answer(self, *, call_id: str = "rtc_1", greeting: str | None = "Hello.") -> None:
        plan = a_plan(a_profile(greeting=greeting), call_id=call_id)
        self.start(plan)

    def start(self, plan: CallPlan, *, within: float = 8) -> None:
        self.supervisor.answer(plan, within=within, began_at=self.clock.wall())

    async def held(self, call_id: str = "rtc_1") -> FakeSocket:
        """A call without a greeting that is attached, and whose caller has been heard."""
        self.answer(call_id=call_id, greeting=None)
        socket = await self.sideband.socket(call_id)
        socket.deliver(CallerStarted("c0"))
        return socket

    async def over(self) -> None:
        while self.supervisor.busy:
            await asyncio.sleep(0.01)

    @property
    def reasons(self) -> list[Reason]:
        return [outcome.reason for outcome in self.records.outcomes]

    @property
    def asked(self) -> list[str]:
        return [action for action, _, _ in self.control.asked]
