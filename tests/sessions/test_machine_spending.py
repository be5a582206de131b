"""What a call costs, and whether all of it is known."""

from dataclasses import replace
from typing import Any

import pytest

from sipagent.model import (
    Bill,
    CallPlan,
    Ceilings,
    ModelPrice,
    Prices,
    Reason,
    Tokens,
    Usage,
    UsageKind,
)
from sipagent.sessions.machine.commands import CreateResponse, HangUp, RecordUsage
from sipagent.sessions.machine.events import (
    AcceptAnswered,
    Answer,
    AudioStarted,
    AudioStopped,
    CallerStarted,
    CallerTextDone,
    Probed,
    ResponseCreated,
    ResponseDone,
    SocketClosed,
    SocketOpened,
    SocketRefused,
)
from sipagent.sessions.machine.farewells import TIME_IS_UP
from sipagent.sessions.machine.signals import (
    CallDropped,
    CallOver,
    CallResumed,
    EndWanted,
    UsageLost,
)
from sipagent.sessions.machine.spending import ENDED_WITH_SOCKET, Heeded, Spending, spending, step
from sipagent.testing import Playbook, Some, a_plan, a_profile

PRICES = Prices("v1", ModelPrice(text_in=4_000, text_out=24_000), ModelPrice(minute=6_000_000))
SPARE = Prices("v1", ModelPrice(text_in=600, text_out=2_400))
SPOKEN = Bill(Tokens(text_in=100, text_out=10))
"""640 micro-dollars, 84 by the fallback's prices."""
HEARD = Bill(seconds=10.0)
"""1,000 micro-dollars."""


def plan(**changes: Any) -> CallPlan:
    profile = a_profile(greeting=None)
    session = profile.editions[0].session
    heard = {**session["audio"]["input"], "transcription": {"model": "gpt-transcribe"}}
    priced = replace(a_plan(profile), session={**session, "audio": {"input": heard}}, prices=PRICES)
    return replace(priced, **changes)


def done(response_id: str = "r1", bill: Bill | None = SPOKEN) -> ResponseDone:
    return ResponseDone(response_id, completed=True, bill=bill)


def said(item_id: str = "i1", bill: Bill | None = HEARD, text: str | None = "Hi") -> CallerTextDone:
    return CallerTextDone(item_id, text, bill)


def after(*events: Heeded, of: CallPlan | None = None, at: float = 0.0) -> tuple[Spending, Any]:
    """The state after these events, one a second, and what was put out."""
    state, told = spending(of or plan()), []
    for second, event in enumerate(events):
        state, outputs = step(state, event, at + second)
        told += outputs
    return state, told


def test_a_response_and_a_transcription_are_recorded_at_the_plans_prices() -> None:
    state, told = after(ResponseCreated("r1", None), done(), said())
    response = Usage("r1", UsageKind.RESPONSE, "gpt-realtime-2.1", SPOKEN, 640, "v1")
    heard = Usage("i1", UsageKind.TRANSCRIPTION, "gpt-transcribe", HEARD, 1_000, "v1")
    assert told == [RecordUsage(response), RecordUsage(heard)]
    assert (state.cost, state.complete) == (1_640, True)


def test_a_bill_that_comes_twice_is_one() -> None:
    state, told = after(
        done(), done(), said(), said(), ResponseCreated("r1", None), done(bill=None)
    )
    assert len(told) == 2
    assert (state.cost, state.complete) == (1_640, True)


@pytest.mark.parametrize("prices", [Prices(), Prices("v2", None, PRICES.transcription)])
def test_a_model_without_a_price_has_an_unknown_cost_and_a_known_usage(prices: Prices) -> None:
    state, (recorded,) = after(done(), of=plan(prices=prices))
    assert (recorded.usage.cost, recorded.usage.bill) == (None, SPOKEN)
    assert (state.cost, state.complete) == (0, True)


def test_the_fallbacks_model_is_charged_by_its_own_prices() -> None:
    spare = {**plan().session, "model": "gpt-realtime-2.1-mini"}
    changed = plan(fallback_session=spare, fallback_prices=SPARE)
    for refused, model, cost in ((1, "gpt-realtime-2.1-mini", 84), (0, "gpt-realtime-2.1", 640)):
        answers = [AcceptAnswered(Answer.REFUSED)] * refused + [AcceptAnswered(Answer.DONE)]
        _, (recorded,) = after(*answers, done(), of=changed)
        assert (recorded.usage.model, recorded.usage.cost) == (model, cost)


def test_without_a_fallback_a_refusal_changes_nothing() -> None:
    _, (recorded,) = after(AcceptAnswered(Answer.REFUSED), done())
    assert recorded.usage.model == "gpt-realtime-2.1"


@pytest.mark.parametrize("transcription", [None, {}, {"model": None}])
def test_a_transcription_that_the_plan_does_not_name_has_no_model(transcription: Any) -> None:
    session = a_plan().session
    heard = {**session["audio"]["input"], "transcription": transcription}
    odd = plan(session={"type": "realtime", "audio": {"input": heard}})
    _, told = after(said(), done(), of=odd)
    assert [recorded.usage.model for recorded in told] == [None, None]


INCOMPLETE: dict[str, list[Heeded]] = {
    "a response told no usage": [ResponseCreated("r1", None), done(bill=None)],
    "a response has not ended": [done("r0"), ResponseCreated("r1", None), CallOver()],
    "a transcription told no usage": [said(bill=None)],
    "the socket was lost for a while": [CallDropped(), CallResumed(), CallOver()],
    "the call was taken over": [CallResumed()],
    "somebody says so": [UsageLost()],
    "the socket was lost for good": [CallDropped(), *[done()] * 6, CallOver()],
    "too many at once": [
        *(ResponseCreated(f"r{number}", None) for number in range(9)),
        *(done(f"r{number}") for number in range(1, 9)),
    ],
}


@pytest.mark.parametrize("events", INCOMPLETE.values(), ids=INCOMPLETE)
def test_usage_is_incomplete_if(events: list[Heeded]) -> None:
    assert not after(*events)[0].complete


COMPLETE: dict[str, list[Heeded]] = {
    "nothing was said": [CallOver()],
    "all has ended": [ResponseCreated("r1", None), ResponseCreated("r1", None), done(), CallOver()],
    "the socket ended with the call": [done(), CallDropped(), CallOver()],
    "nothing could be transcribed": [said(bill=None, text=None)],
}


@pytest.mark.parametrize("events", COMPLETE.values(), ids=COMPLETE)
def test_usage_is_complete_if(events: list[Heeded]) -> None:
    assert after(*events)[0].complete


def test_memory_stays_bounded() -> None:
    state, _ = after(*(done(f"r{number}") for number in range(500)))
    assert len(state.billed) == 64
    assert state.cost == 500 * 640


class TestCeiling:
    def test_a_call_that_has_cost_its_ceiling_is_to_end_once(self) -> None:
        capped = plan(ceilings=Ceilings(cost=1_280))
        state, told = after(done("r1"), done("r2"), done("r3"), of=capped)
        assert told[2] == EndWanted(Reason.BUDGET, TIME_IS_UP)
        assert [type(each) for each in told] == [RecordUsage, RecordUsage, EndWanted, RecordUsage]
        assert state.cost == 1_920

    def test_a_call_below_its_ceiling_or_without_one_goes_on(self) -> None:
        for ceilings in (Ceilings(), Ceilings(cost=1_281)):
            _, told = after(done("r1"), done("r2"), of=plan(ceilings=ceilings))
            assert [type(each) for each in told] == [RecordUsage, RecordUsage]

    def test_the_caller_hears_a_goodbye_and_the_call_ends_for_its_budget(self) -> None:
        call = live(plan(ceilings=Ceilings(cost=1)))
        call.feed(ResponseCreated("r1", None), AudioStarted("r1"), AudioStopped("r1"))
        call.commands = []
        goodbye = Some(CreateResponse, tag="goodbye", instructions=TIME_IS_UP)
        call.feed(done("r1")).expect(Some(RecordUsage), goodbye)
        call.feed(ResponseCreated("r2", "goodbye"), AudioStarted("r2"), done("r2"))
        call.expect(Some(RecordUsage)).feed(AudioStopped("r2"))
        call.expect(Some(HangUp, reason=Reason.BUDGET))


def live(of: CallPlan) -> Playbook:
    """A call whose caller has begun to speak."""
    call = Playbook(of).feed(AcceptAnswered(Answer.DONE), SocketOpened(), CallerStarted("c1"))
    call.commands = []
    return call


class TestOutcome:
    def test_a_caller_who_hangs_up_after_the_answer_leaves_a_complete_bill(self) -> None:
        call = live(plan()).feed(ResponseCreated("r1", None), done(), said())
        call.feed(SocketClosed(1006), Probed(alive=False))
        assert call.state.over
        assert call.state.usage_complete

    def test_a_caller_who_hangs_up_in_the_middle_of_an_answer_leaves_a_lower_bound(self) -> None:
        call = live(plan()).feed(ResponseCreated("r1", None), SocketClosed(1006))
        call.feed(Probed(alive=False))
        assert call.state.over
        assert not call.state.usage_complete

    def test_a_call_that_went_on_without_its_socket_leaves_a_lower_bound(self) -> None:
        call = live(plan()).feed(SocketClosed(1006), Probed(alive=True), SocketOpened())
        assert not call.state.usage_complete

    def test_a_call_that_could_not_be_had_again_leaves_a_lower_bound(self) -> None:
        call = live(plan()).feed(SocketClosed(1006), Probed(alive=None))
        call.wait(ENDED_WITH_SOCKET + 0.1).feed(SocketRefused("attach answered 404", gone=True))
        assert call.state.over
        assert not call.state.usage_complete
