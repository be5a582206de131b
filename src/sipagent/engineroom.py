"""Where it is decided who holds which call: in this process, or by Redis for many replicas."""

import secrets
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from sipagent.engine.counters import Counters
from sipagent.engine.desk import LocalDesk
from sipagent.engine.embedded import EmbeddedEngine
from sipagent.engine.memory import Memory
from sipagent.engine.purse import Crossing
from sipagent.jobs import Jobs, Ours
from sipagent.model import CallId, Quota
from sipagent.model.request import CallRequest, Reply
from sipagent.sessions.ports import Clock, Engine, HeldCall
from sipagent.settings import Settings
from sipagent.standing import Standing
from sipagent.watching.remote import Notices

_OF_HOST: Final = 54
"""Characters of a host's name that a replica's has: records keep 63 of it."""


class Holder(Protocol):
    """Who holds the calls of this process."""

    @property
    def live(self) -> int:
        """The calls that are held now."""

    def let_go(self, call_id: CallId) -> None:
        """The call is another replica's by now."""

    def resume(self) -> None:
        """Do what has waited for calls to be surely ours again."""

    def wind_down(self, calls: Sequence[CallId]) -> None:
        """End these calls politely, because their money is used up."""

    def act(self, call_id: CallId, request: CallRequest, key: str) -> Reply | None:
        """Do with a call what somebody on duty wants, once for each key; None if it is not held
        here."""


class Desk(Protocol):
    """Acts on held calls, whichever replica holds them."""

    async def ask(self, call_id: CallId, request: CallRequest, *, key: str = "") -> Reply:
        """Have this done with a call. The same `key` twice is one request. Raises EngineError where
        the engine is away."""


@dataclass(frozen=True, slots=True)
class Heirs:
    """Who goes on with calls of other replicas: `take_over` never raises. `most` is how many calls
    this process holds, None for any number."""

    holder: Holder
    adopt: "TakeOver"
    most: int | None = None

    async def take_over(self, held: Sequence[HeldCall]) -> None:
        await self.adopt(held)

    def resume(self) -> None:
        self.holder.resume()

    def has_room(self) -> bool:
        return self.most is None or self.holder.live < self.most


class TakeOver(Protocol):
    async def __call__(self, held: Sequence[HeldCall]) -> None: ...


class EngineRoom(Protocol):
    """An engine with what it needs to run."""

    @property
    def engine(self) -> Engine: ...

    @property
    def counters(self) -> Counters:
        """What this process knows of all counts."""

    @property
    def desk(self) -> Desk:
        """Where held calls are acted on."""

    @property
    def notices(self) -> Notices | None:
        """What replicas tell each other; None where there is one alone."""

    @property
    def jobs(self) -> Jobs:
        """What is done once for the installation, as far as that is this process's."""

    def start(self) -> None:
        """Claims are taken from now on."""

    async def begin(self, heirs: Heirs) -> None:
        """Calls that others leave are taken over from now on, and those that are lost let go."""

    async def hand_over(self) -> int:
        """Have others go on with all calls, if there are others; how many calls these were."""

    async def close(self) -> None:
        """All that was to be remembered is, as far as that can be done."""

    def seed(self, key: str, label: str, micros: int, *, first: bool) -> None:
        """The records know that so much was spent in this day or month; the `first` time that they
        can say so, this was before the process began."""

    def charged(self, quotas: Iterable[Quota], cost: int) -> Sequence[CallId]:
        """Count for each of these quotas so many micro-dollars of a call that is over; the held
        calls whose money is used up by it."""

    def defects(self) -> Sequence[tuple[str, str]]:
        """What is wrong with it while calls are taken: a code, and words."""

    def standing(self) -> Standing | None:
        """How this replica stands with an engine that it shares with others; None where it shares
        none."""


class EmbeddedRoom:
    """The engine of one process, and the file by which its calls outlive it."""

    def __init__(self, data_dir: Path, clock: Clock, crossed: Callable[[Crossing], None]) -> None:
        """The directory is this process's. Raises StoreError."""
        self.jobs = Ours()
        self.notices: Notices | None = None
        self.desk = LocalDesk()
        self._memory = Memory(data_dir)
        self._memory.open()
        self.counters = Counters()
        self.engine = EmbeddedEngine(clock, self._memory, counters=self.counters, crossed=crossed)

    def start(self) -> None:
        self._memory.start()

    async def begin(self, heirs: Heirs) -> None:
        """Go on with what processes before this one have left: nobody else has this file."""
        self.desk.act = heirs.holder.act
        held = await self.engine.adopt()
        await heirs.take_over(held)

    async def hand_over(self) -> int:
        return 0

    async def close(self) -> None:
        self._memory.close()

    def seed(self, key: str, label: str, micros: int, *, first: bool) -> None:
        # A quota that gets a budget later has been counting since the start.
        counted = 0 if first else self.counters.spent(key, label)
        self.counters.seed(key, label, max(0, micros - counted))

    def charged(self, quotas: Iterable[Quota], cost: int) -> Sequence[CallId]:
        return self.engine.charged(quotas, cost)

    def defects(self) -> Sequence[tuple[str, str]]:
        return [("not-written", why) for why in self.engine.defects()]

    def standing(self) -> Standing | None:
        return None


def engine_room(
    settings: Settings, replica: str, clock: Clock, crossed: Callable[[Crossing], None]
) -> EngineRoom:
    """The engine that the settings name. Raises SettingsError and StoreError."""
    if settings.redis_url is None:
        return EmbeddedRoom(settings.data_dir, clock, crossed)
    from sipagent.engine.redis.room import SharedRoom  # who has no Redis pays for no client

    return SharedRoom(
        settings.redis_url,
        replica,
        clock,
        crossed,
        lease=settings.lease,
        heartbeat=settings.heartbeat,
    )


def replica_name() -> str:
    """A name that no other process has: of the host, and new at each start."""
    return f"{socket.gethostname()[:_OF_HOST]}-{secrets.token_hex(4)}"
