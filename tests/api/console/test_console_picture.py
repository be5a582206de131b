"""A call as a picture: where bars stand, how long answers took, that all is drawn within."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipagent.api.console.picture import PER_SECOND, WIDTH, Wait, picture, waited_of
from sipagent.model import TraceStep
from sipagent.store.facts import StoredToolCall, StoredTransfer, Story
from sipagent.store.reading.speech import Speech
from tests.store.kept import BEGAN, a_call, a_live, fact


def a_story(*, live: bool = False, **parts: object) -> Story:
    row = a_live("rtc_1") if live else a_call("rtc_1")
    return Story(fact(row), trace=(TraceStep("to", "x", True, "y"),), **parts)  # type: ignore[arg-type]  # parts by name


def spoke(sequence: int, at: float, speaker: str, length: int | None = 30) -> Speech:
    return Speech(sequence, BEGAN + at, speaker, length, False)


def test_bars_stand_where_somebody_began_to_speak() -> None:
    spoken = (
        spoke(0, 6, "agent"),
        spoke(1, 12, "caller", int(6 * PER_SECOND)),
        spoke(2, 30, "agent", None),
    )
    drawn = picture(a_story(), spoken, BEGAN + 60)
    bars = sorted((one.lane, one.x, one.width, one.look) for one in drawn.shapes)
    assert bars == [
        (0, 120.0, 60.0, "caller"),
        (1, 60.0, 20.0, "agent"),
        (1, 300.0, 6.0, "agent"),
    ]
    assert drawn.waits == (Wait(300.0, 18.0),)
    assert drawn.summary == (
        "1 min 00 s of call: 1 turn of the caller, 2 of the agent, 0 tool calls, 0 transfers; the"
        " longest wait was 18 s."
    )


def test_nobody_speaks_into_their_own_next_turn() -> None:
    spoken = (spoke(0, 6, "agent", 10_000), spoke(1, 12, "agent", 10_000))
    drawn = picture(a_story(), spoken, BEGAN + 60)
    assert sorted((one.x, one.width) for one in drawn.shapes) == [(60.0, 60.0), (120.0, 480.0)]


def test_tools_and_transfers_have_a_lane_of_their_own() -> None:
    tools = (
        StoredToolCall("u1", BEGAN + 6, "store", "order", "done", None, 6.0, 12.0),
        StoredToolCall("u2", BEGAN + 30, "store", "order", "failed", "503", 30.0, 33.0),
    )
    sent = (StoredTransfer(1, BEGAN + 45, "desk", "tel:+1", "202", "taken"),)
    drawn = picture(a_story(tools=tools, transfers=sent), (), BEGAN + 60)
    assert [(one.lane, one.look, one.x, one.width) for one in drawn.shapes] == [
        (2, "tool", 60.0, 60.0),
        (2, "tool wrong", 300.0, 30.0),
        (2, "transfer", 450.0, 150.0),
    ]
    assert "tel:" not in json.dumps([one.told for one in drawn.shapes])


def test_a_call_that_is_held_ends_now() -> None:
    assert picture(a_story(live=True), (), BEGAN + 90).length == 90
    assert picture(a_story(live=True), (), BEGAN - 5).length == 1


def test_only_an_answer_to_the_caller_is_waited_for() -> None:
    spoken = [
        spoke(0, 1, "agent"),
        spoke(1, 5, "agent"),
        spoke(2, 9, "caller"),
        spoke(3, 8, "agent"),
    ]
    assert list(waited_of(spoken)) == []
    assert list(waited_of([*spoken[:3], spoke(3, 10.5, "agent")])) == [(BEGAN + 10.5, 1.5)]


@pytest.mark.parametrize(("length", "most"), [(1, 11), (59, 11), (3599, 11), (7200, 11)])
def test_the_axis_is_never_crowded(length: float, most: int) -> None:
    drawn = picture(a_story(live=True), (), BEGAN + length)
    assert 1 <= len(drawn.ticks) <= most


times = st.floats(-1e4, 1e7, allow_nan=False)


@given(
    st.lists(
        st.tuples(times, st.sampled_from(["caller", "agent"]), st.none() | st.integers(0, 20_000)),
        max_size=30,
    ),
    st.lists(st.tuples(times, times), max_size=10),
    times,
)
def test_everything_is_drawn_within_the_picture(
    turns: list[tuple[float, str, int | None]], uses: list[tuple[float, float]], now: float
) -> None:
    spoken = tuple(spoke(at, when, who, length) for at, (when, who, length) in enumerate(turns))
    tools = tuple(
        StoredToolCall(f"u{at}", BEGAN + begin, None, "t", "done", None, begin, end)
        for at, (begin, end) in enumerate(uses)
    )
    drawn = picture(a_story(live=True, tools=tools), spoken, BEGAN + now)
    for shape in drawn.shapes:
        assert 0 <= shape.x <= shape.x + shape.width <= WIDTH + 0.11
        assert shape.width >= 2
