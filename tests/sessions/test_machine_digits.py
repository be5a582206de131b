"""Keys that tools collect."""

import json
from typing import Any

import pytest

from sipagent.model import (
    CollectDigits,
    Reason,
    ToolStatus,
)
from sipagent.sessions.machine import digits
from sipagent.sessions.machine.commands import CreateResponse, RecordTool, SendOutput
from sipagent.sessions.machine.digits import EARLY, LONGEST_INPUT, LONGEST_SPEECH, Digits
from sipagent.sessions.machine.events import (
    AcceptAnswered,
    Answer,
    AudioStarted,
    AudioStopped,
    CallerCommitted,
    CallerStarted,
    CallerStopped,
    DeadlineReached,
    DigitPressed,
    EndRequested,
    Probed,
    ResponseCreated,
    ResponseDone,
    SocketClosed,
    SocketOpened,
    Timer,
)
from sipagent.sessions.machine.signals import (
    Purpose,
    ResponseUnneeded,
)
from sipagent.testing import Playbook, Some
from tests.sessions.pressed import ANY, PIN, held_digits, plan
from tests.sessions.toolkit import asks, responds


def held(collects: CollectDigits = PIN, **keys: str) -> Playbook:
    call = Playbook(plan(collects, **keys)).feed(AcceptAnswered(Answer.DONE), SocketOpened())
    call.feed(CallerStarted("i0"), CallerStopped("i0"))
    call.commands = []
    return call


def collecting(collects: CollectDigits = PIN) -> Playbook:
    """A call in which the agent has just begun to collect digits, and has been heard."""
    call = responds(held(collects), asks("c1", "pin", "{}"), spoken=True)
    call.wait(2).feed(AudioStopped("r1"))
    call.commands = []
    return call


def press(call: Playbook, keys: str, pause: float = 1.0) -> Playbook:
    for key in keys:
        call.wait(pause).feed(DigitPressed(key))
    return call


def told(call: Playbook) -> dict[str, Any]:
    """What the model gets, of one call of the tool that has ended and is recorded."""
    (sent,) = (one for one in call.commands if isinstance(one, SendOutput))
    (recorded,) = (one.use for one in call.commands if isinstance(one, RecordTool))
    output: dict[str, Any] = json.loads(sent.output)
    assert recorded.output == sent.output
    assert recorded.result is (ToolStatus.FAILED if "error" in output else ToolStatus.DONE)
    return output


AGAIN = Some(CreateResponse, tag="silence", tools=False)


@pytest.mark.parametrize(
    ("collects", "keys", "collected"),
    [
        (PIN, "1234", "1234"),
        (PIN, "*0A9", "*0A9"),
        (ANY, "12#", "12"),
        (CollectDigits(terminator="*"), "1#2*", "1#2"),
        (CollectDigits(length=4, terminator=""), "12#4", "12#4"),
        (CollectDigits(length=2), "12", "12"),
        (ANY, "7" * LONGEST_INPUT, "7" * LONGEST_INPUT),
    ],
)
def test_digits_are_collected(collects: CollectDigits, keys: str, collected: str) -> None:
    call = press(collecting(collects), keys[:-1]).expect()
    assert told(press(call, keys[-1])) == {"digits": collected}
    assert call.state.digits.collection is None


def test_without_a_length_the_time_ends_them() -> None:
    call = press(collecting(ANY), "12").wait(9.9).expect()
    assert told(call.wait(0.2)) == {"digits": "12"}


def test_sensitive_ones_are_told_to_nobody() -> None:
    call = collecting(CollectDigits(length=4, sensitive=True))
    seen = [repr(call.state)]
    for key in "7391":
        press(call, key)
        seen.append(repr(call.state) + repr(call.commands) + repr(DigitPressed(key)))
    assert told(call) == {"status": "collected", "count": 4}
    assert call.state.toolcalls.keys.digits == {"pin": "7391"}
    assert not any(f"'{part}'" in text for text in seen for part in ("7", "73", "739", "7391"))
    assert "7391" not in "".join(seen)


def test_the_agent_asks_again_and_at_last_goes_on_without() -> None:
    call = collecting().wait(9.9).expect().wait(0.2)
    (again,) = call.commands
    assert isinstance(again, CreateResponse)
    assert "the 4 keys" in (again.instructions or "")
    said(call.expect(AGAIN), "r2").wait(9.9).expect()
    said(call.wait(0.2).expect(AGAIN), "r3").wait(9.9).expect()
    assert "has not pressed" in told(call.wait(0.2))["error"]


def said(call: Playbook, response: str, seconds: float = 3.0) -> Playbook:
    """What the agent was asked to say is heard."""
    call.feed(ResponseCreated(response, "silence"), AudioStarted(response))
    return (
        call.feed(ResponseDone(response, completed=True)).wait(seconds).feed(AudioStopped(response))
    )


def test_too_few_are_asked_for_again_from_the_beginning() -> None:
    call = said(press(collecting(), "12#").expect(AGAIN), "r2")
    assert told(press(call, "4567")) == {"digits": "4567"}


def test_a_question_that_waits_is_not_asked_when_the_caller_presses() -> None:
    state = held_digits(ANY)
    state, _ = digits.step(state, DeadlineReached(Timer.NEXT_DIGIT), 20.0)
    state, outputs = digits.step(state, DigitPressed("1"), 20.1)
    assert outputs == (ResponseUnneeded(Purpose.SILENCE),)
    assert digits.step(state, DigitPressed("2"), 20.2)[1] == ()


def test_the_time_for_the_first_key_begins_when_the_agent_has_been_heard() -> None:
    call = responds(held(), asks("c1", "pin", "{}"), spoken=True).wait(25)
    call.commands = []
    call.feed(AudioStopped("r1")).wait(9.9).expect().wait(0.2).expect(AGAIN)


def test_a_caller_who_speaks_instead_is_answered_and_the_keys_are_waited_for() -> None:
    call = press(collecting(), "12").feed(CallerStarted("i1")).wait(30)
    call.feed(CallerStopped("i1"), CallerCommitted("i1"), ResponseCreated("r2", None))
    call.feed(AudioStarted("r2"), ResponseDone("r2", completed=True)).wait(20)
    call.feed(AudioStopped("r2")).wait(9.9).expect()
    assert told(press(call, "34", 0.0)) == {"digits": "1234"}


def test_speech_that_never_ends_does_not_keep_the_tool_for_ever() -> None:
    call = collecting(CollectDigits(length=4, retries=0)).feed(CallerStarted("hum"))
    call.wait(10.0 + LONGEST_SPEECH)
    assert "has not pressed" in told(call)["error"]


def test_nobody_is_asked_about_silence_while_keys_are_waited_for() -> None:
    collecting().wait(9.9).expect()


@pytest.mark.parametrize(
    ("keys", "since", "collected"),
    [("12", 1.0, "12"), ("#12", 1.0, "12"), ("1234", 1.0, "1234"), ("12", EARLY + 0.1, "")],
)
def test_keys_that_were_pressed_a_moment_before_count(
    keys: str, since: float, collected: str
) -> None:
    call = press(held(), keys, 0.0).wait(since)
    responds(call, asks("c1", "pin", "{}"))
    if collected == "1234":
        assert told(call) == {"digits": "1234"}
    else:
        collection = call.state.digits.collection
        assert collection is not None
        assert (collection.digits, collection.asked) == (collected, 0)


def test_no_key_counts_twice() -> None:
    call = press(held(), "1234", 0.0)
    assert told(responds(call, asks("c1", "pin", "{}"))) == {"digits": "1234"}
    call.commands = []
    call.feed(ResponseCreated("r2", "tool"), ResponseDone("r2", completed=True))
    responds(call, asks("c2", "pin", "{}"), response="r3")
    assert call.state.digits.collection is not None
    assert call.state.digits.collection.digits == ""


def test_the_key_that_would_have_ended_a_full_input_is_dropped() -> None:
    call = press(collecting(), "1234#", 0.5)
    assert call.state.digits.early == ()
    press(call, "#")
    assert len(call.state.digits.early) == 1


@pytest.mark.parametrize("key", ["#", "7"])
def test_a_key_that_comes_late_or_is_another_one_is_not(key: str) -> None:
    call = press(collecting(), "1234", 0.5)
    press(call, key, EARLY + 0.1 if key == "#" else 0.5)
    assert len(call.state.digits.early) == 1


def test_a_second_collection_takes_the_place_of_the_first() -> None:
    call = collecting()
    responds(call, asks("c2", "pin", "{}"), response="r2")
    assert "another collection" in told(call)["error"]
    call.commands = []
    assert told(press(call, "1234")) == {"digits": "1234"}


def test_a_lost_socket_does_not_end_a_collection() -> None:
    call = press(collecting(), "12").feed(SocketClosed(1006), Probed(alive=True)).wait(60)
    call.feed(SocketOpened())
    call.commands = []
    call.wait(9.9).expect()
    assert told(press(call, "34", 0.0)) == {"digits": "1234"}


def test_a_goodbye_ends_it() -> None:
    call = press(collecting(), "12").feed(EndRequested(Reason.OPERATOR_HUNG_UP, "Bye."))
    call.commands = []
    press(call, "34").wait(5).expect()
    assert call.state.digits == Digits(over=True)
