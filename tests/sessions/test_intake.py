"""From a signed webhook to the supervisor: stale, duplicate, draining, and failures to decide."""

import asyncio
from dataclasses import replace

import pytest

from sipagent.engine.embedded import EmbeddedEngine
from sipagent.model import (
    DEFAULT_TENANT,
    AccountName,
    AgentName,
    CallId,
    MediaSecurity,
    Quota,
    QuotaScope,
    Rate,
    TrunkName,
    WebhookId,
)
from sipagent.routing import AnswerWith, Route, Rule, Trunk
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

pytestmark = pytest.mark.virtual_time

NUMBER = "+17134810111"
HEADERS = [{"name": "x-number", "value": "17134810111"}]


class Desk:
    """An intake among fakes."""

    def __init__(self, *trunks: Trunk, guarded: bool = False) -> None:
        self.clock = VirtualClock()
        self.control = FakeControl()
        self.sideband = FakeSideband()
        self.records = MemoryRecords()
        providers = FakeProviders(self.control, self.sideband)
        self.engine = engine = EmbeddedEngine(self.clock)
        around = Surroundings(providers, engine, self.records, FakeTap(), self.clock)
        self.supervisor = Supervisor(around)
        rules = (Rule(AnswerWith(AgentName("reception"))),)
        route = Route(
            NUMBER, DEFAULT_TENANT, rules, trunk=trunks[0].name if guarded and trunks else None
        )
        self.configuration = FakeConfiguration(
            a_table([route], [a_profile(greeting=None)], trunks=trunks)
        )
        self.intake = Intake(
            configuration=self.configuration,
            engine=engine,
            supervisor=self.supervisor,
            records=self.records,
            ring_window=120,
            clock=self.clock,
            process=Quota(QuotaScope.PROCESS, held=1_000),
        )

    async def take(
        self, call_id: str = "rtc_1", *, age: float | None = 0, headers: object = HEADERS
    ) -> Taken:
        # The provider's clock is its own: nothing may depend on ours.
        sent_at = 1_000_000.0
        return await self.intake.take(
            Announcement(
                call_id=CallId(call_id),
                webhook_id=WebhookId(f"wh_{call_id}"),
                account=AccountName("default"),
                sent_at=sent_at,
                created_at=None if age is None else sent_at - age,
                sip_headers=headers,
                media_security=MediaSecurity.UNKNOWN,
            )
        )

    async def close(self) -> None:
        for socket in tuple(self.sideband.sockets.values()):
            socket.end()
        while self.supervisor.busy:
            await asyncio.sleep(0.01)

    @property
    def outcomes(self) -> list[str]:
        return [outcome.name for outcome in self.records.outcomes]


async def test_a_call_to_a_listed_number_is_answered() -> None:
    desk = Desk()
    assert await desk.take() is Taken.ACCEPTED
    await desk.sideband.socket()
    await desk.close()
    assert desk.outcomes == ["completed.line_closed"]
    assert len(desk.records.decisions) == 1


async def test_deliveries_at_the_same_moment_lead_to_one_call() -> None:
    desk = Desk()
    taken = await asyncio.gather(*(desk.take() for _ in range(100)))
    assert taken.count(Taken.ACCEPTED) == 1
    assert taken.count(Taken.DUPLICATE) == 99
    await desk.sideband.socket()
    await desk.close()
    assert [action for action, _, _ in desk.control.asked] == ["accept"]


@pytest.mark.parametrize(
    ("age", "taken"),
    [
        (0, Taken.ACCEPTED),
        (120, Taken.ACCEPTED),
        (120.1, Taken.STALE),
        (72 * 3600, Taken.STALE),
        (-300, Taken.ACCEPTED),
        (None, Taken.ACCEPTED),
    ],
)
async def test_only_a_call_that_can_still_ring_is_taken(age: float | None, taken: Taken) -> None:
    desk = Desk()
    assert await desk.take(age=age) is taken
    await asyncio.sleep(0.1)
    await desk.close()
    assert len(desk.control.asked) == (taken is Taken.ACCEPTED)


async def test_an_unknown_number_is_rejected_and_recorded_once() -> None:
    desk = Desk()
    assert await desk.take(headers=[]) is Taken.REJECTED
    assert await desk.take(headers=[]) is Taken.DUPLICATE
    await desk.close()
    assert desk.control.asked == [("reject", "rtc_1", 404)]
    assert desk.outcomes == ["rejected.unknown_number"]


@pytest.mark.parametrize("headers", [None, "{}", 5, {}, [None, 5, {"name": 1}], [[[]]]])
async def test_unusable_headers_are_no_headers(headers: object) -> None:
    desk = Desk()
    assert await desk.take(headers=headers) is Taken.REJECTED
    await desk.close()


async def test_a_failure_to_decide_rejects_the_call_so_that_the_fallback_can_ring() -> None:
    desk = Desk()
    desk.configuration.table = None  # type: ignore[assignment]  # the failure
    assert await desk.take() is Taken.REJECTED
    await desk.close()
    assert desk.control.asked == [("reject", "rtc_1", 503)]
    assert desk.outcomes == ["failed.internal_error"]


async def test_a_call_that_cannot_be_begun_is_rejected_and_leaves_no_trace_in_the_counts() -> None:
    desk = Desk()
    profile = a_profile(greeting=None, audio={"input": {}})
    agents = {(profile.tenant, profile.name): profile}
    desk.configuration.table = replace(desk.configuration.table, agents=agents)
    assert await desk.take() is Taken.REJECTED
    await desk.close()
    assert desk.control.asked == [("reject", "rtc_1", 503)]
    assert desk.outcomes == ["failed.internal_error"]
    assert desk.engine.counters.calls_of("process:") == ()


WAVIX = Trunk(TrunkName("wavix"), dialed_header="x-number", per_caller=Rate(3, 600.0))
ASKED = [*HEADERS, {"name": "From", "value": "<sip:+14067704205@x>"}]


async def test_a_caller_over_the_cap_is_busy_and_the_line_opens_again() -> None:
    desk = Desk(WAVIX)
    for number in range(3):
        assert await desk.take(f"rtc_{number}", headers=ASKED) is Taken.ACCEPTED
        # The same call again costs nothing.
        assert await desk.take(f"rtc_{number}", headers=ASKED) is Taken.DUPLICATE
    assert await desk.take("rtc_3", headers=ASKED) is Taken.REJECTED
    assert await desk.take("rtc_3", headers=ASKED) is Taken.DUPLICATE
    assert await desk.take("rtc_other") is Taken.ACCEPTED  # somebody who withholds the number
    await asyncio.sleep(600)
    assert await desk.take("rtc_4", headers=ASKED) is Taken.ACCEPTED
    await desk.close()
    assert ("reject", "rtc_3", 486) in desk.control.asked
    assert desk.outcomes.count("rejected.quota") == 1
    (decision,) = [one for call, one in desk.records.decisions if call.call_id == "rtc_3"]
    step = decision.trace[-1]
    assert (step.source, step.considered, step.held) == ("limits", "per_caller", True)


async def test_a_call_without_its_lines_secret_is_declined_and_no_secret_is_kept() -> None:
    twilio = Trunk(TrunkName("twilio"), secret_header="x-trunk-key")
    desk = Desk(twilio, guarded=True)
    desk.configuration.trunk_secrets = {twilio.name: (b"s3cret",)}
    key = {"name": "X-Trunk-Key", "value": "s3cret"}
    assert await desk.take("rtc_good", headers=[*HEADERS, key]) is Taken.ACCEPTED
    assert await desk.take("rtc_bad", headers=HEADERS) is Taken.REJECTED
    assert await desk.take("rtc_two", headers=[*HEADERS, key, key]) is Taken.REJECTED
    await desk.sideband.socket("rtc_good")
    await desk.close()
    assert ("reject", "rtc_bad", 603) in desk.control.asked
    assert desk.outcomes.count("rejected.untrusted_trunk") == 2
    (good, *_) = [call for call, _ in desk.records.decisions if call.call_id == "rtc_good"]
    assert good.verified
    assert "x-trunk-key" not in good.headers
    # A new secret counts from the next call on.
    desk.configuration.trunk_secrets = {twilio.name: (b"new",)}
    assert await desk.take("rtc_late", headers=[*HEADERS, key]) is Taken.REJECTED
    await desk.close()


VERSTAT = {"name": "X-Twilio-VerStat", "value": "TN-Validation-Passed-A"}
INDICATOR = {"name": "P-Attestation-Indicator", "value": "C"}


@pytest.mark.parametrize(
    ("trunk", "source"),
    [
        (Trunk(TrunkName("a"), attestation_header="x-twilio-verstat"), "x-twilio-verstat"),
        (
            Trunk(TrunkName("a"), attestation_header="p-attestation-indicator"),
            "p-attestation-indicator",
        ),
        (Trunk(TrunkName("a")), None),
        (None, "x-twilio-verstat"),
    ],
)
async def test_attestation_is_that_of_the_trunk(trunk: Trunk | None, source: str | None) -> None:
    desk = Desk(*([] if trunk is None else [trunk]))
    await desk.take(headers=[*HEADERS, VERSTAT, INDICATOR])
    await desk.close()
    ((call, _),) = desk.records.decisions
    attestation = call.invite.attestation
    assert (attestation and attestation.source) == source


async def test_a_process_that_drains_sends_new_calls_on() -> None:
    desk = Desk()
    await desk.take("rtc_held")
    await desk.sideband.socket("rtc_held")
    desk.intake.draining = True
    assert await desk.take("rtc_new") is Taken.REJECTED
    assert await desk.take("rtc_unknown", headers=[]) is Taken.REJECTED
    await desk.close()
    assert sorted(desk.outcomes) == [
        "completed.line_closed",
        "rejected.draining",
        "rejected.unknown_number",
    ]
