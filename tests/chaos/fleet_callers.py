"""The calls of one round among replicas, whose webhooks come by a load balancer."""

import asyncio
import random
from collections.abc import Mapping
from typing import Final

from tests.chaos.callers import RECEPTION, Crowd, Kind, Placed, kinds_of
from tests.replicas.balancer import Balancer

MIX: Final = {
    Kind.GREETED: 10,
    Kind.TALKED: 12,
    Kind.TALKING: 5,
    Kind.GREETING: 6,
    Kind.RINGING: 5,
    Kind.FORWARD: 3,
    Kind.REFUSED: 2,
    Kind.LEAVING: 3,
    Kind.PLACED: 3,
    Kind.BOOKING: 8,
    Kind.TRANSFER: 3,
}
"""60 calls."""

AT_ONCE: Final = 40
"""Webhooks that are on their way at the same time."""

STAYS: Final = (3.0, 8.0)
"""Seconds that a caller of a stream of calls stays."""

MANY: Final = {Kind.GREETED: 480, Kind.TALKED: 60, Kind.BOOKING: 60}
"""600 calls, a tenth of them with a tool that is under way."""

AGENTS: Final = """
version: 1
defaults: {{model: gpt-realtime-2.1, transcription: gpt-live-transcribe}}
tenants:
  default: {{max_concurrent_calls: 5000, grants: {{transfers_per_hour: 5000}}}}
agents:
  reception:
    instructions: You answer the telephone of Acme.
    greeting: "Thank you for calling Acme, how can I help?"
    tools:
      - transfer: [desk]
      - http:
          name: book
          description: Book a table.
          url: "{url}"
          effects: once
          parameters:
            type: object
            properties: {{order_no: {{type: string}}}}
            required: [order_no]
  quiet: {{instructions: You wait for the caller.}}
destinations: {{desk: "+17134810199"}}
numbers:
  "+17134810111": reception
  "+17134810122": quiet
  "+17134810133": {{forward: desk}}
  "+17134810144": {{reject: 603}}
"""
"""The numbers are those of `tests.chaos.callers`."""


class FleetCrowd(Crowd):
    """All callers of one round. `struck` are the replicas that do not act for their calls now: what
    is sent to them comes too late to be held in time."""

    def __init__(
        self, balancer: Balancer, number: str, chance: random.Random, mix: Mapping[Kind, int]
    ) -> None:
        super().__init__(balancer.fleet.simulator, number, chance, mix)
        self.struck: frozenset[str] = frozenset()
        self._balancer = balancer
        self._lines = asyncio.Semaphore(AT_ONCE)
        self.orders: dict[str, Placed] = {}
        self._about_to_book: list[Placed] = []

    async def settle(self) -> None:
        await super().settle()
        async with asyncio.TaskGroup() as tasks:
            for number in range(self.mix.get(Kind.BOOKING, 0)):
                tasks.create_task(self._come_to_book(f"{self.prefix}{number}"))

    async def come_and_go(self, rate: float) -> None:
        """So many calls come each second, and each caller hangs up after a while, until this is
        cancelled: then no more come."""
        async with asyncio.TaskGroup() as tasks:
            try:
                while True:
                    tasks.create_task(self._come_and_go())
                    await asyncio.sleep(1 / rate)
            except asyncio.CancelledError:
                pass

    async def _come_and_go(self) -> None:
        placed = await self._place(Kind.PLACED, RECEPTION)
        await self._until(placed, lambda call: call.attachments)
        await asyncio.sleep(self._chance.uniform(*STAYS))
        self.simulator.hang_up(placed.call_id)

    async def _come_to_book(self, order_no: str) -> None:
        """The caller has been greeted, and will ask for a table."""
        tool = {"name": "book", "arguments": {"order_no": order_no}}
        script = [{"tool": tool}, {"agent": "It is booked."}]
        placed = await self._place(Kind.BOOKING, RECEPTION, script=script)
        await self._until(placed, lambda call: "session.update" in kinds_of(call))
        self.orders[order_no] = placed
        self._about_to_book.append(placed)

    async def _come_at(self, kind: Kind, moment: float) -> None:
        match kind:
            case Kind.BOOKING:
                placed = self._about_to_book.pop()
                await asyncio.sleep(moment)
                self.simulator.say(placed.call_id, "A table, please.")
            case Kind.TRANSFER:
                await asyncio.sleep(moment)
                await self._ask_for_a_person()
            case _:
                await super()._come_at(kind, moment)

    async def _ask_for_a_person(self) -> None:
        asks = {"tool": {"name": "transfer", "arguments": {"destination": "desk"}}}
        script = [{"caller": "A person, please."}, {**asks, "say": "One moment."}]
        refer = {"outcome": "transferred", "after": self._chance.uniform(0.05, 2.0)}
        await self._place(Kind.TRANSFER, RECEPTION, script=script, refer=refer)

    async def _deliver(self, placed: Placed, *, fresh: bool = False) -> None:
        async with self._lines:
            known = set(placed.tried)
            await self._balancer.deliver(placed.call_id, placed.tried, fresh=fresh)
            if (placed.tried - known) & self.struck:
                placed.quiet, placed.in_flight = False, True
            placed.taken_at = placed.taken_at or asyncio.get_running_loop().time()
