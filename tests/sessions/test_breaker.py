"""When an account's breaker opens, who is let through meanwhile, and what closes it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from sipagent.model import AccountName, CallId, CallOutcome, Happening, Reason, TenantName
from sipagent.sessions.breaker import (
    FAILURES,
    LONGEST_PAUSE,
    MOST_RESULTS,
    SHORTEST_PAUSE,
    TRIAL_WITHIN,
    WINDOW,
    Admission,
    Breakers,
    Closed,
    Open,
    Opened,
    Sign,
    State,
    Trial,
    admit,
    sign_of_end,
    sign_of_step,
    tell,
    withdraw,
)

US, EU = AccountName("us-1"), AccountName("eu-1")
CALL, OTHER = CallId("rtc_call"), CallId("rtc_other")


@dataclass(slots=True)
class HandClock:
    """A clock that a test moves."""

    now: float = 0.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return 1_790_000_000.0 + self.now


def shown(results: Sequence[tuple[float, bool]]) -> State:
    """The state after calls that worked (True) and failed (False) at these times."""
    state: State = Closed()
    for at, worked in results:
        state = tell(state, OTHER, Sign.WORKS if worked else Sign.FAILS, at)
    return state


@pytest.mark.parametrize(
    ("results", "is_open"),
    [
        pytest.param([(n, False) for n in range(FAILURES - 1)], False, id="too few"),
        pytest.param([(n, False) for n in range(FAILURES)], True, id="enough"),
        pytest.param([(8 * n, False) for n in range(10)], False, id="too seldom"),
        pytest.param(
            [(n, n >= 5) for n in range(5)] + [(9, True)] * 5, True, id="had opened before"
        ),
        pytest.param([(0, True)] * 5 + [(1, False)] * 5, True, id="half"),
        pytest.param([(0, True)] * 6 + [(1, False)] * 5, False, id="less than half"),
        pytest.param([(0, True)] * 900 + [(31, False)] * 5, True, id="successes long past"),
        pytest.param([(0, True)] * 900 + [(1, False)] * 50, True, id="half of the last"),
        pytest.param([(0, True)] * 900 + [(1, False)] * 49, False, id="less than half of the last"),
        pytest.param([(0, False)] * 4 + [(30, False)] * 4, False, id="just out of the window"),
        pytest.param([(0.1, False)] * 4 + [(30, False)], True, id="just within the window"),
    ],
)
def test_what_opens_a_breaker(results: Sequence[tuple[float, bool]], is_open: bool) -> None:
    assert isinstance(shown(results), Open) == is_open


def test_what_is_remembered_is_bounded() -> None:
    state = shown([(n / 100, n % 3 > 0) for n in range(2000)])
    assert isinstance(state, Closed)
    assert len(state.results) == MOST_RESULTS


OPENED = shown([(0.0, False)] * FAILURES)
TRIED, _ = admit(OPENED, CALL, SHORTEST_PAUSE)


@pytest.mark.parametrize(
    ("state", "call_id", "now", "expected"),
    [
        pytest.param(Closed(), CALL, 0, Admission.CLEAR, id="closed"),
        pytest.param(OPENED, CALL, 4.9, Admission.REFUSED, id="resting"),
        pytest.param(OPENED, CALL, 5, Admission.TRIAL, id="rested"),
        pytest.param(TRIED, OTHER, 5, Admission.REFUSED, id="somebody tries"),
        pytest.param(TRIED, CALL, 5, Admission.CLEAR, id="the trial's own second delivery"),
        pytest.param(TRIED, OTHER, 64.9, Admission.REFUSED, id="the trial has time"),
        pytest.param(TRIED, OTHER, 65, Admission.TRIAL, id="the trial is given up"),
        pytest.param(withdraw(TRIED, CALL), OTHER, 6, Admission.TRIAL, id="withdrawn"),
        pytest.param(withdraw(TRIED, OTHER), OTHER, 6, Admission.REFUSED, id="not its to withdraw"),
        pytest.param(tell(TRIED, CALL, Sign.NOTHING, 6), OTHER, 6, Admission.TRIAL, id="no proof"),
        pytest.param(tell(TRIED, CALL, Sign.WORKS, 6), OTHER, 6, Admission.CLEAR, id="works"),
        pytest.param(tell(TRIED, CALL, Sign.FAILS, 6), OTHER, 15.9, Admission.REFUSED, id="fails"),
        pytest.param(tell(TRIED, CALL, Sign.FAILS, 6), OTHER, 16, Admission.TRIAL, id="and again"),
        pytest.param(
            tell(TRIED, CALL, Sign.ATTACHED, 6), OTHER, 64.9, Admission.REFUSED, id="half a proof"
        ),
        pytest.param(
            tell(TRIED, CALL, Sign.ATTACHED, 6), OTHER, 65, Admission.CLEAR, id="held for long"
        ),
    ],
)
def test_who_is_let_through(state: State, call_id: CallId, now: float, expected: Admission) -> None:
    assert admit(state, call_id, now)[1] is expected


@pytest.mark.parametrize("sign", Sign)
def test_calls_that_are_no_trial_change_nothing_while_it_is_open(sign: Sign) -> None:
    assert tell(OPENED, OTHER, sign, 1) == OPENED
    assert tell(TRIED, OTHER, sign, 6) == TRIED


def test_a_trial_that_was_given_up_and_fails_later_changes_nothing() -> None:
    second, _ = admit(TRIED, OTHER, 5 + TRIAL_WITHIN)
    assert tell(second, CALL, Sign.FAILS, 70) == second
    assert isinstance(tell(second, OTHER, Sign.WORKS, 70), Closed)


def test_pauses_double_up_to_a_minute_and_begin_anew_after_a_success() -> None:
    pauses, state, now = [], OPENED, 0.0
    for number in range(6):
        assert isinstance(state, Open)
        pauses.append(state.pause)
        now = state.ready_at
        trial = CallId(f"rtc_{number}")
        state, admitted = admit(state, trial, now)
        assert admitted is Admission.TRIAL
        state = tell(state, trial, Sign.FAILS, now)
    assert pauses == [5, 10, 20, 40, 60, 60]
    state, _ = admit(state, CALL, now + LONGEST_PAUSE)
    state = tell(state, CALL, Sign.WORKS, now)
    for _ in range(FAILURES):
        state = tell(state, OTHER, Sign.FAILS, now)
    assert isinstance(state, Open)
    assert state.pause == SHORTEST_PAUSE


def an_end(reason: Reason, *, came: str = "", detail: str | None = None) -> CallOutcome:
    """An outcome of a call that came so far: answered, attached, heard."""
    reached = ("answered", "attached", "heard").index(came) + 1 if came else 0
    times = [1.0, 2.0, 3.0][:reached] + [None] * (3 - reached)
    return CallOutcome(
        CALL, US, TenantName("default"), None, reason, 0.0, 9.0, *times, detail=detail
    )


GONE = "attach answered 404"


@pytest.mark.parametrize(
    ("outcome", "sign"),
    [
        (an_end(Reason.ACCEPT_TIMEOUT, detail="accept answered 503"), Sign.FAILS),
        (an_end(Reason.ATTACH_FAILED, came="answered", detail="attach unanswered"), Sign.FAILS),
        (an_end(Reason.ATTACH_FAILED, came="answered", detail="attach answered 500"), Sign.FAILS),
        (an_end(Reason.ATTACH_FAILED, came="answered", detail=GONE), Sign.NOTHING),
        (
            an_end(Reason.ATTACH_FAILED, came="answered", detail=f"{GONE}; not confirmed"),
            Sign.NOTHING,
        ),
        (an_end(Reason.PROVIDER_ERROR, came="heard"), Sign.FAILS),
        (an_end(Reason.ACCEPT_REFUSED, detail="accept answered 400"), Sign.NOTHING),
        (an_end(Reason.CALLER_GONE), Sign.NOTHING),
        (an_end(Reason.BUSY), Sign.NOTHING),
        (an_end(Reason.REFER_FAILED, came="attached"), Sign.NOTHING),
        (an_end(Reason.INTERNAL_ERROR, came="attached"), Sign.NOTHING),
        (an_end(Reason.OPERATOR_HUNG_UP, came="attached"), Sign.NOTHING),
        (an_end(Reason.CONNECTION_LOST, came="attached"), Sign.NOTHING),
        (an_end(Reason.LINE_CLOSED, came="attached"), Sign.WORKS),
        (an_end(Reason.TRANSFERRED, came="attached"), Sign.WORKS),
        (an_end(Reason.LINE_CLOSED, came="answered"), Sign.NOTHING),
        (an_end(Reason.LINE_CLOSED, came="heard"), Sign.NOTHING),
    ],
    ids=lambda value: (
        f"{value.reason} {value.detail or ''}" if isinstance(value, CallOutcome) else None
    ),
)
def test_what_an_end_shows(outcome: CallOutcome, sign: Sign) -> None:
    assert sign_of_end(outcome) is sign


def test_every_reason_has_been_thought_of() -> None:
    """A call that was not attached never shows that its account works."""
    for reason in Reason:
        assert sign_of_end(an_end(reason)) is not Sign.WORKS
        outcome = replace(an_end(reason, came="attached"), heard_at=None)
        assert (sign_of_end(outcome) is Sign.FAILS) == (
            reason in (Reason.ACCEPT_TIMEOUT, Reason.ATTACH_FAILED, Reason.PROVIDER_ERROR)
        )


def test_what_a_step_shows() -> None:
    shows = {what: sign_of_step(what) for what in Happening if sign_of_step(what)}
    assert shows == {
        Happening.ATTACHED: Sign.ATTACHED,
        Happening.HEARD: Sign.WORKS,
        Happening.FELL_BACK: Sign.FAILS,
    }


def test_each_account_has_a_breaker_of_its_own_and_changes_are_logged_once() -> None:
    clock = HandClock()
    breakers = Breakers(clock)
    with capture_logs() as lines:
        for _ in range(FAILURES + 3):
            breakers.tell(US, OTHER, Sign.FAILS)
        clock.now = 2
        assert breakers.opened() == {US: Opened(2, 3)}
        assert breakers.admit(US, CALL) is Admission.REFUSED
        assert breakers.admit(EU, CALL) is Admission.CLEAR
        clock.now = 6
        assert breakers.admit(US, CALL) is Admission.TRIAL
        assert breakers.opened() == {US: Opened(6, 0)}
        breakers.tell(US, CALL, Sign.FAILS)
        assert breakers.opened() == {US: Opened(6, 10)}
        clock.now = 16
        assert breakers.admit(US, CALL) is Admission.TRIAL
        breakers.withdraw(US, CALL)
        assert breakers.admit(US, OTHER) is Admission.TRIAL
        breakers.tell(US, OTHER, Sign.WORKS)
        assert breakers.opened() == {}
        assert breakers.admit(US, CALL) is Admission.CLEAR
    assert [(line["event"], line["account"]) for line in lines] == [
        ("breaker opened", US),
        ("breaker stays open", US),
        ("breaker closed", US),
    ]


def test_a_breaker_whose_attached_trial_says_no_more_is_closed_when_somebody_looks() -> None:
    clock = HandClock()
    breakers = Breakers(clock)
    for _ in range(FAILURES):
        breakers.tell(US, OTHER, Sign.FAILS)
    clock.now = SHORTEST_PAUSE
    breakers.admit(US, CALL)
    breakers.tell(US, CALL, Sign.ATTACHED)
    clock.now += TRIAL_WITHIN
    assert breakers.opened() == {}


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that happens some seconds after the deed before: a call comes, or one of those
    that are held shows something. `which` chooses among them."""

    after: float
    sign: Sign | None
    which: int


DEEDS = st.lists(
    st.builds(
        Deed,
        st.floats(0, 90, allow_nan=False),
        st.none() | st.sampled_from(Sign),
        st.integers(0, 50),
    ),
    max_size=120,
)


@given(DEEDS)
def test_there_is_one_trial_at_a_time_and_no_breaker_is_open_for_ever(
    deeds: Sequence[Deed],
) -> None:
    state: State = Closed()
    now, calls = 0.0, 0
    held = [CallId("rtc_first")]
    trial: Trial | None = None
    for deed in deeds:
        now += deed.after
        if deed.sign is None:
            calls += 1
            call_id = CallId(f"rtc_{calls}")
            was_open = isinstance(state, Open)
            state, admitted = admit(state, call_id, now)
            if admitted is Admission.TRIAL:
                assert was_open
                assert trial is None or now >= trial.until
            if admitted is not Admission.REFUSED:
                held.append(call_id)
        else:
            call_id = held[deed.which % len(held)]
            state = tell(state, call_id, deed.sign, now)
        trial = state.trial if isinstance(state, Open) else None
    # Whatever has happened: when nothing more is heard of anyone, calls go through again, and one
    # that works closes the breaker.
    later = now + TRIAL_WITHIN + LONGEST_PAUSE
    state, admitted = admit(state, CallId("rtc_last"), later)
    assert admitted in (Admission.TRIAL, Admission.CLEAR)
    state = tell(state, CallId("rtc_last"), Sign.WORKS, later + WINDOW)
    assert isinstance(state, Closed)
    assert admit(state, CallId("rtc_next"), later + WINDOW)[1] is Admission.CLEAR
