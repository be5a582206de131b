"""The whole machine: the stories of calls, event by event."""

import pytest

from sipagent.model import Happening, Mark, Reason, Speaker, Turn
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
    Reject,
    UpdateSession,
)
from sipagent.sessions.machine.events import (
    AcceptAnswered,
    AgentText,
    AgentTextDone,
    Answer,
    AudioCleared,
    AudioStarted,
    AudioStopped,
    CallerCommitted,
    CallerStarted,
    CallerText,
    CallerTextDone,
    EndRequested,
    Event,
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
from sipagent.testing import Playbook, Some, a_plan, a_profile

GREETED = Some(CreateResponse, tag="greeting")
REPLY = Some(CreateResponse, tag="reply", instructions=None)
ASKED_AGAIN = RecordStep(Happening.RETRIED, "greeting failed")
RESTORED = Some(
    UpdateSession,
    session={
        "type": "realtime",
        "audio": {
            "input": {
                "turn_detection": {
                    "type": "server_vad",
                    "create_response": True,
                    "interrupt_response": True,
                }
            }
        },
    },
)
OPERATOR = Reason.OPERATOR_HUNG_UP


def attached(greeting: str | None = "Hello.") -> Playbook:
    """A call whose socket has just been opened."""
    call = Playbook(a_plan(a_profile(greeting=greeting))).expect(Some(Accept))
    call.feed(AcceptAnswered(Answer.DONE)).expect(Attach())
    return call.feed(SocketOpened())


def greeted() -> Playbook:
    """A call whose greeting has been heard, and whose turn detection is restored."""
    call = attached().expect(GREETED)
    call.feed(ResponseCreated("r1", "greeting"), AudioStarted("r1"))
    call.feed(AgentTextDone("r1", "a1", "Hello."), ResponseDone("r1", completed=True))
    call.feed(AudioStopped("r1")).expect(Some(RecordTurn), RESTORED)
    return call.feed(SessionUpdated()).expect()


def ended(call: Playbook, reason: Reason, *records: Some) -> None:
    call.expect(*records, Some(Finish, reason=reason))
    assert call.state.over
    assert call.state.deadlines.earliest is None


def test_a_call_is_answered_greeted_heard_and_ends_when_the_line_closes() -> None:
    call = Playbook(a_plan())
    held = {"type": "server_vad", "create_response": False, "interrupt_response": True}
    (accept,) = call.commands
    assert isinstance(accept, Accept)
    assert accept.session["audio"]["input"]["turn_detection"] == held
    call.expect(Some(Accept)).feed(AcceptAnswered(Answer.DONE)).expect(Attach())
    call.feed(SocketOpened()).expect(GREETED)
    call.feed(ResponseCreated("r1", "greeting"), AgentText("r1", "a1", "Hel"), AudioStarted("r1"))
    call.feed(AgentText("r1", "a1", "lo."), AgentTextDone("r1", "a1", "Hello."))
    call.feed(ResponseDone("r1", completed=True)).expect()
    call.wait(2).feed(AudioStopped("r1"))
    call.expect(RecordTurn(Turn(0, Speaker.AGENT, 0.0, "Hello.")), RESTORED)
    call.feed(SessionUpdated(), CallerStarted("c1"), CallerCommitted("c1"))
    call.feed(ResponseCreated("r2", None), AgentTextDone("r2", "a2", "Sure."))
    call.feed(CallerText("c1", "Hi"), CallerTextDone("c1", "Hi there."))
    call.expect(RecordTurn(Turn(1, Speaker.CALLER, 2.0, "Hi there.")))
    call.feed(AudioStarted("r2"), ResponseDone("r2", completed=True), AudioStopped("r2"))
    call.expect(RecordTurn(Turn(2, Speaker.AGENT, 2.0, "Sure.")))
    call.feed(SocketClosed(1006)).expect(Probe())
    ended(call.feed(Probed(alive=False)), Reason.LINE_CLOSED)


def test_the_greeting_is_spoken_word_for_word() -> None:
    (request,) = attached('Say "hi"\nto all.').commands
    assert isinstance(request, CreateResponse)
    assert request.instructions is not None
    assert request.instructions.endswith("\"Say 'hi' to all.\"")


def test_without_a_greeting_the_caller_begins_and_the_session_is_the_profiles() -> None:
    profile = a_profile(greeting=None)
    Playbook(a_plan(profile)).expect(Accept(profile.editions[0].session))
    attached(greeting=None).expect().feed(CallerCommitted("c1")).expect()


def test_a_greeting_that_is_not_to_be_interrupted_is_accepted_without_interruption() -> None:
    profile = a_profile()
    plan = a_plan(profile)
    object.__setattr__(plan.greeting, "interruptible", False)
    (accept,) = Playbook(plan).commands
    assert isinstance(accept, Accept)
    detection = accept.session["audio"]["input"]["turn_detection"]
    assert (detection["create_response"], detection["interrupt_response"]) == (False, False)


class TestAnswering:
    def test_a_caller_who_has_gone_is_abandoned_and_no_alarm(self) -> None:
        call = Playbook(a_plan()).expect(Some(Accept))
        ended(call.feed(AcceptAnswered(Answer.GONE)), Reason.CALLER_GONE)

    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            (Answer.REFUSED, Reason.ACCEPT_REFUSED),
            (Answer.SILENT, Reason.ACCEPT_TIMEOUT),
        ],
    )
    @pytest.mark.parametrize("rejected", [Answer.DONE, Answer.GONE])
    def test_a_failure_to_answer_becomes_a_rejection(
        self, answer: Answer, reason: Reason, rejected: Answer
    ) -> None:
        call = Playbook(a_plan()).expect(Some(Accept))
        call.feed(AcceptAnswered(answer, "why")).expect(Reject(503))
        call.feed(RejectAnswered(rejected)).expect(Finish(reason, "why", 503))

    def test_an_accept_whose_answer_was_lost_is_found_out_by_the_reject(self) -> None:
        call = Playbook(a_plan()).expect(Some(Accept))
        call.feed(AcceptAnswered(Answer.SILENT)).expect(Reject(503))
        call.feed(RejectAnswered(Answer.DECIDED)).expect(Attach())
        call.feed(SocketOpened()).expect(GREETED)

    def test_a_call_that_can_be_neither_answered_nor_rejected_is_hung_up(self) -> None:
        call = Playbook(a_plan()).expect(Some(Accept))
        call.feed(AcceptAnswered(Answer.REFUSED)).expect(Reject(503))
        call.feed(RejectAnswered(Answer.SILENT)).expect(Some(HangUp, rings=True))
        call.feed(HangUpAnswered(Answer.DONE))
        call.expect(Finish(Reason.ACCEPT_REFUSED, None, None))

    def test_a_decision_made_before_is_taken_up_at_the_socket(self) -> None:
        call = Playbook(a_plan()).expect(Some(Accept))
        call.feed(AcceptAnswered(Answer.DECIDED)).expect(Attach())

    @pytest.mark.parametrize("answer", [Answer.DONE, Answer.DECIDED])
    def test_an_end_asked_for_meanwhile_comes_when_the_socket_opens(self, answer: Answer) -> None:
        call = Playbook(a_plan()).expect(Some(Accept))
        call.feed(EndRequested(OPERATOR, "Bye."), AcceptAnswered(answer)).expect(Attach())
        call.feed(SocketOpened()).expect(Some(HangUp))

    def test_an_end_asked_for_while_rejecting_or_attaching_is_kept(self) -> None:
        call = Playbook(a_plan()).expect(Some(Accept)).feed(AcceptAnswered(Answer.SILENT))
        call.feed(EndRequested(OPERATOR, None), RejectAnswered(Answer.DECIDED))
        call.expect(Reject(503), Attach()).feed(EndRequested(OPERATOR, None), SocketOpened())
        call.expect(Some(HangUp))


class TestAttaching:
    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            (Answer.DONE, Reason.ATTACH_FAILED),
            (Answer.GONE, Reason.ATTACH_FAILED),
            (Answer.SILENT, Reason.ATTACH_FAILED),
        ],
    )
    def test_a_call_without_a_socket_is_hung_up(self, answer: Answer, reason: Reason) -> None:
        call = Playbook(a_plan()).expect(Some(Accept)).feed(AcceptAnswered(Answer.DONE))
        call.expect(Attach()).feed(SocketRefused("404")).expect(Some(HangUp))
        ended(call.feed(HangUpAnswered(answer)), reason)

    def test_events_that_overtake_the_attachment_are_not_lost(self) -> None:
        call = Playbook(a_plan()).expect(Some(Accept)).feed(AcceptAnswered(Answer.DONE))
        call.feed(CallerTextDone("c1", "Hello?")).expect(Attach(), Some(RecordTurn))


class TestGreeting:
    def test_an_early_hello_gets_one_response_after_the_greeting(self) -> None:
        call = attached().expect(GREETED)
        call.feed(ResponseCreated("r1", "greeting"), AudioStarted("r1"))
        call.feed(CallerStarted("c1"), CallerCommitted("c1")).expect()
        call.feed(ResponseDone("r1", completed=True), AudioStopped("r1")).expect(RESTORED, REPLY)
        call.feed(SessionUpdated(), ResponseCreated("r2", "reply")).expect()

    def test_a_turn_that_ends_while_turn_detection_is_restored_gets_one_response(self) -> None:
        call = attached().expect(GREETED)
        call.feed(ResponseCreated("r1", "greeting"), ResponseDone("r1", completed=True))
        call.feed(AudioStopped("r1")).expect(RESTORED)
        call.feed(CallerCommitted("c1")).expect().feed(SessionUpdated()).expect(REPLY)

    def test_a_turn_that_voice_detection_answers_gets_no_second_response(self) -> None:
        call = attached().expect(GREETED)
        call.feed(ResponseCreated("r1", "greeting"), ResponseDone("r1", completed=True))
        call.feed(AudioStopped("r1")).expect(RESTORED)
        call.feed(CallerCommitted("c1"), ResponseCreated("r2", None), SessionUpdated()).expect()

    def test_a_greeting_that_is_cut_short_hands_over_at_once(self) -> None:
        call = attached().expect(GREETED)
        call.feed(ResponseCreated("r1", "greeting"), AudioStarted("r1"))
        call.feed(AgentText("r1", "a1", "Hel"), CallerStarted("c1"), AudioCleared("r1"))
        turn = Turn(0, Speaker.AGENT, 0.0, "Hel", interrupted=True)
        call.expect(RecordTurn(turn), RESTORED)
        call.feed(AgentTextDone("r1", "a1", "Hello."), ResponseDone("r1", completed=False)).expect()

    def test_a_greeting_that_is_never_heard_hands_over_after_15_seconds(self) -> None:
        call = attached().expect(GREETED).feed(ResponseCreated("r1", "greeting"))
        call.wait(14.9).expect().wait(0.2).expect(RESTORED)

    def test_a_greeting_that_fails_hands_over_at_once_and_the_model_is_asked_again(self) -> None:
        call = attached().expect(GREETED).feed(ResponseCreated("r1", "greeting"))
        call.feed(ResponseDone("r1", completed=False)).expect(RESTORED, ASKED_AGAIN, REPLY)

    def test_a_greeting_that_a_caller_cuts_off_has_not_failed(self) -> None:
        call = attached().expect(GREETED).feed(ResponseCreated("r1", "greeting"))
        call.feed(AudioStarted("r1"), ResponseDone("r1", completed=False), AudioCleared("r1"))
        call.expect(RESTORED)

    def test_a_greeting_that_is_refused_hands_over_at_once(self) -> None:
        call = attached()
        (request,) = call.commands
        assert isinstance(request, CreateResponse)
        call.expect(GREETED)
        call.feed(ProviderFault(FaultKind.OTHER, "invalid_value", request.request_id))
        call.expect(RESTORED, ASKED_AGAIN, REPLY)

    def test_a_greeting_that_is_never_begun_hands_over(self) -> None:
        attached().expect(GREETED).wait(11).expect(RESTORED, ASKED_AGAIN, REPLY)

    @pytest.mark.parametrize("how", ["refused", "unanswered"])
    def test_without_restored_turn_detection_each_turn_is_answered_by_us(self, how: str) -> None:
        call = attached().expect(GREETED)
        call.feed(ResponseCreated("r1", "greeting"), ResponseDone("r1", completed=True))
        call.feed(AudioStopped("r1"))
        (update,) = call.commands
        assert isinstance(update, UpdateSession)
        call.expect(RESTORED)
        if how == "refused":
            call.feed(ProviderFault(FaultKind.OTHER, "invalid_value", update.request_id))
        else:
            call.wait(2.1)
        call.feed(CallerCommitted("c1")).expect(REPLY)
        call.feed(ResponseCreated("r2", "reply"), ResponseDone("r2", completed=True))
        call.feed(SessionUpdated(), CallerCommitted("c2")).expect()

    def test_a_profile_that_answers_by_itself_only_is_left_to_itself(self) -> None:
        detection = {"type": "server_vad", "create_response": False, "interrupt_response": True}
        profile = a_profile(audio={"input": {"turn_detection": detection}})
        call = Playbook(a_plan(profile)).expect(Accept(profile.editions[0].session))
        call.feed(AcceptAnswered(Answer.DONE), SocketOpened()).expect(Attach(), GREETED)
        call.feed(ResponseCreated("r1", "greeting"), ResponseDone("r1", completed=True))
        call.feed(CallerCommitted("c1"), AudioStopped("r1")).expect()

    def test_a_profile_without_turn_detection_has_nothing_to_restore(self) -> None:
        profile = a_profile(audio={"input": {"turn_detection": None}})
        call = Playbook(a_plan(profile)).expect(Accept(profile.editions[0].session))
        call.feed(AcceptAnswered(Answer.DONE), SocketOpened()).expect(Attach(), GREETED)
        call.feed(ResponseCreated("r1", "greeting"), AudioStopped("r1")).expect()


class TestResponses:
    def test_a_refused_greeting_request_waits_for_the_response_in_its_way(self) -> None:
        call = attached()
        (request,) = call.commands
        assert isinstance(request, CreateResponse)
        call.expect(GREETED)
        busy = ProviderFault(FaultKind.BUSY, "busy", request.request_id)
        call.feed(busy).expect().feed(ResponseDone("other", completed=True))
        (again,) = call.commands
        # Its mark is there already, and what is marked is not done once more.
        assert (request.mark, again) == (Mark.GREETING, GREETED)
        assert isinstance(again, CreateResponse)
        assert again.mark is None

    def test_an_untagged_response_counts_as_ours_until_the_provider_says_otherwise(self) -> None:
        call = attached()
        (request,) = call.commands
        assert isinstance(request, CreateResponse)
        call.expect(GREETED).feed(ResponseCreated("vad", None))
        call.feed(ProviderFault(FaultKind.BUSY, "busy", request.request_id)).expect()
        call.feed(ResponseDone("vad", completed=True)).expect(GREETED)
        call.feed(AudioStopped("vad")).expect()  # not the greeting's

    def test_an_untagged_response_of_a_provider_that_echoes_nothing_is_ours(self) -> None:
        call = attached().expect(GREETED).feed(ResponseCreated("r1", None))
        call.feed(ResponseDone("r1", completed=True), AudioStopped("r1")).expect(RESTORED)

    def test_a_busy_error_whose_response_never_ends_is_given_up(self) -> None:
        call = attached()
        (request,) = call.commands
        assert isinstance(request, CreateResponse)
        call.expect(GREETED).feed(ProviderFault(FaultKind.BUSY, "busy", request.request_id))
        call.wait(10.1).expect(GREETED)

    @pytest.mark.parametrize(
        "sign", [AudioStopped("r2"), ProviderFault(FaultKind.IDLE, "not_active", None)]
    )
    def test_a_response_whose_end_was_lost_does_not_silence_the_agent(self, sign: Event) -> None:
        call = greeted().feed(ResponseCreated("r2", None), AudioStarted("r2"), sign)
        call.feed(EndRequested(OPERATOR, "Bye."))
        assert any(isinstance(command, CreateResponse) for command in call.commands)

    @pytest.mark.parametrize("kind", list(FaultKind))
    def test_errors_about_nothing_of_ours_do_not_end_a_call(self, kind: FaultKind) -> None:
        if kind in (FaultKind.EXPIRED, FaultKind.UNKNOWN_CALL):
            return
        greeted().feed(ProviderFault(kind, "some_code", None)).expect()

    def test_a_reply_that_meets_voice_detections_own_is_dropped(self) -> None:
        call = attached().expect(GREETED)
        call.feed(ResponseCreated("r1", "greeting"), CallerCommitted("c1"), AudioStarted("r1"))
        call.feed(ResponseDone("r1", completed=True), AudioStopped("r1"))
        request = call.commands[-1]
        assert isinstance(request, CreateResponse)
        call.expect(RESTORED, REPLY)
        call.feed(ProviderFault(FaultKind.BUSY, "busy", request.request_id))
        call.feed(ResponseDone("vad", completed=True)).expect()


class TestEnding:
    def test_a_goodbye_is_heard_before_the_hang_up(self) -> None:
        call = greeted().feed(EndRequested(OPERATOR, "Say goodbye."))
        call.expect(Some(CreateResponse, tag="goodbye", instructions="Say goodbye."))
        call.feed(ResponseCreated("r9", "goodbye"), AudioStarted("r9"))
        call.feed(AgentTextDone("r9", "a9", "Bye."), ResponseDone("r9", completed=True)).expect()
        call.feed(AudioStopped("r9")).expect(Some(RecordTurn), Some(HangUp))
        call.feed(HangUpAnswered(Answer.DONE)).expect()
        ended(call.feed(SocketClosed(1000)), OPERATOR)

    def test_a_goodbye_cuts_off_what_is_being_said(self) -> None:
        call = greeted().feed(ResponseCreated("r2", None), AudioStarted("r2"))
        call.feed(EndRequested(OPERATOR, "Bye.")).expect(CancelResponse("r2"), ClearAudio())
        call.feed(ResponseDone("r2", completed=False), AudioCleared("r2"))
        call.expect(Some(CreateResponse, tag="goodbye"))

    def test_a_goodbye_cuts_off_what_is_still_being_played(self) -> None:
        call = greeted().feed(ResponseCreated("r2", None), AudioStarted("r2"))
        call.feed(ResponseDone("r2", completed=True)).expect()
        call.feed(EndRequested(OPERATOR, "Bye."))
        call.expect(ClearAudio(), Some(CreateResponse, tag="goodbye"))

    def test_nothing_else_is_said_or_heard_once_a_goodbye_is_wanted(self) -> None:
        call = attached().feed(EndRequested(OPERATOR, "Bye.")).expect(GREETED)
        call.feed(ResponseCreated("r1", "greeting")).expect(CancelResponse("r1"))
        call.feed(AudioStarted("r1")).expect(ClearAudio())
        call.feed(ResponseDone("r1", completed=False), AudioCleared("r1"))
        call.expect(Some(CreateResponse, tag="goodbye"), RESTORED)
        call.feed(ResponseCreated("r9", "goodbye"), AudioStarted("r9")).expect()
        call.feed(ResponseCreated("vad", None)).expect(CancelResponse("vad"))

    def test_a_blip_that_voice_detection_answers_is_not_taken_for_the_goodbye(self) -> None:
        call = attached(greeting=None).feed(EndRequested(OPERATOR, "Bye."))
        call.expect(Some(CreateResponse, tag="goodbye"))
        call.feed(ResponseCreated("vad", None), ResponseDone("vad", completed=True))
        call.expect(CancelResponse("vad"))
        call.feed(ResponseCreated("r9", "goodbye"), AudioStarted("vad"), AudioStopped("vad"))
        call.expect(ClearAudio())
        call.feed(AudioStarted("r9"), AudioStopped("r9")).expect(Some(HangUp))

    def test_a_goodbye_has_its_time(self) -> None:
        call = greeted().feed(EndRequested(OPERATOR, "Bye.")).expect(Some(CreateResponse))
        call.feed(ResponseCreated("r9", "goodbye")).wait(15.1).expect(Some(HangUp))

    def test_a_goodbye_that_nobody_can_say_is_left_out(self) -> None:
        call = greeted().feed(EndRequested(OPERATOR, "Bye.")).expect(Some(CreateResponse))
        call.feed(ResponseCreated("r9", "goodbye"), ResponseDone("r9", completed=False))
        call.expect(Some(HangUp))

    def test_an_end_without_goodbye_comes_at_once_even_during_one(self) -> None:
        call = greeted().feed(EndRequested(OPERATOR, "Bye.")).expect(Some(CreateResponse))
        call.feed(EndRequested(OPERATOR, None)).expect(Some(HangUp))
        call.feed(EndRequested(OPERATOR, "Bye."), HangUpAnswered(Answer.GONE))
        ended(call, OPERATOR)

    def test_a_hang_up_whose_socket_stays_open_ends_the_call_all_the_same(self) -> None:
        call = greeted().feed(EndRequested(OPERATOR, None)).expect(Some(HangUp))
        ended(call.feed(HangUpAnswered(Answer.DONE)).wait(5.1), OPERATOR)

    def test_a_hang_up_that_is_not_confirmed_is_told(self) -> None:
        call = greeted().feed(EndRequested(OPERATOR, None)).expect(Some(HangUp))
        for pause in (2.0, 4.0, 8.0):
            call.feed(HangUpAnswered(Answer.SILENT)).expect()
            call.wait(pause - 0.1).expect().wait(0.2).expect(Some(HangUp))
        call.feed(HangUpAnswered(Answer.SILENT))
        call.expect(Finish(OPERATOR, "hang-up not confirmed"))
        assert not call.state.usage_complete, "the model may go on talking"

    @pytest.mark.parametrize("answer", [Answer.SILENT, Answer.REFUSED, Answer.UNSENT])
    def test_a_hang_up_that_is_not_confirmed_is_asked_for_again(self, answer: Answer) -> None:
        call = greeted().feed(EndRequested(OPERATOR, None)).expect(Some(HangUp))
        call.feed(HangUpAnswered(answer)).wait(2.1).expect(Some(HangUp))
        ended(call.feed(HangUpAnswered(Answer.DONE), SocketClosed(1000)), OPERATOR)

    def test_the_sockets_end_confirms_a_hang_up_that_nobody_has_answered(self) -> None:
        call = greeted().feed(EndRequested(OPERATOR, None)).expect(Some(HangUp))
        ended(call.feed(HangUpAnswered(Answer.SILENT), SocketClosed(1000)), OPERATOR)

    def test_the_cause_of_a_failure_is_kept_whatever_follows(self) -> None:
        call = Playbook(a_plan()).expect(Some(Accept))
        call.feed(AcceptAnswered(Answer.REFUSED, "accept answered 401 invalid_api_key"))
        call.feed(RejectAnswered(Answer.REFUSED), HangUpAnswered(Answer.REFUSED))
        detail = "accept answered 401 invalid_api_key; hang-up not confirmed"
        call.expect(Reject(503), Some(HangUp, rings=True), Finish(Reason.ACCEPT_REFUSED, detail))
        assert call.state.usage_complete

    def test_a_caller_who_hangs_up_in_mid_sentence_leaves_what_was_said(self) -> None:
        call = greeted().feed(ResponseCreated("r2", None), AgentText("r2", "a2", "We are op"))
        call.feed(CallerStarted("c1"), CallerText("c1", "I"), SocketClosed(1006)).expect(Probe())
        call.feed(Probed(alive=False)).expect(
            RecordTurn(Turn(1, Speaker.AGENT, 0.0, "We are op", interrupted=True)),
            RecordTurn(Turn(2, Speaker.CALLER, 0.0, "I")),
            Finish(Reason.LINE_CLOSED, None),
        )

    def test_the_end_of_the_session_by_error_then_close(self) -> None:
        call = greeted().feed(ProviderFault(FaultKind.EXPIRED, "session_expired", None))
        ended(call.feed(SocketClosed(1000)), Reason.SESSION_EXPIRED)

    def test_the_end_of_the_session_by_close_alone(self) -> None:
        ended(greeted().feed(SocketClosed(1001, expired=True)), Reason.SESSION_EXPIRED)

    def test_an_expired_session_that_stays_open_is_hung_up(self) -> None:
        call = greeted().feed(ProviderFault(FaultKind.EXPIRED, "session_expired", None))
        call.wait(5.1).expect(Some(HangUp)).feed(SocketClosed(1000))
        ended(call, Reason.SESSION_EXPIRED)

    def test_a_call_that_the_provider_does_not_know_is_probed(self) -> None:
        call = attached().expect(GREETED)
        call.feed(ProviderFault(FaultKind.UNKNOWN_CALL, "call_id_not_found", None)).expect(Probe())
        ended(call.feed(Probed(alive=False)), Reason.LINE_CLOSED)

    def test_nothing_follows_the_end(self) -> None:
        call = greeted().feed(SocketClosed(1006), Probed(alive=False))
        call.expect(Probe(), Some(Finish))
        call.feed(SocketClosed(1000), Probed(alive=True), HangUpAnswered(Answer.DONE))
        call.feed(CallerTextDone("c7", "late"), ResponseCreated("r9", None)).wait(4000)
        call.expect()
