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


class Problem(Exception):  # noqa: N818  # it is an answer, and bears the name of what is sent
    """Ends a request with these problem details, from wherever it is raised."""

    def __init__(
        self, status: int, code: str, detail: str, *, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers

    def answer(self) -> JSONResponse:
        return problem(self.status, self.code, self.detail, headers=self.headers)


def records_away() -> Problem:
    """The answer where the records' database is needed and does not answer."""
    detail = "The records' database does not answer. Calls go on; ask again in a moment."
    return Problem(503, "records-away", detail, headers={"Retry-After": "5"})


def install(app: FastAPI) -> None:
    """Have every error of this application answered as problem details."""

    async def ended(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, Problem)
        return error.answer()

    async def http_error(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        return refused(error.status_code, headers=dict(error.headers) if error.headers else None)

    async def any_error(_: Request, __: Exception) -> JSONResponse:
        return crashed()

    app.add_exception_handler(Problem, ended)
    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(Exception, any_error)
