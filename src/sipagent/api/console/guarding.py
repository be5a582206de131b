"""What every answer of the console says to the browser about itself."""

from dataclasses import dataclass
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Scripts, styles and requests are this origin's own; nothing inline, nothing in a frame."""

HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
NOWHERE: Final = "camera=(), display-capture=(), geolocation=(), payment=(), usb=()"
TALKS: Final = "/console/talk"
"""The one page that may ask for a microphone."""


@dataclass(frozen=True, slots=True)
class Guarded:
    """An ASGI application whose answers say what browsers may do with them, and that nobody keeps
    them, unless they say otherwise."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"]  # whole: a mounted application's has its prefix
        microphone = "self" if path == TALKS or path.startswith(f"{TALKS}/") else ""

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers["Permissions-Policy"] = f"microphone=({microphone}), {NOWHERE}"
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self.app(scope, receive, told)
