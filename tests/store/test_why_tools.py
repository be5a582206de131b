"""What agents did beside talking, told in plain sentences."""

import pytest

from sipagent.model import ToolStatus
from sipagent.store.facts import StoredMessage, StoredToolCall, Survey, ToolCount
from sipagent.store.why import tell, tell_span
from sipagent.store.why.tools import tell_use
from tests.store.kept import BEGAN, CALLER, HOSTILE
from tests.store.test_why import a_story, step


def used(
    after: float, status: str = "done", name: str = "order_status", detail: str | None = None
) -> StoredToolCall:
    return StoredToolCall(
        f"call_{after}", BEGAN + after, "store", name, status, detail, after, after + 0.4
    )


TOLD = {
    ToolStatus.DONE: "used order_status: done in 0.4 s",
    ToolStatus.FAILED: "used order_status: it failed after 0.4 s",
    ToolStatus.TIMED_OUT: "used order_status: it had no answer within 0.4 s",
    ToolStatus.REFUSED: "used order_status: it was refused, and nothing was done",
    ToolStatus.CANCELLED: "used order_status: it was given up after 0.4 s, as the call had ended",
    ToolStatus.UNKNOWN: (
        "used order_status: what came of it is not known, as the process that ran it had ended"
    ),
}


@pytest.mark.parametrize("status", ToolStatus)
def test_each_way_in_which_a_tool_ends_is_told(status: ToolStatus) -> None:
    assert tell_use(used(3, status.value), numbers=False) == TOLD[status]


def test_tools_and_messages_stand_where_they_happened() -> None:
    story = a_story(
        happenings=(step("dropped", 5.0), step("reattached", 7.0)),
        tools=(used(6.0), used(12.0, "failed", detail="http 503")),
        messages=(StoredMessage("call_2", BEGAN + 20),),
    )
    told = tell(story, numbers=False)

    assert told.happened[-6:] == (
        "After 5.0 s the socket was lost.",
        "After 6.0 s the agent used order_status: done in 0.4 s.",
        "After 7.0 s the socket was open again.",
        "After 12 s the agent used order_status: it failed after 0.4 s (http 503).",
        "After 20 s a message was taken.",
        "2 turns were spoken.",
    )


@pytest.mark.parametrize(
    ("statuses", "flagged"),
    [
        (["done", "cancelled"], False),
        ([], False),
        (["done", "failed"], True),
        (["timed_out"], True),
        (["refused"], True),
        (["unknown"], True),
    ],
)
def test_a_tool_that_came_to_nothing_is_flagged(statuses: list[str], flagged: bool) -> None:
    story = a_story(tools=tuple(used(at, status) for at, status in enumerate(statuses)))
    advice = [line for line in tell(story, numbers=False).to_do if "order_status" in line]

    assert len(advice) == int(flagged)


def test_what_others_have_said_moves_no_cursor_and_shows_no_number() -> None:
    use = used(3, f"{HOSTILE} {CALLER}", name=HOSTILE, detail=f"{HOSTILE} {CALLER}")
    line = tell_use(use, numbers=False)

    assert line.isprintable()
    assert "\u202e" not in line
    assert CALLER not in line


def told(*tools: ToolCount, messages: int = 0) -> tuple[str, ...]:
    found = Survey(tools=tools, messages=messages)
    return tell_span(found, (), since=BEGAN, until=BEGAN + 3600).tools


def test_tools_of_a_time_are_counted_and_the_worst_named() -> None:
    assert told() == ()
    assert told(messages=1) == ("1 message was taken.",)
    assert told(ToolCount("acme", "wait", "done", 1)) == ("Tools were used 1 time.",)
    assert told(
        ToolCount("acme", "order_status", "done", 95),
        ToolCount("acme", "order_status", "failed", 2),
        ToolCount("acme", "order_status", "timed_out", 1),
        ToolCount("acme", "order_status", "cancelled", 2),
        ToolCount("acme", "wait", "done", 50),
        ToolCount("beta", "order_status", "refused", 4),
        messages=3,
    ) == (
        "Tools were used 154 times; 7 of these came to nothing (5 %).",
        "order_status of tenant beta: of 4 uses 4 were refused.",
        "order_status of tenant acme: of 100 uses 2 failed, 1 had no answer in time.",
        "3 messages were taken.",
    )


def test_of_many_bad_tools_only_five_are_named() -> None:
    counts = (ToolCount("acme", f"tool_{number}", "failed", number + 1) for number in range(9))
    named = [line for line in told(*counts) if line.startswith("tool_")]

    assert [line.partition(" ")[0] for line in named] == [f"tool_{one}" for one in (8, 7, 6, 5, 4)]
