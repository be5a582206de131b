"""When an event is tried again, and when it is given up."""

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from sipagent.outbox.schedule import (
    FORGOTTEN,
    GIVEN_UP_AFTER,
    LONGEST_REST,
    LONGEST_WISH,
    Posted,
    rest,
    retry_after,
    untold,
    unwanted,
    verdict,
)
from sipagent.store.outbox import EventState, OutboxEvent

NOW = 1_800_000_000.0
MIDDLE = 0.5
"""A chance by which a pause is as long as it is written."""


def event(attempts: int = 0, since: float = NOW) -> OutboxEvent:
    return OutboxEvent(
        id="evt_1",
        endpoint="crm",
        tenant="acme",
        type="call.ended",
        call_id="rtc_1",
        subject=None,
        at=NOW,
        state="pending",
        since=since,
        next_at=NOW,
        attempts=attempts,
        tried_at=None,
        ended_at=None,
        answer=None,
        data="{}",
    )


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_takes_an_event(status: int) -> None:
    end = verdict(event(), Posted(status), NOW, MIDDLE)
    assert (end.state, end.answer) == (EventState.DELIVERED, str(status))


@pytest.mark.parametrize("status", [100, 301, 302, 307, 400, 401, 404, 429, 500, 503, None])
def test_everything_else_is_tried_again(status: int | None) -> None:
    end = verdict(event(), Posted(status, "timed_out: no answer"), NOW, MIDDLE)
    assert (end.state, end.next_at) == (EventState.PENDING, NOW + 5)
    assert end.answer == ("timed_out: no answer" if status is None else str(status))


def test_nobody_wants_what_is_answered_with_410() -> None:
    assert verdict(event(), Posted(410), NOW, MIDDLE).state is EventState.DEAD


def test_pauses_grow_until_three_days_are_over() -> None:
    now, pauses = NOW, []
    for attempts in range(100):
        end = verdict(event(attempts), Posted(500), now, MIDDLE)
        if end.state is EventState.DEAD:
            break
        pauses.append(end.next_at - now)
        now = end.next_at
    assert pauses[:7] == [5, 30, 120, 600, 3600, 21600, 21600]
    assert now == NOW + GIVEN_UP_AFTER
    assert len(pauses) == 17


@pytest.mark.parametrize(("chance", "pause"), [(0.0, 4.0), (MIDDLE, 5.0), (1.0, 6.0)])
def test_pauses_are_spread(chance: float, pause: float) -> None:
    assert verdict(event(), Posted(500), NOW, chance).next_at == NOW + pause


def test_an_endpoint_may_ask_for_more_time_but_not_for_ever() -> None:
    assert verdict(event(), Posted(429, retry_after=90), NOW, MIDDLE).next_at == NOW + 90
    assert verdict(event(), Posted(429, retry_after=1), NOW, MIDDLE).next_at == NOW + 5
    late = verdict(event(), Posted(503, retry_after=1e9), NOW, MIDDLE)
    assert late.next_at == NOW + LONGEST_WISH
    old = event(since=NOW - GIVEN_UP_AFTER + 60)
    assert verdict(old, Posted(503, retry_after=1e9), NOW, MIDDLE).next_at == NOW + 60


def test_what_an_event_is_about_may_come_after_it() -> None:
    assert untold(event(), NOW + 60).state is EventState.PENDING
    pauses = [untold(event(attempts), NOW).next_at - NOW for attempts in range(5)]
    assert pauses == [5, 30, 120, 120, 120]
    end = untold(event(), NOW + 3600)
    assert (end.state, end.answer) == (EventState.DEAD, FORGOTTEN)
    assert unwanted(event(), NOW).state is EventState.DEAD


@pytest.mark.parametrize(
    ("failures", "pause"), [(1, 5), (2, 30), (3, 120), (4, LONGEST_REST), (50, LONGEST_REST)]
)
def test_an_endpoint_that_fails_is_left_alone_longer_and_longer(
    failures: int, pause: float
) -> None:
    assert rest(failures, Posted(None, "unreachable"), MIDDLE) == pause


def test_an_endpoint_that_asks_for_time_is_left_alone_for_some() -> None:
    assert rest(1, Posted(429, retry_after=60), MIDDLE) == 60
    assert rest(1, Posted(429, retry_after=1e6), MIDDLE) == LONGEST_REST


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120.0),
        ("0", 0.0),
        (format_datetime(datetime.fromtimestamp(NOW + 90, UTC), usegmt=True), 90.0),
        (format_datetime(datetime.fromtimestamp(NOW - 90, UTC), usegmt=True), 0.0),
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("\u0661", None),
        ("9" * 400, None),
        ("Thu, 99 Foo 2026 99:99:99 GMT", None),
        ("Thu, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("Thu, 01 Jan 0001 00:00:00 +2300", 0.0),
    ],
)
def test_the_two_forms_of_retry_after(text: str | None, seconds: float | None) -> None:
    assert retry_after(text, NOW) == seconds
