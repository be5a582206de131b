"""Facts as plain data for people and programs: numbers, names and words only where asked for. Pure.

What is shown of a number is masked unless it may be shown whole; a caller's name is left out with
it. A transfer's target, which holds a number, is one too.
"""

from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import Any, Final

from sipagent.sip import mask_number
from sipagent.store.facts import CallRow, StoredMessage, StoredSummary, StoredToolCall, Story
from sipagent.store.why.wording import plain

_FACTS: Final = tuple(each.name for each in fields(CallRow))
_NUMBERS: Final = ("dialed", "caller")
_TIMES: Final = ("created_at", "began_at", "answered_at", "attached_at", "heard_at", "ended_at")


def shown_call(call: CallRow, *, numbers: bool) -> dict[str, Any]:
    """A call's facts. Times are ISO 8601 in UTC, `cost` is in micro-dollars."""
    data = {name: getattr(call, name) for name in _FACTS}  # asdict copies each value, deeply
    for name in _TIMES:
        data[name] = iso(data[name])
    forwarded = (call.forwarded_from or "").split()
    data["forwarded_from"] = [_number(one, numbers) for one in forwarded]
    data["flags"] = (call.flags or "").split()
    for name in _NUMBERS:
        data[name] = _number(data[name], numbers)
    data["seconds"] = None if call.seconds is None else round(call.seconds, 3)
    if not numbers:
        del data["caller_name"]
    return data


def shown_story(story: Story, *, numbers: bool, words: bool) -> dict[str, Any]:
    """Everything of a call; its turns, and the words of its tools and messages, with `words`
    only."""
    data = shown_call(story.call, numbers=numbers)
    data["trace"] = [
        {
            key: plain(value, numbers=numbers) if isinstance(value, str) else value
            for key, value in asdict(step).items()
        }
        for step in story.trace
    ]
    data["happenings"] = [_timed(one) for one in story.steps]
    data["usage"] = [_timed(one) for one in story.usage]
    data["transfers"] = [
        {**_timed(one), "target": one.target if numbers else plain(one.target, numbers=False)}
        for one in story.transfers
    ]
    data["tool_calls"] = [_tool(one, numbers=numbers, words=words) for one in story.tools]
    data["messages"] = [
        shown_message(one, numbers=numbers) if words else {"id": one.id, "at": iso(one.at)}
        for one in story.messages
    ]
    data["carrier_ids"] = [asdict(one) for one in story.aliases]
    if words:
        data["transcript"] = [
            {**_timed(one), "text": one.text and said(one.text, numbers=numbers)}
            for one in story.turns
        ]
        data["made"] = [_made(one, numbers=numbers) for one in story.made]
    return data


def _made(made: StoredSummary, *, numbers: bool) -> dict[str, Any]:
    """What a model has made of the call."""
    texts = (text and said(text, numbers=numbers) for text in (made.summary, made.extracted))
    return dict(zip(("summary", "extracted"), texts, strict=True))


def shown_message(message: StoredMessage, *, numbers: bool) -> dict[str, Any]:
    """A message's id, time and fields."""
    fields = {name: said(text, numbers=numbers) for name, text in message.told.items()}
    return {"id": message.id, "at": iso(message.at), "fields": fields}


def said(text: str, *, numbers: bool) -> str:
    """Words that were spoken; telephone numbers among them are masked unless they may be shown."""
    return text if numbers else plain(text, numbers=False, limit=None)


def iso(at: float | None) -> str | None:
    """Unix seconds as ISO 8601 in UTC, to the millisecond."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def _tool(use: StoredToolCall, *, numbers: bool, words: bool) -> dict[str, Any]:
    data = {**_timed(use), "seconds": round(use.seconds, 3)}
    for name in ("arguments", "output"):
        if not words:
            del data[name]
        elif data[name] is not None:
            data[name] = said(data[name], numbers=numbers)
    return data


def _timed(part: Any) -> Mapping[str, Any]:
    data = asdict(part)
    return {**data, "at": iso(data["at"])}


def _number(text: str | None, numbers: bool) -> str | None:
    return text if text is None or numbers else mask_number(text)
