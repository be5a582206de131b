"""Live events: all calls as they come and go, and one call word by word, as server-sent events.

The console shows the same with `streaming.EventStream` and a `render` of its own.
"""

from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Header, Request, Response
from fastapi import Query as QueryOf
from pydantic import Field

from sipagent.api.v1.base import (
    Behind,
    CallName,
    Name,
    Query,
    Reader,
    Reason,
    TenantWanted,
    found_call,
    missing,
    noted,
    whose,
)
from sipagent.api.v1.errors import Unusable, described
from sipagent.api.v1.ports import Backend, LiveBatches
from sipagent.api.v1.streaming import EventStream, Once, Render, frame
from sipagent.api.v1.streams import not_over, while_good
from sipagent.model import CallId, TenantName
from sipagent.model.access import Deed, Principal
from sipagent.model.ids import is_call_id
from sipagent.model.live import LiveEvent, LiveKind
from sipagent.sip import to_e164
from sipagent.store.database import DATABASE_ERRORS
from sipagent.store.shown import iso

router = APIRouter(prefix="/api/v1", tags=["events"])

LastEvent = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID",
        max_length=400,
        description="The `id` of the last event that was seen: what has happened since comes first."
        " Browsers send it by themselves.",
        examples=["ended@rtc_u1_9c6574da8b8a41a18da9308f4ad974ce"],
    ),
]

_EXAMPLE: Final = (
    "event: answered\n"
    'data: {"id":"answered@rtc_u1_9c6574da","at":"2026-11-29T09:30:00.250+00:00",'
    '"kind":"answered","call_id":"rtc_u1_9c6574da","tenant":"acme","agent":"reception","data":{}}\n'
    "id: answered@rtc_u1_9c6574da\n\n"
)
_STREAM: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "Server-sent events, until the viewer goes or the service closes.",
        "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EXAMPLE}},
    }
}
_OVER: Final[dict[int | str, dict[str, Any]]] = {
    204: {"description": "The call has ended, and its end was seen: nothing follows."}
}


class CallsWatched(Query):
    """Which calls are watched."""

    tenant: TenantWanted = None
    agent: Name | None = Field(default=None, description="Of this agent.", examples=["reception"])
    number: Name | None = Field(
        default=None, description="To this number.", examples=["+442079460018"]
    )


class CallWatched(Query):
    """How a call is watched."""

    reason: Reason = None


def to_json(event: LiveEvent) -> bytes:
    """The event as it is sent: its kind is the name of the server-sent event."""
    told = {**msgspec.structs.asdict(event), "at": iso(event.at)}
    return frame(msgspec.json.encode(told).decode(), event=event.kind, id=event.id)


def without_words(event: LiveEvent) -> LiveEvent | None:
    """The event as it may be told to whoever may not hear what is said; None where nothing is
    left of it."""
    if event.kind is LiveKind.WORDS:
        return None
    if event.kind is LiveKind.TURN:
        return msgspec.structs.replace(event, data={**event.data, "text": None})
    return event


def _unspoken(event: LiveEvent) -> bytes:
    shown = without_words(event)
    return b"" if shown is None else to_json(shown)


_with_words: Final = Once(to_json)
_wordless: Final = Once(_unspoken)


@router.get(
    "/events",
    operation_id="watch_calls",
    response_class=EventStream,
    status_code=200,
    responses={**_STREAM, **described(404)},
)
async def watch_calls(
    request: Request,
    by: Reader,
    behind: Behind,
    wanted: Annotated[CallsWatched, QueryOf()],
    last: LastEvent = None,
) -> Response:
    """Tell of calls as they are decided, answered, attached, heard and ended."""
    tenant = whose(by, wanted.tenant)
    number = None
    if wanted.number is not None and (number := to_e164(wanted.number)) is None:
        raise Unusable("?number", "This is no telephone number; write it as in +442079460018.")
    render: Render = _with_words if wanted.agent is None else _of_agent(wanted.agent)
    return _stream(request, behind, by, behind.watch.lifecycle(tenant, last, number=number), render)


@router.get(
    "/calls/{call}/events",
    operation_id="watch_call",
    response_class=EventStream,
    status_code=200,
    responses={**_STREAM, **_OVER, **described(404)},
)
async def watch_call(
    request: Request,
    call: CallName,
    by: Reader,
    behind: Behind,
    wanted: Annotated[CallWatched, QueryOf()],
    last: LastEvent = None,
) -> Response:
    """Tell of one call as it happens: words, turns, tools, transfers and steps, to its end. An
    operator gets the words only with a reason."""
    call_id, tenant = await watchable(behind, by, call)
    if last == f"{LiveKind.ENDED}@{call_id}":
        return Response(status_code=204)
    if by.is_operator and wanted.reason is None:
        return _stream(request, behind, by, behind.watch.call(call_id, last), _wordless)
    await noted(behind, by, Deed("calls.watch", call_id, tenant, None, wanted.reason))
    return _stream(request, behind, by, behind.watch.call(call_id, last), _with_words)


def _stream(
    request: Request,
    behind: Backend,
    by: Principal,
    opened: AbstractAsyncContextManager[LiveBatches],
    render: Render,
) -> EventStream:
    """The events for as long as the token holds."""
    token = request.headers["authorization"].partition(" ")[2].strip()

    async def good() -> bool:
        try:
            return await behind.keys.principal(token) is not None
        except DATABASE_ERRORS:
            return not_over(by, behind.clock)

    return EventStream(while_good(opened, good, behind.clock), render, by)


async def watchable(behind: Backend, by: Principal, name: str) -> tuple[CallId, TenantName]:
    """The call of this name that they may watch, and whose it is. Raises Problem 404, or 503 where
    that cannot be known."""
    call_id = name
    tenant = await behind.watch.whose(CallId(name)) if is_call_id(name) else None
    if tenant is None or not by.sees(tenant):  # both take the same way, and as long
        call_id = await found_call(behind, by, name)
        tenant = await behind.watch.whose(CallId(call_id))
    if tenant is None or not by.sees(tenant):
        raise missing("call")
    return CallId(call_id), tenant


def _of_agent(agent: str) -> Render:
    def render(event: LiveEvent) -> bytes:
        if event.kind is not LiveKind.GAP and event.agent != agent:
            return b""
        return _with_words(event)

    return render
