"""Records with a hub beside them, as a service has them, and viewers of it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sipagent.concurrency import SystemClock
from sipagent.model import (
    CallId,
    CallPlan,
    DestinationName,
    Happening,
    Skills,
    Speaker,
    Transfer,
    TransferEnd,
    Turn,
)
from sipagent.model.live import LiveEvent, LiveKind
from sipagent.sessions.ports import Records, Words
from sipagent.store.fanout import EachOf
from sipagent.store.rows import NumberPolicy, PlainNumbers
from sipagent.watching.hub import Hub
from sipagent.watching.joining import LiveWatch
from sipagent.watching.reading import Archive
from tests.store.nouns import Kept, a_call, a_tool, accepted, ending, keeping, planned, used

PATIENCE = 30.0


@dataclass
class Watched:
    """One replica's records and hub."""

    kept: Kept
    hub: Hub
    watch: LiveWatch
    records: Records

    def begin(self, name: str = "rtc_1", plan: CallPlan | None = None) -> CallPlan:
        """A call that is answered, and that the caller hears."""
        plan = plan or planned(name)
        self.records.decided(a_call(name), accepted(plan))
        for what in (Happening.ANSWERED, Happening.ATTACHED, Happening.HEARD):
            self.records.happened(plan, what)
        return plan

    def say(self, plan: CallPlan, text: str, item: str = "item_1") -> None:
        """A piece of speech, as the call's tap is told."""
        if self.hub.watched(plan.call_id):
            self.hub.publish(Words(plan.call_id, Speaker.CALLER, item, text))

    def end(self, plan: CallPlan, **changes: Any) -> None:
        now = SystemClock().wall()
        outcome = {"began_at": now - 60, "answered_at": now - 59, "ended_at": now, **changes}
        self.records.ended(ending(plan.call_id, **outcome))


def turn(plan: CallPlan, records: Records, number: int, text: str | None = "Hello.") -> None:
    records.turn(plan, Turn(number, Speaker.CALLER, float(number), text))


def a_whole_call(watched: Watched, name: str = "rtc_1") -> None:
    """All that may happen to a call."""
    plan = replace(planned(name), skills=Skills(tools=(a_tool(),)))
    watched.begin(name, plan)
    turn(plan, watched.records, 2, "I am at +1 713 481 0111.")
    turn(plan, watched.records, 1, None)
    watched.records.tool(plan, used())
    watched.records.tool(plan, used("id: odd\n", "made_up"))
    watched.records.happened(plan, Happening.RETRIED)
    watched.records.fault(plan, "server_error", "overloaded")
    to = DestinationName("front_desk")
    watched.records.transfer(plan, Transfer(1, to, "tel:+17134810199", "done"))
    watched.records.transfer(plan, Transfer(1, to, "tel:+17134810199", "done", TransferEnd.TAKEN))
    watched.end(plan)


@asynccontextmanager
async def watching(
    url: str, data_dir: Path, numbers: NumberPolicy | None = None, **more: Any
) -> AsyncIterator[Watched]:
    async with keeping(url, data_dir, numbers=numbers, **more) as kept:
        hub = Hub(SystemClock(), numbers)
        kept.records.stepped = hub.stepped
        archive = Archive(lambda: kept.writer.engine, kept.writer.flushed)
        watch = LiveWatch(hub, archive, SystemClock(), numbers or PlainNumbers())
        yield Watched(kept, hub, watch, EachOf(kept.records, hub))
        hub.board.close()


@dataclass
class Viewer:
    """Somebody who watches, and what they have been told."""

    events: list[LiveEvent] = field(default_factory=list)
    heartbeats: int = 0
    over: bool = False

    @property
    def ids(self) -> list[str]:
        return [event.id for event in self.events if event.id]

    @property
    def whats(self) -> list[str]:
        return [event.id.partition("@")[0] or event.kind.value for event in self.events]

    @property
    def words(self) -> str:
        return "".join(e.data["text"] for e in self.events if e.kind is LiveKind.WORDS)

    def told(self, *batch: LiveEvent) -> None:
        self.heartbeats += not batch
        self.events += batch


Opened = AbstractAsyncContextManager[AsyncIterator[Sequence[LiveEvent]]]


@asynccontextmanager
async def viewing(opened: Opened) -> AsyncIterator[Viewer]:
    """Somebody watches in the background, from now on."""
    viewer, there = Viewer(), asyncio.Event()

    async def view() -> None:
        async with opened as batches:
            there.set()
            async for batch in batches:
                viewer.told(*batch)
        viewer.over = True

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(view())
        async with asyncio.timeout(PATIENCE):
            await there.wait()
            await asyncio.sleep(0)
            yield viewer
        task.cancel()


async def until(condition: Callable[[], Any], within: float = PATIENCE) -> None:
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.01)


def call_id(name: str = "rtc_1") -> CallId:
    return CallId(name)
