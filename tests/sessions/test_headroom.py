"""What is left of an account's limits, and when that is too little for a new call."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from sipagent.model import AccountName
from sipagent.sessions.headroom import FRESH, LONGEST, MOST_LIMITS, Headroom, after, short_until
from sipagent.sessions.machine.events import RateLimit, RateLimitsTold
from sipagent.testing import a_plan

US, EU = AccountName("us-1"), AccountName("eu-1")


@dataclass(slots=True)
class HandClock:
    """A clock that a test moves."""

    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return 1_790_000_000.0 + self.now


def left(share: float, reset: float = 30.0, *, name: str = "tokens") -> RateLimit:
    """A limit of 10,000 of which such a share is left."""
    return RateLimit(name, 10_000, round(share * 10_000), reset)


Story = Sequence[tuple[float, RateLimit]]


@pytest.mark.parametrize(
    ("story", "now", "expected"),
    [
        pytest.param([], 0, None, id="nothing told"),
        pytest.param([(0, left(0.05))], 0, None, id="just enough"),
        pytest.param([(0, left(0.0499))], 0, 30, id="too little"),
        pytest.param([(0, left(0.01))], 29.9, 30, id="until it is whole again"),
        pytest.param([(0, left(0.01))], 30, None, id="whole again"),
        pytest.param([(0, left(0.01, 3600))], 0, LONGEST, id="at most a minute"),
        pytest.param([(0, left(0.01, math.inf))], 0, LONGEST, id="no end"),
        pytest.param([(0, left(0.01, math.nan))], 0, LONGEST, id="no number"),
        pytest.param([(0, left(0.01, -5))], 0, None, id="over already"),
        pytest.param([(0, left(0.01)), (1, left(0.06))], 1, 30, id="hardly better"),
        pytest.param([(0, left(0.01)), (1, left(0.199))], 1, 30, id="not yet enough"),
        pytest.param([(0, left(0.01)), (1, left(0.2))], 1, None, id="enough"),
        pytest.param([(0, left(0.01)), (10, left(0.02))], 10, 40, id="still too little"),
        pytest.param([(0, left(0.01)), (31, left(0.1))], 31, None, id="over, and not too little"),
        pytest.param(
            [(0, left(0.01)), (1, left(0.9, name="requests"))], 1, 30, id="the other limit"
        ),
        pytest.param(
            [(0, left(0.01)), (1, left(0.0, 50, name="requests"))], 1, 51, id="the later of both"
        ),
        pytest.param([(0, left(-3.0))], 0, 30, id="more than all is gone"),
        pytest.param([(0, RateLimit("tokens", 0, 0, 30))], 0, None, id="no limit"),
        pytest.param([(0, RateLimit("tokens", -1, 0, 30))], 0, None, id="a strange limit"),
        pytest.param([(0, left(0.0, name='x"} 1'))], 0, None, id="a strange name"),
    ],
)
def test_until_when_no_calls_are_taken(story: Story, now: float, expected: float | None) -> None:
    rooms = {}
    for at, limit in story:
        rooms = after(rooms, "gpt-realtime-2.1", [limit], at)
    assert short_until(rooms, now) == expected


def test_each_model_has_limits_of_its_own() -> None:
    rooms = after({}, "gpt-realtime-2.1", [left(0.01)], 0)
    rooms = after(rooms, "gpt-realtime-2.1-mini", [left(0.9)], 1)
    assert short_until(rooms, 1) == 30


def test_what_is_remembered_is_bounded_and_the_oldest_is_forgotten() -> None:
    rooms = after({}, "first", [left(0.01, 60)], 0)
    for number in range(MOST_LIMITS):
        rooms = after(rooms, f"model-{number}", [left(0.5)], number)
    assert len(rooms) == MOST_LIMITS
    assert short_until(rooms, MOST_LIMITS) is None


@given(
    st.lists(
        st.tuples(
            st.floats(0, 120),
            st.builds(
                RateLimit,
                st.sampled_from(["tokens", "requests"]),
                st.integers(-10, 10_000),
                st.integers(-10, 20_000),
                st.floats(),
            ),
        )
    )
)
def test_no_account_takes_no_calls_for_more_than_a_minute(
    story: Sequence[tuple[float, RateLimit]],
) -> None:
    rooms, now = {}, 0.0
    for pause, limit in story:
        now += pause
        rooms = after(rooms, "m", [limit], now)
        until = short_until(rooms, now)
        assert until is None or now < until <= now + LONGEST
    assert short_until(rooms, now + LONGEST) is None


def test_each_account_is_held_up_by_its_own_limits_and_changes_are_logged_once() -> None:
    clock = HandClock()
    headroom = Headroom(clock)
    with capture_logs() as lines:
        headroom.note(US, RateLimitsTold((left(0.9, name="requests"), left(0.03))), "m")
        headroom.note(US, RateLimitsTold((left(0.02),)), "m")
        assert (headroom.lowered(US), headroom.lowered(EU)) == (30, None)
        clock.now += 10
        assert headroom.lowered(US) == 20
        headroom.note(US, RateLimitsTold((left(0.5),)), "m")
        assert headroom.lowered(US) is None
    assert lines == [
        {
            "event": "account takes no new calls",
            "log_level": "warning",
            "account": US,
            "limit": "tokens",
            "left": 0.03,
            "seconds": 30.0,
        },
        {"event": "account takes calls again", "log_level": "info", "account": US},
    ]


def test_a_call_speaks_for_its_account_and_its_model() -> None:
    headroom, plan = Headroom(HandClock()), a_plan()
    headroom.heed(plan, RateLimitsTold((left(0.01),)))
    headroom.note(plan.account, RateLimitsTold((left(0.9),)), "another model")
    assert headroom.lowered(plan.account) == 30
    headroom.note(plan.account, RateLimitsTold((left(0.9),)), plan.session["model"])
    assert headroom.lowered(plan.account) is None


def test_the_smallest_share_of_each_limit_is_shown_as_long_as_it_is_fresh() -> None:
    clock = HandClock()
    headroom = Headroom(clock)
    told = RateLimitsTold((left(0.4), left(0.7, name="requests"), left(3.0, name="other")))
    headroom.note(US, told, "gpt-realtime-2.1")
    headroom.note(US, RateLimitsTold((left(0.6),)), "gpt-realtime-2.1-mini")
    assert headroom.shares() == {US: {"tokens": 0.4, "requests": 0.7, "other": 1.0}}
    clock.now += FRESH
    assert headroom.shares() == {US: {}}
