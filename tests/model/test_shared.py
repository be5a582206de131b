"""What is made once for each value that many share."""

from sipagent.model.shared import OfShared


def test_the_same_value_is_made_something_of_once_and_an_equal_one_anew() -> None:
    made: list[object] = []
    shared = OfShared(lambda value: made.append(value) or len(made))  # type: ignore[func-returns-value]
    first, equal = {"a": 1}, {"a": 1}
    assert [shared(first), shared(first), shared(equal), shared(first)] == [1, 1, 2, 1]


def test_it_keeps_a_few_and_never_takes_one_for_another() -> None:
    shared: OfShared[list[int], int] = OfShared(len, most=4)
    for size in range(100):
        assert shared([0] * size) == size
    assert len(shared._kept) <= 4
