"""The console as an application of its own below `/console`: its pages, errors and headers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import urlencode

import structlog
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from sipagent.api.console import (
    call,
    config,
    history,
    live,
    numbers,
    session,
    signin,
    steering,
    talk,
    usage,
)
from sipagent.api.console.assets import Assets
from sipagent.api.console.guarding import Guarded
from sipagent.api.console.refusals import Refused, SignInWanted
from sipagent.api.console.rendering import rendering
from sipagent.api.console.shell import SIGN_IN, Shell, is_htmx, see_other
from sipagent.api.health import Reasons
from sipagent.api.problems import Problem
from sipagent.api.silent import SILENT
from sipagent.api.v1.auth import Doorkeeper
from sipagent.api.v1.ports import Backend
from sipagent.api.v1.streaming import Seats
from sipagent.errors import EngineError, StoreError
from sipagent.store.database import DATABASE_ERRORS

log = structlog.get_logger(__name__)

Page = Callable[[Backend, Shell], APIRouter]

PAGES: Final[Sequence[Page]] = (
    live.router,
    call.router,
    steering.router,
    history.router,
    numbers.router,
    usage.router,
    config.router,
    talk.router,
)
"""Further page modules stand here."""

_AWAY: Final = "What is kept of calls does not answer. Calls go on; try again in a moment."
_ELSEWHERE: Final = frozenset({"cross-site", "same-site"})


@dataclass(frozen=True, slots=True)
class Sight:
    """What the console shows of the process that serves it."""

    unready: Reasons = tuple
    degraded: Reasons = tuple


def install(
    app: FastAPI,
    backend: Backend,
    doorkeeper: Doorkeeper,
    sight: Sight | None = None,
    pages: Sequence[Page] = PAGES,
) -> None:
    """Have `/console` of this application answered by the console."""

    async def home() -> Response:
        return see_other("/console/live")

    inner = console_pages(backend, doorkeeper, sight or Sight(), pages)
    app.state.seats = inner.state.seats = getattr(app.state, "seats", None) or Seats()
    app.add_api_route("/console", home, methods=["GET"], include_in_schema=False)
    app.mount("/console", Guarded(inner))


def console(
    backend: Backend, doorkeeper: Doorkeeper, sight: Sight, pages: Sequence[Page] = PAGES
) -> ASGIApp:
    """All pages, with the same headers on each answer."""
    return Guarded(console_pages(backend, doorkeeper, sight, pages))


def console_pages(
    backend: Backend, doorkeeper: Doorkeeper, sight: Sight, pages: Sequence[Page] = PAGES
) -> FastAPI:
    """The same without the headers."""
    assets = Assets()
    shell = Shell(
        doorkeeper,
        backend.clock,
        rendering(assets, backend.clock, sight.unready, sight.degraded),
    )
    app = FastAPI(
        title="sipagent's console",
        telemetry=SILENT,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    app.include_router(assets.router())
    app.include_router(signin.router(shell))
    for page in pages:
        app.include_router(page(backend, shell))

    async def home() -> Response:
        return see_other("/console/live")

    app.add_api_route("/", home, methods=["GET"])
    _answer_errors(app, shell)
    return app


def _answer_errors(app: FastAPI, shell: Shell) -> None:
    """Have every error answered as a page, or as a toast."""

    async def nobody(request: Request, _: Exception) -> Response:
        return _to_sign_in(shell, request)

    async def wrong(request: Request, error: Exception) -> Response:
        refused = refused_as(error)
        answer = shell.failure(request, refused.status, refused.words)
        answer.headers.update(refused.headers or {})
        return answer

    app.add_exception_handler(SignInWanted, nobody)
    for kind in (Refused, Problem, HTTPException, RequestValidationError, *AWAY, Exception):
        app.add_exception_handler(kind, wrong)


def refused_as(error: Exception) -> Refused:
    """What a visitor is told of an error."""
    match error:
        case Refused():
            return error
        case Problem():
            return Refused(error.status, error.detail, headers=error.headers)
        case HTTPException():
            words = _WORDS.get(error.status_code, f"{HTTPStatus(error.status_code).phrase}.")
            headers = dict(error.headers) if error.headers else None
            return Refused(error.status_code, words, headers=headers)
        case RequestValidationError():
            words = "A value in the address or the form is not one that is known here."
            return Refused(HTTPStatus.UNPROCESSABLE_ENTITY, words)
        case _ if isinstance(error, AWAY):
            log.warning("console has not got what it asked for", error=type(error).__name__)
            return Refused(HTTPStatus.SERVICE_UNAVAILABLE, _AWAY)
        case _:
            words = "The service failed; the log has the details."
            return Refused(HTTPStatus.INTERNAL_SERVER_ERROR, words)


AWAY: Final = (*DATABASE_ERRORS, EngineError, StoreError)
"""What is raised where the records, or the engine that replicas share, do not answer."""

_WORDS: Final[dict[int, str]] = {
    HTTPStatus.NOT_FOUND: "There is no such page.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This address takes something else.",
}


def _to_sign_in(shell: Shell, request: Request) -> Response:
    """The way to the sign-in. A link from elsewhere comes without the cookie, whoever follows it:
    the browser is asked to come again, from a page of ours."""
    from_elsewhere = request.headers.get("sec-fetch-site") in _ELSEWHERE
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    if is_htmx(request):
        answer: Response = HTMLResponse("", 401, {"HX-Redirect": SIGN_IN})
    elif request.method == "GET" and from_elsewhere:
        return HTMLResponse(shell.rendering.part("again.html", path=path))
    elif request.method == "GET":
        answer = see_other(f"{SIGN_IN}?{urlencode({'next': path})}")
    else:
        answer = see_other(SIGN_IN)
    if session.is_sent(request.cookies):  # else another site could sign people out
        session.forget(answer)
    return answer
