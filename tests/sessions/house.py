"""A supervisor among fakes."""

import asyncio

from sipagent.model import Reason
from sipagent.sessions.machine.events import Answer
from sipagent.sessions.supervisor import Supervisor, Surroundings
from sipagent.testing import (
    FakeControl,
    FakeProviders,
    FakeSideband,
    FakeSocket,
    FakeTap,
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
        self.providers = Moving(self.control, self.sideband)
        around = Surroundings(self.providers, self.records, self.tap, VirtualClock())
        self.supervisor = Supervisor(around)

    def answer(self, *, call_id: str = "rtc_1", greeting: str | None = "Hello.") -> None:
        plan = a_plan(a_profile(greeting=greeting), call_id=call_id)
        self.supervisor.answer(plan, within=8)

    async def held(self, call_id: str = "rtc_1") -> FakeSocket:
        """A call without a greeting that is attached."""
        self.answer(call_id=call_id, greeting=None)
        return await self.sideband.socket(call_id)

    async def over(self) -> None:
        while self.supervisor.busy:
            await asyncio.sleep(0.01)

    @property
    def reasons(self) -> list[Reason]:
        return [outcome.reason for outcome in self.records.outcomes]

    @property
    def asked(self) -> list[str]:
        return [action for action, _, _ in self.control.asked]
