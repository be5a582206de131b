"""What can be done with a call that is held: each is noted first, and then asked of whichever
replica holds it."""

import asyncio
from typing import Any, Final, assert_never

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from sipagent.api.problems import Problem
from sipagent.api.v1.base import (
    Behind,
    CallName,
    Controller,
    Model,
    Name,
    Words,
    found_call,
    missing,
    noted,
    once_of,
    records,
)
from sipagent.api.v1.ending import WITHIN, are_away, held_unrecorded, noted_or_owed
from sipagent.api.v1.errors import described
from sipagent.api.v1.idempotency import HEADER, IdempotencyKey
from sipagent.api.v1.ports import Backend
from sipagent.errors import EngineError
from sipagent.model import AgentName, CallId, DestinationName, TenantName
from sipagent.model.access import Deed, Principal
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
)
from sipagent.routing.talks import TALK
from sipagent.store.reading import read_call

router = APIRouter(prefix="/api/v1/calls/{call}", tags=["acting on calls"])

_AGAIN_IN: Final = "2"


class Done(Model):
    """Whoever holds the call does it."""

    status: str = Field(description="Always `done`.", examples=["done"])
    call_id: str = Field(description="The call.", examples=["rtc_u1_9c6574da"])


class HangUpWanted(Model):
    """How a call is ended."""

    goodbye: bool = Field(
        default=False, description="After the agent has said goodbye.", examples=[True]
    )


class TransferWanted(Model):
    """Where a call is sent."""

    destination: Name = Field(
        description="A destination that the call's agent may send callers to.",
        examples=["front_desk"],
    )


class SayWanted(Model):
    """What the agent says."""

    text: Words = Field(
        description="Said to the caller, in these words as far as a model does so.",
        examples=["A colleague will be with you in a minute."],
    )


class MessageWanted(Model):
    """What the model is told."""

    text: Words = Field(
        description="The caller does not hear it, and the model says nothing because of it.",
        examples=["The order has been shipped this morning."],
    )


class TypedWanted(Model):
    """What a caller at a browser says without a microphone."""

    text: Words = Field(
        description="Answered as if it had been spoken.", examples=["Are you open on Sunday?"]
    )


class SwitchWanted(Model):
    """Who goes on with the call."""

    agent: Name = Field(
        description="An agent that the call's agent may hand over to.", examples=["billing"]
    )


Key = IdempotencyKey
_ANSWERS: Final[dict[str, Any]] = {
    "status_code": 202,
    "response_model": Done,
    "responses": described(404, 409, 504),
}


@router.post("/hang-up", operation_id="hang_up_call", **_ANSWERS)
async def hang_up(
    call: CallName,
    by: Controller,
    behind: Behind,
    request: Request,
    wanted: HangUpWanted | None = None,
    key: Key = None,
) -> Response:
    """End the call, at once or after a goodbye."""
    goodbye = wanted is not None and wanted.goodbye
    asked = HangUp(goodbye), {"goodbye": goodbye}
    return await _done(behind, by, request, call, "calls.hang_up", asked)


@router.post("/end", operation_id="end_call", **_ANSWERS)
async def end(
    call: CallName, by: Controller, behind: Behind, request: Request, key: Key = None
) -> Response:
    """End the call politely: the agent says goodbye first."""
    asked = HangUp(goodbye=True), {"goodbye": True}
    return await _done(behind, by, request, call, "calls.hang_up", asked)


@router.post("/transfer", operation_id="transfer_call", **_ANSWERS)
async def transfer(
    call: CallName,
    by: Controller,
    behind: Behind,
    request: Request,
    wanted: TransferWanted,
    key: Key = None,
) -> Response:
    """Send the call to a destination; where nobody takes it, its agent goes on."""
    asked = TransferTo(DestinationName(wanted.destination)), {"destination": wanted.destination}
    return await _done(behind, by, request, call, "calls.transfer", asked)


@router.post("/say", operation_id="say_in_call", **_ANSWERS)
async def say(
    call: CallName,
    by: Controller,
    behind: Behind,
    request: Request,
    wanted: SayWanted,
    key: Key = None,
) -> Response:
    """Have the agent say something to the caller."""
    asked = Say(wanted.text), {"characters": len(wanted.text)}
    return await _done(behind, by, request, call, "calls.say", asked)


@router.post("/message", operation_id="message_to_call", **_ANSWERS)
async def message(
    call: CallName,
    by: Controller,
    behind: Behind,
    request: Request,
    wanted: MessageWanted,
    key: Key = None,
) -> Response:
    """Tell the model something that the caller does not hear."""
    asked = Whisper(wanted.text), {"characters": len(wanted.text)}
    return await _done(behind, by, request, call, "calls.message", asked)


@router.post("/typed", operation_id="type_in_call", **_ANSWERS)
async def typed(
    call: CallName,
    by: Controller,
    behind: Behind,
    request: Request,
    wanted: TypedWanted,
    key: Key = None,
) -> Response:
    """Say something as the caller, in a call of somebody at a browser: by typing."""
    asked = Typed(wanted.text), {"characters": len(wanted.text)}
    return await _done(behind, by, request, call, "calls.typed", asked)


@router.post("/switch-agent", operation_id="switch_agent_of_call", **_ANSWERS)
async def switch_agent(
    call: CallName,
    by: Controller,
    behind: Behind,
    request: Request,
    wanted: SwitchWanted,
    key: Key = None,
) -> Response:
    """Have another agent go on with the call."""
    asked = SwitchAgent(AgentName(wanted.agent)), {"agent": wanted.agent}
    return await _done(behind, by, request, call, "calls.switch_agent", asked)


@router.post("/hold", operation_id="hold_call", **_ANSWERS)
async def hold(
    call: CallName, by: Controller, behind: Behind, request: Request, key: Key = None
) -> Response:
    """Have the agent say nothing until it is resumed; the caller is still heard."""
    return await _done(behind, by, request, call, "calls.hold", (HoldReplies(), {}))


@router.post("/resume", operation_id="resume_call", **_ANSWERS)
async def resume(
    call: CallName, by: Controller, behind: Behind, request: Request, key: Key = None
) -> Response:
    """Have the agent answer again."""
    return await _done(behind, by, request, call, "calls.resume", (ResumeReplies(), {}))


async def _done(
    behind: Backend,
    by: Principal,
    request: Request,
    name: str,
    action: str,
    asked: tuple[CallRequest, dict[str, Any]],
) -> Response:
    """What came of it, once for each key. Raises Problem."""
    wanted, detail = asked
    key, ends = request.headers.get(HEADER), isinstance(wanted, HangUp)

    async def work() -> Response:
        if ends:
            call_id, tenant = await _held_for_ending(behind, by, name)
            await noted_or_owed(behind, by, Deed(action, call_id, tenant, detail or None))
        else:
            call_id, tenant = await _held(behind, by, name, typed=isinstance(wanted, Typed))
            await noted(behind, by, Deed(action, call_id, tenant, detail or None))
        # Without the records nobody knows that a key stands for another action.
        mark = "" if key is None else f"{by.token_id}:{action}:{key}"
        try:
            reply = await behind.desk.ask(call_id, wanted, key=mark)
        except EngineError as error:
            raise _engine_away(happens=not error.unsent) from None
        return _answered(call_id, reply)

    return await once_of(request).answer(request, by, work, harmless=ends)


async def _held_for_ending(
    behind: Backend, by: Principal, name: str
) -> tuple[CallId, TenantName | None]:
    """As `_held`, for what must be possible while the records are away."""
    try:
        async with asyncio.timeout(WITHIN):
            return await _held(behind, by, name)
    except TimeoutError:
        return await held_unrecorded(behind, by, name)
    except Problem as problem:
        if not are_away(problem):
            raise
        return await held_unrecorded(behind, by, name)


async def _held(
    behind: Backend, by: Principal, name: str, *, typed: bool = False
) -> tuple[CallId, TenantName]:
    """The call's id and tenant. Raises Problem: 404, or 409 where it is over, or where somebody
    wants to have `typed` what only its caller can say.

    A call that has just come to another replica is in the records within 250 ms; until then it is
    not there for anybody, because nothing else says whose it is.
    """
    call_id = await found_call(behind, by, name)
    async with records(behind) as connection:
        call = await read_call(connection, by.tenant, call_id)
    if call is None:
        raise missing("call")
    if call.ended_at is not None:
        raise Problem(409, "call-over", "The call is over.")
    if typed and call.dialed_source != TALK:
        raise Problem(409, "no-talk", "Only a caller at a browser can type.")
    return call_id, TenantName(call.tenant)


def _answered(call_id: CallId, reply: Reply) -> Response:
    match reply.answer:
        case Replied.DONE:
            return JSONResponse({"status": "done", "call_id": call_id}, status_code=202)
        case Replied.REFUSED:
            why = reply.why or "It cannot be done with this call now."
            raise Problem(409, "not-possible", why)
        case Replied.UNKNOWN_CALL:
            raise Problem(404, "not-held", "Nobody holds this call.")
        case Replied.NO_ANSWER:
            detail = (
                "Whoever holds the call has not answered in time. It may be done all the same;"
                " under the same Idempotency-Key it is done at most once."
            )
            raise Problem(504, "no-answer", detail)
        case _:
            assert_never(reply.answer)


def _engine_away(*, happens: bool) -> Problem:
    may = "It may be done all the same." if happens else "Nothing has been done."
    detail = f"The engine that replicas share does not answer. {may}"
    return Problem(503, "engine-away", detail, headers={"Retry-After": _AGAIN_IN})
