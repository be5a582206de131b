"""What follows when nobody has taken a call: the destination's steps, and other owners."""

from dataclasses import replace

import pytest

from sipagent.model import (
    AgentName,
    Colleague,
    Fallback,
    Happening,
    Reachable,
    Reason,
    Skills,
    TransferEnd,
)
from sipagent.sessions.machine import Past, connecting
from sipagent.sessions.machine.call import _pass_round
from sipagent.sessions.machine.commands import (
    Attach,
    CreateResponse,
    Finish,
    HangUp,
    Inform,
    Probe,
    Refer,
    SendOutput,
)
from sipagent.sessions.machine.events import (
    Answer,
    AudioStopped,
    EndRequested,
    HangUpAnswered,
    Probed,
    Referred,
    ResponseDone,
    SocketClosed,
    SocketOpened,
    SocketRefused,
)
from sipagent.sessions.machine.signals import AgentTaken
from sipagent.sessions.machine.transfer import HEARD_WITHIN
from sipagent.testing import Playbook, Some
from tests.sessions.switchboard import (
    NIGHT,
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
from tests.sessions.toolkit import HANG_UP, MESSAGE, a_plan_with, asks, held, responds

WATCH = 45.0


# What follows an attempt that has failed.


def test_the_next_destination_is_tried_once_with_a_mark_of_its_own() -> None:
    call = watching(a_way("desk", "centre"), a_way("centre")).wait(WATCH)
    (wish,) = of(call, CreateResponse)[-1:]
    assert (wish.tag, wish.instructions) == ("connecting", connecting.TRYING_ON)
    speaks(call, "r8", "connecting")
    speaks(call, "r9", "connecting")
    assert of(call, Refer) == [refer("centre", 2)]
    call.feed(Referred(Answer.DONE)).wait(WATCH)
    assert [one[:2] + one[3:] for one in outcomes(call)] == [
        (1, "desk", TransferEnd.NOT_TAKEN),
        (2, "centre", None),
        (2, "centre", TransferEnd.NOT_TAKEN),
    ]
    assert len(of(call, Refer)) == 1
    assert len(of(call, Inform)) == 1


def test_nobody_is_tried_twice_whatever_the_destinations_say() -> None:
    call = referring(a_way("desk", "centre", "desk"), a_way("centre", "desk", "centre"))
    call.feed(Referred(Answer.REFUSED)).wait(HEARD_WITHIN)
    call.feed(Referred(Answer.REFUSED)).wait(WATCH)
    assert of(call, Refer) == [refer("centre", 2)]
    assert "could not be connected to centre" in output(call)["error"]


def test_a_destination_that_is_closed_is_passed_over() -> None:
    call = referring(a_way("desk", "night", "centre"), a_way("night", open=()), a_way("centre"))
    call.feed(Referred(Answer.REFUSED)).wait(HEARD_WITHIN)
    assert of(call, Refer) == [refer("centre", 2)]
    assert step_kinds(call) == [Happening.NOT_TRANSFERRED, Happening.CLOSED]


def test_the_steps_of_the_next_destination_come_before_what_is_left() -> None:
    destinations = (
        a_way("desk", "centre", "take_message"),
        a_way("centre", "night"),
        a_way("night"),
    )
    call = referring(*destinations, message=True).feed(Referred(Answer.REFUSED)).wait(HEARD_WITHIN)
    call.feed(Referred(Answer.REFUSED)).wait(HEARD_WITHIN).feed(Referred(Answer.REFUSED))
    assert of(call, Refer) == [refer("centre", 2), refer("night", 3)]
    assert "with the tool take_message" in output(call)["error"]


def test_a_message_is_offered_by_the_agent_that_can_take_one() -> None:
    other = Colleague(AgentName("other"), {}, Skills(tools=(TRANSFER, MESSAGE)))
    call = watching(a_way("desk", "take_message"), colleagues=(other,))
    call.state, _ = _pass_round(call.state, AgentTaken(AgentName("other")), call.now)
    (told,) = of(call.wait(WATCH), Inform)
    assert "with the tool take_message" in told.text


def test_without_a_tool_for_it_no_message_is_promised() -> None:
    (told,) = of(watching(a_way("desk", "take_message")).wait(WATCH), Inform)
    assert "message" not in told.text


def test_a_call_is_hung_up_after_a_goodbye_where_the_destination_says_so() -> None:
    call = watching(a_way("desk", "hang_up")).wait(WATCH)
    assert [one.tag for one in of(call, CreateResponse)][-1] == "goodbye"
    call.feed(ResponseDone("words", completed=True)).wait(HEARD_WITHIN)
    call.feed(HangUpAnswered(Answer.DONE), SocketClosed(1000))
    end = Finish(Reason.REFER_FAILED, "desk: nobody took the call")
    assert call.commands[-1] == end


def test_the_model_may_ask_again_once_an_attempt_has_failed() -> None:
    call = watching().wait(WATCH)
    responds(call, wants("desk", "t2"), response="r5", spoken=True).feed(AudioStopped("r5"))
    assert of(call, Refer) == [refer("desk", 2)]


# A tool call, a key and an operator at the same time.


def test_a_tool_call_and_a_key_lead_to_one_refer() -> None:
    call = announced(talking())
    press(press(call), "centre").feed(AudioStopped("words"))
    press(call).feed(Referred(Answer.DONE))
    press(call, "night").wait(30)
    assert of(call, Refer) == [refer()]


def test_a_key_alone_is_announced_too() -> None:
    call = press(talking()).expect(Some(CreateResponse, tag="connecting", tools=False))
    assert of(speaks(call, "r1", "connecting"), Refer) == [refer()]
    call.feed(Referred(Answer.DONE)).wait(WATCH)
    assert of(call, SendOutput) == []
    assert len(of(call, Inform)) == 1


def test_a_key_during_the_goodbye_withdraws_the_hang_up() -> None:
    call = responds(held(TRANSFER, HANG_UP, ways=ways()), asks("h1", "hang_up", "{}"), spoken=True)
    press(call.wait(1)).wait(HEARD_WITHIN)
    assert (of(call, HangUp), of(call, Refer)) == ([], [refer()])
    assert output(call, "h1")["status"] == "not hung up"


def test_an_operator_who_ends_the_call_as_it_is_sent_on_ends_it_once() -> None:
    call = announced(talking()).feed(AudioStopped("words"))
    call.feed(EndRequested(Reason.OPERATOR_HUNG_UP, None), Referred(Answer.DONE))
    call.feed(SocketClosed(1000), HangUpAnswered(Answer.DONE)).wait(100)
    assert len(of(call, Refer)) == len(of(call, Finish)) == 1
    assert outcomes(call)[-1][3] is TransferEnd.BROKEN_OFF


# Adoption.

LIVED = {"accepted": 0.5, "attached": 0.6}
CHAIN = (a_way("desk", "centre", "hang_up"), a_way("centre"), a_way("night"))


def adopted(marks: dict[str, float], *destinations: Reachable, now: float = 30.0) -> Playbook:
    plan = a_plan_with(TRANSFER, MESSAGE, ways=ways(*(destinations or CHAIN)))
    return Playbook(plan, Past(2, LIVED | marks, rings=False), now=now)


def test_an_adopter_watches_for_the_rest_of_the_time_and_refers_nobody_again() -> None:
    call = adopted({"refer:1:night": 20.0}).expect(Attach(again=True))
    call.feed(SocketOpened()).wait(34.9)
    assert of(call, Inform) == []
    call.wait(0.1)
    assert len(of(call, Inform)) == 1
    assert of(call, Refer) == []
    assert outcomes(call) == [(1, "night", "silent", TransferEnd.NOT_TAKEN)]


@pytest.mark.parametrize("answer", ["done", "silent"])
def test_an_adopter_knows_what_the_provider_answered(answer: str) -> None:
    call = adopted({"refer:1:night": 20.0, f"referred:1:{answer}": 21.0}).feed(SocketOpened())
    call.wait(60)
    assert outcomes(call) == [(1, "night", answer, TransferEnd.NOT_TAKEN)]


def test_an_adopted_call_that_is_gone_was_transferred() -> None:
    call = adopted({"refer:1:desk": 20.0}).expect(Attach(again=True))
    call.feed(SocketRefused("attach answered 404", gone=True))
    assert call.commands[-1] == Finish(Reason.TRANSFERRED, "ended while no process held it")
    assert outcomes(call) == [(1, "desk", "silent", TransferEnd.TAKEN)]


def test_an_adopted_watch_goes_on_with_its_destinations_steps() -> None:
    call = adopted({"refer:1:desk": 20.0}).feed(SocketOpened()).wait(35 + HEARD_WITHIN)
    assert of(call, Refer) == [refer("centre", 2)]


def test_an_adopter_knows_who_has_been_tried() -> None:
    marks = {"refer:1:desk": 5.0, "referred:1:refused": 5.2, "refer:2:centre": 20.0}
    call = adopted(marks).feed(SocketOpened()).wait(35)
    assert of(call, Refer) == []
    assert [one.tag for one in of(call, CreateResponse)][-1] == "goodbye"


def test_an_adopter_tells_a_new_request_from_a_destinations_step() -> None:
    marks = {"refer:1:night": 1.0, "refer_over:1": 46.0, "refer:2:desk": 60.0}
    call = adopted(marks, now=70.0).feed(SocketOpened()).wait(35 + HEARD_WITHIN)
    assert of(call, Refer) == [refer("centre", 3)]


@pytest.mark.parametrize(
    "ended", ["refer_over:1", "referred:1:refused", "referred:1:barred", "referred:1:unsent"]
)
def test_an_attempt_that_is_over_is_watched_no_more(ended: str) -> None:
    marks = {"refer:1:desk": 20.0, ended: 21.0} if "barred" not in ended else {ended: 21.0}
    call = adopted(marks).feed(SocketOpened()).wait(100)
    assert (of(call, Refer), of(call, Inform)) == ([], [])
    call.feed(SocketClosed(1006), Probed(alive=False))
    assert call.commands[-1] == Finish(Reason.LINE_CLOSED, None)
    call = adopted(marks).feed(SocketOpened())
    responds(call, wants("night"), spoken=True).feed(AudioStopped("r1"))
    assert of(call, Refer) == [refer("night", 2)]


def test_a_watch_that_ran_out_while_nobody_held_the_call_is_over_at_once() -> None:
    call = adopted({"refer:1:night": 20.0}, now=500.0).wait(1).expect(Attach(again=True))
    assert len(of(call.feed(SocketOpened()), Inform)) == 1


def test_a_hang_up_of_an_owner_before_comes_before_its_watch() -> None:
    call = adopted({"refer:1:desk": 20.0, "hang_up:operator_hung_up": 25.0})
    call.expect(HangUp(Reason.OPERATOR_HUNG_UP)).feed(HangUpAnswered(Answer.GONE)).wait(100)
    call.expect(Finish(Reason.OPERATOR_HUNG_UP, None))


def test_a_call_that_fell_back_after_a_transfer_is_watched_as_sent_on() -> None:
    fallback = Fallback(NIGHT, "tel:+17135550100")
    plan = replace(a_plan_with(TRANSFER, ways=ways(*CHAIN)), fallback=fallback)
    marks = LIVED | {"refer:1:desk": 2.0, "refer_over:1": 47.0, "refer": 50.0}
    call = Playbook(plan, Past(2, marks, rings=False), now=60.0).expect(Attach(again=True))
    call.feed(SocketOpened(), SocketClosed(1000)).expect(Probe())
    call.feed(Probed(alive=False)).expect(Finish(Reason.TRANSFERRED, None))


def test_a_transfer_that_was_asked_for_and_not_begun_is_answered_by_the_adopter() -> None:
    call = announced(talking())
    marks: dict[str, float] = {str(note): 1.0 for note in call.notes}
    after = Playbook(a_plan_with(TRANSFER, ways=ways()), Past(2, LIVED | marks, rings=False), now=9)
    after.feed(SocketOpened())
    assert output(after)["status"] == "unknown"
    assert of(after.wait(60), Refer) == []
