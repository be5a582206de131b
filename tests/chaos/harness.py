"""Rounds of calls under which the process is killed and started again."""

import asyncio
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from sipagent.simulator import Simulator
from tests.chaos.books import ANSWERED, Books
from tests.chaos.callers import AGENTS, PATIENCE, Crowd, Placed
from tests.chaos.promises import (
    Counts,
    ended,
    nothing_twice,
    recorded_as_may_be_true,
    usage_is_the_ledgers,
)
from tests.process.running import Process, environment, start
from tests.waiting import eventually

REATTACHED_WITHIN = 5.0
"""Seconds from readiness, or from its webhook's answer, in which somebody holds a call again."""

BUSY = 0.6
"""Seconds before the kill in which calls come and callers begin to talk."""

LOOKED_EVERY = 0.2
"""Seconds between two looks into the records."""

TWICE = 3
"""In every third round the next process is killed as well, while it starts or attaches."""


@dataclass(slots=True)
class Figures(Counts):
    """The same, with what is measured of the process."""

    kills: int = 0
    held_at_kill: int = 0
    reattached: int = 0
    closed: int = 0
    slowest: float = 0.0
    start: float = 0.0
    told_twice: int = 0

    def table(self) -> str:
        rows = (
            ("rounds (kills)", f"{self.rounds} ({self.kills})"),
            ("calls", f"{self.calls:,}"),
            ("held at the kill", f"{self.held_at_kill:,}"),
            ("held again", f"{self.reattached:,}"),
            ("ended meanwhile, closed", f"{self.closed:,}"),
            ("slowest process start, s", f"{self.start:.2f}"),
            ("slowest call after readiness, s", f"{self.slowest:.2f}"),
            ("second greetings", str(self.second_greetings)),
            ("second accepts", str(self.second_accepts)),
            ("accepts that crossed the kill", str(self.crossed_accepts)),
            ("second REFERs", str(self.second_refers)),
            ("calls with exactly one record and outcome", f"{self.recorded:,}"),
            ("calls whose end is in the log twice", str(self.told_twice)),
            ("calls whose usage must be the ledger's", f"{self.equal:,}"),
            ("their tokens in the records", f"{self.equal_tokens:,}"),
            ("difference to the ledger", str(self.difference)),
            ("bills of other calls that no process heard", str(self.lost_bills)),
            *((f"outcome {name}", f"{count:,}") for name, count in sorted(self.outcomes.items())),
        )
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}  {figure}" for name, figure in rows)


class Chaos:
    """A data directory, the process that has it, and the simulator that all its calls come from.

    Every method that is named for a promise raises AssertionError where it is broken.
    """

    def __init__(self, simulator: Simulator, folder: Path, seed: int) -> None:
        self.figures = Figures()
        self._simulator = simulator
        self._folder = folder
        self._chance = random.Random(seed)
        (folder / "agents.yaml").write_text(AGENTS)
        self._variables = environment(folder, simulator.base_url)
        self._books = Books(folder / "data")
        self._process: Process | None = None
        simulator.deliver_to = f"http://127.0.0.1:{self._variables['PORT']}/webhooks/openai"

    @property
    def process(self) -> Process:
        assert self._process is not None
        return self._process

    async def start(self) -> float:
        """A process is ready; when."""
        began = _now()
        self._process = await start(self._folder, self._variables)
        await self._process.ready()
        self.figures.start = max(self.figures.start, _now() - began)
        return _now()

    async def stop(self) -> None:
        if self._process is not None:
            await self._process.kill()

    async def round(self) -> None:
        """200 calls, a kill in their midst, and all that must be true after it."""
        self.figures.rounds += 1
        crowd = Crowd(self._simulator, self.figures.rounds, self._chance)
        await crowd.settle()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(crowd.be_busy(BUSY))
            await asyncio.sleep(self._chance.uniform(BUSY / 3, BUSY))
            await self._kill(crowd)
            crowd.leave()
            if self.figures.rounds % TWICE == 0:
                self._process = await start(self._folder, self._variables)
                await asyncio.sleep(self._chance.uniform(0.3, 2.0))
                await self._kill(crowd)
            ready = await self.start()
            ready_at = time.time()
        await self._all_are_held_or_closed(crowd, ready, ready_at)
        await crowd.redeliver()
        await crowd.talk()
        crowd.hang_up()
        await self._recorded_once(crowd)
        nothing_twice(crowd, self.figures)
        records, used = self._books.calls(crowd.prefix), self._books.used(crowd.prefix)
        usage_is_the_ledgers(crowd, records, used, self.figures)

    async def end(self) -> None:
        """The process ends by a signal, and nothing is left in the engine's memory but ids."""
        self.process.signal(signal.SIGTERM)
        assert await self.process.exit_code() == 0
        memory = self._books.memory()
        assert (memory.unsettled, memory.left_over) == (0, 0)
        told = Counter(line["call_id"] for line in self.process.log if _is_end(line))
        self.figures.told_twice = sum(count > 1 for count in told.values())
        assert len(told) == self.figures.calls

    async def _kill(self, crowd: Crowd) -> None:
        await self.process.kill()
        self.figures.kills += 1
        marks = self._books.memory().marks
        for placed in crowd.calls:
            placed.quiet = placed.quiet and placed.is_quiet
            sent = len(placed.call.accepts)
            if not ANSWERED & marks.get(placed.call_id, set()):
                placed.in_flight = placed.in_flight or sent > 0
            elif placed.accepted_by_then is None:
                placed.accepted_by_then = sent
        self.figures.held_at_kill += sum(
            placed.call.answered and not placed.call.ended for placed in crowd.calls
        )

    async def _all_are_held_or_closed(self, crowd: Crowd, ready: float, ready_at: float) -> None:
        """Somebody holds each call that goes on, and each that has ended has its outcome."""
        since = {placed.call_id: max(ready, placed.taken_at) for placed in crowd.calls}
        async with asyncio.TaskGroup() as tasks:
            for placed in crowd.calls:
                tasks.create_task(self._held_or_over(placed, since[placed.call_id]))
        closed = {placed.call_id for placed in crowd.calls if placed.call.ended}
        await self._until_ended(crowd, closed)
        for call_id, record in self._books.calls(crowd.prefix).items():
            if record.ended_at is not None and call_id in closed:
                late = record.ended_at - ready_at
                self.figures.slowest = max(self.figures.slowest, late)
                assert late <= REATTACHED_WITHIN, (call_id, late, record)
        live = {placed.call_id for placed in crowd.calls if not placed.call.ended}
        over = self._over(crowd)
        assert not live & over, live & over
        self.figures.closed += len(closed)
        self.figures.reattached += len(crowd.calls) - len(closed)

    async def _held_or_over(self, placed: Placed, since: float) -> None:
        within = since + REATTACHED_WITHIN - _now()
        try:
            await self._simulator.until(placed.call_id, lambda _: placed.safe, timeout=within)
        except TimeoutError:
            raise AssertionError(f"nobody holds {placed.call.describe()}") from None
        self.figures.slowest = max(self.figures.slowest, _now() - since)

    async def _recorded_once(self, crowd: Crowd) -> None:
        """Each call is in the records, once, with one outcome that may be true of it."""
        await self._until_ended(crowd, {one.call_id for one in crowd.calls})
        recorded_as_may_be_true(crowd, self._books.calls(crowd.prefix), self.figures)

    async def _until_ended(self, crowd: Crowd, wanted: set[str]) -> None:
        """These calls have their outcomes. The records are read where the simulator runs, which is
        to have time for its calls: not too often."""
        try:
            await eventually(lambda: wanted <= self._over(crowd), PATIENCE, every=LOOKED_EVERY)
        except TimeoutError:
            left = wanted - self._over(crowd)
            open_ = [one.call.describe() for one in crowd.calls if one.call_id in left]
            raise AssertionError(f"{len(open_)} have no outcome, as {open_[0]}") from None

    def _over(self, crowd: Crowd) -> set[str]:
        return ended(self._books.calls(crowd.prefix))


def _is_end(line: dict[str, object]) -> bool:
    return line["event"] == "call ended"


def _now() -> float:
    return asyncio.get_running_loop().time()
