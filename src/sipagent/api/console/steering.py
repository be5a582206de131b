"""What somebody on duty does with a call: it is noted, then asked of whichever replica holds it."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus
from typing import Annotated, Any, Final, assert_never
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request, Response

from sipagent.api.console.rendering import new_key
from sipagent.api.console.shell import Posted, Refused, Shell, Visitor, call_named
from sipagent.api.problems import Problem
from sipagent.api.v1.base import noted
from sipagent.api.v1.ending import WITHIN, are_away, held_unrecorded, noted_or_owed
from sipagent.api.v1.ports import Backend, Deed
from sipagent.errors import EngineError
from sipagent.model import AgentName, CallId, DestinationName, TenantName
from sipagent.model.access import Principal, Scope
from sipagent.model.request import (
    CallRequest,
    HangUp,
    HoldReplies,
    Replied,
    Reply,
    ResumeReplies,
    Say,
    SwitchAgent,
    TransferTo,
    Typed,
    Whisper,
    request_to_json,
)
from sipagent.routing.talks import TALK


@dataclass(frozen=True, slots=True)
class Act:
    """Something that can be done with a call: what is asked, what the audit notes of it besides,
    and what the visitor is told when it is done."""

    request: CallRequest
    detail: Mapping[str, Any]
    done: str


def _text(posted: Posted) -> str:
    text = posted.text("text")
    if not text or "\x00" in text:
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "Please write some words.")
    return text


def _name(posted: Posted, field: str) -> str:
    name = posted.text(field, most=256)
    if not name or not name.isprintable():
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, f"Please choose: {field}.")
    return name


def _hang_up(posted: Posted) -> Act:
    goodbye = posted.text("goodbye") == "yes"
    done = "The agent says goodbye." if goodbye else "The call is being ended."
    return Act(HangUp(goodbye), {"goodbye": goodbye}, done)


def _transfer(posted: Posted) -> Act:
    name = _name(posted, "destination")
    request = TransferTo(DestinationName(name))
    return Act(request, {"destination": name}, f"The call is being sent to {name}.")


def _say(posted: Posted) -> Act:
    text = _text(posted)
    return Act(Say(text), {"characters": len(text)}, "The agent says it.")


def _whisper(posted: Posted) -> Act:
    text = _text(posted)
    return Act(Whisper(text), {"characters": len(text)}, "The model knows it.")


def _typed(posted: Posted) -> Act:
    text = _text(posted)
    return Act(Typed(text), {"characters": len(text)}, "Sent.")


def _switch(posted: Posted) -> Act:
    name = _name(posted, "agent")
    return Act(SwitchAgent(AgentName(name)), {"agent": name}, f"{name} goes on with the call.")


def _hold(_: Posted) -> Act:
    return Act(HoldReplies(), {}, "The agent says nothing until you let it answer again.")


def _resume(_: Posted) -> Act:
    return Act(ResumeReplies(), {}, "The agent answers again.")


ACTS: Final[Mapping[str, tuple[str, Callable[[Posted], Act]]]] = {
    "hang-up": ("calls.hang_up", _hang_up),
    "transfer": ("calls.transfer", _transfer),
    "say": ("calls.say", _say),
    "message": ("calls.message", _whisper),
    "typed": ("calls.typed", _typed),
    "switch-agent": ("calls.switch_agent", _switch),
    "hold": ("calls.hold", _hold),
    "resume": ("calls.resume", _resume),
}
"""By the last part of the path: how the audit names it, and how a form asks for it."""


def router(backend: Backend, shell: Shell) -> APIRouter:
    routes = APIRouter()
    posts = Annotated[Posted, Depends(shell.posted(Scope.CONTROL))]

    @routes.post("/calls/{name}/do/{what}")
    async def act(request: Request, posted: posts, name: str, what: str) -> Response:
        if what not in ACTS:
            raise Refused(HTTPStatus.NOT_FOUND, "There is no such button.")
        action, asked = ACTS[what]
        wanted = asked(posted)
        by = posted.visitor.principal
        call_id = await _noted(backend, posted.visitor, name, action, wanted)
        key = posted.text("key", most=64)
        reply = await _ask(backend, by, call_id, wanted.request, key)
        status, words = told(reply, wanted)
        # Without an answer the next attempt is the same request: it may have been done.
        again = status != HTTPStatus.GATEWAY_TIMEOUT
        part = shell.part_text(posted.visitor, "call_key.html", what=what, key=new_key())
        fresh = part if again else ""
        if status != HTTPStatus.OK:
            return shell.failure(request, status, words, also=fresh)
        back = f"/console/calls/{quote(call_id)}"
        return shell.toast(request, words, back=back, also=fresh)

    return routes


async def _noted(backend: Backend, visitor: Visitor, name: str, action: str, act: Act) -> CallId:
    """The call with which this is to be done, once that is noted. A call can be ended while the
    records are away: it is noted afterwards. Raises Problem and Refused."""
    by, detail = visitor.principal, act.detail or None
    if isinstance(act.request, HangUp):
        call_id, tenant = await _held_for_ending(backend, visitor, name)
        await noted_or_owed(backend, by, Deed(action, call_id, tenant, detail))
    else:
        typed = isinstance(act.request, Typed)
        call_id, tenant = await _held(backend, visitor, name, typed=typed)
        await noted(backend, by, Deed(action, call_id, tenant, detail))
    return call_id


async def _held_for_ending(
    backend: Backend, visitor: Visitor, name: str
) -> tuple[CallId, TenantName | None]:
    try:
        async with asyncio.timeout(WITHIN):
            return await _held(backend, visitor, name, typed=False)
    except TimeoutError:
        return await held_unrecorded(backend, visitor.principal, name)
    except Problem as problem:
        if not are_away(problem):
            raise
        return await held_unrecorded(backend, visitor.principal, name)


async def _held(
    backend: Backend, visitor: Visitor, name: str, *, typed: bool
) -> tuple[CallId, TenantName]:
    """The call and its tenant. Raises Problem 404, or Refused where it is over, or where its caller
    has a telephone and what they say cannot be `typed`."""
    call = await call_named(backend, visitor, name)
    if call.ended_at is not None:
        raise Refused(HTTPStatus.CONFLICT, "The call is over.")
    if typed and call.dialed_source != TALK:
        raise Refused(HTTPStatus.CONFLICT, "Only a caller at a browser can type.")
    return CallId(call.call_id), TenantName(call.tenant)


async def _ask(
    backend: Backend, by: Principal, call_id: CallId, request: CallRequest, key: str
) -> Reply:
    """The answer. The same form with the same words is one request, however often it is sent."""
    words = sha256(request_to_json(request).encode()).hexdigest()[:16]
    mark = f"{by.token_id}:console:{key}:{words}" if key else ""
    try:
        return await backend.desk.ask(call_id, request, key=mark)
    except EngineError as error:
        may = "Nothing has been done." if error.unsent else "It may be done all the same."
        words = f"The engine that replicas share does not answer. {may}"
        raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, words) from None


def told(reply: Reply, act: Act) -> tuple[HTTPStatus, str]:
    """What the visitor is told."""
    match reply.answer:
        case Replied.DONE:
            return HTTPStatus.OK, act.done
        case Replied.REFUSED:
            return HTTPStatus.CONFLICT, reply.why or "It cannot be done with this call now."
        case Replied.UNKNOWN_CALL:
            return HTTPStatus.NOT_FOUND, "Nobody holds this call."
        case Replied.NO_ANSWER:
            words = "Whoever holds the call has not answered. It may be done all the same."
            return HTTPStatus.GATEWAY_TIMEOUT, words
        case _:
            assert_never(reply.answer)
