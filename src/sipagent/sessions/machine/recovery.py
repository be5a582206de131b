"""When the model fails: what is tried, in the order of the plan.

An answer is due when the caller's turn is over and voice detection answers turns, or when a reply
is asked for; the model has failed if nothing of it is heard in time, if the response fails, or if
the request is refused. Each failure takes the next step: ask again, send the caller to the tenant's
fallback, hang up. What is heard of an answer leads back to the first step.

A caller who goes on speaking is not answered yet, and no answer is due before the greeting is over,
while the socket is lost, or once the call is ending.
"""

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from sipagent.model import CallPlan, FailureStep, Fallback, Happening, Reason
from sipagent.sessions.machine.commands import RecordStep
from sipagent.sessions.machine.events import (
    AudioStarted,
    CallerCommitted,
    CallerStarted,
    DeadlineReached,
    ResponseDone,
    Timer,
)
from sipagent.sessions.machine.signals import (
    CallDropped,
    CallLive,
    CallResumed,
    DeadlineWanted,
    EndWanted,
    FallbackWanted,
    GreetingOver,
    Hushed,
    ModelFailed,
    Parting,
    Purpose,
    ResponseDropped,
    ResponseOverdue,
    ResponseWanted,
    TransferGoing,
)

ANSWER_WITHIN: Final = 8.0
"""Seconds from the end of the caller's turn to the first sound of the answer."""


class Recourse(Struct, frozen=True):
    """What is tried, and where the caller is sent. `answers`: voice detection answers turns."""

    steps: tuple[FailureStep, ...] = ()
    fallback: Fallback | None = None
    answers: bool = False


class Recovery(Struct, frozen=True):
    """`tried` counts the steps that have been taken since the model was heard last. `due` is when
    an answer must have come. `armed`: a deadline is on its way, which may come before `due` and is
    put off then: most answers come in time, and a deadline for each would be dropped again.

    `live`: the socket is attached. `turned`: the caller has the turn. `held`: nothing is tried for
    now, because the caller is being sent to somebody; `hushed`: because the agent is to say
    nothing. `given_up`: nothing more is tried.
    """

    recourse: Recourse = Recourse()
    tried: int = 0
    due: float | None = None
    armed: bool = False
    speaking: bool = False
    live: bool = False
    turned: bool = False
    held: bool = False
    hushed: bool = False
    given_up: bool = False


Heeded = (
    CallLive
    | CallDropped
    | CallResumed
    | GreetingOver
    | CallerStarted
    | CallerCommitted
    | ResponseWanted
    | ResponseDropped
    | ResponseDone
    | AudioStarted
    | ModelFailed
    | DeadlineReached
    | TransferGoing
    | Hushed
    | Parting
)
Output = RecordStep | ResponseWanted | ResponseOverdue | FallbackWanted | EndWanted | DeadlineWanted
Result = tuple[Recovery, tuple[Output, ...]]


def recovery(plan: CallPlan) -> Recovery:
    """The state of a call whose model has not failed."""
    if plan.refer_to is not None:
        return Recovery(given_up=True)
    detection = plan.session["audio"]["input"]["turn_detection"]
    answers = detection is not None and bool(detection.get("create_response", True))
    return Recovery(Recourse(plan.on_failure, plan.fallback, answers))


def step(state: Recovery, event: Heeded, now: float) -> Result:
    if state.given_up:
        return state, ()
    match event:
        case AudioStarted() | ResponseDone(completed=True):
            # One that says nothing is an answer too: to noise there is nothing to say.
            return _answered(state), ()
        case CallerStarted():
            return replace(state, due=None, speaking=True), ()
        case CallerCommitted() if state.recourse.answers and state.turned:
            return _expect(state, now)
        case CallerCommitted():
            return replace(state, speaking=False), ()
        case ResponseWanted(Purpose.REPLY | Purpose.TOOL):
            return _expect(state, now)
        case Hushed(on, owed):
            state = replace(state, hushed=on, due=None)
            return _expect(state, now) if owed else (state, ())
        case DeadlineReached(Timer.ANSWER_DUE):
            return _time_is_up(replace(state, armed=False), now)
        case _:
            return _failures(state, event)


def _failures(state: Recovery, event: Heeded) -> Result:
    """Take the next step if this event says that the model has failed, or what else it says."""
    match event:
        case ResponseDone(failed=True, error_code=code) if state.turned and not state.speaking:
            return _fail(state, f"response failed: {code}" if code else "response failed")
        case ResponseDropped(Purpose.REPLY | Purpose.TOOL, late=False) if state.due is not None:
            return _fail(state, "response refused")
        case ModelFailed(detail):
            return _fail(state, detail)
        case CallLive() | CallResumed():
            return replace(state, live=True), ()
        case GreetingOver():
            return replace(state, turned=True), ()
        case CallDropped():
            return replace(state, live=False, speaking=False, due=None), ()
        case TransferGoing(going):
            return replace(state, held=going, due=None), ()
        case Parting():
            return replace(state, given_up=True), ()
        case _:
            return state, ()


def _answered(state: Recovery) -> Recovery:
    if not state.tried and state.due is None:
        return state
    return replace(state, tried=0, due=None)


def _expect(state: Recovery, now: float) -> Result:
    if not state.live or state.held or state.hushed:
        return replace(state, speaking=False), ()
    due = now + ANSWER_WITHIN
    wanted = () if state.armed else (DeadlineWanted(Timer.ANSWER_DUE, due),)
    return replace(state, due=due, armed=True, speaking=False), wanted


def _time_is_up(state: Recovery, now: float) -> Result:
    if state.due is None:
        return state, ()
    if now < state.due:
        return replace(state, armed=True), (DeadlineWanted(Timer.ANSWER_DUE, state.due),)
    state, outputs = _fail(state, f"no answer in {ANSWER_WITHIN:g} s")
    return state, outputs if state.given_up else (ResponseOverdue(), *outputs)


def _fail(state: Recovery, detail: str) -> Result:
    """Take the next step that can be taken. Without a socket nothing can be asked again."""
    if state.held or state.hushed:
        return replace(state, due=None), ()
    recourse = state.recourse
    for tried, following in enumerate(recourse.steps[state.tried :], state.tried + 1):
        match following:
            case FailureStep.RETRY if state.live:
                asked = (RecordStep(Happening.RETRIED, detail), ResponseWanted(Purpose.REPLY))
                return replace(state, tried=tried, due=None), asked
            case FailureStep.FALLBACK if recourse.fallback is not None:
                sent = FallbackWanted(recourse.fallback.refer_to, detail)
                return replace(state, given_up=True), (
                    RecordStep(Happening.FELL_BACK, detail),
                    sent,
                )
            case FailureStep.HANG_UP:
                return _hang_up(state, detail)
            case _:
                pass
    if not state.live:
        return _hang_up(state, detail)
    # The plan knows nothing more: the caller, who may speak again, is left on the line.
    return replace(state, tried=len(recourse.steps), due=None), ()


def _hang_up(state: Recovery, detail: str) -> Result:
    return replace(state, given_up=True), (EndWanted(Reason.PROVIDER_ERROR, None, detail),)
