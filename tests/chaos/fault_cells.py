"""C1: each of the eight faults on each of the five links, while calls are held and come in.

What is true of a cell: no process crashes or says that anything crashed; no call is accepted,
greeted or booked for twice; every call goes on or has one recorded outcome; and soon after
healing all is as before.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sipagent.simulator.call import SimulatedCall
from tests.chaos.books import Recorded
from tests.chaos.callers import kinds_of
from tests.chaos.fault_links import CLERK, GREETING, LINKS, Scene
from tests.process.test_kill_tools import outputs
from tests.toxics import EIGHT, Fault

LASTS: Final = 1.5
"""Seconds for which a fault acts."""

INTO: Final = 0.2
"""Seconds after its beginning when callers act: connections that it cuts are cut by then."""

BACK_WITHIN: Final = 5.0
"""Seconds after healing within which all is as before."""

HELD_WITHIN: Final = 10.0
SAID_AGAIN: Final = 1.5
"""Seconds after which a caller whom nobody answers says it again."""

SAID_AT_MOST: Final = 3
IS_SOMEBODY: Final = "Is somebody there?"
BOOKED: Final = '{"booked":true}'
ENDED: Final = "completed.line_closed"

CELLS: Final = tuple((link, toxic) for link in LINKS for toxic in EIGHT)
SHORT: Final = (
    ("rest", "reset_peer"),
    ("socket", "down"),
    ("engine", "timeout"),
    ("database", "limit_data"),
    ("tool", "slow_close"),
)
"""One cell for each link, five different faults."""


@dataclass(slots=True)
class Found:
    """What one cell came to. `crossed` are accepts that were refused as another one had been
    taken, `said_again` what callers had to say twice; `back_after` are the seconds from healing
    to the end of what had to happen after it, and `why` is what did not hold."""

    link: str
    toxic: str
    calls: int = 0
    went_on: int = 0
    crossed: int = 0
    said_again: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    back_after: float = 0.0
    took: float = 0.0
    why: str = ""


class Cell:
    """One fault on one link. Its calls are those whose ids begin with `prefix`."""

    def __init__(self, scene: Scene, link: str, toxic: str) -> None:
        self.prefix = f"rtc_{scene.cell()}_{link}_{toxic}_"
        self.found = Found(link, toxic)
        self._scene = scene
        self._fault: Fault = EIGHT[toxic]
        self._proxy = scene.links[link]
        self._calls: dict[str, SimulatedCall] = {}
        self._on_the_line: set[str] = set()

    async def play(self) -> None:
        """All that has to be true is. Raises AssertionError where it is not."""
        began = time.monotonic()
        try:
            await self._scene.refresh()
            await self._play()
        except BaseException as error:
            self._scene.spoilt = True
            self.found.why = f"{_cause(error)} {self.found.why}"[:300]
            raise
        finally:
            await self._proxy.heal()
            self.found.took = time.monotonic() - began
            self.found.calls = len(self._calls)

    async def _play(self) -> None:
        passed = sum(self._proxy.passed.values())
        await self._under_the_fault()
        healed_at = time.monotonic()
        earlier = list(self._calls)
        async with asyncio.TaskGroup() as tasks:
            for call_id in earlier:
                tasks.create_task(self._goes_on_or_is_over(call_id))
            for name in self._scene.names:
                tasks.create_task(self._is_as_ever(name))
        self.found.back_after = time.monotonic() - healed_at
        assert sum(self._proxy.passed.values()) > passed, "nothing goes by this link"
        self._hang_up()
        await self._recorded()
        await self._nothing_is_left()
        self._nothing_twice()
        crashes = self._scene.crashes()
        assert not crashes, crashes

    async def _under_the_fault(self) -> None:
        """Calls are held, and while the fault acts callers speak, hang up, have tools used, and
        others come, of whom two are announced to both replicas and one leaves soon."""
        first, second = self._scene.names
        _, leaving, booking, later = await asyncio.gather(
            self._greeted("quiet", first),
            self._greeted("leaving", second),
            self._greeted("booking", second),
            self._greeted("later", first),
        )
        simulator = self._scene.simulator
        async with self._proxy.under(self._fault), asyncio.TaskGroup() as tasks:
            tasks.create_task(asyncio.sleep(LASTS))
            await asyncio.sleep(INTO)
            tasks.create_task(self._comes("new_1", first, second))
            tasks.create_task(self._comes("new_2", second, first))
            tasks.create_task(self._comes("new_3", second))
            tasks.create_task(self._comes("impatient", first))
            simulator.say(booking, "A table, please.")
            simulator.hang_up(leaving)
            await asyncio.sleep(LASTS / 2)
            simulator.hang_up(f"{self.prefix}impatient")
            simulator.say(later, "A table for later.")

    async def _greeted(self, name: str, replica: str) -> str:
        """A call that is held: its caller has heard the greeting."""
        call_id = await self._place(name)
        assert await self._delivered(call_id, replica) == 200
        await self._until(call_id, "greeted", lambda call: "session.update" in kinds_of(call))
        return call_id

    async def _comes(self, name: str, *replicas: str) -> None:
        """A new call, whose webhook comes to each of these replicas, and is answered."""
        call_id = await self._place(name)
        answers = await asyncio.gather(*(self._delivered(call_id, each) for each in replicas))
        assert set(answers) == {200}, (call_id, answers)

    async def _is_as_ever(self, replica: str) -> None:
        """A new call is answered, greeted, its tool answers, and its end is recorded; and the
        replica says that nothing is wrong."""
        async with asyncio.timeout(BACK_WITHIN):
            call_id = await self._greeted(f"after_{replica}", replica)
            self._scene.simulator.say(call_id, "A table, please.")
            await self._until(call_id, "booked", lambda call: BOOKED in outputs(call))
            await self._until(call_id, "told", _is_told)
            self._scene.simulator.hang_up(call_id)
            await self._ended([call_id])
            process = self._scene.fleet.replicas[replica]
            while (told := (await process.ready()).json())["status"] != "ready":
                self.found.why = str(told)
                await asyncio.sleep(0.05)
            self.found.why = ""

    async def _goes_on_or_is_over(self, call_id: str) -> None:
        """One socket is open on the call and its caller is answered, if need be when they say it
        again: what is said before turn detection is restored, while no socket is open, is heard by
        nobody. Or it has ended."""
        call = self._calls[call_id]
        for _ in range(SAID_AT_MOST):
            await self._until(call_id, "held by one", _is_held_or_over)
            if call.ended or await self._answered(call_id):
                break
            self.found.said_again += 1
        if not call.ended:
            assert _heard(call), (f"{call_id} is not answered", call.describe(), call.notes)
            self.found.went_on += 1
            self._on_the_line.add(call_id)

    async def _answered(self, call_id: str) -> bool:
        """Whether the caller, who asks for somebody, is answered before they would ask again."""
        simulator = self._scene.simulator
        simulator.say(call_id, IS_SOMEBODY)
        try:
            await simulator.until(call_id, lambda call: call.ended or _heard(call), SAID_AGAIN)
        except TimeoutError:
            return False
        return True

    async def _recorded(self) -> None:
        """Each call has one outcome, which may be true of it, in the records and in the logs."""
        async with asyncio.timeout(BACK_WITHIN):
            recorded = await self._ended(self._calls)
        self.found.outcomes = Counter(str(one.outcome) for one in recorded.values())
        logged: dict[str, list[str]] = {}
        for lines in self._scene.fleet.logged("call ended").values():
            for line in lines:
                logged.setdefault(line["call_id"], []).append(line["outcome"])
        for call_id, call in self._calls.items():
            outcome = recorded[call_id].outcome
            assert logged[call_id] == [outcome], (call_id, logged[call_id], outcome)
            if call_id in self._on_the_line:
                assert outcome == ENDED, (call_id, outcome, call.describe())

    def _nothing_twice(self) -> None:
        for call_id, call in self._calls.items():
            asked = call.answers["accept"]
            self.found.crossed += max(0, len(asked) - 1)
            assert asked.count(200) == call.answered, (call_id, asked)
            assert _greetings(call) <= 1, (call_id, call.client_events)
            assert self._scene.bookings.made[call_id] <= 1, call_id

    async def _nothing_is_left(self) -> None:
        """No claim, and no place that a call takes, is left in the engine."""
        async with asyncio.timeout(BACK_WITHIN):
            while left := await self._scene.books.left():
                self.found.why = str(left)
                await asyncio.sleep(0.05)
        self.found.why = ""

    async def _ended(self, calls: Iterable[str]) -> Mapping[str, Recorded]:
        """What is recorded of the cell's calls, once all of these have ended there."""
        while True:
            recorded = await self._scene.books.calls(self.prefix)
            if all(one in recorded and recorded[one].outcome for one in calls):
                return recorded
            await asyncio.sleep(0.05)

    def _hang_up(self) -> None:
        for call_id, call in self._calls.items():
            if not call.ended:
                self._scene.simulator.hang_up(call_id)

    async def _place(self, name: str) -> str:
        call_id = f"{self.prefix}{name}"
        tool = {"name": "book", "arguments": {"order_no": call_id}}
        script: list[Any] = [{"tool": tool}, {"agent": "It is booked."}]
        await self._scene.simulator.place_call(
            CLERK, call_id=call_id, stay=True, script=script, deliver=False
        )
        self._calls[call_id] = self._scene.simulator.call(call_id)
        return call_id

    async def _delivered(self, call_id: str, replica: str) -> int | None:
        url = f"{self._scene.fleet.replicas[replica].url}/webhooks/openai"
        delivery = await self._scene.simulator.deliver(call_id, deliver_to=url)
        status: int | None = delivery["status"]
        return status

    async def _until(self, call_id: str, what: str, holds: Any) -> None:
        try:
            await self._scene.simulator.until(call_id, holds, timeout=HELD_WITHIN)
        except TimeoutError:
            told = self._calls[call_id].describe()
            raise AssertionError(f"{call_id} is not {what}", told) from None


def _cause(error: BaseException) -> str:
    """The first of what went wrong at the same time."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


def _is_held_or_over(call: SimulatedCall) -> bool:
    return call.ended or _sockets(call) == 1


def _sockets(call: SimulatedCall) -> int:
    kinds = [note["type"] for note in call.notes]
    return kinds.count("attached") - kinds.count("detached")


def _greetings(call: SimulatedCall) -> int:
    return sum(
        event["type"] == "response.create" and GREETING in str(event)
        for event in call.client_events
    )


def _is_told(call: SimulatedCall) -> bool:
    """Whether the agent has said what came of the booking."""
    return any(line["text"] == "It is booked." for line in call.transcript)


def _heard(call: SimulatedCall) -> bool:
    """Whether the agent has been heard after the caller has last asked for somebody."""
    said = [index for index, line in enumerate(call.transcript) if line["text"] == IS_SOMEBODY]
    return bool(said) and any(line["who"] == "agent" for line in call.transcript[said[-1] :])


def table(found: Iterable[Found]) -> str:
    """The cells in Markdown, one line each."""
    rows = [
        "| link | fault | calls | go on | outcomes | accepts refused | said again | back, s | |"
    ]
    rows.append("|---" * 9 + "|")
    for one in found:
        outcomes = ", ".join(f"{count} {name}" for name, count in sorted(one.outcomes.items()))
        rows.append(
            f"| {one.link} | {one.toxic} | {one.calls} | {one.went_on} | {outcomes} "
            f"| {one.crossed} | {one.said_again} | {one.back_after:.1f} | {one.why or 'holds'} |"
        )
    return "\n".join(rows)
