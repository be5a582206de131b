"""Calls on which nobody is."""

import pytest

from sipagent.model import Mark, Reason
from sipagent.sessions.machine import Past, attendance
from sipagent.sessions.machine.attendance import SIGN_WITHIN, Attendance
from sipagent.sessions.machine.commands import Attach, HangUp, Note, Probe, RecordStep
from sipagent.sessions.machine.events import (
    AcceptAnswered,
    Answer,
    AudioStarted,
    AudioStopped,
    CallerCommitted,
    CallerStarted,
    DeadlineReached,
    DigitPressed,
    EndRequested,
    Event,
    Probed,
    ResponseCreated,
    ResponseDone,
    SessionUpdated,
    SocketClosed,
    SocketOpened,
    Timer,
)
from sipagent.sessions.machine.signals import (
    CallDropped,
    CallLive,
    CallResumed,
    DeadlineDropped,
    DeadlineWanted,
    EndWanted,
    GreetingOver,
    Parting,
)
from sipagent.testing import Playbook, Some, a_forward, a_plan, a_profile

GONE = Some(HangUp, reason=Reason.NOBODY_THERE)
LIVE = Attendance(live=True)
SETTLED = Attendance(attended=True, live=True)
DROPPED = DeadlineDropped(Timer.SOMEBODY_THERE)

STEPS: dict[str, tuple[Attendance, attendance.Heeded, Attendance, tuple[object, ...]]] = {
    "attached": (Attendance(), CallLive(), LIVE, ()),
    "attached again": (Attendance(), CallResumed(), LIVE, ()),
    "the caller has the turn": (
        LIVE,
        GreetingOver(),
        LIVE,
        (DeadlineWanted(Timer.SOMEBODY_THERE, 7.0 + SIGN_WITHIN),),
    ),
    "a greeting that ends with the socket": (Attendance(), GreetingOver(), Attendance(), ()),
    "a word": (LIVE, CallerStarted("c1"), SETTLED, (DROPPED, Note(Mark.SOMEBODY))),
    "a key": (LIVE, DigitPressed("5"), SETTLED, (DROPPED, Note(Mark.SOMEBODY))),
    "a second word": (SETTLED, CallerStarted("c2"), SETTLED, ()),
    "the socket is lost": (LIVE, CallDropped(), Attendance(), (DROPPED,)),
    "the call is ending": (LIVE, Parting(), SETTLED, (DROPPED,)),
    "time is up": (
        LIVE,
        DeadlineReached(Timer.SOMEBODY_THERE),
        LIVE,
        (EndWanted(Reason.NOBODY_THERE),),
    ),
    "another time is up": (LIVE, DeadlineReached(Timer.TIME_OVER), LIVE, ()),
    "time is up for somebody": (SETTLED, DeadlineReached(Timer.SOMEBODY_THERE), SETTLED, ()),
}


@pytest.mark.parametrize(("before", "event", "after", "outputs"), STEPS.values(), ids=STEPS)
def test_step(
    before: Attendance,
    event: attendance.Heeded,
    after: Attendance,
    outputs: tuple[object, ...],
) -> None:
    assert attendance.step(before, event, 7.0) == (after, outputs)


def attached(greeting: str | None) -> Playbook:
    call = Playbook(a_plan(a_profile(greeting=greeting)))
    call.feed(AcceptAnswered(Answer.DONE), SocketOpened())
    call.commands = []
    return call


def greeted() -> Playbook:
    """A call whose greeting took five seconds."""
    call = attached("Hello.").feed(ResponseCreated("r1", "greeting"), AudioStarted("r1"))
    call.feed(ResponseDone("r1", completed=True)).wait(5).feed(AudioStopped("r1"), SessionUpdated())
    call.commands = []
    return call


def test_a_silent_line_is_hung_up_30_seconds_after_the_greeting() -> None:
    greeted().wait(SIGN_WITHIN - 0.1).expect().wait(0.2).expect(GONE)


def test_a_silent_line_without_a_greeting_is_hung_up_30_seconds_after_the_attachment() -> None:
    attached(None).wait(SIGN_WITHIN - 0.1).expect().wait(0.2).expect(GONE)


@pytest.mark.parametrize("sign", [CallerStarted("c1"), DigitPressed("1")])
def test_a_sign_of_a_caller_during_the_greeting_is_enough(sign: Event) -> None:
    call = attached("Hello.").feed(ResponseCreated("r1", "greeting"), AudioStarted("r1"), sign)
    assert call.notes == [Mark.SOMEBODY]
    call.feed(ResponseDone("r1", completed=True), AudioStopped("r1"), SessionUpdated())
    call.commands = []
    call.wait(600).expect()


def test_a_turn_that_only_the_providers_idle_timeout_commits_is_no_sign() -> None:
    call = greeted().feed(CallerCommitted("c1"), ResponseCreated("r2", None), AudioStarted("r2"))
    call.feed(ResponseDone("r2", completed=True), AudioStopped("r2")).expect()
    call.wait(SIGN_WITHIN + 0.1).expect(GONE)


def test_the_time_begins_anew_when_the_socket_is_back() -> None:
    call = greeted().wait(29).feed(SocketClosed(1006)).expect(Probe())
    call.feed(Probed(alive=True)).expect(Some(RecordStep), Some(Attach))
    call.wait(5).feed(SocketOpened()).expect(Some(RecordStep))
    call.wait(SIGN_WITHIN - 0.1).expect().wait(0.2).expect(GONE)


def test_a_caller_who_has_spoken_may_be_silent_after_the_socket_is_back() -> None:
    call = greeted().feed(CallerStarted("c1"), SocketClosed(1006), Probed(alive=True))
    call.feed(SocketOpened())
    call.commands = []
    call.wait(600).expect()


@pytest.mark.parametrize("marks", [{}, {Mark.SOMEBODY: 3.0}])
def test_who_takes_a_call_over_waits_for_a_sign_unless_there_has_been_one(
    marks: dict[str, float],
) -> None:
    past = Past(2, {Mark.ATTACHED: 1.0, **marks}, rings=False)
    call = Playbook(a_plan(a_profile(greeting=None)), past, now=60.0).feed(SocketOpened())
    call.commands = []
    call.wait(SIGN_WITHIN + 1).expect(*[GONE] * (not marks))


def test_a_goodbye_is_not_cut_short_by_it() -> None:
    call = greeted().wait(29).feed(EndRequested(Reason.OPERATOR_HUNG_UP, "Bye."))
    call.commands = []
    call.wait(2).expect()


def test_a_call_that_is_sent_on_needs_nobody_on_the_line() -> None:
    call = Playbook(a_forward()).feed(AcceptAnswered(Answer.DONE), SocketOpened())
    call.commands = []
    call.wait(SIGN_WITHIN + 10).expect()
