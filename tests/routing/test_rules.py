"""Conditions, splits and the order of rules."""

from collections import Counter
from datetime import date

import pytest

from sipagent.model import AgentName, CallId
from sipagent.routing import AnswerWith, Condition, DuringHours, FromCaller, OnDates, WithHeader
from sipagent.routing.moment import Moment, from_iso, zone
from sipagent.routing.rules import first_that_holds
from tests.routing.support import NOW, FakeSchedule, a_call, caller, rule

CHICAGO = Moment(NOW, "America/Chicago")
TODAY, TOMORROW = date(2026, 9, 22), date(2026, 9, 23)


@pytest.mark.parametrize(
    ("timezone", "hour"),
    [("America/Chicago", 8), ("Europe/Vilnius", 16), ("Asia/Kolkata", 19), (None, 13)],
)
def test_the_moment_is_in_the_numbers_zone(timezone: str | None, hour: int) -> None:
    assert Moment(NOW, timezone).local.hour == hour


@pytest.mark.parametrize(
    ("timezone", "negated", "holds"),
    [
        ("America/Chicago", False, False),  # 08:53
        ("America/Chicago", True, True),
        ("America/New_York", False, True),  # 09:53
        ("America/New_York", True, False),
    ],
)
def test_hours_are_read_on_the_clocks_where_the_number_is(
    timezone: str, negated: bool, holds: bool
) -> None:
    schedule = FakeSchedule()
    condition = DuringHours("office", schedule, negated)
    assert condition.holds(a_call(), Moment(NOW, timezone)) is holds
    (asked,) = schedule.asked
    assert asked.tzinfo is zone(timezone)


@pytest.mark.parametrize(
    ("negated", "held", "words"),
    [
        (False, True, "office is open"),
        (False, False, "office is closed"),
        (True, True, "office is closed"),
        (True, False, "office is open"),
    ],
)
def test_hours_are_told_as_they_are(negated: bool, held: bool, words: str) -> None:
    assert DuringHours("office", FakeSchedule(), negated).told(held=held) == words


@pytest.mark.parametrize(
    ("spans", "moment", "holds"),
    [
        (((TODAY, TODAY),), CHICAGO, True),
        (((TOMORROW, TOMORROW),), CHICAGO, False),
        (((date(2026, 9, 1), TODAY),), CHICAGO, True),
        (((TODAY, date(2026, 12, 31)),), CHICAGO, True),
        (((date(2026, 1, 1), date(2026, 1, 2)), (TODAY, TODAY)), CHICAGO, True),
        ((), CHICAGO, False),
        # It is tomorrow already where this number is.
        (((TODAY, TODAY),), Moment(NOW, "Pacific/Kiritimati"), False),
        (((TOMORROW, TOMORROW),), Moment(NOW, "Pacific/Kiritimati"), True),
    ],
)
def test_dates_include_their_first_and_last_day(
    spans: tuple[tuple[date, date], ...], moment: Moment, holds: bool
) -> None:
    condition = OnDates(spans)
    assert condition.holds(a_call(), moment) is holds
    assert condition.told(held=True) != condition.told(held=False)


@pytest.mark.parametrize(
    ("patterns", "headers", "holds"),
    [
        (("+14067704205",), [caller("+14067704205")], True),
        (("+14067704205",), [caller("+14067704206")], False),
        (("+1406*",), [caller("+14067704205")], True),
        (("+1406*",), [caller("+14057704205")], False),
        (("+44*", "+1406*"), [caller("+14067704205")], True),
        (("*",), [caller("+14067704205")], True),
        (("*",), [], False),
        (("anonymous",), [], True),
        (("anonymous",), [caller("+14067704205")], False),
        (("anonymous",), [caller("+14067704205"), ("Privacy", "id")], True),
        (("+1406*",), [caller("+14067704205"), ("Privacy", "id")], False),
        (("anonymous",), [("From", "<sip:anonymous@anonymous.invalid>")], True),
        ((), [caller("+14067704205")], False),
    ],
)
def test_callers_by_number_by_prefix_and_anonymous(
    patterns: tuple[str, ...], headers: list[tuple[str, str]], holds: bool
) -> None:
    condition = FromCaller(patterns)
    assert condition.holds(a_call(*headers), CHICAGO) is holds
    assert condition.told(held=True) != condition.told(held=False)


@pytest.mark.parametrize(
    ("condition", "values", "holds"),
    [
        (WithHeader("x-store", equals="7"), ["7"], True),
        (WithHeader("x-store", equals="7"), [" 7 "], True),
        (WithHeader("x-store", equals="7"), ["77"], False),
        (WithHeader("x-store", equals="A"), ["a"], False),
        (WithHeader("x-store", equals="7"), [], False),
        (WithHeader("x-store", equals="7"), ["7", "7"], True),
        (WithHeader("x-store", equals="7"), ["7", "8"], False),
        (WithHeader("x-store", equals="7"), ["8", "7"], False),
        (WithHeader("x-store", equals=""), [""], True),
        (WithHeader("x-store", prefix="north-"), ["north-7"], True),
        (WithHeader("x-store", prefix="north-"), ["south-7"], False),
        (WithHeader("x-store", prefix="north-"), ["north-7", "north-8"], False),
        (WithHeader("x-store"), ["7"], False),
    ],
)
def test_headers_by_value_and_prefix_and_never_by_one_of_two(
    condition: WithHeader, values: list[str], holds: bool
) -> None:
    call = a_call(*[("X-Store", value) for value in values])
    assert condition.holds(call, CHICAGO) is holds
    assert condition.told(held=True) != condition.told(held=False)


def test_the_first_rule_whose_conditions_all_hold_is_taken() -> None:
    heard: list[tuple[int, bool, str]] = []
    rules = (
        rule("closed", DuringHours("office", FakeSchedule())),
        rule("both", FromCaller(("+1406*",)), WithHeader("x-store", equals="7")),
        rule("caller", FromCaller(("+1406*",))),
        rule("last"),
    )
    taken = first_that_holds(
        rules, a_call(caller("+14067704205")), CHICAGO, lambda *told: heard.append(told)
    )
    assert taken is rules[2]
    assert heard == [
        (1, False, "office is closed"),
        (2, False, "the header x-store does not match"),
        (3, True, "the caller is listed"),
    ]


def test_a_rule_without_conditions_always_holds_and_no_rule_may_hold() -> None:
    last = rule("last")
    none: tuple[Condition, ...] = (FromCaller(("+44*",)),)
    assert first_that_holds((rule("a", *none), last), a_call(), CHICAGO, print) is last
    assert first_that_holds((rule("a", *none),), a_call(), CHICAGO, print) is None
    assert first_that_holds((), a_call(), CHICAGO, print) is None


SPLIT = AnswerWith(AgentName("old"), ((AgentName("new"), 0.05), (AgentName("newer"), 0.25)))


def test_a_split_gives_each_its_share_within_one_percent() -> None:
    calls = 100_000
    chosen = Counter(SPLIT.chosen(CallId(f"rtc_{number:032x}")) for number in range(calls))
    shares = {agent: count / calls for agent, count in chosen.items()}
    assert shares["new"] == pytest.approx(0.05, abs=0.01)
    assert shares["newer"] == pytest.approx(0.25, abs=0.01)
    assert shares["old"] == pytest.approx(0.70, abs=0.01)


def test_a_split_is_the_same_at_every_look_and_in_every_process() -> None:
    ids = [CallId(f"rtc_{number}") for number in range(200)]
    assert [SPLIT.chosen(one) for one in ids] == [SPLIT.chosen(one) for one in ids]
    # Fixed for ever: a process that was restarted must give a call the agent that it had.
    assert [SPLIT.chosen(one) for one in ids[:12]] == PINNED


PINNED = [
    "old",
    "old",
    "newer",
    "newer",
    "new",
    "old",
    "newer",
    "newer",
    "old",
    "old",
    "old",
    "old",
]


def test_without_a_split_the_agent_answers_and_a_whole_share_takes_all() -> None:
    assert AnswerWith(AgentName("old")).chosen(CallId("rtc_1")) == "old"
    whole = AnswerWith(AgentName("old"), ((AgentName("new"), 1.0),))
    assert {whole.chosen(CallId(f"rtc_{number}")) for number in range(1_000)} == {"new"}
    nothing = AnswerWith(AgentName("old"), ((AgentName("new"), 0.0),))
    assert {nothing.chosen(CallId(f"rtc_{number}")) for number in range(1_000)} == {"old"}


@pytest.mark.parametrize(
    ("text", "timezone", "at"),
    [
        ("2026-09-22T08:53:20", "America/Chicago", NOW),
        ("2026-09-22T08:53:20-05:00", "Europe/Vilnius", NOW),
        ("2026-09-22T13:53:20Z", None, NOW),
        ("2026-09-22T13:53:20", None, NOW),
    ],
)
def test_a_time_without_an_offset_is_one_of_its_zone(
    text: str, timezone: str | None, at: float
) -> None:
    assert from_iso(text, timezone) == at


@pytest.mark.parametrize("text", ["", "tomorrow", "2026-13-01T00:00"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_iso(text, None)
