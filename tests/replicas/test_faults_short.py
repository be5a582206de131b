"""A short form of C1: for each of five links one fault, while calls are held and come in.

`make chaos` has all eight on each; tests/chaos/fault_cells.py says what is held true.
"""

from collections.abc import Iterator

import pytest

from tests.chaos.fault_cells import SHORT, Cell
from tests.chaos.fault_links import Stage, stage


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("faults")) as made:
        yield made


@pytest.mark.parametrize(("link", "toxic"), SHORT)
def test_a_fault_of_a_link_ends_nothing_and_does_nothing_twice(
    played: Stage, link: str, toxic: str
) -> None:
    played.play(Cell(played.scene, link, toxic).play())
