"""Requests before they are sent, and what an answer leads to. Pure: both clients share it."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

import httpx

from sipagent.client.errors import ApiError, UnsendableError, error_of

ATTEMPTS: Final = 3
LONGEST_PAUSE: Final = 5.0
LONGEST_WAIT: Final = 60.0
"""Seconds until a stream that was heard is asked for again, at most."""

_FIRST_PAUSE: Final = 0.2
_AGAIN: Final = frozenset({429, 502, 503, 504})
_IN_PROGRESS: Final = "in-progress"
_LAST_PORT: Final = 65535


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. Whatever does something has a key, so that it is done once however often it is
    sent."""

    method: str
    path: str
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    key: str | None = None

    @property
    def repeatable(self) -> bool:
        return self.method == "GET" or self.key is not None

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.key is None else {"Idempotency-Key": self.key}

    def after(self, cursor: str) -> "Ask":
        """The same for the page behind this one."""
        return Ask(self.method, self.path, {**self.query, "after": cursor}, self.body, self.key)


def get(*steps: str, **query: Any) -> Ask:
    """What is read; a value of None is left out, and `from_` is `from`."""
    return Ask("GET", _path(steps), _given(query))


def post(*steps: str, key: str | None = None, **body: Any) -> Ask:
    """What is done, under this key or one of its own."""
    given = _given(body)
    return Ask("POST", _path(steps), body=given or None, key=key or str(uuid.uuid4()))


def pause_after(ask: Ask, error: ApiError | None, attempt: int) -> float | None:
    """Seconds until the next attempt, `attempt` of them having failed; None if there is none.
    Without an error no answer came."""
    if attempt >= ATTEMPTS or not ask.repeatable:
        return None
    waited = min(_FIRST_PAUSE * 2.0**attempt, LONGEST_PAUSE)
    if error is None:
        return waited
    if not _may_pass(error):
        return None
    wanted = error.retry_after
    if wanted is None:
        return waited
    return wanted if wanted <= LONGEST_PAUSE else None


def pause_of_stream(ask: Ask, error: ApiError, failed: int, *, begun: bool) -> float | None:
    """Seconds that a refused stream is not to be asked for again, None if never. One that has
    `begun` waits for its place however long the service is full: whoever watches for ever means
    it."""
    if not begun:
        return pause_after(ask, error, failed)
    return (error.retry_after or 0.0) if _may_pass(error) else None


def base_of(url: str) -> str:
    """The URL, to which paths are added. Raises UnsendableError if it cannot be one."""
    try:
        read = httpx.URL(url)
        # The system's resolver is given the host in this way, and raises what this does.
        read.raw_host.decode("ascii").encode("idna")
    except (ValueError, httpx.InvalidURL):
        usable = False
    else:
        port = read.port is None or 0 < read.port <= _LAST_PORT
        alone = not read.query and not read.fragment
        usable = read.scheme in ("http", "https") and bool(read.host) and port and alone
    if not usable:
        raise UnsendableError(
            "the service's URL",
            "it cannot be used: write it as https://sip.example or http://127.0.0.1:8000",
        )
    return url.rstrip("/")


def bearer_of(token: str) -> str:
    """The header's value. Raises UnsendableError if a header cannot hold the token."""
    if not token or not all("!" <= one <= "~" for one in token):
        raise UnsendableError(
            "the token",
            "it is empty or holds what no token does (blanks, or characters that are not ASCII):"
            " give it as `sipagent tokens create` has printed it",
        )
    return f"Bearer {token}"


def unsendable(error: Exception) -> UnsendableError:
    """The error of what is asked, of which this came when a request was to be made of it."""
    if isinstance(error, httpx.InvalidURL):
        return UnsendableError("what is asked", "it is too long for a URL: ask in fewer words")
    return UnsendableError(
        "what is asked",
        "a value is none of JSON's, or none that a header can hold: give plain text and numbers",
    )


def refused(status: int, body: Any, headers: Mapping[str, str]) -> ApiError:
    """The error of this answer."""
    wanted = headers.get("Retry-After", "")
    known = wanted.isascii() and wanted.isdigit()
    return error_of(status, body, float(wanted) if known else None)


def _may_pass(error: ApiError) -> bool:
    return error.status in _AGAIN or error.code == _IN_PROGRESS


def _path(steps: tuple[str, ...]) -> str:
    return "/api/v1/" + "/".join(_step(step) for step in steps)


def _step(step: str) -> str:
    # Dots are steps up whether they are quoted or not: they would ask for something else.
    if step in ("", ".", ".."):
        raise UnsendableError(f"the name {step!r}", "nothing is named so: give its own name")
    return quote(_sendable("a name", step), safe="")


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    given = {name.removesuffix("_"): one for name, one in values.items() if one is not None}
    for name, one in given.items():
        if isinstance(one, str):
            _sendable(name, one)
    return given


def _sendable(where: str, text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = ascii(text[error.start])
        raise UnsendableError(
            where, f"{half} is half a character, which UTF-8 cannot hold: leave it out"
        ) from None
    return text
