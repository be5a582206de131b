"""What is told of calls as it happens."""

from enum import StrEnum

from msgspec import Struct, field

from sipagent.model.ids import AgentName, CallId, TenantName
from sipagent.model.json import Json


class LiveKind(StrEnum):
    """What an event is about.

    Lifecycle: DECIDED, ANSWERED, ATTACHED, HEARD, ENDED. Of one call besides: WORDS (a piece of an
    utterance as it is spoken), TURN (a whole one, as it is recorded), TOOL, TRANSFER, STEP. GAP:
    a viewer was too slow, or has come late, and has missed something.
    """

    DECIDED = "decided"
    ANSWERED = "answered"
    ATTACHED = "attached"
    HEARD = "heard"
    ENDED = "ended"
    WORDS = "words"
    TURN = "turn"
    TOOL = "tool"
    TRANSFER = "transfer"
    STEP = "step"
    GAP = "gap"


LIFECYCLE = frozenset(
    {LiveKind.DECIDED, LiveKind.ANSWERED, LiveKind.ATTACHED, LiveKind.HEARD, LiveKind.ENDED}
)


class LiveEvent(Struct, frozen=True):
    """One thing that happened to a call at `at`, unix seconds. `data` is what is told of it, as it
    may be told to this tenant's own people: redacted, numbers masked. `id` is what a viewer names
    to go on behind it (`Last-Event-ID`); of a WORDS event it is empty."""

    id: str
    at: float
    kind: LiveKind
    call_id: CallId
    tenant: TenantName
    agent: AgentName | None = None
    data: Json = field(default_factory=dict)
