"""Ids, outcomes and plans: what they accept and what they say of themselves."""

from dataclasses import FrozenInstanceError

import pytest

from sipagent.model import (
    AccountName,
    CallId,
    CallOutcome,
    Fault,
    Kind,
    MediaSecurity,
    Reason,
    TenantName,
    is_call_id,
)
from sipagent.testing import a_plan


@pytest.mark.parametrize(
    ("value", "holds"),
    [
        ("rtc_5bfabb18c4574e30a75f4bfaad13f878", True),
        ("rtc_u0_abc-DEF", True),
        ("x" * 128, True),
        ("x" * 129, False),
        ("", False),
        ("../../files", False),
        ("a/b", False),
        ("a b", False),
        ("a\n", False),
        ("rtc_é", False),
        ("rtc_٣", False),
        (5, False),
        (None, False),
        (["rtc_1"], False),
    ],
)
def test_a_call_id_may_stand_in_a_path(value: object, holds: bool) -> None:
    assert is_call_id(value) is holds


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_a_kind_and_a_fault(reason: Reason) -> None:
    assert reason.kind in Kind
    assert reason.at_fault in Fault


@pytest.mark.parametrize(
    ("reason", "name", "fault"),
    [
        (Reason.LINE_CLOSED, "completed.line_closed", Fault.NOBODY),
        (Reason.CALLER_GONE, "abandoned.caller_gone", Fault.CALLER),
        (Reason.ACCEPT_TIMEOUT, "failed.accept_timeout", Fault.PROVIDER),
        (Reason.INTERNAL_ERROR, "failed.internal_error", Fault.SERVICE),
        (Reason.CONNECTION_LOST, "lost.connection_lost", Fault.UNKNOWN),
        (Reason.DRAINING, "rejected.draining", Fault.OPERATOR),
        (Reason.NO_RECORDS, "rejected.no_records", Fault.SERVICE),
    ],
)
def test_an_outcome_is_named_by_kind_and_reason(reason: Reason, name: str, fault: Fault) -> None:
    outcome = CallOutcome(
        call_id=CallId("rtc_1"),
        account=AccountName("a"),
        tenant=TenantName("t"),
        agent=None,
        reason=reason,
        began_at=100.0,
        ended_at=102.5,
    )
    assert (outcome.name, outcome.reason.at_fault, outcome.duration) == (name, fault, 2.5)


def test_a_plan_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        a_plan().call_id = CallId("rtc_2")  # type: ignore[misc]


def test_media_security_that_nobody_knows_is_unknown() -> None:
    assert MediaSecurity("srtp") is MediaSecurity.SRTP
    assert {str(value) for value in MediaSecurity} == {"rtp", "srtp", "unknown"}
