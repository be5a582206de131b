"""What of a service begins and ends with its application, in one written order."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI

from sipagent.config.reload.reloader import Reloader
from sipagent.outbox.courier import Courier
from sipagent.outbox.scribe import Scribe
from sipagent.sessions.moving import Mover
from sipagent.sessions.supervisor import Supervisor
from sipagent.storehouse import Storehouse
from sipagent.toolroom import Toolroom
from sipagent.upkeep import Readiness, Upkeep


@dataclass(frozen=True, slots=True)
class Lifetime:
    """The application's lifespan. `also` are further contexts, which end before the calls do."""

    readiness: Readiness
    supervisor: Supervisor
    room: Toolroom
    ring_window: float
    courier: Courier | None
    scribe: Scribe | None
    mover: Mover
    reloader: Reloader | None
    also: Sequence[AbstractAsyncContextManager[Any]] = ()

    @asynccontextmanager
    async def __call__(self, _: FastAPI) -> AsyncIterator[None]:
        house, intake = self.readiness.house, self.readiness.intake
        async with self.readiness.accounts, self.room, AsyncExitStack() as stack:
            if house is not None:
                await self._open(house, stack)
            if self.readiness.upkeep is not None and self.reloader is not None:
                await self._follow(self.readiness.upkeep, self.reloader, stack)
            for one in self.also:
                await stack.enter_async_context(one)
            yield
            if house is not None and intake.leaving:
                await house.hand_over()  # what came while the listener closed
            await self.supervisor.abort()

    async def _open(self, house: Storehouse, stack: AsyncExitStack) -> None:
        """The records are open, and the calls that others have left are ours."""
        await stack.enter_async_context(house)
        await house.go_on(self.supervisor, self.ring_window)
        await house.count(self.supervisor.wind_down)
        if self.courier is not None:
            await stack.enter_async_context(self.courier)
        if self.scribe is not None:
            await stack.enter_async_context(self.scribe)

    async def _follow(self, upkeep: Upkeep, reloader: Reloader, stack: AsyncExitStack) -> None:
        """The configuration follows its files, and the orders of all replicas."""
        upkeep.tell(upkeep.live.status)
        upkeep.after = self.room.renew
        await stack.enter_async_context(reloader)
        house = self.readiness.house
        if house is not None and house.location.shared:
            await stack.enter_async_context(upkeep.following(reloader, house))
        await stack.enter_async_context(self.mover)
