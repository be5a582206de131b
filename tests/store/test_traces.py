"""P4: what has been deleted is in no byte of the database's files and in no column of any table."""

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from sipagent.concurrency import SystemClock
from sipagent.model import (
    CallPlan,
    DestinationName,
    Message,
    Privacy,
    Speaker,
    TenantName,
    Transfer,
    Turn,
)
from sipagent.model.privacy import DAY
from sipagent.sip import Headers, read_invite
from sipagent.store import tables
from sipagent.store.erasure import Eraser
from sipagent.store.ledger import Ledger
from sipagent.store.numbers import StoredNumbers
from sipagent.store.retention import Pruner
from tests.store.forgetting import KEY, At
from tests.store.nouns import Kept, a_call, accepted, billed, ending, keeping, planned, used

NUMBER, SPELLED = "14065558877", "+1 406 555 8877"
NAME, CARRIER_ID = "Zenobia Quartermaine", "canary-4f1e@203.0.113.9"
SENTENCE = "the combination of the vault is nineteen sparrows"
INSTRUCTIONS = "Greet this caller and ask for Wolpertinger the cat."
CANARIES = (NUMBER, SPELLED, NAME, CARRIER_ID, SENTENCE, INSTRUCTIONS)
HEADERS = Headers(
    (
        ("from", f'"{NAME}" <sip:+{NUMBER}@carrier.example>'),
        ("to", "<sip:+17134810111@carrier.example>"),
        ("call-id", CARRIER_ID),
        ("x-call-id", f"{NUMBER}-7@203.0.113.9"),
    )
)
CALLS = 120
"""Enough for pages to be split, merged and freed."""


@contextlib.asynccontextmanager
async def kept_calls(url: str, data_dir: Path, *, hmac: bool) -> AsyncIterator[Kept]:
    """Records of many calls with canaries in every place, told by the real writer."""
    numbers = StoredNumbers(KEY, lambda _: hmac)
    async with keeping(url, data_dir, numbers=numbers) as kept:
        for at in range(CALLS):
            tell(kept, f"rtc_{at}")
            message = Message("call_2", {"message": SENTENCE})
            await kept.records.message(planned(f"rtc_{at}"), message)
        await kept.writer.flushed()
        yield kept


def tell(kept: Kept, name: str) -> None:
    session = {"model": "m", "instructions": f"{INSTRUCTIONS} {NUMBER} {SPELLED} {name}"}
    plan: CallPlan = replace(
        planned(name), session=session, fallback_session=session | {"spare": 1}
    )
    call = replace(a_call(name), invite=read_invite(HEADERS), headers=HEADERS)
    decision = accepted(plan)
    step = replace(decision.trace[0], considered=f"+{NUMBER}", because=f"{NAME} called")
    kept.records.decided(call, replace(decision, trace=(step,)))
    for at in range(6):
        text = f"{SENTENCE} {at} " * (1 + 40 * (at == 3))
        kept.records.turn(plan, Turn(at, Speaker.CALLER, float(at), text))
    given = json.dumps({"number": f"+{NUMBER}", "digits": int(NUMBER), "said": SENTENCE})
    kept.records.tool(plan, used("call_1", arguments=given, output=f"{SENTENCE} {NUMBER}"))
    kept.records.used(plan, billed("resp_1"))
    kept.records.transfer(plan, Transfer(1, DestinationName("desk"), f"tel:+{NUMBER}", "done"))
    kept.records.ended(ending(name))


async def found_in_rows(kept: Kept) -> set[str]:
    """The canaries that a SELECT of all tables shows."""
    dump: list[Any] = []
    async with kept.writer.engine.connect() as connection:
        for table in tables.metadata.tables.values():
            dump += (await connection.execute(select(table))).all()
    return {canary for canary in CANARIES if canary in str(dump)}


def found_in_files(*folders: Path) -> set[str]:
    """The canaries that are in any byte of any file."""
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert files
    raw = [path.read_bytes() for path in files]
    return {canary for canary in CANARIES if any(canary.encode() in each for each in raw)}


@pytest.mark.parametrize("hmac", [False, True], ids=["plain", "hmac"])
async def test_nothing_is_left_of_an_erased_caller(
    hmac: bool, records_url: str, tmp_path: Path
) -> None:
    sqlite = records_url.startswith("sqlite")
    async with kept_calls(records_url, tmp_path / "data", hmac=hmac) as kept:
        before = await found_in_rows(kept)
        assert before == ({*CANARIES} - {NUMBER, SPELLED} if hmac else {*CANARIES})
        if sqlite:
            assert found_in_files(tmp_path) == before
        eraser = Eraser(kept.writer.engine, KEY, Ledger(tmp_path / "data"), SystemClock())
        _, done = await eraser.erase(f"+{NUMBER}", by="me")
        assert done.calls == CALLS
        assert await found_in_rows(kept) == set()
        assert found_in_files(tmp_path) == set()
    assert found_in_files(tmp_path) == set()


@pytest.mark.parametrize("records", [None, 30 * DAY], ids=["words", "calls"])
async def test_nothing_is_left_of_what_was_too_old(
    records: float | None, records_url: str, tmp_path: Path
) -> None:
    left = set() if records else {*CANARIES} - {SENTENCE}
    async with kept_calls(records_url, tmp_path / "data", hmac=False) as kept:
        later = At(SystemClock().wall() + 31 * DAY)

        def privacy(_: TenantName) -> Privacy:
            return Privacy(records=records)

        await Pruner(kept.writer.engine, KEY, privacy, later).prune()
        assert await found_in_rows(kept) == left
        assert found_in_files(tmp_path) <= left


async def test_an_hmac_tenants_files_never_hold_a_number(sqlite_url: str, tmp_path: Path) -> None:
    async with kept_calls(sqlite_url, tmp_path / "data", hmac=True):
        assert found_in_files(tmp_path).isdisjoint({NUMBER, SPELLED})
