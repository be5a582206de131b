"""Calls whose socket is lost, and calls that another process has left: nothing is done twice."""

from dataclasses import replace

import pytest

from sipagent.model import (
    Bill,
    CallPlan,
    Ceilings,
    Happening,
    Mark,
    ModelPrice,
    Prices,
    Reason,
    Speaker,
    Tokens,
    Turn,
)
from sipagent.sessions.machine import Past
from sipagent.sessions.machine.commands import (
    Accept,
    Attach,
    CancelResponse,
    ClearAudio,
    CreateResponse,
    Finish,
    HangUp,
    Probe,
    RecordStep,
    RecordTurn,
    Refer,
    Reject,
    UpdateSession,
)
from sipagent.sessions.machine.events import (
    AcceptAnswered,
    AgentText,
    Answer,
    AudioStarted,
    AudioStopped,
    CallerCommitted,
    CallerStarted,
    CallerTextDone,
    EndRequested,
    FaultKind,
    HangUpAnswered,
    Probed,
    ProviderFault,
    RejectAnswered,
    ResponseCreated,
    ResponseDone,
    SessionUpdated,
    SocketClosed,
    SocketOpened,
    SocketRefused,
)
from sipagent.sessions.machine.forwarding import WATCH
from sipagent.sessions.machine.life import Phase
from sipagent.sessions.machine.loss import REATTACH_WITHIN, STEADY
from sipagent.testing import Playbook, Some, a_forward, a_plan, a_profile

GREETED = Some(CreateResponse, tag="greeting")
RESTORED = Some(UpdateSession, request_id="restore-turn-detection")
DROPPED = Some(RecordStep, what=Happening.DROPPED)
REATTACHED = RecordStep(Happening.REATTACHED)
GONE = SocketRefused("attach answered 404", gone=True)
AWAY = SocketRefused("attach unanswered")
AGAIN = Attach(again=True)
OPERATOR = Reason.OPERATOR_HUNG_UP


def talking(greeting: str | None = None) -> Playbook:
    """A call in which the caller has spoken."""
    call = Playbook(a_plan(a_profile(greeting=greeting)))
    call.feed(AcceptAnswered(Answer.DONE), SocketOpened(), CallerStarted("c1"))
    call.commands.clear()
    return call


def dropped(call: Playbook) -> Playbook:
    """The socket has closed, and the call is there all the same."""
    call.feed(SocketClosed(1006)).expect(Probe())
    return call.feed(Probed(alive=True)).expect(DROPPED, AGAIN)


def ended(call: Playbook, reason: Reason, detail: str | None = None) -> None:
    call.expect(Finish(reason, detail))
    assert call.state.over


class TestLosing:
    @pytest.mark.parametrize("alive", [True, None])
    def test_a_call_that_may_live_is_attached_again_at_once(self, alive: bool | None) -> None:
        call = talking().feed(SocketClosed(1006)).expect(Probe())
        call.feed(Probed(alive)).expect(
            RecordStep(Happening.DROPPED, "socket closed with 1006"), AGAIN
        )
        call.feed(SocketOpened()).expect(REATTACHED)
        call.feed(CallerTextDone("c2", "Still here.")).expect(
            RecordTurn(Turn(1, Speaker.CALLER, 0.0, "Still here."))
        )
        assert not call.state.usage_complete

    def test_the_dial_that_finds_no_call_ends_it(self) -> None:
        ended(dropped(talking()).feed(GONE), Reason.LINE_CLOSED)

    def test_dials_follow_with_growing_pauses_until_the_call_is_given_up(self) -> None:
        call = dropped(talking())
        pauses: list[float] = []
        while not any(isinstance(command, HangUp) for command in call.commands):
            began = call.now
            call.commands.clear()
            call.feed(AWAY)
            while not call.commands:
                call.wait(0.01)
            pauses.append(call.now - began)
        assert pauses == sorted(pauses[:1]) + pauses[1:]
        assert 0.1 <= pauses[0] <= 0.22
        assert all(2.5 <= pause <= 5.02 for pause in pauses[6:-1])
        assert call.now == pytest.approx(REATTACH_WITHIN, abs=5.1)
        call.commands.clear()
        ended(
            call.feed(HangUpAnswered(Answer.DONE)),
            Reason.CONNECTION_LOST,
            "socket closed with 1006",
        )

    def test_two_calls_do_not_dial_in_step(self) -> None:
        seen = set()
        for number in range(20):
            call = Playbook(a_plan(a_profile(greeting=None), call_id=f"rtc_{number}"))
            call.feed(AcceptAnswered(Answer.DONE), SocketOpened(), SocketClosed(1006))
            call.feed(Probed(alive=True), AWAY)
            assert call.state.deadlines.earliest is not None
            seen.add(round(call.state.deadlines.earliest, 4))
        assert len(seen) == 20

    def test_a_call_that_the_provider_denies_on_its_socket_is_given_up_in_time(self) -> None:
        call = talking()
        unknown = ProviderFault(FaultKind.UNKNOWN_CALL, "call_id_not_found", None)
        for _ in range(200):
            call.feed(unknown, Probed(alive=True), SocketOpened()).wait(1.0)
            if any(isinstance(command, HangUp) for command in call.commands):
                break
        assert call.now < REATTACH_WITHIN + STEADY
        call.commands.clear()
        ended(call.feed(HangUpAnswered(Answer.DONE)), Reason.CONNECTION_LOST, "call_id_not_found")

    def test_a_socket_that_held_long_is_dialed_at_once_when_it_is_lost_again(self) -> None:
        call = dropped(talking()).feed(AWAY).wait(0.3).expect(AGAIN)
        call.feed(SocketOpened()).expect(REATTACHED).wait(STEADY)
        dropped(call)

    def test_a_socket_that_flaps_is_dialed_after_a_pause(self) -> None:
        call = dropped(talking()).feed(SocketOpened()).expect(REATTACHED)
        call.feed(SocketClosed(1011)).expect(Probe()).feed(Probed(alive=True)).expect(DROPPED)
        call.wait(0.3).expect(AGAIN)

    def test_an_end_that_is_asked_for_meanwhile_is_a_hang_up_without_goodbye(self) -> None:
        call = dropped(talking()).feed(EndRequested(OPERATOR, "Say goodbye."))
        ended(call.expect(Some(HangUp)).feed(HangUpAnswered(Answer.DONE)), OPERATOR)

    def test_an_end_that_is_asked_for_during_the_probe_is_not_forgotten(self) -> None:
        call = talking().feed(SocketClosed(1006), EndRequested(OPERATOR, None)).expect(Probe())
        call.feed(Probed(alive=True)).expect(Some(HangUp, reason=OPERATOR))

    def test_a_session_that_has_expired_is_not_dialed_again(self) -> None:
        ended(talking().feed(SocketClosed(1001, expired=True)), Reason.SESSION_EXPIRED)

    def test_what_was_being_said_is_recorded_as_not_heard_to_its_end(self) -> None:
        call = talking().feed(ResponseCreated("r1", None), AgentText("r1", "a1", "We are op"))
        call.feed(AudioStarted("r1"), SocketClosed(1006), Probed(alive=True))
        turn = Turn(1, Speaker.AGENT, 0.0, "We are op", interrupted=True)
        call.expect(Probe(), DROPPED, AGAIN, RecordTurn(turn))


class TestFirstWords:
    def greeting(self) -> Playbook:
        """A call whose greeting is being spoken."""
        call = Playbook(a_plan())
        call.feed(AcceptAnswered(Answer.DONE), SocketOpened())
        call.feed(ResponseCreated("r1", "greeting"), AudioStarted("r1"))
        call.commands.clear()
        return call

    def test_a_greeting_that_was_cut_off_is_not_said_again(self) -> None:
        call = self.greeting().feed(SocketClosed(1006), Probed(alive=True))
        call.commands.clear()
        call.feed(SocketOpened()).expect(REATTACHED, RESTORED)
        call.feed(SessionUpdated()).expect()
        assert call.notes == [Mark.TURN_RESTORED]

    def test_a_greeting_whose_request_got_lost_is_not_asked_for_again(self) -> None:
        call = Playbook(a_plan()).feed(AcceptAnswered(Answer.DONE), SocketOpened())
        call.feed(SocketClosed(1006), Probed(alive=True))
        call.commands.clear()
        call.feed(SocketOpened()).expect(REATTACHED, RESTORED).wait(20)
        assert not [one for one in call.commands if isinstance(one, CreateResponse)]

    def test_turn_detection_is_restored_again_where_nobody_confirmed_it(self) -> None:
        call = self.greeting().feed(ResponseDone("r1", completed=True), AudioStopped("r1"))
        call.expect(RESTORED)
        call.feed(SocketClosed(1006), Probed(alive=True)).expect(Probe(), DROPPED, AGAIN)
        call.feed(SocketOpened()).expect(REATTACHED, RESTORED)

    def test_a_turn_during_the_gap_is_left_to_voice_detection(self) -> None:
        call = self.greeting().feed(ResponseDone("r1", completed=True), AudioStopped("r1"))
        call.feed(SessionUpdated())
        call.commands.clear()
        dropped(call).feed(SocketOpened()).expect(REATTACHED)
        call.feed(CallerCommitted("c1"), ResponseCreated("r2", None)).expect()

    def test_a_goodbye_that_was_asked_for_is_asked_for_again(self) -> None:
        call = talking().feed(EndRequested(OPERATOR, "Say goodbye."))
        call.expect(Some(CreateResponse, tag="goodbye"))
        dropped(call).feed(SocketOpened())
        call.expect(REATTACHED, Some(CreateResponse, tag="goodbye", instructions="Say goodbye."))
        call.feed(ResponseCreated("r1", "goodbye"), AudioStarted("r1"), AudioStopped("r1"))
        call.expect(Some(HangUp, reason=OPERATOR))

    @pytest.mark.parametrize("probed", [True, False], ids=["dialed", "probed"])
    def test_a_goodbye_whose_time_is_over_meanwhile_ends_the_call(self, probed: bool) -> None:
        call = talking().feed(EndRequested(OPERATOR, "Say goodbye."))
        call.feed(ResponseCreated("r1", "goodbye"), AudioStarted("r1"))
        call.feed(ResponseDone("r1", completed=True), SocketClosed(1006))
        if probed:
            call.feed(Probed(alive=True), AWAY)
            while call.state.lifecycle.phase is Phase.REATTACHING:
                call.wait(5.0).feed(AWAY)
            assert call.now <= 25.0
        else:
            call.wait(20.0).feed(Probed(alive=None))
        assert call.commands[-1] == Some(HangUp, reason=OPERATOR)


def taken_over(
    *marks: str,
    plan: CallPlan | None = None,
    now: float = 30.0,
    rings: bool = False,
) -> Playbook:
    """A call that a process has left 30 seconds after it began, with these marks at its 1st."""
    past = Past(2, dict.fromkeys(marks, 1.0), rings)
    return Playbook(plan or a_plan(), past, now=now)


class TestAdoption:
    @pytest.mark.parametrize("mark", [Mark.ACCEPTED, Mark.ATTACHED, Mark.GREETING, Mark.HEARD])
    def test_an_answered_call_that_is_gone_is_closed_and_not_answered_again(
        self, mark: str
    ) -> None:
        call = taken_over(mark, rings=True).expect(AGAIN)
        ended(call.feed(GONE), Reason.LINE_CLOSED, "ended while no process held it")

    def test_a_greeted_call_is_not_greeted_again_and_gets_its_turn_detection(self) -> None:
        call = taken_over(Mark.ACCEPTED, Mark.GREETING).expect(AGAIN)
        call.feed(SocketOpened()).expect(RESTORED)
        call.feed(SessionUpdated()).expect().wait(20)
        assert not [one for one in call.commands if isinstance(one, CreateResponse)]

    def test_a_call_whose_turn_detection_was_restored_is_only_listened_to(self) -> None:
        call = taken_over(Mark.GREETING, Mark.TURN_RESTORED).expect(AGAIN)
        call.feed(SocketOpened()).expect()

    def test_a_call_that_was_answered_and_not_greeted_is_greeted(self) -> None:
        taken_over(Mark.ACCEPTED).expect(AGAIN).feed(SocketOpened()).expect(GREETED)

    def test_a_call_that_rings_is_answered(self) -> None:
        call = taken_over(rings=True).expect(AGAIN).feed(GONE).expect(Some(Accept))
        call.feed(AcceptAnswered(Answer.DONE)).expect(Attach())
        call.feed(SocketOpened()).expect(GREETED)

    def test_a_call_that_was_answered_although_nobody_noted_it_is_found_at_its_socket(self) -> None:
        taken_over(rings=True).expect(AGAIN).feed(SocketOpened()).expect(GREETED)

    def test_a_call_that_rings_no_more_was_lost_by_the_service(self) -> None:
        call = taken_over(rings=False).expect(AGAIN).feed(GONE)
        ended(call, Reason.REPLICA_LOST, "no process had it answered")

    def test_an_accept_that_was_on_its_way_is_found_at_the_socket(self) -> None:
        call = taken_over(rings=True).expect(AGAIN).feed(GONE).expect(Some(Accept))
        call.feed(AcceptAnswered(Answer.GONE)).expect(AGAIN).feed(SocketOpened()).expect(GREETED)
        assert not call.state.usage_complete
        call.feed(SocketClosed(1006)).expect(Probe()).feed(Probed(alive=False))
        call.commands = [one for one in call.commands if not isinstance(one, RecordTurn)]
        ended(call, Reason.LINE_CLOSED)

    def test_a_caller_who_rang_and_is_gone_has_gone(self) -> None:
        call = taken_over(rings=True).expect(AGAIN).feed(GONE).expect(Some(Accept))
        call.feed(AcceptAnswered(Answer.GONE)).expect(AGAIN).feed(GONE).expect(Some(HangUp))
        ended(call.feed(HangUpAnswered(Answer.GONE)), Reason.CALLER_GONE)

    @pytest.mark.parametrize(
        ("plan", "complete"), [(a_plan(), False), (a_forward(), True)], ids=["agent", "forward"]
    )
    def test_what_was_billed_while_nobody_listened_is_not_known(
        self, plan: CallPlan, complete: bool
    ) -> None:
        call = taken_over(Mark.ACCEPTED, plan=plan).expect(AGAIN).feed(GONE)
        assert call.state.over
        assert call.state.usage_complete is complete

    def test_a_provider_that_is_away_is_dialed_until_it_answers(self) -> None:
        call = taken_over(Mark.GREETING, Mark.TURN_RESTORED).expect(AGAIN).feed(AWAY).expect(AGAIN)
        call.feed(AWAY).wait(0.3).expect(AGAIN).feed(SocketOpened()).expect()

    def test_a_caller_who_may_still_wait_is_sent_on_where_no_socket_tells(self) -> None:
        call = taken_over(rings=True).expect(AGAIN).feed(AWAY).expect(Reject(503))
        call.feed(RejectAnswered(Answer.DONE))
        call.expect(Finish(Reason.ACCEPT_TIMEOUT, "attach unanswered", 503))

    @pytest.mark.parametrize("answer", [Answer.GONE, Answer.SILENT])
    def test_what_cannot_be_rejected_may_have_been_answered(self, answer: Answer) -> None:
        call = taken_over(rings=True).feed(AWAY, RejectAnswered(answer))
        call.expect(AGAIN, Reject(503), Some(HangUp, rings=True)).feed(HangUpAnswered(Answer.DONE))
        ended(call, Reason.ACCEPT_TIMEOUT, "attach unanswered")

    def test_a_call_that_turns_out_to_be_answered_is_held(self) -> None:
        call = taken_over(rings=True).feed(AWAY, RejectAnswered(Answer.DECIDED))
        call.expect(AGAIN, Reject(503), Attach()).feed(SocketOpened()).expect(GREETED)

    def test_a_hang_up_goes_on_with_its_reason(self) -> None:
        call = taken_over(Mark.GREETING, f"{Mark.HANG_UP}:{Reason.MAX_DURATION}")
        call.expect(Some(HangUp, reason=Reason.MAX_DURATION))
        ended(call.feed(HangUpAnswered(Answer.GONE)), Reason.MAX_DURATION)

    def test_turns_of_two_owners_are_numbered_apart(self) -> None:
        call = taken_over(Mark.GREETING, Mark.TURN_RESTORED).feed(SocketOpened())
        call.feed(CallerTextDone("c9", "Hello?"))
        assert call.commands[-1] == RecordTurn(Turn(1_000_000, Speaker.CALLER, 30.0, "Hello?"))

    def test_an_end_that_is_asked_for_before_the_socket_is_found_is_kept(self) -> None:
        call = taken_over(Mark.GREETING).expect(AGAIN).feed(EndRequested(OPERATOR, "Bye."))
        call.feed(SocketOpened())
        goodbye = call.commands[-1]
        assert isinstance(goodbye, CreateResponse)
        assert goodbye.tag == "goodbye"
        call.feed(EndRequested(OPERATOR, None))
        assert call.commands[-1] == HangUp(OPERATOR)

    def test_an_end_without_goodbye_hangs_up_as_soon_as_the_socket_is_found(self) -> None:
        call = taken_over(Mark.GREETING).expect(AGAIN).feed(EndRequested(OPERATOR, None))
        call.feed(SocketOpened()).expect(Some(HangUp, reason=OPERATOR))


class TestAdoptedForward:
    def test_a_forward_that_was_not_referred_is_referred(self) -> None:
        call = taken_over(Mark.ACCEPTED, plan=a_forward()).expect(AGAIN)
        call.feed(SocketOpened()).expect(Refer("tel:+17135550100"))

    def test_a_forward_that_was_referred_is_watched_for_the_rest_of_its_time(self) -> None:
        call = taken_over(Mark.ACCEPTED, Mark.REFER, plan=a_forward()).expect(AGAIN)
        call.feed(SocketOpened()).wait(WATCH - 29.1).expect().wait(0.2).expect(Some(HangUp))

    def test_nobody_talks_into_a_fallback_that_was_referred(self) -> None:
        call = taken_over(Mark.ACCEPTED, Mark.GREETING, Mark.REFER).expect(AGAIN)
        call.feed(SocketOpened(), CallerStarted("c1"), CallerCommitted("c1")).expect()
        call.feed(ResponseCreated("r1", None)).expect(CancelResponse("r1"))
        call.feed(AudioStarted("r1")).expect(ClearAudio())

    def test_a_forward_that_was_taken_meanwhile_was_transferred(self) -> None:
        call = taken_over(Mark.REFER, plan=a_forward()).expect(AGAIN).feed(GONE).expect(Probe())
        ended(call.feed(Probed(alive=False)), Reason.TRANSFERRED)


def test_what_owners_before_have_cost_counts_for_the_ceiling() -> None:
    prices = Prices("v1", ModelPrice(text_in=4_000))
    plan = replace(a_plan(), ceilings=Ceilings(cost=1_000), prices=prices)
    bill = Bill(Tokens(text_in=10))
    for cost, ends in ((900, False), (960, True)):
        past = Past(2, {Mark.GREETING: 1.0, Mark.TURN_RESTORED: 2.0}, rings=False, cost=cost)
        call = Playbook(plan, past, now=30.0).feed(SocketOpened(), ResponseCreated("r1", None))
        call.feed(ResponseDone("r1", completed=True, bill=bill))
        said = [one for one in call.commands if isinstance(one, CreateResponse)]
        assert [one.tag for one in said] == ["goodbye"] * ends
