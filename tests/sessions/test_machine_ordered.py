"""The stories of calls that the operator sends on while their agent holds them."""

from sipagent.model import Happening, Mark, TransferEnd
from sipagent.sessions.machine import Past, connecting
from sipagent.sessions.machine.commands import (
    Attach,
    CreateResponse,
    Finish,
    Inform,
    Refer,
)
from sipagent.sessions.machine.events import (
    Answer,
    AudioStarted,
    AudioStopped,
    EndRequested,
    Probed,
    Referred,
    ResponseCreated,
    ResponseDone,
    SocketClosed,
    SocketOpened,
    SocketRefused,
    TransferOrdered,
)
from sipagent.sessions.machine.transfer import HEARD_WITHIN
from sipagent.testing import Playbook, Some
from tests.sessions.switchboard import (
    TRANSFER,
    a_way,
    announced,
    of,
    outcomes,
    step_kinds,
    talking,
    uri,
    ways,
)
from tests.sessions.toolkit import a_plan_with, held

ORDER, NOTE = "1500", "ordered:1500"
WATCH = 45.0


def ordered(call: Playbook, destination: str = "night", order: str = ORDER) -> Playbook:
    return call.feed(TransferOrdered(order, a_way(destination)))


def said(call: Playbook) -> Playbook:
    """The agent says that the caller is being connected, and is heard."""
    call.feed(ResponseCreated("w", "connecting"), AudioStarted("w"))
    return call.feed(ResponseDone("w", completed=True, spoken=True), AudioStopped("w"))


def refer(destination: str = "night", number: int = 1) -> Some:
    """No tenant's quota holds it up."""
    mark = f"refer:{number}:{destination}"
    return Some(Refer, target_uri=uri(destination), mark=mark, destination=destination, cap=None)


def sent() -> Playbook:
    """A call whose REFER was relayed."""
    call = said(ordered(held())).feed(Referred(Answer.DONE))
    call.commands = []
    return call


def test_the_caller_is_told_and_then_sent_where_the_agent_could_not() -> None:
    call = ordered(held())
    wish = Some(CreateResponse, tag="connecting", instructions=connecting.CONNECTING)
    assert step_kinds(call) == [Happening.ORDERED]
    assert of(call, CreateResponse) == [wish]
    call.commands = []
    assert NOTE not in call.notes
    said(call).expect(refer())
    assert NOTE in call.notes


def test_a_model_that_says_nothing_holds_nothing_up() -> None:
    call = ordered(held())
    call.commands = []
    call.wait(HEARD_WITHIN).expect(refer())


def test_a_call_that_somebody_takes_has_been_transferred() -> None:
    call = sent().wait(5).feed(SocketClosed(1000), Probed(alive=False))
    assert call.state.over
    assert outcomes(call) == [(1, "night", "done", TransferEnd.TAKEN)]
    (end,) = of(call, Finish)
    assert end.reason == "transferred"


def test_a_call_that_nobody_takes_goes_on_with_its_agent_and_is_not_sent_again() -> None:
    call = sent().wait(WATCH)
    assert outcomes(call) == [(1, "night", "done", TransferEnd.NOT_TAKEN)]
    assert of(call, Inform)
    call.commands = []
    ordered(call).expect()
    ordered(call, "desk", order="1600")
    assert step_kinds(call) == [Happening.ORDERED]


def test_what_follows_is_the_destinations_and_held_to_no_quota() -> None:
    call = talking()
    call.feed(TransferOrdered(ORDER, a_way("night", "desk")))
    said(call).feed(Referred(Answer.REFUSED))
    call.commands = []
    call.wait(HEARD_WITHIN).expect(refer("desk", 2))


def test_the_agents_own_transfers_are_held_to_their_quota_afterwards() -> None:
    call = said(ordered(talking())).feed(Referred(Answer.REFUSED))
    announced(call, "desk").feed(AudioStopped("words"))
    (again,) = of(call, Refer)
    assert again.cap is not None


def test_a_call_that_is_being_sent_somewhere_is_left_until_nobody_has_taken_it() -> None:
    call = announced(talking())
    ordered(call).expect()
    call.feed(AudioStopped("words"), Referred(Answer.REFUSED))
    call.commands = []
    assert step_kinds(ordered(call)) == [Happening.ORDERED]


def test_a_call_that_ends_is_sent_nowhere() -> None:
    call = held().feed(EndRequested("budget", "Goodbye."))  # type: ignore[arg-type]
    call.commands = []
    ordered(call).expect()


def test_a_call_whose_socket_is_lost_meanwhile_is_sent_at_once() -> None:
    call = ordered(held())
    call.feed(SocketClosed(1006))
    call.commands = []
    call.feed(Probed(alive=True))
    assert of(call, Refer) == [refer()]


def adopted(*marks: str, at: float = 10.0) -> Playbook:
    """A call whose owner before has made these marks, and died."""
    known = (Mark.ACCEPTED, Mark.ATTACHED, Mark.HEARD, Mark.SOMEBODY, *marks)
    past = Past(2, dict.fromkeys(known, at), rings=False)
    return Playbook(a_plan_with(TRANSFER, ways=ways(a_way("desk"))), past=past, now=at + 5)


def test_an_adopter_watches_it_and_does_not_repeat_it() -> None:
    call = adopted("ordered:1500", "refer:1:night").feed(SocketOpened())
    call.commands = []
    ordered(call).expect()
    call.wait(WATCH)
    assert outcomes(call) == [(1, "night", "silent", TransferEnd.NOT_TAKEN)]
    call.commands = []
    ordered(call).expect()


def test_a_call_that_was_taken_while_nobody_held_it_has_been_transferred() -> None:
    call = adopted("ordered:1500", "refer:1:night")
    call.expect(Attach(again=True))
    call.feed(SocketRefused("attach answered 404", gone=True))
    (end,) = of(call, Finish)
    assert end.reason == "transferred"


def test_an_adopter_sends_a_call_whose_owner_died_before() -> None:
    call = adopted().feed(SocketOpened())
    call.commands = []
    assert step_kinds(ordered(call)) == [Happening.ORDERED]
