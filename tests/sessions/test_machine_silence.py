"""What happens when nobody speaks."""

from typing import Any

import pytest

from sipagent.model import (
    CallPlan,
    Reason,
    Silence,
)
from sipagent.sessions.machine import Past
from sipagent.sessions.machine.commands import Command, CreateResponse, HangUp
from sipagent.sessions.machine.events import (
    AcceptAnswered,
    Answer,
    AudioCleared,
    AudioStarted,
    AudioStopped,
    CallerCommitted,
    CallerStarted,
    CallerStopped,
    CallerTextDone,
    DigitPressed,
    EndRequested,
    FunctionCall,
    Probed,
    ResponseCreated,
    ResponseDone,
    SessionUpdated,
    SocketClosed,
    SocketOpened,
)
from sipagent.sessions.machine.farewells import NOBODY_ANSWERS
from sipagent.sessions.machine.silence import (
    LONGEST_ANSWER,
    LONGEST_SPEECH,
    LONGEST_WAIT,
)
from sipagent.testing import Playbook, Some
from tests.sessions.silent import AFTER, RULE, TRANSCRIBED, plan


class Told(Playbook):
    """A playbook of what is said and of the end, without what is recorded."""

    def expect(self, *commands: Command | Some) -> Playbook:
        self.commands = [one for one in self.commands if isinstance(one, CreateResponse | HangUp)]
        return super().expect(*commands)


def attached(plan: CallPlan) -> Playbook:
    call = Told(plan).feed(AcceptAnswered(Answer.DONE), SocketOpened())
    call.commands = []
    return call


def speak(call: Playbook, item: str, text: str | None = "Yes.", seconds: float = 1.0) -> Playbook:
    """The caller says something for a while, and is answered for as long."""
    call.feed(CallerStarted(item)).wait(seconds).feed(CallerStopped(item), CallerCommitted(item))
    call.feed(ResponseCreated(f"to-{item}", None), CallerTextDone(item, text))
    say(call, f"to-{item}", seconds)
    call.commands = []
    return call


def say(call: Playbook, response: str, seconds: float = 1.0) -> Playbook:
    """A response that has begun is heard."""
    call.feed(AudioStarted(response), ResponseDone(response, completed=True)).wait(seconds)
    return call.feed(AudioStopped(response))


def asked(call: Playbook, number: int) -> Playbook:
    """The agent asks whether the caller is there, and is heard."""
    call.expect(QUESTION)
    return say(call.feed(ResponseCreated(f"q{number}", "silence")), f"q{number}")


def words(call: Playbook) -> str:
    """What the model is asked to say, and nothing else has come."""
    (question,) = call.commands
    assert isinstance(question, CreateResponse)
    return question.instructions or ""


QUESTION = Some(CreateResponse, tag="silence", tools=False)
GOODBYE = Some(CreateResponse, tag="goodbye", instructions=NOBODY_ANSWERS)


def test_two_questions_without_an_answer_end_the_call() -> None:
    call = speak(attached(plan()), "c1")
    call.wait(AFTER - 0.1).expect().wait(0.2)
    assert words(call).endswith(': "Are you still there?"')
    asked(call, 1).wait(AFTER - 0.1).expect().wait(0.2)
    asked(call, 2).wait(AFTER - 0.1).expect().wait(0.2).expect(GOODBYE)
    call.feed(ResponseCreated("bye", "goodbye"))
    say(call, "bye").expect(Some(HangUp, reason=Reason.SILENCE))


def test_an_agent_that_asks_nothing_hangs_up_at_once() -> None:
    call = speak(attached(plan(Silence(AFTER, hang_up_after=0))), "c1")
    call.wait(AFTER - 0.1).expect().wait(0.2).expect(GOODBYE)


def test_without_words_of_its_own_the_agent_asks_in_the_language_of_the_conversation() -> None:
    call = speak(attached(plan(Silence(AFTER))), "c1").wait(AFTER + 0.1)
    assert "In the language of the conversation" in words(call)


def test_the_clock_starts_when_the_agent_has_been_heard_not_when_it_has_been_made() -> None:
    call = attached(plan()).feed(CallerStarted("c1"), CallerStopped("c1"), CallerCommitted("c1"))
    call.feed(CallerTextDone("c1", "Hello."), ResponseCreated("r1", None), AudioStarted("r1"))
    call.feed(ResponseDone("r1", completed=True)).wait(30).feed(AudioStopped("r1")).expect()
    call.wait(AFTER - 0.1).expect().wait(0.2).expect(QUESTION)


def test_the_clock_starts_when_the_agent_has_been_interrupted_and_the_caller_is_silent() -> None:
    call = attached(plan()).feed(ResponseCreated("r1", None), AudioStarted("r1")).wait(3)
    call.feed(CallerStarted("c1"), AudioCleared("r1"), ResponseDone("r1", completed=False)).wait(2)
    call.feed(CallerStopped("c1")).expect()
    call.wait(AFTER - 0.1).expect().wait(0.2).expect(QUESTION)


def test_it_starts_after_the_greeting_of_a_caller_who_says_nothing() -> None:
    call = attached(plan(greeting="Hello.")).feed(ResponseCreated("g", "greeting"))
    say(call, "g", 10.0).feed(SessionUpdated())
    call.commands = []
    call.wait(AFTER - 0.1).expect().wait(0.2).expect(QUESTION)


def test_who_is_not_there_at_all_is_hung_up_after_half_a_minute_as_ever() -> None:
    call = attached(plan(Silence(13.0, "Hello?", hang_up_after=9)))
    asked(call.wait(13.1), 1)
    asked(call.wait(13.1), 2).expect()
    call.wait(5).expect(Some(HangUp, reason=Reason.NOBODY_THERE))


@pytest.mark.parametrize(
    ("transcription", "text", "answers"),
    [
        (TRANSCRIBED, "Yes.", True),
        (TRANSCRIBED, "", False),
        (TRANSCRIBED, " \n", False),
        (TRANSCRIBED, None, True),
        (None, "never told", True),
    ],
    ids=["words", "a noise", "a blank noise", "a transcription that fails", "none at all"],
)
def test_a_noise_is_no_answer_where_words_are_transcribed(
    transcription: Any, text: str | None, answers: bool
) -> None:
    call = speak(attached(plan(transcription=transcription)), "c0")
    asked(call.wait(AFTER + 0.1), 1)
    call.feed(CallerStarted("c1")).wait(1).feed(CallerStopped("c1"))
    if transcription is not None:
        call.feed(CallerTextDone("c1", text))
    call.wait(AFTER - 0.1).expect().wait(0.2)  # the noise starts the clock anew, in any case
    asked(call, 2).wait(AFTER + 0.1).expect(QUESTION if answers else GOODBYE)


def test_words_that_are_not_told_in_time_count_as_an_answer() -> None:
    call = speak(attached(plan()), "c0")
    asked(call.wait(AFTER + 0.1), 1)
    call.feed(CallerStarted("c1"), CallerStopped("c1")).wait(AFTER + 0.1)
    asked(call, 2).wait(AFTER + 0.1)
    asked(call, 3).wait(AFTER + 0.1).expect(GOODBYE)


def test_a_key_is_an_answer() -> None:
    call = speak(attached(plan()), "c0")
    asked(call.wait(AFTER + 0.1), 1).feed(DigitPressed("1")).wait(AFTER + 0.1)
    asked(call, 2).wait(AFTER + 0.1)
    asked(call, 3).wait(AFTER + 0.1).expect(GOODBYE)


def test_speech_that_never_ends_does_not_keep_the_call_open() -> None:
    call = speak(attached(plan()), "c0").feed(CallerStarted("hum"))
    call.wait(LONGEST_SPEECH + AFTER - 0.1).expect().wait(0.2)
    asked(call, 1).feed(CallerStarted("hum2")).wait(LONGEST_SPEECH + AFTER + 0.1)
    asked(call, 2).wait(AFTER + 0.1).expect(GOODBYE)


def test_a_response_of_which_nothing_is_told_any_more_does_not_stop_the_clock_for_ever() -> None:
    call = attached(plan()).feed(CallerStarted("c1"), CallerStopped("c1"), AudioStarted("r9"))
    call.wait(LONGEST_ANSWER + AFTER - 0.1).expect().wait(0.2).expect(QUESTION)


def wait_begins(call: Playbook, response: str, seconds: float = 0.0) -> Playbook:
    """The model answers the caller by the tool `wait`."""
    call.feed(ResponseCreated(response, None)).wait(seconds)
    asks = FunctionCall(f"call-{response}", "wait", "{}")
    call.feed(ResponseDone(response, completed=True, calls=(asks,)))
    call.commands = []
    return call


def test_wait_stops_the_clock_until_the_caller_speaks() -> None:
    call = speak(attached(plan()), "c0").feed(CallerStarted("c1"), CallerStopped("c1"))
    # What led to it is often written down only after it.
    wait_begins(call, "w").feed(CallerTextDone("c1", "Hold on."))
    call.wait(200).expect()
    call.feed(CallerStarted("rustle"), CallerStopped("rustle"), CallerTextDone("rustle", ""))
    call.wait(60).expect()
    call.feed(CallerStarted("c2"), CallerStopped("c2"), CallerTextDone("c2", "Here it is."))
    call.wait(AFTER - 0.1).expect().wait(0.2).expect(QUESTION)


def test_wait_ends_with_any_speech_where_words_are_not_transcribed() -> None:
    call = speak(attached(plan(transcription=None)), "c0")
    wait_begins(call.feed(CallerStarted("c1"), CallerStopped("c1")), "w").wait(100).expect()
    call.feed(CallerStarted("c2"), CallerStopped("c2"))
    call.wait(AFTER - 0.1).expect().wait(0.2).expect(QUESTION)


def test_wait_ends_after_five_minutes_whatever_is_heard() -> None:
    call = speak(attached(plan()), "c0")
    wait_begins(call, "w")
    for number in range(10):
        noise = f"n{number}"
        call.wait(29).feed(CallerStarted(noise), CallerStopped(noise), CallerTextDone(noise, ""))
    call.wait(LONGEST_WAIT - 290 + AFTER - 0.1).expect().wait(0.2).expect(QUESTION)


def test_a_lost_socket_stops_the_clock_and_forgives_the_questions() -> None:
    call = speak(attached(plan()), "c0")
    asked(call.wait(AFTER + 0.1), 1).feed(SocketClosed(1006), Probed(alive=True)).wait(20)
    call.feed(SocketOpened())
    call.commands = []
    call.wait(AFTER - 0.1).expect().wait(0.2)
    asked(call, 2).wait(AFTER + 0.1)
    asked(call, 3).wait(AFTER + 0.1).expect(GOODBYE)


def test_it_is_not_asked_while_a_goodbye_is_said() -> None:
    call = speak(attached(plan()), "c0").wait(AFTER - 1)
    call.feed(EndRequested(Reason.OPERATOR_HUNG_UP, "Bye."))
    call.commands = []
    call.wait(3).expect()


def test_a_call_that_is_taken_over_is_asked_in_the_language_and_by_the_agent_that_it_has() -> None:
    marks = {"attached": 1.0, "somebody": 2.0, "language:0:es": 3.0}
    call = Playbook(plan(), Past(2, marks, rings=False), now=60.0).feed(SocketOpened())
    call.commands = []
    call.wait(AFTER + 0.1)
    assert words(call).endswith(': "¿Sigue ahí?"')
    marks = {"attached": 1.0, "somebody": 2.0, "agent:0:desk": 3.0}
    call = Playbook(plan(), Past(2, marks, rings=False), now=60.0).feed(SocketOpened())
    call.commands = []
    call.wait(5.1).expect(QUESTION)


@pytest.mark.parametrize("agent", [None, "patient"])
def test_nothing_is_asked_where_no_silence_is_configured(agent: str | None) -> None:
    call = attached(plan(None if agent is None else RULE))
    if agent is not None:
        marks = {"attached": 1.0, "somebody": 2.0, f"agent:0:{agent}": 3.0}
        call = Playbook(plan(), Past(2, marks, rings=False)).feed(SocketOpened())
    call.feed(CallerStarted("c1"), CallerStopped("c1"), CallerTextDone("c1", "Hello."))
    call.commands = []
    call.wait(600).expect()
