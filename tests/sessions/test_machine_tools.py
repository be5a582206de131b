"""The model asks for tools: what runs, what goes back, and when the model is asked to go on."""

import json
from dataclasses import replace
from typing import Any

import pytest

from sipagent.model import (
    AgentName,
    Colleague,
    Effects,
    Mark,
    McpServer,
    Reason,
    Requirement,
    Skills,
    ToolName,
    ToolResult,
    ToolStatus,
)
from sipagent.sessions.machine import Past
from sipagent.sessions.machine.call import _pass_round
from sipagent.sessions.machine.commands import (
    Approve,
    CancelTool,
    CreateResponse,
    Finish,
    HangUp,
    RecordTool,
    RunTool,
    SendOutput,
)
from sipagent.sessions.machine.events import (
    AcceptAnswered,
    Answer,
    ApprovalAsked,
    AudioStarted,
    AudioStopped,
    CallerCommitted,
    CallerStarted,
    EndRequested,
    FaultKind,
    FunctionCall,
    HangUpAnswered,
    OutputAdded,
    Probed,
    ProviderFault,
    ResponseCreated,
    ResponseDone,
    SocketClosed,
    SocketOpened,
    ToolEnded,
)
from sipagent.sessions.machine.signals import DigitsCollected
from sipagent.testing import Playbook, Some
from tests.sessions.toolkit import (
    EVERYTHING,
    HANG_UP,
    MESSAGE,
    WAIT,
    a_plan_with,
    asks,
    held,
    lookup,
    responds,
)

DONE = ToolResult(ToolStatus.DONE, '{"eta":"Tuesday"}')


def run(call_id: str, name: str = "order_status", **fields: Any) -> Some:
    return Some(RunTool, id=call_id, mark=f"tool:{call_id}:{name}", **fields)


def told(call_id: str, **fields: Any) -> Some:
    return Some(SendOutput, id=call_id, **fields)


def recorded(call: Playbook) -> list[tuple[str, ToolStatus]]:
    return [(one.use.name, one.use.result) for one in call.commands if isinstance(one, RecordTool)]


def outputs(call: Playbook) -> dict[str, Any]:
    """What has been sent back, by the id of the call, as JSON."""
    return {one.id: json.loads(one.output) for one in call.commands if isinstance(one, SendOutput)}


SPEAKS = Some(CreateResponse, tag="tool", tools=True)
HUNG_UP = Some(RecordTool)


def test_a_tool_runs_when_the_response_is_done_and_the_model_is_asked_once() -> None:
    call = held(lookup())
    call.feed(ResponseCreated("r1", None)).expect()
    call.feed(ResponseDone("r1", completed=True, calls=(asks("c1"),)))
    call.expect(run("c1", arguments={"order_no": "A1"}))
    call.feed(ToolEnded("c1", DONE))
    call.expect(told("c1", output='{"eta":"Tuesday"}', note="told:c1"), Some(RecordTool), SPEAKS)


def test_the_calls_of_a_response_run_side_by_side_and_all_outputs_precede_the_request() -> None:
    call = responds(held(lookup()), asks("c1"), asks("c2"))
    call.expect(run("c1"), run("c2"))
    call.feed(ToolEnded("c2", DONE)).expect(told("c2"), Some(RecordTool))
    call.feed(ToolEnded("c1", DONE)).expect(told("c1"), Some(RecordTool), SPEAKS)


def test_a_call_of_another_response_does_not_keep_the_first_from_being_answered() -> None:
    call = responds(held(lookup()), asks("slow"))
    responds(call, asks("quick"), response="r2")
    call.commands = []
    call.feed(ToolEnded("quick", DONE)).expect(told("quick"), Some(RecordTool), SPEAKS)
    call.feed(ResponseCreated("r3", "tool"), ToolEnded("slow", DONE))
    call.expect(told("slow"), Some(RecordTool))
    call.feed(ResponseDone("r3", completed=True)).expect(SPEAKS)


def test_three_run_at_once_and_the_others_wait_for_their_turn() -> None:
    call = responds(held(lookup()), *(asks(f"c{n}") for n in range(5)))
    call.expect(run("c0"), run("c1"), run("c2"))
    call.feed(ToolEnded("c1", DONE)).expect(run("c3"), told("c1"), Some(RecordTool))
    call.feed(ToolEnded("c0", DONE)).expect(run("c4"), told("c0"), Some(RecordTool))


def test_a_hundred_parallel_calls_are_answered_each_and_few_of_them_run() -> None:
    call = responds(held(lookup()), *(asks(f"c{n}") for n in range(100)))
    running = [one.id for one in call.commands if isinstance(one, RunTool)]
    assert running == ["c0", "c1", "c2"]
    refused = outputs(call)
    assert set(refused) == {f"c{n}" for n in range(16, 100)}
    assert not any(isinstance(one, CreateResponse) for one in call.commands)
    for number in range(16):
        call.feed(ToolEnded(f"c{number}", DONE))
    assert set(outputs(call)) == {f"c{n}" for n in range(100)}
    assert call.commands[-1] == SPEAKS
    assert sum(isinstance(one, CreateResponse) for one in call.commands) == 1


def test_a_call_may_use_so_many_tools_and_no_more() -> None:
    call = held(lookup())
    for number in range(30):
        responds(call, asks(f"c{number}"), response=f"r{number}")
        call.feed(ToolEnded(f"c{number}", DONE))
    call.commands = []
    responds(call, asks("more"), response="r99")
    assert "too many" in outputs(call)["more"]["error"]


@pytest.mark.parametrize(
    ("name", "arguments", "why"),
    [
        ("no_such_tool", "{}", "no tool of this name"),
        ("order_status", "{}", "required"),
        ("order_status", '{"order_no": 7}', "order_no"),
        ("order_status", '{"order_no": "A1", "admin": true}', "admin"),
        ("order_status", '{"order_no": "A1"', "not JSON"),
        ("order_status", "[]", "not a JSON object"),
        ("order_status", '{"order_no": "' + "x" * 2**20 + '"}', "longer than"),
        ("order_status", "[" * 100_000, "longer than"),
        ("order_status", '{"order_no": {"a": ' * 40 + "1" + "}}" * 40, "deeply"),
        ("order_status", '{"order_no": "1234567890123"}', "longer than 12"),
        ("hang_up", '{"now": true}', "now"),
    ],
)
def test_what_a_tool_does_not_take_is_told_and_nothing_runs(
    name: str, arguments: str, why: str
) -> None:
    call = responds(held(lookup(), HANG_UP), asks("c1", name, arguments))
    assert why in outputs(call)["c1"]["error"]
    assert len(json.dumps(outputs(call))) < 1_000
    call.expect(told("c1"), Some(RecordTool), SPEAKS)


def test_a_response_that_was_cut_short_asks_for_nothing() -> None:
    call = held(lookup())
    call.feed(ResponseCreated("r1", None), ResponseDone("r1", completed=False)).expect()


def test_an_event_that_comes_twice_is_acted_on_once() -> None:
    call = responds(held(lookup()), asks("c1"))
    call.commands = []
    call.feed(ResponseDone("r1", completed=True, calls=(asks("c1"),))).expect()


def test_an_answer_that_knows_all_outputs_makes_the_request_needless() -> None:
    """The caller speaks while the tool runs, and voice detection has the model answer."""
    call = responds(held(lookup()), asks("c1"))
    call.feed(ResponseCreated("busy", None), ToolEnded("c1", DONE), OutputAdded("c1"))
    call.feed(CallerStarted("i"), ResponseDone("busy", completed=False), CallerCommitted("i"))
    call.commands = []
    # The request went out with the end of the response in its way; the provider refuses it.
    call.feed(ResponseCreated("vad", None))
    call.feed(ProviderFault(FaultKind.BUSY, "active", "response-0"))
    call.feed(ResponseDone("vad", completed=True))
    assert sum(isinstance(one, CreateResponse) for one in call.commands) == 0


def test_an_answer_that_may_not_know_an_output_is_followed_by_the_request() -> None:
    call = responds(held(lookup()), asks("c1"))
    call.feed(ResponseCreated("busy", None), ToolEnded("c1", DONE))
    call.commands = []
    call.feed(ResponseDone("busy", completed=True)).expect(SPEAKS)


def test_what_a_caller_may_be_waiting_for_is_said_while_a_tool_takes_its_time() -> None:
    call = responds(held(lookup(say_while_waiting="I'm looking it up.")), asks("c1"))
    call.commands = []
    call.wait(0.9).expect()
    call.wait(0.2)
    (filler,) = call.commands
    assert filler == Some(CreateResponse, tag="filler", tools=False)
    assert '"I\'m looking it up."' in filler.instructions  # type: ignore[union-attr]
    call.commands = []
    call.feed(ResponseCreated("f1", "filler"), ToolEnded("c1", DONE))
    call.expect(told("c1"), Some(RecordTool))
    call.feed(ResponseDone("f1", completed=True)).expect(SPEAKS)


def test_a_tool_that_is_quick_or_was_announced_needs_no_filler() -> None:
    filler = lookup(say_while_waiting="Wait.")
    call = responds(held(filler), asks("c1"))
    call.feed(ToolEnded("c1", DONE), ResponseCreated("r2", "tool"))
    call.feed(ResponseDone("r2", completed=True))
    call.commands = []
    call.wait(9.0).expect()
    call = responds(held(filler), asks("c1"), spoken=True)
    call.commands = []
    call.wait(3.9).expect()
    call.wait(0.2).expect(Some(CreateResponse, tag="filler"))


def test_a_filler_that_comes_too_late_is_not_said() -> None:
    call = responds(held(lookup(say_while_waiting="Wait.")), asks("c1"))
    call.feed(ResponseCreated("vad", None)).wait(1.5)
    call.feed(ToolEnded("c1", DONE), OutputAdded("c1"))
    call.commands = []
    call.feed(ResponseDone("vad", completed=True)).expect(SPEAKS)


def test_waiting_is_followed_by_no_response() -> None:
    call = responds(held(WAIT), asks("c1", "wait", "{}"))
    assert outputs(call)["c1"]["status"] == "waiting"
    call.expect(told("c1"), Some(RecordTool))


def test_a_gate_is_opened_by_attestation() -> None:
    gated = lookup(requires=Requirement(attestation="B"))
    call = responds(held(gated), asks("c1"))
    assert "not proven" in outputs(call)["c1"]["error"]
    call = responds(held(gated, attested="C"), asks("c1"))
    assert "not proven" in outputs(call)["c1"]["error"]
    responds(held(gated, attested="A"), asks("c1")).expect(run("c1"))


def collected(call: Playbook, digits: str) -> None:
    call.state, _ = _pass_round(call.state, DigitsCollected(ToolName("pin"), digits), call.now)


def test_a_gate_is_opened_by_the_pin_and_shut_by_too_many_wrong_ones() -> None:
    gated = lookup(requires=Requirement(pin="4711"))
    call = responds(held(gated), asks("c0"))
    assert "press the right PIN" in outputs(call)["c0"]["error"]
    call.feed(ResponseCreated("s", "tool"), ResponseDone("s", completed=True))
    collected(call, "4711")
    call.commands = []
    responds(call, asks("c1"), response="r2").expect(run("c1", digits={"pin": "4711"}))
    assert "4711" not in repr(call.state)
    call = held(gated)
    for number in range(3):
        collected(call, f"000{number}")
        responds(call, asks(f"w{number}"), response=f"w{number}")
    collected(call, "4711")
    responds(call, asks("late"), response="late")
    assert "too many wrong" in outputs(call)["late"]["error"]


def test_another_agent_has_its_own_tools() -> None:
    other = Colleague(AgentName("billing"), {"type": "realtime"}, Skills(tools=(lookup("bill"),)))
    call = held(lookup(), colleagues=(other,))
    assert dict(call.state.toolcalls.agents)[AgentName("billing")] == (lookup("bill"),)


def test_a_caller_who_has_gone_leaves_nothing_running_but_what_is_to_finish() -> None:
    call = responds(
        held(lookup(), MESSAGE), asks("c1"), asks("m1", "take_message", '{"message":"hi"}')
    )
    call.commands = []
    call.feed(SocketClosed(1006), Probed(alive=False))
    assert [one for one in call.commands if isinstance(one, CancelTool)] == [CancelTool("c1")]
    assert recorded(call) == [("order_status", ToolStatus.CANCELLED)]
    assert isinstance(call.commands[-1], Finish)


def test_an_output_outlives_the_socket_and_is_there_once() -> None:
    call = responds(held(lookup()), asks("c1"), asks("c2"))
    call.feed(ToolEnded("c1", DONE))
    first = next(one for one in call.commands if isinstance(one, SendOutput))
    call.feed(SocketClosed(1006), Probed(alive=True)).commands = []
    call.feed(ToolEnded("c2", DONE))
    assert recorded(call) == [("order_status", ToolStatus.DONE)]
    assert outputs(call) == {}
    call.commands = []
    call.feed(SocketOpened())
    sent = [one for one in call.commands if isinstance(one, SendOutput)]
    assert [one.id for one in sent] == ["c1", "c2"]
    assert sent[0] == first
    assert len(first.item_id) <= 32
    assert call.commands[-1] == SPEAKS


def test_an_output_that_was_confirmed_is_not_sent_again() -> None:
    call = responds(held(lookup()), asks("c1"))
    call.feed(ToolEnded("c1", DONE), OutputAdded("c1"), ResponseCreated("r2", "tool"))
    call.feed(SocketClosed(1006), Probed(alive=True)).commands = []
    call.feed(SocketOpened())
    assert outputs(call) == {}
    assert not any(isinstance(one, CreateResponse) for one in call.commands)


def test_whoever_takes_the_call_over_answers_what_the_owner_before_has_begun() -> None:
    marks = {Mark.ATTACHED: 1.0, "tool:c1:order_status": 2.0, "told:c1": 3.0}
    marks["tool:c2:order_status"] = 4.0
    call = Playbook(a_plan_with(lookup()), Past(2, marks, rings=False), now=9.0)
    assert recorded(call) == [("order_status", ToolStatus.UNKNOWN)]
    call.feed(SocketOpened())
    assert list(outputs(call)) == ["c2"]
    assert outputs(call)["c2"]["status"] == "unknown"
    assert call.commands[-1] == SPEAKS
    call.commands = []
    responds(call, asks("c2"), response="again").expect()


def test_a_tool_of_the_provider_is_approved_by_the_plan_and_spoken_of() -> None:
    servers = (McpServer("crm", ("find",)), McpServer("kb"))
    call = Playbook(replace(a_plan_with(), skills=Skills(servers=servers)))
    call.feed(AcceptAnswered(Answer.DONE), SocketOpened()).commands = []
    for label, tool, approved in [
        ("crm", "find", True),
        ("crm", "delete", False),
        ("kb", "anything", True),
        ("other", "find", False),
    ]:
        call.feed(ApprovalAsked("a1", label, tool)).expect(Approve("a1", approved))
    call.feed(ResponseCreated("r1", None), ResponseDone("r1", completed=True, served=True))
    call.expect(SPEAKS)


def test_a_tool_that_must_run_once_is_marked() -> None:
    once = replace(lookup(), effects=Effects.ONCE)
    call = responds(held(once), asks("c1"))
    call.expect(Some(RunTool, tool=once, mark="tool:c1:order_status"))


# -- hanging up -----------------------------------------------------------------------------------


def leaves(
    call: Playbook, response: str = "r1", *, spoken: bool = True, id_: str = "h1"
) -> Playbook:
    return responds(call, asks(id_, "hang_up", "{}"), response=response, spoken=spoken)


def test_the_agent_hangs_up_a_moment_after_its_goodbye_has_been_heard() -> None:
    call = leaves(held(HANG_UP))
    call.expect()
    call.wait(3.0).expect()
    call.feed(AudioStopped("r1")).wait(0.6).expect()
    call.wait(0.2).expect(HangUp(Reason.AGENT_HUNG_UP), HUNG_UP)
    call.feed(HangUpAnswered(Answer.DONE), SocketClosed(1006))
    assert call.commands[-1] == Finish(Reason.AGENT_HUNG_UP, None)


def test_a_hang_up_that_was_done_is_recorded_as_such_and_told_to_nobody() -> None:
    call = leaves(held(HANG_UP)).feed(AudioStopped("r1")).wait(0.8)
    assert recorded(call) == [("hang_up", ToolStatus.DONE)]
    assert outputs(call) == {}


def test_a_caller_who_is_quicker_than_the_hang_up_leaves_it_undone() -> None:
    call = leaves(held(HANG_UP)).feed(AudioStopped("r1"), SocketClosed(1006), Probed(alive=False))
    assert recorded(call) == [("hang_up", ToolStatus.CANCELLED)]


def test_a_goodbye_that_was_heard_before_the_response_was_done_counts() -> None:
    call = held(HANG_UP)
    call.feed(ResponseCreated("r1", None), AudioStarted("r1"), AudioStopped("r1"))
    call.feed(ResponseDone("r1", completed=True, calls=(asks("h1", "hang_up", "{}"),), spoken=True))
    call.wait(0.8).expect(HangUp(Reason.AGENT_HUNG_UP), HUNG_UP)


def test_an_agent_that_said_nothing_says_goodbye_first() -> None:
    call = leaves(held(HANG_UP), spoken=False)
    call.expect(Some(CreateResponse, tag="farewell", tools=False))
    call.feed(ResponseCreated("r2", "farewell"), AudioStarted("r2"))
    call.feed(ResponseDone("r2", completed=True), AudioStopped("r2")).wait(0.8)
    call.expect(HangUp(Reason.AGENT_HUNG_UP), HUNG_UP)


def test_a_goodbye_that_never_comes_is_not_waited_for() -> None:
    call = leaves(held(HANG_UP))
    call.wait(14.9).expect()
    call.wait(0.2).expect(HangUp(Reason.AGENT_HUNG_UP), HUNG_UP)


@pytest.mark.parametrize("moment", ["while it is said", "a moment after it"])
def test_a_caller_who_speaks_withdraws_the_hang_up_twice_and_no_more(moment: str) -> None:
    call = held(HANG_UP)
    for number in range(3):
        leaves(call, f"r{number}", id_=f"h{number}")
        if moment == "a moment after it":
            call.feed(AudioStopped(f"r{number}")).wait(0.5)
        call.feed(CallerStarted(f"i{number}"))
        if moment == "while it is said":
            call.feed(AudioStopped(f"r{number}"))
        call.wait(1.0).feed(CallerCommitted(f"i{number}"))
    assert outputs(call).keys() == {"h0", "h1"}
    assert outputs(call)["h0"]["status"] == "not hung up"
    assert sum(isinstance(one, HangUp) for one in call.commands) == 1
    assert not any(isinstance(one, CreateResponse) for one in call.commands)


def test_a_hang_up_waits_for_the_tools_beside_it() -> None:
    call = held(HANG_UP, MESSAGE)
    responds(
        call,
        asks("m1", "take_message", '{"message":"call me"}'),
        asks("h1", "hang_up", "{}"),
        spoken=True,
    )
    call.expect(run("m1", "take_message"))
    call.feed(AudioStopped("r1")).wait(5.0).expect()
    call.feed(ToolEnded("m1", DONE)).wait(0.8)
    call.expect(told("m1"), Some(RecordTool), HangUp(Reason.AGENT_HUNG_UP), HUNG_UP)


def test_a_hang_up_is_off_if_a_tool_beside_it_has_failed() -> None:
    call = held(HANG_UP, MESSAGE)
    responds(
        call,
        asks("m1", "take_message", '{"message":"call me"}'),
        asks("h1", "hang_up", "{}"),
        spoken=True,
    )
    call.commands = []
    call.feed(ToolEnded("m1", ToolResult(ToolStatus.FAILED, '{"error":"no"}')))
    assert set(outputs(call)) == {"m1", "h1"}
    assert call.commands[-1] == SPEAKS
    call.commands = []
    call.feed(AudioStopped("r1")).wait(5.0)
    assert not any(isinstance(one, HangUp) for one in call.commands)


def test_an_end_that_the_operator_wants_comes_first() -> None:
    call = leaves(held(HANG_UP))
    call.commands = []
    call.feed(EndRequested(Reason.OPERATOR_HUNG_UP, None)).expect(HangUp(Reason.OPERATOR_HUNG_UP))


def test_a_socket_that_is_lost_during_the_goodbye_ends_the_call() -> None:
    call = leaves(held(HANG_UP))
    call.feed(SocketClosed(1006), Probed(alive=True))
    assert call.commands[-2:] == [HangUp(Reason.AGENT_HUNG_UP), HUNG_UP]


# -- a model that does whatever its caller says ---------------------------------------------------

PLACES = (
    "+19005550100",
    "+882 1234567",
    "911",
    "sip:attacker@evil.example",
    "tel:+17135550100;phone-context=x",
    "front?Replaces=x",
    "front;method=INVITE",
    "front\r\nRefer-To: <sip:x@evil>",
    "FRONT",
    "front ",
    "../front",
    "{{ destinations.secret }}",
    "${HOME}",
    "front\x00",
    "\u202efront",
    "default/front",
    "*",
    "",
    "null",
    "__proto__",
)
OBEYED: list[tuple[str, Any]] = [
    *(("transfer", {"destination": place}) for place in PLACES),
    *(("transfer", {"destination": [place]}) for place in PLACES),
    *(("transfer", {"destination": "front", "to": place}) for place in PLACES),
    *(("transfer", {"destination": {"$ref": place}}) for place in PLACES),
    *(("switch_agent", {"agent": place}) for place in PLACES),
    *(("set_language", {"language": place}) for place in PLACES),
    *((place, {"destination": "front"}) for place in PLACES),
    *(("order_status", {"order_no": "A1", "url": place}) for place in PLACES),
    *(("order_status", {"order_no": {"x": place}}) for place in PLACES),
    *(("collect_digits", {"length": place}) for place in PLACES),
]


def test_a_model_that_obeys_its_caller_gets_nothing_that_the_plan_has_not() -> None:
    """T4: two hundred things that a caller may talk a model into."""
    assert len(OBEYED) == 200
    call = held(*EVERYTHING)
    for number, (name, arguments) in enumerate(OBEYED):
        call.commands = []
        asked = FunctionCall(f"c{number}", name, json.dumps(arguments))
        responds(call, asked, response=f"r{number}")
        assert set(outputs(call)[f"c{number}"]) == {"error"}, (name, arguments)
        assert {type(one) for one in call.commands} <= {SendOutput, RecordTool, CreateResponse}
        call.feed(ResponseCreated(f"a{number}", "tool"), ResponseDone(f"a{number}", completed=True))
