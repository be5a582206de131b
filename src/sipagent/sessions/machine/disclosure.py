"""Whether what must be said at the beginning has been said: recorded once for each call.

The first words are asked for word by word, and a model may still say others. So what it has put out
is compared with what it had to say, and it counts only if the caller has heard it to its end.
"""

from difflib import SequenceMatcher
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from sipagent.model import CallPlan, Happening, Mark
from sipagent.sessions.machine.commands import Note, RecordStep
from sipagent.sessions.machine.events import AgentTextDone
from sipagent.sessions.machine.signals import (
    CallLive,
    CallOver,
    CallResumed,
    GreetingOver,
    Heard,
    PlaybackEnded,
    Purpose,
    ResponseStarted,
)

ALIKE: Final = 0.8
"""How much of two texts has to be the same. Transcripts differ in spelling: "okay", "OK"."""

_COMPARED: Final = 500
"""Letters that are compared at most: the time for it grows with their square, and is 5 ms here."""

_KEPT: Final = 4 * _COMPARED


class Disclosure(Struct, frozen=True):
    """`words` are what has to be said. `live`: the call has come so far that it should be.
    `response_id` is the greeting's, `said` what it has put out. `over`: it is recorded, or nothing
    is to be said."""

    words: str = ""
    live: bool = False
    response_id: str | None = None
    said: str = ""
    over: bool = False


Heeded = (
    CallLive
    | CallResumed
    | ResponseStarted
    | AgentTextDone
    | PlaybackEnded
    | GreetingOver
    | CallOver
)
Output = RecordStep | Note
Result = tuple[Disclosure, tuple[Output, ...]]


def disclosure(plan: CallPlan) -> Disclosure:
    """The state of a call in which nothing has been said yet."""
    if plan.disclosure is None or plan.greeting is None or plan.refer_to is not None:
        return Disclosure(over=True)
    return Disclosure(plan.disclosure)


def step(state: Disclosure, event: Heeded, _: float) -> Result:
    if state.over:
        return state, ()
    match event:
        case CallLive() | CallResumed():
            return replace(state, live=True), ()
        case ResponseStarted(response_id, Purpose.GREETING):
            return replace(state, response_id=response_id), ()
        case ResponseStarted(response_id) if response_id == state.response_id:
            # It was voice detection's: the greeting is still to come.
            return replace(state, response_id=None, said=""), ()
        case AgentTextDone(response_id, _, text) if response_id == state.response_id:
            return replace(state, said=f"{state.said} {text}"[:_KEPT]), ()
        case PlaybackEnded(response_id, _, heard) if response_id == state.response_id:
            return _heard(state, heard)
        case GreetingOver() if state.response_id is None:
            return _missing("nothing was said")
        case CallOver() if state.live:
            return _missing("the call ended before")
        case _:
            return state, ()


def _heard(state: Disclosure, heard: Heard) -> Result:
    if heard is not Heard.ALL:
        return _missing(f"heard: {heard}")
    alike = similarity(state.words, state.said)
    if alike < ALIKE:
        return _missing(f"similarity {alike:.2f}")
    return Disclosure(over=True), _recorded(Happening.DISCLOSED, f"similarity {alike:.2f}")


def _missing(detail: str) -> Result:
    return Disclosure(over=True), _recorded(Happening.NOT_DISCLOSED, detail)


def _recorded(what: Happening, detail: str) -> tuple[Output, ...]:
    return RecordStep(what, detail), Note(Mark.DISCLOSURE)


def similarity(words: str, said: str) -> float:
    """How much of the words is what was said first, from 0 to 1. Only letters and digits count."""
    due = _letters(words)[:_COMPARED]
    first = _letters(said)[: len(due)]
    if due == first:
        return 1.0
    return SequenceMatcher(None, due, first, autojunk=False).ratio()


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))
