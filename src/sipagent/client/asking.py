"""Requests before they are sent, and what an answer leads to. Pure: both clients share it."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

from sipagent.client.errors import ApiError, error_of

ATTEMPTS: Final = 3
LONGEST_PAUSE: Final = 5.0
_FIRST_PAUSE: Final = 0.2
_AGAIN: Final = frozenset({429, 502, 503, 504})
_IN_PROGRESS: Final = "in-progress"


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
    if error.status not in _AGAIN and error.code != _IN_PROGRESS:
        return None
    wanted = error.retry_after
    if wanted is None:
        return waited
    return wanted if wanted <= LONGEST_PAUSE else None


def refused(status: int, body: Any, headers: Mapping[str, str]) -> ApiError:
    """The error of this answer."""
    wanted = headers.get("Retry-After", "")
    return error_of(status, body, float(wanted) if wanted.isdigit() else None)


def _path(steps: tuple[str, ...]) -> str:
    return "/api/v1/" + "/".join(quote(step, safe="") for step in steps)


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name.removesuffix("_"): one for name, one in values.items() if one is not None}
