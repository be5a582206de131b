"""When nobody speaks: the agent asks whether the caller is still there, and in the end hangs up.

The clock starts at the later of two moments: the end of the caller's last words, and the end of
what the caller hears of the agent. It stands still while somebody speaks, while tools run, while
the call is being sent on, and after `wait` until the caller speaks. None of this stops it for ever:
voice detection that never hears the end of a noise does not keep a call open.

That somebody has spoken is told by voice detection. Whether it was an answer is told by the words:
a noise that is transcribed as nothing does not take back the questions that have been asked. Where
words are not transcribed, or their transcription fails or does not come, any speech is an answer.
"""

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from sipagent.model import AgentName, CallPlan, Json, Reason, Silence, Skills
from sipagent.sessions.machine.events import (
    AudioStarted,
    CallerCommitted,
    CallerStarted,
    CallerStopped,
    CallerTextDone,
    CallerTyped,
    DeadlineReached,
    DigitPressed,
    Timer,
)
from sipagent.sessions.machine.farewells import NOBODY_ANSWERS
from sipagent.sessions.machine.opening import quoted
from sipagent.sessions.machine.signals import (
    AgentTaken,
    CallDropped,
    CallLive,
    CallResumed,
    DeadlineDropped,
    DeadlineWanted,
    EndWanted,
    GreetingOver,
    Hushed,
    LanguageTaken,
    Parting,
    PlaybackEnded,
    Purpose,
    ResponseDropped,
    ResponseEnded,
    ResponseStarted,
    ResponseUnneeded,
    ResponseWanted,
    ToolsBusy,
    TransferGoing,
    WaitBegun,
)

LONGEST_WAIT: Final = 300.0
"""Seconds that a caller who wants a moment is given."""

LONGEST_SPEECH: Final = 60.0
"""Seconds of one speech of the caller's. What voice detection hears for longer is a noise."""

LONGEST_ANSWER: Final = 300.0
"""Seconds of one answer of the agent's: the longest that a model makes is shorter."""

_SAY: Final = (
    "Say exactly the words between the quotation marks, in the language in which they are written,"
    " and nothing before or after them: "
)
_ASK: Final = (
    "The caller has said nothing for a while. In the language of the conversation, ask in one short"
    " sentence whether the caller is still there, and say nothing else."
)


class Bearing(Struct, frozen=True):
    """How an agent bears silence. `transcribes`: the caller's words are told."""

    agent: AgentName | None = None
    skills: Skills = Skills()
    transcribes: bool = False


class Manners(Struct, frozen=True):
    """How the agent that has the call bears silence, and how those would that may have it.
    `language` is the one that was chosen in the call, None if none was."""

    now: Bearing = Bearing()
    agents: tuple[Bearing, ...] = ()
    language: str | None = None

    @property
    def rule(self) -> Silence | None:
        return self.now.skills.silence

    @property
    def question(self) -> str:
        """What is asked of the model when nobody speaks."""
        words = None if self.rule is None else self.rule.say
        for tongue in self.now.skills.tongues:
            if tongue.language == self.language:
                words = tongue.asks
        return _ASK if words is None else _SAY + quoted(words)


class Quiet(Struct, frozen=True):
    """`since` is when somebody was heard last, or something else happened for which the clock
    starts anew. `armed` is when a deadline comes, which may be before the clock has run down and is
    put off then.

    `asked` counts the questions without an answer, `wanted` says that the last one has not begun.
    `untold` are speeches since then whose words have not been told. `waits` is when `wait` began,
    `before` the speech that came before it. `active` is the response that the model makes,
    `playing` the one that is heard.
    """

    manners: Manners = Manners()
    since: float = 0.0
    armed: float | None = None
    asked: int = 0
    wanted: bool = False
    untold: int = 0
    live: bool = False
    turned: bool = False
    busy: bool = False
    going: bool = False
    hushed: bool = False
    speaking: bool = False
    speech: str = ""
    active: str | None = None
    playing: str | None = None
    waits: float | None = None
    before: str = ""
    over: bool = False

    @property
    def due(self) -> float | None:
        """When the clock runs down if nothing happens; None while it stands still."""
        rule = self.manners.rule
        if rule is None or not self.live or not self.turned:
            return None
        if self.busy or self.going or self.hushed:
            return None
        since = self.since
        if self.speaking:
            since += LONGEST_SPEECH
        elif self.active is not None or self.playing is not None:
            since += LONGEST_ANSWER
        if self.waits is not None:
            since = max(since, self.waits + LONGEST_WAIT)
        return since + rule.after


_UNHEEDED: Final = Quiet(over=True)

Heeded = (
    CallLive
    | CallDropped
    | CallResumed
    | GreetingOver
    | CallerStarted
    | CallerStopped
    | CallerCommitted
    | CallerTextDone
    | DigitPressed
    | CallerTyped
    | ResponseStarted
    | ResponseEnded
    | ResponseDropped
    | AudioStarted
    | PlaybackEnded
    | ToolsBusy
    | TransferGoing
    | Hushed
    | WaitBegun
    | AgentTaken
    | LanguageTaken
    | DeadlineReached
    | Parting
)
Output = ResponseWanted | ResponseUnneeded | EndWanted | DeadlineWanted | DeadlineDropped
Result = tuple[Quiet, tuple[Output, ...]]


def quiet(plan: CallPlan) -> Quiet:
    """The state of a call in which nobody has been silent yet."""
    if plan.skills.silence is None and not plan.colleagues:
        return _UNHEEDED
    transcribes = _transcribes(plan.session, otherwise=False)
    first = Bearing(plan.agent, plan.skills, transcribes)
    others = (
        Bearing(one.agent, one.skills, _transcribes(one.session, otherwise=transcribes))
        for one in plan.colleagues
    )
    agents = (first, *others)
    if plan.refer_to is not None or all(one.skills.silence is None for one in agents):
        return _UNHEEDED
    return Quiet(Manners(first, agents))


def _transcribes(session: Json, *, otherwise: bool) -> bool:
    """Whether the caller's words are told in this session, or after this change of it."""
    heard = session.get("audio", {}).get("input", {})
    return heard["transcription"] is not None if "transcription" in heard else otherwise


def step(state: Quiet, event: Heeded, now: float) -> Result:
    if state.over:
        return state, ()
    if isinstance(event, DeadlineReached):
        if event.key is not Timer.SILENT:
            return state, ()
        return _time_is_up(replace(state, armed=None), now)
    if isinstance(event, Parting):
        return Quiet(over=True), () if state.armed is None else (DeadlineDropped(Timer.SILENT),)
    after = _heard(state, event, now)
    if after is state:
        return state, ()
    outputs = _withdrawn(state, after) if state.wanted else ()
    # The clock runs down later by all that happens, but for these two.
    same = after.manners is state.manners and after.waits is state.waits
    return (after, outputs) if same and after.armed is not None else _armed(after, now, outputs)


def _heard(state: Quiet, event: Heeded, now: float) -> Quiet:
    match event:
        case CallerStarted(item_id) if state.speaking:
            return replace(state, speech=item_id)
        case CallerStarted(item_id):
            return _recalled(replace(state, speaking=True, speech=item_id, since=now))
        case CallerStopped(item_id) | CallerCommitted(item_id):
            return _stopped(state, item_id, now) if state.speaking else state
        case CallerTextDone(item_id, text):
            state = replace(state, untold=max(0, state.untold - 1)) if state.untold else state
            return state if text is not None and not text.strip() else _answered(state, item_id)
        case DigitPressed() | CallerTyped():
            return replace(state, since=now, asked=0, wanted=False, waits=None)
        case ResponseStarted() | ResponseEnded() | ResponseDropped():
            return _made(state, event, now)
        case AudioStarted(response_id):
            return replace(state, playing=response_id, since=now)
        case PlaybackEnded(response_id):
            heard = response_id == state.playing
            return replace(state, playing=None, since=now) if heard else state
        case _:
            return _happened(state, event, now)


def _stopped(state: Quiet, item_id: str, now: float) -> Quiet:
    state = replace(state, speaking=False, since=now)
    if state.manners.now.transcribes:
        return replace(state, untold=state.untold + 1)
    return _answered(state, item_id)


def _answered(state: Quiet, item_id: str) -> Quiet:
    """The caller has said something. The words that led to `wait` may be told after it."""
    over = state.waits is None or item_id != state.before
    return replace(state, asked=0, wanted=False, waits=None if over else state.waits)


def _made(
    state: Quiet, event: ResponseStarted | ResponseEnded | ResponseDropped, now: float
) -> Quiet:
    match event:
        case ResponseStarted(response_id, Purpose.SILENCE):
            return replace(state, active=response_id, since=now, wanted=False)
        case ResponseStarted(response_id):
            return _recalled(replace(state, active=response_id, since=now))
        case ResponseEnded(response_id) if response_id == state.active:
            return replace(state, active=None, since=now)
        case ResponseDropped(Purpose.SILENCE):
            return replace(state, wanted=False)
        case _:
            return state


def _recalled(state: Quiet) -> Quiet:
    """A question that has not been asked yet is not: somebody speaks."""
    return replace(state, wanted=False, asked=state.asked - 1) if state.wanted else state


def _happened(state: Quiet, event: Heeded, now: float) -> Quiet:
    """What becomes of the clock by what happens around the conversation."""
    match event:
        case CallLive() | CallResumed():
            return replace(state, live=True, since=now)
        case CallDropped():
            return _unheard(replace(state, live=False))
        case GreetingOver():
            return replace(state, turned=True, since=now)
        case ToolsBusy(busy):
            return replace(state, busy=busy, since=now)
        case TransferGoing(going):
            return replace(state, going=going, since=now)
        case Hushed(on):
            return replace(state, hushed=on, since=now)
        case WaitBegun():
            return replace(state, waits=now, before=state.speech, since=now)
        case AgentTaken(agent):
            taken = (one for one in state.manners.agents if one.agent == agent)
            return replace(
                state, manners=replace(state.manners, now=next(taken, state.manners.now))
            )
        case LanguageTaken(language):
            return replace(state, manners=replace(state.manners, language=language))
        case _:
            return state


def _unheard(state: Quiet) -> Quiet:
    """Whether anybody has answered is not known any more."""
    return replace(
        state, speaking=False, active=None, playing=None, asked=0, wanted=False, untold=0
    )


def _withdrawn(before: Quiet, after: Quiet) -> tuple[Output, ...]:
    recalled = not after.wanted and after.asked < before.asked
    return (ResponseUnneeded(Purpose.SILENCE),) if recalled else ()


def _armed(state: Quiet, now: float, outputs: tuple[Output, ...]) -> Result:
    """Have a deadline on its way if the clock runs. One in each such time is enough, whatever is
    said in it."""
    due, rule = state.due, state.manners.rule
    if due is None or rule is None or (state.armed is not None and state.armed <= due):
        return state, outputs
    at = max(now, min(due, now + rule.after))
    return replace(state, armed=at), (*outputs, DeadlineWanted(Timer.SILENT, at))


def _time_is_up(state: Quiet, now: float) -> Result:
    due, rule = state.due, state.manners.rule
    if due is None or rule is None:
        return state, ()
    if now < due:
        return _armed(state, now, ())
    if state.untold:
        # Words that have not been told by now are not going to be.
        state = replace(state, untold=0, asked=0)
    asked = state.asked
    state = replace(_unheard(state), since=now, waits=None)
    if asked >= rule.hang_up_after:
        ended = EndWanted(Reason.SILENCE, NOBODY_ANSWERS)
        return _armed(replace(state, asked=asked), now, (ended,))
    question = ResponseWanted(Purpose.SILENCE, state.manners.question, tools=False)
    return _armed(replace(state, asked=asked + 1, wanted=True), now, (question,))
