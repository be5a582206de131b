"""How the provider's REST API answers, and how its connections go wrong."""

from collections.abc import Awaitable, Callable
from typing import Any

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from sipagent.simulator.faults import Fault, fault_body
from sipagent.simulator.refusal import JsonObject, Refusal
from sipagent.simulator.sockets import CONNECTION, reset


def refused(refusal: Refusal) -> Response:
    return as_json({"error": refusal.body()}, refusal.status)


def faulty(fault: Fault, status: int) -> Response:
    response = as_json(fault_body(fault, status), status)
    if status < 300 and fault.body is None:
        response = Response(status_code=status)
    if fault.retry_after is not None:
        response.headers["retry-after"] = f"{fault.retry_after:g}"
    return response


def as_json(body: JsonObject, status: int = 200) -> Response:
    return Response(to_json(body), status, media_type="application/json")


async def cut_off(request: Request) -> Response:
    """The connection goes without an answer; what is returned reaches nobody."""
    reset(request.scope["state"][CONNECTION])
    await until_disconnected(request.receive)
    return Response()


async def until_disconnected(receive: Callable[[], Awaitable[Any]]) -> None:
    while not (await receive())["type"].endswith(".disconnect"):
        pass
