"""Calls for tests of the store, and the records that keep them."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Table, select

from sipagent.concurrency import SystemClock
from sipagent.metrics import Metrics
from sipagent.model import (
    Accept,
    AccountName,
    Bill,
    CallId,
    CallOutcome,
    CallPlan,
    Decision,
    HttpRequest,
    IncomingCall,
    Reason,
    Speaker,
    Tokens,
    Tool,
    ToolName,
    ToolStatus,
    ToolUse,
    TraceStep,
    TrunkName,
    Turn,
    Usage,
    UsageKind,
    WebhookId,
)
from sipagent.sessions.ports import Clock
from sipagent.sip import Headers, read_invite
from sipagent.store.announcing import WebhooksOf
from sipagent.store.records import StoreRecords
from sipagent.store.rows import NumberPolicy, PlainNumbers, Row, RowKind, Writing
from sipagent.store.writer import Writer
from sipagent.testing.fakes import a_plan
from tests.store.support import located

DIALED, CALLER = "+17134810111", "+14065550100"
HEADERS = Headers(
    (
        ("from", f'"Ann" <sip:{CALLER}@carrier.example>'),
        ("to", f"<sip:{DIALED}@carrier.example>"),
        ("call-id", "abc@203.0.113.1"),
        ("x-twilio-callsid", "CA0123"),
        ("user-agent", "carrier"),
    )
)


@dataclass
class Kept:
    """Open records, and what a test looks at."""

    records: StoreRecords
    writer: Writer
    metrics: Metrics
    settled: list[CallId]

    async def rows(self, table: Table) -> list[dict[str, Any]]:
        """All rows of a table, in the order of its key."""
        async with self.writer.engine.connect() as connection:
            found = await connection.execute(select(table).order_by(*table.primary_key.columns))
            return [dict(row) for row in found.mappings()]

    def counted(self, metric: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(metric, labels) or 0.0


@asynccontextmanager
async def keeping(
    url: str,
    data_dir: Path,
    *,
    replica: str = "replica-1",
    clock: Clock | None = None,
    migrate: bool = True,
    numbers: NumberPolicy | None = None,
    settled: Callable[[CallId], None] | None = None,
    stirred: Callable[[RowKind, Row], None] = lambda *_: None,
    webhooks: WebhooksOf = lambda _: {},
) -> AsyncIterator[Kept]:
    """Records in the database of this URL, by a process of this data directory."""
    clock, metrics, done = clock or SystemClock(), Metrics(), list[CallId]()
    writer = Writer(
        located(url),
        data_dir,
        metrics,
        clock,
        migrate=migrate,
        settled=settled or done.append,
        stirred=stirred,
    )
    writing = Writing("0.4.0", replica, numbers or PlainNumbers())
    async with writer:
        yield Kept(StoreRecords(writer, writing, clock, webhooks), writer, metrics, done)


def a_call(name: str = "rtc_1") -> IncomingCall:
    return IncomingCall(
        call_id=CallId(name),
        webhook_id=WebhookId(f"wh_{name}"),
        account=AccountName("default"),
        invite=read_invite(HEADERS),
        created_at=1000.0,
        headers=HEADERS,
        trunk=TrunkName("twilio"),
        verified=True,
    )


def accepted(plan: CallPlan) -> Decision:
    trace = (TraceStep("numbers", DIALED, held=True, because="is listed"),)
    return Decision(Accept(plan), trace, dialed=DIALED, dialed_source="to", listed=True)


def planned(name: str = "rtc_1") -> CallPlan:
    return a_plan(call_id=name)


def said(sequence: int, text: str | None = "Hello.") -> Turn:
    return Turn(sequence, Speaker.AGENT, at=float(sequence), text=text)


def billed(source: str, *, audio_out: int = 90, cost: int | None = 1234) -> Usage:
    tokens = Tokens(100, 200, 0, 50, 60, 0, 20, audio_out)
    return Usage(source, UsageKind.RESPONSE, "gpt-realtime-2.1", Bill(tokens), cost, "2026-11")


def a_tool(name: str = "order_status", **changes: Any) -> Tool:
    """A tool that asks an HTTP API."""
    does = HttpRequest("POST", "https://api.example/orders")
    return replace(Tool(ToolName(name), does, "Finds an order.", {"type": "object"}), **changes)


def used(id_: str = "call_1", name: str = "order_status", **changes: Any) -> ToolUse:
    use = ToolUse(
        id=id_,
        name=ToolName(name),
        began=4.0,
        ended=4.4,
        result=ToolStatus.DONE,
        arguments='{"order_no":"7"}',
        output='{"status":"shipped"}',
    )
    return replace(use, **changes)


def ending(name: str = "rtc_1", **changes: Any) -> CallOutcome:
    plan = planned(name)
    outcome = CallOutcome(
        plan.call_id,
        plan.account,
        plan.tenant,
        plan.agent,
        Reason.LINE_CLOSED,
        began_at=1000.0,
        ended_at=1060.0,
        answered_at=1001.0,
        attached_at=1002.0,
        heard_at=1003.0,
        turns=2,
    )
    return replace(outcome, **changes)
