"""The stories of calls that an agent sends to somebody: announced, one REFER, and watched."""

from typing import Any

import pytest

from sipagent.model import FailureStep, Fallback, Happening, Reason, TransferEnd
from sipagent.sessions.machine import connecting
from sipagent.sessions.machine.commands import (
    Attach,
    CreateResponse,
    Finish,
    HangUp,
    Inform,
    Probe,
    RecordStep,
    Refer,
)
from sipagent.sessions.machine.events import (
    Answer,
    AudioCleared,
    AudioStarted,
    AudioStopped,
    CallerCommitted,
    CallerStarted,
    CallerStopped,
    EndRequested,
    FaultKind,
    HangUpAnswered,
    Probed,
    ProviderFault,
    Referred,
    ResponseCreated,
    ResponseDone,
    SocketClosed,
    SocketOpened,
    SocketRefused,
)
from sipagent.sessions.machine.transfer import HEARD_WITHIN, STILL_AFTER
from sipagent.testing import Some
from tests.sessions.switchboard import (
    CENTRE,
    TRANSFER,
    a_way,
    announced,
    of,
    outcomes,
    output,
    press,
    refer,
    referring,
    speaks,
    step_kinds,
    talking,
    wants,
    watching,
    ways,
)
from tests.sessions.toolkit import HANG_UP, asks, held, responds

WATCH = 45.0
VAIN = (Answer.REFUSED, Answer.UNSENT)


# Before the REFER.


def test_the_refer_waits_until_what_the_agent_says_has_been_heard() -> None:
    call = announced(talking()).wait(4).expect()
    call.feed(AudioStopped("words")).expect(refer())


def test_words_that_are_heard_before_the_model_is_done_are_not_waited_for() -> None:
    call = talking()
    call.feed(ResponseCreated("r", None), AudioStarted("r"), AudioStopped("r"))
    call.feed(ResponseDone("r", completed=True, calls=(wants(),), spoken=True)).expect(refer())


def test_words_that_nobody_is_told_of_are_waited_for_so_long() -> None:
    call = announced(talking()).wait(HEARD_WITHIN - 0.1).expect()
    call.wait(0.1).expect(refer())
    call.feed(AudioStopped("words")).expect()


def test_a_caller_who_speaks_interrupts_the_words_and_not_the_transfer() -> None:
    call = announced(talking()).feed(CallerStarted("c1")).expect()
    call.feed(AudioCleared("words")).expect(refer())


def test_an_agent_that_has_said_nothing_says_it_before() -> None:
    call = responds(talking(), wants())
    wish = Some(CreateResponse, tag="connecting", instructions=connecting.CONNECTING, tools=False)
    call.expect(wish)
    call.feed(ResponseCreated("r2", "connecting"), AudioStarted("r2"))
    call.feed(ResponseDone("r2", completed=True, spoken=True)).wait(3).expect()
    call.feed(AudioStopped("r2")).expect(refer())


@pytest.mark.parametrize("refused", [True, False], ids=["refused", "failed"])
def test_words_that_cannot_be_said_hold_up_no_transfer(refused: bool) -> None:
    call = responds(talking(), wants())
    (wish,) = of(call, CreateResponse)
    call.commands = []
    if refused:
        call.feed(ProviderFault(FaultKind.OTHER, "code", wish.request_id))
    else:
        call.feed(ResponseCreated("r2", "connecting"))
        call.feed(ResponseDone("r2", completed=False, failed=True))
    assert of(call, Refer) == [refer()]


def test_a_caller_who_leaves_before_it_has_closed_the_line() -> None:
    call = announced(talking()).feed(SocketClosed(1006), Probed(alive=False)).wait(60)
    assert (of(call, Refer), of(call, Finish)) == ([], [Finish(Reason.LINE_CLOSED, None)])


@pytest.mark.parametrize("goodbye", [None, "Say goodbye."])
def test_an_end_that_is_asked_for_before_it_wins(goodbye: str | None) -> None:
    call = announced(talking()).feed(EndRequested(Reason.OPERATOR_HUNG_UP, goodbye))
    call.feed(AudioStopped("words")).wait(HEARD_WITHIN).feed(HangUpAnswered(Answer.DONE)).wait(60)
    assert of(call, Refer) == []
    assert [one.reason for one in of(call, Finish)] == [Reason.OPERATOR_HUNG_UP]


# Where nobody is sent.


def test_a_destination_that_is_closed_is_not_tried() -> None:
    closed = a_way("desk", open=((-600.0, 0.0), (3000.0, 6000.0)))
    call = responds(talking(closed), wants()).wait(5)
    assert (of(call, Refer), step_kinds(call)) == ([], [Happening.CLOSED])
    told = output(call)["error"]
    assert "desk is closed now" in told
    assert "opens again in about 50 minutes" in told
    assert [one.tag for one in of(call, CreateResponse)] == ["tool"]


@pytest.mark.parametrize(
    ("windows", "now", "is_open", "again"),
    [
        (None, 0.0, True, None),
        (((0.0, 10.0),), 0.0, True, None),
        (((0.0, 10.0),), 9.9, True, None),
        (((0.0, 10.0),), 10.0, False, ""),
        (((60.0, 90.0), (30.0, 40.0)), 0.0, False, "about a minute"),
        (((8000.0, 9000.0),), 0.0, False, "about 2 hours"),
        ((), 5.0, False, ""),
    ],
)
def test_hours_are_counted_from_the_beginning_of_the_call(
    windows: Any, now: float, is_open: bool, again: str | None
) -> None:
    call = talking(a_way("desk", open=windows)).wait(now)
    responds(call, wants(), response="words", spoken=True).feed(AudioStopped("words"))
    assert bool(of(call, Refer)) == is_open
    if again is not None:
        told = output(call)["error"]
        assert ("opens again" in told) == bool(again)
        assert again in told


def test_a_destination_that_is_not_in_the_plan_is_not_tried() -> None:
    call = responds(talking(a_way("centre")), wants("desk")).wait(20)
    assert of(call, Refer) == []
    assert "no such destination" in output(call)["error"]


def test_a_key_for_a_closed_destination_has_the_model_say_so() -> None:
    call = press(talking(a_way("desk", open=())))
    closed = Some(RecordStep, what=Happening.CLOSED)
    call.expect(closed, Some(Inform), Some(CreateResponse, tag="tool"))


# The REFER, and what it is answered.


def test_a_call_that_ends_while_it_is_watched_has_been_transferred() -> None:
    call = referring().feed(Referred(Answer.DONE))
    assert outcomes(call) == [(1, "desk", "done", None)]
    assert output(call)["status"] == "connecting"
    assert of(call, CreateResponse) == []
    call.commands = []
    call.wait(5).feed(SocketClosed(1006)).expect(Probe())
    call.feed(Probed(alive=False))
    assert outcomes(call) == [(1, "desk", "done", TransferEnd.TAKEN)]
    assert call.commands[-1] == Finish(Reason.TRANSFERRED, None)
    assert call.state.deadlines.earliest is None


def test_a_refer_whose_answer_is_lost_is_watched_too() -> None:
    call = referring().feed(Referred(Answer.SILENT))
    assert output(call)["status"] == "connecting"
    call.wait(WATCH).feed(SocketClosed(1006), Probed(alive=False))
    assert outcomes(call)[-1] == (1, "desk", "silent", TransferEnd.NOT_TAKEN)
    assert len(of(call, Refer)) == 0


@pytest.mark.parametrize("answer", VAIN)
def test_a_refer_that_is_not_taken_gives_the_agent_the_caller_again(answer: Answer) -> None:
    call = referring().feed(Referred(answer))
    assert outcomes(call) == [(1, "desk", answer, TransferEnd.REFUSED)]
    assert "could not be connected to desk" in output(call)["error"]
    assert [one.tag for one in of(call, CreateResponse)] == ["tool"]
    speaks(call, "r2", "tool").wait(100).feed(SocketClosed(1006), Probed(alive=False))
    assert of(call, Finish) == [Finish(Reason.LINE_CLOSED, None)]
    assert of(call, Refer) == []


def test_a_barred_transfer_is_sent_nowhere_else() -> None:
    call = referring(a_way("desk", "centre", "take_message"), a_way("centre"), message=True)
    call.feed(Referred(Answer.BARRED)).wait(60)
    assert outcomes(call) == [(1, "desk", "barred", TransferEnd.BARRED)]
    assert of(call, Refer) == []
    assert "the tool take_message" in output(call)["error"]


def test_a_refer_for_a_call_that_is_gone_ends_it() -> None:
    call = referring().feed(Referred(Answer.GONE))
    assert outcomes(call) == [(1, "desk", "gone", TransferEnd.GONE)]
    assert of(call, HangUp) == [HangUp(Reason.LINE_CLOSED)]
    call.feed(HangUpAnswered(Answer.GONE))
    assert call.commands[-1] == Finish(Reason.LINE_CLOSED, None)


@pytest.mark.parametrize(
    ("answer", "reason", "end"),
    [
        (Answer.DONE, Reason.TRANSFERRED, TransferEnd.TAKEN),
        (Answer.SILENT, Reason.TRANSFERRED, TransferEnd.TAKEN),
        (Answer.GONE, Reason.LINE_CLOSED, TransferEnd.GONE),
        (Answer.REFUSED, Reason.LINE_CLOSED, TransferEnd.REFUSED),
    ],
)
def test_a_caller_who_leaves_while_the_refer_is_sent(
    answer: Answer, reason: Reason, end: TransferEnd
) -> None:
    call = referring().feed(SocketClosed(1006)).expect(Probe())
    call.feed(Referred(answer), Probed(alive=False))
    if not call.state.over:  # a call that is gone is hung up, which is refused because it is gone
        call.feed(HangUpAnswered(Answer.GONE))
    assert [one.reason for one in of(call, Finish)] == [reason]
    assert outcomes(call)[-1] == (1, "desk", answer, end)


# The watch.


def test_the_agent_answers_a_caller_who_speaks_meanwhile() -> None:
    call = watching().feed(CallerStarted("c1"), CallerStopped("c1"), CallerCommitted("c1"))
    speaks(call, "r2", None).wait(STILL_AFTER - 0.1).expect()


def test_after_a_while_without_a_word_the_agent_says_once_that_it_takes_time() -> None:
    call = watching().wait(STILL_AFTER - 0.1).expect()
    wish = Some(CreateResponse, tag="connecting", tools=False)
    call.wait(0.1).expect(wish)
    speaks(call, "r2", "connecting").wait(30)
    assert of(call, CreateResponse) == []


def test_while_somebody_speaks_nobody_is_interrupted() -> None:
    call = watching().wait(7).feed(CallerStarted("c1")).wait(6).expect()
    call.feed(CallerStopped("c1"), CallerCommitted("c1")).wait(2).expect()
    call.feed(ResponseCreated("r2", None), AudioStarted("r2")).wait(9).expect()
    call.feed(ResponseDone("r2", completed=True), AudioStopped("r2"))
    call.commands = []
    call.wait(STILL_AFTER - 0.1).expect()
    call.wait(0.1).expect(Some(CreateResponse, tag="connecting"))


def test_when_the_watch_is_over_the_agent_has_the_caller_again() -> None:
    call = watching().wait(WATCH - 0.1)
    assert of(call, Inform) == []
    call.wait(0.1)
    assert outcomes(call) == [(1, "desk", "done", TransferEnd.NOT_TAKEN)]
    (told,) = of(call, Inform)
    assert "could not be connected to desk: nobody took the call" in told.text
    assert step_kinds(call) == [Happening.NOT_TRANSFERRED]
    assert "refer_over:1" in call.notes
    call.feed(SocketClosed(1006), Probed(alive=False))
    assert of(call, Finish) == [Finish(Reason.LINE_CLOSED, None)]


def test_another_transfer_is_refused_while_one_is_under_way() -> None:
    call = announced(talking())
    responds(call, wants("centre", "t2"), response="r2")
    assert "under way already" in output(call, "t2")["error"]
    call.feed(AudioStopped("words"), Referred(Answer.DONE))
    responds(call, wants("centre", "t3"), response="r3")
    assert "under way already" in output(call, "t3")["error"]
    call.wait(30)
    assert of(call, Refer) == [refer()]


def test_a_hang_up_is_refused_while_the_call_is_sent_on() -> None:
    call = held(TRANSFER, HANG_UP, ways=ways())
    announced(call).feed(AudioStopped("words"), Referred(Answer.DONE))
    responds(call, asks("h1", "hang_up", "{}"), response="r2", spoken=True)
    call.feed(AudioStopped("r2")).wait(20)
    assert "being transferred" in output(call, "h1")["error"]
    assert of(call, HangUp) == []


def test_a_call_whose_socket_drops_is_watched_on() -> None:
    call = watching().wait(5).feed(SocketClosed(1011), Probed(alive=True)).wait(10)
    assert of(call, Attach) == [Attach(again=True)]
    call.feed(SocketOpened()).wait(WATCH - 15)
    assert outcomes(call) == [(1, "desk", "done", TransferEnd.NOT_TAKEN)]
    assert len(of(call, Inform)) == 1


def test_a_call_that_is_gone_when_its_socket_is_dialed_again_was_transferred() -> None:
    call = watching().feed(SocketClosed(1011), Probed(alive=None))
    call.feed(SocketRefused("attach answered 404", gone=True))
    assert call.commands[-1] == Finish(Reason.TRANSFERRED, None)


def test_a_watch_that_ends_without_a_socket_is_over_when_there_is_one() -> None:
    call = watching().wait(WATCH - 1).feed(SocketClosed(1011), Probed(alive=True)).wait(3)
    assert of(call, Inform) == []
    call.feed(SocketOpened())
    assert outcomes(call) == [(1, "desk", "done", TransferEnd.NOT_TAKEN)]
    assert len(of(call, Inform)) == 1


@pytest.mark.parametrize("goodbye", [None, "Say goodbye."])
def test_an_end_that_is_asked_for_during_the_watch_wins(goodbye: str | None) -> None:
    call = watching().feed(EndRequested(Reason.OPERATOR_HUNG_UP, goodbye)).wait(HEARD_WITHIN)
    call.feed(HangUpAnswered(Answer.DONE)).wait(100)
    assert [one.reason for one in of(call, Finish)] == [Reason.OPERATOR_HUNG_UP]
    assert outcomes(call) == [(1, "desk", "done", TransferEnd.BROKEN_OFF)]


def test_a_hang_up_that_finds_the_call_gone_finds_it_transferred() -> None:
    call = watching().feed(EndRequested(Reason.OPERATOR_HUNG_UP, None))
    call.feed(HangUpAnswered(Answer.GONE))
    assert call.commands[-1] == Finish(Reason.TRANSFERRED, None)
    assert outcomes(call) == [(1, "desk", "done", TransferEnd.TAKEN)]


def test_a_model_that_fails_during_the_watch_sends_the_caller_nowhere_else() -> None:
    fallback = Fallback(CENTRE, "tel:+17135550100")
    steps = (FailureStep.FALLBACK, FailureStep.HANG_UP)
    call = watching(fallback=fallback, on_failure=steps)
    call.feed(CallerStarted("c1"), CallerStopped("c1"), CallerCommitted("c1"))
    call.feed(ResponseCreated("r2", None))
    call.feed(ResponseDone("r2", completed=False, failed=True)).wait(WATCH - 1)
    assert (of(call, Refer), of(call, HangUp)) == ([], [])
    call.wait(1).commands = []
    # Nobody took it, and the model is still silent: now the fallback is due.
    call.feed(ResponseCreated("r3", "tool"), ResponseDone("r3", completed=False, failed=True))
    assert [one.target_uri for one in of(call, Refer)] == ["tel:+17135550100"]
