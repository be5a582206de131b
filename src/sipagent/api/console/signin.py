"""Signing in by a token, and out again."""

import hmac
import secrets
from collections import deque
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse

from sipagent.api.console import session
from sipagent.api.console.refusals import Refused
from sipagent.api.console.shell import (
    Posted,
    Shell,
    came_by_https,
    read_form,
    require_own_origin,
    see_other,
)
from sipagent.api.problems import Problem
from sipagent.api.v1.auth import FAILED_WITHIN, address_of
from sipagent.sessions.ports import Clock

MOST_FAILED: Final = 200
"""Attempts that fail within FAILED_WITHIN, from all addresses together."""

_HOME: Final = "/console/live"
_FORM: Final = "sipagent-console-form"
"""A cookie that says which browser has been given the form: a page elsewhere cannot post it."""


class Everybody:
    """How often signing in has failed lately, from wherever."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failed: deque[float] = deque(maxlen=MOST_FAILED)

    def failed(self) -> None:
        self._failed.append(self._clock.monotonic())

    @property
    def too_often(self) -> bool:
        full = len(self._failed) == MOST_FAILED
        return full and self._failed[0] > self._clock.monotonic() - FAILED_WITHIN


def router(shell: Shell) -> APIRouter:
    routes = APIRouter()
    everybody = Everybody(shell.clock)

    @routes.get("/sign-in")
    async def form(request: Request, next: str = _HOME) -> Response:  # noqa: A002
        return _form(shell, request, next)

    @routes.post("/sign-in")
    async def sign_in(request: Request) -> Response:
        require_own_origin(request)
        fields = await read_form(request)
        onward = fields.get("next", _HOME)
        given, expected = fields.get("csrf", ""), request.cookies.get(_FORM, "")
        if not expected or not hmac.compare_digest(given.encode(), expected.encode()):
            return _form(shell, request, onward, Refused(403, "Please try once more."))
        token = fields.get("token", "").strip()
        wrong = await _refusal(shell, everybody, token, address_of(request))
        if wrong is not None:
            return _form(shell, request, onward, wrong)
        answer = see_other(onward if _is_ours(onward) else _HOME)
        cookie = session.begin(token, shell.clock.wall())
        session.keep(answer, cookie, secure=came_by_https(request))
        answer.delete_cookie(_FORM, path=session.PATH)
        return answer

    @routes.post("/sign-out")
    async def sign_out(_: Annotated[Posted, Depends(shell.checked)]) -> Response:
        answer = see_other("/console/sign-in")
        session.forget(answer)
        return answer

    return routes


async def _refusal(shell: Shell, everybody: Everybody, token: str, address: str) -> Refused | None:
    """Why this token does not sign anybody in. One that was admitted before is always judged: else
    whoever tries from many addresses would shut out everybody."""
    if everybody.too_often and not shell.doorkeeper.has_admitted(token):
        wait = {"Retry-After": f"{FAILED_WITHIN:.0f}"}
        words = "Too many attempts. Wait a minute."
        return Refused(HTTPStatus.TOO_MANY_REQUESTS, words, headers=wait)
    if not token.isascii() or len(token) > session.LONGEST_TOKEN:
        token = ""
    try:
        await shell.doorkeeper.admit(token, address)
    except Problem as problem:
        if problem.status == HTTPStatus.UNAUTHORIZED:
            everybody.failed()
            words = "This token is unknown, over, or revoked."
            return Refused(HTTPStatus.FORBIDDEN, words)
        return Refused(problem.status, problem.detail, headers=problem.headers)
    return None


def _form(
    shell: Shell, request: Request, onward: str, wrong: Refused | None = None
) -> HTMLResponse:
    """The page with the form, and the cookie without which it is not taken."""
    word = request.cookies.get(_FORM) or secrets.token_urlsafe(18)
    values: dict[str, Any] = {
        "onward": onward if _is_ours(onward) else _HOME,
        "wrong": None if wrong is None else wrong.words,
    }
    html = shell.rendering.page(request, None, "sign_in.html", form_word=word, **values)
    answer = HTMLResponse(html)
    if wrong is not None:
        answer.status_code = wrong.status
        answer.headers.update(wrong.headers or {})
    answer.set_cookie(
        _FORM,
        word,
        max_age=session.LIFE,
        path=session.PATH,
        secure=came_by_https(request),
        httponly=True,
        samesite="strict",
    )
    return answer


def _is_ours(path: str) -> bool:
    """A path of the console, as a browser cannot take it for another host's."""
    return (
        path.startswith("/console/")
        and path.isascii()
        and path.isprintable()
        and "\\" not in path
        and "//" not in path
    )
