"""What agents do as rows of the tables. Pure.

Arguments, outputs and messages are words: what the tenant wants left out of words is left out of
them. Arguments and outputs are kept for whoever looks why a tool failed, so that much is cut off
and numbers stand as the tenant's numbers are stored. A message is kept as it was given.
"""

import json
import re
from collections.abc import Callable
from typing import Final

from sipagent.model import CallPlan, Message, ToolUse
from sipagent.store.planned import tool_names
from sipagent.store.rows import Row, Writing, clean, clipped
from sipagent.store.sparing import in_each, spared

MOST_SAID: Final = 4000
"""Characters that are kept of a tool call's arguments, and of its output."""

MOST_OF_FIELD: Final = 8000
"""Characters that are kept of one field of a message."""

MOST_FIELDS: Final = 32
UNKNOWN_TOOL: Final = "unknown"
"""In place of a name that none of the agents' tools has: it is the model's own word."""

CUT: Final = "\N{HORIZONTAL ELLIPSIS}"
"""Ends a text of which there was more."""

_STRADDLING: Final = 512
"""More characters than a number has, however it is written: beyond a cut it may be half of one."""

_ESCAPED: Final = re.compile(r"\\u00([0-7][0-9a-fA-F])")

Hiding = Callable[[str], str]


def tool_row(plan: CallPlan, use: ToolUse, at: float, writing: Writing) -> Row:
    """The tool call; it began at `at`, unix seconds."""

    def hidden(text: str) -> str:
        return writing.within(plan.tenant, spared(text, plan.redact))

    return (
        plan.call_id,
        clipped(use.id, 128),
        plan.tenant,
        at,
        plan.agent if use.agent is None else use.agent,
        clipped(use.name, 128) if use.name in tool_names(plan) else UNKNOWN_TOOL,
        use.result.value,
        None if use.detail is None else clipped(use.detail, 200),
        use.began,
        use.ended,
        None if use.arguments is None else said(use.arguments, hidden),
        None if use.output is None else said(use.output, hidden),
    )


def message_row(plan: CallPlan, message: Message, at: float) -> Row:
    """The message; it was taken at `at`, unix seconds."""
    fields = {
        _cut(clean(name), 64): _field(text, plan)
        for name, text in list(message.fields.items())[:MOST_FIELDS]
    }
    said = json.dumps(fields, ensure_ascii=False)
    return plan.call_id, clipped(message.id, 128), plan.tenant, at, said


def _field(text: str, plan: CallPlan) -> str:
    if len(text) <= MOST_OF_FIELD:
        return _cut(clean(spared(text, plan.redact)), MOST_OF_FIELD)
    begun = spared(text[: MOST_OF_FIELD + _STRADDLING], plan.redact)[:-_STRADDLING]
    return _cut(clean(begun), MOST_OF_FIELD, more=True)


def said(text: str, hidden: Hiding) -> str:
    """As much of the text, JSON or plain, as is kept."""
    if len(text) > MOST_SAID + _STRADDLING:
        return _cut(_begun(text[: MOST_SAID + _STRADDLING], hidden), MOST_SAID, more=True)
    try:
        value = in_each(json.loads(text), hidden)
    except (ValueError, RecursionError):
        return _cut(clean(hidden(text)), MOST_SAID)
    return _cut(clean(json.dumps(value, ensure_ascii=False)), MOST_SAID)


def _begun(text: str, hidden: Hiding) -> str:
    """The beginning of a long text, up to where half a number may stand. What JSON escapes for no
    reason is read first."""
    plain = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)
    return clean(hidden(plain))[:-_STRADDLING]


def _cut(text: str, most: int, *, more: bool = False) -> str:
    """The text, or its beginning and a mark that there was more."""
    if len(text) <= most and not more:
        return text
    return text[: most - 1] + CUT
