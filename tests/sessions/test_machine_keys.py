"""Short ways to destinations, and keys in any order."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sipagent.model import (
    AgentName,
    CollectDigits,
    DestinationName,
    Skills,
)
from sipagent.sessions.machine import digits
from sipagent.sessions.machine.digits import LONGEST_INPUT, LONGEST_SPEECH, Digits
from sipagent.sessions.machine.events import (
    AudioStarted,
    CallerCommitted,
    CallerStarted,
    CallerStopped,
    DeadlineReached,
    DigitPressed,
    Timer,
)
from sipagent.sessions.machine.signals import (
    AgentTaken,
    CallDropped,
    CallLive,
    CallOver,
    CallResumed,
    DeadlineDropped,
    DeadlineWanted,
    DigitsAsked,
    DigitsCollected,
    GreetingOver,
    Heard,
    IntentEnded,
    Parting,
    PlaybackEnded,
    ResponseWanted,
    TransferAsked,
    TransferGoing,
)
from sipagent.testing import a_forward, a_plan
from tests.sessions.pressed import ANY, DESK, FRONT, NAME, PIN, held_digits, plan


def test_a_key_is_a_short_way_to_a_destination_for_a_caller_who_has_the_turn() -> None:
    state = digits.digits(plan(key0="front"))
    state, outputs = digits.step(state, DigitPressed("0"), 1.0)
    assert outputs == ()
    state, _ = digits.step(state, CallLive(), 2.0)
    state, outputs = digits.step(state, DigitPressed("0"), 2.5)
    assert outputs == ()
    state, _ = digits.step(state, GreetingOver(), 3.0)
    assert digits.step(state, DigitPressed("0"), 4.0) == (state, (TransferAsked(None, FRONT),))
    assert digits.step(state, DigitPressed("1"), 4.0)[1] == ()
    going, _ = digits.step(state, TransferGoing(going=True), 5.0)
    assert digits.step(going, DigitPressed("0"), 6.0)[1] == ()
    taken, _ = digits.step(state, AgentTaken(DESK), 5.0)
    assert digits.step(taken, DigitPressed("0"), 6.0)[1] == ()
    back = TransferAsked(None, DestinationName("back"))
    assert digits.step(taken, DigitPressed("9"), 6.0)[1] == (back,)
    dropped, _ = digits.step(state, CallDropped(), 5.0)
    assert digits.step(dropped, DigitPressed("0"), 6.0)[1] == ()


def test_it_is_none_while_digits_are_collected_and_a_key_that_was_one_is_not_collected() -> None:
    state = digits.digits(plan(key0="front"))
    for event in (CallLive(), GreetingOver(), DigitPressed("0")):
        state, _ = digits.step(state, event, 1.0)
    state, _ = digits.step(state, DigitsAsked("c1", NAME, PIN), 1.5)
    state, outputs = digits.step(state, DigitPressed("0"), 2.0)
    assert outputs == ()
    assert state.collection is not None
    assert state.collection.digits == "0"


def test_a_call_without_keys_and_tools_for_them_needs_none_of_this() -> None:
    over = Digits(over=True)
    bare = dataclasses.replace(a_plan(), skills=Skills())
    assert (digits.digits(a_forward()), digits.digits(bare)) == (over, over)
    assert digits.step(over, DigitPressed("0"), 1.0) == (over, ())


@pytest.mark.parametrize(
    ("collects", "words"),
    [
        (PIN, "press the 4 keys again from the beginning. Say"),
        (ANY, "press the keys again from the beginning, and the pound key after them. Say"),
        (CollectDigits(terminator="*"), ", and the star key after them. Say"),
        (CollectDigits(terminator=""), "press the keys again from the beginning. Say"),
    ],
)
def test_what_is_asked_for_again(collects: CollectDigits, words: str) -> None:
    _, outputs = digits.step(held_digits(collects), DeadlineReached(Timer.NEXT_DIGIT), 10.0)
    (wish, deadline) = outputs
    assert isinstance(wish, ResponseWanted)
    assert words in (wish.instructions or "")
    assert deadline == DeadlineWanted(Timer.NEXT_DIGIT, 20.0)


COLLECTIONS = (PIN, ANY, CollectDigits(length=2, retries=0, sensitive=True))
ANYTHING: tuple[digits.Heeded, ...] = (
    *(DigitPressed(key) for key in "012#*"),
    *(DigitsAsked(f"c{number}", NAME, one) for number, one in enumerate(COLLECTIONS)),
    *(TransferGoing(one) for one in (True, False)),
    *(AgentTaken(one) for one in (DESK, AgentName("reception"))),
    CallLive(),
    CallDropped(),
    CallResumed(),
    GreetingOver(),
    CallerStarted("i1"),
    CallerStopped("i1"),
    CallerCommitted("i1"),
    AudioStarted("r1"),
    PlaybackEnded("r1", None, Heard.ALL),
    PlaybackEnded("r2", None, Heard.PART),
)
MOMENTS = st.lists(
    st.tuples(st.sampled_from(ANYTHING), st.sampled_from([0.0, 0.0, 1.0, 4.0, 11.0])), max_size=60
)


@settings(max_examples=1_000, deadline=None)
@given(moments=MOMENTS, parted=st.booleans())
def test_each_collection_ends_once_whatever_happens(
    moments: list[tuple[digits.Heeded, float]], parted: bool
) -> None:
    line = Line(digits.digits(plan(key0="front")))
    for event, seconds in moments:
        line.feed(event).wait(seconds)
    if parted:
        line.feed(Parting()).feed(CallOver())
        assert line.deadline is None
    else:
        line.wait(3 * (10.0 + LONGEST_SPEECH) + 1)
        assert line.ended == line.begun
    assert line.state.collection is None
    assert line.state.armed is False
    assert len(line.state.early) <= LONGEST_INPUT


class Line:
    """The machine alone, with its one deadline, and the collections that have begun and ended."""

    def __init__(self, state: Digits) -> None:
        self.state = state
        self.now = 0.0
        self.deadline: float | None = None
        self.begun = 0
        self.ended = 0

    def feed(self, event: digits.Heeded) -> "Line":
        self.begun += isinstance(event, DigitsAsked)
        before = self.state
        self.state, outputs = digits.step(before, event, self.now)
        for place, output in enumerate(outputs):
            match output:
                case DeadlineWanted(Timer.NEXT_DIGIT, at):
                    assert at >= self.now
                    self.deadline = at
                case DeadlineDropped(Timer.NEXT_DIGIT):
                    self.deadline = None
                case IntentEnded(done=done):
                    self.ended += 1
                    assert done is isinstance(outputs[place - 1], DigitsCollected)
                case TransferAsked(None):
                    assert before.turned
                    assert before.live
                    assert not before.going
                    assert before.collection is None
                case _:
                    pass
        return self

    def wait(self, seconds: float) -> None:
        until = self.now + seconds
        while self.deadline is not None and self.deadline <= until:
            self.now, self.deadline = self.deadline, None
            self.feed(DeadlineReached(Timer.NEXT_DIGIT))
        self.now = until
