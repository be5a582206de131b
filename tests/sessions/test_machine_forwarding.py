"""The stories of calls that are sent on: one REFER, no word, one outcome."""

import pytest

from sipagent.model import Reason
from sipagent.sessions.machine.commands import (
    Accept,
    Attach,
    Finish,
    HangUp,
    Probe,
    Refer,
    Reject,
)
from sipagent.sessions.machine.events import (
    AcceptAnswered,
    Answer,
    CallerCommitted,
    EndRequested,
    Event,
    FaultKind,
    HangUpAnswered,
    Probed,
    ProviderFault,
    Referred,
    RejectAnswered,
    ResponseCreated,
    SocketClosed,
    SocketOpened,
    SocketRefused,
)
from sipagent.sessions.machine.forwarding import LAST_WATCH, WATCH
from sipagent.testing import SILENT, Playbook, Some, a_forward

TARGET = "tel:+17135550100"
GENTLE = EndRequested(Reason.OPERATOR_HUNG_UP, "Say goodbye.")
AT_ONCE = EndRequested(Reason.OPERATOR_HUNG_UP, None)


def referring() -> Playbook:
    """A forward whose REFER is on its way."""
    call = Playbook(a_forward(TARGET)).expect(Accept(SILENT))
    return call.feed(AcceptAnswered(Answer.DONE)).expect(Refer(TARGET))


def relayed() -> Playbook:
    """A forward whose REFER has been relayed; the socket is being attached."""
    return referring().feed(Referred(Answer.DONE)).expect(Attach())


def watching() -> Playbook:
    return relayed().feed(SocketOpened()).expect()


def ended(call: Playbook, reason: Reason, detail: str | None = None) -> None:
    call.expect(Finish(reason, detail))
    assert call.state.over
    assert call.state.deadlines.earliest is None


def test_the_call_is_referred_before_anything_else_and_its_end_is_the_transfer() -> None:
    call = watching().wait(20).expect()
    call.feed(SocketClosed(1000)).expect(Probe())
    ended(call.feed(Probed(alive=False)), Reason.TRANSFERRED)


def test_nobody_speaks_whatever_happens() -> None:
    call = watching()
    call.feed(CallerCommitted("c1"), ResponseCreated("r1", None), CallerCommitted("c2"), GENTLE)
    call.wait(5).expect()


@pytest.mark.parametrize("answer", [Answer.DONE, Answer.DECIDED])
def test_an_accept_whose_answer_was_lost_is_referred_too(answer: Answer) -> None:
    Playbook(a_forward(TARGET)).expect(Accept(SILENT)).feed(AcceptAnswered(answer)).expect(
        Refer(TARGET)
    )


def test_an_accept_that_took_effect_unheard_is_referred_once_that_is_known() -> None:
    call = Playbook(a_forward(TARGET)).expect(Accept(SILENT))
    call.feed(AcceptAnswered(Answer.SILENT)).expect(Reject(503))
    call.feed(RejectAnswered(Answer.DECIDED)).expect(Refer(TARGET))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(Answer.GONE, Reason.CALLER_GONE), (Answer.REFUSED, Reason.ACCEPT_REFUSED)],
)
def test_what_is_not_accepted_is_not_referred(answer: Answer, reason: Reason) -> None:
    call = Playbook(a_forward(TARGET)).expect(Accept(SILENT)).feed(AcceptAnswered(answer))
    if answer is Answer.REFUSED:
        call.expect(Reject(503)).feed(RejectAnswered(Answer.DONE))
    (finish,) = call.commands
    assert isinstance(finish, Finish)
    assert finish.reason is reason


class TestRefused:
    @pytest.mark.parametrize(
        ("answer", "detail"),
        [
            (Answer.REFUSED, "refer answered refused"),
            (Answer.DECIDED, "refer answered decided"),
            (Answer.UNSENT, "refer not sent"),
        ],
    )
    @pytest.mark.parametrize("hung_up", [Answer.DONE, Answer.GONE])
    def test_a_refer_that_is_refused_or_never_sent_ends_the_call(
        self, answer: Answer, detail: str, hung_up: Answer
    ) -> None:
        call = referring().feed(Referred(answer)).expect(Some(HangUp))
        ended(call.feed(HangUpAnswered(hung_up)), Reason.REFER_FAILED, detail)

    def test_a_caller_who_left_before_the_refer_has_closed_the_line(self) -> None:
        call = referring().feed(Referred(Answer.GONE)).expect(Some(HangUp))
        ended(call.feed(HangUpAnswered(Answer.GONE)), Reason.LINE_CLOSED)

    def test_a_call_that_is_there_although_the_refer_found_none_has_failed(self) -> None:
        call = referring().feed(Referred(Answer.GONE)).expect(Some(HangUp))
        ended(call.feed(HangUpAnswered(Answer.DONE)), Reason.REFER_FAILED, "refer answered gone")

    def test_a_hang_up_that_nobody_confirms_is_told(self) -> None:
        call = referring().feed(Referred(Answer.REFUSED)).expect(Some(HangUp))
        detail = "refer answered refused; hang-up not confirmed"
        ended(call.feed(HangUpAnswered(Answer.SILENT)), Reason.REFER_FAILED, detail)


class TestUnanswered:
    """The REFER may have been relayed: to hang up would break off the transfer."""

    def test_the_call_is_watched_and_its_end_is_the_transfer(self) -> None:
        call = referring().feed(Referred(Answer.SILENT)).expect(Attach())
        call.feed(SocketOpened()).wait(20).expect().feed(SocketClosed(1000)).expect(Probe())
        ended(call.feed(Probed(alive=False)), Reason.TRANSFERRED)

    def test_a_call_that_nobody_took_is_hung_up_after_the_watch(self) -> None:
        call = referring().feed(Referred(Answer.SILENT), SocketRefused("why"), Probed(None))
        call.expect(Attach(), Probe()).wait(WATCH).expect(Some(HangUp))
        detail = "refer answered silent; nobody took the call"
        ended(call.feed(HangUpAnswered(Answer.DONE)), Reason.REFER_FAILED, detail)

    def test_an_end_at_once_that_was_asked_for_comes_at_once(self) -> None:
        call = referring().feed(AT_ONCE, Referred(Answer.SILENT)).expect(Some(HangUp))
        ended(call.feed(HangUpAnswered(Answer.DONE)), Reason.OPERATOR_HUNG_UP)


class TestWatch:
    def test_a_call_that_nobody_took_is_hung_up(self) -> None:
        call = watching().wait(WATCH - 0.1).expect().wait(0.1).expect(Some(HangUp))
        call.feed(HangUpAnswered(Answer.DONE)).expect()
        ended(call.feed(SocketClosed(1000)), Reason.REFER_FAILED, "nobody took the call")

    def test_a_socket_that_does_not_close_after_the_hang_up_delays_the_end_only(self) -> None:
        call = watching().wait(WATCH).expect(Some(HangUp))
        call.feed(HangUpAnswered(Answer.DONE)).expect().wait(5)
        ended(call, Reason.REFER_FAILED, "nobody took the call")

    def test_a_call_that_ended_in_the_same_moment_was_transferred(self) -> None:
        call = watching().wait(WATCH).expect(Some(HangUp))
        ended(call.feed(HangUpAnswered(Answer.GONE)), Reason.TRANSFERRED)

    @pytest.mark.parametrize(
        "sign",
        [
            SocketClosed(1006),
            SocketRefused("attach answered 404"),
            ProviderFault(FaultKind.UNKNOWN_CALL, "call_id_not_found", None),
        ],
        ids=lambda sign: type(sign).__name__,
    )
    @pytest.mark.parametrize("alive", [True, None])
    def test_a_lost_socket_breaks_off_no_transfer(self, sign: Event, alive: bool | None) -> None:
        call = relayed().wait(1).feed(sign).expect(Probe()).feed(Probed(alive)).expect()
        call.wait(WATCH - 1).expect(Some(HangUp))
        # No socket is left whose end could confirm the hang-up: its answer must do.
        call.feed(HangUpAnswered(Answer.DONE))
        ended(call, Reason.REFER_FAILED, "nobody took the call")

    def test_a_call_that_ended_behind_a_lost_socket_was_transferred(self) -> None:
        call = relayed().feed(SocketRefused("attach answered 500")).expect(Probe())
        call.feed(Probed(alive=None)).wait(WATCH).expect(Some(HangUp))
        ended(call.feed(HangUpAnswered(Answer.GONE)), Reason.TRANSFERRED)

    def test_a_call_that_was_over_before_its_socket_was_there_was_transferred(self) -> None:
        call = relayed().feed(SocketRefused("attach answered 404")).expect(Probe())
        ended(call.feed(Probed(alive=False)), Reason.TRANSFERRED)


class TestEndRequested:
    def test_a_gentle_end_lets_the_transfer_finish(self) -> None:
        call = watching().feed(GENTLE).expect().wait(LAST_WATCH - 1).expect()
        call.feed(SocketClosed(1000)).expect(Probe())
        ended(call.feed(Probed(alive=False)), Reason.TRANSFERRED)

    def test_a_gentle_end_comes_when_the_transfer_does_not(self) -> None:
        call = watching().feed(GENTLE).wait(LAST_WATCH).expect(Some(HangUp))
        call.feed(HangUpAnswered(Answer.DONE))
        ended(call.feed(SocketClosed(1000)), Reason.OPERATOR_HUNG_UP)

    def test_a_gentle_end_late_in_the_watch_does_not_prolong_it(self) -> None:
        watching().wait(WATCH - 1).feed(GENTLE).wait(1).expect(Some(HangUp))

    def test_an_end_at_once_comes_at_once_when_the_refer_has_been_answered(self) -> None:
        call = referring().feed(AT_ONCE).expect().feed(Referred(Answer.DONE)).expect(Some(HangUp))
        ended(call.feed(HangUpAnswered(Answer.DONE)), Reason.OPERATOR_HUNG_UP)
        watching().feed(AT_ONCE).expect(Some(HangUp))

    def test_an_end_asked_for_while_the_refer_is_unanswered_waits_for_it(self) -> None:
        call = referring().feed(GENTLE).wait(4).expect().feed(Referred(Answer.DONE))
        call.expect(Attach()).wait(LAST_WATCH).expect(Some(HangUp))

    def test_an_end_asked_for_while_answering_still_gets_the_caller_through(self) -> None:
        call = Playbook(a_forward(TARGET)).expect(Accept(SILENT))
        call.feed(GENTLE, AcceptAnswered(Answer.DONE)).expect(Refer(TARGET))
        call.feed(Referred(Answer.DONE)).expect(Attach()).wait(LAST_WATCH).expect(Some(HangUp))

    def test_an_end_at_once_while_answering_sends_no_refer(self) -> None:
        call = Playbook(a_forward(TARGET)).expect(Accept(SILENT))
        call.feed(AT_ONCE, AcceptAnswered(Answer.DONE)).expect(Some(HangUp))
        ended(call.feed(HangUpAnswered(Answer.DONE)), Reason.OPERATOR_HUNG_UP)


def test_late_and_repeated_answers_send_no_second_refer() -> None:
    call = watching()
    call.feed(AcceptAnswered(Answer.DONE), Referred(Answer.DONE), Referred(Answer.REFUSED)).expect()


def test_a_repr_shows_no_target() -> None:
    call = Playbook(a_forward(TARGET)).feed(AcceptAnswered(Answer.DONE))
    assert "713555" not in repr(call.state) + repr(call.commands) + repr(a_forward(TARGET))
