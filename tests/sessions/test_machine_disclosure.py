"""What has to be said at the beginning of a call, and whether it has been."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sipagent.model import CallPlan, Greeting, Happening, Mark
from sipagent.sessions.machine import Past, disclosure
from sipagent.sessions.machine.commands import Note, RecordStep
from sipagent.sessions.machine.disclosure import ALIKE, similarity
from sipagent.sessions.machine.events import (
    AcceptAnswered,
    AgentTextDone,
    Answer,
    AudioCleared,
    AudioStarted,
    AudioStopped,
    FaultKind,
    Probed,
    ProviderFault,
    ResponseCreated,
    ResponseDone,
    SocketClosed,
    SocketOpened,
)
from sipagent.sessions.machine.signals import (
    CallLive,
    CallOver,
    CallResumed,
    GreetingOver,
    Heard,
    PlaybackEnded,
    Purpose,
    ResponseStarted,
)
from sipagent.testing import Playbook, a_forward, a_plan

DUE = "I'm Acme's virtual assistant; this call is transcribed."
GREETING = f"{DUE} You have reached Acme. How can I help?"
AS_SAID = "I am Acme's virtual assistant, and this call is transcribed. How can I help?"
SAID, UNSAID = Happening.DISCLOSED, Happening.NOT_DISCLOSED


def plan(due: str | None = DUE) -> CallPlan:
    return replace(a_plan(), greeting=Greeting(GREETING, interruptible=False), disclosure=due)


def attached(due: str | None = DUE) -> Playbook:
    return Playbook(plan(due)).feed(AcceptAnswered(Answer.DONE), SocketOpened())


def spoken(call: Playbook, text: str, *, tag: str | None = "greeting") -> Playbook:
    """The greeting has been made, and begins to be heard."""
    call.feed(ResponseCreated("g", tag), AudioStarted("g"), AgentTextDone("g", "i1", text))
    return call.feed(ResponseDone("g", completed=True)).wait(5)


def recorded(call: Playbook) -> list[Happening]:
    steps = [one.what for one in call.commands if isinstance(one, RecordStep)]
    told = [step for step in steps if step in (SAID, UNSAID)]
    assert call.notes.count(Mark.DISCLOSURE) == len(told)
    return told


@pytest.mark.parametrize(
    ("text", "told"),
    [(GREETING, SAID), (AS_SAID, SAID), ("Hello, this is Alex!", UNSAID), ("", UNSAID)],
)
def test_the_transcript_is_compared_with_what_had_to_be_said(text: str, told: Happening) -> None:
    call = spoken(attached(), text)
    assert recorded(call) == []
    assert recorded(call.feed(AudioStopped("g"))) == [told]
    assert recorded(call.feed(SocketClosed(1000), Probed(alive=False))) == [told]


def test_a_greeting_that_the_caller_has_not_heard_to_its_end_does_not_count() -> None:
    assert recorded(spoken(attached(), GREETING).feed(AudioCleared("g"))) == [UNSAID]


def test_a_long_one_is_heard_after_the_caller_has_got_the_turn() -> None:
    call = spoken(attached(), GREETING).wait(20)
    assert recorded(call) == []
    assert recorded(call.feed(AudioStopped("g"))) == [SAID]


def test_it_is_not_said_where_the_greeting_is_refused() -> None:
    call = attached().feed(ProviderFault(FaultKind.OTHER, "server_error", "response-0"))
    assert recorded(call) == [UNSAID]


def test_it_is_not_said_where_the_greeting_never_begins() -> None:
    assert recorded(attached().wait(9)) == []
    assert recorded(attached().wait(16)) == [UNSAID]


def test_it_is_not_said_to_a_caller_who_has_hung_up_before() -> None:
    call = spoken(attached(), GREETING).feed(SocketClosed(1000), Probed(alive=False))
    assert recorded(call) == [UNSAID]


def test_a_call_that_is_never_attached_is_no_call_without_it() -> None:
    assert recorded(Playbook(plan()).feed(AcceptAnswered(Answer.GONE))) == []


def test_what_voice_detection_had_said_before_it_does_not_count() -> None:
    call = spoken(attached(), "Hello? How can I help?", tag=None)
    call.feed(ResponseCreated("g2", "greeting"), AudioStopped("g"), AudioStarted("g2"))
    assert recorded(call) == []
    call.feed(AgentTextDone("g2", "i2", GREETING), ResponseDone("g2", completed=True))
    assert recorded(call.feed(AudioStopped("g2"))) == [SAID]


def test_a_greeting_in_two_items_is_one_text() -> None:
    call = attached().feed(ResponseCreated("g", "greeting"), AudioStarted("g"))
    call.feed(AgentTextDone("g", "i1", DUE[:20]), AgentTextDone("g", "i2", DUE[20:]))
    call.feed(ResponseDone("g", completed=True), AudioStopped("g"))
    assert recorded(call) == [SAID]


@pytest.mark.parametrize("due", [None, DUE])
def test_a_call_that_is_taken_over_is_recorded_once(due: str | None) -> None:
    marks: dict[str, float] = {Mark.ATTACHED: 1.0, Mark.GREETING: 1.0, Mark.DISCLOSURE: 9.0}
    call = Playbook(plan(due), Past(2, marks, rings=False), now=60.0).feed(SocketOpened())
    assert recorded(call) == []
    del marks[Mark.DISCLOSURE]
    call = Playbook(plan(due), Past(2, marks, rings=False), now=60.0).feed(SocketOpened())
    assert recorded(call) == [UNSAID] * (due is not None)


def test_where_nothing_has_to_be_said_nothing_is_recorded() -> None:
    assert recorded(spoken(attached(None), GREETING).feed(AudioStopped("g"))) == []
    assert disclosure.disclosure(a_forward()).over


@pytest.mark.parametrize(
    ("words", "said", "alike"),
    [
        ("This call is recorded.", "this call is RECORDED", True),
        ("Este es un asistente virtual.", "¡Este es un asistente virtual! ¿Qué desea?", True),
        (DUE, f"Hello! {DUE}", True),
        (DUE, AS_SAID, True),
        (DUE, "I'm Acme's assistant.", False),
        (DUE, "How can I help? " + DUE.upper(), False),
        (DUE, "", False),
        ("", "", True),
    ],
)
def test_similarity(words: str, said: str, alike: bool) -> None:
    assert (similarity(words, said) >= ALIKE) is alike


RESPONSES = ("g", "h")
ANYTHING: tuple[disclosure.Heeded, ...] = (
    CallLive(),
    CallResumed(),
    GreetingOver(),
    CallOver(),
    *(ResponseStarted(one, why) for one in RESPONSES for why in (None, Purpose.GREETING)),
    *(AgentTextDone(one, "i1", text) for one in RESPONSES for text in (GREETING, "x" * 30_000)),
    *(PlaybackEnded(one, None, heard) for one in RESPONSES for heard in Heard),
)


@settings(max_examples=300, deadline=None)
@given(happened=st.lists(st.sampled_from(ANYTHING), max_size=40))
def test_it_is_recorded_at_most_once_and_always_by_the_end_of_a_live_call(
    happened: list[disclosure.Heeded],
) -> None:
    state = disclosure.disclosure(plan())
    outputs: list[object] = []
    for event in (*happened, CallLive(), CallOver()):
        state, more = disclosure.step(state, event, 1.0)
        outputs += more
        assert len(state.said) <= 2_000
    (step, note) = outputs
    assert isinstance(step, RecordStep)
    assert note == Note(Mark.DISCLOSURE)
