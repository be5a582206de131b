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


def refused(status: int, *, headers: dict[str, str] | None = None) -> JSONResponse:
    """An answer that says no more than its status does."""
    phrase = HTTPStatus(status).phrase
    return problem(status, phrase.lower().replace(" ", "-"), f"{phrase}.", headers=headers)


def crashed() -> JSONResponse:
    return problem(500, "internal-error", "The service failed; the log has the details.")


def install(app: FastAPI) -> None:
    """Have every error of this application answered as problem details."""

    async def http_error(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        return refused(error.status_code, headers=dict(error.headers) if error.headers else None)

    async def any_error(_: Request, __: Exception) -> JSONResponse:
        return crashed()

    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(Exception, any_error)
