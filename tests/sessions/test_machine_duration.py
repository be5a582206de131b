"""Calls whose time is up."""

from dataclasses import replace

import pytest

from sipagent.model import CallPlan, Ceilings, Happening, Reason
from sipagent.sessions.machine import duration
from sipagent.sessions.machine.commands import (
    CreateResponse,
    Finish,
    HangUp,
    Inform,
    Probe,
    RecordStep,
)
from sipagent.sessions.machine.duration import Limit
from sipagent.sessions.machine.events import (
    AcceptAnswered,
    Answer,
    AudioStarted,
    AudioStopped,
    CallerStarted,
    EndRequested,
    HangUpAnswered,
    Probed,
    ResponseCreated,
    ResponseDone,
    SocketClosed,
    SocketOpened,
    Timer,
)
from sipagent.sessions.machine.farewells import TIME_IS_UP
from sipagent.sessions.machine.signals import CallResumed, DeadlineWanted
from sipagent.testing import Playbook, Some, a_plan, a_profile

GOODBYE = Some(CreateResponse, tag="goodbye", instructions=TIME_IS_UP)
MINUTE = 60.0
HOUR = 60 * MINUTE


def lasting(seconds: float | None) -> CallPlan:
    plan = a_plan(a_profile(greeting=None))
    return replace(plan, ceilings=Ceilings(duration=seconds))


def live(seconds: float | None) -> Playbook:
    """A call, attached two seconds after it began, whose caller is there."""
    call = Playbook(lasting(seconds)).feed(AcceptAnswered(Answer.DONE)).wait(2)
    call.feed(SocketOpened(), CallerStarted("c1"))
    call.commands = []
    return call


def until(call: Playbook, second: float) -> Playbook:
    return call.wait(second - call.now)


@pytest.mark.parametrize(
    ("seconds", "short_at", "over_at", "reason"),
    [
        (20 * MINUTE, 19 * MINUTE, 20 * MINUTE, Reason.MAX_DURATION),
        (5 * MINUTE, 4 * MINUTE, 5 * MINUTE, Reason.MAX_DURATION),
        (100.0, 80.0, 100.0, Reason.MAX_DURATION),
        (10.0, 8.0, 10.0, Reason.MAX_DURATION),
        (59 * MINUTE - 1, 58 * MINUTE - 1, 59 * MINUTE - 1, Reason.MAX_DURATION),
        (59 * MINUTE, 57 * MINUTE, 59 * MINUTE, Reason.SESSION_EXPIRED),
        (2 * HOUR, 57 * MINUTE, 59 * MINUTE, Reason.SESSION_EXPIRED),
        (None, 57 * MINUTE, 59 * MINUTE, Reason.SESSION_EXPIRED),
    ],
)
def test_the_limit_that_comes_first_holds(
    seconds: float | None, short_at: float, over_at: float, reason: Reason
) -> None:
    assert duration.duration(lasting(seconds)).limit == Limit(short_at, over_at, reason)


@pytest.mark.parametrize(
    ("seconds", "left"),
    [
        (None, "2 minutes"),
        (20 * MINUTE, "a minute"),
        (200.0, "40 seconds"),
        (1.0, "1 seconds"),
    ],
)
def test_the_model_is_told_how_long_it_has(seconds: float | None, left: str) -> None:
    call = live(seconds) if seconds != 1.0 else early(seconds)
    until(call, duration.duration(lasting(seconds)).limit.short_at)
    told, step = call.commands
    assert isinstance(told, Inform)
    assert f"in about {left}. " in told.text
    assert isinstance(step, RecordStep)
    assert step.what is Happening.WOUND_DOWN


def early(seconds: float) -> Playbook:
    call = Playbook(lasting(seconds)).feed(AcceptAnswered(Answer.DONE), SocketOpened())
    call.commands = []
    return call


def test_a_call_is_wound_down_a_minute_before_its_longest_duration_and_ends_with_a_goodbye() -> (
    None
):
    call = live(20 * MINUTE)
    until(call, 19 * MINUTE - 0.1).expect()
    until(call, 19 * MINUTE).expect(
        Some(Inform), RecordStep(Happening.WOUND_DOWN, Reason.MAX_DURATION)
    )
    until(call, 20 * MINUTE - 0.1).expect()
    until(call, 20 * MINUTE).expect(GOODBYE)
    call.feed(ResponseCreated("r1", "goodbye"), AudioStarted("r1"))
    call.feed(ResponseDone("r1", completed=True), AudioStopped("r1"))
    call.expect(Some(HangUp, reason=Reason.MAX_DURATION))
    call.feed(HangUpAnswered(Answer.DONE), SocketClosed(1000))
    call.expect(Finish(Reason.MAX_DURATION, None))


def test_the_providers_hour_is_wound_down_at_57_minutes_and_ends_at_59() -> None:
    call = live(None)
    until(call, 57 * MINUTE - 0.1).expect()
    until(call, 57 * MINUTE).expect(
        Some(Inform), RecordStep(Happening.WOUND_DOWN, Reason.SESSION_EXPIRED)
    )
    until(call, 59 * MINUTE).expect(GOODBYE)
    call.wait(30).expect(Some(HangUp, reason=Reason.SESSION_EXPIRED))
    call.feed(HangUpAnswered(Answer.DONE), SocketClosed(1000))
    call.expect(Finish(Reason.SESSION_EXPIRED, None))


def test_a_model_without_a_socket_is_told_when_it_is_back_and_only_once() -> None:
    call = live(20 * MINUTE)
    until(call, 19 * MINUTE - 1).feed(SocketClosed(1006)).expect(Probe())
    call.feed(Probed(alive=True))
    call.commands = []
    until(call, 19 * MINUTE + 5)
    assert not any(isinstance(each, Inform) for each in call.commands)
    call.commands = []
    call.feed(SocketOpened()).wait(0).expect(
        Some(RecordStep, what=Happening.REATTACHED),
        Some(Inform),
        Some(RecordStep, what=Happening.WOUND_DOWN),
    )
    call.feed(SocketClosed(1006), Probed(alive=True), SocketOpened()).wait(1)
    assert not any(isinstance(each, Inform) for each in call.commands)


def test_a_call_whose_time_is_up_while_its_socket_is_lost_is_hung_up() -> None:
    call = live(20 * MINUTE)
    until(call, 20 * MINUTE - 1).feed(SocketClosed(1006), Probed(alive=True))
    call.commands = []
    until(call, 20 * MINUTE)
    assert Some(HangUp, reason=Reason.MAX_DURATION) in call.commands


def test_an_end_that_comes_while_a_lost_socket_is_probed_is_not_forgotten() -> None:
    call = live(20 * MINUTE)
    until(call, 20 * MINUTE - 1).feed(SocketClosed(1006))
    until(call, 20 * MINUTE + 1).feed(Probed(alive=True), SocketOpened())
    call.wait(0)
    assert [one for one in call.commands if isinstance(one, CreateResponse)] == [GOODBYE]


def test_whoever_takes_over_a_call_whose_time_has_passed_ends_it_now() -> None:
    state, outputs = duration.step(duration.duration(lasting(100.0)), CallResumed(), 130.0)
    assert outputs == (
        DeadlineWanted(Timer.TIME_SHORT, 130.0),
        DeadlineWanted(Timer.TIME_OVER, 130.0),
    )
    assert state.live


def test_a_call_that_is_ending_already_is_not_wound_down() -> None:
    call = live(20 * MINUTE)
    until(call, 19 * MINUTE - 1).feed(EndRequested(Reason.OPERATOR_HUNG_UP, "Bye."))
    call.commands = []
    call.wait(5).expect()
    state, _ = duration.step(call.state.duration, CallResumed(), call.now)
    assert state == call.state.duration
