"""What somebody on duty has a held call do: said, whispered, written, handed to another agent."""

from dataclasses import replace
from typing import Any

import pytest

from sipagent.model import AgentName, Colleague, Happening, Mark, Reason, Skills, Speaker
from sipagent.sessions.machine import Past, connecting
from sipagent.sessions.machine.commands import (
    AddText,
    CreateResponse,
    HangUp,
    Inform,
    RecordStep,
    RecordTurn,
    Refer,
    SendOutput,
    UpdateSession,
)
from sipagent.sessions.machine.events import (
    AcceptAnswered,
    AgentWanted,
    Answer,
    AudioStarted,
    AudioStopped,
    CallerTyped,
    EndRequested,
    FaultKind,
    Probed,
    ProviderFault,
    Referred,
    ResponseCreated,
    ResponseDone,
    SayWanted,
    SocketClosed,
    SocketOpened,
    TransferWanted,
    Whispered,
)
from sipagent.sessions.machine.farewells import ENDED_BY_SOMEBODY
from sipagent.testing import Playbook, Some, a_plan, a_profile
from tests.sessions.switchboard import (
    HOURLY,
    TRANSFER,
    a_way,
    of,
    outcomes,
    speaks,
    step_kinds,
    uri,
    ways,
)
from tests.sessions.toolkit import BILLING, HANG_UP, a_plan_with, asks, held, lookup, responds

SAY = SayWanted("k1", "One moment, please.")
DICTATION = Some(CreateResponse, tag="dictation", tools=False)


def said(call: Playbook) -> list[str]:
    """The tags of the responses that have been asked for."""
    return [one.tag for one in of(call, CreateResponse)]


def stepped(detail: str) -> RecordStep:
    return RecordStep(Happening.STEPPED_IN, detail)


def live(greeting: str | None = None, **fields: Any) -> Playbook:
    """A call of one agent that is attached."""
    call = Playbook(replace(a_plan(a_profile(greeting=greeting)), **fields))
    call.feed(AcceptAnswered(Answer.DONE), SocketOpened())
    call.commands = []
    return call


def test_the_agent_says_the_words_as_they_are_and_uses_no_tool() -> None:
    call = held(lookup()).feed(SAY)
    step, asked = call.commands
    assert step == stepped("say")
    assert asked == DICTATION
    assert isinstance(asked, CreateResponse)
    assert (asked.instructions or "").endswith('"One moment, please."')
    assert f"{Mark.WANTED}:k1" not in call.notes  # nothing of it has been said
    call.feed(ResponseCreated("r1", "dictation"))
    assert f"{Mark.WANTED}:k1" in call.notes


def test_words_wait_for_what_is_said_and_are_said_one_after_the_other() -> None:
    call = live().feed(ResponseCreated("r1", None), SAY, SayWanted("k2", "Two."))
    assert said(call) == []
    call.feed(ResponseDone("r1", completed=True))
    assert said(call) == ["dictation"]
    call.feed(ResponseCreated("r2", "dictation"))
    assert said(call) == ["dictation"]
    call.feed(ResponseDone("r2", completed=True))
    first, second = of(call, CreateResponse)
    assert first.instructions.endswith('"One moment, please."')
    assert second.instructions.endswith('"Two."')


def test_what_the_caller_has_asked_is_answered_after_the_words() -> None:
    call = live().feed(ResponseCreated("r1", None), CallerTyped("k0", "i0", "Hello?"), SAY)
    call.feed(ResponseDone("r1", completed=True), ResponseCreated("r2", "dictation"))
    call.feed(ResponseDone("r2", completed=True))
    assert said(call) == ["dictation", "reply"]


def test_outputs_of_tools_and_a_goodbye_come_before_the_words() -> None:
    call = held(lookup()).feed(ResponseCreated("r1", None), SAY)
    call.feed(EndRequested(Reason.OPERATOR_HUNG_UP, "Bye."))
    call.feed(ResponseDone("r1", completed=False), ResponseCreated("r2", "goodbye"))
    call.feed(ResponseDone("r2", completed=True))
    assert said(call) == ["goodbye"]


def test_the_same_request_twice_is_said_once() -> None:
    call = live().feed(SAY, SAY, ResponseCreated("r1", "dictation"), SAY)
    call.feed(ResponseDone("r1", completed=True))
    assert said(call) == ["dictation"]


def test_words_that_are_refused_make_room_for_the_next() -> None:
    call = live().feed(SAY, SayWanted("k2", "Two."))
    call.feed(ProviderFault(FaultKind.OTHER, "code", "response-0"))
    assert said(call) == ["dictation", "dictation"]
    call.feed(ResponseCreated("r1", "dictation"), ResponseDone("r1", completed=True))
    assert said(call) == ["dictation", "dictation"]


def test_words_that_met_a_response_of_voice_detection_are_said_after_it() -> None:
    """A provider that gives no tags back: the response that came was not ours after all."""
    call = live(greeting="Hello.")
    call.feed(ResponseCreated("g", None), AudioStarted("g"), ResponseDone("g", completed=True))
    call.feed(AudioStopped("g"))
    call.commands = []
    call.feed(SAY, SayWanted("k2", "Two."), ResponseCreated("r1", None))
    call.feed(ProviderFault(FaultKind.BUSY, "busy", "response-1"))
    call.feed(ResponseDone("r1", completed=True), ResponseCreated("r2", None))
    call.feed(ResponseDone("r2", completed=True))
    words = [one.instructions.rpartition(': "')[2] for one in of(call, CreateResponse)]
    assert words == ['One moment, please."', 'One moment, please."', 'Two."']


def test_words_that_had_not_begun_are_said_when_the_socket_is_back() -> None:
    call = live().feed(ResponseCreated("r1", None), SAY)
    call.feed(SocketClosed(1006), Probed(alive=True))
    assert said(call) == []
    call.feed(SocketOpened())
    assert said(call) == ["dictation"]
    call.feed(ResponseCreated("r2", "dictation"), SocketClosed(1006), Probed(alive=True))
    call.feed(SocketOpened())
    assert said(call) == ["dictation"]


def test_a_whisper_is_told_to_the_model_which_says_nothing_because_of_it() -> None:
    call = live().feed(Whispered("k1", "The caller is known here."), Whispered("k1", "Again."))
    told, step = call.commands
    assert isinstance(told, Inform)
    assert told.text.endswith("The caller is known here.")
    assert step == stepped("message")
    assert f"{Mark.WANTED}:k1" in call.notes


TYPED = CallerTyped("k1", "typed_1", "Where is my order?")


def test_what_the_caller_writes_is_a_turn_that_is_answered() -> None:
    call = live().feed(TYPED)
    turn, text, asked = call.commands
    assert isinstance(turn, RecordTurn)
    assert (turn.turn.speaker, turn.turn.text) == (Speaker.CALLER, "Where is my order?")
    assert text == AddText("typed_1", "Where is my order?")
    assert asked == Some(CreateResponse, tag="reply", instructions=None)
    assert Mark.SOMEBODY in call.notes


def test_what_is_written_during_the_greeting_is_answered_after_it() -> None:
    call = live(greeting="Hello.").feed(ResponseCreated("g", "greeting"), TYPED)
    assert said(call) == []
    call.feed(AudioStarted("g"), ResponseDone("g", completed=True), AudioStopped("g"))
    assert said(call) == ["reply"]


def test_what_is_written_during_a_greeting_without_voice_detection_is_answered_too() -> None:
    quiet = {"input": {"turn_detection": None}}
    call = Playbook(a_plan(a_profile(greeting="Hello.", audio=quiet)))
    call.feed(AcceptAnswered(Answer.DONE), SocketOpened(), ResponseCreated("g", "greeting"), TYPED)
    call.feed(AudioStarted("g"), ResponseDone("g", completed=True), AudioStopped("g"))
    assert said(call) == ["greeting", "reply"]


def test_a_caller_who_writes_withdraws_the_agents_hang_up() -> None:
    call = responds(held(HANG_UP), asks("c1", "hang_up", "{}"), spoken=True)
    call.feed(AudioStopped("r1"), TYPED)
    (told,) = of(call, SendOutput)
    assert "not hung up" in told.output
    call.wait(5)
    assert not of(call, HangUp)


def two_agents(**fields: Any) -> Playbook:
    billing = {"type": "realtime", "instructions": "You are billing.", "tools": []}
    plan = a_plan_with(HANG_UP, colleagues=(Colleague(BILLING, billing, Skills()),), **fields)
    call = Playbook(plan).feed(AcceptAnswered(Answer.DONE), SocketOpened())
    call.commands = []
    return call


def test_another_agent_goes_on_and_introduces_itself() -> None:
    call = two_agents().feed(AgentWanted("k1", BILLING))
    step, update, agent, told, asked = call.commands
    assert step == stepped("switch_agent to billing")
    assert update == Some(UpdateSession, request_id="speak-as-0")
    assert agent == RecordStep(Happening.AGENT, "billing")
    assert isinstance(told, Inform)
    assert "billing" in told.text
    assert asked == Some(CreateResponse, tag="tool")
    assert f"{Mark.AGENT}:0:billing" in call.notes


@pytest.mark.parametrize("agent", ["nobody", "reception"])
def test_an_agent_that_cannot_have_the_call_does_not_get_it(agent: str) -> None:
    call = two_agents().feed(AgentWanted("k1", AgentName(agent)))
    assert [type(one) for one in call.commands] == [RecordStep]


def test_an_agent_that_is_about_to_hang_up_does_not_where_another_is_to_go_on() -> None:
    call = responds(two_agents(), asks("c1", "hang_up", "{}"), spoken=True)
    call.feed(AudioStopped("r1"), AgentWanted("k1", BILLING)).wait(5)
    assert not of(call, HangUp)
    assert call.state.speech.now.agent == BILLING


def test_somebody_on_duty_has_the_agent_say_goodbye_and_then_the_call_is_hung_up() -> None:
    call = live().feed(EndRequested(Reason.OPERATOR_HUNG_UP, ENDED_BY_SOMEBODY, "k1"))
    assert of(call, RecordStep) == [stepped("hang_up")]
    assert said(call) == ["goodbye"]
    speaks(call, "r1", "goodbye")
    assert of(call, HangUp) == [HangUp(Reason.OPERATOR_HUNG_UP)]


WANTED = TransferWanted("k1", a_way("desk").destination)
ORDERED = "ordered:duty-k1"


def desk(*more: str) -> Playbook:
    return held(TRANSFER, ways=ways(a_way("desk", *more), a_way("centre")))


def test_a_transfer_is_announced_and_held_to_the_tenants_quota() -> None:
    call = desk().feed(WANTED)
    assert step_kinds(call) == [Happening.STEPPED_IN]
    wish = Some(CreateResponse, tag="connecting", instructions=connecting.CONNECTING)
    assert of(call, CreateResponse) == [wish]
    assert ORDERED not in call.notes
    speaks(call, "w", "connecting")
    (refer,) = of(call, Refer)
    assert (refer.target_uri, refer.cap) == (uri("desk"), HOURLY)
    assert ORDERED in call.notes


def test_the_same_transfer_is_one_refer_also_when_nobody_took_it() -> None:
    call = speaks(desk().feed(WANTED, WANTED), "w", "connecting").feed(WANTED)
    call.feed(Referred(Answer.DONE)).wait(45)
    call.feed(WANTED).wait(60)
    assert len(of(call, Refer)) == 1
    assert len(outcomes(call)) == 2  # under way, and not taken


@pytest.mark.parametrize("destination", ["moon", "night"])
def test_a_destination_that_cannot_be_reached_is_not_tried(destination: str) -> None:
    call = held(TRANSFER, ways=ways(a_way("night", open=())))
    call.feed(TransferWanted("k1", a_way(destination).destination)).wait(30)
    assert not of(call, Refer)


def test_whoever_takes_the_call_over_does_none_of_it_again() -> None:
    known = (Mark.ACCEPTED, Mark.ATTACHED, Mark.HEARD, Mark.SOMEBODY)
    marks = (*known, ORDERED, "refer:1:desk", "referred:1:refused", "wanted:k2", "wanted:k3")
    past = Past(2, dict.fromkeys(marks, 10.0), rings=False)
    plan = a_plan_with(TRANSFER, ways=ways(a_way("desk")))
    call = Playbook(plan, past, now=15.0).feed(SocketOpened())
    call.commands = []
    call.feed(WANTED, SayWanted("k2", "One moment."), Whispered("k3", "Hm.")).wait(60)
    assert not of(call, Refer)
    assert not of(call, Inform)
    assert said(call) == []
