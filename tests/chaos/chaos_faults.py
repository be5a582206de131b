"""C1: eight faults on five links, 40 cells. `make chaos` runs them all and prints what each came
to; `-k "engine and timeout"` runs one."""

from collections.abc import Iterator

import pytest

from tests.chaos.fault_cells import CELLS, Cell, Found, table
from tests.chaos.fault_links import Stage, stage


@pytest.fixture(scope="module")
def found() -> Iterator[list[Found]]:
    made: list[Found] = []
    yield made
    held = sum(not one.why for one in made)
    print(f"\n{table(made)}\n{held} of {len(made)} cells hold")


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("faults")) as made:
        yield made


@pytest.mark.parametrize(("link", "toxic"), CELLS)
def test_a_fault_of_a_link_ends_nothing_and_does_nothing_twice(
    played: Stage, found: list[Found], link: str, toxic: str
) -> None:
    cell = Cell(played.scene, link, toxic)
    found.append(cell.found)
    played.play(cell.play())
