"""What one call's runner speaks to."""

import asyncio
from dataclasses import dataclass

from sipagent.concurrency import TaskOwner
from sipagent.sessions.logbook import Keeping
from sipagent.sessions.ports import CallControl, Clock, Sideband, ToolRunner


@dataclass(frozen=True, slots=True)
class World:
    """The ports that one call speaks to. `gate` bounds how many lost sockets are dialed at once,
    `tasks` owns the tools that run."""

    control: CallControl
    sideband: Sideband
    keeping: Keeping
    clock: Clock
    gate: asyncio.Semaphore
    tools: ToolRunner
    tasks: TaskOwner
