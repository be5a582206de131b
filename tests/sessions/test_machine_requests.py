"""What can be done with a call when somebody on duty wants it, and what is said where it cannot."""

import pytest

from sipagent.model import AgentName, Colleague, DestinationName, Reason, Skills
from sipagent.model.request import (
    CallRequest,
    HangUp,
    HoldReplies,
    ResumeReplies,
    Say,
    SwitchAgent,
    TransferTo,
    Typed,
    Whisper,
)
from sipagent.sessions.machine import Past, requests, speech
from sipagent.sessions.machine.duty import MOST_REQUESTS, MOST_WAITING
from sipagent.sessions.machine.events import (
    AcceptAnswered,
    AgentWanted,
    Answer,
    CallerTyped,
    EndRequested,
    Event,
    HangUpAnswered,
    HoldWanted,
    Probed,
    ResponseCreated,
    ResumeWanted,
    SayWanted,
    SocketClosed,
    SocketOpened,
    SocketRefused,
    TransferWanted,
    Whispered,
)
from sipagent.sessions.machine.farewells import ENDED_BY_SOMEBODY
from sipagent.sessions.machine.requests import cleaned, done_before, event_of, refusal
from sipagent.sessions.machine.speech import MOST_CHANGES
from sipagent.testing import Playbook, a_forward, a_plan
from tests.sessions.switchboard import TRANSFER, a_way, ways
from tests.sessions.test_machine_duty import two_agents
from tests.sessions.toolkit import BILLING, a_plan_with, held

DESK = DestinationName("desk")
EACH: tuple[CallRequest, ...] = (
    TransferTo(DESK),
    Say("One moment."),
    Whisper("They are known here."),
    SwitchAgent(BILLING),
    HoldReplies(),
    ResumeReplies(),
    Typed("Hello?"),
)
ALL = (HangUp(), HangUp(goodbye=True), *EACH)
ANSWERED = (AcceptAnswered(Answer.DONE), SocketOpened())
BYE = EndRequested(Reason.BUDGET, "Bye.")
END = EndRequested(Reason.BUDGET, None)
LOST = (*ANSWERED, SocketClosed(1006))


def why(call: Playbook, request: CallRequest) -> str | None:
    return refusal(call.state, cleaned(request), call.now)


@pytest.mark.parametrize("request_", EACH, ids=lambda one: type(one).__name__)
@pytest.mark.parametrize(
    ("events", "told"),
    [
        ((), requests.NOT_LIVE),
        ((AcceptAnswered(Answer.DONE),), requests.NOT_LIVE),
        ((AcceptAnswered(Answer.SILENT),), requests.ENDING),
        ((AcceptAnswered(Answer.DONE), SocketRefused("why")), requests.ENDING),
        (LOST, requests.LOST),
        ((*LOST, Probed(alive=True)), requests.LOST),
        ((*ANSWERED, BYE), requests.ENDING),
        ((*ANSWERED, END), requests.ENDING),
        ((*ANSWERED, END, HangUpAnswered(Answer.GONE)), requests.ENDING),
    ],
    ids=(
        *("new", "attaching", "rejecting", "no socket", "probing", "reattaching"),
        *("goodbye", "hanging up", "over"),
    ),
)
def test_only_a_call_that_is_live_can_be_acted_on(
    events: tuple[Event, ...], told: str, request_: CallRequest
) -> None:
    assert why(Playbook(a_plan()).feed(*events), request_) == told


def test_a_call_that_is_sent_on_or_being_taken_over_is_told_apart() -> None:
    forward = Playbook(a_forward()).feed(AcceptAnswered(Answer.DONE))
    assert why(forward, HoldReplies()) == requests.SENT_ON
    adopted = Playbook(a_plan(), Past(2, {"accepted": 1.0}, rings=False))
    assert why(adopted, HoldReplies()) == requests.LOST


@pytest.mark.parametrize("events", [(), ANSWERED, LOST, (*ANSWERED, BYE), (*ANSWERED, END)])
def test_a_call_can_be_ended_whatever_it_is_at(events: tuple[Event, ...]) -> None:
    call = Playbook(a_plan()).feed(*events)
    assert why(call, HangUp()) is None
    assert why(call, HangUp(goodbye=True)) is None


def plain() -> Playbook:
    """A call with one destination that is open, one that is not, and no other agent."""
    return held(TRANSFER, ways=ways(a_way("desk"), a_way("night", open=((5.0, 60.0),))))


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        (TransferTo(DESK), None),
        (TransferTo(DestinationName("moon")), requests.NO_DESTINATION),
        (TransferTo(DestinationName("night")), requests.CLOSED),
        (SwitchAgent(BILLING), speech.NO_AGENT),
        (Say("x" * 1_000), None),
        (Say("x" * 1_001), requests.TOO_LONG),
        (Say(" \x00\n "), requests.NO_WORDS),
        (Whisper("x" * 1_001), requests.TOO_LONG),
        (Whisper(""), requests.NO_WORDS),
        (Typed("\x07"), requests.NO_WORDS),
        (Typed("x" * 1_000 + "\n"), None),
        (HoldReplies(), None),
        (ResumeReplies(), None),
    ],
)
def test_what_this_call_cannot_do_is_said(request_: CallRequest, told: str | None) -> None:
    assert why(plain(), request_) == told


def test_a_destination_is_reached_in_its_hours() -> None:
    call = plain().wait(10)
    assert why(call, TransferTo(DestinationName("night"))) is None


def test_nobody_is_sent_anywhere_or_handed_over_while_a_transfer_is_under_way() -> None:
    call = plain().feed(TransferWanted("k1", DESK))
    assert why(call, TransferTo(DESK)) == requests.UNDER_WAY
    assert why(call, SwitchAgent(BILLING)) == requests.UNDER_WAY
    assert why(call, Whisper("Hm.")) is None


def test_a_call_of_a_browser_cannot_be_transferred() -> None:
    call = held(TRANSFER, ways=ways(a_way("desk")), talk=True)
    assert why(call, TransferTo(DESK)) == requests.BY_BROWSER


def test_the_agent_that_has_the_call_does_not_get_it() -> None:
    call = two_agents()
    assert why(call, SwitchAgent(BILLING)) is None
    assert why(call, SwitchAgent(AgentName("reception"))) == speech.SAME_AGENT
    call.feed(AgentWanted("k1", BILLING))
    assert why(call, SwitchAgent(BILLING)) == speech.SAME_AGENT
    assert why(call, SwitchAgent(AgentName("reception"))) == speech.NO_AGENT  # nobody hands it back


def test_agents_are_not_changed_for_ever() -> None:
    marks = {f"language:{number}:es": 1.0 for number in range(MOST_CHANGES)}
    plan = a_plan_with(colleagues=(Colleague(BILLING, {"type": "realtime"}, Skills()),))
    call = Playbook(plan, Past(2, {"accepted": 1.0, **marks}, rings=False)).feed(SocketOpened())
    assert why(call, SwitchAgent(BILLING)) == speech.ENOUGH


def test_nothing_is_said_while_replies_are_held_and_not_too_much_at_once() -> None:
    call = held().feed(HoldWanted("k0"))
    assert why(call, Say("Hm.")) == requests.HUSHED
    assert why(call, Typed("Hm.")) is None
    call.feed(ResumeWanted("k1"), ResponseCreated("r1", None))
    for number in range(MOST_WAITING):
        assert why(call, Say("Hm.")) is None
        call.feed(SayWanted(f"w{number}", "Hm."))
    assert why(call, Say("Hm.")) == requests.WAITING


def test_a_call_is_not_asked_for_ever() -> None:
    call = held()
    for number in range(MOST_REQUESTS):
        assert why(call, Whisper("Hm.")) is None
        call.feed(Whispered(f"w{number}", "Hm."))
    assert why(call, Whisper("Hm.")) == requests.TOO_MUCH
    assert why(call, HangUp()) is None


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("  One\tmoment.\r\n", "One moment."),
        ("a\x00b\x1b[31mc\x7f\x9b", "ab[31mc"),
        ("\ud800lone", "lone"),
        ("Sí, mañana 👩\u200d👩", "Sí, mañana 👩\u200d👩"),
    ],
)
def test_words_have_no_control_characters(text: str, clean: str) -> None:
    assert cleaned(Say(text)) == Say(clean)
    assert cleaned(Whisper(text)) == Whisper(clean)
    assert cleaned(Typed(text)) == Typed(clean)


def test_each_request_is_an_event_with_its_key() -> None:
    events = [event_of(one, "k") for one in ALL]
    typed = events.pop()
    assert events == [
        EndRequested(Reason.OPERATOR_HUNG_UP, None, "k"),
        EndRequested(Reason.OPERATOR_HUNG_UP, ENDED_BY_SOMEBODY, "k"),
        TransferWanted("k", DESK),
        SayWanted("k", "One moment."),
        Whispered("k", "They are known here."),
        AgentWanted("k", BILLING),
        HoldWanted("k"),
        ResumeWanted("k"),
    ]
    assert isinstance(typed, CallerTyped)
    assert (typed.key, typed.text) == ("k", "Hello?")
    assert len(typed.item_id) <= 32
    assert event_of(Typed("Hello?"), "k") == typed
    assert event_of(Typed("Hello?"), "other") != typed


def test_words_are_not_printed() -> None:
    for one in (Say("secret"), Whisper("secret"), Typed("secret")):
        assert "secret" not in repr(event_of(one, "k"))


def test_what_an_owner_before_has_done_is_known() -> None:
    marks = ("wanted:k1", "hush:1:k2", "wanted:k2", "ordered:duty-k3")
    call = Playbook(a_plan(), Past(2, dict.fromkeys(marks, 1.0), rings=False))
    assert [done_before(call.state, f"k{number}") for number in range(5)] == [
        *(False, True, True, True, False)
    ]
