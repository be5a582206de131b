"""What holds for every request and every answer of the API: how large the one may be, and that the
other is kept by nobody on its way."""

from collections.abc import MutableMapping
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sipagent.api.problems import problem

MAX_BODY: Final = 64 * 1024

_MARKS: Final = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))


class Bounded:
    """Refuses bodies of more than 64 KiB: unread where their length is announced."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not _is_of_api(scope):
            await self._app(scope, receive, send)
            return
        if _announced(scope) > MAX_BODY:
            detail = f"A body has at most {MAX_BODY} bytes."
            refused = problem(413, "too-large", detail, headers={"Connection": "close"})
            await refused(scope, receive, send)
            return
        left = MAX_BODY

        async def bounded() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise HTTPException(413, headers={"Connection": "close"})
            return message

        await self._app(scope, bounded, send)


class Unstored:
    """Has no answer kept by anybody on its way, nor taken for what it is not."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not _is_of_api(scope):
            await self._app(scope, receive, send)
            return

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                _mark(message)
            await send(message)

        await self._app(scope, receive, marked)


def _is_of_api(scope: Scope) -> bool:
    return scope["type"] == "http" and str(scope["path"]).startswith("/api/")


def _announced(scope: Scope) -> int:
    """The length that the body is said to have; 0 if nothing is said."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value[:12])
    return 0


def _mark(message: MutableMapping[str, Any]) -> None:
    headers = list(message.get("headers", ()))
    known = {name.lower() for name, _ in headers}
    message["headers"] = [*headers, *(mark for mark in _MARKS if mark[0] not in known)]
