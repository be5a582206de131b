"""The calls of one round: what each is doing when the process is killed."""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count
from typing import Any

from sipagent.simulator import Simulator
from sipagent.simulator.call import SimulatedCall

RECEPTION, QUIET, DESK, CLOSED = (f"+171348101{end}" for end in ("11", "22", "33", "44"))
GREETING = "Thank you for calling Acme, how can I help?"
AGENTS = f"""
version: 1
defaults: {{model: gpt-realtime-2.1, transcription: gpt-live-transcribe}}
agents:
  reception: {{instructions: You answer the telephone of Acme., greeting: "{GREETING}"}}
  quiet: {{instructions: You wait for the caller.}}
destinations: {{desk: "+17134810199"}}
numbers:
  "{RECEPTION}": reception
  "{QUIET}": quiet
  "{DESK}": {{forward: desk}}
  "{CLOSED}": {{reject: 603}}
"""
REPLY = "Of course, let me look that up for you, it will take me only a moment or two, one second."
REDELIVERED_AFTER = 0.25
"""Seconds after which an unanswered webhook is sent again; the provider takes longer."""

PATIENCE = 30.0
"""Seconds that are waited for what a call has to do, before the round has failed."""


class Kind(StrEnum):
    """GREETED, TALKED: heard, answered, and quiet at the kill. TALKING: in the middle of an answer.
    GREETING: in the first words, or just after them. RINGING: the accept is on its way, and some
    callers give up while no process is there. FORWARD: sent on. REFUSED: the reject is on its way.
    LEAVING: the caller hangs up while no process is there. PLACED: the webhook comes around the
    kill. Among replicas also BOOKING: a tool that must run once is under way; and TRANSFER: its
    agent sends the caller on."""

    GREETED = "greeted"
    TALKED = "talked"
    TALKING = "talking"
    GREETING = "greeting"
    RINGING = "ringing"
    FORWARD = "forward"
    REFUSED = "refused"
    LEAVING = "leaving"
    PLACED = "placed"
    BOOKING = "booking"
    TRANSFER = "transfer"


MIX = {
    Kind.GREETED: 50,
    Kind.TALKED: 50,
    Kind.TALKING: 20,
    Kind.GREETING: 30,
    Kind.RINGING: 15,
    Kind.FORWARD: 10,
    Kind.REFUSED: 5,
    Kind.LEAVING: 10,
    Kind.PLACED: 10,
}
"""200 calls."""

SETTLED = (Kind.GREETED, Kind.TALKED, Kind.TALKING, Kind.LEAVING)
"""They are held and quiet before the busy ones come."""

SENT_ON = (Kind.FORWARD, Kind.TRANSFER)
"""They may end at any moment, by a REFER."""

QUIESCENT = (Kind.GREETED, Kind.TALKED)
"""Nothing is said and nothing is billed while no process is there."""


@dataclass(slots=True)
class Placed:
    """A call of a round. `taken_at` is the loop's time of the first answered webhook, `tried` the
    replicas that a webhook of it was sent to."""

    call_id: str
    kind: Kind
    call: SimulatedCall
    taken_at: float = 0.0
    accepted_by_then: int | None = None
    """Accepts that had been sent when a killed process had the call's acceptance marked."""

    in_flight: bool = field(default=False)
    """Whether the process was killed between the call's accept and the mark of its answer."""

    tried: set[str] = field(default_factory=set)
    quiet: bool = field(default=True)
    """Whether nothing was billed that a process had not heard of when it was killed."""

    @property
    def open_sockets(self) -> int:
        notes = [note["type"] for note in self.call.notes]
        return notes.count("attached") - notes.count("detached")

    @property
    def safe(self) -> bool:
        """Somebody watches the call, or there is nothing to watch."""
        return self.call.ended or self.open_sockets > 0

    @property
    def is_quiet(self) -> bool:
        """Whether the process has kept every bill of the call, and no other is on its way: the turn
        is given to the caller after the greeting's bill has been kept."""
        if self.kind in (Kind.GREETING, Kind.PLACED):
            return "session.update" in kinds_of(self.call)
        return self.kind in QUIESCENT

    @property
    def greetings(self) -> int:
        return sum(
            event["type"] == "response.create" and GREETING in str(event)
            for event in self.call.client_events
        )


class Crowd:
    """All callers of one round."""

    def __init__(
        self,
        simulator: Simulator,
        number: int | str,
        chance: random.Random,
        mix: Mapping[Kind, int] = MIX,
    ) -> None:
        self.simulator = simulator
        self.mix = mix
        self.calls: list[Placed] = []
        self.prefix = f"rtc_{number}_"
        self._names = count()
        self._chance = chance

    async def settle(self) -> None:
        """The calls that are held before the kill have been greeted, and are quiet."""
        async with asyncio.TaskGroup() as tasks:
            for kind in SETTLED:
                for _ in range(self.mix.get(kind, 0)):
                    tasks.create_task(self._settled(kind))

    async def be_busy(self, within: float) -> None:
        """All others come, and some callers begin to talk, each at its own moment."""
        async with asyncio.TaskGroup() as tasks:
            for placed in self.of(Kind.TALKING):
                tasks.create_task(self._talk_at(placed, self._chance.uniform(0, within)))
            for kind in Kind:
                if kind not in SETTLED:
                    for _ in range(self.mix.get(kind, 0)):
                        tasks.create_task(self._come_at(kind, self._chance.uniform(0, within)))

    def of(self, *kinds: Kind) -> list[Placed]:
        return [placed for placed in self.calls if placed.kind in kinds]

    def leave(self) -> None:
        """Callers hang up while nobody holds their calls, some after an answer that is billed."""
        for number, placed in enumerate(self.of(Kind.LEAVING)):
            if number % 2:
                self.simulator.say(placed.call_id, "Never mind.")
            self.simulator.hang_up(placed.call_id)
        for placed in self.of(Kind.RINGING)[::3]:
            self.simulator.hang_up(placed.call_id)

    async def redeliver(self) -> None:
        """Webhooks that were answered come once more, some of them under a new id."""
        known = [placed for placed in self.calls if placed.taken_at]
        async with asyncio.TaskGroup() as tasks:
            for placed in self._chance.sample(known, len(known) // 4):
                fresh = self._chance.random() < 0.5
                tasks.create_task(self._deliver(placed, fresh=fresh))

    async def talk(self) -> None:
        """Every caller who is on the line says something, and is answered."""
        async with asyncio.TaskGroup() as tasks:
            for placed in self.calls:
                if placed.kind not in SENT_ON and not placed.call.ended:
                    tasks.create_task(self._answered(placed, "Is somebody there?"))

    def hang_up(self) -> None:
        for placed in self.calls:
            if not placed.call.ended:
                self.simulator.hang_up(placed.call_id)

    async def _settled(self, kind: Kind) -> None:
        pace = 25.0 if kind is Kind.TALKING else 0.0
        placed = await self._place(kind, RECEPTION, pace=pace)
        await self._until(placed, lambda call: "session.update" in kinds_of(call))
        if kind is Kind.TALKED:
            await self._answered(placed, "Where is my order?")

    async def _come_at(self, kind: Kind, moment: float) -> None:
        await asyncio.sleep(moment)
        chance = self._chance
        match kind:
            case Kind.GREETING:
                pace = chance.choice([0.0, chance.uniform(12, 40)])
                await self._place(kind, RECEPTION, pace=pace)
            case Kind.RINGING:
                faults = {"accept": {"latency": chance.uniform(0.05, 1.5)}}
                decision = chance.choice([409, 404, 400])
                await self._place(kind, RECEPTION, faults=faults, second_decision=decision)
            case Kind.REFUSED:
                faults = {"reject": {"latency": chance.uniform(0.05, 1.5)}}
                decision = chance.choice([409, 404, 400])
                await self._place(kind, CLOSED, faults=faults, second_decision=decision)
            case Kind.FORWARD:
                outcome = chance.choice(["transferred"] * 4 + ["nothing"])
                refer = {"outcome": outcome, "after": chance.uniform(0.05, 2.0)}
                await self._place(kind, DESK, refer=refer)
            case _:
                await self._place(kind, chance.choice([RECEPTION, QUIET]))

    async def _talk_at(self, placed: Placed, moment: float) -> None:
        await asyncio.sleep(moment)
        self.simulator.say(placed.call_id, "Can you tell me where my order is now?")

    async def _place(self, kind: Kind, to: str, **options: Any) -> Placed:
        call_id = f"{self.prefix}{next(self._names)}_{kind}"
        script = options.pop("script", [{"agent": REPLY}] if kind is Kind.TALKING else [])
        await self.simulator.place_call(
            to, call_id=call_id, stay=True, script=script, deliver=False, **options
        )
        placed = Placed(call_id, kind, self.simulator.call(call_id))
        self.calls.append(placed)
        await self._deliver(placed)
        return placed

    async def _deliver(self, placed: Placed, *, fresh: bool = False) -> None:
        """The provider's delivery: again and again until it is answered."""
        async with asyncio.timeout(PATIENCE):
            while (await self.simulator.deliver(placed.call_id, fresh=fresh))["status"] != 200:
                await asyncio.sleep(REDELIVERED_AFTER)
        placed.taken_at = placed.taken_at or asyncio.get_running_loop().time()

    async def _answered(self, placed: Placed, text: str) -> None:
        """The caller says this and hears something after it."""
        self.simulator.say(placed.call_id, text)
        await self._until(placed, lambda call: _heard_after(call, text))

    async def _until(self, placed: Placed, holds: Any) -> None:
        try:
            await self.simulator.until(placed.call_id, holds, timeout=PATIENCE)
        except TimeoutError:
            raise AssertionError(placed.call.describe()) from None


def kinds_of(call: SimulatedCall) -> list[str]:
    return [event["type"] for event in call.client_events]


def _heard_after(call: SimulatedCall, text: str) -> bool:
    """Whether the agent has been heard, to the end, after the caller's last saying of this."""
    said = [index for index, line in enumerate(call.transcript) if line["text"] == text]
    heard = [line for line in call.transcript[said[-1] :] if line["who"] == "agent"] if said else []
    conversation = call.conversation
    return bool(heard) and conversation is not None and not conversation.is_busy
