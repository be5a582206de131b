"""Who has just been a caller: what is remembered of a call that is over, for whom, and how long."""

from dataclasses import replace

import pytest

from sipagent.model import (
    DEFAULT_TENANT,
    Accept,
    AccountName,
    CallId,
    CallOutcome,
    CallPlan,
    Decision,
    DestinationName,
    IncomingCall,
    Reason,
    Reject,
    Returned,
    TenantName,
    Transfer,
    WebhookId,
)
from sipagent.sessions.recent import MOST_CALLERS, RecentEnds
from sipagent.sip import Headers, read_invite
from sipagent.testing import a_plan

MONTANA, TEXAS = "+14067704205", "+17135550199"
ACME = TenantName("acme")


class HandClock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return 1_790_000_000.0 + self.now


class Desk:
    def __init__(self) -> None:
        self.clock = HandClock()
        self.recent = RecentEnds(self.clock)
        self._calls = 0

    def call(
        self,
        caller: str | None,
        reason: Reason,
        *,
        to: str | None = None,
        tenant: TenantName = DEFAULT_TENANT,
        answered: bool = True,
        adopted: bool = False,
    ) -> CallPlan:
        """A call from its decision to its end."""
        self._calls += 1
        plan = replace(a_plan(call_id=f"rtc_{self._calls}"), tenant=tenant)
        raw = [] if caller is None else [{"name": "From", "value": f"<sip:{caller}@x>"}]
        invite = read_invite(Headers.from_json(raw))
        call = IncomingCall(plan.call_id, WebhookId("wh"), AccountName("default"), invite)
        decision = Decision(Accept(plan), ())
        if adopted:
            self.recent.adopted(call, decision, 1.0)
        else:
            self.recent.decided(call, decision)
        if to is not None:
            self.recent.transfer(plan, Transfer(1, DestinationName(to), "tel:+1", "done"))
        self.recent.ended(
            CallOutcome(
                plan.call_id,
                plan.account,
                tenant,
                plan.agent,
                reason,
                began_at=1.0,
                ended_at=2.0,
                answered_at=1.5 if answered else None,
            )
        )
        return plan

    def returned(self, caller: str) -> dict[TenantName, Returned]:
        return dict(self.recent.returned(caller))


@pytest.mark.parametrize(
    ("reason", "to", "expected"),
    [
        (Reason.TRANSFERRED, "desk", Returned(240.0, DestinationName("desk"))),
        (Reason.CONNECTION_LOST, None, Returned(240.0)),
        (Reason.REPLICA_LOST, None, Returned(240.0)),
        (Reason.PROVIDER_ERROR, None, Returned(240.0)),
        (Reason.REFER_FAILED, "desk", Returned(240.0)),
        (Reason.CONNECTION_LOST, "desk", Returned(240.0)),
        (Reason.TRANSFERRED, None, None),
        (Reason.LINE_CLOSED, None, None),
        (Reason.LINE_CLOSED, "desk", None),
        (Reason.MAX_DURATION, None, None),
        (Reason.OPERATOR_HUNG_UP, None, None),
        (Reason.NOBODY_THERE, None, None),
        (Reason.CALLER_GONE, None, None),
    ],
)
def test_only_a_call_that_was_sent_on_or_broke_off_is_remembered(
    reason: Reason, to: str | None, expected: Returned | None
) -> None:
    desk = Desk()
    desk.call(MONTANA, reason, to=to)
    desk.clock.now += 240.0
    assert desk.returned(MONTANA) == ({} if expected is None else {DEFAULT_TENANT: expected})
    assert desk.returned(TEXAS) == {}


def test_a_call_that_nobody_has_answered_did_not_break_off() -> None:
    desk = Desk()
    desk.call(MONTANA, Reason.ACCEPT_REFUSED, answered=False)
    assert desk.returned(MONTANA) == {}


def test_a_call_of_another_process_is_remembered_as_well() -> None:
    desk = Desk()
    desk.call(MONTANA, Reason.REPLICA_LOST, adopted=True)
    assert desk.returned(MONTANA) == {DEFAULT_TENANT: Returned(0.0)}


def test_a_caller_who_withholds_the_number_is_nobody() -> None:
    desk = Desk()
    desk.call(None, Reason.CONNECTION_LOST)
    assert len(desk.recent) == 0


def test_ten_minutes_later_nothing_is_known() -> None:
    desk = Desk()
    desk.call(MONTANA, Reason.CONNECTION_LOST)
    desk.clock.now += 600.0
    assert desk.returned(MONTANA) == {DEFAULT_TENANT: Returned(600.0)}
    desk.clock.now += 0.1
    assert desk.returned(MONTANA) == {}
    desk.call(TEXAS, Reason.CONNECTION_LOST)
    assert len(desk.recent) == 1


def test_the_last_end_counts_and_each_tenants_apart() -> None:
    desk = Desk()
    desk.call(MONTANA, Reason.CONNECTION_LOST)
    desk.clock.now += 60.0
    desk.call(MONTANA, Reason.TRANSFERRED, to="desk")
    desk.call(MONTANA, Reason.CONNECTION_LOST, tenant=ACME)
    assert desk.returned(MONTANA) == {
        DEFAULT_TENANT: Returned(0.0, DestinationName("desk")),
        ACME: Returned(0.0),
    }


def test_a_call_that_is_rejected_leaves_nothing() -> None:
    desk = Desk()
    raw = [{"name": "From", "value": f"<sip:{MONTANA}@x>"}]
    invite = read_invite(Headers.from_json(raw))
    call = IncomingCall(CallId("rtc_x"), WebhookId("wh"), AccountName("default"), invite)
    desk.recent.decided(call, Decision(Reject(486, Reason.QUOTA, DEFAULT_TENANT), ()))
    assert desk.recent._live == {}


def test_there_is_an_end_to_what_is_remembered() -> None:
    desk = Desk()
    for number in range(MOST_CALLERS + 10):
        desk.call(f"+1{2_000_000_000 + number}", Reason.CONNECTION_LOST)
    assert len(desk.recent) == MOST_CALLERS
    assert desk.returned("+12000000009") == {}
    assert desk.returned("+12000000010") != {}
    assert desk.recent._live == {}


def test_a_caller_who_wants_to_be_forgotten_is() -> None:
    desk = Desk()
    desk.call(MONTANA, Reason.CONNECTION_LOST)
    desk.call(MONTANA, Reason.CONNECTION_LOST, tenant=ACME)
    desk.call(TEXAS, Reason.CONNECTION_LOST)
    then = desk.clock.wall()
    desk.recent.forget(
        lambda caller, tenant, at: caller == MONTANA and tenant == ACME and at <= then
    )
    assert set(desk.returned(MONTANA)) == {DEFAULT_TENANT}
    desk.recent.forget(lambda caller, tenant, at: caller == MONTANA)
    assert (desk.returned(MONTANA), len(desk.returned(TEXAS))) == ({}, 1)
    desk.recent.forget(lambda caller, tenant, at: at < then)
    assert len(desk.returned(TEXAS)) == 1
