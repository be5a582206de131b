"""The only machine that asks the model to speak.

The provider allows one response at a time. Wishes wait in a queue, one for each purpose, and go
out one by one. Voice detection makes responses of its own, which nobody asked for: while one is
active nothing is sent, and it stands for the reply that may be wanted.
"""

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from sipagent.model import CallPlan, Mark
from sipagent.sessions.machine.commands import CancelResponse, CreateResponse
from sipagent.sessions.machine.events import (
    AudioStopped,
    DeadlineReached,
    FaultKind,
    ProviderFault,
    ResponseCreated,
    ResponseDone,
    Timer,
)
from sipagent.sessions.machine.signals import (
    CallDropped,
    CallOver,
    CallResumed,
    DeadlineDropped,
    DeadlineWanted,
    Hushed,
    Parting,
    Purpose,
    ResponseDropped,
    ResponseEnded,
    ResponseOverdue,
    ResponseStarted,
    ResponseUnneeded,
    ResponseWanted,
)

ANSWER_WITHIN: Final = 10.0
"""Seconds for the provider to begin a response that was asked for."""

_SOMEBODY_ELSES: Final = ""

_ANSWERS: Final = (Purpose.REPLY, Purpose.FILLER, Purpose.SILENCE)
"""What any other response makes needless."""

_KEPT: Final = (Purpose.TOOL, Purpose.DICTATION, Purpose.REPLY)
"""What is still wanted when the agent may speak again."""


class Asked(Struct, frozen=True):
    """A `response.create` that has been sent and not answered yet. `needless`: if it is refused it
    is not sent again."""

    request_id: str
    wish: ResponseWanted
    needless: bool = False


class Active(Struct, frozen=True):
    """The response that the model is making now. `asked` is ours, None if VAD began it."""

    response_id: str
    asked: Asked | None = None

    @property
    def purpose(self) -> Purpose | None:
        return self.asked.wish.purpose if self.asked is not None else None


class Responses(Struct, frozen=True):
    """`taken` is a response without a tag that counts as ours because it came when ours was due.
    `greeted`: the greeting has been asked for, and marked. `parting`: nothing but a goodbye is to
    be said any more; `hushed`: for now. `mute`: there is no socket to ask by, and what came of an
    earlier request is not told. `armed`: there are tools, which a response may have to do without.
    `tagless`: the provider gives no tags back."""

    wishes: tuple[ResponseWanted, ...] = ()
    asked: Asked | None = None
    active: Active | None = None
    taken: Active | None = None
    greeted: bool = False
    parting: bool = False
    hushed: bool = False
    mute: bool = False
    armed: bool = False
    tagless: bool = False
    count: int = 0


Heeded = (
    ResponseWanted
    | ResponseUnneeded
    | ResponseOverdue
    | ResponseCreated
    | ResponseDone
    | AudioStopped
    | ProviderFault
    | DeadlineReached
    | Parting
    | Hushed
    | CallDropped
    | CallResumed
    | CallOver
)
Output = (
    CreateResponse
    | CancelResponse
    | ResponseStarted
    | ResponseEnded
    | ResponseDropped
    | DeadlineWanted
    | DeadlineDropped
)


def responses(plan: CallPlan) -> Responses:
    """The state of a call in which nothing has been asked for."""
    armed = bool(plan.skills.tools or plan.skills.servers)
    armed = armed or any(one.skills.tools or one.skills.servers for one in plan.colleagues)
    return Responses(armed=armed)


def step(state: Responses, event: Heeded, now: float) -> tuple[Responses, tuple[Output, ...]]:
    if isinstance(event, CallOver):
        return Responses(armed=state.armed, count=state.count), ()
    if isinstance(event, CallDropped):
        return _dropped(state)
    if isinstance(event, ResponseOverdue):
        return state, _cancel(state.active)
    if isinstance(event, ResponseUnneeded):
        return _unneeded(state, event.purpose), ()
    state, outputs = _take(state, event)
    state, request = _next(state, now)
    return state, (*outputs, *request)


def _take(state: Responses, event: Heeded) -> tuple[Responses, tuple[Output, ...]]:
    match event:
        case ResponseWanted():
            return _wished(state, event)
        case Parting() | Hushed():
            return _silenced(state, event)
        case CallResumed():
            return replace(state, mute=False), ()
        case ResponseCreated():
            return _created(state, event)
        case ResponseDone(response_id, completed):
            return _done(state, response_id, completed=completed)
        case AudioStopped(response_id):
            # Comes after the response's end, which must have been lost if it is still awaited.
            ended = state.active is not None and state.active.response_id == response_id
            return _done(state, response_id, completed=True) if ended else (state, ())
        case ProviderFault(FaultKind.IDLE) if state.active is not None:
            return _done(state, state.active.response_id, completed=True)
        case ProviderFault():
            return _refused(state, event)
        case DeadlineReached(Timer.RESPONSE_BEGUN):
            return _late(state)
        case _:
            return state, ()


def _wished(state: Responses, wish: ResponseWanted) -> tuple[Responses, tuple[Output, ...]]:
    if state.hushed and wish.purpose not in _KEPT:
        return state, (ResponseDropped(wish.purpose),)
    if state.parting and wish.purpose is not Purpose.GOODBYE:
        return state, ()
    return replace(state, wishes=_with(state.wishes, wish)), ()


def _silenced(state: Responses, event: Parting | Hushed) -> tuple[Responses, tuple[Output, ...]]:
    """What is said now is cut off; where that is for a while, what is wanted waits, and what would
    be too late then is dropped."""
    if isinstance(event, Parting):
        return replace(state, wishes=(), parting=True, hushed=False), _cancel(state.active)
    if not event.on:
        reply = ResponseWanted(Purpose.REPLY)
        wishes = _with(state.wishes, reply) if event.owed else state.wishes
        return replace(state, wishes=wishes, hushed=False), ()
    kept = tuple(one for one in state.wishes if one.purpose in _KEPT)
    dropped = (ResponseDropped(one.purpose) for one in state.wishes if one.purpose not in _KEPT)
    state = replace(state, wishes=kept, hushed=True)
    return state, (*_cancel(state.active), *dropped)


def _unneeded(state: Responses, purpose: Purpose) -> Responses:
    asked = state.asked
    if asked is not None and asked.wish.purpose is purpose:
        state = replace(state, asked=replace(asked, needless=True))
    return replace(state, wishes=_without(state.wishes, purpose))


def _dropped(state: Responses) -> tuple[Responses, tuple[Output, ...]]:
    """Forget what was going on. Only a goodbye is asked for again: a second greeting or reply would
    be heard twice."""
    asked = state.asked or (None if state.active is None else state.active.asked)
    wishes = tuple(wish for wish in state.wishes if wish.purpose is Purpose.GOODBYE)
    if asked is not None and asked.wish.purpose is Purpose.GOODBYE:
        wishes = (asked.wish,)
    state = replace(state, wishes=wishes, asked=None, active=None, taken=None, mute=True)
    return state, (DeadlineDropped(Timer.RESPONSE_BEGUN),)


def _created(state: Responses, event: ResponseCreated) -> tuple[Responses, tuple[Output, ...]]:
    asked, taken = state.asked, state.taken
    if asked is not None and event.tag is None and asked.wish.purpose is Purpose.GREETING:
        # Voice detection makes none while a greeting is due.
        state = replace(state, tagless=True)
    if asked is not None and (
        event.tag == asked.wish.purpose.tag or (event.tag is None and state.tagless)
    ):
        active = Active(event.response_id, asked)
        state = replace(
            state, asked=None, active=active, taken=active if event.tag is None else None
        )
        started = ResponseStarted(event.response_id, active.purpose)
        outputs: tuple[Output, ...] = (started, DeadlineDropped(Timer.RESPONSE_BEGUN))
    elif (
        taken is not None and taken.asked is not None and event.tag == taken.asked.wish.purpose.tag
    ):
        # So that one was voice detection's, and here is ours.
        active = Active(event.response_id, taken.asked)
        state = replace(state, active=active, taken=None)
        outputs = (
            ResponseStarted(taken.response_id, None),
            ResponseStarted(event.response_id, active.purpose),
        )
    else:
        answered = _without(state.wishes, *_ANSWERS)
        state = replace(state, active=Active(event.response_id), wishes=answered)
        outputs = (ResponseStarted(event.response_id, None),)
    bidden = not (state.parting or state.hushed)
    if not bidden and state.active is not None and state.active.purpose is not Purpose.GOODBYE:
        outputs = (*outputs, *_cancel(state.active))
    return state, outputs


def _cancel(active: Active | None) -> tuple[CancelResponse, ...]:
    return (CancelResponse(active.response_id),) if active and active.response_id else ()


def _done(
    state: Responses, response_id: str, *, completed: bool
) -> tuple[Responses, tuple[Output, ...]]:
    active = state.active
    purpose = None
    if active is not None and active.response_id in (response_id, _SOMEBODY_ELSES):
        purpose = active.purpose
        state = replace(state, active=None)
    return state, (ResponseEnded(response_id, purpose, completed),)


def _refused(state: Responses, fault: ProviderFault) -> tuple[Responses, tuple[Output, ...]]:
    """Make up for a refused request of ours; an error that is not about one changes nothing."""
    asked, taken = state.asked, state.taken
    outputs: tuple[Output, ...] = ()
    if taken is not None and taken.asked is not None and taken.asked.request_id == fault.request_id:
        # The untagged response that came meanwhile was voice detection's, not ours.
        asked = taken.asked
        active = Active(taken.response_id) if state.active == taken else state.active
        state = replace(state, active=active, taken=None)
        outputs = (ResponseStarted(taken.response_id, None),)
    if asked is None or fault.request_id != asked.request_id:
        return state, ()
    state = replace(state, asked=None)
    if fault.kind is not FaultKind.BUSY:
        dropped = ResponseDropped(asked.wish.purpose)
        return state, (*outputs, DeadlineDropped(Timer.RESPONSE_BEGUN), dropped)
    if state.active is None and not outputs:
        # The error overtook nothing: the end of the response that is in the way comes after it.
        state = replace(state, active=Active(_SOMEBODY_ELSES))
    if asked.wish.purpose in _ANSWERS or asked.needless:
        return state, outputs
    state, told = _wished(state, asked.wish)
    return state, (*outputs, *told)


def _late(state: Responses) -> tuple[Responses, tuple[Output, ...]]:
    if state.asked is not None:
        return replace(state, asked=None), (ResponseDropped(state.asked.wish.purpose, late=True),)
    if state.active is not None and state.active.response_id == _SOMEBODY_ELSES:
        return replace(state, active=None), ()
    return state, ()


def _next(state: Responses, now: float) -> tuple[Responses, tuple[Output, ...]]:
    if state.asked is not None or state.active is not None or not state.wishes:
        return state, ()
    if state.mute or state.hushed:
        return state, ()
    wish, *rest = state.wishes
    if wish.purpose in (Purpose.TOOL, *_ANSWERS):
        # One response answers the caller and speaks of what the tools have found.
        rest = [one for one in rest if one.purpose not in _ANSWERS]
    asked = Asked(f"response-{state.count}", wish)
    state = replace(state, wishes=tuple(rest), asked=asked, taken=None, count=state.count + 1)
    # A greeting that was refused because the model was busy has not been asked for yet.
    mark = Mark.GREETING if wish.purpose is Purpose.GREETING and not state.greeted else None
    state = replace(state, greeted=state.greeted or mark is not None)
    tools = wish.tools or not state.armed
    request = CreateResponse(asked.request_id, wish.purpose.tag, wish.instructions, mark, tools)
    return state, (request, DeadlineWanted(Timer.RESPONSE_BEGUN, now + ANSWER_WITHIN))


def _without(wishes: tuple[ResponseWanted, ...], *purposes: Purpose) -> tuple[ResponseWanted, ...]:
    return tuple(one for one in wishes if one.purpose not in purposes)


def _with(wishes: tuple[ResponseWanted, ...], wish: ResponseWanted) -> tuple[ResponseWanted, ...]:
    others = _without(wishes, wish.purpose)
    return tuple(sorted((*others, wish), key=lambda one: one.purpose))
