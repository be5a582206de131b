"""The provider's endpoints for browsers: calls by WebRTC, and the secrets that begin them.

A call is answered from the beginning, by an answer that a browser takes; audio never flows. Its
caller follows a script like one of a telephone, but says nothing where no microphone is offered.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final, Literal

from pydantic import Field, TypeAdapter
from pydantic_core import from_json, to_json
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from sipagent.simulator import sdp
from sipagent.simulator.answers import as_json, cut_off, faulty, refused, until_disconnected
from sipagent.simulator.call import CallOrder, SimulatedCall
from sipagent.simulator.faults import Action, Fault, Faults
from sipagent.simulator.keys import Keys
from sipagent.simulator.orders import PlaceOrder, read_order
from sipagent.simulator.refusal import WRONG_KEY, JsonObject, Refusal, check
from sipagent.simulator.script import Answer, Pause
from sipagent.simulator.session import begin_session
from sipagent.simulator.session_schema import Session, Wire
from sipagent.simulator.switchboard import Switchboard

BROWSER: Final = "browser"
_AZURE: Final = "/openai/v1"
_PREFIXES: Final = ("/v1", _AZURE)
_SILENCE: Final = Pause(24 * 3600.0)
_DEFAULT: Final[JsonObject] = {"type": "realtime", "model": "gpt-realtime-2.1"}
_NO_SESSION: Final = Refusal(
    "Missing required parameter: 'session'.", "missing_required_parameter", "session"
)
_NO_FORM: Final = Refusal("The request body is no form with an SDP offer in it.", "invalid_request")
_NOT_JSON: Final = Refusal("We could not parse the JSON body of your request.", None)
_NO_KEYS: Final = Refusal("A client secret is needed here.", "invalid_api_key", status=401)

Handler = Callable[[Request, bytes], Awaitable[Response]]


class ExpiresAfter(Wire):
    anchor: Literal["created_at"] = "created_at"
    seconds: Annotated[int, Field(ge=10, le=7200)] = 600


class ClientSecret(Wire):
    """The body of `POST /v1/realtime/client_secrets`, for realtime sessions."""

    expires_after: ExpiresAfter = ExpiresAfter()
    session: Session = Session(type="realtime")


_CLIENT_SECRET: Final[TypeAdapter[ClientSecret]] = TypeAdapter(ClientSecret)


@dataclass(frozen=True, slots=True)
class _Issued:
    session: JsonObject
    until: float


class Talks:
    """`manner` is how calls by WebRTC go: what a placed call takes, but for its numbers and its
    headers. Callers of such calls stay on the line unless it says otherwise. `faults` gives what
    goes wrong with the next request of a kind."""

    def __init__(self, board: Switchboard, keys: Keys, faults: Callable[[], Faults]) -> None:
        self.manner: Mapping[str, Any] = {}
        self._board = board
        self._keys = keys
        self._faults = faults
        self._secrets: dict[str, _Issued] = {}

    def routes(self) -> list[BaseRoute]:
        kinds: tuple[tuple[str, Action, Handler], ...] = (
            ("calls", "create", self._create),
            ("client_secrets", "client_secret", self._issue),
        )
        return [
            Route(f"{prefix}/realtime/{name}", self._endpoint(action, act), methods=["POST"])
            for prefix in _PREFIXES
            for name, action, act in kinds
        ]

    def _endpoint(self, action: Action, act: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            raw = await request.body()
            fault = self._faults().take(action)
            if fault is not None:
                await asyncio.sleep(fault.latency)
                if fault.hang:
                    await until_disconnected(request.receive)
                    return Response()
                if fault.reset:
                    return await cut_off(request)
                if fault.status is not None:
                    return faulty(fault, fault.status)
            response = await act(request, raw)
            return await cut_off(request) if _lost(fault) else response

        return endpoint

    async def _create(self, request: Request, raw: bytes) -> Response:
        issued = self._issued(request)
        if issued is None and (unknown := self._keys.refusal(request)) is not None:
            return refused(unknown)
        if issued is not None and time.time() >= issued.until:
            return refused(WRONG_KEY)
        if issued is None and request.url.path.startswith(_AZURE):
            return refused(_NO_KEYS)
        asked = _asked(request.headers.get("content-type", ""), raw)
        if isinstance(asked, Refusal):
            return refused(asked)
        offer, session = asked
        if session is None:
            if issued is None:
                return refused(_NO_SESSION)
            session = to_json(issued.session)
        return self._begin(offer, session)

    def _begin(self, offer: str, session: bytes) -> Response:
        order = self._order()
        try:
            answer = sdp.answer(offer, order.seed)
            if not sdp.speaks(offer):
                spoken = (step for step in order.script if isinstance(step, Answer))
                order = replace(order, script=(_SILENCE, *spoken))
        except sdp.SdpError as error:
            return refused(Refusal(f"Invalid SDP offer: {error}.", "invalid_offer", "sdp"))
        call = SimulatedCall(order)
        if (refusal := call.create(session)) is not None:
            return refused(refusal)
        self._board.place(order, call)
        location = f"/v1/realtime/calls/{call.call_id}"
        return Response(answer, 201, media_type="application/sdp", headers={"location": location})

    def _order(self) -> CallOrder:
        options = {"to": BROWSER, "from": BROWSER, "stay": True, "deliver": False, **self.manner}
        order = read_order(PlaceOrder, options).order(time.time(), 409)
        return replace(order, headers=(), browser=True)

    async def _issue(self, request: Request, raw: bytes) -> Response:
        if (unknown := self._keys.refusal(request)) is not None:
            return refused(unknown)
        try:
            body = from_json(raw) if raw.strip() else {}
        except ValueError:
            return refused(_NOT_JSON)
        if not isinstance(body, dict):
            return refused(_NOT_JSON)
        if (refusal := check(_CLIENT_SECRET, body, "")) is not None:
            return refused(refusal)
        session = {**_DEFAULT, **body.get("session", {})}
        lasts = body.get("expires_after", {}).get("seconds", ExpiresAfter().seconds)
        until = int(time.time()) + lasts
        value = f"ek_{secrets.token_hex(16)}"
        self._secrets[value] = _Issued(session, until)
        effective = begin_session(session, f"rtc_{secrets.token_hex(8)}", 0, browser=True)
        return as_json({"value": value, "expires_at": until, "session": effective})

    def _issued(self, request: Request) -> _Issued | None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        return self._secrets.get(given.strip()) if scheme.lower() == "bearer" else None


def _lost(fault: Fault | None) -> bool:
    return fault is not None and fault.reset_after_effect


def _asked(kind: str, raw: bytes) -> tuple[str, bytes | None] | Refusal:
    """The offer, and the session if there is one."""
    media, _, more = kind.partition(";")
    if media.strip().lower() == "application/sdp":
        return raw.decode("utf-8", "replace"), None
    name, _, boundary = more.strip().partition("=")
    if media.strip().lower() != "multipart/form-data" or name.lower() != "boundary":
        return _NO_FORM
    parts = _parts(raw, boundary.strip('"').encode())
    if "sdp" not in parts:
        return _NO_FORM
    return parts["sdp"].decode("utf-8", "replace"), parts.get("session")


def _parts(raw: bytes, boundary: bytes) -> dict[str, bytes]:
    """What a form holds, by its names (RFC 7578)."""
    found = {}
    for piece in raw.split(b"--" + boundary)[1:]:
        head, _, content = piece.partition(b"\r\n\r\n")
        for line in head.decode("latin-1").split("\r\n"):
            field, _, value = line.partition(":")
            if field.lower() == "content-disposition" and 'name="' in value:
                found[value.partition('name="')[2].partition('"')[0]] = content.removesuffix(
                    b"\r\n"
                )
    return found
