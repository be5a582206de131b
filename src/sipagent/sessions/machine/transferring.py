"""What is known of a call's transfers: where it may be sent, and how far the last attempt is."""

from enum import StrEnum

from msgspec import Struct

from sipagent.model import (
    AgentName,
    CallPlan,
    Cap,
    DestinationName,
    Reachable,
    Skills,
    TakeMessage,
    ToolName,
)
from sipagent.model.skills import WATCH
from sipagent.sessions.machine.attempts import Attempt, Chain
from sipagent.sessions.machine.commands import (
    Inform,
    Note,
    RecordStep,
    RecordTransfer,
    Refer,
)
from sipagent.sessions.machine.events import (
    AudioStarted,
    CallerStarted,
    CallerStopped,
    DeadlineReached,
    Referred,
    TransferOrdered,
    TransferWanted,
)
from sipagent.sessions.machine.signals import (
    AgentTaken,
    CallBegun,
    CallDropped,
    CallLive,
    CallOver,
    CallResumed,
    CallUnheard,
    DeadlineDropped,
    DeadlineWanted,
    EndWanted,
    HangingUp,
    IntentEnded,
    Parting,
    PlaybackEnded,
    ResponseDropped,
    ResponseUnneeded,
    ResponseWanted,
    TransferAsked,
    TransferGoing,
    TransferTaken,
)


class Stage(StrEnum):
    """OVER: the call is ending, and nobody is sent anywhere any more."""

    IDLE = "idle"
    SPEAKING = "speaking"
    REFERRING = "referring"
    WATCHING = "watching"
    OVER = "over"


class Means(Struct, frozen=True):
    """Where the call may be sent, and by which tool each agent takes messages. Without a
    `telephone` at the other side it can be sent nowhere."""

    ways: dict[DestinationName, Reachable] = {}
    cap: Cap | None = None
    watch: float = WATCH
    takers: dict[AgentName | None, ToolName] = {}
    telephone: bool = True


class Transferring(Struct, frozen=True):
    """`id` is the tool call that waits for an output. `words` is the response that is to be heard
    first, None if that is one of ours. `way` is where the next REFER goes; `attempt` is the last
    one, as long as nothing has come of it, and `count` numbers it. `late`: its time was over while
    there was no socket. `live`: there is one. `played` are the responses that have been heard last:
    words may have been before the model says that it is done. `order` is that of the operator's
    which sends the call on now, or of somebody's on duty, whom the tenant's cap `binds`; `obeyed`
    are those that have."""

    means: Means = Means()
    agent: AgentName | None = None
    stage: Stage = Stage.IDLE
    id: str | None = None
    words: str | None = None
    way: Reachable | None = None
    chain: Chain = Chain()
    attempt: Attempt | None = None
    count: int = 0
    late: bool = False
    live: bool = False
    played: tuple[str, ...] = ()
    order: str | None = None
    binds: bool = False
    obeyed: tuple[str, ...] = ()

    def can_obey(self, order: str) -> bool:
        """Whether the call can be sent on now, and has not been by this order."""
        free = self.live and self.stage is Stage.IDLE and self.means.telephone
        return free and order not in self.obeyed


Heeded = (
    CallBegun
    | CallLive
    | CallUnheard
    | CallDropped
    | CallResumed
    | AgentTaken
    | TransferAsked
    | TransferOrdered
    | TransferWanted
    | PlaybackEnded
    | ResponseDropped
    | Referred
    | CallerStarted
    | CallerStopped
    | AudioStarted
    | DeadlineReached
    | Parting
    | HangingUp
    | TransferTaken
    | CallOver
)
Output = (
    Refer
    | Inform
    | Note
    | RecordStep
    | RecordTransfer
    | IntentEnded
    | ResponseWanted
    | ResponseUnneeded
    | TransferGoing
    | EndWanted
    | DeadlineWanted
    | DeadlineDropped
)
Outputs = tuple[Output, ...]
Result = tuple[Transferring, Outputs]


def order_of(key: str) -> str:
    """The name of the order that a request is."""
    return f"duty-{key}"


def transferring(plan: CallPlan) -> Transferring:
    """The state of a call that nobody has asked to be sent anywhere."""
    if not plan.ways.destinations:
        return Transferring(Means(telephone=not plan.talk), plan.agent)
    agents = {plan.agent: plan.skills} | {one.agent: one.skills for one in plan.colleagues}
    takers = {agent: tool for agent, skills in agents.items() if (tool := _taker(skills))}
    ways = {way.destination: way for way in plan.ways.destinations}
    means = Means(ways, plan.ways.cap, plan.ways.watch, takers, not plan.talk)
    return Transferring(means, plan.agent)


def _taker(skills: Skills) -> ToolName | None:
    tools = (tool.name for tool in skills.tools if isinstance(tool.does, TakeMessage))
    return next(tools, None)
