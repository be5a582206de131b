"""Errors as problem details (RFC 9457)."""

from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException


def problem(
    status: int, code: str, detail: str, *, headers: dict[str, str] | None = None
) -> JSONResponse:
    """An answer that says what was wrong. `code` is a stable word for programs."""
    return JSONResponse(
        {
            "type": "about:blank",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "detail": detail,
            "code": code,
        },
        status_code=status,
        headers=headers,
        media_type="application/problem+json",
    )


def install(app: FastAPI) -> None:
    """Have every error of this application answered as problem details."""

    async def refused(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        phrase = HTTPStatus(error.status_code).phrase
        headers = dict(error.headers) if error.headers else None
        code = phrase.lower().replace(" ", "-")
        return problem(error.status_code, code, f"{phrase}.", headers=headers)

    async def crashed(_: Request, __: Exception) -> JSONResponse:
        return problem(500, "internal-error", "The service failed; the log has the details.")

    app.add_exception_handler(HTTPException, refused)
    app.add_exception_handler(Exception, crashed)
