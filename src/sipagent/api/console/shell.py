"""What every page of the console stands in: who visits, what a page looks like, what a form proves.

A page module has `def router(backend: Backend, shell: Shell) -> APIRouter`. Its paths are those
below `/console` (`/history`), because the console is an application of its own that is mounted
there; in templates and redirects they are written whole (`/console/history`). A page looks so:

    def router(backend: Backend, shell: Shell) -> APIRouter:
        routes = APIRouter()
        visits = Annotated[Visitor, Depends(shell.visitor)]
        posts = Annotated[Posted, Depends(shell.posted(Scope.CONTROL))]

        @routes.get("/history")
        async def history(request: Request, visitor: visits) -> Response:
            return shell.page(request, visitor, "history.html", calls=...)

        @routes.post("/history/hold")
        async def hold(request: Request, posted: posts) -> Response:
            call_id = posted.text("call")
            ...
            return shell.toast(request, "The call is kept.")

`templates/history.html` begins with `{% extends "layout.html" %}` and `{% import "parts.html" as
parts with context %}`, sets `{% block title %}` and `{% block main %}`; `{% block scripts %}` takes
`<script src="{{ asset('talk.js') }}" defer></script>`. Beside what the page gives it, it has
`visitor`, `csrf`, `here` (the path of the navigation's entry), `asset(name)`, `new_key()` and `now`
(unix seconds). Nothing may be inline: no `<style>`, `style=`, `onclick=`, `hx-on` or `js:` values,
all of which the policy forbids.

Forms: `<form method="post" action="..." hx-post="...">` with `{{ parts.csrf() }}` first. htmx 4
swaps answers with 4xx and 5xx too: raise `Refused`, which becomes a toast for htmx, else a page.
"""

import hmac
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from hashlib import sha256
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from sipagent.api.console import session
from sipagent.api.console.refusals import Refused, SignInWanted
from sipagent.api.console.rendering import Rendering
from sipagent.api.problems import Problem
from sipagent.api.server import read_body
from sipagent.api.v1.auth import Doorkeeper, address_of
from sipagent.api.v1.base import found_call, missing, records, whose
from sipagent.api.v1.ports import Backend, LiveBatches
from sipagent.api.v1.streaming import EventStream, Render
from sipagent.api.v1.streams import not_over, while_good
from sipagent.model import TenantName
from sipagent.model.access import Principal, Scope
from sipagent.sessions.ports import Clock
from sipagent.store.facts import CallRow
from sipagent.store.reading import read_call

__all__ = [
    "SIGN_IN",
    "Posted",
    "Refused",
    "Shell",
    "SignInWanted",
    "Visitor",
    "call_named",
    "came_by_https",
    "is_htmx",
    "is_partial",
    "read_form",
    "require_own_origin",
    "see_other",
]

SIGN_IN: Final = "/console/sign-in"

_FORM: Final = "application/x-www-form-urlencoded"
_MOST_FIELDS: Final = 100
_SAME: Final = frozenset({None, "same-origin"})


@dataclass(frozen=True, slots=True)
class Visitor:
    """Whoever is signed in. `csrf` is what their forms must bring back; `key` seals what is given
    to this session only."""

    principal: Principal
    csrf: str = field(repr=False)
    key: bytes = field(default=b"", repr=False)

    def seal(self, *parts: str) -> str:
        """A word that only this session's own pages can know of these parts."""
        text = "\n".join(parts).encode()
        return hmac.new(self.key, b"sealed\n" + text, sha256).hexdigest()

    def sealed(self, seal: str, *parts: str) -> bool:
        return hmac.compare_digest(seal.encode(), self.seal(*parts).encode())


@dataclass(frozen=True, slots=True)
class Posted:
    """A form that came from a page of ours, and who sent it. What was no form has no fields; its
    body is still unread."""

    visitor: Visitor
    fields: Mapping[str, str] = field(default_factory=dict, repr=False)

    def text(self, name: str, *, most: int = 2000) -> str:
        """The field without what surrounds it; empty if it is missing. Raises Refused if it is
        longer than `most`."""
        value = self.fields.get(name, "").strip()
        if len(value) > most:
            raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, f"At most {most} characters, please.")
        return value


@dataclass(frozen=True, slots=True)
class Shell:
    """What page modules are given besides the backend."""

    doorkeeper: Doorkeeper
    clock: Clock
    rendering: Rendering

    async def visitor(self, request: Request) -> Visitor:
        """A dependency: whoever is signed in. Others are sent to the sign-in (303), and htmx is
        told to go there (401 with `HX-Redirect`)."""
        kept = session.read(request.cookies, self.clock.wall())
        if kept is None:
            raise SignInWanted
        try:
            principal = await self.doorkeeper.admit(kept.token, address_of(request))
        except Problem as problem:
            if problem.status == HTTPStatus.UNAUTHORIZED:
                raise SignInWanted from None
            raise Refused(problem.status, problem.detail, headers=problem.headers) from None
        request.state.visitor = visitor = Visitor(principal, kept.csrf, kept.key)
        return visitor

    def visitor_with(self, scope: Scope) -> Callable[[Request], Awaitable[Visitor]]:
        """A dependency: `visitor`, and 403 for whoever may not do as much as this."""

        async def allowed(request: Request) -> Visitor:
            visitor = await self.visitor(request)
            if not visitor.principal.may(scope):
                raise Refused(HTTPStatus.FORBIDDEN, f"Your token has not the scope {scope}.")
            return visitor

        return allowed

    async def checked(self, request: Request) -> Posted:
        """A dependency for what changes anything: a visitor, from a page of ours (`Origin`,
        `Sec-Fetch-Site`), with the session's CSRF token in the form's `csrf` or in `X-CSRF`."""
        visitor = await self.visitor(request)
        require_own_origin(request)
        fields = await read_form(request)
        given = request.headers.get("x-csrf") or fields.pop("csrf", "")
        if not hmac.compare_digest(given.encode(), visitor.csrf.encode()):
            raise Refused(HTTPStatus.FORBIDDEN, "This form is out of date. Please load it again.")
        return Posted(visitor, fields)

    def posted(self, scope: Scope) -> Callable[[Request], Awaitable[Posted]]:
        """A dependency: `checked`, and 403 for whoever may not do as much as this."""

        async def allowed(request: Request) -> Posted:
            posted = await self.checked(request)
            if not posted.visitor.principal.may(scope):
                raise Refused(HTTPStatus.FORBIDDEN, f"Your token has not the scope {scope}.")
            return posted

        return allowed

    @staticmethod
    def tenant(visitor: Visitor, wanted: str) -> TenantName | None:
        """Whose data a page shows: the tenant's own; for the operator those of the one that is
        `wanted`, or all (None). Raises Problem 404."""
        if not wanted.isprintable():
            raise missing("tenant")
        return whose(visitor.principal, wanted or None)

    def stream(
        self,
        request: Request,
        visitor: Visitor,
        opened: AbstractAsyncContextManager[LiveBatches],
        render: Render,
        until: float | None = None,
    ) -> EventStream:
        """Events as they happen, rendered, until this time (unix seconds), and not beyond the
        session: a token that is revoked ends it within twenty seconds."""

        async def good() -> bool:
            if until is not None and self.clock.wall() >= until:
                return False
            try:
                await self.visitor(request)
            except SignInWanted:
                return False
            except Refused:
                return not_over(visitor.principal, self.clock)
            return True

        watched = while_good(opened, good, self.clock)
        return EventStream(watched, render, visitor.principal)

    def page(
        self,
        request: Request,
        visitor: Visitor,
        template: str,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        **values: Any,
    ) -> HTMLResponse:
        """The whole page, or only its main part where htmx swaps that."""
        html = self.rendering.page(
            request, visitor, template, partial=is_partial(request), **values
        )
        return HTMLResponse(html, status, dict(headers or {}))

    def part(
        self, visitor: Visitor, template: str, *, status: int = 200, **values: Any
    ) -> HTMLResponse:
        """A template that is a piece of a page and extends nothing."""
        return HTMLResponse(self.rendering.part(template, visitor=visitor, **values), status)

    def part_text(self, visitor: Visitor, template: str, **values: Any) -> str:
        """The same as text, for events."""
        return self.rendering.part(template, visitor=visitor, **values)

    def banner(self, visitor: Visitor) -> str:
        """What is wrong with this replica, as a piece beside what htmx swaps."""
        return self.rendering.banner(visitor)

    def toast(
        self, request: Request, words: str, *, back: str = "/console/live", also: str = ""
    ) -> Response:
        """It has been done, say these words: a toast for htmx, with HTML that is swapped `also`
        (`hx-swap-oob`); whoever has no script goes `back`."""
        if not is_htmx(request):
            return see_other(back)
        return self._told(words, 200, "done", also)

    def failure(self, request: Request, status: int, words: str, *, also: str = "") -> HTMLResponse:
        """The problem in words: a toast for htmx, with what is swapped `also`; else a page."""
        if is_htmx(request):
            return self._told(words, status, "wrong", also)
        visitor = getattr(request.state, "visitor", None)
        html = self.rendering.page(
            request, visitor, "problem.html", title=HTTPStatus(status).phrase, words=words
        )
        return HTMLResponse(html, status)

    def _told(self, words: str, status: int, look: str, also: str = "") -> HTMLResponse:
        html = self.rendering.part("toast.html", words=words, look=look) + also
        to_toasts = {"HX-Retarget": "#toasts", "HX-Reswap": "beforeend"}
        return HTMLResponse(html, status, to_toasts)


async def call_named(backend: Backend, visitor: Visitor, name: str) -> CallRow:
    """A call that the visitor may see, by any of its names. Raises Problem 404."""
    if not name.isprintable():
        raise missing("call")
    call_id = await found_call(backend, visitor.principal, name)
    async with records(backend) as connection:
        call = await read_call(connection, visitor.principal.tenant, call_id)
    if call is None:
        raise missing("call")
    return call


def is_htmx(request: Request) -> bool:
    return request.headers.get("hx-request") == "true"


def is_partial(request: Request) -> bool:
    """htmx swaps a part of the page; what it wants for its history is whole."""
    headers = request.headers
    return (
        is_htmx(request)
        and headers.get("hx-request-type") != "full"
        and "hx-history-restore-request" not in headers
    )


def see_other(path: str) -> RedirectResponse:
    return RedirectResponse(path, HTTPStatus.SEE_OTHER)


def came_by_https(request: Request) -> bool:
    """Whether the browser speaks https, also to a proxy that does not say so: it does then."""
    origin = request.headers.get("origin", "")
    return request.url.scheme == "https" or origin.startswith("https://")


def require_own_origin(request: Request) -> None:
    """Raises Refused unless the browser says that a page of ours asks, or cannot say.

    Without https browsers send no `Sec-Fetch-Site`; under our referrer policy the origin of a form
    is `null`. What remains then is the cookie, which no other site can have sent, and the token.
    """
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin", "null").lower()
    host = request.headers.get("host", "").lower()
    if site not in _SAME or origin not in ("null", f"http://{host}", f"https://{host}"):
        raise Refused(HTTPStatus.FORBIDDEN, "This form came from another site.")


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form, the last of each name; empty for what is none. Raises Refused."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        return {}
    body = await read_body(request)
    if body is None:
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The form is too large.")
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:  # includes what is no UTF-8
        raise Refused(HTTPStatus.BAD_REQUEST, "The form cannot be read.") from None
    return dict(pairs)
