"""What goes wrong, and how often: data, and the count of what is left of it."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Action = Literal[
    "accept", "reject", "refer", "hangup", "attach", "socket", "create", "client_secret"
]


class Fault(BaseModel):
    """How the first `times` requests go wrong; without `times`, all of them.

    Requests: wait `latency` seconds; then `hang` for ever, `reset` the connection unanswered,
    answer with `status`, or act and then reset (`reset_after_effect`: a time-out after success).

    The socket, once open: `silence` sends nothing, `blackhole` reads nothing either, `error_first`
    sends an error before all else, `malformed` sends raw frames, and `close` or `abort` ends it
    after so many events.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    times: Annotated[int, Field(ge=1)] | None = None
    latency: Annotated[float, Field(ge=0)] = 0.0
    status: Annotated[int, Field(ge=200, le=599)] | None = None
    body: dict[str, Any] | None = None
    retry_after: float | None = None
    reset: bool = False
    reset_after_effect: bool = False
    hang: bool = False
    silence: bool = False
    blackhole: bool = False
    malformed: list[str] | None = None
    error_first: bool | dict[str, Any] = False
    close: Annotated[int, Field(ge=1000, le=4999)] | None = None
    abort: bool = False
    after_events: Annotated[int, Field(ge=0)] = 0


Plans = Mapping[Action, tuple[Fault, ...]]


class Faults:
    """Plans of which each request takes the first that is not used up."""

    def __init__(self, plans: Plans) -> None:
        self._left: dict[Action, list[tuple[Fault, int | None]]] = {
            action: [(fault, fault.times) for fault in faults] for action, faults in plans.items()
        }

    def take(self, action: Action) -> Fault | None:
        left = self._left.get(action)
        if not left:
            return None
        fault, times = left[0]
        if times == 1:
            left.pop(0)
        elif times is not None:
            left[0] = (fault, times - 1)
        return fault


_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_CODES = {401: "invalid_api_key", 404: "call_id_not_found", 429: "rate_limit_exceeded"}


def fault_body(fault: Fault, status: int) -> dict[str, Any]:
    """The JSON body of a scripted failure: the given one, or one in OpenAI's error shape."""
    if fault.body is not None:
        return fault.body
    kind = "server_error" if status >= 500 else _TYPES.get(status, "invalid_request_error")
    message = f"The simulator answers {status}, as the fault says."
    error = {"message": message, "type": kind, "code": _CODES.get(status), "param": None}
    return {"error": error}
