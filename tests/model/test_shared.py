"""What is made once for each value that many share."""

from sipagent.model import Skills
from sipagent.model.shared import OfShared


def test_the_same_value_is_made_something_of_once_and_an_equal_one_anew() -> None:
    made: list[int] = []

    def make(_: Skills) -> int:
        made.append(1)
        return len(made)

    shared = OfShared(make)
    first, equal = Skills(), Skills()
    assert [shared(first), shared(first), shared(equal), shared(first)] == [1, 1, 2, 1]


def test_what_one_call_had_goes_with_it() -> None:
    shared = OfShared(lambda skills: len(skills.tools))
    for _ in range(100):
        assert shared(Skills()) == 0
    assert shared._kept == {}
