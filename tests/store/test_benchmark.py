"""The benchmark of the records makes what the tables take, and asks what it says."""

from pathlib import Path

from benchmarks.records.databases import sqlite
from benchmarks.records.making import COLUMNS, batches
from benchmarks.records.measuring import Timed, measure
from sipagent.store.tables import metadata


def test_rows_are_of_the_tables_and_the_same_for_the_same_seed() -> None:
    for name, columns in COLUMNS.items():
        table = metadata.tables[name]
        needed = {one.name for one in table.columns if not one.nullable}
        assert needed <= set(columns) <= set(table.columns.keys()), name
    once, again, other = (list(batches(300, seed=seed, size=200)) for seed in (1, 1, 2))
    assert once == again != other
    assert [len(batch["calls"]) for batch in once] == [200, 100]
    for name, columns in COLUMNS.items():
        assert {len(row) for batch in once for row in batch[name]} == {len(columns)}, name


async def test_every_kind_of_query_is_timed(tmp_path: Path) -> None:
    told: list[int] = []
    async with sqlite(tmp_path, batches(500, seed=1), told.append) as (engine, size):
        timed = await measure(engine, rounds=2, seed=1)
    assert (told, size > 100_000) == ([500], True)
    kinds = {one.title.partition(":")[0] for one in timed if one.bounded}
    assert kinds == {"list", "show", "days"}
    assert next(one.title for one in timed if not one.bounded).startswith("search: ")
    assert all(one.seconds for one in timed)


def test_a_bound_is_missed_by_the_slowest_twentieth() -> None:
    fast, slow = (0.01,) * 94, (0.06,) * 6
    assert not Timed("list", fast + slow, bounded=True).holds
    assert Timed("search", fast + slow, bounded=False).holds
    assert Timed("list", (0.01,) * 96 + (0.06,) * 4, bounded=True).holds
