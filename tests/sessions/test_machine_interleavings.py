"""Events in any order and any number: what must hold whatever the provider and the caller do."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import cycle, islice, product
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sipagent.model import (
    Bill,
    CallPlan,
    Ceilings,
    DestinationName,
    FailureStep,
    Fallback,
    Happening,
    Mark,
    ModelPrice,
    Prices,
    Reason,
    Tokens,
)
from sipagent.sessions.machine import transcript
from sipagent.sessions.machine.commands import (
    Accept,
    Attach,
    CancelResponse,
    CreateResponse,
    Finish,
    HangUp,
    Inform,
    Probe,
    RecordStep,
    RecordTurn,
    RecordUsage,
    Refer,
)
from sipagent.sessions.machine.events import (
    AcceptAnswered,
    AgentText,
    AgentTextDone,
    Answer,
    AudioCleared,
    AudioStarted,
    AudioStopped,
    CallerCommitted,
    CallerStarted,
    CallerText,
    CallerTextDone,
    DigitPressed,
    EndRequested,
    Event,
    FaultKind,
    HangUpAnswered,
    Probed,
    ProviderFault,
    RateLimit,
    RateLimitsTold,
    Referred,
    RejectAnswered,
    ResponseCreated,
    ResponseDone,
    SessionUpdated,
    SocketClosed,
    SocketOpened,
    SocketRefused,
)
from sipagent.testing import Playbook, a_forward, a_plan, a_profile

T = TypeVar("T")
IDS = ("r1", "r2", "r3")
ITEMS = ("i1", "i2", "i3", "i4")
TEXTS = ("", "a", "hello there")
TAGS = (None, "greeting", "reply", "goodbye", "strange")
REQUESTS = (None, "restore-turn-detection", "other", *(f"response-{n}" for n in range(4)))
BILLS = (
    None,
    *(
        Bill(Tokens(text_in=text, audio_out=audio))
        for text, audio in ((0, 0), (1, 0), (0, 1), (7, 30), (100, 200), (500, 0), (0, 500))
    ),
)


def every(make: Callable[..., T], *values: Iterable[Any]) -> tuple[T, ...]:
    """What is made of each choice of these values."""
    return tuple(make(*chosen) for chosen in product(*values))


KINDS: tuple[tuple[Event, ...], ...] = (
    every(AcceptAnswered, Answer),
    every(RejectAnswered, Answer),
    every(HangUpAnswered, Answer),
    every(Referred, Answer),
    (SocketOpened(),),
    every(SocketRefused, ["why"], [False, True]),
    every(SocketClosed, [1000, 1001, 1006, 1011], [False, True]),
    every(Probed, [True, False, None]),
    every(EndRequested, [Reason.OPERATOR_HUNG_UP], [None, "Bye."]),
    (SessionUpdated(),),
    every(CallerStarted, ITEMS),
    every(CallerCommitted, ITEMS),
    every(CallerText, ITEMS, TEXTS),
    every(CallerTextDone, ITEMS, [None, *TEXTS], BILLS),
    every(DigitPressed, "15#"),
    (RateLimitsTold((RateLimit("tokens", 100, 0, 60.0),)),),
    every(ResponseCreated, IDS, TAGS),
    every(ResponseDone, IDS, [True], [None], [False], BILLS),
    every(ResponseDone, IDS, [False], ["code"], [False, True], BILLS),
    every(AgentText, IDS, ITEMS, TEXTS),
    every(AgentTextDone, IDS, ITEMS, TEXTS),
    every(AudioStarted, IDS),
    every(AudioStopped, IDS),
    every(AudioCleared, IDS),
    every(ProviderFault, FaultKind, ["code"], REQUESTS),
)
ANYTHING: tuple[Event, ...] = tuple(
    event for kind in KINDS for event in islice(cycle(kind), max(map(len, KINDS)))
)
"""Each kind is as likely as every other. To choose once is much less work than for each value."""

PAUSES = (0.0, 0.0, 0.0, 0.5, 1.0, 6.0, 20.0)
MOMENTS = st.lists(st.sampled_from(tuple(product(ANYTHING, PAUSES))), max_size=40)
STEP = 0.5


def plans() -> Iterator[CallPlan]:
    """Plans that differ in the first words, in what is tried when the model fails, and in what a
    call may take."""
    steps = [tuple(tried) for many in range(4) for tried in product(FailureStep, repeat=many)]
    for greeting in (None, "Hello."):
        plain = replace(
            a_plan(a_profile(greeting=greeting)),
            prices=Prices("v1", ModelPrice(text_in=4_000, audio_out=64_000)),
        )
        for fallback, on_failure, ceilings in product(
            [None, Fallback(DestinationName("front"), "tel:+17135550100")],
            steps,
            every(Ceilings, [None, 30.0], [None, 40_000]),
        ):
            yield replace(plain, fallback=fallback, on_failure=on_failure, ceilings=ceilings)


PLANS = st.sampled_from(tuple(plans()))


def live(greeting: str | None) -> Playbook:
    return attached(a_plan(a_profile(greeting=greeting)))


def attached(plan: CallPlan) -> Playbook:
    return Playbook(plan).feed(AcceptAnswered(Answer.DONE), SocketOpened())


def story(call: Playbook, moments: list[tuple[Event, float]]) -> list[Any]:
    """Everything that was commanded, with the events and waits that led to it, in order."""
    told: list[Any] = list(call.commands)
    call.commands = []
    for event, seconds in moments:
        told.append(event)
        call.feed(event)
        told += call.commands
        call.commands = []
        for _ in range(round(seconds / STEP)):
            call.wait(STEP)
            told += [("waited", STEP), *call.commands]
            call.commands = []
    return told


@settings(max_examples=1_500, deadline=None)
@given(plan=PLANS, moments=MOMENTS)
def test_no_story_breaks_a_call_and_each_ends_at_most_once(
    plan: CallPlan, moments: list[tuple[Event, float]]
) -> None:
    call = Playbook(plan)
    told = story(call, moments)
    commands = [entry for entry in told if not isinstance(entry, tuple)]
    assert sum(isinstance(entry, Accept) for entry in told) == 1
    refers = [place for place, entry in enumerate(told) if isinstance(entry, Refer)]
    assert len(refers) <= 1
    away = refers[0] if refers else len(told)
    for part in (told[:away], told[away:]):  # a call that is sent on without a socket is watched
        assert sum(isinstance(entry, Attach) and not entry.again for entry in part) <= 1
    ends = [place for place, entry in enumerate(commands) if isinstance(entry, Finish)]
    assert len(ends) <= 1
    assert call.state.over == (len(ends) == 1)
    if call.state.over:
        assert call.state.deadlines.earliest is None
        assert call.feed(SocketClosed(1000), CallerTextDone("i9", "x")).wait(9999).commands == []


@settings(max_examples=1_500, deadline=None)
@given(moments=MOMENTS, answered=st.booleans())
def test_a_forward_is_referred_at_most_once_says_nothing_and_ends_once(
    moments: list[tuple[Event, float]], answered: bool
) -> None:
    call = Playbook(a_forward())
    if answered:
        call.feed(AcceptAnswered(Answer.DONE))
    told = story(call, moments)
    assert not any(isinstance(entry, CreateResponse) for entry in told)
    assert sum(isinstance(entry, Refer) for entry in told) <= 1
    assert sum(isinstance(entry, Attach) and not entry.again for entry in told) <= 1
    for _ in range(4):
        call.feed(AcceptAnswered(Answer.DONE), RejectAnswered(Answer.DONE), Referred(Answer.DONE))
        call.feed(SocketOpened()).wait(60).feed(HangUpAnswered(Answer.DONE)).wait(60)
    told += call.commands
    assert sum(isinstance(entry, Refer) for entry in told) <= 1
    assert sum(isinstance(entry, Finish) for entry in told) == 1
    assert call.state.over
    assert call.state.deadlines.earliest is None


@settings(max_examples=2_500, deadline=None)
@given(plan=PLANS, moments=MOMENTS)
def test_no_response_is_asked_for_while_one_is_asked_for_or_active(
    plan: CallPlan, moments: list[tuple[Event, float]]
) -> None:
    call = attached(plan)
    asked: CreateResponse | None = None
    active: set[str] = set()
    now = since = 0.0
    for entry in story(call, moments):
        match entry:
            case CreateResponse():
                assert asked is None, "two requests at once"
                assert not active, "a request during a response"
                asked, since = entry, now
            case ResponseCreated(response_id, tag):
                active = {response_id}
                asked = None if asked is not None and tag in (None, asked.tag) else asked
            case ResponseDone(response_id) | AudioStopped(response_id):
                active.discard(response_id)
            case Probe():
                # With the socket goes all knowledge of what was asked for.
                asked, active = None, set()
            case ProviderFault(kind, _, request_id):
                # "There is nothing to cancel" proves that no response is active.
                active = set() if kind is FaultKind.IDLE else active
                if asked is not None and request_id == asked.request_id:
                    asked = None
            case ("waited", seconds):
                now += seconds
                # A request that is not answered within ten seconds counts as lost.
                asked = None if now - since >= 10 else asked


@settings(max_examples=500, deadline=None)
@given(moments=MOMENTS)
def test_an_end_that_is_asked_for_comes(moments: list[tuple[Event, float]]) -> None:
    """Whatever has happened, a request, answers to what is asked, and the clock end a call."""
    call = live("Hello.")
    story(call, moments)
    for _ in range(8):
        call.feed(EndRequested(Reason.OPERATOR_HUNG_UP, None), Probed(None))
        call.feed(AcceptAnswered(Answer.GONE), RejectAnswered(Answer.DONE))
        call.feed(SocketRefused("why"), HangUpAnswered(Answer.DONE)).wait(30)
    assert call.state.over


@settings(max_examples=500, deadline=None)
@given(moments=MOMENTS)
def test_every_turn_is_recorded_once_in_an_order_that_sorts(
    moments: list[tuple[Event, float]],
) -> None:
    call = live(None)
    told = story(call, [*moments, (SocketClosed(1006), 0.0), (Probed(alive=False), 0.0)])
    sequences = [entry.turn.sequence for entry in told if isinstance(entry, RecordTurn)]
    assert len(sequences) == len(set(sequences))


@settings(max_examples=600, deadline=None)
@given(plan=PLANS, moments=MOMENTS)
def test_what_a_call_keeps_to_itself_happens_once(
    plan: CallPlan, moments: list[tuple[Event, float]]
) -> None:
    call = attached(plan)
    told = story(call, moments)
    billed = [entry.usage.source_id for entry in told if isinstance(entry, RecordUsage)]
    assert len(billed) == len(set(billed))
    cost = sum(entry.usage.cost or 0 for entry in told if isinstance(entry, RecordUsage))
    assert call.state.spending.cost == cost
    assert call.notes.count(Mark.SOMEBODY) <= 1
    assert sum(isinstance(entry, Inform) for entry in told) <= 1
    steps = [entry.what for entry in told if isinstance(entry, RecordStep)]
    assert steps.count(Happening.FELL_BACK) <= 1
    assert steps.count(Happening.WOUND_DOWN) <= 1


@settings(max_examples=600, deadline=None)
@given(plan=PLANS, moments=MOMENTS)
def test_a_call_that_falls_back_says_nothing_more_and_is_not_ended_by_its_limits(
    plan: CallPlan, moments: list[tuple[Event, float]]
) -> None:
    told = story(attached(plan), moments)
    referred = next((place for place, one in enumerate(told) if isinstance(one, Refer)), len(told))
    for entry in told[referred:]:
        assert not isinstance(entry, CreateResponse | Inform)
        if isinstance(entry, HangUp):
            assert entry.reason in (Reason.REFER_FAILED, Reason.OPERATOR_HUNG_UP)


@settings(max_examples=300, deadline=None)
@given(moments=MOMENTS)
def test_a_call_in_which_nothing_is_said_any_more_ends_by_itself(
    moments: list[tuple[Event, float]],
) -> None:
    """Whatever has happened: the clock and answers to what is asked bring every call to an end."""
    call = live("Hello.")
    story(call, moments)
    for _ in range(16):
        call.wait(20 * 60).feed(Probed(alive=True), SocketRefused("gone", gone=True))
        call.feed(HangUpAnswered(Answer.DONE), Referred(Answer.DONE))
    assert call.state.over


def test_memory_stays_bounded_however_long_the_call() -> None:
    call = live(None)
    for number in range(5_000):
        response, item = f"r{number}", f"i{number}"
        call.feed(CallerStarted(f"c{number}"), CallerText(f"c{number}", "word " * 10))
        call.feed(ResponseCreated(response, None), AgentText(response, item, "word " * 1_000))
        call.feed(ResponseDone(response, completed=True, bill=Bill(Tokens(text_in=1))))
        call.feed(CallerTextDone(f"c{number}", "word", Bill(seconds=1.0)), DigitPressed("1"))
        call.commands = []
    state = call.state
    assert len(state.transcript.open) <= 16
    assert len(state.transcript.closed) <= 64
    assert len(state.playback.tracks) <= 8
    assert len(state.deadlines.pending) <= 5
    assert len(state.spending.billed) <= 64
    assert len(state.spending.open) <= 8
    assert len(state.responses.wishes) <= 3


def test_a_turn_that_never_ends_is_cut() -> None:
    call = live(None)
    for _ in range(100):
        call.feed(AgentText("r1", "i1", "x" * 1_000))
    call.feed(AudioStopped("r1"))
    (*_, recorded) = call.commands
    assert isinstance(recorded, RecordTurn)
    assert len(recorded.turn.text or "") == transcript.LONGEST_TURN


@pytest.mark.parametrize("times", [1, 2, 5])
def test_an_end_asked_for_many_times_is_one_end(times: int) -> None:
    call = live(None)
    call.commands = []
    call.feed(*[EndRequested(Reason.OPERATOR_HUNG_UP, "Bye.")] * times)
    assert [type(command) for command in call.commands] == [CreateResponse]
    call.feed(*[EndRequested(Reason.OPERATOR_HUNG_UP, None)] * times)
    assert sum(type(command).__name__ == "HangUp" for command in call.commands) == 1
    assert not any(isinstance(command, CancelResponse) for command in call.commands)
