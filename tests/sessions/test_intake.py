"""From a signed webhook to the supervisor: stale, duplicate, draining, and failures to decide."""

import asyncio
from types import MappingProxyType
from typing import Any

import pytest

from sipagent.engine.embedded import EmbeddedEngine
from sipagent.model import AccountName, AgentName, CallId, MediaSecurity, TenantName, WebhookId
from sipagent.routing import AnswerWith, NumberDirectory, Route, RoutingTable
from sipagent.sessions.intake import Announcement, Intake, Taken
from sipagent.sessions.supervisor import Supervisor, Surroundings
from sipagent.testing import (
    FakeControl,
    FakeProviders,
    FakeSideband,
    FakeTap,
    MemoryRecords,
    VirtualClock,
    a_profile,
)

pytestmark = pytest.mark.virtual_time

NUMBER = "+17134810111"
HEADERS = [{"name": "x-number", "value": "17134810111"}]


class Desk:
    """An intake among fakes."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.control = FakeControl()
        self.sideband = FakeSideband()
        self.records = MemoryRecords()
        providers = FakeProviders(self.control, self.sideband)
        around = Surroundings(providers, self.records, FakeTap(), self.clock)
        self.supervisor = Supervisor(around)
        route = Route(NUMBER, TenantName("default"), AnswerWith(AgentName("reception")))
        self.table: Any = RoutingTable(
            NumberDirectory.of([route]),
            MappingProxyType({AgentName("reception"): a_profile(greeting=None)}),
            "abc",
        )
        self.intake = Intake(
            table=lambda: self.table,
            engine=EmbeddedEngine(self.clock),
            supervisor=self.supervisor,
            records=self.records,
            ring_window=120,
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
    desk.table = None
    assert await desk.take() is Taken.REJECTED
    await desk.close()
    assert desk.control.asked == [("reject", "rtc_1", 503)]
    assert desk.outcomes == ["failed.internal_error"]


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
