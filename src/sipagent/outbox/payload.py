"""What an event tells: `{type, timestamp, data}` (Standard Webhooks). Pure.

Facts of a call are told as its records have them: telephone numbers in the form in which the
tenant's privacy has them stored, times as ISO 8601 in UTC, money in micro-dollars. What was said is
told only by a message, and by the end of a call where the webhook includes the transcript.
"""

import json
from typing import Any, Final

from sipagent.model import EventType
from sipagent.store.facts import CallRow, StoredTurn
from sipagent.store.outbox import Material
from sipagent.store.shown import iso, shown_call
from sipagent.store.summaries import Made

LARGEST_TRANSCRIPT: Final = 512 * 1024
"""Bytes of a transcript that is told; of a longer one the beginning."""

_ABOUT: Final = ("call_id", "tenant", "agent", "language", "caller", "dialed", "trunk", "began_at")
_OF_ENDED: Final = (
    *("answered_at", "ended_at", "seconds", "outcome", "at_fault", "detail", "turns"),
    *("tokens", "cost", "usage_complete"),
)


def payload(material: Material) -> str | None:
    """The body of the event's request, None where nothing is left of what it tells."""
    event = material.event
    data = _data(material)
    if data is None:
        return None
    told = {"type": event.type, "timestamp": iso(event.at), "data": data}
    return _json(told)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _data(material: Material) -> dict[str, Any] | None:
    event, call = material.event, material.call
    own: dict[str, Any] = json.loads(event.data)
    if event.call_id is None:
        return {"tenant": event.tenant, **own}
    if call is None:
        return None
    found = _own(material, call, own)
    return None if found is None else {**_facts(call, _ABOUT), **found}


def _own(material: Material, call: CallRow, own: dict[str, Any]) -> dict[str, Any] | None:
    """What the event tells beside which call it is about."""
    at = {"at": iso(material.event.at)}
    match material.event.type:
        case EventType.CALL_STARTED:
            return {"answered_at": at["at"]}
        case EventType.CALL_ENDED if call.outcome is None:
            return None  # the end is not stored yet: it is told when it is
        case EventType.CALL_ENDED:
            return {**_facts(call, _OF_ENDED), **_said(material.turns, call.turns or 0)}
        case EventType.CALL_TRANSFERRED:
            return {"ended_at": at["at"], "destination": material.destination}
        case EventType.CALL_SUMMARISED:
            return _made(material.made)
        case EventType.MESSAGE_TAKEN:
            return _message(material, at)
        case EventType.TOOL_CALLED:
            return {"tool": {**at, **own}}
        case _:
            return {"transfer": {**at, **own}}


def _made(made: Made | None) -> dict[str, Any] | None:
    return None if made is None else {"summary": made.summary, "extracted": made.extracted}


def _message(material: Material, at: dict[str, Any]) -> dict[str, Any] | None:
    fields = material.fields
    if fields is None:
        return None
    return {"message": {"id": material.event.subject, **at, "fields": dict(fields)}}


def _facts(call: CallRow, names: tuple[str, ...]) -> dict[str, Any]:
    shown = shown_call(call, numbers=True)
    return {name: shown[name] for name in names}


def _said(turns: tuple[StoredTurn, ...], spoken: int) -> dict[str, Any]:
    """What was said; of the turns that were spoken some may not be stored, or not any more."""
    if not turns:
        return {}
    said, room = [], LARGEST_TRANSCRIPT
    for turn in turns:
        one = {"speaker": turn.speaker, "at": iso(turn.at), "text": turn.text}
        room -= len(_json(one).encode())
        if room < 0:
            break
        said.append(one)
    return {"transcript": said, "transcript_complete": len(said) >= max(spoken, len(turns))}
