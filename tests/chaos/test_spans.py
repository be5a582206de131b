"""What is read from the sockets of a call is what they were."""

import pytest

from tests.chaos.spans import gaps, sent_by_earlier, taken_over_at, twice


def noted(*changes: float) -> list[dict[str, object]]:
    """Notes of a call: a socket is opened at each positive moment, one closed at each negative."""
    return [{"type": "attached" if at > 0 else "detached", "at": abs(at)} for at in changes] + [
        {"type": "state", "at": 99.0}
    ]


@pytest.mark.parametrize(
    ("changes", "by_nobody", "by_two"),
    [
        ((), [], []),
        ((1,), [], []),
        ((1, -3), [], []),
        ((1, -3, 5), [(3, 5)], []),
        ((1, 3, -4), [], [(3, 4)]),
        ((1, 3), [], [(3, 9)]),
        ((1, 3, -4, -5, 7, 8), [(5, 7)], [(3, 4), (8, 9)]),
    ],
)
def test_who_held_a_call(
    changes: tuple[float, ...],
    by_nobody: list[tuple[float, float]],
    by_two: list[tuple[float, float]],
) -> None:
    notes = noted(*changes)
    assert gaps(notes, 9) == by_nobody
    assert twice(notes, 9) == by_two


@pytest.mark.parametrize(
    ("changes", "after", "at"),
    [((1, -3, 5), 2, 5), ((1, 5), 2, 5), ((3,), 2, None), ((1,), 2, None), ((1, -3, 5), 6, None)],
)
def test_when_a_call_was_taken_over(
    changes: tuple[float, ...], after: float, at: float | None
) -> None:
    assert taken_over_at(noted(*changes), after) == at


def test_what_came_by_a_socket_that_was_not_the_last() -> None:
    notes = noted(1, 3, -4)
    assert sent_by_earlier(notes, [(2, 1), (3.5, 2)]) == 0
    assert sent_by_earlier(notes, [(2, 1), (3.5, 1), (4, 1)]) == 2
