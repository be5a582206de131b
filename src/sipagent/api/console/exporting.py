"""A list of calls as a file, page by page, so that a long one holds up nobody."""

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import fields
from typing import Any, Final

from sipagent.api.console import asking
from sipagent.api.v1.ports import Backend
from sipagent.model import TenantName
from sipagent.store.cells import csv_line
from sipagent.store.facts import CallRow
from sipagent.store.reading import CallFilter, list_calls
from sipagent.store.shown import shown_call

MOST_EXPORTED: Final = 50_000
PAGE: Final = 500
TYPES: Final[Mapping[str, str]] = {
    "csv": "text/csv; charset=utf-8",
    "ndjson": "application/x-ndjson",
}


async def exported(
    backend: Backend, tenant: TenantName | None, wanted: CallFilter, form: str, *, numbers: bool
) -> AsyncIterator[str]:
    """The calls as text, the newest first, at most 50,000. Each page is read within a deadline of
    its own; where that passes the file breaks off, as an answer does whose end never came."""
    names = columns(numbers=numbers)
    if form == "csv":
        yield csv_line(names)
    after, left = None, MOST_EXPORTED
    while left > 0:
        async with asking.records(backend) as connection:
            page = await list_calls(connection, tenant, wanted, limit=min(PAGE, left), after=after)
        shown = [shown_call(call, numbers=numbers) for call in page.calls]
        yield "".join(_line(call, names, form) for call in shown)
        left -= len(page.calls)
        if page.next is None:
            return
        after = page.next


def columns(*, numbers: bool) -> tuple[str, ...]:
    """What is told of a call, in its order."""
    hidden = set() if numbers else {"caller_name"}
    return (*(one.name for one in fields(CallRow) if one.name not in hidden), "seconds")


def _line(call: Mapping[str, Any], names: tuple[str, ...], form: str) -> str:
    if form == "csv":
        return csv_line([call[name] for name in names])
    return json.dumps({name: call[name] for name in names}) + "\n"
