"""A scribe for tests: models that answer as they are told, and calls that are over."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sipagent.jobs import Jobs
from sipagent.model import (
    AccountName,
    AfterCall,
    Bill,
    EventType,
    ModelPrice,
    Redaction,
    Speaker,
    TenantName,
    Tokens,
    Turn,
    Webhook,
)
from sipagent.outbox.scribe import Scribe
from sipagent.providers.openai.reading import Question, Reply
from sipagent.store import tables
from tests.store.forgetting import At
from tests.store.nouns import Kept, a_call, accepted, ending, keeping, planned

EXTRACT = {
    "type": "object",
    "properties": {"name": {"type": "string"}},
    "required": ["name"],
    "additionalProperties": False,
}
AFTER = AfterCall(
    "gpt-5-mini", extract=EXTRACT, price=ModelPrice(text_in=250, text_out=2000), version="2026-11"
)
GOOD = Reply(
    json.dumps({"summary": "Ann called.", "extracted": {"name": "Ann"}}),
    id="resp_1",
    bill=Bill(Tokens(text_in=1000, text_out=100)),
)
PLAN = replace(planned(), after_call=AFTER, redact=tuple(Redaction))


class Readers:
    """Models that answer as they are told, the last answer again and again."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.asked: list[tuple[AccountName, Question]] = []
        self.slow: asyncio.Event | None = None

    async def ask(self, account: AccountName, question: Question, within: float) -> Reply:
        self.asked.append((account, question))
        await asyncio.sleep(0)
        if self.slow is not None:
            await self.slow.wait()
        if "Broken." in question.text:
            raise RuntimeError("a bug")
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


def hooks(tenant: TenantName) -> Mapping[str, Webhook]:
    return {"crm": Webhook("crm", "https://crm.example", frozenset({EventType.CALL_SUMMARISED}))}


@dataclass
class Reading:
    """Records with a scribe, and what a test looks at."""

    kept: Kept
    scribe: Scribe
    readers: Readers
    clock: At
    spent: list[tuple[str, int]]

    async def row(self) -> dict[str, Any]:
        (row,) = await self.kept.rows(tables.summaries)
        return row


@asynccontextmanager
async def reading(
    url: str, folder: Path, *replies: Reply, jobs: Jobs | None = None
) -> AsyncIterator[Reading]:
    async with keeping(url, folder, webhooks=hooks) as kept:
        clock, readers = At(2000.0), Readers(*replies or (GOOD,))
        engine, put = lambda: kept.writer.engine, kept.writer.put
        spent: list[tuple[str, int]] = []
        scribe = Scribe(
            engine,
            readers,
            kept.records.announcer,
            put,
            clock,
            spent=lambda job, cost: spent.append((job.call_id, cost)),
            jobs=jobs,
        )
        yield Reading(kept, scribe, readers, clock, spent)


async def a_call_is_over(kept: Kept, *texts: str | None, turns: int | None = None) -> None:
    kept.records.decided(a_call(), accepted(PLAN))
    for at, text in enumerate(texts):
        kept.records.turn(PLAN, Turn(at, Speaker.CALLER, at=float(at), text=text))
    kept.records.ended(ending(turns=len(texts) if turns is None else turns))
    await kept.writer.flushed()
