"""The provider's endpoints: call control by REST, and the call's socket."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketState

from sipagent.simulator.answers import cut_off, faulty, refused, until_disconnected
from sipagent.simulator.call import SimulatedCall
from sipagent.simulator.faults import Action, Fault, Faults
from sipagent.simulator.keys import Keys
from sipagent.simulator.reading import Reading
from sipagent.simulator.refusal import CALL_NOT_FOUND, Refusal
from sipagent.simulator.sockets import CONNECTION, CallSocket, text_frame
from sipagent.simulator.switchboard import Peer, Switchboard

_PREFIXES = ("/v1", "/openai/v1")
_ENDPOINTS: tuple[Action, ...] = ("accept", "reject", "refer", "hangup")
_SECOND_SOCKET = Refusal("The call already has a connection.", "already_attached", status=409)
_ERROR_FIRST = {
    "type": "server_error",
    "code": "internal_error",
    "message": "The server had an error while processing your request.",
    "param": None,
    "event_id": None,
}


class Provider:
    """`faults` are those of all calls; a call's own come first."""

    def __init__(self, switchboard: Switchboard, keys: Keys) -> None:
        self._board = switchboard
        self._keys = keys
        self.faults = Faults({})
        self.unknown_calls = 0
        self.reading = Reading(keys)

    def routes(self) -> list[BaseRoute]:
        routes: list[BaseRoute] = []
        for prefix in _PREFIXES:
            path = f"{prefix}/realtime/calls/{{call_id}}"
            for action in _ENDPOINTS:
                endpoint = self._endpoint(action)
                routes.append(Route(f"{path}/{action}", endpoint, methods=["POST"]))
            routes.append(WebSocketRoute(f"{prefix}/realtime", self._attach))
            respond = self.reading.respond
            routes.append(Route(f"{prefix}/responses", respond, methods=["POST"]))
        return routes

    def _endpoint(self, action: Action) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            unknown = self._keys.refusal(request)
            if unknown is not None:
                return refused(unknown)
            raw = await request.body()
            call = self._board.book.find(request.path_params["call_id"])
            if call is None:
                self.unknown_calls += 1
            else:
                call.record(action, raw)
            fault = self._take_fault(call, action)
            response = await self._answer(action, request, raw, call, fault)
            if call is not None:
                call.record_answer(action, response.status_code if response else 0)
                self._board.touch(call)
            return response or await cut_off(request)

        return endpoint

    async def _answer(
        self,
        action: Action,
        request: Request,
        raw: bytes,
        call: SimulatedCall | None,
        fault: Fault | None,
    ) -> Response | None:
        """None where the connection is to be cut instead."""
        if fault is not None:
            await asyncio.sleep(fault.latency)
            if fault.hang:
                await until_disconnected(request.receive)
                return None
            if fault.reset:
                return None
            if fault.status is not None:
                return faulty(fault, fault.status)
        refusal = self._act(action, raw, call)
        if fault is not None and fault.reset_after_effect:
            return None
        return refused(refusal) if refusal is not None else Response()

    def _act(self, action: Action, raw: bytes, call: SimulatedCall | None) -> Refusal | None:
        if call is None:
            return CALL_NOT_FOUND
        now = self._board.now(call)
        call.advance(now)
        match action:
            case "accept":
                return call.accept(raw, now)
            case "reject":
                return call.reject(raw)
            case "refer":
                return call.refer(raw)
            case _:
                return call.hang_up()

    def _take_fault(self, call: SimulatedCall | None, action: Action) -> Fault | None:
        own = call.faults.take(action) if call is not None else None
        return own or self.faults.take(action)

    async def _attach(self, websocket: WebSocket) -> None:
        refusal = self._keys.refusal(websocket)
        call = self._board.book.find(websocket.query_params.get("call_id", ""))
        fault = self._take_fault(call, "attach") if call is not None else None
        socket = _socket(websocket)
        if fault is not None:
            await asyncio.sleep(fault.latency)
            if fault.hang or fault.reset:
                if fault.reset:
                    socket.reset()
                await until_disconnected(websocket.receive)
                return
            if fault.status is not None:
                await websocket.send_denial_response(faulty(fault, fault.status))
                return
        refusal = refusal or self._refuse_attach(call)
        if call is None or refusal is not None:
            await websocket.send_denial_response(refused(refusal or CALL_NOT_FOUND))
            return
        await websocket.accept()
        await self._hold(websocket, socket, call)

    def _refuse_attach(self, call: SimulatedCall | None) -> Refusal | None:
        if call is None or call.ended or call.conversation is None:
            return CALL_NOT_FOUND
        if call.order.second_socket == "refuse" and self._board.peers(call):
            return _SECOND_SOCKET
        return None

    async def _hold(self, websocket: WebSocket, socket: CallSocket, call: SimulatedCall) -> None:
        fault = self._take_fault(call, "socket")
        if fault is not None:
            await asyncio.sleep(fault.latency)
            socket.write_frames(_first_frames(fault))
            if fault.blackhole:
                socket.stop_reading()
        peer = self._board.attach(call, socket, fault)
        if peer is not None:
            await self._listen(websocket, call, peer)

    async def _listen(self, websocket: WebSocket, call: SimulatedCall, peer: Peer) -> None:
        message: Any = await websocket.receive()
        while message["type"] == "websocket.receive":
            raw = message.get("text")
            self._board.receive(call, peer, raw if raw is not None else message["bytes"])
            message = await websocket.receive()
        websocket.application_state = WebSocketState.DISCONNECTED
        self._board.detach(call, peer, message.get("code"))


def _socket(websocket: WebSocket) -> CallSocket:
    socket: CallSocket = websocket.scope["state"][CONNECTION]
    return socket


def _first_frames(fault: Fault) -> list[bytes]:
    frames: list[bytes] = []
    if fault.error_first:
        given = fault.error_first if isinstance(fault.error_first, dict) else {}
        error = {**_ERROR_FIRST, **given}
        event = {"type": "error", "event_id": "event_error_first", "error": error}
        frames.append(text_frame(to_json(event)))
    frames.extend(text_frame(raw.encode()) for raw in fault.malformed or ())
    return frames
