"""Rows of stored calls, as a service writes them."""

import json
from typing import Any

from sqlalchemy import Table, insert
from sqlalchemy.ext.asyncio import AsyncEngine

from sipagent.model import Reason
from sipagent.store import tables
from sipagent.store.facts import CallRow

BEGAN = 1_790_085_200.0
DIALED, CALLER = "+17134810111", "+14065550100"
HOSTILE = "\x1b]0;owned\x07\x1b[2J=cmd()\u202e\u200b\x9b31m end"
TRACE = [
    {"source": "to", "considered": DIALED, "held": True, "because": "listed"},
    {"source": "numbers", "considered": DIALED, "held": True, "because": f"covers {DIALED}"},
    {
        "source": f"numbers.{DIALED}",
        "considered": "rule 1",
        "held": False,
        "because": "office is closed",
    },
    {
        "source": f"numbers.{DIALED}",
        "considered": "rule 2",
        "held": True,
        "because": "no condition",
    },
]


def a_call(name: str = "rtc_1", *, at: float = 0.0, **changes: Any) -> dict[str, Any]:
    """A row of a call that was answered and has ended after a minute."""
    began_at = BEGAN + at
    row = {
        "call_id": name,
        "account": "us-1",
        "webhook_id": f"wh_{name}",
        "tenant": "acme",
        "agent": "store",
        "language": "en",
        "trunk": "twilio-us",
        "trunk_proven": True,
        "verdict": "accept",
        "destination": None,
        "dialed": DIALED,
        "dialed_source": "to",
        "listed": True,
        "caller": CALLER,
        "caller_name": None,
        "forwarded_from": None,
        "attestation": "A",
        "media_security": "srtp",
        "flags": None,
        "trace": json.dumps(TRACE),
        "plan": None,
        "session": None,
        "config_hash": "c65a4c01b87f",
        "release": "0.4.0",
        "replica": "replica-1",
        "model": "gpt-realtime-2.1",
        "created_at": began_at - 0.2,
        "began_at": began_at,
        "answered_at": began_at + 1,
        "attached_at": began_at + 2,
        "heard_at": began_at + 3,
        "ended_at": began_at + 60,
        "outcome": "completed.line_closed",
        "at_fault": "nobody",
        "detail": None,
        "sip_code": None,
        "turns": 2,
        "tokens": 470,
        "cost": 21_345,
        "usage_complete": True,
        "price_version": "2026-11",
        "hold": False,
    }
    return row | changes


def rejected(name: str, reason: Reason = Reason.UNKNOWN_NUMBER, **changes: Any) -> dict[str, Any]:
    """A row of a call that was refused."""
    refused: dict[str, Any] = {
        "verdict": "reject",
        "agent": None,
        "model": None,
        "config_hash": None,
        "tenant": "default",
        "listed": False,
        "answered_at": None,
        "attached_at": None,
        "heard_at": None,
        "outcome": f"rejected.{reason}",
        "at_fault": reason.at_fault.value,
        "sip_code": 404,
        "turns": 0,
        "tokens": 0,
        "cost": 0,
    }
    row = a_call(name, **(refused | changes))
    return row | {"ended_at": row["began_at"] + 0.1}


def failed(name: str, reason: Reason = Reason.PROVIDER_ERROR, **changes: Any) -> dict[str, Any]:
    """A row of a call that failed or was lost."""
    how = {"outcome": f"{reason.kind}.{reason}", "at_fault": reason.at_fault.value}
    return a_call(name, **(how | changes))


def a_live(name: str, **changes: Any) -> dict[str, Any]:
    """A row of a call that is held."""
    ends = ("ended_at", "outcome", "at_fault", "turns", "tokens", "cost", "usage_complete")
    return a_call(name, **(dict.fromkeys(ends) | changes))


def a_turn(
    call_id: str = "rtc_1", sequence: int = 0, text: str | None = "Hello.", **changes: Any
) -> dict[str, Any]:
    row = {
        "call_id": call_id,
        "sequence": sequence,
        "tenant": "acme",
        "at": BEGAN + 3 + sequence,
        "speaker": ("agent", "caller")[sequence % 2],
        "text": text,
        "interrupted": False,
    }
    return row | changes


def a_step(call_id: str, sequence: int, what: str, **changes: Any) -> dict[str, Any]:
    row = {
        "call_id": call_id,
        "sequence": sequence,
        "tenant": "acme",
        "at": BEGAN + sequence,
        "what": what,
        "detail": None,
    }
    return row | changes


def a_bill(call_id: str, source_id: str, **changes: Any) -> dict[str, Any]:
    row = {
        "call_id": call_id,
        "source_id": source_id,
        "kind": "response",
        "tenant": "acme",
        "account": "us-1",
        "at": BEGAN + 5,
        "model": "gpt-realtime-2.1",
        "text_in": 100,
        "audio_in": 200,
        "image_in": 0,
        "text_cached": 50,
        "audio_cached": 60,
        "image_cached": 0,
        "text_out": 50,
        "audio_out": 120,
        "seconds": None,
        "cost": 21_345,
        "price_version": "2026-11",
    }
    return row | changes


def a_use(call_id: str, id_: str, status: str = "done", **changes: Any) -> dict[str, Any]:
    row = {
        "call_id": call_id,
        "id": id_,
        "tenant": "acme",
        "at": BEGAN + 6,
        "agent": "store",
        "name": "order_status",
        "status": status,
        "detail": None,
        "began": 6.0,
        "ended": 6.4,
        "arguments": '{"order_no": "7"}',
        "output": f'{{"call back": "{CALLER}"}}',
    }
    return row | changes


def a_message(call_id: str, id_: str, **changes: Any) -> dict[str, Any]:
    row = {
        "call_id": call_id,
        "id": id_,
        "tenant": "acme",
        "at": BEGAN + 9,
        "fields": json.dumps({"name": "Ann", "message": f"Call {CALLER}."}),
    }
    return row | changes


def an_alias(call_id: str, alias: str, header: str = "x-twilio-callsid") -> dict[str, Any]:
    return {"alias": alias, "call_id": call_id, "header": header}


def fact(row: dict[str, Any]) -> CallRow:
    """The call that is read of its row."""
    return CallRow(**{name: row[name] for name in CallRow.__slots__})


async def put(engine: AsyncEngine, *rows: dict[str, Any], table: Table = tables.calls) -> None:
    """The rows stand in their table."""
    async with engine.begin() as connection:
        await connection.execute(insert(table), list(rows))
