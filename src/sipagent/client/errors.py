"""What goes wrong with a request.

SipagentClientError
├── UnsendableError        what is asked cannot be sent
├── UnreachableError       no answer came, however often it was tried
├── UnreadableError        what came is no answer of the API
└── ApiError          the answer is problem details
    ├── UnauthorizedError  401: no token, or none that holds
    ├── ForbiddenError     403: the token's scope is too small, or a reason is needed
    ├── NotFoundError      404: there is no such thing, or it is another tenant's
    ├── ConflictError      409: it cannot be done now, or its key stands for another request
    ├── InvalidError       422: the request is not as it is described
    └── UnavailableError   429, 502, 503, 504: not now; it may be done all the same
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final


class SipagentClientError(Exception):
    """The base of what a client raises."""


class UnsendableError(SipagentClientError):
    """The URL, the token or what is asked cannot be sent, and nothing has been. Says where it
    stands and what to do, and holds neither the token nor the URL."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(where, what)
        self.where = where
        self.what = what

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; nothing has been sent"


class UnreadableError(SipagentClientError):
    """Something came that is no answer of the API's: the URL leads elsewhere, or what stands in
    between has answered. Of a request that does something: it may be done all the same."""

    def __init__(self, what: str, host: str) -> None:
        super().__init__(what, host)
        self.what = what
        self.host = host

    def __str__(self) -> str:
        return (
            f"{self.what} came from {self.host}, which is no answer of the control API: see that"
            " the URL is the service's, and that no proxy asks to sign in;"
            " what was asked may be done all the same"
        )


class UnreachableError(SipagentClientError):
    """No answer came from `host`. `sent`: the request may have reached the service."""

    def __init__(self, what: str, *, sent: bool, host: str = "") -> None:
        super().__init__(what, sent, host)
        self.what = what
        self.sent = sent
        self.host = host

    def __str__(self) -> str:
        may = "it may be done all the same" if self.sent else "nothing has been sent"
        at = f" at {self.host}" if self.host else ""
        return (
            f"the service was not reached{at} ({self.what}): see that it runs, and that the URL is"
            f" its own (SIPAGENT_URL, --url); {may}"
        )


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong with a request, and where."""

    pointer: str
    detail: str


class ApiError(SipagentClientError):
    """The service has refused. `code` is for programs, `detail` for people; `retry_after` are
    seconds, None where nothing is said."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        mistakes: Sequence[Mistake] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(status, code, detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.mistakes = tuple(mistakes)
        self.retry_after = retry_after

    def __str__(self) -> str:
        wrong = "".join(f"; {one.pointer}: {one.detail}" for one in self.mistakes)
        return f"{self.status} {self.code}: {self.detail}{wrong}"


class UnauthorizedError(ApiError):
    """No token, or none that holds."""


class ForbiddenError(ApiError):
    """The token's scope is too small, or a reason is needed."""


class NotFoundError(ApiError):
    """There is no such thing, or it is another tenant's."""


class ConflictError(ApiError):
    """It cannot be done now, or its key stands for another request: `code` says which."""


class InvalidError(ApiError):
    """The request is not as it is described; `mistakes` say where."""


class UnavailableError(ApiError):
    """Not now. Of a request that does something: it may be done all the same."""


_BY_STATUS: Final[Mapping[int, type[ApiError]]] = {
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    422: InvalidError,
    429: UnavailableError,
    502: UnavailableError,
    503: UnavailableError,
    504: UnavailableError,
}


def error_of(status: int, body: Any, retry_after: float | None = None) -> ApiError:
    """The error of an answer; `body` is its JSON, or whatever else came."""
    told: Mapping[str, Any] = body if isinstance(body, Mapping) else {}
    kind = _BY_STATUS.get(status, ApiError)
    wrong = [
        Mistake(str(one.get("pointer", "")), str(one.get("detail", "")))
        for one in told.get("errors") or ()
        if isinstance(one, Mapping)
    ]
    code, detail = told.get("code", "unknown"), told.get("detail", "No problem details came.")
    return kind(status, str(code), str(detail), wrong, retry_after)
