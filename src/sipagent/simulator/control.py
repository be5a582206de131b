"""The simulator's own API under `/simulator`, for tests and for `sipagent simulate call`."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from pydantic_core import from_json, to_json
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from sipagent.errors import SimulatorError
from sipagent.simulator.exchange import Exchange
from sipagent.simulator.refusal import JsonObject

Handler = Callable[[Request, Any], Awaitable[Response]]


def control_routes(exchange: Exchange) -> list[BaseRoute]:
    """Every route; errors are `{"error": {"message": ...}}` with 400, 404 or 422."""
    control = _Control(exchange)
    call = "/simulator/calls/{call_id}"
    table: list[tuple[str, str, Handler]] = [
        ("GET", "/healthz", control.health),
        ("GET", "/simulator/calls", control.list_calls),
        ("POST", "/simulator/calls", control.place),
        ("GET", call, control.show),
        ("GET", f"{call}/events", control.stream),
        ("POST", f"{call}/deliver", control.deliver),
        ("POST", f"{call}/hangup", control.hang_up),
        ("POST", f"{call}/say", control.say),
        ("POST", f"{call}/dtmf", control.press),
        ("POST", f"{call}/close", control.close),
        ("POST", "/simulator/webhooks", control.send_webhook),
        ("POST", "/simulator/talks", control.set_talks),
        ("POST", "/simulator/faults", control.set_faults),
        ("DELETE", "/simulator/faults", control.clear_faults),
    ]
    return [
        Route(path, _endpoint(exchange, handler), methods=[method])
        for method, path, handler in table
    ]


def _endpoint(exchange: Exchange, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        raw = await request.body()
        try:
            body = from_json(raw) if raw.strip() else {}
        except ValueError as error:
            return _problem(400, f"the body is not JSON: {error}")
        if not isinstance(body, dict):
            return _problem(422, "the body must be a JSON object")
        call_id = request.path_params.get("call_id")
        if call_id is not None:
            try:
                exchange.call(call_id)
            except SimulatorError as error:
                return _problem(404, str(error))
        try:
            return await handler(request, body)
        except SimulatorError as error:
            return _problem(422, str(error))

    return endpoint


class _Control:
    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    async def health(self, request: Request, body: Any) -> Response:
        return _json({"status": "ok"})

    async def list_calls(self, request: Request, body: Any) -> Response:
        calls = [
            {"call_id": call.call_id, "state": call.state, "ended_by": call.ended_by}
            for call in self._exchange.calls
        ]
        return _json({"calls": calls, "unknown_calls": self._exchange.unknown_calls})

    async def place(self, request: Request, body: Any) -> Response:
        call, delivery = await self._exchange.place(body)
        return _json({"call_id": call.call_id, "delivery": delivery}, 201)

    async def show(self, request: Request, body: Any) -> Response:
        return _json(self._exchange.call(_id(request)).describe())

    async def stream(self, request: Request, body: Any) -> Response:
        happenings = self._exchange.happenings(_id(request))
        return StreamingResponse(_lines(happenings), media_type="application/x-ndjson")

    async def deliver(self, request: Request, body: Any) -> Response:
        return _json({"delivery": await self._exchange.deliver(_id(request), **body)})

    async def hang_up(self, request: Request, body: Any) -> Response:
        self._exchange.hang_up(_id(request), **body)
        return _json({"state": self._exchange.call(_id(request)).state})

    async def say(self, request: Request, body: Any) -> Response:
        self._exchange.say(_id(request), body.get("text"))
        return _json({})

    async def press(self, request: Request, body: Any) -> Response:
        self._exchange.press(_id(request), body.get("digits"))
        return _json({})

    async def close(self, request: Request, body: Any) -> Response:
        return _json({"closed": self._exchange.close_sockets(_id(request), **body)})

    async def send_webhook(self, request: Request, body: Any) -> Response:
        return _json({"delivery": await self._exchange.send_webhook(**body)})

    async def set_talks(self, request: Request, body: Any) -> Response:
        self._exchange.set_talks(**body)
        return _json({})

    async def set_faults(self, request: Request, body: Any) -> Response:
        self._exchange.set_faults(body)
        return _json({})

    async def clear_faults(self, request: Request, body: Any) -> Response:
        self._exchange.clear_faults()
        return Response(status_code=204)


async def _lines(happenings: AsyncIterator[JsonObject]) -> AsyncIterator[bytes]:
    async for happening in happenings:
        yield to_json(happening) + b"\n"


def _id(request: Request) -> str:
    return str(request.path_params["call_id"])


def _json(body: JsonObject, status: int = 200) -> Response:
    return Response(to_json(body), status, media_type="application/json")


def _problem(status: int, message: str) -> Response:
    return _json({"error": {"message": message}}, status)
