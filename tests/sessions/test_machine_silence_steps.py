"""The clock of silence, event by event, and in any order of events."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sipagent.model import (
    AgentName,
    Reason,
)
from sipagent.sessions.machine import silence
from sipagent.sessions.machine.commands import Command
from sipagent.sessions.machine.events import (
    AudioStarted,
    CallerCommitted,
    CallerStarted,
    CallerStopped,
    CallerTextDone,
    DeadlineReached,
    DigitPressed,
    Timer,
)
from sipagent.sessions.machine.signals import (
    AgentTaken,
    CallDropped,
    CallLive,
    CallResumed,
    DeadlineDropped,
    DeadlineWanted,
    EndWanted,
    GreetingOver,
    Heard,
    LanguageTaken,
    Parting,
    PlaybackEnded,
    Purpose,
    ResponseDropped,
    ResponseEnded,
    ResponseStarted,
    ResponseUnneeded,
    ResponseWanted,
    ToolsBusy,
    TransferGoing,
    WaitBegun,
)
from sipagent.sessions.machine.silence import (
    LONGEST_ANSWER,
    LONGEST_SPEECH,
    LONGEST_WAIT,
    Manners,
    Quiet,
    quiet,
)
from sipagent.testing import a_forward
from tests.sessions.silent import AFTER, DEAF, DESK, RULE, plan


def test_most_turns_cost_no_deadline() -> None:
    """A deadline that is on its way is put off, not replaced by each turn."""
    state = quiet(plan())
    state, _ = silence.step(state, CallLive(), 0.0)
    state, _ = silence.step(state, GreetingOver(), 0.0)
    wanted, now = 0, 0.0
    for number in range(200):
        for event in turn_of_both(number):
            now += 0.3
            if state.armed is not None and now >= state.armed:
                state, outputs = silence.step(state, DeadlineReached(Timer.SILENT), now)
                wanted += len(outputs)
            state, outputs = silence.step(state, event, now)
            wanted += len(outputs)
    assert wanted <= now / AFTER + 1


def turn_of_both(number: int) -> tuple[silence.Heeded, ...]:
    item, response = f"c{number}", f"r{number}"
    return (
        CallerStarted(item),
        CallerStopped(item),
        CallerCommitted(item),
        ResponseStarted(response, None),
        CallerTextDone(item, "word"),
        AudioStarted(response),
        ResponseEnded(response, None, completed=True),
        PlaybackEnded(response, None, Heard.ALL),
    )


LIVE = Quiet(quiet(plan()).manners, live=True, turned=True)
HEARD = replace(LIVE, since=5.0, armed=5.0 + AFTER, speech="c1")
NOW = 7.0
SINCE = replace(HEARD, since=NOW)
WAITING = replace(SINCE, waits=NOW, before="c1")

STEPS: dict[str, tuple[Quiet, silence.Heeded, Quiet, tuple[object, ...]]] = {
    "attached": (Quiet(LIVE.manners), CallLive(), Quiet(LIVE.manners, live=True, since=NOW), ()),
    "attached again": (
        replace(HEARD, live=False, armed=None),
        CallResumed(),
        replace(SINCE, armed=NOW + AFTER),
        (DeadlineWanted(Timer.SILENT, NOW + AFTER),),
    ),
    "the caller has the turn": (
        replace(LIVE, turned=False),
        GreetingOver(),
        replace(LIVE, since=NOW, armed=NOW + AFTER),
        (DeadlineWanted(Timer.SILENT, NOW + AFTER),),
    ),
    "the socket is lost": (
        replace(HEARD, asked=2, untold=1, speaking=True, active="r1", playing="r1"),
        CallDropped(),
        replace(HEARD, live=False),
        (),
    ),
    "speech": (HEARD, CallerStarted("c2"), replace(SINCE, speaking=True, speech="c2"), ()),
    "more speech": (
        replace(HEARD, speaking=True),
        CallerStarted("c2"),
        replace(HEARD, speaking=True, speech="c2"),
        (),
    ),
    "the end of speech": (
        replace(HEARD, speaking=True),
        CallerStopped("c1"),
        replace(SINCE, untold=1),
        (),
    ),
    "a turn that nothing told the end of": (
        replace(HEARD, speaking=True),
        CallerCommitted("c1"),
        replace(SINCE, untold=1),
        (),
    ),
    "a turn that is over": (HEARD, CallerCommitted("c1"), HEARD, ()),
    "words": (
        replace(HEARD, asked=1, untold=1),
        CallerTextDone("c1", "Yes."),
        HEARD,
        (),
    ),
    "no words": (
        replace(HEARD, asked=1, untold=1),
        CallerTextDone("c1", ""),
        replace(HEARD, asked=1),
        (),
    ),
    "words of before the wait": (WAITING, CallerTextDone("c1", "Wait."), WAITING, ()),
    "words in the wait": (WAITING, CallerTextDone("c2", "So."), replace(WAITING, waits=None), ()),
    "a key": (
        replace(WAITING, since=1.0, asked=1),
        DigitPressed("1"),
        replace(WAITING, waits=None),
        (),
    ),
    "wait": (HEARD, WaitBegun(), WAITING, ()),
    "a response": (HEARD, ResponseStarted("r1", None), replace(SINCE, active="r1"), ()),
    "the question begins": (
        replace(HEARD, asked=1, wanted=True),
        ResponseStarted("r1", Purpose.SILENCE),
        replace(SINCE, asked=1, active="r1"),
        (),
    ),
    "another response comes first": (
        replace(HEARD, asked=1, wanted=True),
        ResponseStarted("r1", None),
        replace(SINCE, active="r1"),
        (ResponseUnneeded(Purpose.SILENCE),),
    ),
    "the question comes to nothing": (
        replace(HEARD, asked=1, wanted=True),
        ResponseDropped(Purpose.SILENCE),
        replace(HEARD, asked=1),
        (),
    ),
    "another wish comes to nothing": (HEARD, ResponseDropped(Purpose.REPLY), HEARD, ()),
    "the response is made": (
        replace(HEARD, active="r1"),
        ResponseEnded("r1", None, completed=True),
        SINCE,
        (),
    ),
    "a former one is made": (
        replace(HEARD, active="r2"),
        ResponseEnded("r1", None, completed=True),
        replace(HEARD, active="r2"),
        (),
    ),
    "a sound": (HEARD, AudioStarted("r1"), replace(SINCE, playing="r1"), ()),
    "it has been heard": (
        replace(HEARD, playing="r1"),
        PlaybackEnded("r1", None, Heard.PART),
        SINCE,
        (),
    ),
    "a former one has been": (
        replace(HEARD, playing="r2"),
        PlaybackEnded("r1", None, Heard.NOTHING),
        replace(HEARD, playing="r2"),
        (),
    ),
    "tools run": (HEARD, ToolsBusy(busy=True), replace(SINCE, busy=True), ()),
    "a transfer": (HEARD, TransferGoing(going=True), replace(SINCE, going=True), ()),
    "a transfer is over": (
        replace(HEARD, going=True, armed=None),
        TransferGoing(going=False),
        replace(SINCE, armed=NOW + AFTER),
        (DeadlineWanted(Timer.SILENT, NOW + AFTER),),
    ),
    "an agent with less patience": (
        HEARD,
        AgentTaken(DESK),
        replace(
            HEARD,
            armed=10.0,
            manners=replace(HEARD.manners, now=HEARD.manners.agents[1]),
        ),
        (DeadlineWanted(Timer.SILENT, 10.0),),
    ),
    "time is up while the call is being sent on": (
        replace(HEARD, going=True),
        DeadlineReached(Timer.SILENT),
        replace(HEARD, going=True, armed=None),
        (),
    ),
    "the words that end a wait are told when a deadline has been put off": (
        replace(WAITING, since=5.0, armed=18.0),
        CallerTextDone("c2", "So."),
        replace(HEARD, speech="c1", before="c1", armed=17.0),
        (DeadlineWanted(Timer.SILENT, 17.0),),
    ),
    "time is up while tools run": (
        replace(HEARD, busy=True),
        DeadlineReached(Timer.SILENT),
        replace(HEARD, busy=True, armed=None),
        (),
    ),
    "time is up too early": (
        HEARD,
        DeadlineReached(Timer.SILENT),
        HEARD,
        (DeadlineWanted(Timer.SILENT, 5.0 + AFTER),),
    ),
    "another time is up": (HEARD, DeadlineReached(Timer.ANSWER_DUE), HEARD, ()),
    "the call is ending": (
        HEARD,
        Parting(),
        Quiet(over=True),
        (DeadlineDropped(Timer.SILENT),),
    ),
    "the call is ending unwatched": (LIVE, Parting(), Quiet(over=True), ()),
    "nothing counts then": (Quiet(over=True), CallLive(), Quiet(over=True), ()),
}


@pytest.mark.parametrize(("before", "event", "after", "outputs"), STEPS.values(), ids=STEPS)
def test_step(
    before: Quiet, event: silence.Heeded, after: Quiet, outputs: tuple[object, ...]
) -> None:
    assert silence.step(before, event, NOW) == (after, outputs)


def test_a_question_that_has_not_been_sent_is_withdrawn_when_the_caller_speaks() -> None:
    state = replace(HEARD, asked=1, wanted=True)
    after, outputs = silence.step(state, CallerStarted("c2"), 20.0)
    assert (after.asked, after.wanted) == (0, False)
    assert outputs == (ResponseUnneeded(Purpose.SILENCE),)


def test_the_question_waits_for_a_tool_and_the_clock_starts_after_it() -> None:
    _, outputs = silence.step(replace(HEARD, busy=True, armed=None), CallerStarted("c2"), 20.0)
    assert outputs == ()
    after, outputs = silence.step(replace(HEARD, busy=True, armed=None), ToolsBusy(False), 20.0)
    assert outputs == (DeadlineWanted(Timer.SILENT, 20.0 + AFTER),)
    assert after.due == 20.0 + AFTER


@pytest.mark.parametrize(
    ("language", "words"),
    [(None, "Are you still there?"), ("es", "¿Sigue ahí?"), ("de", "Are you still there?")],
)
def test_a_language_has_its_own_question(language: str | None, words: str) -> None:
    state, _ = silence.step(HEARD, LanguageTaken(language), NOW)
    assert state.manners.question.endswith(f': "{words}"')


def test_a_language_without_words_has_none_of_another() -> None:
    state, _ = silence.step(HEARD, LanguageTaken("fr"), NOW)
    assert "still there?" not in state.manners.question
    assert "In the language of the conversation" in state.manners.question


def test_whether_words_are_told_depends_on_the_agent() -> None:
    stopped, _ = silence.step(replace(HEARD, speaking=True, asked=1), CallerStopped("c1"), NOW)
    assert (stopped.asked, stopped.untold) == (1, 1)
    deaf, _ = silence.step(replace(HEARD, speaking=True, asked=1), AgentTaken(DEAF), NOW)
    stopped, _ = silence.step(deaf, CallerStopped("c1"), NOW)
    assert (stopped.asked, stopped.untold) == (0, 0)


def test_a_call_that_is_sent_on_has_no_clock() -> None:
    assert quiet(a_forward()) == Quiet(over=True)
    assert quiet(dataclasses.replace(plan(None), colleagues=())) == Quiet(over=True)
    assert Manners().rule is None


ITEMS = ("c1", "c2")
RESPONSES = ("r1", "r2")
ANYTHING: tuple[silence.Heeded, ...] = (
    CallLive(),
    CallDropped(),
    CallResumed(),
    GreetingOver(),
    DigitPressed("1"),
    WaitBegun(),
    AgentTaken(DESK),
    AgentTaken(AgentName("patient")),
    AgentTaken(AgentName("reception")),
    *(LanguageTaken(one) for one in (None, "es")),
    *(ToolsBusy(one) for one in (True, False)),
    *(TransferGoing(one) for one in (True, False)),
    *(CallerStarted(one) for one in ITEMS),
    *(CallerStopped(one) for one in ITEMS),
    *(CallerCommitted(one) for one in ITEMS),
    *(CallerTextDone(one, text) for one in ITEMS for text in (None, "", "yes")),
    *(ResponseStarted(one, for_) for one in RESPONSES for for_ in (None, Purpose.SILENCE)),
    *(ResponseEnded(one, None, True) for one in RESPONSES),
    *(AudioStarted(one) for one in RESPONSES),
    *(PlaybackEnded(one, None, Heard.ALL) for one in RESPONSES),
    ResponseDropped(Purpose.SILENCE),
)
MOMENTS = st.lists(
    st.tuples(st.sampled_from(ANYTHING), st.sampled_from([0.0, 0.0, 1.0, 4.0, 13.0, 90.0])),
    max_size=60,
)


@settings(max_examples=1_000, deadline=None)
@given(moments=MOMENTS)
def test_whatever_happens_the_clock_runs_down_in_the_end_and_never_before_its_time(
    moments: list[tuple[silence.Heeded, float]],
) -> None:
    line = Line(quiet(plan()))
    for event, seconds in moments:
        line.feed(event).wait(seconds)
    # Everything that may stop the clock is over, or never tells its end.
    for event in (CallResumed(), GreetingOver(), ToolsBusy(False), TransferGoing(False)):
        line.feed(event)
    line.feed(AgentTaken(AgentName("reception")))
    line.ended = False
    line.wait(LONGEST_ANSWER + LONGEST_WAIT + 3 * (AFTER + LONGEST_SPEECH))
    assert line.ended


class Line:
    """The machine alone, with its one deadline. A question is not asked before its time."""

    def __init__(self, state: Quiet) -> None:
        self.state = state
        self.now = 0.0
        self.deadline: float | None = None
        self.quiet_since = 0.0
        self.questions = 0
        self.ended = False

    def feed(self, event: silence.Heeded) -> "Line":
        before = self.state
        self.state, outputs = silence.step(before, event, self.now)
        assert 0 <= self.state.asked <= RULE.hang_up_after
        for output in outputs:
            self._take(output, before)
        if not isinstance(event, DeadlineReached | AgentTaken | LanguageTaken | CallerTextDone):
            self.quiet_since = max(self.quiet_since, self.state.since)
        return self

    def _take(self, output: Command | silence.Output, before: Quiet) -> None:
        match output:
            case DeadlineWanted(Timer.SILENT, at):
                assert at >= self.now
                self.deadline = at
            case ResponseWanted(Purpose.SILENCE, tools=False) | EndWanted(Reason.SILENCE):
                assert before.live
                assert before.turned
                assert not before.busy
                assert not before.going
                assert before.manners.rule is not None
                assert self.now >= before.since + before.manners.rule.after
                self.ended = self.ended or isinstance(output, EndWanted)
            case _:
                assert output == ResponseUnneeded(Purpose.SILENCE)

    def wait(self, seconds: float) -> None:
        until = self.now + seconds
        while self.deadline is not None and self.deadline <= until:
            self.now, self.deadline = self.deadline, None
            self.feed(DeadlineReached(Timer.SILENT))
        self.now = until
