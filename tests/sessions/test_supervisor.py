"""Calls on fake ports in virtual time: what supervisor and runners do around the machine."""

import asyncio
from dataclasses import replace

import pytest

from sipagent.model import (
    AccountName,
    CallId,
    IncomingCall,
    Json,
    Reason,
    Reject,
    TenantName,
    WebhookId,
)
from sipagent.sessions.machine.commands import CreateResponse, UpdateSession
from sipagent.sessions.machine.events import (
    AcceptAnswered,
    AgentText,
    Answer,
    AudioStarted,
    AudioStopped,
    CallerText,
    EndRequested,
    FaultKind,
    ProviderFault,
    ResponseCreated,
    ResponseDone,
)
from sipagent.sip import Invite
from sipagent.testing import (
    SILENT,
    FakeControl,
    FakeSocket,
    a_plan,
)
from tests.sessions.house import House

pytestmark = pytest.mark.virtual_time


def incoming() -> IncomingCall:
    return IncomingCall(CallId("rtc_1"), WebhookId("wh_1"), AccountName("default"), Invite())


async def test_a_call_is_held_from_accept_to_its_one_outcome() -> None:
    house = House()
    house.answer()
    socket = await house.sideband.socket()
    (greeting,) = await socket.sent_until(1)
    assert isinstance(greeting, CreateResponse)
    assert house.supervisor.live == 1
    await asyncio.sleep(1)
    for event in (
        ResponseCreated("r1", "greeting"),
        AgentText("r1", "a1", "Hello."),
        AudioStarted("r1"),
        ResponseDone("r1", completed=True),
        AudioStopped("r1"),
    ):
        socket.deliver(event)
    _, restored = await socket.sent_until(2)
    assert isinstance(restored, UpdateSession)
    socket.end()
    await house.over()
    (outcome,) = house.records.outcomes
    assert outcome.name == "completed.line_closed"
    assert outcome.turns == 1
    assert outcome.answered_at is not None
    assert outcome.heard_at is not None
    assert outcome.heard_at - outcome.answered_at == pytest.approx(1)
    assert [words.delta for words in house.tap.words] == ["Hello."]
    assert (house.asked, house.sideband.probes) == (["accept"], 1)
    assert house.supervisor.live == 0


async def test_words_of_an_unwatched_call_are_not_published() -> None:
    house = House()
    house.tap.watching = False
    socket = await house.held()
    socket.deliver(CallerText("c1", "Hi"))
    socket.end()
    await house.over()
    assert house.tap.words == []


async def test_the_way_to_the_socket_is_given_back_when_the_caller_has_gone() -> None:
    house = House(accept=Answer.GONE)
    house.answer()
    await house.over()
    assert (house.reasons, house.sideband.abandoned) == ([Reason.CALLER_GONE], 1)


@pytest.mark.parametrize("status", [401, 404, 500, None])
async def test_a_call_whose_socket_is_refused_is_hung_up(status: int | None) -> None:
    house = House()
    house.sideband.refusal = status or 0
    house.answer()
    await house.over()
    assert house.reasons == [Reason.ATTACH_FAILED]
    assert house.asked == ["accept", "hang_up"]


async def test_a_call_that_crashes_harms_no_other() -> None:
    house = House()
    healthy = await house.held("rtc_healthy")
    broken = await house.held("rtc_broken")
    broken.deliver(CallerText("c1", None))  # type: ignore[arg-type]  # what no codec lets through
    while house.supervisor.live > 1:
        await asyncio.sleep(0.01)
    (outcome,) = house.records.outcomes
    assert (outcome.call_id, outcome.name) == ("rtc_broken", "failed.internal_error")
    assert house.control.asked[-1][:2] == ("hang_up", "rtc_broken")
    healthy.end()
    await house.over()
    assert house.reasons == [Reason.INTERNAL_ERROR, Reason.LINE_CLOSED]


async def test_a_drain_waits_for_calls_that_end_by_themselves() -> None:
    house = House()
    socket = await house.held()
    async with asyncio.TaskGroup() as tasks:
        draining = tasks.create_task(house.supervisor.drain(3600))
        await asyncio.sleep(1800)
        assert not draining.done()
        socket.end()
    assert house.reasons == [Reason.LINE_CLOSED]


async def test_a_drain_says_goodbye_when_its_time_is_over() -> None:
    house = House()
    socket = await house.held()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(house.supervisor.drain(60))
        (goodbye,) = await socket.sent_until(1)
        assert isinstance(goodbye, CreateResponse)
        assert asyncio.get_running_loop().time() == pytest.approx(60, abs=0.1)
        socket.deliver(ResponseCreated("r1", goodbye.tag))
        socket.deliver(AudioStarted("r1"))
        socket.deliver(AudioStopped("r1"))
        while house.asked != ["accept", "hang_up"]:
            await asyncio.sleep(0.01)
        socket.end(1000)
    assert house.reasons == [Reason.OPERATOR_HUNG_UP]


async def test_a_drain_ends_although_provider_and_model_answer_nothing() -> None:
    house = House()
    house.control.hanging = {"hang_up"}
    await house.held()
    await house.supervisor.drain(1)
    assert house.reasons == [Reason.OPERATOR_HUNG_UP]
    assert house.records.outcomes[0].detail == "hang-up not confirmed"


@pytest.mark.parametrize("hanging", [set[str](), {"hang_up"}])
async def test_an_immediate_end_hangs_up_and_records_every_call(hanging: set[str]) -> None:
    house = House()
    house.control.hanging = hanging
    for number in range(20):
        house.answer(call_id=f"rtc_{number}")
    await asyncio.sleep(0.1)
    began = asyncio.get_running_loop().time()
    await house.supervisor.abort()
    assert asyncio.get_running_loop().time() - began <= 1.5
    assert house.reasons == [Reason.OPERATOR_HUNG_UP] * 20
    assert house.asked.count("hang_up") == 20
    assert house.supervisor.busy == 0


@pytest.mark.parametrize("wait", [None, 0.1], ids=["before its first step", "while answering"])
@pytest.mark.parametrize(
    ("reject", "asked", "code"),
    [
        (Answer.DONE, ["reject"], 503),
        (Answer.DECIDED, ["reject", "hang_up"], None),
    ],
)
async def test_an_immediate_end_sends_a_caller_on_who_still_waits_for_an_answer(
    wait: float | None, reject: Answer, asked: list[str], code: int | None
) -> None:
    house = House(reject=reject)
    house.control.hanging = {"accept"}
    house.answer()
    if wait is not None:
        await asyncio.sleep(wait)
    await house.supervisor.abort()
    (outcome,) = house.records.outcomes
    assert (outcome.name, outcome.sip_code) == ("rejected.draining", code)
    assert [action for action in house.asked if action != "accept"] == asked


@pytest.mark.parametrize("wait", [None, 0.1], ids=["before its first step", "in flight"])
async def test_an_immediate_end_records_rejections_that_are_broken_off(
    wait: float | None,
) -> None:
    house = House()
    house.control.hanging = {"reject"}
    house.supervisor.refuse(incoming(), Reject(486, Reason.RULE, TenantName("default")))
    if wait is not None:
        await asyncio.sleep(wait)
    await house.supervisor.abort()
    (outcome,) = house.records.outcomes
    assert (outcome.name, outcome.detail) == ("rejected.rule", "reject broken off")


async def test_a_call_is_ended_where_it_is_held_although_its_account_has_moved() -> None:
    house, moved = House(), FakeControl()
    await house.held()
    house.control.hanging = {"reject"}
    house.supervisor.refuse(incoming(), Reject(486, Reason.RULE, TenantName("default")))
    await asyncio.sleep(0.1)
    house.providers.move(moved)
    await house.supervisor.abort()
    assert sorted(house.asked) == ["accept", "hang_up", "reject", "reject"]
    assert moved.asked == []


@pytest.mark.parametrize("within", [6.5, 1.0])
async def test_nobody_rings_for_longer_than_three_and_a_half_seconds_after_the_accept(
    within: float,
) -> None:
    house = House()
    house.control.mute = {"accept", "reject", "hang_up"}
    house.start(a_plan(), within=within)
    await house.over()
    assert house.asked == ["accept", "reject", "hang_up"]
    assert asyncio.get_running_loop().time() == pytest.approx(within + 3.5, abs=0.05)
    assert house.reasons == [Reason.ACCEPT_TIMEOUT]


class Picky(FakeControl):
    """Refuses the first session after some seconds, and leaves the second one unanswered."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    async def accept(self, call_id: CallId, session: Json, *, within: float) -> AcceptAnswered:
        self.asked.append(("accept", call_id, session))
        if len(self.asked) == 1:
            await asyncio.sleep(self.seconds)
            return AcceptAnswered(Answer.REFUSED)
        await asyncio.sleep(within)
        return AcceptAnswered(Answer.SILENT)


@pytest.mark.parametrize(("refused_after", "over_after"), [(0.5, 6.5), (6.4, 7.4)])
async def test_two_sessions_share_the_time_for_an_answer(
    refused_after: float, over_after: float
) -> None:
    house = House()
    control = Picky(refused_after)
    house.providers.move(control)
    house.start(replace(a_plan(), fallback_session=SILENT), within=6.5)
    await house.over()
    asked = [action for action, _, _ in control.asked]
    assert asked == ["accept", "accept", "reject"]
    assert asyncio.get_running_loop().time() == pytest.approx(over_after, abs=0.05)
    assert house.reasons == [Reason.ACCEPT_TIMEOUT]
    assert house.sideband.abandoned == 2


async def test_a_call_that_does_not_ring_is_hung_up_in_the_whole_time_for_it() -> None:
    house = House()
    await house.held()
    house.control.mute = {"hang_up"}
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(house.supervisor.drain(100))
        await asyncio.sleep(100)
        house.sideband.sockets[CallId("rtc_1")].deliver(EndRequested(Reason.OPERATOR_HUNG_UP, None))
        began = asyncio.get_running_loop().time()
    took = asyncio.get_running_loop().time() - began
    assert took == pytest.approx(4 * 3.0 + 2.0 + 4.0 + 8.0, abs=0.05), "four times, with pauses"


async def test_a_crash_while_answering_sends_the_caller_on() -> None:
    house = House()
    house.control.broken = {"accept"}
    house.answer()
    await house.over()
    (outcome,) = house.records.outcomes
    assert (outcome.name, outcome.sip_code) == ("failed.internal_error", 503)
    assert house.asked == ["accept", "reject"]


async def test_a_crash_while_rejecting_is_recorded() -> None:
    house = House()
    house.control.broken = {"reject"}
    house.supervisor.refuse(incoming(), Reject(486, Reason.RULE, TenantName("default")))
    await house.over()
    (outcome,) = house.records.outcomes
    assert (outcome.name, outcome.detail) == ("failed.internal_error", "reject broken off")


@pytest.mark.parametrize(
    ("answer", "reason", "code", "detail"),
    [
        (Answer.DONE, Reason.RULE, 486, None),
        (Answer.GONE, Reason.CALLER_GONE, None, None),
        (Answer.DECIDED, Reason.RULE, None, "reject decided"),
    ],
)
async def test_a_rejection_is_recorded(
    answer: Answer, reason: Reason, code: int | None, detail: str | None
) -> None:
    house = House(reject=answer)
    house.supervisor.refuse(incoming(), Reject(486, Reason.RULE, TenantName("default")))
    await house.over()
    (outcome,) = house.records.outcomes
    assert (outcome.reason, outcome.sip_code, outcome.detail) == (reason, code, detail)
    assert house.control.asked == [("reject", "rtc_1", 486)]


@pytest.mark.parametrize(
    ("answer", "hung_up", "detail"),
    [
        (Answer.SILENT, Answer.DONE, "reject silent"),
        (Answer.SILENT, Answer.GONE, "reject silent"),
        (Answer.REFUSED, Answer.DONE, "reject refused"),
        (Answer.SILENT, Answer.SILENT, "reject silent; hang-up not confirmed"),
    ],
)
async def test_a_caller_whose_rejection_is_not_taken_is_hung_up(
    answer: Answer, hung_up: Answer, detail: str
) -> None:
    house = House(reject=answer, hang_up=hung_up)
    house.supervisor.refuse(incoming(), Reject(503, Reason.BUSY, TenantName("default")))
    await house.over()
    (outcome,) = house.records.outcomes
    assert (outcome.reason, outcome.sip_code, outcome.detail) == (Reason.BUSY, None, detail)
    assert house.asked == ["reject", "hang_up"]


async def test_a_caller_of_a_refused_call_rings_for_six_seconds_at_most() -> None:
    house = House()
    house.control.mute = {"reject", "hang_up"}
    house.supervisor.refuse(incoming(), Reject(503, Reason.BUSY, TenantName("default")))
    await house.over()
    assert asyncio.get_running_loop().time() == pytest.approx(6.0, abs=0.05)


async def test_a_call_to_a_number_of_somebody_else_is_not_hung_up() -> None:
    """Another service that shares the account may have answered it."""
    house = House(reject=Answer.SILENT)
    house.supervisor.refuse(incoming(), Reject(404, Reason.UNKNOWN_NUMBER, TenantName("default")))
    await house.over()
    assert house.asked == ["reject"]


async def test_a_peer_that_does_not_read_is_given_up() -> None:
    class Stuck(FakeSocket):
        async def send(self, request: object) -> None:
            await asyncio.get_running_loop().create_future()

    house = House()
    house.answer()
    socket = await house.sideband.socket()
    socket.__class__ = Stuck
    while not socket.is_closed:
        await asyncio.sleep(0.1)
    socket.end()
    await house.over()
    assert house.reasons == [Reason.LINE_CLOSED]


async def test_what_the_provider_reports_is_recorded_and_the_call_goes_on() -> None:
    house = House()
    socket = await house.held()
    socket.deliver(ProviderFault(FaultKind.OTHER, "invalid_value", None))
    socket.deliver(ResponseCreated("r1", None))
    socket.deliver(ResponseDone("r1", completed=False, error_code="rate_limit_exceeded"))
    assert house.records.faults == [
        ("other", "invalid_value"),
        ("response_failed", "rate_limit_exceeded"),
    ]
    assert house.supervisor.live == 1
    socket.end()
    await house.over()
