"""Errors of the control API: problem details (RFC 9457) for whatever can go wrong, and how they are
described."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import Field
from sqlalchemy.exc import SQLAlchemyError

from sipagent.api import problems
from sipagent.api.problems import problem, records_away
from sipagent.api.v1.base import Model
from sipagent.errors import StoreError

PROBLEM_JSON: Final = "application/problem+json"
MOST_ERRORS: Final = 20


class Mistake(Model):
    """One thing that is wrong with what was sent; what was sent is not told again."""

    pointer: str = Field(
        description="Where: in the body a JSON pointer as `#/text`, else `?limit`, `path:call` or"
        " `header:Idempotency-Key`.",
        examples=["#/text"],
    )
    detail: str = Field(description="What is wrong with it.", examples=["Field required"])


class ProblemDetails(Model):
    """What was wrong, as RFC 9457 has it."""

    type: str = Field(description="Always `about:blank`.", examples=["about:blank"])
    title: str = Field(description="The status in words.", examples=["Not Found"])
    status: int = Field(description="The HTTP status.", examples=[404])
    detail: str = Field(
        description="What was wrong, for people.", examples=["There is no such call."]
    )
    code: str = Field(description="What was wrong, for programs.", examples=["not-found"])
    errors: list[Mistake] | None = Field(
        default=None, description="With 422: everything that is wrong with the request."
    )


_MEANINGS: Final = {
    400: "The body is no text.",
    401: "No token, or none that holds.",
    403: "The token's scope is too small for this, or only the operator may do it.",
    404: "There is no such thing, or it is another tenant's.",
    405: "This address knows no such method.",
    409: "It cannot be done now; `detail` says why. Or its Idempotency-Key stands for another"
    " request (`key-reused`).",
    413: "The body is too large.",
    422: "The request is not as it is described (`invalid`), or names what cannot be used"
    " (`unusable`): `errors` says where.",
    429: "Too many attempts; `Retry-After` says when to go on.",
    503: "The records, or the engine that replicas share, do not answer; ask again.",
    504: "Whoever holds the call has not answered in time; it may be done all the same.",
}


def described(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """How these statuses are described, with those that every route has."""
    return {
        status: {
            "model": ProblemDetails,
            "description": _MEANINGS[status],
            "content": {PROBLEM_JSON: {"example": _example(status)}},
        }
        for status in sorted({400, 401, 403, 422, 429, 503, *statuses})
    }


def _example(status: int) -> dict[str, Any]:
    phrase = HTTPStatus(status).phrase
    return {
        "type": "about:blank",
        "title": phrase,
        "status": status,
        "detail": _MEANINGS[status],
        "code": phrase.lower().replace(" ", "-"),
    }


_UNLIKE: Final = "The request is not as it is described."
_UNUSABLE: Final = "The request names what cannot be used."


def invalid(
    mistakes: Sequence[tuple[str, str]], code: str = "invalid", detail: str = _UNLIKE
) -> JSONResponse:
    """422 with everything that is wrong."""
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    errors = [{"pointer": where, "detail": what} for where, what in mistakes[:MOST_ERRORS]]
    content = {
        "type": "about:blank",
        "title": status.phrase,
        "status": int(status),
        "detail": detail,
        "code": code,
        "errors": errors,
    }
    return JSONResponse(content, status_code=status, media_type=PROBLEM_JSON)


class Unusable(Exception):  # noqa: N818  # an answer, as Problem is
    """Ends a request with 422: this is wrong with what was sent, and no schema could say so."""

    def __init__(self, pointer: str, detail: str) -> None:
        super().__init__(pointer)
        self.pointer = pointer
        self.detail = detail


def said_once(request: Request) -> None:
    """A dependency: raises Unusable where a name stands twice behind the question mark."""
    names = [name for name, _ in request.query_params.multi_items()]
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            raise Unusable(f"?{name}", "Say it once.")


def install(app: FastAPI) -> None:
    """Have every error of this application answered as problem details."""
    problems.install(app)

    async def unlike(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        told = [(_pointer(one["loc"]), _sentence(one["msg"])) for one in error.errors()]
        return invalid(told)

    async def unusable(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, Unusable)
        return invalid([(error.pointer, error.detail)], "unusable", _UNUSABLE)

    async def away(_: Request, __: Exception) -> JSONResponse:
        return records_away().answer()

    async def orders_away(_: Request, __: Exception) -> JSONResponse:
        detail = "The operator's orders cannot be read or written now. Nothing has changed."
        return problem(503, "orders-away", detail, headers={"Retry-After": "5"})

    app.add_exception_handler(RequestValidationError, unlike)
    app.add_exception_handler(Unusable, unusable)
    app.add_exception_handler(StoreError, orders_away)
    app.add_exception_handler(SQLAlchemyError, away)


def _pointer(place: Sequence[Any]) -> str:
    """Where a mistake is, in words of the request."""
    source, *steps = place or ("body",)
    match source:
        case "body":
            if len(steps) == 1 and isinstance(steps[0], int):
                return "#"  # the position at which the text stops being JSON
            return "#" + "".join(f"/{_escaped(str(step))}" for step in steps)
        case "query":
            return "?" + ".".join(map(str, steps))
        case _:
            return f"{source}:{'.'.join(map(str, steps))}"


def _sentence(message: str) -> str:
    said = message.removeprefix("Value error, ")
    return f"{said[:1].upper()}{said[1:]}"


def _escaped(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")
