"""The only machine that asks the model to speak.

The provider allows one response at a time. Wishes wait in a queue, one for each purpose, and go
out one by one. Voice detection makes responses of its own, which nobody asked for: while one is
active nothing is sent, and it stands for the reply that may be wanted.
"""

from dataclasses import dataclass, replace
from typing import Final

from sipagent.sessions.machine.commands import CancelResponse, CreateResponse
from sipagent.sessions.machine.events import (
    DeadlineReached,
    FaultKind,
    ProviderFault,
    ResponseCreated,
    ResponseDone,
)
from sipagent.sessions.machine.signals import (
    CallOver,
    DeadlineDropped,
    DeadlineWanted,
    Purpose,
    ResponseDropped,
    ResponseEnded,
    ResponseStarted,
    ResponseWanted,
)

ANSWER_WITHIN: Final = 10.0
"""Seconds for the provider to begin a response that was asked for."""

_DEADLINE: Final = "response"
_SOMEBODY_ELSES: Final = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """A `response.create` that has been sent and not answered yet."""

    request_id: str
    wish: ResponseWanted


@dataclass(frozen=True, slots=True)
class Active:
    """The response that the model is making now. `asked` is ours, None if VAD began it.

    `taken` says that only its coming at the right time makes it ours: it carried no tag.
    """

    response_id: str
    asked: Asked | None = None
    taken: bool = False

    @property
    def purpose(self) -> Purpose | None:
        return self.asked.wish.purpose if self.asked is not None else None


@dataclass(frozen=True, slots=True)
class Responses:
    wishes: tuple[ResponseWanted, ...] = ()
    asked: Asked | None = None
    active: Active | None = None
    count: int = 0


Heeded = (
    ResponseWanted | ResponseCreated | ResponseDone | ProviderFault | DeadlineReached | CallOver
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


def step(state: Responses, event: Heeded, now: float) -> tuple[Responses, tuple[Output, ...]]:
    if isinstance(event, CallOver):
        return Responses(count=state.count), ()
    state, outputs = _take(state, event)
    state, request = _next(state, now)
    return state, (*outputs, *request)


def _take(state: Responses, event: Heeded) -> tuple[Responses, tuple[Output, ...]]:
    match event:
        case ResponseWanted():
            return _wanted(state, event)
        case ResponseCreated():
            return _created(state, event)
        case ResponseDone():
            return _done(state, event)
        case ProviderFault():
            return _refused(state, event)
        case DeadlineReached("response"):
            return _late(state)
        case _:
            return state, ()


def _wanted(state: Responses, wish: ResponseWanted) -> tuple[Responses, tuple[Output, ...]]:
    state = replace(state, wishes=_with(state.wishes, wish))
    active = state.active
    if wish.purpose is Purpose.GOODBYE and active is not None and active.response_id:
        return state, (CancelResponse(active.response_id),)
    return state, ()


def _created(state: Responses, event: ResponseCreated) -> tuple[Responses, tuple[Output, ...]]:
    asked = state.asked
    if asked is not None and event.tag in (None, asked.wish.purpose.tag):
        active = Active(event.response_id, asked, taken=event.tag is None)
        state = replace(state, asked=None, active=active)
        started = ResponseStarted(event.response_id, active.purpose)
        return state, (started, DeadlineDropped(_DEADLINE))
    answered = tuple(wish for wish in state.wishes if wish.purpose is not Purpose.REPLY)
    state = replace(state, active=Active(event.response_id), wishes=answered)
    return state, (ResponseStarted(event.response_id, None),)


def _done(state: Responses, event: ResponseDone) -> tuple[Responses, tuple[Output, ...]]:
    active = state.active
    purpose = None
    if active is not None and active.response_id in (event.response_id, _SOMEBODY_ELSES):
        purpose = active.purpose
        state = replace(state, active=None)
    return state, (ResponseEnded(event.response_id, purpose, event.completed),)


def _refused(state: Responses, fault: ProviderFault) -> tuple[Responses, tuple[Output, ...]]:
    """Make up for a refused request of ours; an error that is not about one changes nothing."""
    asked, active = state.asked, state.active
    outputs: tuple[Output, ...] = ()
    taken = active.asked if active is not None and active.taken else None
    if active is not None and taken is not None and taken.request_id == fault.request_id:
        # The untagged response that came meanwhile was voice detection's, not ours.
        asked = taken
        state = replace(state, active=Active(active.response_id))
        outputs = (ResponseStarted(active.response_id, None),)
    if asked is None or fault.request_id != asked.request_id:
        return state, ()
    state = replace(state, asked=None)
    if fault.kind is not FaultKind.BUSY:
        return state, (*outputs, DeadlineDropped(_DEADLINE), ResponseDropped(asked.wish.purpose))
    if state.active is None:
        # The error overtook nothing: the end of the response that is in the way comes after it.
        state = replace(state, active=Active(_SOMEBODY_ELSES))
    if asked.wish.purpose is not Purpose.REPLY:
        state = replace(state, wishes=_with(state.wishes, asked.wish))
    return state, outputs


def _late(state: Responses) -> tuple[Responses, tuple[Output, ...]]:
    if state.asked is not None:
        return replace(state, asked=None), (ResponseDropped(state.asked.wish.purpose),)
    if state.active is not None and state.active.response_id == _SOMEBODY_ELSES:
        return replace(state, active=None), ()
    return state, ()


def _next(state: Responses, now: float) -> tuple[Responses, tuple[Output, ...]]:
    if state.asked is not None or state.active is not None or not state.wishes:
        return state, ()
    wish, *rest = state.wishes
    asked = Asked(f"response-{state.count}", wish)
    state = Responses(tuple(rest), asked, None, state.count + 1)
    request = CreateResponse(asked.request_id, wish.purpose.tag, wish.instructions)
    return state, (request, DeadlineWanted(_DEADLINE, now + ANSWER_WITHIN))


def _with(wishes: tuple[ResponseWanted, ...], wish: ResponseWanted) -> tuple[ResponseWanted, ...]:
    others = tuple(one for one in wishes if one.purpose is not wish.purpose)
    return tuple(sorted((*others, wish), key=lambda one: one.purpose))
