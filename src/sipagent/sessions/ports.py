"""What a call needs of the world. Each is a Protocol; the real ones and the fakes implement it.

Awaitables here keep their own deadlines and answer within them, whatever the other side does.
Cancelling one leaves nothing behind in this process; the request may still take effect upstream.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

from sipagent.model import (
    AccountName,
    AgentName,
    CallId,
    CallOutcome,
    CallPlan,
    Cap,
    Consult,
    Consulted,
    Decision,
    Happening,
    IncomingCall,
    Json,
    Message,
    Returned,
    Speaker,
    TenantName,
    Tool,
    ToolName,
    ToolResult,
    ToolUse,
    Transfer,
    TrunkName,
    Turn,
    Usage,
)
from sipagent.routing import Controls, RoutingTable
from sipagent.sessions.machine.commands import (
    AddText,
    Approve,
    CancelResponse,
    ClearAudio,
    CreateResponse,
    Inform,
    SendOutput,
    UpdateSession,
)
from sipagent.sessions.machine.events import AcceptAnswered, Answer, Event


class Clock(Protocol):
    def monotonic(self) -> float:
        """Seconds on a clock that only goes forward: for durations and deadlines."""

    def wall(self) -> float:
        """Unix seconds: for records only."""


class Claim(StrEnum):
    """What an offer led to: OK, the call is ours; DUPLICATE, it has been offered before; FULL, it
    is ours and one of its caps or quotas has no room; SPENT, the money of one is used up; LOST, it
    was ours, and is another replica's by now."""

    OK = "ok"
    DUPLICATE = "duplicate"
    FULL = "full"
    SPENT = "spent"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Offer:
    """The answer to an offer, and what is to happen to the call: the decision that was offered, or
    what it says of a call for which there is no room."""

    claim: Claim
    decision: Decision


class Marked(StrEnum):
    """What asking for a mark led to: DONE_NOW, the effect is ours to do; ALREADY, it was marked
    before, and may have been done; NOT_OWNER, the call is somebody else's by now."""

    DONE_NOW = "done_now"
    ALREADY = "already"
    NOT_OWNER = "not_owner"


@dataclass(frozen=True, slots=True)
class HeldCall:
    """A call that a process before this one has claimed, and whose end is not in the records.

    `epoch` counts its owners, this one included. `marks` are the unix seconds of what has been done
    for it, `cost` the micro-dollars that it is known to have cost. `outcome` is there if it has
    ended, and the records may not know.
    """

    call: IncomingCall
    decision: Decision
    claimed_at: float
    epoch: int
    marks: Mapping[str, float]
    outcome: CallOutcome | None = None
    cost: int = 0


FIRST_EPOCH: Final = 1


class Claims(Protocol):
    """Who may hold a call that has just come in."""

    async def offer(self, call: IncomingCall, decision: Decision) -> Offer:
        """Claim a call in one atomic step, by its webhook id and by its call id.

        A call that is claimed counts for each cap and quota of the decision, unless one of them
        has no room or the verdict is a rejection; a duplicate counts for none. Returns when the
        claim outlives this process; where it cannot be written, the call is taken all the same.
        """

    async def revise(self, call: IncomingCall, before: Decision, after: Decision) -> Offer:
        """Have something else be decided of a call that is claimed and not answered yet.

        What the decision before has not counted is counted now, if it has room; a rejection gives
        all of it back. Returns when what is decided now would outlive this process.
        """


class Engine(Claims, Protocol):
    """Who holds which call, what has been done for it, and what all of them take.

    What an owner asks for names its epoch: an owner from whom the call has been taken is told so,
    and changes nothing.
    """

    async def mark(self, call_id: CallId, epoch: int, key: str) -> Marked:
        """Write down, before it is done, what must not be done twice. Returns when it is written,
        or when the call is somebody else's.

        Where what should write it refuses, the call goes on: DONE_NOW.
        """

    def active(self, call_id: CallId, epoch: int) -> bool:
        """Whether anything may be done for the call now. Not while its owner cannot be sure that
        nobody else is about to take it over: then its socket is kept, nothing is sent, and no tool
        is run."""

    async def yielded(self, call_id: CallId) -> bool:
        """The provider says that somebody else has answered the call; whether it is theirs, and
        lost here. Where it was claimed while the engine was away it is; else whoever holds it is
        given the time of a lease to say so."""

    async def admit(self, call_id: CallId, cap: Cap) -> bool:
        """Count one more for the cap, if it has room."""

    def note(self, call_id: CallId, epoch: int, key: str) -> None:
        """Write down soon what has been done."""

    def spent(self, call_id: CallId, cost: int) -> Sequence[CallId]:
        """Count so many micro-dollars for each quota of the call; the calls whose money is used up
        by it."""

    def finish(self, outcome: CallOutcome, epoch: int) -> None:
        """The call counts as held no more. Its ids are remembered, and its outcome until it is
        `settled`."""

    def settled(self, call_id: CallId) -> None:
        """The records have the call's outcome: nothing of it is needed here any more."""

    async def adopt(self) -> Sequence[HeldCall]:
        """The calls that processes before this one have left, each ours from now on. An engine that
        replicas share has none at the start: theirs are taken over whenever they are left."""


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


SocketRequest = (
    CreateResponse
    | CancelResponse
    | ClearAudio
    | UpdateSession
    | Inform
    | AddText
    | SendOutput
    | Approve
)


class CallSocket(Protocol):
    """One call's attached socket."""

    def put(self, request: SocketRequest) -> bool:
        """Hand over a request without waiting. False where that cannot be done: then `send` it."""

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

    async def attach(self, deliver: Callable[[Event], None], *, again: bool = False) -> CallSocket:
        """Attach to the answered call. `again`: a 404 is final, as the call has been there before.

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


@dataclass(frozen=True, slots=True)
class ToolRequest:
    """One tool to be run for one call. `agent` is who asks for it, `digits` are what tools of the
    call have collected; `arguments` fulfil the tool's schema."""

    plan: CallPlan
    agent: AgentName | None
    id: str
    tool: Tool
    arguments: Json = field(repr=False)
    digits: Mapping[ToolName, str] = field(default_factory=dict, repr=False)


class RecentCallers(Protocol):
    """Knows who has just been a caller."""

    def returned(self, caller: str) -> Mapping[TenantName, Returned]:
        """Of which tenants this number (E.164) has been a caller whose call was sent on, or broke
        off, just before."""


class Consultant(Protocol):
    """Asks tenants' own endpoints what becomes of a call."""

    async def ask(self, call_id: CallId, consult: Consult) -> Consulted:
        """What came of asking, within the time that it has. Never raises but for being
        cancelled."""


class ToolRunner(Protocol):
    """Runs the tools that reach beyond the call."""

    async def run(self, request: ToolRequest) -> ToolResult:
        """What the tool has come to, within its time. Never raises but for being cancelled, which
        leaves nothing running here; what was asked of others may still take effect."""


class Providers(Protocol):
    """The accounts' providers, by name."""

    def control(self, account: AccountName) -> CallControl: ...

    def sideband(self, account: AccountName) -> Sideband: ...


class Records(Protocol):
    """What is kept of calls. No method waits: a record never holds up a call."""

    def decided(self, call: IncomingCall, decision: Decision) -> None: ...

    def adopted(self, call: IncomingCall, decision: Decision, began_at: float) -> None:
        """Go on with the call of another process; what that one could not keep of its decision is
        kept now. It began at `began_at`, unix seconds."""

    def happened(self, plan: CallPlan, what: Happening, detail: str | None = None) -> None:
        """Keep a step of the call's story. `detail` holds no words of a caller and no number."""

    def turn(self, plan: CallPlan, turn: Turn) -> None: ...

    def used(self, plan: CallPlan, usage: Usage) -> None: ...

    def transfer(self, plan: CallPlan, transfer: Transfer) -> None: ...

    def tool(self, plan: CallPlan, use: ToolUse) -> None:
        """Keep what a tool call has come to, without what its tenant does not want to be kept of
        words."""

    async def message(self, plan: CallPlan, message: Message) -> None:
        """Keep what the caller wants to have told, without what its tenant does not want to be
        kept; the same id twice is one message. Returns when it outlives this process. Raises
        OSError where it cannot be kept."""

    def fault(self, plan: CallPlan, kind: str, code: str) -> None:
        """Note that the provider has reported something wrong; `code` is its word for it."""

    def ended(self, outcome: CallOutcome) -> None:
        """Keep the one outcome of a call."""

    def left(self, plan: CallPlan) -> None:
        """The call is another replica's from now on, and what becomes of it is kept there."""


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
