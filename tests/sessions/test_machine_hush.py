"""The agent says nothing while somebody on duty wants it so, whatever happens meanwhile."""

from dataclasses import replace
from typing import Any

from sipagent.model import (
    Ceilings,
    Colleague,
    Happening,
    Mark,
    Reason,
    Silence,
    Skills,
    ToolResult,
    ToolStatus,
)
from sipagent.sessions.machine import Past
from sipagent.sessions.machine.commands import (
    CancelResponse,
    ClearAudio,
    CreateResponse,
    HangUp,
    RecordStep,
    Refer,
    SendOutput,
    UpdateSession,
)
from sipagent.sessions.machine.events import (
    AcceptAnswered,
    AgentWanted,
    Answer,
    AudioCleared,
    AudioStarted,
    AudioStopped,
    CallerCommitted,
    CallerTyped,
    EndRequested,
    FaultKind,
    HoldWanted,
    Probed,
    ProviderFault,
    ResponseCreated,
    ResponseDone,
    ResumeWanted,
    SayWanted,
    SessionUpdated,
    SocketClosed,
    SocketOpened,
    ToolEnded,
    TransferWanted,
)
from sipagent.testing import Playbook, a_plan, a_profile
from tests.sessions.switchboard import TRANSFER, a_way, announced, of, speaks, ways
from tests.sessions.toolkit import BILLING, HANG_UP, a_plan_with, asks, held, lookup, responds

HOLD, RESUME = HoldWanted("k1"), ResumeWanted("k2")
VAD = {"type": "server_vad", "create_response": True, "interrupt_response": True}


def said(call: Playbook) -> list[str]:
    return [one.tag for one in of(call, CreateResponse)]


def detections(call: Playbook) -> list[Any]:
    """The turn detections that the session has been given."""
    sessions = [one.session for one in of(call, UpdateSession)]
    return [one["audio"]["input"]["turn_detection"] for one in sessions if "audio" in one]


QUIET = {**VAD, "create_response": False}


def spoken(call: Playbook) -> Playbook:
    """The agent is being heard."""
    call.feed(ResponseCreated("r1", None), AudioStarted("r1"))
    call.commands = []
    return call


def test_what_is_said_is_cut_off_and_voice_detection_answers_nothing() -> None:
    call = spoken(held()).feed(HOLD)
    call.expect(
        RecordStep(Happening.STEPPED_IN, "hold"),
        UpdateSession(
            "replies-1", {"type": "realtime", "audio": {"input": {"turn_detection": QUIET}}}
        ),
        CancelResponse("r1"),
        ClearAudio(),
    )
    assert "hush:1:k1" in call.notes


def test_what_ended_before_and_is_still_heard_is_cut_off_too() -> None:
    call = spoken(held()).feed(ResponseDone("r1", completed=True), HOLD)
    assert of(call, ClearAudio) == [ClearAudio()]
    assert not of(call, CancelResponse)


def test_a_turn_that_is_finished_meanwhile_gets_its_one_response_afterwards() -> None:
    call = held().feed(HOLD, CallerCommitted("i1"), CallerCommitted("i2")).wait(20)
    assert said(call) == []
    call.feed(RESUME)
    assert detections(call) == [QUIET, VAD]
    assert said(call) == ["reply"]
    assert "hush:2:k2" in call.notes
    call.feed(ResponseCreated("r1", "reply"), ResponseDone("r1", completed=True)).wait(5)
    assert said(call) == ["reply"]


def test_nothing_is_said_afterwards_to_a_caller_who_has_said_nothing() -> None:
    call = held().feed(HOLD).wait(20).feed(RESUME).wait(5)
    assert said(call) == []


def test_a_response_that_voice_detection_began_all_the_same_is_cut_off_and_owed() -> None:
    call = held().feed(HOLD, ResponseCreated("r1", None), AudioStarted("r1"))
    assert of(call, CancelResponse) == [CancelResponse("r1")]
    assert of(call, ClearAudio) == [ClearAudio()]
    call.feed(ResponseDone("r1", completed=False), AudioCleared("r1"), RESUME)
    assert said(call) == ["reply"]


def test_what_was_asked_for_just_before_is_cut_off_and_owed() -> None:
    call = held().feed(CallerTyped("k0", "i0", "Hello?"), HOLD)
    assert said(call) == ["reply"]
    call.feed(ResponseCreated("r1", "reply"), ResponseDone("r1", completed=False))
    assert of(call, CancelResponse) == [CancelResponse("r1")]
    call.feed(RESUME)
    assert said(call) == ["reply", "reply"]


def test_what_the_caller_writes_meanwhile_is_answered_afterwards() -> None:
    call = held().feed(HOLD, CallerTyped("k3", "i3", "Hello?")).wait(10)
    assert said(call) == []
    assert said(call.feed(RESUME)) == ["reply"]


def test_the_greeting_is_cut_off_and_its_turn_detection_held_back() -> None:
    call = Playbook(a_plan(a_profile(greeting="Hello.")))
    call.feed(AcceptAnswered(Answer.DONE), SocketOpened(), ResponseCreated("g", "greeting"))
    call.feed(AudioStarted("g"), HOLD)
    call.feed(ResponseDone("g", completed=False), AudioCleared("g"))
    assert detections(call) == [QUIET, VAD, QUIET]
    call.feed(SessionUpdated(), SessionUpdated(), CallerCommitted("i1")).wait(20)
    assert said(call) == ["greeting"]
    call.feed(RESUME)
    assert detections(call)[-1] == VAD
    assert said(call) == ["greeting", "reply"]


def test_outputs_of_tools_go_back_and_are_spoken_of_afterwards() -> None:
    call = responds(held(lookup()), asks("c1")).feed(HOLD)
    call.commands = []
    call.feed(ToolEnded("c1", ToolResult(ToolStatus.DONE, '{"a":1}')))
    assert [one.id for one in of(call, SendOutput)] == ["c1"]
    assert said(call.wait(20)) == []
    assert said(call.feed(CallerCommitted("i1"), RESUME)) == ["tool"]
    call.feed(ResponseCreated("r2", "tool"), ResponseDone("r2", completed=True)).wait(5)
    assert said(call) == ["tool"]  # it has answered the caller as well


def test_no_filler_is_said_and_a_model_that_says_nothing_has_not_failed() -> None:
    call = responds(held(lookup(say_while_waiting="One moment.")), asks("c1"))
    call.feed(HOLD, CallerCommitted("i1")).wait(60)
    assert said(call) == []
    assert not of(call, HangUp)


def test_the_clock_of_silence_stands_still_until_the_agent_may_speak() -> None:
    silence = Silence(10.0, "Still there?", 2)
    plan = replace(a_plan_with(), skills=Skills(silence=silence))
    call = Playbook(plan).feed(AcceptAnswered(Answer.DONE), SocketOpened(), HOLD)
    call.feed(CallerCommitted("i0")).wait(120)
    assert said(call) == []
    call.feed(RESUME, ResponseCreated("r1", "reply"), ResponseDone("r1", completed=True)).wait(9.9)
    assert said(call) == ["reply"]
    assert said(call.wait(0.2)) == ["reply", "silence"]


def test_a_caller_of_whom_nothing_is_heard_is_not_hung_up_meanwhile() -> None:
    call = held().feed(HOLD).wait(60)
    assert not of(call, HangUp)


def test_an_agent_that_was_about_to_hang_up_does_not() -> None:
    call = responds(held(HANG_UP), asks("c1", "hang_up", "{}"), spoken=True)
    call.feed(AudioStopped("r1"), HOLD).wait(5)
    assert not of(call, HangUp)


def test_a_hang_up_that_comes_just_after_is_not_begun() -> None:
    call = held(HANG_UP).feed(ResponseCreated("r1", None), HOLD)
    call.feed(ResponseDone("r1", completed=True, calls=(asks("c1", "hang_up", "{}"),))).wait(20)
    assert not of(call, HangUp)
    assert [one.id for one in of(call, SendOutput)] == ["c1"]


def test_a_goodbye_is_said_to_a_call_that_is_ended_meanwhile() -> None:
    call = held().feed(HOLD, EndRequested(Reason.OPERATOR_HUNG_UP, "Bye."))
    assert said(call) == ["goodbye"]
    speaks(call, "r1", "goodbye")
    assert not of(call, CancelResponse)
    assert of(call, HangUp) == [HangUp(Reason.OPERATOR_HUNG_UP)]
    call.feed(RESUME, HOLD)
    assert said(call) == ["goodbye"]


def test_a_goodbye_is_said_when_the_longest_time_is_over() -> None:
    call = held(ceilings=Ceilings(duration=60.0)).feed(HOLD).wait(60)
    assert said(call) == ["goodbye"]


def test_a_transfer_goes_without_a_word() -> None:
    call = held(TRANSFER, ways=ways(a_way("desk"))).feed(HOLD)
    call.feed(TransferWanted("k3", a_way("desk").destination))
    assert said(call) == []
    assert len(of(call, Refer)) == 1


def test_a_transfer_whose_words_are_cut_off_goes_at_once() -> None:
    call = announced(held(TRANSFER, ways=ways(a_way("desk"))))
    call.feed(HOLD, AudioCleared("words"))
    assert len(of(call, Refer)) == 1
    assert said(call) == []


def test_words_that_waited_to_be_said_are_said_afterwards() -> None:
    call = spoken(held()).feed(SayWanted("k3", "One moment."), HOLD)
    call.feed(ResponseDone("r1", completed=False), AudioCleared("r1")).wait(5)
    assert said(call) == []
    assert said(call.feed(RESUME)) == ["dictation"]


def two_agents() -> Playbook:
    semantic = {"type": "semantic_vad", "create_response": True}
    session = {"type": "realtime", "audio": {"input": {"turn_detection": semantic}}}
    plan = a_plan_with(colleagues=(Colleague(BILLING, session, Skills()),))
    call = Playbook(plan).feed(AcceptAnswered(Answer.DONE), SocketOpened())
    call.commands = []
    return call


def test_another_agents_turn_detection_is_held_back_too_and_then_restored() -> None:
    call = two_agents().feed(HOLD, AgentWanted("k3", BILLING))
    given, held_back = detections(call)[-2:]
    assert given["create_response"]
    assert held_back == {"type": "semantic_vad", "create_response": False}
    assert said(call) == []
    call.feed(RESUME)
    assert detections(call)[-1] == {"type": "semantic_vad", "create_response": True}
    assert said(call) == ["tool"]


def test_a_profile_that_answers_by_nobody_is_left_as_it_is() -> None:
    silent = {"input": {"turn_detection": {"type": "server_vad", "create_response": False}}}
    call = Playbook(a_plan(a_profile(greeting=None, audio=silent)))
    call.feed(AcceptAnswered(Answer.DONE), SocketOpened(), HOLD, CallerCommitted("i1"), RESUME)
    assert detections(call) == []
    assert said(call) == []


def test_a_profile_that_speaks_when_nobody_does_is_kept_from_it() -> None:
    idle = {"type": "server_vad", "create_response": True, "idle_timeout_ms": 6000}
    call = Playbook(a_plan(a_profile(greeting=None, audio={"input": {"turn_detection": idle}})))
    call.feed(AcceptAnswered(Answer.DONE), SocketOpened(), HOLD, RESUME)
    assert detections(call) == [{**idle, "create_response": False, "idle_timeout_ms": None}, idle]


def test_to_hold_or_to_resume_twice_changes_nothing() -> None:
    call = held().feed(RESUME, HOLD, HoldWanted("k3"))
    assert detections(call) == [QUIET]
    call.feed(RESUME, ResumeWanted("k4"))
    assert detections(call) == [QUIET, VAD]


def test_a_socket_that_was_lost_is_told_again_and_an_answer_may_be_owed() -> None:
    call = held().feed(HOLD, SessionUpdated(), SocketClosed(1006), Probed(alive=True))
    call.commands = []
    call.feed(SocketOpened())
    assert detections(call) == [QUIET]
    assert said(call.wait(20)) == []
    assert said(call.feed(RESUME)) == ["reply"]


def test_a_change_that_may_not_have_arrived_is_sent_again() -> None:
    call = held().feed(HOLD, SessionUpdated(), RESUME, SocketClosed(1006), Probed(alive=True))
    call.commands = []
    call.feed(SocketOpened())
    assert detections(call) == [VAD]


def adopted(*marks: str) -> Playbook:
    known = (Mark.ACCEPTED, Mark.ATTACHED, Mark.HEARD, Mark.SOMEBODY, *marks)
    past = Past(2, dict.fromkeys(known, 10.0), rings=False)
    call = Playbook(a_plan(a_profile(greeting=None)), past, now=15.0)
    call.feed(SocketOpened())
    return call


def test_whoever_takes_the_call_over_keeps_it_so() -> None:
    call = adopted("hush:1:k1").feed(ResponseCreated("r1", None))
    assert detections(call) == [QUIET]
    assert of(call, CancelResponse) == [CancelResponse("r1")]
    assert said(call.feed(ResponseDone("r1", completed=False), RESUME)) == ["reply"]
    assert "hush:2:k2" in call.notes


def test_whoever_takes_over_a_call_whose_agent_may_speak_again_has_it_be_so() -> None:
    call = adopted("hush:1:k1", "hush:2:k2").feed(ResponseCreated("r1", None))
    assert detections(call) == [VAD]  # the owner before may not have sent it
    assert not of(call, CancelResponse)


def test_a_change_is_sent_again_also_if_another_one_has_been_confirmed_since() -> None:
    call = held().feed(HOLD, RESUME, SessionUpdated(), SocketClosed(1006), Probed(alive=True))
    call.commands = []
    call.feed(SocketOpened())
    assert detections(call) == [VAD]


def test_a_call_that_was_never_held_is_told_nothing_when_its_socket_is_back() -> None:
    call = held().feed(SocketClosed(1006), Probed(alive=True))
    call.commands = []
    call.feed(SocketOpened())
    assert detections(call) == []


def test_a_request_that_is_refused_meanwhile_waits_or_is_dropped_as_any_other() -> None:
    busy = ProviderFault(FaultKind.BUSY, "busy", "response-0")
    waiting = held().feed(
        SayWanted("k3", "One moment."), HOLD, busy, ResponseDone("r1", completed=True)
    )
    assert said(waiting.feed(RESUME)) == ["dictation", "dictation"]
    call = held(TRANSFER, ways=ways(a_way("desk")))
    call.feed(TransferWanted("k3", a_way("desk").destination), HOLD, busy)
    assert len(of(call, Refer)) == 1  # its words will not be heard
    call.feed(ResponseDone("r1", completed=True), RESUME)
    assert said(call) == ["connecting"]


def test_what_was_refused_before_the_end_is_not_said_after_the_goodbye() -> None:
    call = held(TRANSFER, ways=ways(a_way("desk")))
    call.feed(TransferWanted("k3", a_way("desk").destination))
    call.feed(EndRequested(Reason.OPERATOR_HUNG_UP, "Bye."))
    call.feed(ProviderFault(FaultKind.BUSY, "busy", "response-0"))
    call.feed(ResponseDone("r1", completed=True), ResponseCreated("r2", "goodbye"))
    call.feed(ResponseDone("r2", completed=True))
    assert said(call) == ["connecting", "goodbye"]
