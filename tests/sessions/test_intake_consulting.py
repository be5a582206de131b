"""Calls about which the tenant's own endpoint is asked: each has an outcome, whatever it does."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from sipagent.engine.embedded import EmbeddedEngine
from sipagent.model import (
    DEFAULT_TENANT,
    AccountName,
    Advice,
    AgentName,
    CallId,
    Consult,
    Consulted,
    DestinationName,
    MediaSecurity,
    Quota,
    QuotaScope,
    Rate,
    SecretName,
    WebhookId,
)
from sipagent.routing import (
    AnswerWith,
    Callers,
    ConsultWith,
    ForwardTo,
    RejectWith,
    Route,
    Rule,
)
from sipagent.routing.rules import Settled
from sipagent.sessions.breaker import FAILURES, Breakers, Sign
from sipagent.sessions.gate import Gate, WatchedRecords
from sipagent.sessions.headroom import Headroom
from sipagent.sessions.intake import Announcement, Intake, Taken
from sipagent.sessions.supervisor import Supervisor, Surroundings
from sipagent.testing import (
    FakeConfiguration,
    FakeControl,
    FakeProviders,
    FakeSideband,
    FakeTap,
    MemoryRecords,
    VirtualClock,
    a_profile,
    a_table,
)
from tests.routing.test_plans import DESK, tenant

pytestmark = pytest.mark.virtual_time

NUMBER = "+17134810111"
HEADERS = [
    {"name": "x-number", "value": "17134810111"},
    {"name": "From", "value": "<sip:+14067704205@x>"},
]
RECEPTION, VIP = AgentName("reception"), AgentName("vip")
ACCOUNT = AccountName("default")
USUAL, LATE = AnswerWith(RECEPTION), Consulted(None, "no answer in time")


@dataclass
class FakeConsultant:
    """Answers after so many seconds as a test says; never, without an answer."""

    answer: Consulted | Exception | None
    after: float = 0.2
    asked: list[Consult] = field(default_factory=list)

    async def ask(self, call_id: CallId, consult: Consult) -> Consulted:
        self.asked.append(consult)
        await asyncio.sleep(self.after)
        if self.answer is None:
            await asyncio.Event().wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        assert self.answer is not None
        return self.answer


class Desk:
    """An intake among fakes, with a number that consults."""

    def __init__(
        self,
        otherwise: Settled = USUAL,
        answer: Consulted | Exception | None = LATE,
        *,
        quota: Quota | None = None,
        callers: Sequence[Callers] = (),
        forwards: int = 60,
    ) -> None:
        self.clock = VirtualClock()
        self.control, self.sideband = FakeControl(), FakeSideband()
        self.records = MemoryRecords()
        self.engine = EmbeddedEngine(self.clock)
        self.breakers = Breakers(self.clock)
        gate = Gate(self.engine, self.breakers, Headroom(self.clock))
        watched = WatchedRecords(self.records, self.breakers)
        providers = FakeProviders(self.control, self.sideband)
        self.supervisor = Supervisor(
            Surroundings(providers, self.engine, watched, FakeTap(), self.clock)
        )
        action = ConsultWith("https://api.example/x", SecretName("hook"), 0.8, otherwise, (VIP,))
        line = Route(NUMBER, DEFAULT_TENANT, (Rule(action),), callers=tuple(callers))
        profiles = [a_profile(str(name), greeting=None) for name in (RECEPTION, VIP)]
        whose = replace(tenant(desk=DESK), quota=quota, forwards=Rate(forwards, 3600.0))
        self.configuration = FakeConfiguration(a_table([line], profiles, tenants=[whose]))
        self.consultant = FakeConsultant(answer)
        self.intake = Intake(
            configuration=self.configuration,
            engine=gate,
            supervisor=self.supervisor,
            records=self.records,
            ring_window=120,
            clock=self.clock,
            consultant=self.consultant,
        )

    async def take(self, call_id: str = "rtc_1", *, age: float = 0.0) -> Taken:
        sent_at = 1_000_000.0
        return await self.intake.take(
            Announcement(
                call_id=CallId(call_id),
                webhook_id=WebhookId(f"wh_{call_id}"),
                account=ACCOUNT,
                sent_at=sent_at,
                created_at=sent_at - age,
                sip_headers=HEADERS,
                media_security=MediaSecurity.UNKNOWN,
            )
        )

    async def end(self) -> list[str]:
        """Let all calls end; what was asked of the provider, in order."""
        while self.supervisor.busy:
            for socket in tuple(self.sideband.sockets.values()):
                socket.end()
            await asyncio.sleep(0.05)
        return [action for action, _, _ in self.control.asked]

    @property
    def outcomes(self) -> list[tuple[str, str | None]]:
        return [(outcome.name, outcome.agent) for outcome in self.records.outcomes]

    def steps(self) -> list[tuple[bool, str]]:
        ((_, decision),) = self.records.decisions
        return [(step.held, step.because) for step in decision.trace if step.source == "consult"]

    @property
    def counted(self) -> int:
        return self.engine.counters.held("tenant:default")


QUOTA = Quota(QuotaScope.TENANT, "default", held=2)


async def test_the_delivery_is_answered_before_anybody_is_asked() -> None:
    desk = Desk(answer=Consulted(Advice(VIP)))
    desk.consultant.after = 0.7
    began = desk.clock.monotonic()
    assert await desk.take() is Taken.CONSULTED
    assert desk.clock.monotonic() == began
    assert await desk.take() is Taken.DUPLICATE
    assert (desk.control.asked, desk.records.decisions) == ([], [])
    await asyncio.sleep(1)
    assert await desk.end() == ["accept"]
    assert desk.outcomes == [("completed.line_closed", "vip")]
    assert desk.steps() == [(True, "agent vip")]
    assert len(desk.consultant.asked) == 1


@pytest.mark.parametrize(
    ("otherwise", "asked", "outcome"),
    [
        (AnswerWith(RECEPTION), "accept", ("completed.line_closed", "reception")),
        (RejectWith(480), "reject", ("rejected.rule", None)),
        (ForwardTo(DestinationName("desk")), "accept", ("completed.transferred", None)),
    ],
)
async def test_without_an_answer_the_call_goes_where_it_would(
    otherwise: Settled, asked: str, outcome: tuple[str, str | None]
) -> None:
    desk = Desk(otherwise, quota=QUOTA)
    await desk.take()
    assert desk.counted == 1
    await asyncio.sleep(1)
    assert (await desk.end())[0] == asked
    assert desk.outcomes == [outcome]
    assert desk.steps() == [(False, "no answer in time")]
    assert desk.counted == 0


async def test_a_rejection_gives_back_the_room_that_the_call_has_had() -> None:
    desk = Desk(answer=Consulted(Advice(reject=607)), quota=QUOTA)
    await desk.take()
    assert desk.counted == 1
    await asyncio.sleep(0.3)
    assert desk.counted == 0
    await desk.end()
    assert desk.control.asked == [("reject", "rtc_1", 607)]
    assert desk.outcomes == [("rejected.rule", None)]


async def test_an_agent_may_answer_where_a_rejection_would_have_followed() -> None:
    desk = Desk(RejectWith(480), Consulted(Advice(VIP)), quota=QUOTA)
    await desk.take()
    await asyncio.sleep(0.5)
    assert desk.counted == 1
    assert await desk.end() == ["accept"]
    assert desk.outcomes == [("completed.line_closed", "vip")]
    assert desk.counted == 0


async def test_nobody_is_asked_about_a_call_for_which_there_is_no_room() -> None:
    desk = Desk(RejectWith(480), Consulted(Advice(VIP)), quota=QUOTA)
    taken = [await desk.take(f"rtc_{number}") for number in range(5)]
    assert taken.count(Taken.CONSULTED) == 2
    await asyncio.sleep(0.5)
    await desk.end()
    assert len(desk.consultant.asked) == 2
    assert desk.outcomes.count(("rejected.quota", None)) == 3


async def test_a_caller_is_counted_once_whatever_the_answer_is() -> None:
    often = Callers("numbers.a", per_caller=Rate(3, 600.0))
    desk = Desk(answer=Consulted(Advice(VIP)), callers=[often])
    taken = [await desk.take(f"rtc_{number}") for number in range(5)]
    await asyncio.sleep(1)
    assert taken.count(Taken.CONSULTED) == 3
    await desk.end()
    assert desk.outcomes.count(("completed.line_closed", "vip")) == 3


async def test_a_call_that_may_not_be_sent_on_any_more_is_refused() -> None:
    desk = Desk(ForwardTo(DestinationName("desk")), quota=QUOTA, forwards=1)
    for number in range(2):
        await desk.take(f"rtc_{number}")
    await asyncio.sleep(1)
    await desk.end()
    assert sorted(name for name, _ in desk.outcomes) == [
        "completed.transferred",
        "rejected.quota",
    ]
    assert desk.counted == 0


async def test_the_accept_has_what_is_left_of_its_time() -> None:
    desk = Desk()
    desk.control.mute.add("accept")
    began = desk.clock.monotonic()
    await desk.take()
    while not desk.records.outcomes:
        await asyncio.sleep(0.05)
    assert desk.clock.monotonic() - began <= 7.0
    assert desk.outcomes == [("failed.accept_timeout", "reception")]
    await desk.end()


async def test_an_account_that_is_failing_takes_no_call_that_was_asked_about() -> None:
    """Asked before and after: the otherwise may be a rejection, which needs no account."""
    desk = Desk(RejectWith(480), Consulted(Advice(VIP)), quota=QUOTA)
    await desk.take()
    for number in range(FAILURES):
        desk.breakers.tell(ACCOUNT, CallId(f"other_{number}"), Sign.FAILS)
    await asyncio.sleep(0.5)
    await desk.end()
    assert desk.control.asked == [("reject", "rtc_1", 503)]
    assert desk.outcomes == [("rejected.busy", None)]
    assert desk.counted == 0


async def test_a_call_that_tries_an_account_gives_the_trial_back_where_it_is_not_held() -> None:
    desk = Desk(answer=Consulted(Advice(reject=603)), quota=QUOTA)
    for number in range(FAILURES):
        desk.breakers.tell(ACCOUNT, CallId(f"other_{number}"), Sign.FAILS)
    await asyncio.sleep(3600)
    for number in range(3):
        assert await desk.take(f"rtc_{number}") is Taken.CONSULTED
        await asyncio.sleep(1)
    await desk.end()
    assert desk.outcomes == [("rejected.rule", None)] * 3


async def test_what_goes_wrong_in_asking_refuses_the_call() -> None:
    desk = Desk(answer=RuntimeError("unforeseen"), quota=QUOTA)
    await desk.take()
    await asyncio.sleep(0.5)
    await desk.end()
    assert desk.control.asked == [("reject", "rtc_1", 503)]
    assert desk.outcomes == [("failed.internal_error", None)]
    assert len(desk.records.decisions) == 1
    assert desk.counted == 0


async def test_a_process_that_ends_at_once_refuses_a_call_that_is_being_asked_about() -> None:
    desk = Desk(answer=None, quota=QUOTA)
    await desk.take()
    await asyncio.sleep(0.1)
    await desk.supervisor.abort()
    assert ("reject", "rtc_1", 503) in desk.control.asked
    assert [name for name, _ in desk.outcomes] == ["rejected.draining"]
    assert len(desk.records.decisions) == 1
    assert desk.counted == 0


async def test_a_process_that_drains_sends_a_call_on_that_was_being_asked_about() -> None:
    desk = Desk(answer=Consulted(Advice(VIP)), quota=QUOTA)
    await desk.take()
    desk.intake.draining = True
    await desk.supervisor.drain(10)
    assert desk.control.asked == [("reject", "rtc_1", 503)]
    assert desk.outcomes == [("rejected.draining", None)]


async def test_without_anybody_who_can_ask_the_call_goes_where_it_would() -> None:
    desk = Desk()
    desk.intake._consultant = None
    await desk.take()
    await asyncio.sleep(0.1)
    await desk.end()
    assert desk.outcomes == [("completed.line_closed", "reception")]
    assert desk.steps() == [(False, "nobody can be asked here")]


async def test_a_reload_meanwhile_changes_nothing_of_it() -> None:
    desk = Desk(answer=Consulted(Advice(VIP)))
    await desk.take()
    desk.configuration.table = a_table()
    await asyncio.sleep(1)
    await desk.end()
    assert desk.outcomes == [("completed.line_closed", "vip")]
