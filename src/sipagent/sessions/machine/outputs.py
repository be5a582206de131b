"""What tools have come to, on its way to the model.

An output is sent as soon as it is there. The model is asked once to speak of what it has got,
unless voice detection makes a response that knows all of it: whether it does shows in the order in
which the provider tells of outputs and responses. Outputs of which the provider has told nothing
when a socket is lost are sent again: each has an item id of its own, so that it is there once.
"""

from hashlib import sha256
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from sipagent.model import Mark, ToolName, is_call_id
from sipagent.sessions.machine.commands import RecordTool, SendOutput
from sipagent.sessions.machine.events import OutputAdded
from sipagent.sessions.machine.signals import (
    AnswerDue,
    CallDropped,
    CallLive,
    CallOver,
    CallResumed,
    HangingUp,
    OutputReady,
    Parting,
    Purpose,
    ResponseDropped,
    ResponseStarted,
    ResponseUnneeded,
    ResponseWanted,
)

LONGEST: Final = 16 * 1024
"""Characters of an output."""

_UNCONFIRMED: Final = 64
_DIGITS: Final = 24

UNKNOWN: Final = (
    "It is not known what came of this: the connection was lost while it ran, and it may have been"
    " done. Do not try it again; say so if it matters."
)

UNDONE: Final = (
    "This has not been done: the connection was lost before. Try it again if it is still wanted."
)


class Presumed(Struct, frozen=True):
    """The response that was taken for the answer that was asked for, which may turn out to be voice
    detection's own. `knows`: it has begun after all that was sent till then."""

    response_id: str
    knows: bool


class Outputs(Struct, frozen=True):
    """`unconfirmed` are outputs of which the provider has told nothing yet. `due`: the model is to
    speak of some; `asked` says that the request is on its way or waits for its turn. `orphans` are
    calls of tools that began under an owner before, `undone` those that did not come to begin.
    `presumed` is the response that was taken for the answer last."""

    unconfirmed: tuple[SendOutput, ...] = ()
    due: bool = False
    asked: bool = False
    live: bool = False
    parting: bool = False
    orphans: tuple[str, ...] = ()
    undone: tuple[str, ...] = ()
    presumed: Presumed | None = None


Heeded = (
    OutputReady
    | OutputAdded
    | AnswerDue
    | ResponseStarted
    | ResponseDropped
    | CallLive
    | CallDropped
    | CallResumed
    | CallOver
    | Parting
    | HangingUp
)
Output = SendOutput | RecordTool | ResponseWanted | ResponseUnneeded
Result = tuple[Outputs, tuple[Output, ...]]


def error(words: str, **more: str) -> str:
    """An output that says what went wrong."""
    return output({"error": words, **more})


def output(value: object) -> str:
    """A value as a tool's output: JSON of at most LONGEST characters."""
    return msgspec.json.encode(value).decode()[:LONGEST]


def key_of(call_id: str) -> str:
    """A tool call's id as it may stand in a mark."""
    return (
        call_id if is_call_id(call_id) else sha256(call_id.encode("utf-8", "replace")).hexdigest()
    )


def begun_mark(call_id: str, name: ToolName) -> str:
    """What is written down before a tool begins: which call of which tool it was."""
    return f"{Mark.TOOL}:{key_of(call_id)}:{name}"


def parted(mark: str) -> tuple[str, str, str]:
    """The kind of a tool call's mark, the call's id, and the tool's name if it has it."""
    kind, _, rest = mark.partition(":")
    call_id, _, name = rest.partition(":")
    return kind, call_id, name


def step(state: Outputs, event: Heeded, _: float) -> Result:
    match event:
        case OutputReady(call_id, text, use):
            state, sent = _send(state, call_id, text)
            # The model waits for it, the records do not.
            return state, (*sent, RecordTool(use))
        case OutputAdded(call_id):
            left = tuple(one for one in state.unconfirmed if one.id != call_id)
            return replace(state, unconfirmed=left), ()
        case AnswerDue():
            return _ask(replace(state, due=True, asked=False))
        case ResponseStarted():
            return _started(state, event)
        case ResponseDropped(Purpose.TOOL):
            return replace(state, due=False, asked=False), ()
        case _:
            return _course(state, event)


def _started(state: Outputs, event: ResponseStarted) -> Result:
    if event.purpose is Purpose.TOOL:
        presumed = Presumed(event.response_id, not state.unconfirmed)
        return replace(state, due=False, asked=False, presumed=presumed), ()
    if event.purpose is not None:
        return state, ()
    knows, before = not state.unconfirmed, state.presumed
    if before is not None and event.response_id == before.response_id:
        # So the request is still to be answered, and `responses` has it.
        knows = before.knows and not state.due
        state = replace(state, due=True, asked=True, presumed=None)
    if not state.due or not knows:
        return state, ()
    return replace(state, due=False, asked=False), (ResponseUnneeded(Purpose.TOOL),)


def _course(state: Outputs, event: Heeded) -> Result:
    """What the call's own course means for what is on its way."""
    match event:
        case CallLive():
            return replace(state, live=True), ()
        case CallResumed():
            return _resumed(state)
        case CallDropped():
            return replace(state, live=False, asked=False), ()
        case Parting() | HangingUp():
            return replace(state, parting=True, due=False), ()
        case CallOver():
            return Outputs(parting=True), ()
        case _:
            return state, ()


def _send(state: Outputs, call_id: str, text: str) -> Result:
    if state.parting:
        return state, ()
    sent = SendOutput(call_id, _item_id(call_id), text[:LONGEST], f"{Mark.TOLD}:{key_of(call_id)}")
    state = replace(state, unconfirmed=(*state.unconfirmed, sent)[-_UNCONFIRMED:])
    return state, (sent,) * state.live


def _ask(state: Outputs) -> Result:
    if not state.due or state.asked or not state.live or state.parting:
        return state, ()
    return replace(state, asked=True), (ResponseWanted(Purpose.TOOL),)


def _resumed(state: Outputs) -> Result:
    """Send what may not have arrived. Of what began under another owner nobody knows the end."""
    state = replace(state, live=True)
    again: tuple[Output, ...] = state.unconfirmed
    if (state.orphans or state.undone) and not state.parting:
        told = [(one, error(UNKNOWN, status="unknown")) for one in state.orphans]
        told += [(one, error(UNDONE)) for one in state.undone]
        state = replace(state, orphans=(), undone=(), due=True)
        for orphan, words in told:
            state, sent = _send(state, orphan, words)
            again = (*again, *sent)
    state, asked = _ask(state)
    return state, (*again, *asked)


def _item_id(call_id: str) -> str:
    """The same for each output of this call. Ids of items have at most 32 characters."""
    return "out_" + sha256(call_id.encode("utf-8", "replace")).hexdigest()[:_DIGITS]
