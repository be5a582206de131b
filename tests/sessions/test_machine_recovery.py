"""What is tried when the model fails."""

import dataclasses
from typing import Any

import pytest
from msgspec.structs import replace

from sipagent.model import (
    CallPlan,
    DestinationName,
    FailureStep,
    Fallback,
    Happening,
    Reason,
)
from sipagent.sessions.machine import recovery
from sipagent.sessions.machine.commands import (
    Attach,
    CancelResponse,
    CreateResponse,
    Finish,
    HangUp,
    RecordStep,
    Refer,
)
from sipagent.sessions.machine.events import (
    AcceptAnswered,
    Answer,
    AudioCleared,
    AudioStarted,
    AudioStopped,
    CallerCommitted,
    CallerStarted,
    DeadlineReached,
    EndRequested,
    FaultKind,
    HangUpAnswered,
    Probed,
    ProviderFault,
    Referred,
    ResponseCreated,
    ResponseDone,
    SessionUpdated,
    SocketClosed,
    SocketOpened,
    SocketRefused,
    Timer,
)
from sipagent.sessions.machine.recovery import ANSWER_WITHIN, Recourse, Recovery
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
)
from sipagent.testing import Playbook, Some, a_forward, a_plan, a_profile

TARGET = "tel:+17135550100"
FALLBACK = Fallback(DestinationName("front_desk"), TARGET)
RETRY, FALL_BACK, HANG_UP = FailureStep
LATE = "no answer in 8 s"

AGAIN = ResponseWanted(Purpose.REPLY)
ON = Recovery(Recourse((RETRY, FALL_BACK, HANG_UP), FALLBACK, True), live=True, turned=True)
DUE = replace(ON, due=9.0, armed=True)
FAILED = ResponseDone("r1", completed=False, error_code="server_error", failed=True)
NOW = 5.0
ARMED = DeadlineWanted(Timer.ANSWER_DUE, NOW + ANSWER_WITHIN)
WAITING = replace(ON, due=NOW + ANSWER_WITHIN, armed=True)
HUSHED = replace(ON, hushed=True)

STEPS: dict[str, tuple[Recovery, recovery.Heeded, Recovery, tuple[object, ...]]] = {
    "a turn is over": (ON, CallerCommitted("c1"), WAITING, (ARMED,)),
    "a reply is asked for": (ON, AGAIN, WAITING, (ARMED,)),
    "a greeting is asked for": (ON, ResponseWanted(Purpose.GREETING), ON, ()),
    "a turn is over before the greeting is": (
        replace(ON, turned=False),
        CallerCommitted("c1"),
        replace(ON, turned=False),
        (),
    ),
    "a turn that voice detection does not answer": (
        replace(ON, recourse=Recourse()),
        CallerCommitted("c1"),
        replace(ON, recourse=Recourse()),
        (),
    ),
    "a turn is over while the socket is lost": (
        replace(ON, live=False),
        CallerCommitted("c1"),
        replace(ON, live=False),
        (),
    ),
    "the agent is to say nothing": (DUE, Hushed(on=True), replace(HUSHED, armed=True), ()),
    "a turn is over meanwhile": (HUSHED, CallerCommitted("c1"), HUSHED, ()),
    "a response fails meanwhile": (HUSHED, FAILED, HUSHED, ()),
    "the agent may speak again": (HUSHED, Hushed(on=False), ON, ()),
    "the agent owes an answer": (HUSHED, Hushed(on=False, owed=True), WAITING, (ARMED,)),
    "a second turn while a deadline is on its way": (
        DUE,
        CallerCommitted("c2"),
        replace(DUE, due=13.0),
        (),
    ),
    "the caller goes on": (
        DUE,
        CallerStarted("c2"),
        replace(DUE, due=None, speaking=True),
        (),
    ),
    "a sound": (replace(DUE, tried=1), AudioStarted("r1"), replace(DUE, due=None), ()),
    "an answer without a sound": (
        replace(DUE, tried=1),
        ResponseDone("r1", completed=True),
        replace(DUE, due=None),
        (),
    ),
    "an answer that nobody waits for": (ON, AudioStarted("r1"), ON, ()),
    "an answer that is cut short": (DUE, ResponseDone("r1", completed=False), DUE, ()),
    "a time that nobody waits for": (
        replace(ON, armed=True),
        DeadlineReached(Timer.ANSWER_DUE),
        ON,
        (),
    ),
    "a time of an earlier turn": (
        DUE,
        DeadlineReached(Timer.ANSWER_DUE),
        DUE,
        (DeadlineWanted(Timer.ANSWER_DUE, 9.0),),
    ),
    "time is up": (
        replace(DUE, due=NOW),
        DeadlineReached(Timer.ANSWER_DUE),
        replace(ON, tried=1),
        (ResponseOverdue(), RecordStep(Happening.RETRIED, LATE), AGAIN),
    ),
    "another time": (DUE, DeadlineReached(Timer.TIME_OVER), DUE, ()),
    "a response fails": (
        DUE,
        FAILED,
        replace(DUE, due=None, tried=1),
        (RecordStep(Happening.RETRIED, "response failed: server_error"), AGAIN),
    ),
    "a response fails without a word": (
        DUE,
        replace(FAILED, error_code=None),
        replace(DUE, due=None, tried=1),
        (RecordStep(Happening.RETRIED, "response failed"), AGAIN),
    ),
    "a response fails while the caller speaks": (
        replace(ON, speaking=True),
        FAILED,
        replace(ON, speaking=True),
        (),
    ),
    "the greeting fails": (replace(ON, turned=False), FAILED, replace(ON, turned=False), ()),
    "a reply is refused": (
        DUE,
        ResponseDropped(Purpose.REPLY),
        replace(DUE, due=None, tried=1),
        (RecordStep(Happening.RETRIED, "response refused"), AGAIN),
    ),
    "a reply is never begun, which its own time tells": (
        DUE,
        ResponseDropped(Purpose.REPLY, late=True),
        DUE,
        (),
    ),
    "a reply that nobody waits for is refused": (ON, ResponseDropped(Purpose.REPLY), ON, ()),
    "a goodbye is refused": (DUE, ResponseDropped(Purpose.GOODBYE), DUE, ()),
    "a second failure": (
        replace(ON, tried=1),
        ModelFailed("why"),
        replace(ON, tried=1, given_up=True),
        (RecordStep(Happening.FELL_BACK, "why"), FallbackWanted(TARGET, "why")),
    ),
    "a third failure": (
        replace(ON, tried=2),
        ModelFailed("why"),
        replace(ON, tried=2, given_up=True),
        (EndWanted(Reason.PROVIDER_ERROR, None, "why"),),
    ),
    "a failure that the plan does not know": (
        replace(DUE, tried=3),
        ModelFailed("why"),
        replace(DUE, due=None, tried=3),
        (),
    ),
    "a failure without a socket": (
        replace(ON, live=False),
        ModelFailed("why"),
        replace(ON, live=False, given_up=True),
        (RecordStep(Happening.FELL_BACK, "why"), FallbackWanted(TARGET, "why")),
    ),
    "a failure without a socket that the plan does not know": (
        Recovery(Recourse((RETRY,))),
        ModelFailed("why"),
        Recovery(Recourse((RETRY,)), given_up=True),
        (EndWanted(Reason.PROVIDER_ERROR, None, "why"),),
    ),
    "no fallback": (
        Recovery(Recourse((FALL_BACK, HANG_UP)), live=True),
        ModelFailed("why"),
        Recovery(Recourse((FALL_BACK, HANG_UP)), live=True, given_up=True),
        (EndWanted(Reason.PROVIDER_ERROR, None, "why"),),
    ),
    "attached": (Recovery(), CallLive(), Recovery(live=True), ()),
    "attached again": (Recovery(), CallResumed(), Recovery(live=True), ()),
    "the caller has the turn": (Recovery(), GreetingOver(), Recovery(turned=True), ()),
    "the socket is lost": (
        replace(DUE, speaking=True),
        CallDropped(),
        replace(DUE, due=None, live=False),
        (),
    ),
    "the call is ending": (DUE, Parting(), replace(DUE, given_up=True), ()),
    "all has been tried": (
        replace(DUE, given_up=True),
        FAILED,
        replace(DUE, given_up=True),
        (),
    ),
}


@pytest.mark.parametrize(("before", "event", "after", "outputs"), STEPS.values(), ids=STEPS)
def test_step(
    before: Recovery, event: recovery.Heeded, after: Recovery, outputs: tuple[object, ...]
) -> None:
    assert recovery.step(before, event, NOW) == (after, outputs)


def plan(*, greeting: str | None = None, **changes: Any) -> CallPlan:
    return dataclasses.replace(
        a_plan(a_profile(greeting=greeting)), **{"fallback": FALLBACK, **changes}
    )


def detecting(detection: dict[str, Any] | None) -> CallPlan:
    session = {"type": "realtime", "audio": {"input": {"turn_detection": detection}}}
    return plan(session=session)


@pytest.mark.parametrize(
    ("of", "answers"),
    [
        (plan(), True),
        (detecting({"type": "semantic_vad"}), True),
        (detecting({"type": "server_vad", "create_response": False}), False),
        (detecting(None), False),
    ],
)
def test_answers_are_due_where_voice_detection_answers_turns(of: CallPlan, answers: bool) -> None:
    assert recovery.recovery(of).recourse == Recourse(of.on_failure, FALLBACK, answers)


def test_a_call_that_is_sent_on_has_no_model_that_could_fail() -> None:
    assert recovery.recovery(a_forward()).given_up


def live(**changes: Any) -> Playbook:
    """A call without a greeting, whose caller has ended a turn."""
    call = Playbook(plan(**changes)).feed(AcceptAnswered(Answer.DONE), SocketOpened())
    call.feed(CallerStarted("c1"), CallerCommitted("c1"))
    call.commands = []
    return call


def retried(detail: str = LATE) -> tuple[Any, ...]:
    return RecordStep(Happening.RETRIED, detail), Some(CreateResponse, tag="reply")


def test_a_model_that_says_nothing_is_asked_again_then_the_caller_is_sent_on() -> None:
    call = live().wait(ANSWER_WITHIN - 0.1).expect().wait(0.1).expect(*retried())
    call.feed(ResponseCreated("r1", "reply")).wait(ANSWER_WITHIN)
    fell = RecordStep(Happening.FELL_BACK, LATE)
    call.expect(fell, CancelResponse("r1"), Some(Refer, target_uri=TARGET))
    call.feed(Referred(Answer.DONE), SocketClosed(1000), Probed(alive=False))
    assert Some(Finish, reason=Reason.TRANSFERRED) in call.commands


def test_without_a_fallback_the_second_failure_hangs_up() -> None:
    call = live(fallback=None).wait(ANSWER_WITHIN).expect(*retried())
    call.feed(ResponseCreated("r1", "reply"))
    call.feed(replace(FAILED)).expect(Some(HangUp, reason=Reason.PROVIDER_ERROR))
    call.feed(HangUpAnswered(Answer.DONE), SocketClosed(1000))
    call.expect(Finish(Reason.PROVIDER_ERROR, "response failed: server_error"))


def test_a_response_that_hangs_is_stopped_before_the_model_is_asked_again() -> None:
    call = live().feed(ResponseCreated("r1", None)).wait(ANSWER_WITHIN)
    call.expect(RecordStep(Happening.RETRIED, LATE), CancelResponse("r1"))
    call.feed(ResponseDone("r1", completed=False)).expect(Some(CreateResponse, tag="reply"))
    call.feed(ResponseCreated("r2", "reply"), AudioStarted("r2")).wait(ANSWER_WITHIN).expect()


def test_a_request_that_is_not_begun_in_time_counts_as_one_failure() -> None:
    call = live().wait(ANSWER_WITHIN).expect(*retried())
    # After 10 seconds the request is given up, but its answer was due after 8.
    call.wait(ANSWER_WITHIN).expect(
        RecordStep(Happening.FELL_BACK, LATE), Some(Refer, target_uri=TARGET)
    )


def test_a_refused_request_is_a_failure_at_once() -> None:
    call = live().wait(ANSWER_WITHIN)
    _, request = call.commands
    assert isinstance(request, CreateResponse)
    call.commands = []
    call.feed(ProviderFault(FaultKind.OTHER, "server_error", request.request_id))
    call.expect(RecordStep(Happening.FELL_BACK, "response refused"), Some(Refer))


def test_a_model_that_is_heard_again_begins_with_a_retry() -> None:
    call = live()
    for number in range(3):
        call.wait(ANSWER_WITHIN).expect(*retried())
        call.feed(ResponseCreated(f"r{number}", "reply"), AudioStarted(f"r{number}"))
        call.feed(ResponseDone(f"r{number}", completed=True), AudioStopped(f"r{number}"))
        call.feed(CallerStarted("c"), CallerCommitted("c"))


def test_a_caller_who_goes_on_speaking_is_waited_for() -> None:
    call = live().wait(6).feed(CallerStarted("c2"), ResponseDone("r1", completed=False)).wait(20)
    call.expect().feed(CallerCommitted("c2")).wait(ANSWER_WITHIN - 0.1).expect()
    call.wait(0.2).expect(*retried())


def test_an_interrupted_answer_is_no_failure() -> None:
    call = live().feed(ResponseCreated("r1", None), AudioStarted("r1"), CallerStarted("c2"))
    call.feed(AudioCleared("r1"), ResponseDone("r1", completed=False)).expect()
    call.feed(CallerCommitted("c2"), ResponseCreated("r2", None), AudioStarted("r2"))
    call.wait(600).expect()


def test_noise_to_which_the_model_says_nothing_is_no_failure() -> None:
    live().feed(ResponseCreated("r1", None), ResponseDone("r1", completed=True)).wait(60).expect()


def test_an_answer_that_waits_for_an_earlier_one_to_be_heard_is_no_failure() -> None:
    call = live().feed(ResponseCreated("r1", None), AudioStarted("r1"))
    call.feed(ResponseDone("r1", completed=True), CallerStarted("c2"), CallerCommitted("c2"))
    call.feed(ResponseCreated("r2", None), ResponseDone("r2", completed=True)).wait(30).expect()


def test_a_turn_that_ended_during_the_greeting_is_due_when_it_is_over() -> None:
    call = Playbook(plan(greeting="Hello.")).feed(AcceptAnswered(Answer.DONE), SocketOpened())
    call.feed(ResponseCreated("r1", "greeting"), AudioStarted("r1"), CallerStarted("c1"))
    call.feed(CallerCommitted("c1"), ResponseDone("r1", completed=True)).wait(10)
    call.feed(AudioStopped("r1"), SessionUpdated())
    call.commands = []
    call.wait(ANSWER_WITHIN - 0.1).expect().wait(0.2)
    assert RecordStep(Happening.RETRIED, LATE) in call.commands


def test_a_profile_that_leaves_turns_unanswered_is_left_alone() -> None:
    call = Playbook(detecting({"type": "server_vad", "create_response": False}))
    call.feed(AcceptAnswered(Answer.DONE), SocketOpened(), CallerStarted("c1"))
    call.feed(CallerCommitted("c1"))
    call.commands = []
    call.wait(600).expect()


def test_nothing_is_tried_while_the_socket_is_lost_or_after_for_what_was_before() -> None:
    call = live().wait(6).feed(SocketClosed(1006), Probed(alive=True))
    call.commands = []
    call.wait(ANSWER_WITHIN)
    assert not any(isinstance(each, CreateResponse | Refer | HangUp) for each in call.commands)
    call.feed(SocketOpened())
    call.commands = []
    call.wait(ANSWER_WITHIN + 1).expect()


def test_a_goodbye_that_is_late_sends_nobody_anywhere() -> None:
    call = live().feed(EndRequested(Reason.OPERATOR_HUNG_UP, "Bye."))
    call.expect(Some(CreateResponse, tag="goodbye")).wait(ANSWER_WITHIN + 1).expect()


def test_a_socket_that_is_not_attached_sends_the_caller_to_the_fallback() -> None:
    call = Playbook(plan()).feed(AcceptAnswered(Answer.DONE))
    call.commands = []
    call.feed(SocketRefused("attach unanswered"))
    fell = RecordStep(Happening.FELL_BACK, "attach unanswered")
    call.expect(fell, Some(Refer, target_uri=TARGET))
    call.feed(Referred(Answer.DONE)).expect(Attach(again=True))


def test_a_socket_that_is_not_attached_hangs_up_where_there_is_no_fallback() -> None:
    call = Playbook(plan(fallback=None, on_failure=())).feed(AcceptAnswered(Answer.DONE))
    call.commands = []
    call.feed(SocketRefused("attach unanswered"))
    call.expect(Some(HangUp, reason=Reason.ATTACH_FAILED))


def test_a_plan_that_knows_nothing_to_do_leaves_the_caller_on_the_line() -> None:
    live(on_failure=()).wait(600).expect()
