"""Two things that happen at once: voice detection and our requests, ends and goodbyes, and what
comes while nobody knows whether a call is still there."""

import pytest

from sipagent.model import Mark, Reason, ToolResult, ToolStatus, TransferEnd
from sipagent.sessions.machine import Past
from sipagent.sessions.machine.commands import (
    CancelResponse,
    ClearAudio,
    CreateResponse,
    Finish,
    HangUp,
    Probe,
    RecordTool,
    RunTool,
    SendOutput,
)
from sipagent.sessions.machine.events import (
    AcceptAnswered,
    Answer,
    AudioCleared,
    AudioStarted,
    AudioStopped,
    EndRequested,
    Event,
    FaultKind,
    HangUpAnswered,
    OutputAdded,
    Probed,
    ProviderFault,
    Referred,
    ResponseCreated,
    ResponseDone,
    SocketClosed,
    SocketOpened,
    ToolEnded,
)
from sipagent.testing import Playbook, Some
from tests.sessions.switchboard import (
    a_way,
    announced,
    of,
    outcomes,
    refer,
    referring,
    talking,
    wants,
    watching,
    ways,
)
from tests.sessions.toolkit import (
    EVERYTHING,
    HANG_UP,
    a_plan_with,
    asks,
    held,
    lookup,
    responds,
)

FOUND = ToolResult(ToolStatus.DONE, '{"a":1}')
TOOL = Some(CreateResponse, tag="tool")
GOODBYE = Some(CreateResponse, tag="goodbye", instructions="Say goodbye.")
SPENT = EndRequested(Reason.BUDGET, "Say goodbye.")


def busy(number: int) -> ProviderFault:
    return ProviderFault(FaultKind.BUSY, "active", f"response-{number}")


def sent_back(call: Playbook) -> Playbook:
    """A tool's output is sent, and the model asked to speak of it."""
    responds(call, asks("c1"))
    call.feed(ToolEnded("c1", FOUND))
    call.expect(Some(RunTool), Some(SendOutput), Some(RecordTool), TOOL)
    return call


def test_a_response_that_began_before_an_output_does_not_speak_of_it() -> None:
    call = sent_back(held(lookup()))
    call.feed(ResponseCreated("vad", None), OutputAdded("c1"), busy(0)).expect()
    call.feed(ResponseDone("vad", completed=True, spoken=True)).expect(TOOL)


def test_a_response_that_began_after_an_output_is_the_answer_to_it() -> None:
    call = sent_back(held(lookup()))
    call.feed(OutputAdded("c1"), ResponseCreated("vad", None), busy(0)).expect()
    call.feed(ResponseDone("vad", completed=True, spoken=True)).expect()


@pytest.mark.parametrize("knows", [False, True])
def test_where_no_tags_come_back_a_response_may_turn_out_to_be_voice_detections(
    knows: bool,
) -> None:
    call = Playbook(a_plan_with(lookup(), greeting="Hello."))
    call.feed(AcceptAnswered(Answer.DONE), SocketOpened(), ResponseCreated("r0", None))
    call.feed(AudioStarted("r0"), ResponseDone("r0", completed=True), AudioStopped("r0"))
    call.commands = []
    sent_back(call)
    added, began = OutputAdded("c1"), ResponseCreated("vad", None)
    call.feed(*((added, began) if knows else (began, added)), busy(1)).expect()
    call.feed(ResponseDone("vad", completed=True, spoken=True))
    call.expect(*(() if knows else (TOOL,)))


def test_a_tool_of_an_mcp_server_waits_for_the_functions_beside_it() -> None:
    call = held(lookup()).feed(ResponseCreated("r1", None))
    call.feed(ResponseDone("r1", completed=True, calls=(asks("c1"),), served=True))
    call.expect(Some(RunTool))
    call.feed(ToolEnded("c1", FOUND)).expect(Some(SendOutput), Some(RecordTool), TOOL)


def test_what_stands_beside_a_hang_up_that_is_refused_is_spoken_of() -> None:
    """A transfer is under way, so that the agent cannot hang up."""
    call = held(*EVERYTHING, ways=ways(a_way("front")))
    responds(call, wants("front"), response="words", spoken=True)
    responds(call, asks("c1"), asks("h1", "hang_up", "{}"), response="r2")
    call.feed(ToolEnded("c1", FOUND))
    assert [one.id for one in of(call, SendOutput)] == ["c1", "h1"]
    assert call.commands[-1] == TOOL


@pytest.mark.parametrize("begun", [False, True])
def test_an_end_that_comes_while_the_agent_says_goodbye_has_its_own_goodbye(begun: bool) -> None:
    call = responds(held(HANG_UP), asks("h1", "hang_up", "{}"))
    call.expect(Some(CreateResponse, tag="farewell", tools=False))
    farewell = (ResponseCreated("f1", "farewell"), AudioStarted("f1"))
    if begun:
        call.feed(*farewell, SPENT)
    else:
        call.feed(SPENT, *farewell)
    call.expect(CancelResponse("f1"), ClearAudio())
    call.feed(ResponseDone("f1", completed=False), AudioCleared("f1")).expect(GOODBYE)
    call.feed(ResponseCreated("g1", "goodbye"), AudioStarted("g1")).expect()
    call.feed(ResponseDone("g1", completed=True), AudioStopped("g1"))
    call.expect(HangUp(Reason.BUDGET))


def test_the_end_of_other_words_is_not_taken_for_that_of_the_farewell() -> None:
    call = held(HANG_UP).feed(ResponseCreated("r0", None), AudioStarted("r0"))
    call.feed(ResponseDone("r0", completed=True, spoken=True))
    responds(call, asks("h1", "hang_up", "{}"))
    call.expect(Some(CreateResponse, tag="farewell"))
    call.feed(AudioStopped("r0")).wait(1.0).expect()


def test_what_voice_detection_says_is_not_taken_for_the_goodbye() -> None:
    call = held().feed(SPENT).expect(GOODBYE)
    call.feed(ResponseCreated("vad", None)).expect(CancelResponse("vad"))
    call.feed(busy(0), ResponseDone("vad", completed=False)).expect(GOODBYE)
    call.feed(ResponseCreated("g1", "goodbye"), AudioStarted("g1"), AudioStopped("g1"))
    call.expect(HangUp(Reason.BUDGET))


@pytest.mark.parametrize("armed", [False, True])
def test_a_goodbye_uses_no_tools_where_there_are_any(armed: bool) -> None:
    call = held(*EVERYTHING[:armed]).feed(SPENT)
    call.expect(Some(CreateResponse, tag="goodbye", tools=not armed))


class TestWhileNobodyKnowsWhetherTheCallIsThere:
    """The socket is lost, and its re-dial has not been answered yet."""

    def test_the_end_of_the_watch_does_not_undo_a_transfer_that_was_taken_in_it(self) -> None:
        call = watching().wait(44.9).feed(SocketClosed(1006)).wait(0.2)
        call.feed(Probed(alive=False))
        assert outcomes(call)[-1][-1] is TransferEnd.TAKEN
        assert of(call, Finish) == [Finish(Reason.TRANSFERRED, None)]

    def test_the_end_of_the_watch_counts_when_the_call_is_there(self) -> None:
        call = watching().wait(44.9).feed(SocketClosed(1006)).wait(0.2)
        call.feed(Probed(alive=True), SocketOpened())
        assert outcomes(call)[-1][-1] is TransferEnd.NOT_TAKEN

    def test_nobody_is_sent_anywhere(self) -> None:
        call = announced(talking()).wait(14.9).feed(SocketClosed(1006)).wait(0.2)
        call.expect(Probe())
        call.feed(Probed(alive=False))
        assert of(call, Finish) == [Finish(Reason.LINE_CLOSED, None)]
        assert outcomes(call) == []

    def test_the_transfer_goes_on_when_the_call_is_there(self) -> None:
        call = announced(talking()).wait(14.9).feed(SocketClosed(1006)).wait(0.2)
        call.expect(Probe())
        call.feed(Probed(alive=True))
        assert refer() in call.commands

    def test_a_call_that_is_given_up_is_sent_nowhere(self) -> None:
        call = announced(talking()).feed(SocketClosed(1006)).wait(130.0)
        call.feed(Probed(alive=True))
        assert refer() not in call.commands
        assert len(of(call, HangUp)) == 1


@pytest.mark.parametrize("end", [Reason.OPERATOR_HUNG_UP, Reason.SESSION_EXPIRED])
def test_a_transfer_that_is_refused_while_the_call_is_hung_up_has_not_been_taken(
    end: Reason,
) -> None:
    expired = ProviderFault(FaultKind.EXPIRED, "session_expired", None)
    asked: Event = EndRequested(end, None) if end is Reason.OPERATOR_HUNG_UP else expired
    call = referring().feed(asked).wait(6.0)
    call.feed(Referred(Answer.REFUSED), HangUpAnswered(Answer.GONE))
    assert of(call, Finish) == [Finish(end, None)]
    assert outcomes(call)[-1][-1] is TransferEnd.REFUSED


class TestAnOwnerThatDies:
    """Whoever takes the call over tells the model what has not been done."""

    def adopted(self, *marks: str) -> Playbook:
        at = dict.fromkeys((Mark.ACCEPTED, Mark.ATTACHED, *marks), 1.0)
        call = Playbook(a_plan_with(*EVERYTHING), Past(2, at, rings=False), now=9.0)
        call.feed(SocketOpened())
        return call

    def test_a_hang_up_that_waits_for_its_goodbye_is_marked(self) -> None:
        call = held(HANG_UP)
        responds(call, asks("h1", "hang_up", "{}"), spoken=True)
        assert "asked:h1" in call.notes

    def test_a_collection_of_digits_is_marked(self) -> None:
        call = responds(held(*EVERYTHING), asks("d1", "collect_digits", "{}"))
        assert "asked:d1" in call.notes

    def test_a_tool_that_waits_for_its_turn_is_marked(self) -> None:
        call = responds(held(lookup()), *(asks(f"c{number}") for number in range(5)))
        assert [one.id for one in of(call, RunTool)] == ["c0", "c1", "c2"]
        assert {"asked:c3", "asked:c4"} <= set(call.notes)

    def test_what_has_not_begun_is_told_as_not_done(self) -> None:
        call = self.adopted("asked:d1")
        (sent,) = of(call, SendOutput)
        assert sent.id == "d1"
        assert "has not been done" in sent.output
        assert TOOL in call.commands

    def test_what_has_begun_may_have_been_done(self) -> None:
        (sent,) = of(self.adopted("asked:c3", "tool:c3"), SendOutput)
        assert "not known" in sent.output

    def test_what_has_been_told_is_not_told_again(self) -> None:
        assert of(self.adopted("asked:d1", "told:d1"), SendOutput) == []
