"""What replicas share beside calls: no change is lost, and none is told that is none."""

import asyncio
from collections.abc import Mapping

import pytest

from sipagent.store import shared
from sipagent.store.shared import Document, Entry
from tests.store.support import opened

ORDERS = shared.ORDERS


def added(word: str, by: str = "anna") -> shared.Changed:
    """A change that adds a word to the document."""

    def changed(body: str | None) -> tuple[str, Entry]:
        return f"{body or ''}{word} ", Entry(by, 1000.0, f"add {word}")

    return changed


async def test_what_nobody_has_written_is_not_there(records_url: str) -> None:
    async with opened(records_url) as engine:
        assert await shared.revisions(engine) == {}
        assert await shared.document(engine, ORDERS) is None
        assert await shared.versions(engine) == {}


async def test_a_change_is_read_as_it_was_and_raises_the_revision(records_url: str) -> None:
    async with opened(records_url) as engine:
        await shared.change(engine, ORDERS, added("one"))
        assert await shared.document(engine, ORDERS) == Document(1, "one ")
        await shared.change(engine, ORDERS, added("two", by="bert"))
        assert await shared.document(engine, ORDERS) == Document(2, "one two ")
        assert await shared.revisions(engine) == {ORDERS: 2}
        assert [(one.by, one.did) for one in await shared.audited(engine)] == [
            ("anna", "add one"),
            ("bert", "add two"),
        ]


async def test_what_changes_nothing_is_not_told(records_url: str) -> None:
    def unchanged(_: str | None) -> tuple[str, Entry]:
        raise shared.Unchanged

    async with opened(records_url) as engine:
        await shared.change(engine, ORDERS, unchanged)
        assert await shared.revisions(engine) == {}
        await shared.change(engine, ORDERS, added("one"))
        await shared.change(engine, ORDERS, unchanged)
        assert await shared.document(engine, ORDERS) == Document(1, "one ")
        assert len(await shared.audited(engine)) == 1


async def test_a_change_that_fails_leaves_what_was_there(records_url: str) -> None:
    def broken(_: str | None) -> tuple[str, Entry]:
        raise ZeroDivisionError

    async with opened(records_url) as engine:
        await shared.change(engine, ORDERS, added("one"))
        with pytest.raises(ZeroDivisionError):
            await shared.change(engine, ORDERS, broken)
        assert await shared.document(engine, ORDERS) == Document(1, "one ")


async def test_of_many_changes_at_once_none_is_lost(records_url: str) -> None:
    words = [f"w{number}" for number in range(30)]
    async with opened(records_url) as engine, opened(records_url, schema=False) as other:
        await asyncio.gather(
            *(
                shared.change(engine if number % 2 else other, ORDERS, added(word))
                for number, word in enumerate(words)
            )
        )
        found = await shared.document(engine, ORDERS)
        assert found is not None
        assert found.revision == 30
        assert sorted((found.body or "").split()) == sorted(words)
        assert len(await shared.audited(engine)) == 30


async def test_only_what_was_never_written_is_begun(records_url: str) -> None:
    async with opened(records_url) as engine:
        await shared.begin(engine, ORDERS, "ours")
        await shared.begin(engine, ORDERS, "theirs")
        assert await shared.document(engine, ORDERS) == Document(0, "ours")
        await shared.change(engine, ORDERS, lambda _: (None, None))
        await shared.begin(engine, ORDERS, "again")
        assert await shared.document(engine, ORDERS) == Document(1, None)


KEPT: Mapping[str, tuple[float, str | None]] = {"aa": (1.0, "A"), "bb": (2.0, "B")}


async def test_versions_are_kept_with_their_latest_time_and_dropped(records_url: str) -> None:
    async with opened(records_url) as engine:
        await shared.keep_versions(engine, KEPT)
        await shared.keep_versions(engine, {"aa": (3.0, None), "bb": (1.5, None)})
        await shared.keep_versions(engine, {"bb": (1.0, "older"), "cc": (4.0, "C")})
        assert await shared.versions(engine) == {"aa": 3.0, "bb": 2.0, "cc": 4.0}
        assert [await shared.version(engine, one) for one in ("aa", "bb", "dd")] == ["A", "B", None]
        before = await shared.revisions(engine)
        await shared.keep_versions(engine, {})
        assert await shared.revisions(engine) == before
        await shared.keep_versions(engine, {}, ["aa", "cc"])
        assert await shared.versions(engine) == {"bb": 2.0}
        assert (await shared.revisions(engine))[shared.VERSIONS] > before[shared.VERSIONS]
