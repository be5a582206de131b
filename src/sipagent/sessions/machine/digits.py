"""The keys that a caller presses: collected for a tool, or a short way to a destination.

A tool that collects digits gets them one by one until there are as many as it wants, or until the
key that ends them. Callers press early: what was pressed shortly before the tool began counts, if
it was not taken for something else. After a while without a key the agent asks again; meanwhile
callers may speak, and are answered as ever. The time for a key does not run while somebody speaks.

No digit is printed: it may be one of a PIN. What a `sensitive` tool has collected is told to nobody
but the tools that are bound to it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from dataclasses import replace as changed
from typing import Final

from msgspec import Struct
from msgspec import field as default
from msgspec.structs import replace

from sipagent.model import AgentName, CallPlan, CollectDigits, DestinationName, ToolName
from sipagent.sessions.machine.events import (
    AudioStarted,
    CallerCommitted,
    CallerStarted,
    CallerStopped,
    DeadlineReached,
    DigitPressed,
    Timer,
)
from sipagent.sessions.machine.outputs import error, output
from sipagent.sessions.machine.signals import (
    AgentTaken,
    CallDropped,
    CallLive,
    CallOver,
    CallResumed,
    DeadlineDropped,
    DeadlineWanted,
    DigitsAsked,
    DigitsCollected,
    GreetingOver,
    IntentEnded,
    Parting,
    PlaybackEnded,
    Purpose,
    ResponseUnneeded,
    ResponseWanted,
    TransferAsked,
    TransferGoing,
)

EARLY: Final = 3.0
"""Seconds before a tool begins in which keys are pressed for it."""

LONGEST_SPEECH: Final = 60.0
"""Seconds that somebody may speak between two keys, for each time that the agent asks."""

LONGEST_INPUT: Final = 64
"""Keys, where no length is given."""

_NONE_PRESSED: Final = error(
    "the caller has not pressed the keys that were asked for",
    next="ask for it in words if that is possible, or offer something else",
)
_REPLACED: Final = error("another collection of digits has begun instead")


@dataclass(frozen=True, slots=True)
class Pressed:
    at: float
    digit: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Collection:
    """What a tool collects since `began`. `asked` counts how often the agent has asked again."""

    id: str
    tool: ToolName
    wanted: CollectDigits
    began: float
    asked: int = 0
    digits: str = field(default="", repr=False)

    @property
    def enough(self) -> bool:
        """Whether these digits may be all: as many as are wanted, or any where nothing says so."""
        length = self.wanted.length
        return bool(self.digits) if length is None else len(self.digits) == length

    @property
    def full(self) -> bool:
        return len(self.digits) >= (self.wanted.length or LONGEST_INPUT)

    @property
    def last_at(self) -> float:
        """When it is over, however much is spoken meanwhile."""
        return self.began + (self.wanted.retries + 1) * (self.wanted.timeout + LONGEST_SPEECH)

    @property
    def result(self) -> str:
        if self.wanted.sensitive:
            return output({"status": "collected", "count": len(self.digits)})
        return output({"digits": self.digits})


class Digits(Struct, frozen=True):
    """`keys` lead the caller of the agent that has the call to a destination, `agents` has those of
    each agent. `early` are keys that nothing has been made of yet. `ended`: the key that ends a
    collection which was full without it, and until when it is dropped. `since` is when the time for
    the next key began, `armed` says that its deadline is on its way.
    """

    keys: Mapping[str, DestinationName] = default(default_factory=dict)
    agents: tuple[tuple[AgentName, Mapping[str, DestinationName]], ...] = ()
    collection: Collection | None = None
    early: tuple[Pressed, ...] = ()
    ended: Pressed | None = None
    since: float = 0.0
    armed: bool = False
    live: bool = False
    turned: bool = False
    going: bool = False
    speaking: bool = False
    playing: str | None = None
    over: bool = False


_UNUSED: Final = Digits(over=True)

Heeded = (
    DigitPressed
    | DigitsAsked
    | CallerStarted
    | CallerStopped
    | CallerCommitted
    | AudioStarted
    | PlaybackEnded
    | AgentTaken
    | TransferGoing
    | GreetingOver
    | CallLive
    | CallDropped
    | CallResumed
    | DeadlineReached
    | Parting
    | CallOver
)
Output = (
    TransferAsked
    | DigitsCollected
    | IntentEnded
    | ResponseWanted
    | ResponseUnneeded
    | DeadlineWanted
    | DeadlineDropped
)
Result = tuple[Digits, tuple[Output, ...]]


def digits(plan: CallPlan) -> Digits:
    """The state of a call in which no key has been pressed."""
    if not (plan.colleagues or plan.skills.keys or plan.skills.tools):
        return _UNUSED
    own = () if plan.agent is None else ((plan.agent, plan.skills),)
    skilled = (*own, *((one.agent, one.skills) for one in plan.colleagues))
    used = any(
        skills.keys or any(isinstance(tool.does, CollectDigits) for tool in skills.tools)
        for _, skills in skilled
    )
    if plan.refer_to is not None or not used:
        return _UNUSED
    return Digits(plan.skills.keys, tuple((agent, skills.keys) for agent, skills in skilled))


def step(state: Digits, event: Heeded, now: float) -> Result:
    if state.over:
        return state, ()
    match event:
        case DigitPressed(digit):
            return _pressed(state, digit, now)
        case DigitsAsked():
            return _begin(state, event, now)
        case DeadlineReached(Timer.NEXT_DIGIT):
            return _time_is_up(replace(state, armed=False), now)
        case Parting() | CallOver():
            return Digits(over=True), _unarmed(state)
        case AgentTaken(agent):
            return replace(state, keys=dict(state.agents).get(agent, {})), ()
        case TransferGoing(going):
            return replace(state, going=going, since=now), ()
        case _:
            return _heard(state, event, now), ()


def _heard(state: Digits, event: Heeded, now: float) -> Digits:
    """Who speaks, and whether anything is heard at all."""
    match event:
        case CallerStarted():
            return state if state.speaking else replace(state, speaking=True)
        case CallerStopped() | CallerCommitted():
            return replace(state, speaking=False, since=now) if state.speaking else state
        case AudioStarted(response_id):
            return replace(state, playing=response_id)
        case PlaybackEnded(response_id):
            ended = response_id == state.playing
            return replace(state, playing=None, since=now) if ended else state
        case GreetingOver():
            return replace(state, turned=True)
        case CallLive() | CallResumed():
            return replace(state, live=True, since=now)
        case CallDropped():
            return replace(state, live=False, speaking=False, playing=None)
        case _:
            return state


def _pressed(state: Digits, digit: str, now: float) -> Result:
    collection = state.collection
    if collection is not None:
        return _taken(replace(state, since=now), collection, digit, now)
    ended = state.ended
    if ended is not None:
        state = replace(state, ended=None)
        if digit == ended.digit and now <= ended.at:
            return state, ()
    destination = state.keys.get(digit)
    if destination is not None and state.turned and state.live and not state.going:
        return state, (TransferAsked(None, destination),)
    early = (*state.early, Pressed(now, digit))[-LONGEST_INPUT:]
    return replace(state, early=early), ()


def _begin(state: Digits, event: DigitsAsked, now: float) -> Result:
    """Begin to collect, with what has been pressed in advance."""
    outputs: tuple[Output, ...] = ()
    if state.collection is not None:
        replaced = IntentEnded(state.collection.id, _REPLACED, done=False, speak=False)
        outputs = (replaced,)
    terminator = event.digits.terminator
    early = "".join(one.digit for one in state.early if now - one.at <= EARLY)
    collection = Collection(event.id, event.tool, event.digits, now)
    state = replace(state, collection=collection, early=(), ended=None, since=now)
    for digit in early.lstrip(terminator) if terminator else early:
        if state.collection is None:
            break
        state, more = _taken(state, state.collection, digit, now)
        outputs = (*outputs, *more)
    if state.collection is None or state.armed:
        return state, outputs
    state, deadline = _armed(state, state.collection, now)
    return state, (*outputs, *deadline)


def _taken(state: Digits, collection: Collection, digit: str, now: float) -> Result:
    """Add a key to what is collected, which may be all then."""
    terminator = collection.wanted.terminator
    if terminator and digit == terminator:
        return _ended(state, collection) if collection.enough else _again(state, collection)
    collection = changed(collection, digits=collection.digits + digit)
    if not collection.full:
        needless = bool(collection.asked) and len(collection.digits) == 1
        outputs = (ResponseUnneeded(Purpose.SILENCE),) if needless else ()
        return replace(state, collection=collection), outputs
    state, done = _ended(state, collection)
    # Many callers end their input with the key for it although it is complete.
    ended = Pressed(now + EARLY, terminator) if terminator else None
    return replace(state, ended=ended), done


def _ended(state: Digits, collection: Collection) -> Result:
    unasked = (ResponseUnneeded(Purpose.SILENCE),) if collection.asked else ()
    return replace(state, collection=None, armed=False), (
        *_unarmed(state),
        *unasked,
        DigitsCollected(collection.tool, collection.digits),
        IntentEnded(collection.id, collection.result),
    )


def _again(state: Digits, collection: Collection) -> Result:
    """Have the agent ask again, or give up."""
    if collection.asked >= collection.wanted.retries:
        state, unarmed = replace(state, collection=None, armed=False), _unarmed(state)
        return state, (*unarmed, IntentEnded(collection.id, _NONE_PRESSED, done=False))
    again = changed(collection, digits="", asked=collection.asked + 1)
    wish = ResponseWanted(Purpose.SILENCE, _question(collection.wanted), tools=False)
    return replace(state, collection=again), (wish,)


def _question(wanted: CollectDigits) -> str:
    keys, ending = f"the {wanted.length} keys", ""
    if wanted.length is None:
        keys = "the keys"
        ending = {"#": ", and the pound key after them", "*": ", and the star key after them"}.get(
            wanted.terminator, ""
        )
    return (
        "The caller has not pressed all the keys that you asked for. In the language of the"
        f" conversation, ask in one short sentence to press {keys} again from the"
        f" beginning{ending}. Say nothing else, and no digit."
    )


def _time_is_up(state: Digits, now: float) -> Result:
    collection = state.collection
    if collection is None:
        return state, ()
    wanted, late = collection.wanted, now >= collection.last_at
    held = not state.live or state.going or state.speaking or state.playing is not None
    if not late and (held or now < state.since + wanted.timeout):
        return _armed(replace(state, since=now) if held else state, collection, now)
    if collection.enough:
        return _ended(state, collection)
    if late:
        collection = changed(collection, asked=wanted.retries)
    state, outputs = _again(replace(state, since=now), collection)
    if state.collection is None:
        return state, outputs
    state, deadline = _armed(state, state.collection, now)
    return state, (*outputs, *deadline)


def _armed(state: Digits, collection: Collection, now: float) -> Result:
    at = max(now, min(state.since + collection.wanted.timeout, collection.last_at))
    return replace(state, armed=True), (DeadlineWanted(Timer.NEXT_DIGIT, at),)


def _unarmed(state: Digits) -> tuple[DeadlineDropped, ...]:
    return (DeadlineDropped(Timer.NEXT_DIGIT),) if state.armed else ()
