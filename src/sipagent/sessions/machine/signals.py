"""What the small machines tell each other. Never seen outside of one `step` of the whole."""

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from msgspec import Struct

from sipagent.model import (
    AgentName,
    CollectDigits,
    DestinationName,
    Reason,
    ToolName,
    ToolUse,
)
from sipagent.sessions.machine.events import Timer


class Purpose(IntEnum):
    """Why the model is asked to speak. Of two wishes that meet, the smaller goes first.

    GOODBYE: the call is ended. FAREWELL: its agent hangs up. CONNECTING: a transfer takes its time.
    TOOL: there are outputs of tools. DICTATION: somebody on duty has it say something. FILLER: a
    tool takes its time. SILENCE: nobody has spoken for a while.
    """

    GOODBYE = 0
    FAREWELL = 1
    CONNECTING = 2
    TOOL = 3
    GREETING = 4
    DICTATION = 5
    REPLY = 6
    FILLER = 7
    SILENCE = 8

    @property
    def tag(self) -> str:
        return self.name.lower()


class CallBegun(Struct, frozen=True):
    """The call is claimed and its plan is known."""


class CallAnswered(Struct, frozen=True):
    """A call that is to be sent on has been answered: the REFER may go."""


class ForwardEnded(Struct, frozen=True):
    """A call that was sent on is known to have ended."""

    reason: Reason


class ForwardGivenUp(Struct, frozen=True):
    """A call that was to be sent on is to be hung up; `gone` is the reason of its end if it turns
    out to have ended before."""

    reason: Reason
    detail: str | None
    gone: Reason


class CallLive(Struct, frozen=True):
    """The socket is attached: the agent may speak."""


class CallUnheard(Struct, frozen=True):
    """The socket is lost. Whether the call has ended with it is being found out."""


class CallDropped(Struct, frozen=True):
    """The socket is lost and the call may go on: nothing is heard of it until `CallResumed`."""


class CallResumed(Struct, frozen=True):
    """The socket is attached again, or for the first time by whoever took the call over. What
    happened meanwhile is not told."""


class GreetingOver(Struct, frozen=True):
    """The caller has the turn: the greeting has been heard, given up, or there was none."""


class ModelFailed(Struct, frozen=True):
    """The model does not do its part: `detail` is a technical word or two."""

    detail: str


@dataclass(frozen=True, slots=True)
class FallbackWanted:
    """The caller is to be sent to the tenant's fallback. `detail` says why."""

    target_uri: str = field(repr=False)
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class SendAway:
    """The caller, who has been talking to the agent, is to be referred to this URI at once."""

    target_uri: str = field(repr=False)


class EndWanted(Struct, frozen=True):
    """The call is to end, after the agent has said `goodbye` if there is one."""

    reason: Reason
    goodbye: str | None = None
    detail: str | None = None


class UsageLost(Struct, frozen=True):
    """What the provider has billed may not all be known."""


class CallOver(Struct, frozen=True):
    """Nothing more will be heard or said."""


class Parting(Struct, frozen=True):
    """The call is to end: nothing but a goodbye is to be said or heard any more."""


class Hushed(Struct, frozen=True):
    """The agent is to say nothing, but for a goodbye; or it may speak again, and `owed` says that
    the caller has said something meanwhile."""

    on: bool
    owed: bool = False


class ResponseWanted(Struct, frozen=True):
    """The model is to speak. Without `tools` it can do nothing else."""

    purpose: Purpose
    instructions: str | None = None
    tools: bool = True


class ResponseUnneeded(Struct, frozen=True):
    """A wish that has not gone out yet is dropped."""

    purpose: Purpose


class ResponseStarted(Struct, frozen=True):
    """A response has begun; `purpose` is None for one that the provider began by itself."""

    response_id: str
    purpose: Purpose | None


class ResponseEnded(Struct, frozen=True):
    response_id: str
    purpose: Purpose | None
    completed: bool


class ResponseDropped(Struct, frozen=True):
    """A wish came to nothing: the provider refused it, or never answered (`late`)."""

    purpose: Purpose
    late: bool = False


class ResponseOverdue(Struct, frozen=True):
    """What the model is at puts out nothing: it is to be stopped."""


class Heard(StrEnum):
    """How much of a response the caller has heard."""

    ALL = "all"
    PART = "part"
    NOTHING = "nothing"


class PlaybackEnded(Struct, frozen=True):
    response_id: str
    purpose: Purpose | None
    heard: Heard


class DeadlineWanted(Struct, frozen=True):
    """Be told by `DeadlineReached(key)` at this time; a later wish for the key replaces it."""

    key: Timer
    at: float


class DeadlineDropped(Struct, frozen=True):
    key: Timer


class ToolsBusy(Struct, frozen=True):
    """Tools run, or none does any more."""

    busy: bool


class OutputReady(Struct, frozen=True):
    """A tool call has come to this, which is recorded as `use` when it is on its way."""

    id: str
    output: str
    use: ToolUse

    def __repr__(self) -> str:
        return f"OutputReady({self.id!r})"


class AnswerDue(Struct, frozen=True):
    """The model is to speak of what tools have come to."""


class FillerOffered(Struct, frozen=True):
    """A tool has begun; what is said at this time if it still runs then."""

    id: str
    words: str
    at: float


class WaitBegun(Struct, frozen=True):
    """The caller wants a moment: nobody is waited for until they speak."""


class HangUpAsked(Struct, frozen=True):
    """The agent wants to hang up. `spoken`: the response that asks for it has words as well, which
    are its goodbye."""

    id: str
    response_id: str
    spoken: bool


class TransferAsked(Struct, frozen=True):
    """The agent, or a key that the caller pressed, wants the call sent to a destination. `id` is
    None where no tool call asked; `response_id` is the response whose words come first."""

    id: str | None
    destination: DestinationName
    response_id: str | None = None
    spoken: bool = False


class TransferGoing(Struct, frozen=True):
    """The call is being sent somewhere, or not any more. Once it is `referred` its end counts as
    its transfer; before, its caller is told."""

    going: bool
    referred: bool = True


class TransferTaken(Struct, frozen=True):
    """The call has ended while it was being sent somewhere: somebody took it, presumably."""


class HangingUp(Struct, frozen=True):
    """The call is being hung up: nothing more is to be done for it."""


class DigitsAsked(Struct, frozen=True):
    """The agent waits for keys that the caller is to press."""

    id: str
    tool: ToolName
    digits: CollectDigits


@dataclass(frozen=True, slots=True)
class DigitsCollected:
    """What the caller has pressed, for tools that are bound to it."""

    tool: ToolName
    digits: str = field(repr=False)


class LanguageAsked(Struct, frozen=True):
    id: str
    language: str


class AgentAsked(Struct, frozen=True):
    """The agent wants another one to go on."""

    id: str
    agent: AgentName


class AgentTaken(Struct, frozen=True):
    """Another agent of the plan has the call from now on."""

    agent: AgentName


class LanguageTaken(Struct, frozen=True):
    """The call goes on in this language; None is the one that it began in."""

    language: str | None


@dataclass(frozen=True, slots=True)
class IntentEnded:
    """What a tool call that the call itself did has come to. `speak`: the model is to answer."""

    id: str
    output: str = field(repr=False)
    done: bool = True
    speak: bool = True


Signal = (
    CallBegun
    | CallAnswered
    | CallLive
    | CallUnheard
    | CallDropped
    | CallResumed
    | GreetingOver
    | ModelFailed
    | FallbackWanted
    | SendAway
    | EndWanted
    | UsageLost
    | ForwardEnded
    | ForwardGivenUp
    | CallOver
    | Parting
    | Hushed
    | ResponseWanted
    | ResponseUnneeded
    | ResponseStarted
    | ResponseEnded
    | ResponseDropped
    | ResponseOverdue
    | PlaybackEnded
    | DeadlineWanted
    | DeadlineDropped
    | ToolsBusy
    | OutputReady
    | AnswerDue
    | FillerOffered
    | WaitBegun
    | HangUpAsked
    | TransferAsked
    | TransferGoing
    | TransferTaken
    | HangingUp
    | DigitsAsked
    | DigitsCollected
    | LanguageAsked
    | AgentAsked
    | AgentTaken
    | LanguageTaken
    | IntentEnded
)
