"""A load balancer in front of a fleet: webhooks go in turn to those replicas that say they are
ready, and where one cannot be connected to, to the next."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import httpx

from sipagent.concurrency import TaskOwner
from tests.replicas.fleet import Fleet

ASKED_EVERY: Final = 0.5
"""Seconds between two questions whether a replica is ready."""

ANSWERED_WITHIN: Final = 1.0
GIVEN_UP_AFTER: Final = 3.0
"""Seconds after which a webhook that nobody answers is sent to another."""

REDELIVERED_AFTER: Final = 0.25
"""Seconds after which an unanswered webhook is sent again; the provider takes longer."""

DELIVERED_WITHIN: Final = 30.0


@dataclass
class Balancer:
    """`statuses` counts the answers to webhooks; None stands for those that were not answered."""

    fleet: Fleet
    statuses: "Counter[int | None]" = field(default_factory=Counter)
    slowest: float = 0.0
    _ready: dict[str, bool] = field(default_factory=dict)

    async def deliver(self, call_id: str, tried: set[str], *, fresh: bool = False) -> str:
        """The webhook has been answered with 200; by whom. `tried` are all that it was sent to."""
        async with asyncio.timeout(DELIVERED_WITHIN):
            while True:
                if (name := self._turn(tried)) is not None:
                    tried.add(name)
                    if await self._answered(name, call_id, fresh=fresh):
                        return name
                await asyncio.sleep(REDELIVERED_AFTER)

    async def watch(self) -> None:
        """Ask all replicas whether they are ready, for as long as this runs."""
        async with httpx.AsyncClient(timeout=ANSWERED_WITHIN, trust_env=False) as client:
            while True:
                names = self.fleet.alive
                asked = (self._asked(client, name) for name in names)
                self._ready = dict(zip(names, await asyncio.gather(*asked), strict=True))
                await asyncio.sleep(ASKED_EVERY)

    async def _asked(self, client: httpx.AsyncClient, name: str) -> bool:
        try:
            answer = await client.get(f"{self.fleet.replicas[name].url}/readyz")
        except httpx.TransportError:
            return False
        return answer.status_code == 200

    def _turn(self, tried: set[str]) -> str | None:
        """Whose turn it is: of those that have not failed with this webhook, if there are any."""
        ready = [name for name in self.fleet.alive if self._ready.get(name)]
        fresh = [name for name in ready if name not in tried]
        return self.fleet.next(*(fresh or ready)) if ready else None

    async def _answered(self, name: str, call_id: str, *, fresh: bool) -> bool:
        url = f"{self.fleet.replicas[name].url}/webhooks/openai"
        try:
            async with asyncio.timeout(GIVEN_UP_AFTER):
                delivery = await self.fleet.simulator.deliver(call_id, deliver_to=url, fresh=fresh)
        except TimeoutError:
            delivery = {"status": None, "seconds": 0.0}
        if "ConnectError" in str(delivery.get("error")):
            self._ready[name] = False
            return False
        self.statuses[delivery["status"]] += 1
        self.slowest = max(self.slowest, delivery["seconds"])
        return bool(delivery["status"] == 200)


@asynccontextmanager
async def balancing(fleet: Fleet) -> AsyncIterator[Balancer]:
    """A balancer that knows who is ready, as long as the block lasts."""
    balancer = Balancer(fleet)
    tasks = TaskOwner(_crashed, apart=True)
    tasks.start(balancer.watch(), name="balancer")
    try:
        yield balancer
    finally:
        await tasks.cancel(1.0)


def _crashed(name: str, crash: BaseException) -> None:
    raise AssertionError(name) from crash
