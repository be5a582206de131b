"""Which agent has the call, and in which language it speaks.

Both are changes of the session, which the provider keeps: after a socket is lost there is nothing
to send again but a change that it may not have got. Voice and model stay what they are. A change
that is refused is taken back, and the model is told.

Each change is a mark with a number, so that whoever takes the call over knows the last of each.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from sipagent.model import AgentName, CallPlan, Happening, Json, Mark, Skills, Tongue
from sipagent.sessions.machine.commands import Inform, Note, RecordStep, UpdateSession
from sipagent.sessions.machine.events import AgentWanted, ProviderFault, SessionUpdated
from sipagent.sessions.machine.outputs import error, output
from sipagent.sessions.machine.signals import (
    AgentAsked,
    AgentTaken,
    CallBegun,
    CallResumed,
    IntentEnded,
    LanguageAsked,
    LanguageTaken,
    Purpose,
    ResponseWanted,
)

MOST_CHANGES: Final = 20
"""Of agents and languages in one call: two agents may hand a call to and fro for ever."""

_REQUEST: Final = "speak-as"
_REFUSED: Final = "speak-as-before"

_NO_LANGUAGE: Final = error("this language cannot be spoken here: go on in the language as it is")
_NO_AGENT: Final = error("there is no such agent: go on with the call yourself")
_ENOUGH: Final = error("this has been changed too often in this call: go on as it is")
_SAME: Final = output({"status": "nothing to change: it is so already"})

NO_AGENT: Final = "this call has no such agent"
SAME_AGENT: Final = "this agent has the call already"
ENOUGH: Final = "agents and languages have been changed too often in this call"

_TAKEN: Final = (
    "The call has been given to you: you are {agent} now. Introduce yourself in one short sentence,"
    " in the language of the conversation, and go on with what the caller wants."
)
_LANGUAGE_REFUSED: Final = (
    "The change of language was refused. Go on in the language of the conversation as it was."
)
_AGENT_REFUSED: Final = (
    "The call could not be given to the other agent: it is still yours. Do not say that somebody"
    " else speaks; go on with what the caller wants."
)


class Cast(Struct, frozen=True):
    """Who may have the call: the agent's name, what it can do, and the change of session that makes
    the model be it. The first answered the call, and has none unless others may hand it back."""

    agent: AgentName
    skills: Skills
    session: Json | None

    def tongue(self, language: str | None) -> Tongue | None:
        return next((one for one in self.skills.tongues if one.language == language), None)


class Spoken(Struct, frozen=True):
    """Who speaks, and the language that was chosen in the call; None where none was."""

    agent: AgentName | None = None
    language: str | None = None


class Change(Struct, frozen=True):
    """The last change: what was asked for, and what was before it. `sure`: it has been taken."""

    request_id: str
    session: Json
    before: Spoken
    sure: bool = False


class Speech(Struct, frozen=True):
    """`cast` are the agents of the plan. `began` is the language that the call began in. `count`
    numbers the changes."""

    cast: tuple[Cast, ...] = ()
    began: str | None = None
    now: Spoken = Spoken()
    change: Change | None = None
    count: int = 0

    def played_by(self, agent: AgentName | None) -> Cast | None:
        return next((one for one in self.cast if one.agent == agent), None)


_ALWAYS_SO: Final = Speech()
"""Of a call that can be given to nobody else, in no other language."""

Heeded = (
    CallBegun
    | CallResumed
    | LanguageAsked
    | AgentAsked
    | AgentWanted
    | SessionUpdated
    | ProviderFault
)
Output = (
    UpdateSession
    | Inform
    | Note
    | RecordStep
    | AgentTaken
    | LanguageTaken
    | IntentEnded
    | ResponseWanted
)
Result = tuple[Speech, tuple[Output, ...]]


def speech(plan: CallPlan, marks: Iterable[str] = ()) -> Speech:
    """The state of a call in which what these marks say has been changed."""
    if plan.agent is None or not (plan.colleagues or plan.skills.tongues):
        return _ALWAYS_SO
    sessions = {one.agent: one.session for one in plan.colleagues}
    first = Cast(plan.agent, plan.skills, sessions.get(plan.agent))
    others = (Cast(one.agent, one.skills, one.session) for one in plan.colleagues)
    count, spoken = _last(marks, Spoken(plan.agent))
    return Speech((first, *others), plan.language, spoken, count=count)


def step(state: Speech, event: Heeded, _: float) -> Result:
    change = state.change
    match event:
        case CallBegun():
            return state, _told(state)
        case LanguageAsked():
            return _speak(state, event)
        case AgentAsked():
            return _hand_over(state, event)
        case AgentWanted(agent=agent) if why_not(state, agent) is None:
            state, changed = _given(state, agent)
            told = Inform(f"agent-{state.count}", _TAKEN.format(agent=agent))
            return state, (*changed, told, ResponseWanted(Purpose.TOOL))
        case ProviderFault() if change is not None and event.request_id == change.request_id:
            return _take_back(replace(state, change=None), change)
        case SessionUpdated() if change is not None and not change.sure:
            return replace(state, change=replace(change, sure=True)), ()
        case CallResumed() if change is not None and not change.sure:
            return state, (UpdateSession(change.request_id, change.session),)
        case _:
            return state, ()


def _told(state: Speech) -> tuple[Output, ...]:
    """What the others have to know of a call that has been taken over."""
    agent, language = state.now.agent, state.now.language
    first = state.cast[0].agent if state.cast else None
    taken = () if agent is None or agent == first else (AgentTaken(agent),)
    return taken if language is None else (*taken, LanguageTaken(language))


def _speak(state: Speech, event: LanguageAsked) -> Result:
    role = state.played_by(state.now.agent)
    tongue = None if role is None else role.tongue(event.language)
    if tongue is None:
        return state, (IntentEnded(event.id, _NO_LANGUAGE, done=False),)
    if event.language == (state.now.language or state.began):
        return state, (IntentEnded(event.id, _SAME),)
    if state.count >= MOST_CHANGES:
        return state, (IntentEnded(event.id, _ENOUGH, done=False),)
    spoken = replace(state.now, language=event.language)
    state, changed = _changed(state, spoken, tongue.session)
    said = {"status": "language set", "language": event.language, "next": "go on in this language"}
    return state, (*changed, IntentEnded(event.id, output(said)))


def why_not(state: Speech, agent: AgentName) -> str | None:
    """Why the call cannot be given to this agent; None if it can."""
    role = state.played_by(agent)
    if role is None or (role.session is None and agent != state.now.agent):
        return NO_AGENT
    if agent == state.now.agent:
        return SAME_AGENT
    return ENOUGH if state.count >= MOST_CHANGES else None


_OUTPUTS: Final = {NO_AGENT: _NO_AGENT, SAME_AGENT: _SAME, ENOUGH: _ENOUGH}


def _hand_over(state: Speech, event: AgentAsked) -> Result:
    why = why_not(state, event.agent)
    if why is not None:
        return state, (IntentEnded(event.id, _OUTPUTS[why], done=why == SAME_AGENT),)
    state, changed = _given(state, event.agent)
    said = {
        "status": "you are this agent now",
        "agent": event.agent,
        "next": "introduce yourself in one short sentence, and go on with what the caller wants",
    }
    return state, (*changed, IntentEnded(event.id, output(said)))


def _given(state: Speech, agent: AgentName) -> Result:
    """Have the model be an agent that can have the call."""
    role = state.played_by(agent)
    assert role is not None
    assert role.session is not None
    tongue = role.tongue(state.now.language)
    session = role.session if tongue is None else _merged(role.session, tongue.session)
    return _changed(state, replace(state.now, agent=agent), session)


def _changed(state: Speech, spoken: Spoken, session: Json) -> Result:
    request_id = f"{_REQUEST}-{state.count}"
    change = Change(request_id, session, state.now)
    state, outputs = _noted(replace(state, change=change), spoken)
    return state, (UpdateSession(request_id, session), *outputs)


def _take_back(state: Speech, change: Change) -> Result:
    told = _AGENT_REFUSED if state.now.agent != change.before.agent else _LANGUAGE_REFUSED
    state, outputs = _noted(state, change.before)
    return state, (*outputs, Inform(_REFUSED, told))


def _noted(state: Speech, spoken: Spoken) -> Result:
    """Have it written down and told what is different now."""
    before, number = state.now, state.count
    outputs: tuple[Output, ...] = ()
    if spoken.agent is not None and spoken.agent != before.agent:
        outputs = (
            Note(f"{Mark.AGENT}:{number}:{spoken.agent}"),
            RecordStep(Happening.AGENT, spoken.agent),
            AgentTaken(spoken.agent),
        )
    if spoken.language != before.language:
        outputs = (
            *outputs,
            Note(f"{Mark.LANGUAGE}:{number}:{spoken.language or ''}"),
            RecordStep(Happening.LANGUAGE, spoken.language or state.began),
            LanguageTaken(spoken.language),
        )
    return replace(state, now=spoken, count=number + 1), outputs


def _last(marks: Iterable[str], spoken: Spoken) -> tuple[int, Spoken]:
    """How many changes these marks tell of, and what they have led to."""
    count = 0
    for number, mark, value in sorted(_numbered(marks)):
        count = number + 1
        if mark == Mark.AGENT:
            spoken = replace(spoken, agent=AgentName(value))
        else:
            spoken = replace(spoken, language=value or None)
    return count, spoken


def _numbered(marks: Iterable[str]) -> Iterable[tuple[int, str, str]]:
    for key in marks:
        mark, _, rest = key.partition(":")
        number, _, value = rest.partition(":")
        if mark in (Mark.AGENT, Mark.LANGUAGE) and number.isdecimal():
            yield int(number), mark, value


def _merged(session: Json, over: Json) -> Json:
    """One change of session that does what both do, the second where they differ."""
    merged: dict[str, Any] = dict(session)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            value = _merged(below, value)
        merged[key] = value
    return merged
