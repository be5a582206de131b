"""Calls of several tenants and ages for tests of what is deleted, and what deletes them."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Table, func, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from sipagent.model import Privacy, TenantName
from sipagent.model.privacy import DAY
from sipagent.store import tables
from sipagent.store.erasure import Eraser
from sipagent.store.ledger import Ledger
from sipagent.store.numbers import InstallationKey, StoredNumbers
from sipagent.store.retention import Pruner

NOW = 1_800_000_000.0
KEY = InstallationKey(b"a key of this installation")
ANN, BOB = "+14065550100", "+14065550199"
ACME, BETA = TenantName("acme"), TenantName("beta")
HASHED = StoredNumbers(KEY, lambda tenant: tenant == BETA)


@dataclass
class At:
    """A clock that stands still."""

    now: float = NOW

    def wall(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


@dataclass
class Told:
    """What a test says of one call."""

    call_id: str
    tenant: TenantName = ACME
    caller: str | None = ANN
    age: float = 1 * DAY
    live: bool = False
    session: str = "shared"
    spare: str | None = None
    turns: int = 2
    values: dict[str, Any] = field(default_factory=dict)


async def tell(engine: AsyncEngine, told: Iterable[Told]) -> None:
    """The calls stand in every table, as the writer leaves them."""
    async with engine.begin() as connection:
        for call in told:
            for table, rows in _rows(call).items():
                if table is tables.sessions:
                    known = set((await connection.scalars(select(table.c.hash))).all())
                    rows = [row for row in rows if row["hash"] not in known]
                if rows:
                    await connection.execute(insert(table), rows)


def _rows(call: Told) -> dict[Table, list[dict[str, Any]]]:
    began, id_, tenant = NOW - call.age, call.call_id, call.tenant
    caller = None if call.caller is None else HASHED.stored(tenant, call.caller)
    tokens = ("text_in", "audio_in", "image_in", "text_cached", "audio_cached", "image_cached")
    row = {
        "call_id": id_,
        "account": "default",
        "webhook_id": f"wh_{id_}",
        "tenant": tenant,
        "trunk_proven": True,
        "verdict": "accept",
        "listed": True,
        "caller": caller,
        "media_security": "srtp",
        "trace": "[]",
        "plan": json.dumps({"fallback_session": call.spare} if call.spare else {}),
        "session": call.session,
        "release": "0",
        "replica": "one",
        "began_at": began,
        "outcome": None if call.live else "completed.line_closed",
        **call.values,
    }
    of = {"call_id": id_, "tenant": tenant}
    hashes = dict.fromkeys(filter(None, (call.session, call.spare)))
    return {
        tables.sessions: [{"hash": each, "body": "{}", "last_used_at": began} for each in hashes],
        tables.calls: [row],
        tables.turns: [
            {**of, "sequence": at, "at": began + at, "speaker": "caller", "interrupted": False}
            | {"text": "words"}
            for at in range(call.turns)
        ],
        tables.happenings: [{**of, "sequence": 0, "at": began, "what": "answered"}],
        tables.transfers: [{**of, "number": 1, "at": began, "target": "tel:+1", "answer": "done"}],
        tables.tool_calls: [
            {**of, "id": "call_1", "at": began, "name": "order_status", "status": "done"}
            | {"began": 0.0, "ended": 0.5, "arguments": "words", "output": "words"}
        ],
        tables.messages: [{**of, "id": "call_2", "at": began, "fields": '{"message": "words"}'}],
        tables.aliases: [{"alias": f"alias {id_}", "call_id": id_, "header": "call-id"}],
        tables.usage: [
            {**of, "source_id": "r1", "kind": "response", "account": "default", "at": began}
            | dict.fromkeys((*tokens, "text_out", "audio_out"), 1)
            | {"cost": 5, "price_version": "1"}
        ],
    }


async def call_ids(engine: AsyncEngine, table: Table = tables.calls) -> set[str]:
    """The calls of which the table has something."""
    async with engine.connect() as connection:
        return set((await connection.scalars(select(table.c.call_id))).all())


async def count(engine: AsyncEngine, table: Table) -> int:
    async with engine.connect() as connection:
        return await connection.scalar(select(func.count()).select_from(table)) or 0


async def tool_words(engine: AsyncEngine) -> set[str]:
    """The calls of which a tool's arguments or output are left."""
    c = tables.tool_calls.c
    some = select(c.call_id).where(c.arguments.is_not(None) | c.output.is_not(None))
    async with engine.connect() as connection:
        return set((await connection.scalars(some)).all())


async def session_hashes(engine: AsyncEngine) -> set[str]:
    async with engine.connect() as connection:
        return set((await connection.scalars(select(tables.sessions.c.hash))).all())


def eraser(engine: AsyncEngine, data_dir: Path, now: float = NOW) -> Eraser:
    return Eraser(engine, KEY, Ledger(data_dir), At(now))


def pruner(engine: AsyncEngine, now: float = NOW, **tenants: Privacy) -> Pruner:
    return Pruner(engine, KEY, lambda tenant: tenants.get(tenant, Privacy()), At(now))
