"""Callers who are erased leave nothing but what they cost, now and after a restore."""

import json
from pathlib import Path

import pytest

from sipagent.errors import StoreError
from sipagent.model.privacy import DAY
from sipagent.store import tables
from sipagent.store.erasure import Eraser, IsErased
from sipagent.store.holds import Subject, listed, place, release
from sipagent.store.ledger import Erasure, Ledger
from sipagent.store.purging import STEP
from tests.store.forgetting import (
    ACME,
    ANN,
    BETA,
    BOB,
    KEY,
    NOW,
    At,
    Told,
    call_ids,
    eraser,
    session_hashes,
    tell,
    tool_words,
)
from tests.store.support import opened

OF_CALLS = (
    *(tables.turns, tables.happenings, tables.transfers, tables.tool_calls, tables.messages),
    tables.aliases,
)


async def test_a_caller_is_erased_from_every_table_and_from_every_tenant(
    records_url: str, tmp_path: Path
) -> None:
    async with opened(records_url) as engine:
        await tell(
            engine, [Told("a"), Told("b", BETA), Told("bob", caller=BOB), Told("no", BETA, None)]
        )
        erasure, done = await eraser(engine, tmp_path).erase(ANN, by="me")
        assert (done.calls, done.held, done.live) == (2, [], [])
        for table in (tables.calls, *OF_CALLS):
            assert await call_ids(engine, table) == {"bob", "no"}
        assert await call_ids(engine, tables.usage) == {"a", "b", "bob", "no"}
        async with engine.connect() as connection:
            (row,) = (await connection.execute(tables.erasures.select())).all()
    assert (row.id, row.caller, row.calls) == (erasure.id, KEY.fingerprint(ANN), 2)
    assert ANN[1:] not in (tmp_path / "erasures.jsonl").read_text()


async def test_only_the_named_tenants_calls_are_erased(records_url: str, tmp_path: Path) -> None:
    async with opened(records_url) as engine:
        await tell(engine, [Told("a"), Told("b", BETA)])
        await eraser(engine, tmp_path).erase(ANN, by="me", tenant=BETA)
        assert await call_ids(engine) == {"a"}


async def test_a_number_is_found_in_each_spelling(records_url: str, tmp_path: Path) -> None:
    async with opened(records_url) as engine:
        await tell(engine, [Told("a", caller=ANN[1:]), Told("b", caller=f"{ANN}0")])
        await eraser(engine, tmp_path).erase(ANN, by="me")
        assert await call_ids(engine) == {"b"}


async def test_later_calls_of_the_caller_are_kept(records_url: str, tmp_path: Path) -> None:
    async with opened(records_url) as engine:
        await tell(engine, [Told("before"), Told("after", age=-60.0)])
        forgetting = eraser(engine, tmp_path)
        await forgetting.erase(ANN, by="me")
        await forgetting.replay()
        assert await call_ids(engine) == {"after"}


async def test_sessions_go_unless_another_call_began_with_them(
    records_url: str, tmp_path: Path
) -> None:
    async with opened(records_url) as engine:
        own = Told("own", session="hers", spare="hers too")
        both = Told("both", session="shared", spare="shared too")
        crossed = Told("crossed", session="hers as well", spare="bobs")
        bobs = [
            Told("bob", caller=BOB, session="shared", spare="shared too"),
            Told("rob", caller=BOB, session="bobs"),
        ]
        await tell(engine, [own, both, crossed, *bobs])
        await eraser(engine, tmp_path).erase(ANN, by="me")
        assert await session_hashes(engine) == {"shared", "shared too", "bobs"}


async def test_many_calls_are_erased_in_steps(records_url: str, tmp_path: Path) -> None:
    async with opened(records_url) as engine:
        told = [Told(f"c{at}", age=60.0 + at % 7, turns=1) for at in range(2 * STEP + 1)]
        await tell(engine, told)
        _, done = await eraser(engine, tmp_path).erase(ANN, by="me")
        assert done.calls == len(told)
        assert await call_ids(engine) == set()


async def test_a_call_in_progress_loses_its_words_now_and_the_rest_when_it_ends(
    records_url: str, tmp_path: Path
) -> None:
    async with opened(records_url) as engine:
        await tell(
            engine, [Told("live", age=600.0, live=True), Told("stuck", age=2 * DAY, live=True)]
        )
        forgetting = eraser(engine, tmp_path)
        _, done = await forgetting.erase(ANN, by="me")
        assert (done.calls, done.live) == (1, ["live"])
        assert await call_ids(engine) == {"live"}
        assert await call_ids(engine, tables.turns) == set()
        assert await call_ids(engine, tables.messages) == set()
        assert await tool_words(engine) == set()
        assert await call_ids(engine, tables.tool_calls) == {"live"}
        async with engine.begin() as connection:
            await connection.execute(tables.calls.update().values(outcome="completed.line_closed"))
        assert (await forgetting.replay(since=NOW - DAY)).calls == 1
        assert await call_ids(engine) == set()


async def test_an_old_copy_of_the_records_loses_erased_callers_again(
    records_url: str, tmp_path: Path
) -> None:
    async with opened(records_url) as engine:
        told = [Told("a"), Told("b", BETA), Told("bob", caller=BOB)]
        await tell(engine, told)
        forgetting = eraser(engine, tmp_path)
        erasure, _ = await forgetting.erase(ANN, by="me")
        async with engine.begin() as connection:  # the copy is from before the erasure
            for table in tables.metadata.tables.values():
                await connection.execute(table.delete())
        await tell(engine, told)
        assert (await forgetting.replay()).calls == 2
        assert (await forgetting.replay()).calls == 0
        assert await call_ids(engine) == {"bob"}
        async with engine.connect() as connection:
            (row,) = (await connection.execute(tables.erasures.select())).all()
    assert (row.id, row.calls) == (erasure.id, 2)


async def test_a_new_data_directory_learns_the_erasures_of_the_records(
    records_url: str, tmp_path: Path
) -> None:
    async with opened(records_url) as engine:
        erasure, _ = await eraser(engine, tmp_path / "one").erase(ANN, by="me")
        await eraser(engine, tmp_path / "two").replay()
    assert Ledger(tmp_path / "two").all() == [erasure]


@pytest.mark.parametrize(
    "subject",
    [
        Subject(call_id="a"),
        Subject(caller=KEY.fingerprint(ANN)),
        Subject(tenant=ACME),
        Subject(tenant=ACME, caller=KEY.fingerprint(ANN)),
    ],
    ids=["call", "caller", "tenant", "caller-of-tenant"],
)
async def test_what_is_held_is_told_and_kept_until_it_is_released(
    subject: Subject, records_url: str, tmp_path: Path
) -> None:
    async with opened(records_url) as engine:
        await tell(engine, [Told("a")])
        hold = await place(engine, subject, reason="case 7", by="me", at=NOW)
        assert hold is not None
        forgetting = eraser(engine, tmp_path)
        _, done = await forgetting.erase(ANN, by="me")
        assert (done.calls, done.held) == (0, ["a"])
        assert await call_ids(engine, tables.turns) == {"a"}
        assert await release(engine, hold.id, at=NOW + 1) == hold
        assert await release(engine, hold.id, at=NOW + 2) is None
        assert (await forgetting.replay()).calls == 1
        assert await listed(engine) == []
        assert [one.id for one in await listed(engine, released=True)] == [hold.id]


@pytest.mark.parametrize(
    "subject",
    [
        Subject(call_id="b"),
        Subject(caller=KEY.fingerprint(BOB)),
        Subject(tenant=BETA),
        Subject(tenant=BETA, caller=KEY.fingerprint(ANN)),
    ],
    ids=["call", "caller", "tenant", "caller-of-tenant"],
)
async def test_a_hold_keeps_nothing_else(
    subject: Subject, records_url: str, tmp_path: Path
) -> None:
    async with opened(records_url) as engine:
        await tell(engine, [Told("a"), Told("b", BETA, BOB)])
        assert await place(engine, subject, reason="case 7", by="me", at=NOW) is not None
        assert (await eraser(engine, tmp_path).erase(ANN, by="me"))[1].calls == 1


async def test_a_call_is_held_as_long_as_one_of_its_holds_stands(
    records_url: str, tmp_path: Path
) -> None:
    async with opened(records_url) as engine:
        await tell(engine, [Told("a")])
        holds = [
            await place(engine, Subject(call_id="a"), reason=why, by="me", at=NOW) for why in "12"
        ]
        assert await place(engine, Subject(call_id="x"), reason="0", by="me", at=NOW) is None
        kept = []
        for hold in holds:
            assert hold is not None
            await release(engine, hold.id, at=NOW)
            kept.append(len((await eraser(engine, tmp_path).erase(ANN, by="me"))[1].held))
    assert kept == [1, 0]


def test_a_torn_line_of_the_ledger_loses_no_other(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    assert ledger.all() == []
    (tmp_path / "erasures.jsonl").write_text('{"id": "torn", "ten')
    (tmp_path / "erasures.jsonl").chmod(0o600)
    erasure = Erasure("1", None, KEY.fingerprint(ANN), NOW, "me")
    ledger.add(erasure)
    assert ledger.all() == [erasure]
    assert json.loads(ledger.path.read_text().splitlines()[-1])["id"] == "1"


def test_a_ledger_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "erasures.jsonl").mkdir()
    with pytest.raises(StoreError, match=r"erasures\.jsonl: cannot be used: is a directory"):
        Ledger(tmp_path).all()


async def test_what_a_process_remembers_besides_is_forgotten_with_it(
    records_url: str, tmp_path: Path
) -> None:
    """Of the caller, of the named tenant, and of calls that had ended by then; also when the wish
    is another process's, which is found at the next replay."""
    asked: list[dict[tuple[str, str, float], bool]] = []

    def forget(erased: IsErased) -> None:
        ends = [(who, whose, at) for who in (ANN, BOB) for whose in (ACME, BETA) for at in (0, 1)]
        asked.append({(who, whose, at): erased(who, whose, NOW + at) for who, whose, at in ends})

    async with opened(records_url) as engine:
        mine = Eraser(engine, KEY, Ledger(tmp_path), At(NOW), forget)
        await mine.replay()
        assert asked == []
        await eraser(engine, tmp_path).erase(ANN, by="another", tenant=BETA)
        await mine.replay()
        await mine.erase(BOB, by="me")
    forgotten = [{key for key, gone in each.items() if gone} for each in asked]
    assert forgotten == [{(ANN, BETA, 0)}, {(BOB, ACME, 0), (BOB, BETA, 0)}]
