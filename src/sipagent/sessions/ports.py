"""What a call needs of the world. Each is a Protocol; the real ones and the fakes implement it.

Awaitables here keep their own deadlines and answer within them, whatever the other side does.
Cancelling one leaves nothing behind in this process; the request may still take effect upstream.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from sipagent.model import (
    AccountName,
    CallId,
    CallOutcome,
    CallPlan,
    Cap,
    Decision,
    IncomingCall,
    Json,
    Speaker,
    TrunkName,
    Turn,
)
from sipagent.routing import Controls, RoutingTable
from sipagent.sessions.machine.commands import (
    CancelResponse,
    ClearAudio,
    CreateResponse,
    UpdateSession,
)
from sipagent.sessions.machine.events import AcceptAnswered, Answer, Event


class Clock(Protocol):
    def monotonic(self) -> float:
        """Seconds on a clock that only goes forward: for durations and deadlines."""

    def wall(self) -> float:
        """Unix seconds: for records only."""


class Claim(StrEnum):
    """What an offer led to: OK, the call is ours; DUPLICATE, it has been offered before; LIMIT, it
    is ours and one of its caps has no room."""

    OK = "ok"
    DUPLICATE = "duplicate"
    LIMIT = "limit"


class Engine(Protocol):
    """Who holds which call."""

    async def offer(self, call: IncomingCall, caps: Sequence[Cap] = ()) -> Claim:
        """Claim a call in one atomic step, by its webhook id and by its call id.

        A call that is claimed counts for each of its caps, unless one of them has no room; a
        duplicate counts for none.
        """


class Configuration(Protocol):
    """The configuration in force: each call looks once, and keeps what it saw."""

    @property
    def table(self) -> RoutingTable: ...

    @property
    def controls(self) -> Controls:
        """The operator's orders, live."""

    @property
    def trunk_secrets(self) -> Mapping[TrunkName, Sequence[bytes]]:
        """Each trunk's secrets, all valid, live."""


END_WITHIN: Final = 3.0
"""Seconds for a reject or a hang-up, retries included, where nobody has less."""


class CallControl(Protocol):
    """The provider's REST calls for one account."""

    async def accept(self, call_id: CallId, session: Json, *, within: float) -> AcceptAnswered:
        """Have the call answered, retrying what is safe to retry for at most `within` seconds."""

    async def reject(self, call_id: CallId, code: int, *, within: float = END_WITHIN) -> Answer:
        """Have the call refused with a SIP status code, within so many seconds."""

    async def hang_up(self, call_id: CallId, *, within: float = END_WITHIN) -> Answer:
        """Have the call ended, within so many seconds."""

    async def refer(self, call_id: CallId, target_uri: str) -> Answer:
        """Have the call's other side sent a REFER to this URI, once: never tried again after it
        may have been sent. DONE says that it was relayed, not that anybody answered; SILENT that
        it may have been; UNSENT that it was not."""


SocketRequest = CreateResponse | CancelResponse | ClearAudio | UpdateSession


class CallSocket(Protocol):
    """One call's attached socket."""

    async def send(self, request: SocketRequest) -> None:
        """Send a request. Raises ConnectionError once the socket has closed."""

    async def close(self) -> None:
        """Close the socket within a second, without ending the call. May be called twice."""


class Dial(Protocol):
    """A call's socket in the making."""

    @property
    def far(self) -> bool:
        """Whether it is worth opening the connection before the call is answered."""

    async def warm(self) -> None:
        """Open the connection as far as can be done before the call is answered. Never raises."""

    async def attach(self, deliver: Callable[[Event], None]) -> CallSocket:
        """Attach to the answered call.

        Every event goes to `deliver` as it arrives, first `SocketOpened`, last `SocketClosed`.
        Raises AttachError where the socket could not be opened within its time.
        """

    async def probe(self) -> bool | None:
        """Whether the call still lives; None where no answer proves anything."""

    def abandon(self) -> None:
        """Give back what has been opened and not attached."""


class Sideband(Protocol):
    """The sockets of one account's calls."""

    def dial(self, call_id: CallId) -> Dial:
        """A dial for this call; nothing is opened yet."""


class Providers(Protocol):
    """The accounts' providers, by name."""

    def control(self, account: AccountName) -> CallControl: ...

    def sideband(self, account: AccountName) -> Sideband: ...


class Records(Protocol):
    """What is kept of calls. No method waits: a record never holds up a call."""

    def decided(self, call: IncomingCall, decision: Decision) -> None: ...

    def turn(self, plan: CallPlan, turn: Turn) -> None: ...

    def fault(self, plan: CallPlan, kind: str, code: str) -> None:
        """Note that the provider has reported something wrong; `code` is its word for it."""

    def ended(self, outcome: CallOutcome) -> None:
        """Keep the one outcome of a call."""


@dataclass(frozen=True, slots=True)
class Words:
    """A piece of speech as it is spoken, for whoever watches the call."""

    call_id: CallId
    speaker: Speaker
    item_id: str
    delta: str


class Tap(Protocol):
    """Where live events leave. Without a viewer it costs one test, and no call awaits a viewer."""

    def watched(self, call_id: CallId) -> bool: ...

    def publish(self, words: Words) -> None: ...
