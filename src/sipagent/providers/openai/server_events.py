"""The Realtime API's server events, as the machine's. Pure.

Unknown types and unknown fields are tolerated: the API adds both. An event that lacks what its
type must have is malformed: it is counted and dropped, and the call goes on.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import msgspec
from pydantic_core import from_json

from sipagent.providers.openai.bills import response_bill, transcription_bill
from sipagent.providers.openai.client_events import TAG
from sipagent.sessions.machine.events import (
    AgentText,
    AgentTextDone,
    ApprovalAsked,
    AudioCleared,
    AudioStarted,
    AudioStopped,
    CallerCommitted,
    CallerStarted,
    CallerStopped,
    CallerText,
    CallerTextDone,
    DigitPressed,
    Event,
    FaultKind,
    FunctionCall,
    OutputAdded,
    ProviderFault,
    RateLimit,
    RateLimitsTold,
    ResponseCreated,
    ResponseDone,
    SessionUpdated,
)

LONGEST_EVENT: Final = 4 * 2**20
"""Bytes. `session.updated` repeats instructions and tools and stays far below; a longer frame
would hold up all other calls while it is parsed."""


class Oddity(StrEnum):
    """Frames that are counted and otherwise ignored."""

    UNKNOWN = "unknown"
    MALFORMED = "malformed"
    OVERSIZE = "oversize"


def decode(frame: bytes) -> Event | Oddity | None:
    """The event in a frame; None for a known one that no machine needs. Never raises."""
    if len(frame) > LONGEST_EVENT:
        return Oddity.OVERSIZE
    try:
        kind = _kind_of(frame)
        if kind in _UNHEEDED:
            return None
        if kind == _UPDATED:  # it repeats the session with its tools
            return SessionUpdated()
        wire = _parsed(frame)
        kind = wire["type"]
        read = _READERS.get(kind)
        if read is None:
            return None if kind in _UNHEEDED else Oddity.UNKNOWN
        return read(wire)
    except (ValueError, TypeError, KeyError, AttributeError):
        return Oddity.MALFORMED


_UPDATED: Final = "session.updated"


class _Kind(msgspec.Struct):
    type: str


_KIND: Final = msgspec.json.Decoder(_Kind)
_EVENT: Final = msgspec.json.Decoder()
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def _kind_of(frame: bytes) -> str | None:
    """The event's type, in a third of the time in which the whole is read."""
    try:
        return _KIND.decode(frame).type
    except _UNREADABLE:
        return None


def _parsed(frame: bytes) -> Any:
    """The frame as JSON; raises ValueError. msgspec is faster, pydantic takes a little more: NaN,
    and numbers without bounds."""
    try:
        return _EVENT.decode(frame)
    except _UNREADABLE:
        return from_json(frame)


@dataclass(frozen=True, slots=True)
class _Text:
    """Reads a string field, and nothing but a string."""

    name: str

    def __call__(self, wire: Any) -> str:
        value = wire[self.name]
        if type(value) is not str:
            raise TypeError(self.name)
        return value


_item: Final = _Text("item_id")
_response: Final = _Text("response_id")
_delta: Final = _Text("delta")
_text: Final = _Text("text")
_transcript: Final = _Text("transcript")
_id: Final = _Text("id")
_name: Final = _Text("name")
_call_id: Final = _Text("call_id")
_arguments: Final = _Text("arguments")
_server_label: Final = _Text("server_label")


def _response_created(wire: Any) -> Event:
    response = wire["response"]
    metadata = response.get("metadata")
    tag = metadata.get(TAG) if isinstance(metadata, dict) else None
    return ResponseCreated(_id(response), tag if isinstance(tag, str) else None)


def _response_done(wire: Any) -> Event:
    response = wire["response"]
    details = response.get("status_details")
    error = details.get("error") if isinstance(details, dict) else None
    code = error.get("code") if isinstance(error, dict) else None
    status = response["status"]
    # An incomplete one is cut by its token limit; what there is of it is played.
    completed = status in ("completed", "incomplete")
    output = response.get("output")
    kinds, calls = _put_out(output) if completed and type(output) is list else (_NOTHING, ())
    return ResponseDone(
        _id(response),
        completed=completed,
        error_code=_word(code) if isinstance(code, str) else None,
        failed=status == "failed",
        bill=response_bill(response.get("usage")),
        calls=calls,
        spoken="message" in kinds,
        served="mcp_call" in kinds,
    )


_NOTHING: Final[frozenset[str]] = frozenset()


def _put_out(output: list[Any]) -> tuple[frozenset[str], tuple[FunctionCall, ...]]:
    """The kinds of items that a response has put out, and its calls of functions. One that is not
    complete has arguments that may be cut, and is none; nor is one that cannot be read, as the end
    of its response matters more."""
    items = [item for item in output if type(item) is dict]
    kinds = frozenset(kind for item in items if isinstance(kind := item.get("type"), str))
    calls = (_function_call(item) for item in items if item.get("type") == "function_call")
    return kinds, tuple(call for call in calls if call is not None)


def _function_call(item: Any) -> FunctionCall | None:
    if item.get("status", "completed") != "completed":
        return None
    try:
        return FunctionCall(_call_id(item), _name(item), _arguments(item))
    except (TypeError, KeyError):
        return None


def _item_added(wire: Any) -> Event | None:
    """Only the outputs of tools matter: whether a response that begins now knows of them."""
    item = wire["item"]
    return OutputAdded(_call_id(item)) if item.get("type") == "function_call_output" else None


def _item_done(wire: Any) -> Event | None:
    item = wire["item"]
    if item.get("type") != "mcp_approval_request":
        return None
    return ApprovalAsked(_id(item), _server_label(item), _name(item))


_FAULTS: Final = {
    "conversation_already_has_active_response": FaultKind.BUSY,
    "response_cancel_not_active": FaultKind.IDLE,
    "session_expired": FaultKind.EXPIRED,
    "call_id_not_found": FaultKind.UNKNOWN_CALL,
}


def _error(wire: Any) -> Event:
    error = wire["error"]
    code = error.get("code") or error["type"]
    if not isinstance(code, str):
        raise TypeError("code")
    request_id = error.get("event_id")
    return ProviderFault(
        _FAULTS.get(code, FaultKind.OTHER),
        _word(code),
        request_id if isinstance(request_id, str) else None,
    )


def _word(code: str) -> str:
    """A code as it may stand in a log line."""
    return code[:64] if code.isprintable() else "unprintable"


def _caller_text(wire: Any) -> Event:
    delta = wire.get("delta")
    return CallerText(_item(wire), delta if isinstance(delta, str) else "")


def _caller_text_done(wire: Any) -> Event:
    return CallerTextDone(_item(wire), _transcript(wire), transcription_bill(wire.get("usage")))


_DIGITS: Final = frozenset("0123456789*#ABCD")


def _digit(wire: Any) -> Event:
    digit = wire["event"]
    if digit not in _DIGITS:
        raise ValueError("event")
    return DigitPressed(digit)


_MOST_LIMITS: Final = 16
_LARGEST: Final = 10.0**15


def _rate_limits(wire: Any) -> Event:
    told = wire["rate_limits"]
    if type(told) is not list or len(told) > _MOST_LIMITS:
        raise TypeError("rate_limits")
    limits = (_rate_limit(one) for one in told)
    return RateLimitsTold(tuple(limit for limit in limits if limit is not None))


def _rate_limit(wire: Any) -> RateLimit | None:
    """One limit, None of which not all is told: each part is optional."""
    limit, remaining, seconds = (wire.get(key) for key in ("limit", "remaining", "reset_seconds"))
    if limit is None or remaining is None or seconds is None or wire.get("name") is None:
        return None
    counts = type(limit) is int and type(remaining) is int and type(seconds) in (int, float)
    if not counts or not all(0 <= value <= _LARGEST for value in (limit, remaining, seconds)):
        raise ValueError("rate_limits")
    return RateLimit(_word(_name(wire)), limit, remaining, float(seconds))


_READERS: Final[dict[str, Callable[[Any], Event | None]]] = {
    "error": _error,
    _UPDATED: lambda wire: SessionUpdated(),
    "input_audio_buffer.speech_started": lambda wire: CallerStarted(_item(wire)),
    "input_audio_buffer.speech_stopped": lambda wire: CallerStopped(_item(wire)),
    "conversation.item.added": _item_added,
    "conversation.item.done": _item_done,
    "input_audio_buffer.committed": lambda wire: CallerCommitted(_item(wire)),
    "input_audio_buffer.dtmf_event_received": _digit,
    # As OpenAI's own example spells it.
    " input_audio_buffer.dtmf_event_received": _digit,
    "rate_limits.updated": _rate_limits,
    "conversation.item.input_audio_transcription.delta": _caller_text,
    "conversation.item.input_audio_transcription.completed": _caller_text_done,
    "conversation.item.input_audio_transcription.failed": lambda wire: CallerTextDone(
        _item(wire), None
    ),
    "response.created": _response_created,
    "response.done": _response_done,
    "response.output_audio_transcript.delta": lambda wire: AgentText(
        _response(wire), _item(wire), _delta(wire)
    ),
    "response.output_audio_transcript.done": lambda wire: AgentTextDone(
        _response(wire), _item(wire), _transcript(wire)
    ),
    "response.output_text.delta": lambda wire: AgentText(
        _response(wire), _item(wire), _delta(wire)
    ),
    "response.output_text.done": lambda wire: AgentTextDone(
        _response(wire), _item(wire), _text(wire)
    ),
    "output_audio_buffer.started": lambda wire: AudioStarted(_response(wire)),
    "output_audio_buffer.stopped": lambda wire: AudioStopped(_response(wire)),
    "output_audio_buffer.cleared": lambda wire: AudioCleared(_response(wire)),
}

_UNHEEDED: Final = frozenset(
    {
        "conversation.created",
        "conversation.item.created",
        "conversation.item.deleted",
        "conversation.item.input_audio_transcription.segment",
        "conversation.item.retrieved",
        "conversation.item.truncated",
        "input_audio_buffer.cleared",
        "input_audio_buffer.timeout_triggered",
        "mcp_list_tools.completed",
        "mcp_list_tools.failed",
        "mcp_list_tools.in_progress",
        "response.content_part.added",
        "response.content_part.done",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.mcp_call.completed",
        "response.mcp_call.failed",
        "response.mcp_call.in_progress",
        "response.mcp_call_arguments.delta",
        "response.mcp_call_arguments.done",
        "response.output_audio.delta",
        "response.output_audio.done",
        "response.output_item.added",
        "response.output_item.done",
        "session.created",
    }
)
"""Event types of openai 3.52.0 that no machine needs. A type that is on neither list is counted."""
