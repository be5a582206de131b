"""Transfers in any order of events: never a REFER that nobody asked for, never two at once."""

from itertools import product
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sipagent.model import CallPlan, DestinationName, FailureStep, Fallback, Reason, TransferEnd
from sipagent.sessions.machine.commands import (
    Finish,
    HangUp,
    RecordTransfer,
    Refer,
)
from sipagent.sessions.machine.events import (
    AcceptAnswered,
    Answer,
    AudioCleared,
    AudioStarted,
    AudioStopped,
    CallerCommitted,
    CallerStarted,
    CallerStopped,
    EndRequested,
    Event,
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
    TransferOrdered,
)
from sipagent.testing import Playbook
from tests.sessions.switchboard import CENTRE, TRANSFER, a_way, press, wants, ways
from tests.sessions.toolkit import HANG_UP, MESSAGE, a_plan_with, asks

FALLBACK = "tel:+17135550100"
CHAINS = (
    (a_way("desk"), a_way("centre"), a_way("night")),
    (a_way("desk", "centre", "desk", "night"), a_way("centre", "desk"), a_way("night", open=())),
    (a_way("desk", "centre", "hang_up"), a_way("centre", "take_message"), a_way("night", "desk")),
    (a_way("desk", "night"), a_way("centre", "night"), a_way("night", "centre", "resume")),
)
PLANS = tuple(
    a_plan_with(
        *(TRANSFER, HANG_UP, MESSAGE),
        ways=ways(*chain),
        fallback=fallback,
        on_failure=(FailureStep.RETRY, FailureStep.FALLBACK, FailureStep.HANG_UP),
    )
    for chain, fallback in product(CHAINS, (None, Fallback(CENTRE, FALLBACK)))
)

ASKED = ("desk", "centre", "night")
EVENTS: tuple[Event | str, ...] = (
    *(f"tool {destination}" for destination in ASKED),
    *(f"press {destination}" for destination in ASKED),
    *("tool desk", "press desk", "hang_up"),
    *(TransferOrdered(order, a_way("abroad", "night")) for order in ("1500", "1600")),
    *(Referred(answer) for answer in Answer),
    *(Referred(Answer.DONE), Referred(Answer.SILENT), Referred(Answer.REFUSED)),
    *(AudioStarted("r"), AudioStopped("r"), AudioCleared("r"), CallerStarted("c")),
    *(CallerStopped("c"), CallerCommitted("c"), ResponseCreated("r", None)),
    *(ResponseCreated("r", "connecting"), ResponseCreated("r", "tool")),
    ResponseDone("r", completed=True),
    ResponseDone("r", completed=False, failed=True),
    *(SocketClosed(1006), SocketOpened(), SocketRefused("why"), SocketRefused("why", gone=True)),
    *(Probed(alive=True), Probed(alive=False), HangUpAnswered(Answer.SILENT)),
    *(HangUpAnswered(Answer.GONE), HangUpAnswered(Answer.DONE)),
    *(EndRequested(Reason.OPERATOR_HUNG_UP, goodbye) for goodbye in (None, "Say goodbye.")),
    *(ProviderFault(kind, "code", request) for kind in FaultKind for request in ("response-0", "")),
)
PAUSES = (0.0, 0.0, 0.0, 1.0, 9.0, 16.0, 46.0)
MOMENTS = st.lists(st.sampled_from(tuple(product(EVENTS, PAUSES))), max_size=40)
GOES_ON = (TransferEnd.NOT_TAKEN, TransferEnd.REFUSED)


def feed(call: Playbook, event: Event | str, number: int) -> None:
    """Let it happen; a string is a response that asks for a tool, or a key."""
    if not isinstance(event, str):
        call.feed(event)
        return
    kind, _, destination = event.partition(" ")
    if kind == "press":
        if not call.state.over:
            press(call, destination)
        return
    tool = asks(f"h{number}", "hang_up", "{}") if kind == "hang_up" else None
    calls = (tool or wants(destination, f"t{number}"),)
    response = f"r{number}"
    call.feed(ResponseCreated(response, None))
    spoken = number % 2 == 0
    call.feed(ResponseDone(response, completed=True, calls=calls, spoken=spoken))


def story(plan: CallPlan, moments: list[tuple[Event | str, float]]) -> tuple[Playbook, list[Any]]:
    """Everything that was commanded, with what led to it, in order."""
    call = Playbook(plan).feed(AcceptAnswered(Answer.DONE), SocketOpened())
    call.commands = []
    told: list[Any] = []
    for number, (event, seconds) in enumerate(moments):
        told.append(event)
        feed(call, event, number)
        call.wait(seconds)
        told += call.commands
        call.commands = []
    for _ in range(16):  # whatever has happened, the clock and answers bring it to an end
        call.feed(Referred(Answer.DONE), Probed(alive=False), HangUpAnswered(Answer.DONE)).wait(999)
        call.feed(SocketRefused("gone", gone=True), Probed(alive=False))
    told += call.commands
    return call, told


@settings(max_examples=3_000, deadline=None)
@given(plan=st.sampled_from(PLANS), moments=MOMENTS)
def test_no_refer_is_sent_that_nobody_asked_for(
    plan: CallPlan, moments: list[tuple[Event | str, float]]
) -> None:
    steps = {way.destination: way.on_failure for way in plan.ways.destinations}
    steps[DestinationName("abroad")] = ("night",)
    _, told = story(plan, moments)
    number, is_open, asked, ending = 0, False, False, False
    orders: set[str] = set()
    abroad = 0
    leads: set[str] = set()
    tried: set[str] = set()
    for one in told:
        match one:
            case str() if one != "hang_up":
                asked = True
            case TransferOrdered(order):
                asked, orders = True, {*orders, order}
            case Refer(destination=None):
                assert not is_open, "the fallback while a transfer is under way"
                ending = True
            case Refer(_, mark, destination):
                number += 1
                assert mark == f"refer:{number}:{destination}"
                assert not ending, "a REFER for a call that is ending"
                assert not is_open, "two at once"
                by_itself = destination in leads and destination not in tried
                assert asked or by_itself, "a REFER that nobody asked for"
                abroad += destination == "abroad"
                assert abroad <= len(orders), "one for each order"
                tried = {*tried, destination} if by_itself else {destination}
                leads = (leads if by_itself else set()) | set(steps[destination])
                is_open, asked = True, False
            case RecordTransfer(transfer) if transfer.outcome is not None:
                assert transfer.number == number
                assert is_open, "an attempt ends once"
                is_open = False
                leads = leads if transfer.outcome in GOES_ON else set()
            case HangUp():
                ending = True
    assert not is_open, "an attempt whose end nobody knows"


@settings(max_examples=2_000, deadline=None)
@given(plan=st.sampled_from(PLANS), moments=MOMENTS)
def test_each_call_ends_once_and_is_transferred_where_its_last_attempt_is_taken(
    plan: CallPlan, moments: list[tuple[Event | str, float]]
) -> None:
    call, told = story(plan, moments)
    ends = [one.reason for one in told if isinstance(one, Finish)]
    assert len(ends) == 1
    assert call.state.over
    assert call.state.deadlines.earliest is None
    outcomes = [one.transfer.outcome for one in told if isinstance(one, RecordTransfer)]
    fell_back = any(isinstance(one, Refer) and one.destination is None for one in told)
    taken = bool(outcomes) and outcomes[-1] is TransferEnd.TAKEN
    assert outcomes.count(TransferEnd.TAKEN) == taken
    if not fell_back:
        assert (ends[0] is Reason.TRANSFERRED) == taken
